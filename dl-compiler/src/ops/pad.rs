//! Zeros before and behind a tensor along one axis.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::slice::{Slice, part};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Kernel, SliceShape};

/// The tensor with zeros around it along one axis: what a slice was cut from, if only it counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// Which axis.
    pub axis: usize,
    /// How many zeros come before.
    pub before: usize,
    /// How many zeros come behind.
    pub after: usize,
}

impl Operation for Pad {
    const SPEC: Spec = Spec {
        name: "pad",
        summary: "Zeros before and behind along one axis",
        formula: "y[o, before + m, i] = x[o, m, i], 0 elsewhere",
        operands: &["x"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "Which axis" },
            Attribute { name: "before", default: Some(Constant::Integer(0)), doc: "How many zeros come before" },
            Attribute { name: "after", default: Some(Constant::Integer(0)), doc: "How many zeros come behind" },
        ],
        constraints: &["x holds f32", "the axis exists"],
        callable: true,
        pointwise: false,
        examples: &[(
            "[3, 4]",
            &[("axis", Constant::Integer(1)), ("before", Constant::Integer(2)), ("after", Constant::Integer(1))],
            "[3, 7]",
        )],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        let before = attribute::integer(attributes, 1, 0)?;
        Ok(Pad { axis, before, after: attribute::integer(attributes, 2, 0)? })
    }

    fn show(&self) -> String {
        format!("axis: {}, before: {}, after: {}", self.axis, self.before, self.after)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::floats(1, 0, x)?;
        let size = shape::axis(2, 0, self.axis, x)?;
        let mut dims = x.dims.clone();
        dims[self.axis] = size.saturating_add(self.before).saturating_add(self.after);
        Ok(x.with_dims(dims))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let len = rule.ty(rule.operand(0)).dims.get(self.axis).copied().unwrap_or(0);
        vec![Some(rule.apply(Slice { axis: self.axis, start: self.before, len }, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let mut dims = x.dims().to_vec();
        dims[self.axis] += self.before + self.after;
        let SliceShape { size, start, len, .. } = self.shape(&dims);
        let padded = |block: &[f64]| [&vec![0.0; start], block, &vec![0.0; size - start - len]].concat();
        let numbers = array::numbers(x).chunks(len).flat_map(padded).collect();
        array::like(x, context.batch, &dims, numbers)
    }

    fn lower(&self, _: &[&Type], result: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Pad(self.shape(&result.dims)))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}

impl Pad {
    /// The part of the result that `x` fills.
    fn shape(&self, result: &[usize]) -> SliceShape {
        let size = result.get(self.axis).copied().unwrap_or(1);
        part(result, self.axis, self.before, size.saturating_sub(self.before).saturating_sub(self.after))
    }
}
