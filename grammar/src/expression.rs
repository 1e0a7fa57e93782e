//! Expressions: pairs of the grammar go in, trees of bounded depth come out.
//!
//! The grammar reads `-a + b * c` as a flat row; the precedence of the operators is decided here, with two stacks instead of
//! recursion, so that a row may be of any length. What would be deeper than [`MAX_DEPTH`] is reported and
//! becomes [`ExprKind::Invalid`]. Recursion follows brackets only, and those are counted before.

use crate::ast::{Apply, BinaryOp, Block, Call, CallArgument, Expr, ExprKind, If, Name, Stage, UnaryOp};
use crate::build::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::literal;
use crate::parse::MAX_DEPTH;
use crate::source::Span;
use crate::syntax::{Pair, Rule};

/// A tree and how deep it is.
pub(crate) struct Built<T> {
    pub(crate) tree: T,
    pub(crate) depth: usize,
}

impl<T> Built<T> {
    pub(crate) fn leaf(tree: T) -> Built<T> {
        Built { tree, depth: 1 }
    }
}

/// What stands for an expression that could not be read.
pub(crate) fn invalid(span: Span) -> Expr {
    Expr { kind: ExprKind::Invalid, span }
}

/// An operator that waits for its right operand.
#[derive(Clone, Copy)]
struct Waiting {
    operator: Operator,
    span: Span,
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Unary(UnaryOp),
    Binary(BinaryOp),
}

/// How tightly comparisons bind; nothing that binds as tightly may stand beside them without parentheses.
const COMPARISON: u8 = 4;

impl Operator {
    /// Higher binds more tightly.
    fn precedence(self) -> u8 {
        match self {
            Operator::Binary(BinaryOp::Or) => 1,
            Operator::Binary(BinaryOp::And) => 2,
            Operator::Unary(UnaryOp::Not) => 3,
            Operator::Binary(
                BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual,
            ) => COMPARISON,
            Operator::Binary(BinaryOp::Add | BinaryOp::Subtract) => 5,
            Operator::Binary(BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Remainder | BinaryOp::MatMul) => 6,
            Operator::Unary(UnaryOp::Negate) => 7,
            Operator::Binary(BinaryOp::Power) => 8,
        }
    }
}

/// The operator that is written so, or the one that was meant.
fn binary(written: &str) -> (BinaryOp, Option<&'static str>) {
    match written {
        "or" => (BinaryOp::Or, None),
        "||" => (BinaryOp::Or, Some("or")),
        "and" => (BinaryOp::And, None),
        "&&" => (BinaryOp::And, Some("and")),
        "==" => (BinaryOp::Equal, None),
        "!=" => (BinaryOp::NotEqual, None),
        "<" => (BinaryOp::Less, None),
        "<=" => (BinaryOp::LessEqual, None),
        ">" => (BinaryOp::Greater, None),
        ">=" => (BinaryOp::GreaterEqual, None),
        "+" => (BinaryOp::Add, None),
        "-" => (BinaryOp::Subtract, None),
        "*" => (BinaryOp::Multiply, None),
        "/" => (BinaryOp::Divide, None),
        "%" => (BinaryOp::Remainder, None),
        "@" => (BinaryOp::MatMul, None),
        "**" => (BinaryOp::Power, Some("^")),
        _ => (BinaryOp::Power, None),
    }
}

