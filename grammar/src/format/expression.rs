//! Expressions, `if`, `repeat` and `scan`: pieces of the parse go in, documents come out.
//!
//! `a + b * c` breaks before `+` first: a row of operators breaks before those that bind most loosely, where its author
//! broke it or before all; then, where that is not enough, before the next. An `if` whose branches hold statements has them on lines of their own.

use super::doc::{Doc, Link};
use super::{Formatter, Pair, Rule};

/// How tightly an operator binds, for the order of line breaks.
fn binding(operator: &str) -> u8 {
    match operator {
        "or" => 0,
        "and" => 1,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 2,
        "+" | "-" => 3,
        "^" => 5,
        _ => 4,
    }
}

impl Formatter<'_> {
    /// An `expr` or `header`.
    pub(super) fn expr(&mut self, pair: Pair<'_>) -> Doc {
        let mut first = Doc::default();
        let mut links: Vec<Link> = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::pipe => {
                    let link = self.link(&piece);
                    links.push(link);
                }
                Rule::stage => {
                    let stage = self.stage(piece);
                    if let Some(link) = links.pop() {
                        links.push(link.followed_by(stage));
                    }
                }
                _ => first = self.operation(piece),
            }
        }
        if links.is_empty() { first } else { Doc::chain(first, links) }
    }

    /// The operator that a part of a chain begins with, and whether a line ends before it.
    fn link(&mut self, pair: &Pair<'_>) -> Link {
        let start = pair.as_span().start();
        let gap = self.text.get(self.at..start).unwrap_or("");
        // A comment that ends its line before the operator has been written with the part before.
        let before_gap = self.text.get(..self.at).unwrap_or("");
        let breaks = gap.contains('\n') || before_gap.ends_with('\n');
        let before = self.before(start);
        Link { breaks, before, part: self.token(pair) }
    }

    /// Operands and operators in a row.
    pub(super) fn operation(&mut self, pair: Pair<'_>) -> Doc {
        let mut operands: Vec<Doc> = Vec::new();
        let mut operators: Vec<(u8, Link)> = Vec::new();
        let mut prefixes = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::infix => operators.push((binding(piece.as_str()), self.link(&piece))),
                Rule::prefix => {
                    prefixes.push(self.token(&piece));
                    if piece.as_str() == "not" {
                        prefixes.push(Doc::text(" "));
                    }
                }
                _ => {
                    let primary = self.primary(piece);
                    prefixes.push(primary);
                    operands.push(Doc::concat(std::mem::take(&mut prefixes)));
                }
            }
        }
        row(operands, operators)
    }

    fn primary(&mut self, pair: Pair<'_>) -> Doc {
        match pair.as_rule() {
            Rule::conditional => self.conditional(pair, false),
            Rule::repeat => self.repeat(pair),
            Rule::scan => self.scan(pair, false),
            Rule::call => self.call(pair),
            Rule::list => self.list(pair),
            Rule::paren => self.paren(pair),
            _ => self.token(&pair),
        }
    }

    /// `(a + b)`
    fn paren(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            parts.push(match piece.as_rule() {
                Rule::expr => Doc::concat([Doc::line(""), self.expr(piece)]).indent(),
                Rule::close_paren => Doc::concat([Doc::line(""), self.token(&piece)]),
                _ => self.token(&piece),
            });
        }
        Doc::concat(parts).group()
    }

    /// A callee and its arguments, if there are any.
    pub(super) fn call(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            parts.push(match piece.as_rule() {
                Rule::arguments => self.list(piece),
                _ => self.token(&piece),
            });
        }
        Doc::concat(parts)
    }

    fn stage(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            parts.push(match piece.as_rule() {
                Rule::colon => Doc::concat([self.token(&piece), Doc::text(" ")]),
                Rule::arguments => self.list(piece),
                Rule::repeat => self.repeat(piece),
                _ => self.token(&piece),
            });
        }
        Doc::concat(parts)
    }

    /// An expression that is the result of a body: what has braces has them on lines of their own.
    pub(super) fn result(&mut self, pair: Pair<'_>) -> Doc {
        if let Some(primary) = only(&pair).and_then(|operation| only(&operation)) {
            match primary.as_rule() {
                Rule::conditional => return self.conditional(primary, true),
                Rule::scan => return self.scan(primary, true),
                _ => {}
            }
        }
        self.expr(pair)
    }

    /// `if a { … } else if b { … } else { … }`
    fn conditional(&mut self, pair: Pair<'_>, is_result: bool) -> Doc {
        let mut parts = Vec::new();
        let mut is_broken = is_result;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::kw_if => parts.push(Doc::concat([self.token(&piece), Doc::text(" ")])),
                Rule::kw_else => {
                    parts.push(Doc::text(" "));
                    parts.push(self.token(&piece));
                    parts.push(Doc::text(" "));
                }
                Rule::block => {
                    let (block, holds_members) = self.branch(piece);
                    is_broken |= holds_members;
                    parts.push(block);
                }
                _ => {
                    parts.push(self.expr(piece));
                    parts.push(Doc::text(" "));
                }
            }
        }
        let whole = Doc::concat(parts);
        if is_broken { whole.broken_group() } else { whole.group() }
    }

    /// `repeat i in 0..n { f |> g }`
    fn repeat(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        let mut bounds = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::rest => parts.push(self.token(&piece)),
                Rule::stages => parts.push(Doc::concat([Doc::text(" "), self.stages(piece)])),
                Rule::plain_operation => {
                    if bounds == 0 {
                        parts.push(Doc::text(" "));
                    }
                    bounds += 1;
                    parts.push(self.operation(piece));
                }
                Rule::kw_repeat => parts.push(self.token(&piece)),
                _ => parts.push(Doc::concat([Doc::text(" "), self.token(&piece)])),
            }
        }
        Doc::concat(parts)
    }

    fn stages(&mut self, pair: Pair<'_>) -> Doc {
        let mut open = Doc::default();
        let mut first = None;
        let mut links: Vec<Link> = Vec::new();
        let mut close = Doc::default();
        let mut comments = Doc::default();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::open_brace => open = self.token(&piece),
                Rule::close_brace => {
                    comments = self.before(piece.as_span().start());
                    close = self.token(&piece);
                }
                Rule::pipe => {
                    let link = self.link(&piece);
                    links.push(link);
                }
                _ => {
                    let stage = self.stage(piece);
                    match links.pop() {
                        Some(link) => links.push(link.followed_by(stage)),
                        None => first = Some(stage),
                    }
                }
            }
        }
        let body = match first {
            Some(first) if !links.is_empty() => Doc::chain(first, links),
            first => first.unwrap_or_default(),
        };
        let end = if comments.is_hard() { Doc::line(" ") } else { Doc::default() };
        let inner = Doc::concat([Doc::line(" "), body, end, comments]).indent();
        Doc::concat([open, inner, Doc::line(" "), close]).group()
    }

    /// `scan x_t in x with h = 0 { … yield h }`
    fn scan(&mut self, pair: Pair<'_>, is_result: bool) -> Doc {
        let mut head = Vec::new();
        let mut clauses = Vec::new();
        let mut body = Doc::default();
        let mut is_broken = is_result;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::kw_scan => head.push(self.token(&piece)),
                Rule::kw_with | Rule::kw_until => {
                    clauses.push(Doc::line(" "));
                    clauses.push(self.token(&piece));
                }
                Rule::comma if clauses.is_empty() => head.push(self.token(&piece)),
                Rule::comma => clauses.push(self.token(&piece)),
                Rule::sequences => {
                    for piece in piece.into_inner() {
                        head.push(match piece.as_rule() {
                            Rule::comma => self.token(&piece),
                            _ => Doc::concat([Doc::text(" "), self.expr(piece).group()]),
                        });
                    }
                }
                Rule::carry => {
                    let carry = self.carry(piece);
                    clauses.push(Doc::concat([Doc::text(" "), carry]));
                }
                Rule::header => {
                    let until = self.expr(piece);
                    clauses.push(Doc::concat([Doc::text(" "), until]));
                }
                Rule::block => {
                    let (block, holds_members) = self.branch(piece);
                    is_broken |= holds_members;
                    body = block;
                }
                _ => head.push(Doc::concat([Doc::text(" "), self.token(&piece)])),
            }
        }
        let edge = if clauses.is_empty() { Doc::text(" ") } else { Doc::line(" ") };
        let head = Doc::concat([Doc::concat(head), Doc::concat(clauses).indent(), edge]).group();
        let body = if is_broken { body.broken_group() } else { body.group() };
        Doc::concat([head, body])
    }

    /// `h: [units] = 0`
    fn carry(&mut self, pair: Pair<'_>) -> Doc {
        let mut parts = Vec::new();
        for piece in pair.into_inner() {
            parts.push(match piece.as_rule() {
                Rule::colon => Doc::concat([self.token(&piece), Doc::text(" ")]),
                Rule::equals => Doc::concat([Doc::text(" "), self.token(&piece), Doc::text(" ")]),
                Rule::list => self.list(piece),
                Rule::header => self.expr(piece),
                _ => self.token(&piece),
            });
        }
        Doc::concat(parts)
    }
}

/// The only piece within a piece.
fn only<'p>(pair: &Pair<'p>) -> Option<Pair<'p>> {
    let mut pieces = pair.clone().into_inner();
    pieces.next().filter(|_| pieces.next().is_none())
}

/// A row as a chain that breaks before its loosest operators; what stands between them is a row again, of operators that
/// bind more tightly.
fn row(mut operands: Vec<Doc>, mut operators: Vec<(u8, Link)>) -> Doc {
    let Some(loosest) = operators.iter().map(|(binding, _)| *binding).min() else {
        return operands.pop().unwrap_or_default();
    };
    let mut rest = Vec::new();
    // From the right, so that what is taken off is at the end.
    while let Some(place) = operators.iter().rposition(|(binding, _)| *binding == loosest) {
        let right = row(operands.split_off(place + 1), operators.split_off(place + 1));
        rest.extend(operators.pop().map(|(_, operator)| operator.followed_by(right)));
    }
    let first = row(operands, operators);
    rest.reverse();
    Doc::chain(first, rest)
}
