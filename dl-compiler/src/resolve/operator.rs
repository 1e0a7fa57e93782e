//! Operators: numbers are computed at once and checked, tensors become operations with broadcast operands.

use dl_grammar::ast::BinaryOp;
use dl_grammar::{Code, Diagnostic, Span};

use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::{Element, NodeId};
use crate::ops::{self, Op};
use crate::program::Epilogue;

/// Whole exponents up to this are products; greater ones are left to the general power.
const MAX_PRODUCT_EXPONENT: u64 = 16;

impl<'a> Evaluator<'_, 'a> {
    /// `left op right`, with the places of both; `at` is the operator's, `span` that of the whole.
    pub(super) fn operator(
        &mut self,
        op: BinaryOp,
        at: Span,
        left: (Value<'a>, Span),
        right: (Value<'a>, Span),
        span: Span,
    ) -> Value<'a> {
        let shown = text(op);
        match (&left.0, &right.0) {
            (Value::Poison, _) | (_, Value::Poison) => Value::Poison,
            (Value::Tensor(a), Value::Tensor(b)) if op == BinaryOp::MatMul => {
                self.matrix_product((*a, left.1), (*b, right.1), at, span)
            }
            (Value::Tensor(_), Value::Tensor(_) | Value::Integer(_) | Value::Float(_))
            | (Value::Integer(_) | Value::Float(_), Value::Tensor(_)) => self.on_tensors(op, at, left, right, span),
            (Value::Integer(a), Value::Integer(b)) => self.on_integers(op, *a, *b, span),
            (Value::Bool(a), Value::Bool(b)) if is_equality(op) => Value::Bool((a == b) == (op == BinaryOp::Equal)),
            (Value::Text(a), Value::Text(b)) if is_equality(op) => Value::Bool((a == b) == (op == BinaryOp::Equal)),
            (Value::List(a), Value::List(b)) if is_equality(op) => Value::Bool((a == b) == (op == BinaryOp::Equal)),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => self.on_floats(op, a, b, span),
                (None, _) => self.wrong_kind(shown, "numbers or tensors", &left.0, left.1),
                (_, None) => self.wrong_kind(shown, "numbers or tensors", &right.0, right.1),
            },
        }
    }

    /// `a @ b`: rows of `a` by a matrix that the batch has once, or matrices by matrices, each example its own.
    /// A list on either side is a matrix of one row or one column.
    fn matrix_product(&mut self, left: (NodeId, Span), right: (NodeId, Span), at: Span, span: Span) -> Value<'a> {
        let (a, b) = (self.ty(left.0).clone(), self.ty(right.0).clone());
        let rows = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
        let is_of_batch = a.per_example && !b.per_example;
        if (is_of_batch && b.dims.len() == 2) || a.dims.is_empty() || b.dims.is_empty() {
            return self.apply("@", rows.into(), &[left, right], at, span);
        }
        if let ([result @ .., inner], &[depth]) = (a.dims.as_slice(), b.dims.as_slice())
            && is_of_batch
            && *inner == depth
        {
            let Value::Tensor(column) = self.reshaped(right, vec![depth, 1], span) else { return Value::Poison };
            return match self.apply("@", rows.into(), &[left, (column, right.1)], at, span) {
                Value::Tensor(y) => self.reshaped((y, span), result.to_vec(), span),
                other => other,
            };
        }
        let product = ops::batched_matmul::BatchedMatMul::new(false, false);
        match (a.dims.as_slice(), b.dims.as_slice()) {
            (&[inner], [] | [_] | [_, _]) | (&[_, inner], &[_]) if b.dims.first() == Some(&inner) => {
                let rows = a.dims.len() == 2;
                let columns = b.dims.len() == 2;
                let a_dims = if rows { a.dims.clone() } else { vec![1, inner] };
                let b_dims = if columns { b.dims.clone() } else { vec![inner, 1] };
                let result = [a_dims.first().filter(|_| rows), b_dims.get(1).filter(|_| columns)];
                let result = result.into_iter().flatten().copied().collect();
                let a = self.reshaped(left, a_dims, span);
                let b = self.reshaped(right, b_dims, span);
                let (Value::Tensor(a), Value::Tensor(b)) = (a, b) else { return Value::Poison };
                match self.apply("@", product.into(), &[(a, left.1), (b, right.1)], at, span) {
                    Value::Tensor(y) => self.reshaped((y, span), result, span),
                    other => other,
                }
            }
            // Every row of `a` meets the same matrix, so its leading axes count as rows.
            ([leading @ .., inner], &[depth, columns]) if leading.len() > 1 && *inner == depth => {
                let result = [leading, &[columns]].concat();
                let rows = vec![leading.iter().product(), *inner];
                let Value::Tensor(a) = self.reshaped(left, rows, span) else { return Value::Poison };
                match self.apply("@", product.into(), &[(a, left.1), right], at, span) {
                    Value::Tensor(y) => self.reshaped((y, span), result, span),
                    other => other,
                }
            }
            _ => self.apply("@", product.into(), &[left, right], at, span),
        }
    }

    fn reshaped(&mut self, (id, place): (NodeId, Span), dims: Vec<usize>, span: Span) -> Value<'a> {
        if self.ty(id).dims == dims {
            return Value::Tensor(id);
        }
        self.apply("@", ops::reshape::Reshape { dims }.into(), &[(id, place)], span, span)
    }

    fn on_tensors(
        &mut self,
        op: BinaryOp,
        at: Span,
        left: (Value<'a>, Span),
        right: (Value<'a>, Span),
        span: Span,
    ) -> Value<'a> {
        if let Some(wrong) = self.with_indices(op, at, &left, &right) {
            return wrong;
        }
        if let (BinaryOp::Power, Value::Tensor(base), Value::Integer(exponent)) = (op, &left.0, &right.0)
            && (1..=MAX_PRODUCT_EXPONENT).contains(&exponent.unsigned_abs())
        {
            return self.whole_power(*base, *exponent, span);
        }
        let (operation, is_swapped): (Op, bool) = match op {
            BinaryOp::Add => (ops::add::Add.into(), false),
            BinaryOp::Subtract => (ops::subtract::Subtract.into(), false),
            BinaryOp::Multiply => (ops::multiply::Multiply.into(), false),
            BinaryOp::Divide => (ops::divide::Divide.into(), false),
            BinaryOp::Power => (ops::power::Power.into(), false),
            BinaryOp::Equal => (ops::equal::Equal.into(), false),
            BinaryOp::NotEqual => (ops::not_equal::NotEqual.into(), false),
            BinaryOp::Greater => (ops::greater::Greater.into(), false),
            BinaryOp::GreaterEqual => (ops::greater_equal::GreaterEqual.into(), false),
            BinaryOp::Less => (ops::greater::Greater.into(), true),
            BinaryOp::LessEqual => (ops::greater_equal::GreaterEqual.into(), true),
            BinaryOp::MatMul => {
                let (number, place) = if left.0.number().is_some() { left } else { right };
                return self.wrong_kind("@", "two tensors", &number, place);
            }
            BinaryOp::Remainder | BinaryOp::And | BinaryOp::Or => {
                let (tensor, place) = if left.0.number().is_none() { left } else { right };
                return self.wrong_kind(text(op), "numbers known at compile time", &tensor, place);
            }
        };
        let operands = if is_swapped { vec![right, left] } else { vec![left, right] };
        self.pointwise_at(text(op), operation, operands, at, span)
    }

    /// Reports operands that hold indices, if there are any: no operator takes them.
    fn with_indices(
        &mut self,
        op: BinaryOp,
        at: Span,
        left: &(Value<'a>, Span),
        right: &(Value<'a>, Span),
    ) -> Option<Value<'a>> {
        let mut place = None;
        let mut shown = |(value, span): &(Value<'a>, Span)| match value {
            Value::Tensor(id) if matches!(self.ty(*id).element, Element::Index(_)) => {
                place.get_or_insert((*span, self.ty(*id).to_string()));
                format!("float({})", self.excerpt(*span))
            }
            _ => self.excerpt(*span),
        };
        let (a, b) = (shown(left), shown(right));
        let (span, found) = place?;
        let op = text(op);
        let diagnostic = Diagnostic::new(Code::ElementMismatch, at, format!("`{op}` takes numbers, not indices"))
            .label("has an operand of indices")
            .related(span, found)
            .help(format!("make numbers of them: `{a} {op} {b}`"));
        self.report(diagnostic);
        Some(Value::Poison)
    }

    /// `x ^ n` for a small whole `n`: exact products, defined for negative `x` too.
    fn whole_power(&mut self, base: NodeId, exponent: i64, span: Span) -> Value<'a> {
        let mut result: Option<Value<'a>> = None;
        let mut square = Value::Tensor(base);
        let mut rest = exponent.unsigned_abs();
        loop {
            if rest % 2 == 1 {
                result = Some(match result {
                    Some(value) => self.product(value, square.clone(), span),
                    None => square.clone(),
                });
            }
            rest /= 2;
            if rest == 0 {
                break;
            }
            square = self.product(square.clone(), square, span);
        }
        let value = result.unwrap_or(Value::Poison);
        if exponent > 0 {
            return value;
        }
        let operands = vec![(Value::Integer(1), span), (value, span)];
        self.pointwise("^", ops::divide::Divide.into(), operands, span)
    }

    fn product(&mut self, a: Value<'a>, b: Value<'a>, span: Span) -> Value<'a> {
        self.pointwise("^", ops::multiply::Multiply.into(), vec![(a, span), (b, span)], span)
    }

    fn on_integers(&mut self, op: BinaryOp, a: i64, b: i64, span: Span) -> Value<'a> {
        let result = match op {
            BinaryOp::Add => a.checked_add(b),
            BinaryOp::Subtract => a.checked_sub(b),
            BinaryOp::Multiply => a.checked_mul(b),
            BinaryOp::Divide | BinaryOp::Remainder if b == 0 => {
                let message = format!("`{a} {} 0` divides by zero", text(op));
                self.error(Code::NotDivisible, span, message, "the divisor is 0");
                return Value::Poison;
            }
            BinaryOp::Divide if a.checked_rem(b).is_some_and(|rest| rest != 0) => {
                let diagnostic = Diagnostic::new(Code::NotDivisible, span, format!("`{a} / {b}` is not an integer"))
                    .label(format!("leaves a remainder of {}", a % b))
                    .help(format!(
                        "round it down with `floor_div({a}, {b})` or up with `ceil_div({a}, {b})`, or write `{a}.0 / {b}` \
                         for a quotient with fraction"
                    ));
                self.report(diagnostic);
                return Value::Poison;
            }
            BinaryOp::Divide => a.checked_div(b),
            BinaryOp::Remainder => a.checked_rem(b),
            BinaryOp::Power if b < 0 => {
                let diagnostic = Diagnostic::new(Code::NotDivisible, span, format!("`{a} ^ {b}` is not an integer"))
                    .label("a negative exponent")
                    .help(format!("write `{a}.0 ^ {b}`"));
                self.report(diagnostic);
                return Value::Poison;
            }
            BinaryOp::Power => match u32::try_from(b) {
                Ok(exponent) => a.checked_pow(exponent),
                Err(_) => matches!(a, 0 | 1).then_some(a),
            },
            BinaryOp::Equal => return Value::Bool(a == b),
            BinaryOp::NotEqual => return Value::Bool(a != b),
            BinaryOp::Less => return Value::Bool(a < b),
            BinaryOp::LessEqual => return Value::Bool(a <= b),
            BinaryOp::Greater => return Value::Bool(a > b),
            BinaryOp::GreaterEqual => return Value::Bool(a >= b),
            BinaryOp::MatMul | BinaryOp::And | BinaryOp::Or => {
                return self.wrong_kind(text(op), "two tensors", &Value::Integer(a), span);
            }
        };
        match result {
            Some(result) => Value::Integer(result),
            None => self.overflow(span),
        }
    }

    fn on_floats(&mut self, op: BinaryOp, a: f64, b: f64, span: Span) -> Value<'a> {
        let result = match op {
            BinaryOp::Add => a + b,
            BinaryOp::Subtract => a - b,
            BinaryOp::Multiply => a * b,
            BinaryOp::Divide => a / b,
            BinaryOp::Remainder => a % b,
            BinaryOp::Power => a.powf(b),
            BinaryOp::Equal => return Value::Bool(a == b),
            BinaryOp::NotEqual => return Value::Bool(a != b),
            BinaryOp::Less => return Value::Bool(a < b),
            BinaryOp::LessEqual => return Value::Bool(a <= b),
            BinaryOp::Greater => return Value::Bool(a > b),
            BinaryOp::GreaterEqual => return Value::Bool(a >= b),
            BinaryOp::MatMul | BinaryOp::And | BinaryOp::Or => {
                return self.wrong_kind(text(op), "two tensors", &Value::Float(a), span);
            }
        };
        self.finite(result, span)
    }

    /// A number computed at compile time; reports one that is not finite.
    pub(super) fn finite(&mut self, number: f64, span: Span) -> Value<'a> {
        if number.is_finite() {
            return Value::Float(number);
        }
        let message = format!("`{}` is not a finite number", self.excerpt(span));
        self.error(Code::NotConstant, span, message, format!("this is {number}"));
        Value::Poison
    }

    /// Reports an integer that does not fit.
    pub(super) fn overflow(&mut self, span: Span) -> Value<'a> {
        let message = format!("`{}` is too large for an integer", self.excerpt(span));
        self.error(Code::NotConstant, span, message, format!("the largest is {}", i64::MAX));
        Value::Poison
    }
}

fn is_equality(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Equal | BinaryOp::NotEqual)
}

/// How an operator is written.
fn text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "or",
        BinaryOp::And => "and",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterEqual => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Remainder => "%",
        BinaryOp::MatMul => "@",
        BinaryOp::Power => "^",
    }
}
