//! How often the largest logit is the right one.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::cross_entropy::{CONSTRAINTS, labelled};
use super::softmax::softmax_shape;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// 1 where the largest logit, the first if several are, is that of the label; otherwise 0. No gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy;

impl Operation for Accuracy {
    const SPEC: Spec = Spec {
        name: "accuracy",
        summary: "Whether the largest logit of a row, the first if several are, is the label's; no gradient flows",
        formula: "y[..] = 1 if argmaxₖ logits[.., k] = label[..], otherwise 0",
        operands: &["logits", "label"],
        attributes: &[],
        constraints: CONSTRAINTS,
        callable: true,
        pointwise: false,
        examples: &[("[10], index(10)[]", &[], "[]"), ("[7, 10], index(10)[7]", &[], "[7]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Accuracy)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        labelled(operands[0], operands[1])
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let logits = array::batched(operands[0], context.batch);
        let labels = array::batched(operands[1], context.batch);
        let classes = shape::rows(operands[0].dims()).1;
        let hits = logits
            .chunks(classes)
            .zip(labels)
            .map(|(row, label)| f64::from(u8::from(largest(row) == label as usize)))
            .collect();
        array::per_example(context.batch, operands[1].dims(), hits)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Accuracy(softmax_shape(&operands[0].dims)))
    }

    /// One comparison for each logit.
    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[0].dims)
    }
}

/// The place of the largest number, the first if several are.
pub(super) fn largest(row: &[f64]) -> usize {
    (0..row.len()).reduce(|best, next| if row[next] > row[best] { next } else { best }).unwrap_or(0)
}
