//! Other dimensions for the same elements.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// The same elements in the same order under other dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Reshape {
    /// The new dimensions.
    pub dims: Vec<usize>,
}

impl Operation for Reshape {
    const SPEC: Spec = Spec {
        name: "reshape",
        summary: "The same elements in the same order under other dimensions; nothing is copied",
        formula: "y[i] = x[i], counted in row-major order",
        operands: &["x"],
        attributes: &[Attribute { name: "dims", default: None, doc: "The new dimensions" }],
        constraints: &["the number of elements stays the same"],
        callable: true,
        pointwise: false,
        examples: &[
            ("[3, 4]", &[("dims", Constant::Integer(12))], "[12]"),
            ("[4, 2] batch-wide", &[("dims", Constant::Integer(8))], "[8] batch-wide"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Reshape { dims: attribute::integers(attributes, 0, 1)? })
    }

    fn show(&self) -> String {
        format!("{:?}", self.dims)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (found, wanted) = (shape::elements(&operands[0].dims), shape::elements(&self.dims));
        let holds = wanted.is_some() && wanted == found;
        let expected = match wanted {
            Some(count) => format!("{count} elements, as {:?} has", self.dims),
            None => format!("as many elements as {:?} has", self.dims),
        };
        shape::expect(holds, 1, 0, expected, operands[0])?;
        Ok(operands[0].with_dims(self.dims.clone()))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let dims = rule.ty(rule.operand(0)).dims.clone();
        vec![Some(rule.apply(Reshape { dims }, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let numbers = array::numbers(operands[0]);
        if operands[0].per_example {
            array::per_example(context.batch, &self.dims, numbers)
        } else {
            array::array(&self.dims, numbers)
        }
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::View
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
