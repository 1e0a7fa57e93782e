//! Tokens enter, text with a map from its bytes to spans leaves.
//!
//! Each token is written at its own line and column, so that the text has the lines of the Rust file around it and
//! a place in the text is a place in that file:
//!
//! ```text
//! tokens   hidden @7:5   = @7:12   image @7:14   | @8:9   > @8:10   dense @8:12   ( @8:17 …
//! text     line 7 "    hidden = image", line 8 "        |> dense("
//! ```
//!
//! Comments become blanks. A token that `macro_rules!` moved ahead of where the text has arrived cannot stand at
//! its own place; it follows after a single blank, or none within an operator such as `|>`. Invisible groups, which
//! `macro_rules!` puts around captured expressions, become parentheses. The text is not parsed here.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// A line and a column, both counted from 1, columns in characters.
pub(crate) type Position = (usize, usize);

/// Text made of tokens, and where each came from.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// The text.
    pub(crate) text: String,
    /// Bytes and their origin, in order of the bytes.
    origins: Vec<Origin>,
}

#[derive(Debug)]
struct Origin {
    start: usize,
    end: usize,
    span: Span,
}

impl Placed {
    /// The spans of the first and the last token that bytes `start..end` touch. An empty or blank range means the
    /// token after it, or the last one of all; `None` if there are no tokens.
    pub(crate) fn origin(&self, start: usize, end: usize) -> Option<(Span, Span)> {
        let last_index = self.origins.len().checked_sub(1)?;
        let first = self.origins.partition_point(|o| o.end <= start).min(last_index);
        let beyond = self.origins.partition_point(|o| o.start < end);
        let last = beyond.saturating_sub(1).max(first);
        Some((self.origins.get(first)?.span, self.origins.get(last)?.span))
    }
}

/// Writes tokens as text. `position` tells where a span starts, or `None` if that is another file or unknown.
///
/// Takes no stack for nested groups, so that any nesting that reaches it leaves it as text.
pub(crate) fn place(tokens: TokenStream, position: impl Fn(Span) -> Option<Position>) -> Placed {
    let mut writer = Writer { position, placed: Placed::default(), cursor: (1, 1), previous: Previous::default() };
    let mut open = vec![(into_vec(tokens).into_iter(), None::<Piece>)];
    while let Some((trees, closing)) = open.last_mut() {
        if let Some(doc) = doc_comment(trees.as_slice()) {
            // The tokens of a documentation comment all have the comment's own span.
            trees.by_ref().take(doc.tokens).for_each(drop);
            writer.write_doc(&doc);
            continue;
        }
        match trees.next() {
            Some(TokenTree::Group(group)) => {
                let inner = into_vec(group.stream());
                let (left, right) = delimiters(group.delimiter(), inner.len());
                // What `macro_rules!` captured has no delimiters in the source whose place could be kept.
                let movable = group.delimiter() == Delimiter::None;
                writer.write(&Piece { text: left.to_owned(), span: group.span_open(), movable, joint: false });
                let closing = Piece { text: right.to_owned(), span: group.span_close(), movable, joint: false };
                open.push((inner.into_iter(), Some(closing)));
            }
            Some(TokenTree::Punct(punct)) => writer.write(&Piece {
                text: punct.as_char().to_string(),
                span: punct.span(),
                movable: false,
                joint: punct.spacing() == Spacing::Joint,
            }),
            Some(tree) => {
                writer.write(&Piece { text: tree.to_string(), span: tree.span(), movable: false, joint: false });
            }
            None => {
                if let Some(closing) = closing.take() {
                    writer.write(&closing);
                }
                open.pop();
            }
        }
    }
    writer.placed
}

/// A token to be written.
struct Piece {
    text: String,
    span: Span,
    /// Whether it has no place of its own in the source.
    movable: bool,
    /// Whether it belongs to one operator with the punctuation after it.
    joint: bool,
}

/// A documentation comment found at the head of some tokens.
struct Doc {
    /// `///` or `//!`.
    marker: &'static str,
    /// What stands after the marker; may have several lines.
    value: String,
    /// How many token trees it takes.
    tokens: usize,
    /// Where it starts.
    first: Span,
    /// The text's place.
    span: Span,
}

/// What was written last.
#[derive(Default)]
struct Previous {
    /// Whether it stands at its own place, so that the distance to the next token is that of the source.
    exact: bool,
    joint: bool,
    /// Where it ends in the source.
    end: Option<Position>,
    last: Option<char>,
}

struct Writer<F> {
    position: F,
    placed: Placed,
    /// Where the text has arrived.
    cursor: Position,
    previous: Previous,
}

