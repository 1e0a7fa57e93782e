//! The weight of each example: where differentiation starts.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation, array};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The example's weight divided by the sum of all weights of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleWeight;

impl Operation for ExampleWeight {
    const SPEC: Spec = Spec {
        name: "example_weight",
        summary: "The weight of each example as a share of all: the gradient of the batch's loss for that of an example",
        formula: "y = wₑ / Σ w",
        operands: &[],
        attributes: &[],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[("", &[], "[]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(ExampleWeight)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::per_example([]))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shares = (0..context.batch).map(|example| context.share(example)).collect();
        array::per_example(context.batch, &[], shares)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::ExampleWeight)
    }
}
