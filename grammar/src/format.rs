//! The formatter: source text goes in, the same program in the one style comes out.
//!
//! ```text
//! y=x|>dense( 3 ) // why      becomes      y = x |> dense(3); // why
//!   ;
//! ```
//!
//! Four spaces indent; lines have at most [`WIDTH`] characters where that is possible; a pipe or sum that is too long breaks
//! where its author broke it if that is enough, else before every stage or operator; a list that is too long has one element a line and a comma after each;
//! at most one blank line stays between statements. Comments stay where they are, line breaks within statements do not,
//! except that `train { … }` and `budget { … }` stay broken if a comma follows their last entry.
//!
//! It works on the pieces of the parse, not on the tree, because the tree knows neither parentheses nor how a number is
//! written. Every token is written once, in order, with the comments around it, so none can be lost. Only separators
//! are added or dropped: the comma after the last element of a list and the `;` after braces and after `yield`.
//! Laying out is the business of `format/doc.rs`.

mod comment;
mod doc;
mod expression;
mod statement;

use pest::Parser;

use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::report::Reporter;
use crate::scan::scan;
use crate::source::FileId;
use crate::syntax::{Pair, Rule, Syntax};
use comment::Gap;
use doc::Doc;

/// The longest line that is made if there is a choice, in characters.
pub const WIDTH: usize = 120;

/// Formats a text. The result is the same program: it parses to the same tree, spans aside, and holds every comment.
/// Formatting it again changes nothing.
///
/// # Errors
/// A text that does not parse is not formatted; what is wrong with it is returned, in spans of `FileId(0)`.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, diagnostics) = parse(FileId::default(), text);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut formatted = once(text);
    for _ in 0..PASSES {
        let again = once(&formatted);
        if again == formatted {
            break;
        }
        formatted = again;
    }
    Ok(formatted)
}

/// A comment amid a statement keeps it from being one line and moves to the end of its line, after which the statement may
/// be one line. So often is formatted again at most; twice is the most that has been needed.
const PASSES: usize = 6;

/// Formats a text that parses.
fn once(text: &str) -> String {
    let prepared = scan(FileId::default(), text, &mut Reporter::default());
    let mut formatter = Formatter { text, at: 0 };
    let file = Syntax::parse(Rule::file, &prepared).ok().and_then(|mut pairs| pairs.next());
    file.map_or_else(|| text.to_owned(), |file| doc::print(&formatter.file(file), WIDTH))
}

/// Walks over the pieces of a parse, in order.
struct Formatter<'a> {
    /// The text as it was written, with its comments.
    text: &'a str,
    /// Where what has been formatted ends.
    at: usize,
}