impl<F: Fn(Span) -> Option<Position>> Writer<F> {
    fn write(&mut self, piece: &Piece) {
        let Some(first) = piece.text.chars().next() else {
            return;
        };
        let source = if piece.movable { None } else { (self.position)(piece.span) };
        let adjacent = source.is_some() && source == self.previous.end;
        let would_merge = self.previous.last.is_some_and(is_word) && is_word(first);
        let one_operator = self.previous.joint && first.is_ascii_punctuation();
        let separator = usize::from(self.previous.last.is_some() && (!adjacent || would_merge));
        let exact = match source {
            // Whatever place its parts have, an operator is one token.
            _ if one_operator => source == Some(self.cursor),
            Some((line, column)) if line > self.cursor.0 => {
                self.advance(line - self.cursor.0, column.saturating_sub(1));
                true
            }
            Some((line, column)) if line == self.cursor.0 && column >= self.cursor.1 => {
                let least = if self.previous.exact { usize::from(would_merge) } else { separator };
                self.advance(0, least.max(column - self.cursor.1));
                true
            }
            _ => {
                self.advance(0, separator);
                false
            }
        };
        self.push(&piece.text, piece.span);
        self.previous = Previous {
            exact,
            joint: piece.joint,
            end: source.map(|from| after(from, &piece.text)),
            last: piece.text.chars().next_back(),
        };
    }

    fn write_doc(&mut self, doc: &Doc) {
        match (self.position)(doc.first) {
            Some((line, column)) if line > self.cursor.0 => {
                self.advance(line - self.cursor.0, column.saturating_sub(1));
            }
            Some((line, column)) if line == self.cursor.0 && column >= self.cursor.1 => {
                self.advance(0, column - self.cursor.1);
            }
            _ if self.previous.last.is_some() => self.advance(1, 0),
            _ => {}
        }
        // An empty text has no lines, but is a documentation line all the same.
        let lines = if doc.value.is_empty() { "\n" } else { &doc.value };
        let text: String = lines
            .lines()
            .map(|line| {
                // `////` is an ordinary comment, and a carriage return would end the line for some readers.
                let blank = if line.starts_with('/') { " " } else { "" };
                format!("{}{blank}{}\n", doc.marker, line.replace('\r', " "))
            })
            .collect();
        self.push(&text, doc.span);
        self.previous = Previous { exact: true, ..Previous::default() };
    }

    fn advance(&mut self, lines: usize, blanks: usize) {
        self.placed.text.extend(std::iter::repeat_n('\n', lines));
        self.placed.text.extend(std::iter::repeat_n(' ', blanks));
        self.cursor =
            if lines > 0 { (self.cursor.0 + lines, 1 + blanks) } else { (self.cursor.0, self.cursor.1 + blanks) };
    }

    fn push(&mut self, text: &str, span: Span) {
        let start = self.placed.text.len();
        self.placed.text.push_str(text);
        self.placed.origins.push(Origin { start, end: self.placed.text.len(), span });
        self.cursor = after(self.cursor, text);
    }
}

/// The position behind `text` that starts at `from`.
fn after(from: Position, text: &str) -> Position {
    match text.rsplit_once('\n') {
        None => (from.0, from.1 + text.chars().count()),
        Some((before, last)) => (from.0 + 1 + before.matches('\n').count(), 1 + last.chars().count()),
    }
}

/// Whether a character would run together with its like: two names side by side must not become one.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '"' | '\'')
}

fn into_vec(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

/// The delimiters of a group of `inner` token trees. A single captured token needs none: `(relu)` would not be
/// a name any more.
fn delimiters(delimiter: Delimiter, inner: usize) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None if inner > 1 => ("(", ")"),
        Delimiter::None => ("", ""),
    }
}

/// `#[doc = "…"]` or `#![doc = "…"]` at the head of `trees`, which is what a documentation comment is as tokens.
fn doc_comment(trees: &[TokenTree]) -> Option<Doc> {
    let (TokenTree::Punct(hash), rest) = trees.split_first()? else {
        return None;
    };
    if hash.as_char() != '#' {
        return None;
    }
    let (marker, group, tokens) = match rest {
        [TokenTree::Group(group), ..] => ("///", group, 2),
        [TokenTree::Punct(bang), TokenTree::Group(group), ..] if bang.as_char() == '!' => ("//!", group, 3),
        _ => return None,
    };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let inner = into_vec(group.stream());
    let [TokenTree::Ident(name), TokenTree::Punct(equals), text @ TokenTree::Literal(literal)] = inner.as_slice()
    else {
        return None;
    };
    if name != "doc" || equals.as_char() != '=' {
        return None;
    }
    let value = syn::parse2::<syn::LitStr>(TokenStream::from(text.clone())).ok()?.value();
    Some(Doc { marker, value, tokens, first: hash.span(), span: literal.span() })
}

#[cfg(test)]
mod tests;
