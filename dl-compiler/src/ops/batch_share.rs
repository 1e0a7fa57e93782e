//! What one example counts in a mean over the batch.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation, array};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// 1 divided by the number of examples, known when the program runs: a mean over the batch is a sum times this.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchShare;

impl Operation for BatchShare {
    const SPEC: Spec = Spec {
        name: "batch_share",
        summary: "1 divided by the number of examples of the batch: what a sum over the batch is multiplied by for its mean",
        formula: "y = 1 / n",
        operands: &[],
        attributes: &[],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[("", &[], "[] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(BatchShare)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::batch_wide([]))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        array::array(&[], vec![1.0 / context.batch as f64])
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::BatchShare)
    }
}
