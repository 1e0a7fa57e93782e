//! The values of all steps of a loop, one above the other.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};

/// What a value is at every step of a loop.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// How many steps it has.
    pub length: usize,
}

impl Operation for Stack {
    const SPEC: Spec = Spec {
        name: "stack",
        summary: "The values of all steps of a scan, each at its place",
        formula: "y[t] = x at step t",
        operands: &["x"],
        attributes: &[
            Attribute { name: "scan", default: None, doc: "Its scan in the graph" },
            Attribute { name: "length", default: None, doc: "How many steps the scan has" },
        ],
        constraints: &["x holds no indices"],
        callable: false,
        pointwise: false,
        examples: &[("[3]", &[("scan", Constant::Integer(0)), ("length", Constant::Integer(4))], "[4, 3]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Stack { scan: attribute::integer(attributes, 0, 0)?, length: attribute::integer(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        format!("scan: {}, length: {}", self.scan, self.length)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        let holds = !matches!(x.element, Element::Index(_));
        shape::expect(holds, 1, 0, "a tensor of f32", x)?;
        let mut dims = vec![self.length];
        dims.extend(&x.dims);
        Ok(Type { element: x.element, ..Type::per_example(dims) })
    }

    /// `differentiate` knows the gradient of a loop as a whole.
    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    /// As many copies of a value that is the same at every step; the walk over the loop knows the others.
    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0].with_batch(context.batch);
        let copies = vec![x.view(); self.length];
        ndarray::stack(ndarray::Axis(1), &copies).unwrap_or(x)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Leaf
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
