//! An input or label: what the caller hands over for each example.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// A field of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Which: its place among inputs and labels.
    pub field: usize,
    /// What an example holds; per example.
    pub ty: Type,
}

impl Operation for Input {
    const SPEC: Spec = Spec {
        name: "input",
        summary: "What an example holds: an input or a label, as declared",
        formula: "y = field",
        operands: &[],
        attributes: &[],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Err((0, "an input is declared, not called".to_owned()))
    }

    fn show(&self) -> String {
        self.field.to_string()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(self.ty.clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        context.fields[self.field].clone()
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