impl Builder<'_> {
    /// The tree of an `expr` or `header`.
    pub(crate) fn expr(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let mut first = Built::leaf(invalid(span));
        let mut stages = Vec::new();
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::operation | Rule::plain_operation => first = self.operation(piece),
                Rule::stage => {
                    let stage = self.stage(piece);
                    depth = depth.max(stage.depth);
                    stages.push(stage.tree);
                }
                Rule::after_pipe => {
                    self.after_pipe(first.tree.span, &stages, &piece);
                    return Built::leaf(invalid(span));
                }
                _ => {}
            }
        }
        if stages.is_empty() {
            return first;
        }
        let depth = depth.max(first.depth) + 1;
        self.limited(Expr { kind: ExprKind::Pipe(Box::new(first.tree), stages), span }, depth)
    }

    /// The expression, unless it is too deep.
    pub(crate) fn limited(&mut self, expr: Expr, depth: usize) -> Built<Expr> {
        if depth <= MAX_DEPTH {
            return Built { tree: expr, depth };
        }
        self.too_deep(expr.span);
        Built::leaf(invalid(expr.span))
    }

    fn too_deep(&mut self, span: Span) {
        let message = format!("the expression is more than {MAX_DEPTH} operations deep");
        self.report(
            Diagnostic::new(Code::NestingTooDeep, span, message)
                .label("too many operations depend on each other")
                .help("give parts of it names of their own: `name = …;`"),
        );
    }

    /// `x |> f + b`
    fn after_pipe(&mut self, first: Span, stages: &[Stage], rest: &Pair<'_>) {
        let Some(operator) = rest.clone().into_inner().next() else { return };
        let last = stages.last().map_or(first, |stage| stage.span);
        let shown = self.excerpt(first.to(last));
        let written = operator.as_str();
        let message = format!("expected `|>` or the end of the pipe, found `{written}`");
        let span = self.span(&operator);
        self.report(
            Diagnostic::new(Code::Syntax, span, message)
                .label("an operator cannot follow a stage")
                .related(last, "the pipe ends with this stage")
                .help(format!("put the pipe into parentheses: `({shown}) {written} …`")),
        );
    }

    pub(crate) fn stage(&mut self, pair: Pair<'_>) -> Built<Stage> {
        let span = self.span(&pair);
        let mut instance = None;
        let mut callee = Name { text: String::new(), span };
        let mut arguments = Vec::new();
        let mut repeat = None;
        let mut depth = 1;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => instance = Some(self.name(&piece)),
                Rule::callee => callee = self.name(&piece),
                Rule::arguments => {
                    let built = self.arguments(piece);
                    depth = built.depth;
                    arguments = built.tree;
                }
                Rule::repeat => {
                    let built = self.repeat(piece);
                    depth = built.depth;
                    repeat = Some(built.tree);
                }
                _ => {}
            }
        }
        let apply = match repeat {
            Some(repeat) => Apply::Repeat(repeat),
            None => Apply::Call(Call { callee, arguments }),
        };
        Built { tree: Stage { instance, apply, span }, depth }
    }

    /// The arguments of a call, and the depth of the deepest plus one for the call.
    fn arguments(&mut self, pair: Pair<'_>) -> Built<Vec<CallArgument>> {
        let mut arguments = Vec::new();
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::argument => {
                    let mut name = None;
                    let mut value = None;
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::name => name = Some(self.name(&part)),
                            Rule::equals => self.equals_for_colon(&part, name.as_ref()),
                            Rule::expr => value = Some(self.expr(part)),
                            Rule::rest => {
                                let span = self.span(&part);
                                value = Some(Built::leaf(Expr { kind: ExprKind::Rest, span }));
                            }
                            _ => {}
                        }
                    }
                    if let Some(value) = value {
                        depth = depth.max(value.depth);
                        arguments.push(CallArgument { name, value: value.tree });
                    }
                }
                Rule::broken_element => {
                    let span = self.span(&piece);
                    let more = commas(piece.as_str());
                    let name = self.broken_element(piece, Rule::argument);
                    arguments.push(CallArgument { name, value: invalid(span) });
                    arguments.extend((0..more).map(|_| CallArgument { name: None, value: invalid(span) }));
                }
                _ => {}
            }
        }
        Built { tree: arguments, depth: depth + 1 }
    }

    /// The elements of a `list`, and the depth of the deepest.
    pub(crate) fn list(&mut self, pair: Pair<'_>) -> Built<Vec<Expr>> {
        let mut elements = Vec::new();
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::element => {
                    for part in piece.into_inner() {
                        let built = match part.as_rule() {
                            Rule::expr => self.expr(part),
                            Rule::rest => Built::leaf(Expr { kind: ExprKind::Rest, span: self.span(&part) }),
                            _ => continue,
                        };
                        depth = depth.max(built.depth);
                        elements.push(built.tree);
                    }
                }
                Rule::broken_element => {
                    let span = self.span(&piece);
                    self.broken_element(piece, Rule::element);
                    elements.push(invalid(span));
                }
                _ => {}
            }
        }
        Built { tree: elements, depth }
    }

    /// A row of operands and operators (Dijkstra's shunting yard).
    pub(crate) fn operation(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let whole = self.span(&pair);
        let mut row = Row { operands: Vec::new(), waiting: Vec::new(), too_deep: false };
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::prefix => self.prefix(&piece, &mut row),
                Rule::infix => self.infix(&piece, &mut row),
                _ => {
                    let operand = self.primary(piece);
                    row.operands.push(operand);
                }
            }
        }
        self.finish_row(row, whole)
    }

    fn finish_row(&mut self, mut row: Row, whole: Span) -> Built<Expr> {
        while !row.waiting.is_empty() {
            row.reduce();
        }
        if row.too_deep {
            self.too_deep(whole);
            return Built::leaf(invalid(whole));
        }
        row.operands.pop().unwrap_or_else(|| Built::leaf(invalid(whole)))
    }

    /// Puts together what binds more tightly than the operator, which then waits.
    fn infix(&mut self, piece: &Pair<'_>, row: &mut Row) {
        let span = self.span(piece);
        let (operator, meant) = binary(piece.as_str());
        if let Some(meant) = meant {
            self.unknown_operator(piece, meant);
        }
        let operator = Operator::Binary(operator);
        let is_right = operator == Operator::Binary(BinaryOp::Power);
        while let Some(&last) = row.waiting.last()
            && (last.operator.precedence() > operator.precedence()
                || (last.operator.precedence() == operator.precedence() && !is_right))
        {
            row.reduce();
            if last.operator.precedence() == COMPARISON && operator.precedence() == COMPARISON {
                self.chained(row, last.span, span);
            }
        }
        row.waiting.push(Waiting { operator, span });
    }

    fn unknown_operator(&mut self, piece: &Pair<'_>, meant: &str) {
        let span = self.span(piece);
        self.report(
            Diagnostic::new(Code::Syntax, span, format!("unknown operator `{}`", piece.as_str()))
                .label("not an operator")
                .help(format!("write `{meant}`")),
        );
    }

    fn prefix(&mut self, piece: &Pair<'_>, row: &mut Row) {
        let span = self.span(piece);
        let operator = if piece.as_str() == "-" { UnaryOp::Negate } else { UnaryOp::Not };
        if piece.as_str() == "!" {
            self.unknown_operator(piece, "not");
        }
        let before = row.waiting.last().filter(|before| before.operator.precedence() >= COMPARISON);
        if operator == UnaryOp::Not
            && let Some(before) = before
        {
            let written = self.excerpt(before.span);
            self.report(
                Diagnostic::new(Code::Syntax, span, format!("expected an operand of `{written}`, found `not`"))
                    .label(format!("`not` binds more loosely than `{written}`"))
                    .related(before.span, "its operand is expected after this")
                    .help("put it into parentheses: `(not …)`"),
            );
        }
        row.waiting.push(Waiting { operator: Operator::Unary(operator), span });
    }

    /// `a < b < c`, of which `a < b` has just been put together.
    fn chained(&mut self, row: &mut Row, first: Span, second: Span) {
        let Some(left) = row.operands.last_mut() else { return };
        let is_first = match &left.tree.kind {
            ExprKind::Binary(_, _, operand, _) => operand.kind != ExprKind::Invalid,
            _ => false,
        };
        // Invalid on the left marks it as reported: `a < b < c < d` is one mistake.
        left.tree.kind = ExprKind::Invalid;
        left.depth = 1;
        if is_first {
            let help = format!("compare twice: `a {} b and b {} c`", self.excerpt(first), self.excerpt(second));
            self.report(
                Diagnostic::new(Code::Syntax, second, "comparisons cannot be chained")
                    .label("a second comparison")
                    .related(first, "the first one")
                    .help(help),
            );
        }
    }

    fn primary(&mut self, pair: Pair<'_>) -> Built<Expr> {
        match pair.as_rule() {
            Rule::paren => self.paren(pair),
            Rule::list => self.list_value(pair),
            Rule::conditional => self.conditional(pair),
            Rule::repeat => self.repeat_value(pair),
            Rule::scan => self.scan(pair),
            Rule::call => self.call(pair),
            _ => self.literal(pair),
        }
    }

    fn literal(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::text => ExprKind::Text(self.text_value(&pair)),
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            _ => literal::number(pair.as_str(), span).unwrap_or_else(|diagnostic| {
                self.report(*diagnostic);
                ExprKind::Invalid
            }),
        };
        Built::leaf(Expr { kind, span })
    }

    /// What underlines a sum in parentheses underlines them too.
    fn paren(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let inner = pair.into_inner().find(|piece| piece.as_rule() == Rule::expr);
        let mut built = match inner {
            Some(inner) => self.expr(inner),
            None => Built::leaf(invalid(span)),
        };
        built.tree.span = span;
        built
    }

    fn list_value(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let elements = self.list(pair);
        self.limited(Expr { kind: ExprKind::List(elements.tree), span }, elements.depth + 1)
    }

    fn call(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let span = self.span(&pair);
        let is_called = pair.clone().into_inner().any(|piece| piece.as_rule() == Rule::arguments);
        let Built { tree: call, depth } = self.plain_call(pair);
        if is_called {
            self.limited(Expr { kind: ExprKind::Call(call), span }, depth)
        } else {
            Built::leaf(Expr { kind: ExprKind::Name(call.callee.text), span })
        }
    }

    /// A callee and its arguments, if it has any, for places where nothing but a call may stand.
    pub(crate) fn plain_call(&mut self, pair: Pair<'_>) -> Built<Call> {
        let span = self.span(&pair);
        let mut call = Call { callee: Name { text: String::new(), span }, arguments: Vec::new() };
        let mut depth = 1;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::callee => call.callee = self.name(&piece),
                Rule::arguments => {
                    let built = self.arguments(piece);
                    depth = built.depth;
                    call.arguments = built.tree;
                }
                _ => {}
            }
        }
        Built { tree: call, depth }
    }

    /// `if a { … } else if b { … } else { … }`
    fn conditional(&mut self, pair: Pair<'_>) -> Built<Expr> {
        let whole = self.span(&pair);
        let mut chain = Chain { keyword: whole, conditions: Vec::new(), blocks: Vec::new() };
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::kw_if => chain.keyword = self.span(&piece),
                Rule::header => {
                    let condition = self.expr(piece);
                    chain.conditions.push((chain.keyword, condition));
                }
                Rule::block => {
                    let block = self.branch(piece);
                    chain.blocks.push(block);
                }
                _ => {}
            }
        }
        self.finish_chain(chain, whole)
    }

    /// Nests the branches from the last one on: recursion would be as deep as the chain is long.
    fn finish_chain(&mut self, mut chain: Chain, whole: Span) -> Built<Expr> {
        if chain.blocks.len() == chain.conditions.len() {
            let last = self.last_of(whole);
            let message = "expected `else` after the branch: an `if` has a value in every case";
            self.report(
                Diagnostic::new(Code::Syntax, last, message)
                    .label("expected `else` after this")
                    .help("add `else { … }`"),
            );
            chain.blocks.push(Built::leaf(Block { members: Vec::new(), value: invalid(last) }));
        }
        let mut otherwise = chain.blocks.pop();
        while let (Some((keyword, condition)), Some(then), Some(last)) =
            (chain.conditions.pop(), chain.blocks.pop(), otherwise.take())
        {
            let depth = condition.depth.max(then.depth).max(last.depth) + 1;
            if depth > MAX_DEPTH {
                self.too_deep(whole);
                break;
            }
            let node = If { condition: condition.tree, then: then.tree, otherwise: last.tree };
            let expr = Expr { kind: ExprKind::If(Box::new(node)), span: Span { end: whole.end, ..keyword } };
            if chain.conditions.is_empty() {
                return Built { tree: expr, depth };
            }
            otherwise = Some(Built { tree: Block { members: Vec::new(), value: expr }, depth });
        }
        Built::leaf(invalid(whole))
    }
}

