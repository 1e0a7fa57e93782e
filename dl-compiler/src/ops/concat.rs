//! Tensors one behind the other along one axis.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::slice::Slice;
use super::sum::axes;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// `count` tensors joined along an axis, called as `concat(a, b, axis: 0)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Concat {
    /// Which axis.
    pub axis: usize,
    /// How many tensors.
    pub count: usize,
}

impl Operation for Concat {
    const SPEC: Spec = Spec {
        name: "concat",
        summary: "Tensors one behind the other along one axis, written `concat(a, b, axis: 0)` with as many as wanted",
        formula: "y = x₁ along the axis, then x₂, …",
        operands: &["x…"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "Which axis" },
            Attribute { name: "count", default: Some(Constant::Integer(2)), doc: "How many tensors; calls count them" },
        ],
        constraints: &[
            "every operand holds f32",
            "the axis exists",
            "the operands agree in all dimensions but the axis",
        ],
        callable: false,
        pointwise: false,
        examples: &[
            ("[3, 4], [3, 5]", &[("axis", Constant::Integer(1))], "[3, 9]"),
            ("[2], [1] batch-wide, [2]", &[("axis", Constant::Integer(0)), ("count", Constant::Integer(3))], "[5]"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        Ok(Concat { axis, count: attribute::integer(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        format!("axis: {}", self.axis)
    }

    fn arity(&self) -> usize {
        self.count
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let Some(first) = operands.first() else {
            return Err(Violation::new(1, 0, "expected at least one tensor, found none"));
        };
        let mut dims = first.dims.clone();
        let mut size = 0_usize;
        for (place, operand) in operands.iter().enumerate() {
            shape::floats(1, place, operand)?;
            let found = shape::axis(2, place, self.axis, operand)?;
            if let Some(along) = dims.get_mut(self.axis) {
                *along = found;
            }
            let expected = format_args!("{:?} but for axis {}, as before", first.dims, self.axis);
            shape::expect(dims == operand.dims, 3, place, expected, operand)?;
            size = size.saturating_add(found);
        }
        if let Some(along) = dims.get_mut(self.axis) {
            *along = size;
        }
        let per_example = operands.iter().any(|operand| operand.per_example);
        Ok(Type { per_example, ..first.with_dims(dims) })
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let mut start = 0;
        let parts = (0..self.count).map(|place| {
            let len = rule.ty(rule.operand(place)).dims.get(self.axis).copied().unwrap_or(0);
            let part = rule.apply(Slice { axis: self.axis, start, len }, &[rule.d()]);
            start += len;
            Some(part)
        });
        parts.collect()
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let per_example = operands.iter().any(|operand| operand.per_example);
        let mut dims = operands[0].dims().to_vec();
        dims[self.axis] = operands.iter().map(|operand| operand.dims()[self.axis]).sum();
        let parts: Vec<(usize, Vec<f64>)> = operands
            .iter()
            .map(|operand| {
                let along = axes(operand.dims(), self.axis, 1);
                let numbers =
                    if per_example { array::batched(operand, context.batch) } else { array::numbers(operand) };
                (along.middle * along.inner, numbers)
            })
            .collect();
        let blocks = axes(&dims, self.axis, 1).outer * if per_example { context.batch } else { 1 };
        let block = |block: usize| parts.iter().flat_map(move |(len, numbers)| &numbers[block * len..][..*len]);
        let numbers = (0..blocks).flat_map(block).copied().collect();
        if per_example { array::per_example(context.batch, &dims, numbers) } else { array::array(&dims, numbers) }
    }

    fn lower(&self, operands: &[&Type], result: &Type) -> Lowering {
        let outer = axes(&result.dims, self.axis, 1).outer;
        let lens = operands.iter().map(|operand| {
            let along = axes(&operand.dims, self.axis, 1);
            shape::product(&[along.middle, along.inner])
        });
        Lowering::Kernel(Kernel::Concat(outer, lens.collect()))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
