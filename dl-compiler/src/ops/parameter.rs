//! A trainable tensor.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Lowering, Operation, Spec, Violation};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// A parameter of the model, batch-wide.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Which: its place among the parameters.
    pub parameter: usize,
    /// Its dimensions.
    pub dims: Vec<usize>,
}

impl Operation for Parameter {
    const SPEC: Spec = Spec {
        name: "parameter",
        summary: "A trainable tensor, as declared",
        formula: "y = parameter",
        operands: &[],
        attributes: &[
            Attribute { name: "parameter", default: None, doc: "Its place among the parameters" },
            Attribute { name: "dims", default: None, doc: "Its dimensions" },
        ],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let parameter = attribute::integer(attributes, 0, 0)?;
        Ok(Parameter { parameter, dims: attribute::integers(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        self.parameter.to_string()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::batch_wide(self.dims.clone()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        context.parameters[self.parameter].clone()
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
