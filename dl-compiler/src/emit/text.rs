//! Generated code as text: formatted, with blank lines between items and the source lines as comments.
//!
//! Comments do not survive in tokens, so emit writes each as a statement that calls the macro [`MARKER`] with the
//! line; here they become `//` lines.

use proc_macro2::TokenStream;
use quote::quote;

/// The macro that stands for a comment; it is never called.
const MARKER: &str = "__source_line";

/// A comment as a statement.
pub(super) fn comment(line: &str) -> TokenStream {
    let marker = proc_macro2::Ident::new(MARKER, proc_macro2::Span::call_site());
    quote!(#marker!(#line);)
}

/// The code as formatted text.
pub fn text(tokens: &TokenStream) -> String {
    let code = match syn::parse2::<syn::File>(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        // What emit writes always parses; if it did not, the plain tokens would show where.
        Err(_) => tokens.to_string(),
    };
    let mut text = String::with_capacity(code.len() + code.len() / 16);
    let mut before = "";
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let comment = comment_of(line.trim_start(), &mut lines);
        if blank_between(before, line, comment.is_some()) {
            text.push('\n');
        }
        match comment {
            Some(comment) => text.extend([indent, "// ", &comment]),
            None => text.push_str(line),
        }
        text.push('\n');
        before = line;
    }
    text
}

/// The text of a marker statement that begins with `line`; a long one goes on in the lines that follow.
fn comment_of<'a>(line: &str, rest: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let begun = line.strip_prefix(MARKER)?.strip_prefix("!(")?;
    let literal = match begun.strip_suffix(");") {
        Some(literal) => literal,
        None => {
            let literal = rest.next()?.trim();
            rest.next()?;
            literal
        }
    };
    syn::parse_str::<syn::LitStr>(literal).ok().map(|literal| literal.value())
}

/// Whether a blank line belongs between two lines: before a comment or an item, unless it is the first of its block.
fn blank_between(before: &str, line: &str, comment: bool) -> bool {
    let (before, line) = (before.trim_start(), line.trim_start());
    let lead = |line: &str| line.starts_with("///") || line.starts_with("#[");
    if before.is_empty() || before.ends_with('{') || before.ends_with('(') || lead(before) || before.starts_with("//!")
    {
        return false;
    }
    let items = ["pub fn ", "fn ", "pub struct ", "struct ", "impl", "pub mod ", "mod ", "const "];
    let after_block = (before == "}" || before.starts_with("use ")) && items.iter().any(|item| line.starts_with(item));
    // Fields stand together, since their documentation follows a comma, and so do the constants of a layout.
    let apart = before.ends_with('}') || before.ends_with(';') && !before.starts_with("pub(super) const");
    comment || after_block || lead(line) && apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_become_comments() {
        let first = comment("y = \"a\" // b   x.dln:3");
        let tokens = quote! {
            fn f() { #first g(); #first h(); }
            #[doc = " Doc."]
            fn g() {}
        };
        let expected = "fn f() {\n    // y = \"a\" // b   x.dln:3\n    g();\n\n    // y = \"a\" // b   x.dln:3\n    h();\n}\n\n/// Doc.\nfn g() {}\n";
        assert_eq!(text(&tokens), expected);
    }

    #[test]
    fn a_long_line_stays_one_comment() {
        let line = "y = x |> conv2d(16, kernel: 3) |> relu".repeat(5);
        let comment = comment(&line);
        let expected = format!("fn f() {{\n    // {line}\n    g();\n}}\n");
        assert_eq!(text(&quote!(fn f() { #comment g(); })), expected);
    }
}
