//! Copies along axes of size 1: what broadcasting is made of.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::sum::{Sum, axes};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};
use crate::program::Kernel;

/// Neighbouring axes of size 1 become as long as wanted, all copies alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// The first of the axes.
    pub axis: usize,
    /// How long they become.
    pub dims: Vec<usize>,
}

impl Operation for Expand {
    const SPEC: Spec = Spec {
        name: "expand",
        summary: "Copies along neighbouring axes of size 1; operands that are broadcast are made of it",
        formula: "y[o, m, i] = x[o, 0, i]",
        operands: &["x"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "The first of the axes" },
            Attribute { name: "dims", default: None, doc: "How long the axes become" },
        ],
        constraints: &["x holds f32 or bool", "the axes exist and have size 1"],
        callable: true,
        pointwise: false,
        examples: &[("[3, 1, 5]", &[("axis", Constant::Integer(1)), ("dims", Constant::Integer(4))], "[3, 4, 5]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        Ok(Expand { axis, dims: attribute::integers(attributes, 1, 1)? })
    }

    fn show(&self) -> String {
        format!("axis: {}, dims: {:?}", self.axis, self.dims)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        let no_index = !matches!(x.element, Element::Index(_));
        shape::expect(no_index, 1, 0, "a tensor of f32 or bool", x)?;
        let mut dims = x.dims.clone();
        let end = self.axis.saturating_add(self.dims.len());
        let places = dims.get_mut(self.axis..end).filter(|axes| axes.iter().all(|size| *size == 1));
        let expected = format_args!("size 1 along axes {}..{end}", self.axis);
        shape::expect(places.is_some(), 2, 0, expected, x)?;
        if let Some(places) = places {
            places.copy_from_slice(&self.dims);
        }
        Ok(x.with_dims(dims))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let sum = Sum { axis: self.axis, count: self.dims.len() };
        vec![Some(rule.apply(sum, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let end = self.axis + self.dims.len();
        let dims = [&x.dims()[..self.axis], &self.dims, &x.dims()[end..]].concat();
        let axes = axes(&dims, self.axis, self.dims.len());
        let numbers = array::numbers(x).chunks(axes.inner).flat_map(|inner| inner.repeat(axes.middle)).collect();
        if x.per_example { array::per_example(context.batch, &dims, numbers) } else { array::array(&dims, numbers) }
    }

    fn lower(&self, _: &[&Type], result: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Expand(axes(&result.dims, self.axis, self.dims.len())))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
