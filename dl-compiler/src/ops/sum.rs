//! Sums along axes.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::expand::Expand;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{AxisShape, Kernel};

/// The sum along neighbouring axes, each kept with size 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// The first of the axes.
    pub axis: usize,
    /// How many there are.
    pub count: usize,
}

impl Operation for Sum {
    const SPEC: Spec = Spec {
        name: "sum",
        summary: "The sum along neighbouring axes, each kept with size 1",
        formula: "y[o, 0, i] = Σₘ x[o, m, i]",
        operands: &["x"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "The first of the axes" },
            Attribute { name: "count", default: None, doc: "How many axes are summed" },
        ],
        constraints: &["x holds f32", "the axes exist"],
        callable: false,
        pointwise: false,
        examples: &[("[3, 4, 5]", &[("axis", Constant::Integer(1)), ("count", Constant::Integer(2))], "[3, 1, 1]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        Ok(Sum { axis, count: attribute::integer(attributes, 1, 0)? })
    }

    fn show(&self) -> String {
        format!("axis: {}, count: {}", self.axis, self.count)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::floats(1, 0, x)?;
        let mut dims = x.dims.clone();
        let end = self.axis.saturating_add(self.count);
        let places = dims.get_mut(self.axis..end);
        shape::expect(places.is_some(), 2, 0, format_args!("at least {end} axes"), x)?;
        if let Some(places) = places {
            places.fill(1);
        }
        Ok(x.with_dims(dims))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let x = &rule.ty(rule.operand(0)).dims;
        let dims = x.iter().skip(self.axis).take(self.count).copied().collect();
        vec![Some(rule.apply(Expand { axis: self.axis, dims }, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let axes = axes(x.dims(), self.axis, self.count);
        let numbers = array::numbers(x)
            .chunks(axes.middle * axes.inner)
            .flat_map(|block| (0..axes.inner).map(|place| block.iter().skip(place).step_by(axes.inner).sum()))
            .collect();
        let mut dims = x.dims().to_vec();
        dims[self.axis..self.axis + self.count].fill(1);
        if x.per_example { array::per_example(context.batch, &dims, numbers) } else { array::array(&dims, numbers) }
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Sum(axes(&operands[0].dims, self.axis, self.count)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[0].dims)
    }
}

/// Dimensions seen as what comes before `count` axes from `axis` on, the axes, and what comes behind.
pub(super) fn axes(dims: &[usize], axis: usize, count: usize) -> AxisShape {
    let start = axis.min(dims.len());
    let end = start.saturating_add(count).min(dims.len());
    AxisShape {
        outer: shape::product(&dims[..start]),
        middle: shape::product(&dims[start..end]),
        inner: shape::product(&dims[end..]),
    }
}
