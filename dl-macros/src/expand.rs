//! What the two macros do: tokens enter, compiled networks or errors leave.
//!
//! The only file that asks the Rust compiler where the macro stands; everything else works on what it is told.

use crate::place::{self, Position};
use crate::report;
use dl_compiler::{Failure, Options, Source};
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::quote;
use std::path::{Path, PathBuf};
use syn::parse::Parser;

/// Where a macro is called.
pub(crate) struct Site {
    call: Span,
    /// The Rust file as messages name it.
    file: String,
    /// The folder of the user's `Cargo.toml`.
    folder: PathBuf,
}

impl Site {
    /// The place of the macro call being expanded.
    pub(crate) fn here() -> Site {
        let call = proc_macro::Span::call_site();
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        Site { call: call.into(), file: call.file(), folder }
    }

    fn position(&self, span: Span) -> Option<Position> {
        // Not that of an `Option`: the Rust compiler's own span, which every span within a macro is made of.
        let span = Span::unwrap(span);
        (span.file() == self.file).then(|| (span.line(), span.column()))
    }

    fn error(&self, message: &str) -> TokenStream {
        report::error(message, (self.call, self.call))
    }
}

/// The expansion of `network!`.
pub(crate) fn network(tokens: TokenStream, site: Site) -> TokenStream {
    let mut trees: Vec<TokenTree> = tokens.into_iter().collect();
    let runtime = match take_runtime(&mut trees) {
        Ok(runtime) => runtime,
        Err(error) => return error,
    };
    let placed = place::place(trees.into_iter().collect(), |span| site.position(span));
    let source = Source::new(&site.file, &placed.text);
    compiled(source, runtime, &site, "", |failure| {
        report::errors(failure, &placed, |span| site.position(span), site.call)
    })
}

