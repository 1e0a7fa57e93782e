//! The gradient of the loss of a classification.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::cross_entropy::labelled;
use super::softmax::{probabilities, softmax_shape};
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The gradient of cross-entropy for its logits. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropyGradient;

impl Operation for CrossEntropyGradient {
    const SPEC: Spec = Spec {
        name: "cross_entropy_gradient",
        summary: "The gradient of cross-entropy for its logits",
        formula: "d_logits[.., c] = (softmax(logits)[.., c] - [c = label[..]]) · d_loss[..]",
        operands: &["logits", "label", "d_loss"],
        attributes: &[],
        constraints: &[
            "logits hold f32, one tensor of at least one dimension for each example",
            "label holds indices, for each example",
            "label has the dimensions of logits without the last",
            "the bound of label equals the last dimension of logits",
            "d_loss holds f32 for each example and has the dimensions of label",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[7, 10], index(10)[7], [7]", &[], "[7, 10]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(CrossEntropyGradient)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let loss = labelled(operands[0], operands[1])?;
        shape::per_example(5, 2, operands[2])?;
        shape::same_dims(5, 2, &loss.dims, operands[2])?;
        Ok(operands[0].clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let logits = array::batched(operands[0], context.batch);
        let labels = array::batched(operands[1], context.batch);
        let d_loss = array::batched(operands[2], context.batch);
        let classes = shape::rows(operands[0].dims()).1;
        let mut d_logits = Vec::with_capacity(logits.len());
        for ((row, label), d) in logits.chunks(classes).zip(labels).zip(d_loss) {
            let mut errors = probabilities(row);
            errors[label as usize] -= 1.0;
            d_logits.extend(errors.iter().map(|error| error * d));
        }
        array::per_example(context.batch, operands[0].dims(), d_logits)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::CrossEntropyGradient(softmax_shape(&operands[0].dims)))
    }

    /// The softmax and a product for each logit.
    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[6, shape::product(&result.dims)])
    }
}
