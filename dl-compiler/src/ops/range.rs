//! The numbers 0, 1, 2, …

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The whole numbers from 0 on, batch-wide: positions, from which masks and encodings are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// How many.
    pub len: usize,
}

impl Operation for Range {
    const SPEC: Spec = Spec {
        name: "range",
        summary: "The whole numbers from 0 on, the same for the whole batch: positions",
        formula: "y[i] = i",
        operands: &[],
        attributes: &[Attribute { name: "len", default: None, doc: "How many" }],
        constraints: &[],
        callable: true,
        pointwise: false,
        examples: &[("", &[("len", Constant::Integer(5))], "[5] batch-wide")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Range { len: attribute::integer(attributes, 0, 1)? })
    }

    fn show(&self) -> String {
        self.len.to_string()
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::batch_wide([self.len]))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], _: &Context<'_>) -> ArrayD<f64> {
        array::array(&[self.len], (0..self.len).map(|number| number as f64).collect())
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Range)
    }
}
