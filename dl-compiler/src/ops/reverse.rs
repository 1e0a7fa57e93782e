//! A tensor with the places of one axis in reverse order.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::sum::axes;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{AxisShape, Kernel};

/// The last place of an axis first.
#[derive(Debug, Clone, PartialEq)]
pub struct Reverse {
    /// Which axis.
    pub axis: usize,
}

impl Operation for Reverse {
    const SPEC: Spec = Spec {
        name: "reverse",
        summary: "The places of one axis in reverse order, such as a sequence from its end",
        formula: "y[o, m, i] = x[o, size - 1 - m, i]",
        operands: &["x"],
        attributes: &[Attribute { name: "axis", default: Some(Constant::Integer(0)), doc: "Which axis" }],
        constraints: &["x holds f32", "the axis exists"],
        callable: true,
        pointwise: false,
        examples: &[("[5, 8]", &[], "[5, 8]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Reverse { axis: attribute::integer(attributes, 0, 0)? })
    }

    fn show(&self) -> String {
        format!("axis: {}", self.axis)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::floats(1, 0, x)?;
        shape::axis(2, 0, self.axis, x)?;
        Ok(x.clone())
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.apply(self.clone(), &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let AxisShape { middle, inner, .. } = axes(x.dims(), self.axis, 1);
        let numbers = array::numbers(x)
            .chunks(middle * inner)
            .flat_map(|block| block.chunks(inner).rev().flatten().copied().collect::<Vec<f64>>())
            .collect();
        array::like(x, context.batch, x.dims(), numbers)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Reverse(axes(&operands[0].dims, self.axis, 1)))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
