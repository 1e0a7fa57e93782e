//! Expressions: one method for each kind; a tree goes in, a [`Value`] comes out.

use std::collections::BTreeMap;
use std::rc::Rc;

use dl_grammar::ast::{BinaryOp, Block, Expr, ExprKind, If, Member, UnaryOp};
use dl_grammar::{Code, Diagnostic, Span};

use super::builtin;
use super::evaluator::{Evaluator, Kind};
use super::limits;
use super::value::Value;
use crate::ops::{AttributeValue, negate::Negate};

impl<'a> Evaluator<'_, 'a> {
    /// The value of an expression.
    pub(super) fn expr(&mut self, expr: &'a Expr) -> Value<'a> {
        if !self.enter(expr.span) {
            return Value::Poison;
        }
        let value = match &expr.kind {
            ExprKind::Integer(value) => Value::Integer(*value),
            ExprKind::Float(value) => Value::Float(*value),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Text(text) => Value::Text(text),
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, expr.span),
            ExprKind::Binary(op, at, left, right) => self.binary(*op, *at, left, right, expr.span),
            ExprKind::Call(call) => self.call(call, None, None),
            ExprKind::Pipe(first, stages) => self.pipe(first, stages),
            ExprKind::Repeat(repeat) => self.repeat_value(repeat),
            ExprKind::If(choice) => self.choice(choice),
            ExprKind::List(elements) => self.list(elements),
            ExprKind::Rest => {
                let message = "`..` stands for axes, which only `over`, `axis` and `axes` take";
                self.error(Code::WrongKind, expr.span, message, "not a value");
                Value::Poison
            }
            ExprKind::Scan(scan) => self.scan(scan, 1),
            ExprKind::Invalid => Value::Poison,
        };
        self.leave();
        value
    }

    /// What a name stands for. Unknown names have been reported by `names`.
    fn name(&mut self, name: &'a str, span: Span) -> Value<'a> {
        if let Some(value) = self.value(name) {
            return value.clone();
        }
        if name == "training" {
            return match self.training {
                Some(training) => Value::Bool(training),
                None => {
                    let message = "`training` is not known in a constant";
                    self.error(Code::NotConstant, span, message, "differs between training and inference");
                    Value::Poison
                }
            };
        }
        let home = self.home();
        if let Some(value) = self.program.constant(name, home) {
            return value.clone();
        }
        if self.program.catalog.constant(name, home).is_some() {
            return Value::Poison;
        }
        if let Some(initializer) = builtin::initializer(name) {
            return Value::Initializer(initializer);
        }
        self.program.catalog.callable(name, home).map_or(Value::Poison, Value::Callable)
    }

    fn unary(&mut self, op: UnaryOp, operand: &'a Expr, span: Span) -> Value<'a> {
        let value = self.expr(operand);
        match (op, &value) {
            (_, Value::Poison) => Value::Poison,
            (UnaryOp::Negate, Value::Integer(number)) => match number.checked_neg() {
                Some(number) => Value::Integer(number),
                None => self.overflow(span),
            },
            (UnaryOp::Negate, Value::Float(number)) => Value::Float(-number),
            (UnaryOp::Negate, Value::Tensor(_)) => {
                self.pointwise("-", Negate.into(), vec![(value, operand.span)], span)
            }
            (UnaryOp::Not, Value::Bool(value)) => Value::Bool(!value),
            (UnaryOp::Negate, _) => self.wrong_kind("-", "a number or tensor", &value, operand.span),
            (UnaryOp::Not, _) => self.not_a_condition("not", &value, operand.span),
        }
    }

    fn binary(&mut self, op: BinaryOp, at: Span, left: &'a Expr, right: &'a Expr, span: Span) -> Value<'a> {
        let left_value = self.expr(left);
        let Some(shown) = logical(op) else {
            let right_value = self.expr(right);
            return self.operator(op, at, (left_value, left.span), (right_value, right.span), span);
        };
        match left_value {
            Value::Poison => return Value::Poison,
            Value::Bool(value) if value == (op == BinaryOp::Or) => return Value::Bool(value),
            Value::Bool(_) => {}
            other => return self.not_a_condition(shown, &other, left.span),
        }
        match self.expr(right) {
            value @ (Value::Bool(_) | Value::Poison) => value,
            other => self.not_a_condition(shown, &other, right.span),
        }
    }

    fn choice(&mut self, choice: &'a If) -> Value<'a> {
        match self.expr(&choice.condition) {
            Value::Poison => Value::Poison,
            Value::Bool(true) => self.block(&choice.then),
            Value::Bool(false) => self.block(&choice.otherwise),
            other => self.not_a_condition("if", &other, choice.condition.span),
        }
    }

    fn block(&mut self, block: &'a Block) -> Value<'a> {
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.push(BTreeMap::new());
        }
        let value = if self.members(&block.members) { self.expr(&block.value) } else { Value::Poison };
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.pop();
        }
        value
    }

    /// Statements of a layer or branch, up to an assertion that does not hold (then `false`).
    /// Those that do not belong here have been reported by `names`.
    pub(super) fn members(&mut self, members: &'a [Member]) -> bool {
        for member in members {
            match member {
                Member::Binding(binding) => {
                    self.binding(binding);
                }
                Member::Param(param) => self.param(param),
                Member::State(state) => self.state(state),
                Member::Update(update) => self.update(update),
                Member::Penalty(penalty) => self.penalty(penalty),
                Member::Shared(shared) => self.shared(shared),
                Member::Assert(assert) if !self.assert(assert) => return false,
                _ => {}
            }
        }
        true
    }

    fn list(&mut self, elements: &'a [Expr]) -> Value<'a> {
        let mut values: Vec<AttributeValue> = Vec::with_capacity(elements.len());
        let mut is_poisoned = false;
        for element in elements {
            let value = self.expr(element);
            match (&value, value.attribute()) {
                (Value::Poison, _) => is_poisoned = true,
                (Value::Integer(_) | Value::Float(_) | Value::Bool(_), Some(attribute)) => values.push(attribute),
                _ => {
                    self.wrong_kind("[…]", "a number or truth value in a list", &value, element.span);
                    is_poisoned = true;
                }
            }
        }
        if is_poisoned { Value::Poison } else { Value::List(Rc::from(values)) }
    }

    /// The dimensions that a list of expressions stands for: integers of at least 1.
    pub(super) fn dims(&mut self, exprs: &'a [Expr]) -> Option<Vec<usize>> {
        let mut dims = Some(Vec::with_capacity(exprs.len().min(limits::MAX_RANK)));
        for expr in exprs {
            let dim = self.dim(expr);
            dims = dims.zip(dim).map(|(mut dims, dim)| {
                dims.push(dim);
                dims
            });
        }
        dims
    }

    /// A dimension: an integer of at least 1.
    pub(super) fn dim(&mut self, expr: &'a Expr) -> Option<usize> {
        let value = self.expr(expr);
        let found = match &value {
            Value::Poison => return None,
            Value::Integer(number) => match usize::try_from(*number) {
                Ok(dim) if (1..=limits::MAX_FLOATS).contains(&dim) => return Some(dim),
                Ok(dim) if dim > 0 => {
                    let label = format!("at most {}", limits::MAX_FLOATS);
                    self.error(
                        Code::TooLarge,
                        expr.span,
                        format!("the dimension {dim} is larger than the limit"),
                        label,
                    );
                    return None;
                }
                _ => number.to_string(),
            },
            other => self.describe(other),
        };
        let message = format!("a dimension is an integer of at least 1, found {found}");
        let label = match &expr.kind {
            ExprKind::Integer(_) | ExprKind::Float(_) => "not a dimension".to_owned(),
            _ => format!("`{}` is not a dimension", self.excerpt(expr.span)),
        };
        self.error(Code::BadDimension, expr.span, message, label);
        None
    }

    /// Reports a value of the wrong kind.
    pub(super) fn wrong_kind(&mut self, shown: &str, expected: &str, found: &Value<'a>, span: Span) -> Value<'a> {
        if let Value::Layer(layer) = found
            && expected.contains("tensor")
        {
            return self.unapplied(layer, span);
        }
        let found = match found {
            Value::Tensor(_) => format!("a tensor {}", self.describe(found)),
            other => other.describe(),
        };
        let message = format!("`{shown}` expects {expected}, found {found}");
        self.error(Code::WrongKind, span, message, format!("this is {found}"));
        Value::Poison
    }

    fn not_a_condition(&mut self, shown: &str, found: &Value<'a>, span: Span) -> Value<'a> {
        let Value::Tensor(id) = found else {
            return self.wrong_kind(shown, "`true` or `false`", found, span);
        };
        let message = format!("`{shown}` chooses at compile time, found a tensor {}", self.ty(*id));
        let help = "choose between tensors with `where(condition, a, b)`";
        self.report(Diagnostic::new(Code::NotConstant, span, message).label("known at run time only").help(help));
        Value::Poison
    }

    /// Whether the code being evaluated belongs to a formula.
    pub(super) fn is_in_function(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.kind == Kind::Function)
    }
}

fn logical(op: BinaryOp) -> Option<&'static str> {
    match op {
        BinaryOp::And => Some("and"),
        BinaryOp::Or => Some("or"),
        _ => None,
    }
}