/// The code of a text, and mentions of what it imports; with mistakes, also what `errors` makes of them.
fn compiled(
    source: Source,
    runtime: Option<String>,
    site: &Site,
    main: &str,
    errors: impl FnOnce(&Failure) -> TokenStream,
) -> TokenStream {
    let (inputs, errors, tokens) = match dl_compiler::compile(source, &options(runtime, site, main)) {
        Ok(compiled) => (compiled.inputs, TokenStream::new(), compiled.tokens),
        Err(failure) => {
            let errors = errors(&failure);
            (failure.imports.inputs, errors, failure.tokens)
        }
    };
    let tracked = tracked(&site.folder, &inputs);
    quote!(#tracked #errors #tokens)
}

/// The expansion of `include_network!`.
pub(crate) fn include_network(tokens: TokenStream, site: Site) -> TokenStream {
    const USAGE: &str = "expected the path of a dln file: `include_network!(\"nets/lenet.dln\")`, \
                         and if dln has another name here, `runtime = ::other_name::runtime` after a comma";
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let Some((text, rest)) = trees.split_first() else {
        return site.error(USAGE);
    };
    let Ok(path) = syn::parse2::<syn::LitStr>(TokenStream::from(text.clone())) else {
        return report::error(USAGE, (text.span(), text.span()));
    };
    let runtime = match rest {
        [] => None,
        [TokenTree::Punct(comma)] if comma.as_char() == ',' => None,
        [TokenTree::Punct(comma), setting @ ..] if comma.as_char() == ',' => match runtime_setting(setting) {
            Some(Ok(runtime)) => Some(runtime),
            Some(Err(error)) => return error,
            None => return report::error(USAGE, ends(setting, site.call)),
        },
        _ => return report::error(USAGE, ends(rest, site.call)),
    };

    let full = site.folder.join(path.value());
    let source = match dl_build::read(&full, &path.value()) {
        Ok(source) => source,
        Err(failure) => return file_errors(&failure, path.span()),
    };
    let expansion = compiled(source, runtime, &site, &path.value(), |failure| file_errors(failure, path.span()));
    let itself = tracked(&site.folder, &[path.value()]);
    quote!(#itself #expansion)
}

/// Mentions of the files that exist: the one way on stable Rust to be expanded again when they change.
fn tracked(folder: &Path, files: &[String]) -> TokenStream {
    let files = files.iter().map(|file| folder.join(file)).filter(|file| file.is_file());
    let mentions = files.filter_map(|file| {
        let file = file.to_str()?;
        Some(quote!(
            const _: &[u8] = ::core::include_bytes!(#file);
        ))
    });
    mentions.collect()
}

fn options(runtime: Option<String>, site: &Site, main: &str) -> Options {
    let defaults = Options::default();
    let loader = Some(dl_build::loader(&site.folder, main));
    Options { runtime: runtime.unwrap_or(defaults.runtime), comments: false, loader }
}

/// Errors in a file: no token is theirs, so they are shown as text at the path.
fn file_errors(failure: &Failure, span: Span) -> TokenStream {
    let errors = failure.diagnostics.iter().map(|diagnostic| {
        let text = dl_grammar::render(&failure.sources, std::slice::from_ref(diagnostic), false);
        report::error(text.trim_end(), (span, span))
    });
    errors.collect()
}

/// Takes `#![runtime = path]` off the front of a description, where only `//!` comments may stand before it.
fn take_runtime(trees: &mut Vec<TokenTree>) -> Result<Option<String>, TokenStream> {
    let mut start = 0;
    while let Some([TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group)]) =
        trees.get(start..start + 3)
    {
        if hash.as_char() != '#' || bang.as_char() != '!' || group.delimiter() != Delimiter::Bracket {
            break;
        }
        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
        if let Some(runtime) = runtime_setting(&inner) {
            trees.drain(start..start + 3);
            return runtime.map(Some);
        }
        start += 3;
    }
    Ok(None)
}

/// The path of `runtime = path`; `None` if the tokens start otherwise.
fn runtime_setting(trees: &[TokenTree]) -> Option<Result<String, TokenStream>> {
    let [TokenTree::Ident(name), TokenTree::Punct(equals), path @ ..] = trees else {
        return None;
    };
    if name != "runtime" || equals.as_char() != '=' {
        return None;
    }
    if syn::Path::parse_mod_style.parse2(path.iter().cloned().collect()).is_ok() {
        let text: String = path.iter().map(TokenTree::to_string).collect();
        // `$crate` is a path to the Rust compiler, but as text it has lost its crate.
        if dl_build::is_path(&text) {
            return Some(Ok(text));
        }
    }
    let message = "expected the path of the runtime, such as `::dln::runtime`";
    Some(Err(report::error(message, ends(trees, name.span()))))
}

/// The spans of the first and the last tree.
fn ends(trees: &[TokenTree], otherwise: Span) -> (Span, Span) {
    match (trees.first(), trees.last()) {
        (Some(first), Some(last)) => (first.span(), last.span()),
        _ => (otherwise, otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> TokenStream {
        source.parse().expect("Rust's tokens")
    }

    /// The expansion of `include_network!(arguments)` beside a file of that text.
    fn included(test: &str, text: impl AsRef<[u8]>, arguments: &str) -> String {
        let folder = std::env::temp_dir().join(format!("dl-macros-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("a.dln"), text).expect("a file");
        let site = Site { call: Span::call_site(), file: "src/lib.rs".to_owned(), folder: folder.clone() };
        let expansion = include_network(tokens(arguments), site).to_string();
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        expansion
    }

    const LINE: &str = "network Line { input x: [1]; label y: [1]; a = x |> dense(1); output b = a; loss mse(a, y); }";

    #[test]
    fn a_file_is_compiled_and_tracked() {
        for arguments in ["\"a.dln\"", "r\"a.dln\" ,", "\"a.dln\", runtime = ::dln::runtime"] {
            let expansion = included("good", LINE, arguments);
            assert!(expansion.contains("include_bytes") && expansion.contains("mod line"), "{expansion}");
            assert!(!expansion.contains("compile_error"), "{expansion}");
        }
        let expansion = included("runtime", LINE, "\"a.dln\", runtime = ::other::runtime");
        assert!(expansion.contains(":: other :: runtime") && !expansion.contains(":: dln"), "{expansion}");
    }

    #[test]
    fn a_broken_file_is_shown_and_tracked() {
        let expansion = included("broken", LINE.replace("mse(a", "mse(c"), "\"a.dln\"");
        assert!(expansion.contains("include_bytes"), "mending the file has to compile it anew: {expansion}");
        assert!(expansion.contains("compile_error") && expansion.contains("a.dln:1:86"), "{expansion}");
    }

    #[test]
    fn an_unreadable_file_is_a_numbered_error() {
        for (text, arguments, code) in [
            (&b"\xff"[..], "\"a.dln\"", "E0005"),
            (b"", "\"b.dln\"", "E0006"),
            (b"", "\"\"", "E0006"),
            (b"", "\"a.dln\"", "E0008"),
        ] {
            let expansion = included("unreadable", text, arguments);
            assert!(expansion.contains("compile_error") && expansion.contains(code), "{expansion}");
        }
    }

    #[test]
    fn wrong_arguments_are_told() {
        for arguments in
            ["", "a", "3", "\"a.dln\" b", "\"a.dln\", b", "\"a.dln\", runtime", "\"a.dln\", a = ::b", "b\"a\""]
        {
            let expansion = included("arguments", LINE, arguments);
            assert!(
                expansion.contains("compile_error") && expansion.contains("expected the path of a dln"),
                "{expansion}"
            );
        }
        for arguments in ["\"a.dln\", runtime =", "\"a.dln\", runtime = ::", "\"a.dln\", runtime = ::a, b"] {
            let expansion = included("path", LINE, arguments);
            assert!(expansion.contains("expected the path of the runtime"), "{expansion}");
        }
    }

    #[test]
    fn the_runtime_is_taken_off_the_front() {
        let take = |source: &str| {
            let mut trees = tokens(source).into_iter().collect();
            let runtime = take_runtime(&mut trees).map_err(|error| error.to_string());
            (runtime, trees.into_iter().collect::<TokenStream>().to_string())
        };
        let rest = tokens("const A = 1;").to_string();
        let path = Some("::a::b".to_owned());
        assert_eq!(take("#![runtime = ::a::b] const A = 1;"), (Ok(path.clone()), rest.clone()));
        assert_eq!(take("const A = 1;"), (Ok(None), rest.clone()));
        let documented = take("//! One.\n//! Two.\n#![runtime = ::a::b] const A = 1;");
        assert_eq!(documented.0, Ok(path));
        assert!(documented.1.contains("One") && documented.1.ends_with(&rest), "{}", documented.1);
        for other in ["#![runtime]", "#![other = ::a]", "# !", "#", "", "const A = 1; #![runtime = ::a]"] {
            assert_eq!(take(other), (Ok(None), tokens(other).to_string()));
        }
        for wrong in ["a b", "a::<b>", "", "1", "a::", "fn", "a::fn"] {
            assert!(take(&format!("#![runtime = {wrong}]")).0.is_err(), "{wrong}");
        }
    }
}
