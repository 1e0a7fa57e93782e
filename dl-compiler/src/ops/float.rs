//! Indices and truth values as numbers.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};
use crate::program::Kernel;

/// The same whole numbers as `f32`; truth values are 1 and 0. No gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Float;

impl Operation for Float {
    const SPEC: Spec = Spec {
        name: "float",
        summary: "Indices or truth values as f32, true as 1 and false as 0; indices above 2²⁴ are rounded",
        formula: "y = x",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds indices or bool"],
        callable: true,
        pointwise: false,
        examples: &[("index(10)[7]", &[], "[7]"), ("bool[2] batch-wide", &[], "[2] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Float)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::expect(x.element != Element::F32, 1, 0, "indices or bool", x)?;
        Ok(Type { element: Element::F32, ..x.clone() })
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn eval(&self, operands: &[&Value], _: &Context<'_>) -> ArrayD<f64> {
        operands[0].array.clone()
    }

    fn lower(&self, operands: &[&Type], result: &Type) -> Lowering {
        match operands[0].element {
            Element::Index(_) => Lowering::Kernel(Kernel::Float(shape::product(&result.dims))),
            // Truth values are held as 1.0 and 0.0 already.
            _ => Lowering::View,
        }
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
