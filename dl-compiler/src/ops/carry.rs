//! What a loop hands from step to step, as a step finds it.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// A value that goes from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// Which of its carries.
    pub index: usize,
}

impl Operation for Carry {
    const SPEC: Spec = Spec {
        name: "carry",
        summary: "What a scan hands from step to step, as a step finds it",
        formula: "y = initial at the first step, then what `next` was at the step before",
        operands: &["initial"],
        attributes: &[
            Attribute { name: "scan", default: None, doc: "Its scan in the graph" },
            Attribute { name: "index", default: None, doc: "Which of the carries of the scan" },
        ],
        constraints: &["initial holds f32"],
        callable: false,
        pointwise: false,
        examples: &[("[3] batch-wide", &[("scan", Constant::Integer(0)), ("index", Constant::Integer(0))], "[3]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Carry { scan: attribute::integer(attributes, 0, 0)?, index: attribute::integer(attributes, 1, 0)? })
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

    /// The first value; the walk over the loop knows the others.
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
