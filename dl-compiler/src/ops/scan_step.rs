//! One step of a sequence, within a loop over its steps.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// The step of a sequence that a loop is at.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanStep {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// How many steps it has.
    pub length: usize,
}

impl Operation for ScanStep {
    const SPEC: Spec = Spec {
        name: "scan_step",
        summary: "The step of a sequence that a scan is at",
        formula: "y = x[t]",
        operands: &["x"],
        attributes: &[
            Attribute { name: "scan", default: None, doc: "Its scan in the graph" },
            Attribute { name: "length", default: None, doc: "How many steps the scan has" },
        ],
        constraints: &["the first dimension of x is the number of steps"],
        callable: false,
        pointwise: false,
        examples: &[("[4, 3]", &[("scan", Constant::Integer(0)), ("length", Constant::Integer(4))], "[3]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(ScanStep { scan: attribute::integer(attributes, 0, 0)?, length: attribute::integer(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        format!("scan: {}, length: {}", self.scan, self.length)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        let expected = format_args!("{} steps as the first dimension", self.length);
        let holds = x.dims.first() == Some(&self.length);
        shape::expect(holds, 1, 0, expected, x)?;
        Ok(Type { element: x.element, ..Type::per_example(x.dims.iter().skip(1).copied().collect::<Vec<_>>()) })
    }

    /// `differentiate` knows the gradient of a loop as a whole.
    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    /// The first step; the walk over the loop takes the others.
    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        operands[0].with_batch(context.batch).index_axis(ndarray::Axis(1), 0).to_owned()
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
