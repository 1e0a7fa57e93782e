//! The gradient of causal softmax.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::causal_softmax::{causal_shape, matrices, seen};
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The gradient of causal softmax for its scores, from its result. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct CausalSoftmaxGradient;

impl Operation for CausalSoftmaxGradient {
    const SPEC: Spec = Spec {
        name: "causal_softmax_gradient",
        summary: "The gradient of causal softmax for its scores",
        formula: "d_x[.., r, c] = y[.., r, c] · (d_y[.., r, c] - Σₖ d_y[.., r, k] · y[.., r, k]) for c, k ≤ r, 0 for c > r",
        operands: &["y", "d_y"],
        attributes: &[],
        constraints: &[
            "y holds f32, one tensor of at least two dimensions for each example",
            "d_y holds f32 for each example and has the dimensions of y",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[4, 7, 10], [4, 7, 10]", &[], "[4, 7, 10]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(CausalSoftmaxGradient)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        matrices(1, operands[0])?;
        shape::per_example(2, 1, operands[1])?;
        shape::same_dims(2, 1, &operands[0].dims, operands[1])?;
        Ok(operands[0].clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = causal_shape(operands[0].dims());
        let y = array::batched(operands[0], context.batch);
        let d_y = array::batched(operands[1], context.batch);
        let mut d_x = vec![0.0; y.len()];
        let rows = y.chunks(shape.columns).zip(d_y.chunks(shape.columns)).zip(d_x.chunks_mut(shape.columns));
        for (place, ((y, d_y), d_x)) in rows.enumerate() {
            let seen = seen(&shape, place);
            let mean: f64 = y.iter().zip(d_y).take(seen).map(|(y, d_y)| y * d_y).sum();
            d_x.iter_mut().zip(y).zip(d_y).take(seen).for_each(|((d_x, y), d_y)| *d_x = y * (d_y - mean));
        }
        array::per_example(context.batch, operands[0].dims(), d_x)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::CausalSoftmaxGradient(causal_shape(&operands[0].dims)))
    }

    /// Product and sum, difference and product, of about half of the places.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[4, shape::product(&result.dims)]) / 2
    }
}
