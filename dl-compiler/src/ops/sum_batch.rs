//! The sum over the batch.

use ndarray::{ArrayD, Axis};

use super::attribute::AttributeValue;
use super::equal::Equal;
use super::{Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The sum over all examples of the batch; the result is batch-wide.
#[derive(Debug, Clone, PartialEq)]
pub struct SumBatch;

impl Operation for SumBatch {
    const SPEC: Spec = Spec {
        name: "sum_batch",
        summary: "The sum over all examples: how the gradient of a batch-wide value gathers",
        formula: "y = Σₑ xₑ",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds f32, one tensor for each example"],
        callable: false,
        pointwise: false,
        examples: &[("[3, 4]", &[], "[3, 4] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(SumBatch)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        shape::per_example(1, 0, operands[0])?;
        Ok(Type { per_example: false, ..operands[0].clone() })
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        // Every example needs its own copy of the gradient: batch-wide operands further up count examples by it.
        // The choice between twice the same takes nothing but "per example" from x, whatever x holds.
        let (x, d) = (rule.operand(0), rule.d());
        let each = rule.apply(Equal, &[x, x]);
        vec![Some(rule.select(each, d, d))]
    }

    fn eval(&self, operands: &[&Value], _: &Context<'_>) -> ArrayD<f64> {
        operands[0].array.sum_axis(Axis(0))
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::SumBatch(shape::product(&operands[0].dims)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[0].dims)
    }
}
