//! Tensors taken apart, joined and turned: `a, b = split(x, 2);`, `concat(a, b, axis: channels)`,
//! `softmax(x, over: channels)`.

use std::rc::Rc;

use dl_grammar::{Code, Diagnostic, Span};

use super::call::{Given, Slot};
use super::evaluator::Evaluator;
use super::value::{Callee, Value};
use crate::graph::NodeId;
use crate::ops::reshape::Reshape;
use crate::ops::{self, AttributeValue, Op, Spec};

/// More parts than this are a slip: each is a node and needs a name.
const MAX_PARTS: usize = 1024;

impl<'a> Evaluator<'_, 'a> {
    /// `split(x, 3)`, equal parts, or `split(x, [2, 5, 1])`, parts of these sizes; along the last axis or `axis`.
    pub(super) fn split(
        &mut self,
        (x, place): &(Value<'a>, Span),
        (parts, parts_place): &(Value<'a>, Span),
        axis: Option<&(Value<'a>, Span)>,
        at: Span,
    ) -> Value<'a> {
        let id = match x {
            Value::Tensor(id) => *id,
            other => return self.wrong_kind("split", "a tensor", other, *place),
        };
        let axis = match axis {
            Some((axis, place)) => match self.chosen_one("split", id, axis, *place) {
                Some(axis) => axis,
                None => return Value::Poison,
            },
            None => self.ty(id).dims.len().saturating_sub(1),
        };
        let Some(&size) = self.ty(id).dims.get(axis) else {
            let message = "`split` expects a tensor of at least one dimension, found []";
            self.error(Code::ShapeMismatch, at, message, "has no axis to split");
            return Value::Poison;
        };
        let Some(sizes) = self.sizes(parts, *parts_place, size) else { return Value::Poison };
        let total: usize = sizes.iter().sum();
        if total != size {
            let message = format!("`split`: the parts have {total} places together, the axis has {size}");
            let diagnostic = Diagnostic::new(Code::ShapeMismatch, *parts_place, message)
                .label(format!("{total} together"))
                .related(*place, self.shown_axes(id));
            self.report(diagnostic);
            return Value::Poison;
        }
        let mut start = 0;
        let mut values = Vec::with_capacity(sizes.len());
        for len in sizes {
            let op = ops::slice::Slice { axis, start, len };
            match self.apply("split", op.into(), &[(id, *place)], at, at) {
                Value::Poison => return Value::Poison,
                value => values.push(value),
            }
            start += len;
        }
        match values.as_slice() {
            [one] => one.clone(),
            _ => Value::Tuple(Rc::from(values)),
        }
    }

    /// How many places each part of an axis of `size` has.
    fn sizes(&mut self, parts: &Value<'a>, place: Span, size: usize) -> Option<Vec<usize>> {
        let limit = |count: usize| (1..=MAX_PARTS).contains(&count);
        match parts {
            Value::Integer(count) => match usize::try_from(*count) {
                Ok(count) if limit(count) && size.is_multiple_of(count) => return Some(vec![size / count; count]),
                Ok(count) if limit(count) => {
                    let message = format!("`split`: {size} places do not divide into {count} equal parts");
                    let diagnostic = Diagnostic::new(Code::NotDivisible, place, message)
                        .label(format!("leaves a remainder of {}", size % count))
                        .help("give the size of each part in a list: `split(x, [a, b])`");
                    self.report(diagnostic);
                    return None;
                }
                _ => {}
            },
            Value::List(sizes) if limit(sizes.len()) => {
                let size = |size: &AttributeValue| match size {
                    AttributeValue::Integer(size) => {
                        usize::try_from(*size).ok().filter(|&size| size <= i32::MAX as usize && size > 0)
                    }
                    _ => None,
                };
                if let Some(sizes) = sizes.iter().map(size).collect() {
                    return Some(sizes);
                }
            }
            _ => {}
        }
        let expected = format!("a number of parts from 1 to {MAX_PARTS}, or a list of sizes of at least 1");
        self.wrong_kind("split", &expected, parts, place);
        None
    }

    /// `concat(a, b, axis: channels)`; a name is looked for in the first operand.
    pub(super) fn concat(
        &mut self,
        parts: &[(Value<'a>, Span)],
        (axis, place): &(Value<'a>, Span),
        at: Span,
    ) -> Value<'a> {
        let mut operands = Vec::with_capacity(parts.len());
        for (part, place) in parts {
            match part {
                Value::Tensor(id) => operands.push((*id, *place)),
                other => return self.wrong_kind("concat", "a tensor", other, *place),
            }
        }
        let Some(&(first, _)) = operands.first() else { return Value::Poison };
        let Some(axis) = self.chosen_one("concat", first, axis, *place) else { return Value::Poison };
        let op = ops::concat::Concat { axis, count: operands.len() };
        self.apply("concat", op.into(), &operands, at, at)
    }

    /// The axes in another order: axis `k` of the result is axis `order[k]` of the operand.
    pub(super) fn transposed(&mut self, id: NodeId, order: Vec<usize>, at: Span) -> Value<'a> {
        if order.is_sorted() {
            return Value::Tensor(id);
        }
        let names = self.axis_names(id);
        let names = order.iter().map(|&axis| names.get(axis).copied().flatten()).collect();
        let op = ops::transpose::Transpose { axes: order };
        let value = self.apply("transpose", op.into(), &[(id, at)], at, at);
        self.set_axis_names(&value, names);
        value
    }

    /// `softmax(x, over: channels)`: over other axes than the last, which become the last for as long.
    pub(super) fn softmax_over(
        &mut self,
        spec: &'static Spec,
        at: Span,
        given: Vec<Given<'a>>,
        over: (Value<'a>, Span),
    ) -> Value<'a> {
        let slots = ["x", "over"].map(|name| Slot { name, is_required: true });
        let Some(bound) = self.bind(Callee::Operation(spec), at, &slots, given) else { return Value::Poison };
        let (id, place) = match bound.into_iter().next().flatten() {
            Some((Value::Tensor(id), place)) => (id, place),
            Some((other, place)) if !other.is_poison() => return self.wrong_kind(spec.name, "a tensor", &other, place),
            _ => return Value::Poison,
        };
        let chosen = match &over.0 {
            Value::Axes(axes) => self.chosen(spec.name, id, axes),
            _ => None,
        };
        let Some(chosen) = chosen else { return Value::Poison };
        if chosen.batch || chosen.places.is_empty() {
            let message = format!("`{}` works within an example, over one axis or more", spec.name);
            self.error(Code::BadAttribute, over.1, message, "not axes of an example");
            return Value::Poison;
        }
        let (dims, names) = (self.ty(id).dims.clone(), self.axis_names(id));
        let kept = (0..dims.len()).filter(|axis| !chosen.places.contains(axis));
        let order: Vec<usize> = kept.chain(chosen.places.iter().copied()).collect();
        let moved: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let (outer, inner) = moved.split_at(dims.len() - chosen.places.len());
        let rows = [outer, &[inner.iter().product()]].concat();
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);

        let mut value = self.transposed(id, order, place);
        for op in [
            Some(Reshape { dims: rows }.into()),
            Op::build(spec.name, &[]).and_then(Result::ok),
            Some(Reshape { dims: moved }.into()),
        ] {
            value = match (value, op) {
                (Value::Tensor(id), Some(op)) => self.apply(spec.name, op, &[(id, place)], at, at),
                _ => Value::Poison,
            };
        }
        let Value::Tensor(id) = value else { return value };
        let value = self.transposed(id, back, at);
        self.set_axis_names(&value, names);
        value
    }
}
