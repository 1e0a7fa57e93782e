//! Scores to probabilities, where each row sees a prefix.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::causal_softmax_gradient::CausalSoftmaxGradient;
use super::softmax::probabilities;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{CausalSoftmaxShape, Kernel};

/// Softmax over the last axis, in which row i of each matrix sees the columns up to number i; 0 beyond.
#[derive(Debug, Clone, PartialEq)]
pub struct CausalSoftmax;

impl Operation for CausalSoftmax {
    const SPEC: Spec = Spec {
        name: "causal_softmax",
        summary: "Softmax over the last axis where row r sees the columns up to number r, as attention that looks back does \
                  (Vaswani et al., 2017); products around it leave out what lies above the diagonal",
        formula: "y[.., r, c] = exp(x[.., r, c]) / Σₖ exp(x[.., r, k]) for c, k ≤ r, 0 for c > r",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds f32, one tensor of at least two dimensions for each example"],
        callable: true,
        pointwise: false,
        examples: &[("[7, 7]", &[], "[7, 7]"), ("[4, 7, 10]", &[], "[4, 7, 10]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(CausalSoftmax)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        matrices(1, operands[0])?;
        Ok(operands[0].clone())
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.apply(CausalSoftmaxGradient, &[rule.result(), rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = causal_shape(operands[0].dims());
        let mut y = array::batched(operands[0], context.batch);
        for (place, row) in y.chunks_mut(shape.columns).enumerate() {
            let (seen, beyond) = row.split_at_mut(seen(&shape, place));
            seen.copy_from_slice(&probabilities(seen));
            beyond.fill(0.0);
        }
        array::per_example(context.batch, operands[0].dims(), y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::CausalSoftmax(causal_shape(&operands[0].dims)))
    }

    /// Maximum, difference, exponential, sum, quotient, of about half of the places.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[5, shape::product(&result.dims)]) / 2
    }
}

/// Checks operand number 0: matrices of scores for each example.
pub(super) fn matrices(constraint: usize, found: &Type) -> Result<(), Violation> {
    shape::per_example(constraint, 0, found)?;
    shape::expect(found.dims.len() >= 2, constraint, 0, "at least two dimensions", found)
}

/// The matrices of a tensor of scores.
pub(super) fn causal_shape(dims: &[usize]) -> CausalSoftmaxShape {
    match dims {
        [leading @ .., rows, columns] => {
            CausalSoftmaxShape { count: shape::product(leading), rows: *rows, columns: *columns }
        }
        _ => CausalSoftmaxShape { count: 1, rows: 1, columns: 1 },
    }
}

/// How many columns a row sees, counted through all matrices.
pub(super) fn seen(shape: &CausalSoftmaxShape, row: usize) -> usize {
    shape.columns.min(row % shape.rows + 1)
}
