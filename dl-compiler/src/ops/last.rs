//! What a carry is after all steps of a loop.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// The value of a carry after the last step.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// Which of its carries.
    pub index: usize,
}

impl Operation for Last {
    const SPEC: Spec = Spec {
        name: "last",
        summary: "What a carry of a scan is after the last step",
        formula: "y = next at the last step",
        operands: &["next"],
        attributes: &[
            Attribute { name: "scan", default: None, doc: "Its scan in the graph" },
            Attribute { name: "index", default: None, doc: "Which of the carries of the scan" },
        ],
        constraints: &["next holds f32"],
        callable: false,
        pointwise: false,
        examples: &[("[3]", &[("scan", Constant::Integer(0)), ("index", Constant::Integer(0))], "[3]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Last { scan: attribute::integer(attributes, 0, 0)?, index: attribute::integer(attributes, 1, 0)? })
    }

    fn show(&self) -> String {
        format!("scan: {}, index: {}", self.scan, self.index)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        shape::floats(1, 0, operands[0])?;
        Ok(Type::per_example(operands[0].dims.clone()))
    }

    /// `differentiate` knows the gradient of a loop as a whole.
    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    /// Its operand; the walk over the loop has seen all steps.
    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        operands[0].with_batch(context.batch)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
