//! `repeat` and `scan`: pairs of the grammar go in, trees of bounded depth come out.
//!
//! That a scan has a name for each of its sequences is checked here, because the tree promises it. What a count is worth
//! and which statements a body may hold is judged later.

use crate::ast::{Carry, Expr, ExprKind, Member, Name, Repeat, Scan};
use crate::build::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Built, invalid};
use crate::source::Span;
use crate::syntax::{Pair, Rule};

impl Builder<'_> {
    /// `repeat i in 0..n { f |> g }`; the depth counts the construct itself.
    pub(crate) fn repeat(&mut self, pair: Pair<'_>) -> Built<Repeat> {
        let span = self.span(&pair);
        let mut index = None;
        let mut bounds: Vec<Expr> = Vec::new();
        let mut stages = Vec::new();
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => index = Some(self.name(&piece)),
                Rule::plain_operation => {
                    let built = self.operation(piece);
                    depth = depth.max(built.depth);
                    bounds.push(built.tree);
                }
                Rule::stages => {
                    for piece in piece.into_inner().filter(|piece| piece.as_rule() == Rule::stage) {
                        let built = self.stage(piece);
                        depth = depth.max(built.depth);
                        stages.push(built.tree);
                    }
                }
                _ => {}
            }
        }
        let to = bounds.pop().unwrap_or_else(|| invalid(span));
        Built { tree: Repeat { index, from: bounds.pop(), to, stages, span }, depth: depth + 1 }
    }

    /// A `repeat` that is not a stage.
    #[inline(never)]
    pub(crate) fn repeat_value(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let Built { tree, depth } = self.repeat(pair);
        let span = tree.span;
        self.limited(Expr { kind: ExprKind::Repeat(Box::new(tree)), span }, depth)
    }

    /// `scan x_t in x with h = 0 { … yield h }`
    pub(crate) fn scan(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let mut reversed = false;
        let mut steps: Vec<Name> = Vec::new();
        let mut sequences: Vec<Expr> = Vec::new();
        let mut carries: Vec<Carry> = Vec::new();
        let mut until = None;
        let mut members: Vec<Member> = Vec::new();
        let mut yields: Vec<Expr> = Vec::new();
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::kw_reversed => reversed = true,
                Rule::step => steps.push(self.name(&piece)),
                Rule::sequences => {
                    for piece in piece.into_inner().filter(|piece| piece.as_rule() == Rule::header) {
                        let built = self.expr(piece);
                        depth = depth.max(built.depth);
                        sequences.push(built.tree);
                    }
                }
                Rule::carry => {
                    let built = self.carry(piece);
                    depth = depth.max(built.depth);
                    carries.extend(built.tree);
                }
                Rule::header => {
                    let built = self.expr(piece);
                    depth = depth.max(built.depth);
                    until = Some(built.tree);
                }
                Rule::block => {
                    let built = self.scan_body(piece);
                    depth = depth.max(built.depth);
                    (members, yields) = built.tree;
                }
                _ => {}
            }
        }
        self.pair_up(&steps, &mut sequences);
        let scan = Scan { reversed, steps, sequences, carries, until, members, yields, span };
        self.limited(Expr { kind: ExprKind::Scan(Box::new(scan)), span }, depth + 1)
    }

    /// Makes the sequences as many as their names, and says so if they were not.
    #[inline(never)]
    fn pair_up(&mut self, steps: &[Name], sequences: &mut Vec<Expr>) {
        let (Some(first_step), Some(first)) = (steps.first(), sequences.first()) else { return };
        let named = steps.last().map_or(first_step.span, |last| first_step.span.to(last.span));
        let given = sequences.last().map_or(first.span, |last| first.span.to(last.span));
        let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        if steps.len() != sequences.len() {
            let (names, values) = (count(steps.len(), "name"), count(sequences.len(), "sequence"));
            self.report(
                Diagnostic::new(Code::Syntax, named, format!("`scan` has {names} for {values}"))
                    .label("each sequence has a name for its step")
                    .related(given, values),
            );
        }
        sequences.truncate(steps.len());
        sequences.resize(steps.len(), invalid(given));
    }

    /// `h: [units] = 0`
    #[inline(never)]
    fn carry(&mut self, pair: Pair<'_>) -> Built<Option<Carry>> {
        let span: Span = self.span(&pair);
        let mut name = None;
        let mut dims = None;
        let mut initial = Built::leaf(invalid(span));
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => name = Some(self.name(&piece)),
                Rule::list => {
                    let built = self.list(piece);
                    depth = built.depth;
                    dims = Some(built.tree);
                }
                Rule::header => initial = self.expr(piece),
                _ => {}
            }
        }
        let depth = depth.max(initial.depth);
        Built { tree: name.map(|name| Carry { name, dims, initial: initial.tree, span }), depth }
    }
}
