//! Scores to probabilities.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::softmax_gradient::SoftmaxGradient;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Kernel, SoftmaxShape};

/// Probabilities in proportion to the exponentials of scores, over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax;

impl Operation for Softmax {
    const SPEC: Spec = Spec {
        name: "softmax",
        summary: "Probabilities from scores (Bridle, 1990), over the last axis; scores of any size do not overflow",
        formula: "y[.., c] = exp(x[.., c]) / Σₖ exp(x[.., k])",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds f32, one tensor of at least one dimension for each example"],
        callable: true,
        pointwise: false,
        examples: &[("[10]", &[], "[10]"), ("[7, 10]", &[], "[7, 10]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Softmax)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        scores(1, operands[0])?;
        Ok(operands[0].clone())
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.apply(SoftmaxGradient, &[rule.result(), rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let classes = shape::rows(operands[0].dims()).1;
        let x = array::batched(operands[0], context.batch);
        let y = x.chunks(classes).flat_map(probabilities).collect();
        array::per_example(context.batch, operands[0].dims(), y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Softmax(softmax_shape(&operands[0].dims)))
    }

    /// Maximum, difference, exponential, sum, quotient.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[5, shape::product(&result.dims)])
    }
}

/// Checks operand number 0: rows of scores for each example.
pub(super) fn scores(constraint: usize, found: &Type) -> Result<(), Violation> {
    shape::per_example(constraint, 0, found)?;
    shape::expect(!found.dims.is_empty(), constraint, 0, "at least one dimension", found)
}

/// The rows of a tensor of scores.
pub(super) fn softmax_shape(dims: &[usize]) -> SoftmaxShape {
    let (rows, classes) = shape::rows(dims);
    SoftmaxShape { rows, classes }
}

/// The softmax of one row.
pub(super) fn probabilities(row: &[f64]) -> Vec<f64> {
    let normalizer = log_sum_exp(row);
    row.iter().map(|score| (score - normalizer).exp()).collect()
}

/// `ln Σ exp(x)`, by the maximum so that nothing overflows.
pub(super) fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + row.iter().map(|score| (score - most).exp()).sum::<f64>().ln()
}
