//! The gradient of softmax.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::softmax::{scores, softmax_shape};
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The gradient of softmax for its scores, from its result. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftmaxGradient;

impl Operation for SoftmaxGradient {
    const SPEC: Spec = Spec {
        name: "softmax_gradient",
        summary: "The gradient of softmax for its scores",
        formula: "d_x[.., c] = y[.., c] · (d_y[.., c] - Σₖ d_y[.., k] · y[.., k])",
        operands: &["y", "d_y"],
        attributes: &[],
        constraints: &[
            "y holds f32, one tensor of at least one dimension for each example",
            "d_y holds f32 for each example and has the dimensions of y",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[7, 10], [7, 10]", &[], "[7, 10]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(SoftmaxGradient)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        scores(1, operands[0])?;
        shape::per_example(2, 1, operands[1])?;
        shape::same_dims(2, 1, &operands[0].dims, operands[1])?;
        Ok(operands[0].clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let classes = shape::rows(operands[0].dims()).1;
        let y = array::batched(operands[0], context.batch);
        let d_y = array::batched(operands[1], context.batch);
        let mut d_x = Vec::with_capacity(y.len());
        for (y, d_y) in y.chunks(classes).zip(d_y.chunks(classes)) {
            let mean: f64 = y.iter().zip(d_y).map(|(y, d_y)| y * d_y).sum();
            d_x.extend(y.iter().zip(d_y).map(|(y, d_y)| y * (d_y - mean)));
        }
        array::per_example(context.batch, operands[0].dims(), d_x)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::SoftmaxGradient(softmax_shape(&operands[0].dims)))
    }

    /// Product and sum, difference and product.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[4, shape::product(&result.dims)])
    }
}