impl Formatter<'_> {
    /// What stands between what has been formatted and the place, which counts as formatted from then on.
    fn gap(&mut self, until: usize) -> Gap {
        let gap = Gap::read(self.text.get(self.at..until).unwrap_or(""));
        self.at = self.at.max(until);
        gap
    }

    /// Comments that end the line on which the last token stands.
    fn trailing(&mut self) -> Doc {
        let (comments, length) = Gap::trailing(self.text.get(self.at..).unwrap_or(""));
        self.at += length;
        Doc::concat(comments.into_iter().map(Doc::suffix))
    }

    /// The comments before a token.
    fn before(&mut self, start: usize) -> Doc {
        Doc::concat(self.gap(start).comments.into_iter().map(Doc::comment))
    }

    /// A token and the comments around it.
    fn token(&mut self, pair: &Pair<'_>) -> Doc {
        let span = pair.as_span();
        let before = self.before(span.start());
        self.at = span.end();
        let text = Doc::text(self.text.get(span.start()..span.end()).unwrap_or(""));
        Doc::concat([before, text, self.trailing()])
    }

    /// The comments around a token that is left out.
    fn dropped(&mut self, pair: &Pair<'_>) -> Doc {
        let span = pair.as_span();
        let before = self.before(span.start());
        self.at = span.end();
        Doc::concat([before, self.trailing()])
    }

    /// Tokens with nothing between them.
    fn tokens(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        let mut pieces = pair.clone().into_inner().peekable();
        if pieces.peek().is_none() {
            return self.token(&pair);
        }
        for piece in pieces {
            parts.push(self.tokens(piece));
        }
        Doc::concat(parts)
    }

    /// `( … )` or `[ … ]` with elements that hold their commas.
    fn list(&mut self, pair: Pair<'_>) -> Doc {
        self.enclosed(pair.into_inner().collect(), &Doc::line(""), false)
    }

    /// Brackets with elements that hold their commas; `edge` stands within the brackets. If it `stays_broken`, a comma
    /// after the last element breaks it.
    fn enclosed(&mut self, mut pieces: Vec<Pair<'_>>, edge: &Doc, stays_broken: bool) -> Doc {
        let (Some(close), false) = (pieces.pop(), pieces.is_empty()) else { return Doc::default() };
        let open = self.token(&pieces.remove(0));
        let count = pieces.len();
        let mut inner = Vec::new();
        let mut has_comma = false;
        for (place, piece) in pieces.into_iter().enumerate() {
            let is_last = place + 1 == count;
            inner.push(if place == 0 { edge.clone() } else { Doc::line(" ") });
            let (element, comma) = self.element(piece, is_last);
            has_comma = comma;
            inner.push(element);
        }
        let comments = self.before(close.as_span().start());
        if comments.is_hard() {
            inner.push(Doc::line(""));
        }
        inner.push(comments);
        let end = if count > 0 { edge.clone() } else { Doc::line("") };
        let whole = Doc::concat([open, Doc::concat(inner).indent(), end, self.token(&close)]);
        if stays_broken && has_comma { whole.broken_group() } else { whole.group() }
    }

    /// An element of a list with the comma after it, and whether one was written. The last has a comma if the list is
    /// broken.
    fn element(&mut self, pair: Pair<'_>, is_last: bool) -> (Doc, bool) {
        let mut parts = Vec::new();
        let mut has_comma = false;
        for piece in pair.into_inner() {
            if piece.as_rule() == Rule::comma {
                has_comma = true;
                parts.push(if is_last { self.dropped(&piece) } else { self.token(&piece) });
            } else {
                let piece = self.piece_of_element(piece);
                parts.push(piece);
            }
        }
        if is_last {
            parts.push(Doc::if_broken(","));
        }
        (Doc::concat(parts), has_comma)
    }

    fn piece_of_element(&mut self, piece: Pair<'_>) -> Doc {
        match piece.as_rule() {
            Rule::colon => Doc::concat([self.token(&piece), Doc::text(" ")]),
            Rule::equals | Rule::limit_sign => Doc::concat([Doc::text(" "), self.token(&piece), Doc::text(" ")]),
            Rule::pattern => self.list(piece),
            Rule::expr => self.expr(piece),
            _ => self.tokens(piece),
        }
    }

    /// Lines of a body or file, each begun with a line break, with the comments and blank lines between them. A line break
    /// is left out at the start of a file.
    fn lines(&mut self, lines: Vec<Line<'_>>, end: usize, is_file: bool) -> Doc {
        let mut parts = Vec::new();
        let mut previous: Option<Spacing> = None;
        for line in lines {
            let Gap { comments, blank } = self.gap(line.piece.as_span().start());
            let mut needs_blank = previous.is_some_and(|previous| previous.needs_blank(line.spacing));
            let mut is_first = previous.is_none();
            parts.push(if is_first && is_file { Doc::default() } else { Doc::hard() });
            let is_doc = line.piece.as_str().starts_with("//");
            for mut comment in comments {
                comment.ends_line |= is_doc;
                if (comment.blank_before || needs_blank) && !is_first {
                    parts.push(Doc::blank());
                }
                (is_first, needs_blank) = (false, false);
                parts.push(Doc::comment(comment));
            }
            if (blank || needs_blank) && !is_first {
                parts.push(Doc::blank());
            }
            previous = Some(line.spacing);
            parts.push(match line.piece.as_rule() {
                Rule::inner_doc => self.doc(&line.piece),
                Rule::version => self.statement(line.piece),
                _ => self.item(line.piece),
            });
        }
        let Gap { comments, .. } = self.gap(end);
        for (place, comment) in comments.into_iter().enumerate() {
            if place == 0 && (previous.is_some() || !is_file) {
                parts.push(Doc::hard());
            }
            if comment.blank_before && (place > 0 || previous.is_some()) {
                parts.push(Doc::blank());
            }
            parts.push(Doc::comment(comment));
        }
        Doc::concat(parts)
    }
}

/// What stands on lines of its own.
struct Line<'p> {
    piece: Pair<'p>,
    spacing: Spacing,
}

/// Where a blank line stands, whether it was written or not.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spacing {
    /// `//!` lines: one after the last.
    Header,
    /// Declarations with braces: around each.
    Block,
    /// Nowhere.
    Plain,
}

impl Spacing {
    fn needs_blank(self, next: Spacing) -> bool {
        self == Spacing::Block || next == Spacing::Block || (self == Spacing::Header && next != Spacing::Header)
    }
}