/// The parts of an `if` with all its `else if`: one block more than conditions.
struct Chain {
    /// The last `if`.
    keyword: Span,
    conditions: Vec<(Span, Built<Expr>)>,
    blocks: Vec<Built<Block>>,
}

/// The two stacks of a row.
struct Row {
    operands: Vec<Built<Expr>>,
    waiting: Vec<Waiting>,
    too_deep: bool,
}

impl Row {
    /// Applies the last operator to the last operands. Once the row is too deep, nothing is kept: that costs neither
    /// memory nor, when the tree is dropped, stack.
    fn reduce(&mut self) {
        let (Some(waiting), Some(right)) = (self.waiting.pop(), self.operands.pop()) else { return };
        let built = match waiting.operator {
            Operator::Unary(operator) => {
                let span = waiting.span.to(right.tree.span);
                let kind = ExprKind::Unary(operator, Box::new(right.tree));
                Built { tree: Expr { kind, span }, depth: right.depth + 1 }
            }
            Operator::Binary(operator) => {
                let Some(left) = self.operands.pop() else { return };
                let span = left.tree.span.to(right.tree.span);
                let depth = left.depth.max(right.depth) + 1;
                let kind = ExprKind::Binary(operator, waiting.span, Box::new(left.tree), Box::new(right.tree));
                Built { tree: Expr { kind, span }, depth }
            }
        };
        let is_kept = built.depth <= MAX_DEPTH && !self.too_deep;
        self.too_deep |= !is_kept;
        self.operands.push(if is_kept { built } else { Built::leaf(invalid(built.tree.span)) });
    }
}

/// The commas of a piece that stand in no brackets and are followed by something: a word such as `scan` swallows them.
fn commas(piece: &str) -> usize {
    let mut depth = 0_usize;
    let inner = piece.trim_end().trim_end_matches([',', ';']);
    let is_comma = |c: &char| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *c == ',' && depth == 0
    };
    inner.chars().filter(is_comma).count()
}
