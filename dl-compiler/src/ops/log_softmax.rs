//! Scores to logarithms of probabilities.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::exp::Exp;
use super::expand::Expand;
use super::softmax::{log_sum_exp, softmax_shape};
use super::sum::Sum;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The logarithm of softmax over the last axis, without the loss of small probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSoftmax;

impl Operation for LogSoftmax {
    const SPEC: Spec = Spec {
        name: "log_softmax",
        summary: "The logarithm of softmax, over the last axis; small probabilities are not lost, large scores do not overflow",
        formula: "y[.., c] = x[.., c] - ln(Σₖ exp(x[.., k]))",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds f32 and has at least one dimension"],
        callable: true,
        pointwise: false,
        examples: &[("[10]", &[], "[10]"), ("[7, 10] batch-wide", &[], "[7, 10] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(LogSoftmax)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        rows(operands[0])?;
        Ok(operands[0].clone())
    }

    /// `d_x = d - softmax(x) · Σ d`
    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        let Some((&classes, rows)) = rule.ty(y).dims.split_last() else { return vec![None] };
        let axis = rows.len();
        let total = rule.apply(Sum { axis, count: 1 }, &[d]);
        let total = rule.apply(Expand { axis, dims: vec![classes] }, &[total]);
        let probabilities = rule.apply(Exp, &[y]);
        let share = rule.multiply(probabilities, total);
        vec![Some(rule.subtract(d, share))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let row = |row: &[f64]| {
            let normalizer = log_sum_exp(row);
            row.iter().map(|score| score - normalizer).collect::<Vec<_>>()
        };
        let numbers = array::numbers(x).chunks(shape::rows(x.dims()).1).flat_map(row).collect();
        array::like(x, context.batch, x.dims(), numbers)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::LogSoftmax(softmax_shape(&operands[0].dims)))
    }

    /// Maximum, difference, exponential, sum, difference.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[5, shape::product(&result.dims)])
    }
}

/// Checks operand number 0: rows of numbers.
pub(super) fn rows(found: &Type) -> Result<(), Violation> {
    shape::floats(1, 0, found)?;
    shape::expect(!found.dims.is_empty(), 1, 0, "at least one dimension", found)
}
