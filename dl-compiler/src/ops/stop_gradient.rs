//! A value that gradients do not pass.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// The operand itself; no gradient flows to it from here.
#[derive(Debug, Clone, PartialEq)]
pub struct StopGradient;

impl Operation for StopGradient {
    const SPEC: Spec = Spec {
        name: "stop_gradient",
        summary: "The operand itself, a constant for gradients",
        formula: "y = x, d_x = 0",
        operands: &["x"],
        attributes: &[],
        constraints: &[],
        callable: true,
        pointwise: false,
        examples: &[("[3, 4]", &[], "[3, 4]"), ("[2] batch-wide", &[], "[2] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(StopGradient)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        Ok(operands[0].clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn eval(&self, operands: &[&Value], _: &Context<'_>) -> ArrayD<f64> {
        operands[0].array.clone()
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::View
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
