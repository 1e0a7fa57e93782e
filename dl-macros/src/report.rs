//! Diagnostics enter, `compile_error!` invocations leave.
//!
//! Stable Rust lets a macro name no span but those of its tokens. An error that starts with the span of the first
//! token it speaks of and ends with the span of the last one is underlined from the one to the other. The related
//! places, notes and help lines follow the headline as text.

use crate::place::{Placed, Position};
use dl_compiler::Failure;
use dl_grammar::{FileId, Sources, Span as TextSpan};
use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// The file id of the text that was compiled; what the compiler adds after it is its library.
const PROGRAM: FileId = FileId(0);

/// A `compile_error!` for each diagnostic of a text made of tokens. `elsewhere` is the place of a mistake outside
/// the text.
pub(crate) fn errors(
    failure: &Failure,
    placed: &Placed,
    position: impl Fn(Span) -> Option<Position>,
    elsewhere: Span,
) -> TokenStream {
    let Failure { sources, imports, diagnostics, .. } = failure;
    let origin = |span: TextSpan| {
        if span.file == PROGRAM { placed.origin(span.start as usize, span.end as usize) } else { None }
    };
    let place = |span: TextSpan| {
        let (line, column) = sources.line_column(span);
        if span.file != PROGRAM {
            return format!("{}:{line}:{column}", sources.get(span.file).name);
        }
        // Where tokens could not stand at their own place, the text's lines are not those of the Rust file.
        let own = origin(span).and_then(|(first, _)| position(first));
        format!("line {}", own.map_or(line, |(line, _)| line))
    };
    diagnostics
        .iter()
        .map(|diagnostic| {
            // A mistake in an imported file is told at the import that leads to it.
            let spans = origin(diagnostic.span).or_else(|| origin(*imports.places.get(&diagnostic.span.file)?));
            let mut lines = vec![format!("{} [{}]", diagnostic.message, diagnostic.code.number())];
            if diagnostic.span.file != PROGRAM {
                lines.push(format!("at {}", described(sources, diagnostic.span, place)));
            }
            // Right under the place a short label reads well; here it would repeat the headline.
            if !diagnostic.message.contains(&diagnostic.label) {
                lines.push(diagnostic.label.clone());
            }
            for (span, text) in &diagnostic.related {
                lines.push(format!("{}: {text}", described(sources, *span, place)));
            }
            lines.extend(diagnostic.notes.iter().map(|note| format!("note: {note}")));
            lines.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
            error(&lines.join("\n"), spans.unwrap_or((elsewhere, elsewhere)))
        })
        .collect()
}

/// `place: "text"`, with the text only where it is short.
fn described(sources: &Sources, span: TextSpan, place: impl Fn(TextSpan) -> String) -> String {
    let text = sources.text(span);
    if text.is_empty() || text.contains('\n') || text.chars().count() > 40 {
        place(span)
    } else {
        format!("{}: `{text}`", place(span))
    }
}

/// `::core::compile_error! { "message" }`, underlined from the first span to the last.
pub(crate) fn error(message: &str, (first, last): (Span, Span)) -> TokenStream {
    let punct = |character, spacing| {
        let mut punct = Punct::new(character, spacing);
        punct.set_span(first);
        TokenTree::from(punct)
    };
    let ident = |name| TokenTree::from(Ident::new(name, first));
    let mut text = Literal::string(message);
    text.set_span(last);
    let mut group = Group::new(Delimiter::Brace, TokenTree::from(text).into());
    group.set_span(last);
    TokenStream::from_iter([
        punct(':', Spacing::Joint),
        punct(':', Spacing::Alone),
        ident("core"),
        punct(':', Spacing::Joint),
        punct(':', Spacing::Alone),
        ident("compile_error"),
        punct('!', Spacing::Alone),
        group.into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::place;
    use dl_grammar::{Code, Diagnostic, Source};

    fn here(span: Span) -> Option<Position> {
        Some((span.start().line, span.start().column + 1))
    }

    /// The errors about `diagnostics` in `source`: the message, and the lines and columns underlined.
    fn shown(source: &str, diagnostics: &[Diagnostic]) -> Vec<(String, Position, Position)> {
        let placed = place(source.parse().expect("Rust's tokens"), here);
        let mut sources = Sources::default();
        sources.add(Source::new("src/main.rs", &placed.text));
        sources.add(Source::new("std/dense.dln", "layer dense() {\n    param weight: [inputs, units];\n}"));
        let diagnostics = diagnostics.to_vec();
        let failure = Failure { sources, imports: Default::default(), diagnostics, tokens: Default::default() };
        let tokens = errors(&failure, &placed, here, Span::call_site());
        let invocations: Vec<TokenTree> = tokens.into_iter().collect();
        let show = |tokens: &[TokenTree]| {
            let [first, .., TokenTree::Group(last)] = tokens else { panic!("not an invocation: {tokens:?}") };
            let path: String = tokens.iter().take(7).map(TokenTree::to_string).collect();
            assert_eq!(path, "::core::compile_error!");
            let message = syn::parse2::<syn::LitStr>(last.stream()).expect("a message").value();
            let end = last.span().end();
            (message, here(first.span()).unwrap_or_default(), (end.line, end.column + 1))
        };
        invocations.chunks(8).map(show).collect()
    }

    fn span(file: u16, source: &str, needle: &str) -> TextSpan {
        let start = source.find(needle).expect("it is there");
        TextSpan { file: FileId(file), start: start as u32, end: (start + needle.len()) as u32 }
    }

    #[test]
    fn the_whole_range_is_underlined_and_all_is_said() {
        let source = "a = b\n    |> dense(10);\nc = d;";
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, span(0, source, "dense(10)"), "headline")
            .label("label")
            .related(span(0, source, "b\n    |> dense"), "long")
            .related(span(0, source, "d;"), "short")
            .related(TextSpan { file: FileId(1), start: 20, end: 32 }, "declared here")
            .note("why")
            .help("type this");
        let message = "headline [E0301]\nlabel\nline 1: long\nline 3: `d;`: short\n\
                       std/dense.dln:2:5: `param weight`: declared here\nnote: why\nhelp: type this";
        assert_eq!(shown(source, &[diagnostic]), [(message.to_owned(), (2, 8), (2, 17))]);
    }

    #[test]
    fn each_mistake_is_an_error_of_its_own() {
        let source = "a b\nc";
        let at = |needle| Diagnostic::new(Code::Syntax, span(0, source, needle), needle);
        let expected = [("a [E0001]", (1, 1), (1, 2)), ("c [E0001]", (2, 1), (2, 2))];
        assert_eq!(shown(source, &[at("a"), at("c")]), expected.map(|(text, a, b)| (text.to_owned(), a, b)));
    }

    #[test]
    fn a_mistake_elsewhere_is_told_by_its_place() {
        let inside = TextSpan { file: FileId(1), start: 0, end: 5 };
        let (message, ..) = &shown("a", &[Diagnostic::new(Code::UnknownName, inside, "no such name")])[0];
        assert_eq!(message, "no such name [E0101]\nat std/dense.dln:1:1: `layer`");
    }
}
