//! Files, declarations and statements: pieces of the parse go in, documents come out.

use super::doc::Doc;
use super::{Formatter, Line, Pair, Rule, Spacing};

impl Formatter<'_> {
    /// A whole file.
    pub(super) fn file(&mut self, pair: Pair<'_>) -> Doc {
        let end = self.text.len();
        let pieces = pair.into_inner().filter(|piece| piece.as_rule() != Rule::EOI);
        let lines = pieces.map(|piece| {
            let spacing = match piece.as_rule() {
                Rule::inner_doc => Spacing::Header,
                _ if has_braces(&piece) => Spacing::Block,
                _ => Spacing::Plain,
            };
            Line { piece, spacing }
        });
        self.lines(lines.collect(), end, true)
    }

    /// A line of documentation: what stands after the marker stays as it is.
    pub(super) fn doc(&mut self, pair: &Pair<'_>) -> Doc {
        let span = pair.as_span();
        let before = self.before(span.start());
        self.at = span.end();
        let before = if before.is_empty() { before } else { Doc::concat([before, Doc::hard()]) };
        Doc::concat([before, Doc::text(pair.as_str().trim_end_matches('\r'))])
    }

    /// A declaration or statement with its documentation.
    pub(super) fn item(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::doc => {
                    parts.push(self.doc(&piece));
                    parts.push(Doc::hard());
                }
                Rule::layer | Rule::network => parts.push(self.declaration(piece)),
                Rule::train | Rule::budget => parts.push(self.settings(piece)),
                Rule::bare => parts.push(self.bare(piece)),
                Rule::yields => parts.push(self.yields(piece)),
                _ => parts.push(self.statement(piece)),
            }
        }
        Doc::concat(parts)
    }

    /// A layer or network.
    fn declaration(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::parameters => parts.push(self.list(piece)),
                Rule::block => {
                    let (block, holds_members) = self.branch(piece);
                    parts.push(Doc::text(" "));
                    parts.push(if holds_members { block.broken_group() } else { block.group() });
                }
                Rule::instance => parts.push(self.statement(piece)),
                Rule::name | Rule::declared | Rule::declared_here | Rule::bound => parts.push(self.token(&piece)),
                _ => parts.push(Doc::concat([self.token(&piece), Doc::text(" ")])),
            }
        }
        Doc::concat(parts)
    }

    /// A statement that is one row of words, names, expressions and signs.
    pub(super) fn statement(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts: Vec<Doc> = Vec::new();
        self.row_of(pair, &mut parts);
        Doc::concat(parts)
    }

    fn row_of(&mut self, pair: Pair<'_>, parts: &mut Vec<Doc>) {
        let is_assertion = pair.as_rule() == Rule::assertion;
        let mut is_word = false;
        for piece in pair.into_inner() {
            let rule = piece.as_rule();
            // A word, `=` and `:` have a space after them.
            if is_word {
                parts.push(Doc::text(" "));
            }
            is_word = false;
            match rule {
                Rule::value | Rule::strict_value | Rule::strict_loss | Rule::strict_param | Rule::strict_version => {
                    self.row_of(piece, parts);
                }
                Rule::template | Rule::instance => self.row_of(piece, parts),
                Rule::end => parts.push(self.tokens(piece)),
                Rule::expr => parts.push(self.expr(piece)),
                Rule::text if is_assertion => parts.push(Doc::concat([Doc::line(" "), self.token(&piece)]).indent()),
                Rule::comma => {
                    parts.push(self.token(&piece));
                    is_word = !is_assertion;
                }
                Rule::pattern | Rule::list | Rule::parameters => parts.push(self.list(piece)),
                Rule::call | Rule::constraint => parts.push(self.call(piece)),
                Rule::field => parts.push(self.field(piece)),
                Rule::paths => parts.push(self.paths(piece)),
                Rule::equals => {
                    parts.push(Doc::text(" "));
                    parts.push(self.token(&piece));
                    is_word = true;
                }
                Rule::kw_updates | Rule::kw_where => {
                    parts.push(Doc::text(" "));
                    parts.push(self.token(&piece));
                    is_word = true;
                }
                Rule::name | Rule::declared | Rule::declared_here | Rule::bound => parts.push(self.token(&piece)),
                Rule::text | Rule::number => parts.push(self.token(&piece)),
                // Keywords and colons.
                _ => {
                    parts.push(self.token(&piece));
                    is_word = true;
                }
            }
        }
        if is_assertion {
            let whole = Doc::concat(std::mem::take(parts)).group();
            parts.push(whole);
        }
    }

    /// `f32`, `index(96)[64]`, `[3]`
    fn field(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            parts.push(match piece.as_rule() {
                Rule::list => self.list(piece),
                Rule::expr => self.expr(piece),
                _ => self.token(&piece),
            });
        }
        Doc::concat(parts)
    }

    /// `features.*, head.weight`
    fn paths(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            if piece.as_rule() == Rule::comma {
                parts.push(self.token(&piece));
                parts.push(Doc::line(" "));
            } else {
                parts.push(self.tokens(piece));
            }
        }
        Doc::concat(parts).indent().group()
    }

    /// `train { … }`, `budget { … }`
    fn settings(&mut self, pair: Pair<'_>) -> Doc {
        let mut pieces = pair.into_inner();
        let keyword = pieces.next().map(|piece| self.token(&piece)).unwrap_or_default();
        let mut enclosed = Vec::new();
        let mut semicolon = None;
        for piece in pieces {
            match piece.as_rule() {
                Rule::semicolon => semicolon = Some(piece),
                _ => enclosed.push(piece),
            }
        }
        let braces = self.enclosed(enclosed, &Doc::line(" "), true);
        let semicolon = semicolon.map(|piece| self.dropped(&piece)).unwrap_or_default();
        Doc::concat([keyword, Doc::text(" "), braces, semicolon])
    }

    /// The result of a body.
    fn bare(&mut self, pair: Pair<'_>) -> Doc {
        let expr = pair.into_inner().find(|piece| piece.as_rule() == Rule::expr);
        expr.map(|expr| self.result(expr)).unwrap_or_default()
    }

    /// `yield a, b`
    fn yields(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::strict_yield => {
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::expr => parts.push(Doc::concat([Doc::line(" "), self.expr(part)]).indent()),
                            Rule::comma => parts.push(self.token(&part)),
                            _ => {
                                let semicolon = part.into_inner().find(|sign| sign.as_rule() == Rule::semicolon);
                                parts.extend(semicolon.map(|sign| self.dropped(&sign)));
                            }
                        }
                    }
                }
                _ => parts.push(self.token(&piece)),
            }
        }
        Doc::concat(parts).group()
    }

    /// A body in braces, not yet a group, and whether it holds more than its result.
    pub(super) fn branch(&mut self, pair: Pair<'_>) -> (Doc, bool) {
        let mut open = Doc::default();
        let mut statements = Vec::new();
        let mut close = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::open_brace => open = self.token(&piece),
                Rule::close_brace => close = Some(piece),
                _ => statements.push(piece),
            }
        }
        let Some(close) = close else { return (open, false) };
        let end = close.as_span().start();
        let written = self.text.get(self.at..end).unwrap_or("");
        let has_comments = written.contains("//") || written.contains("/*");
        if let [only] = statements.as_slice()
            && let Some(result) = result_of(only)
            && !has_comments
        {
            let result = if result.as_rule() == Rule::yields { self.yields(result) } else { self.bare(result) };
            let inner = Doc::concat([Doc::line(" "), result]).indent();
            return (Doc::concat([open, inner, Doc::line(" "), self.token(&close)]), false);
        }
        let is_empty = statements.is_empty();
        let lines = statements.into_iter().map(|piece| Line { piece, spacing: Spacing::Plain });
        let inner = self.lines(lines.collect(), end, false);
        let is_bare = is_empty && !inner.is_hard() && !open.ends_line();
        let edge = if is_bare { Doc::default() } else { Doc::hard() };
        (Doc::concat([open, inner.indent(), edge, self.token(&close)]), !is_bare)
    }
}

/// Whether a declaration has a body.
fn has_braces(item: &Pair<'_>) -> bool {
    let mut declarations = item.clone().into_inner();
    declarations.any(|declaration| declaration.into_inner().any(|part| part.as_rule() == Rule::block))
}

/// The result or `yield` that a statement is.
fn result_of<'p>(statement: &Pair<'p>) -> Option<Pair<'p>> {
    let mut parts = statement.clone().into_inner();
    parts.find(|part| matches!(part.as_rule(), Rule::bare | Rule::yields))
}
