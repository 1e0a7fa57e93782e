//! A constant: one number in every place of a tensor.

use ndarray::{ArrayD, IxDyn};

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// One number everywhere, batch-wide.
#[derive(Debug, Clone, PartialEq)]
pub struct Splat {
    /// The number.
    pub value: f64,
    /// The dimensions.
    pub dims: Vec<usize>,
}

impl Operation for Splat {
    const SPEC: Spec = Spec {
        name: "constant",
        summary: "One number in every place, the same for the whole batch",
        formula: "y = value",
        operands: &[],
        attributes: &[
            Attribute { name: "value", default: None, doc: "The number" },
            Attribute { name: "dims", default: None, doc: "The dimensions" },
        ],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[("", &[("value", Constant::Float(0.5)), ("dims", Constant::Integer(3))], "[3] batch-wide")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let value = attribute::float(attributes, 0)?;
        Ok(Splat { value, dims: attribute::integers(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        format!("{:?}", self.value)
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::batch_wide(self.dims.clone()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], _: &Context<'_>) -> ArrayD<f64> {
        ArrayD::from_elem(IxDyn(&self.dims), self.value)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
