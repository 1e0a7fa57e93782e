//! Indices as rows of zeros with a single one.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::gather::indices;
use super::softmax::softmax_shape;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// For each index a row of `classes` numbers: 1 at the index, otherwise 0. No gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct OneHot {
    /// The length of a row.
    pub classes: usize,
}

impl Operation for OneHot {
    const SPEC: Spec = Spec {
        name: "one_hot",
        summary: "For each index a row of numbers: 1 at the index, 0 elsewhere",
        formula: "y[.., k] = 1 if k = x[..], otherwise 0",
        operands: &["x"],
        attributes: &[Attribute { name: "classes", default: None, doc: "The length of a row" }],
        constraints: &["x holds indices, for each example", "the bound of x is at most the length of a row"],
        callable: true,
        pointwise: false,
        examples: &[
            ("index(10)[]", &[("classes", Constant::Integer(10))], "[10]"),
            ("index(4)[7]", &[("classes", Constant::Integer(5))], "[7, 5]"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(OneHot { classes: attribute::integer(attributes, 0, 1)? })
    }

    fn show(&self) -> String {
        format!("classes: {}", self.classes)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        let bound = indices(1, 0, x)?;
        let classes = self.classes;
        shape::expect(bound <= classes, 2, 0, format_args!("indices below {classes}"), x)?;
        Ok(Type::per_example([&x.dims, [classes].as_slice()].concat()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let row = |index: f64| (0..self.classes).map(move |class| f64::from(u8::from(class == index as usize)));
        let y = array::batched(x, context.batch).into_iter().flat_map(row).collect();
        array::per_example(context.batch, &[x.dims(), &[self.classes]].concat(), y)
    }

    fn lower(&self, _: &[&Type], result: &Type) -> Lowering {
        Lowering::Kernel(Kernel::OneHot(softmax_shape(&result.dims)))
    }
}
