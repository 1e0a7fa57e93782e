//! A tensor that training updates without a gradient, such as a running mean.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Lowering, Operation, Spec, Violation};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// A state of the model, batch-wide: in every example what it held when the step began.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Which: its place among the states.
    pub state: usize,
    /// Its dimensions.
    pub dims: Vec<usize>,
}

impl Operation for State {
    const SPEC: Spec = Spec {
        name: "state",
        summary: "A tensor that training updates and no gradient flows to, as it was when the step began",
        formula: "y = state",
        operands: &[],
        attributes: &[
            Attribute { name: "state", default: None, doc: "Its place among the states" },
            Attribute { name: "dims", default: None, doc: "Its dimensions" },
        ],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let state = attribute::integer(attributes, 0, 0)?;
        Ok(State { state, dims: attribute::integers(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        self.state.to_string()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::batch_wide(self.dims.clone()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        context.states[self.state].clone()
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
