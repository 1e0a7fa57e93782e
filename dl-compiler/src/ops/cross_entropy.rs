//! The loss of a classification.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::cross_entropy_gradient::CrossEntropyGradient;
use super::softmax::{log_sum_exp, scores, softmax_shape};
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};
use crate::program::Kernel;

/// The negative logarithm of the probability that softmax gives to the right class, for each row of logits.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy;

/// What logits and labels must meet, wherever both occur.
pub(super) const CONSTRAINTS: &[&str] = &[
    "logits hold f32, one tensor of at least one dimension for each example",
    "label holds indices, for each example",
    "label has the dimensions of logits without the last",
    "the bound of label equals the last dimension of logits",
];

impl Operation for CrossEntropy {
    const SPEC: Spec = Spec {
        name: "cross_entropy",
        summary: "The loss of a classification: how unlikely softmax holds the right class, for each row of logits",
        formula: "y[..] = ln(Σₖ exp(logits[.., k])) - logits[.., label[..]]",
        operands: &["logits", "label"],
        attributes: &[],
        constraints: CONSTRAINTS,
        callable: true,
        pointwise: false,
        examples: &[("[10], index(10)[]", &[], "[]"), ("[7, 10], index(10)[7]", &[], "[7]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(CrossEntropy)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        labelled(operands[0], operands[1])
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (logits, label, d) = (rule.operand(0), rule.operand(1), rule.d());
        vec![Some(rule.apply(CrossEntropyGradient, &[logits, label, d])), None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let logits = array::batched(operands[0], context.batch);
        let labels = array::batched(operands[1], context.batch);
        let classes = shape::rows(operands[0].dims()).1;
        let losses =
            logits.chunks(classes).zip(labels).map(|(row, label)| log_sum_exp(row) - row[label as usize]).collect();
        array::per_example(context.batch, operands[1].dims(), losses)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::CrossEntropy(softmax_shape(&operands[0].dims)))
    }

    /// Maximum, difference, exponential and sum for each logit.
    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&[4, shape::product(&operands[0].dims)])
    }
}

/// One number for each row of logits, by [`CONSTRAINTS`].
pub(super) fn labelled(logits: &Type, label: &Type) -> Result<Type, Violation> {
    scores(1, logits)?;
    let Element::Index(bound) = label.element else {
        let message = format!("expected indices, such as index(10)[], found {label}");
        return Err(Violation::new(2, 1, message));
    };
    shape::expect(label.per_example, 2, 1, "a label for each example", label)?;
    let rows = logits.dims.split_last().map(|(_, rows)| rows).unwrap_or_default();
    shape::same_dims(3, 1, rows, label)?;
    let classes = shape::rows(&logits.dims).1;
    shape::expect(bound == classes, 4, 1, format_args!("index({classes})"), label)?;
    Ok(Type::per_example(rows))
}
