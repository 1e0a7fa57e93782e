//! The greatest number along axes.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::divide::Divide;
use super::equal::Equal;
use super::expand::Expand;
use super::sum::{Sum, axes};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The greatest number along neighbouring axes, each kept with size 1.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxReduce {
    /// The first of the axes.
    pub axis: usize,
    /// How many there are.
    pub count: usize,
}

impl Operation for MaxReduce {
    const SPEC: Spec = Spec {
        name: "max_reduce",
        summary: "The greatest number along neighbouring axes, each kept with size 1; its gradient is shared equally by all \
                  places that hold it",
        formula: "y[o, 0, i] = maxₘ x[o, m, i]",
        operands: &["x"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "The first of the axes" },
            Attribute { name: "count", default: None, doc: "How many axes" },
        ],
        constraints: &["x holds f32", "the axes exist"],
        callable: false,
        pointwise: false,
        examples: &[("[3, 4, 5]", &[("axis", Constant::Integer(1)), ("count", Constant::Integer(2))], "[3, 1, 1]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        Ok(MaxReduce { axis, count: attribute::integer(attributes, 1, 0)? })
    }

    fn show(&self) -> String {
        self.sum().show()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        self.sum().infer(operands)
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, y, d) = (rule.operand(0), rule.result(), rule.d());
        let dims: Vec<usize> = rule.ty(x).dims.iter().skip(self.axis).take(self.count).copied().collect();
        let expand = Expand { axis: self.axis, dims };
        let (one, zero) = (rule.splat(1.0, x), rule.splat(0.0, x));
        let greatest = rule.apply(expand.clone(), &[y]);
        let holds = rule.apply(Equal, &[x, greatest]);
        let ones = rule.select(holds, one, zero);
        let ties = rule.apply(self.sum(), &[ones]);
        let share = rule.apply(Divide, &[d, ties]);
        let share = rule.apply(expand, &[share]);
        vec![Some(rule.select(holds, share, zero))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let axes = axes(x.dims(), self.axis, self.count);
        let greater = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        let numbers = array::numbers(x)
            .chunks(axes.middle * axes.inner)
            .flat_map(|block| {
                let along = |place| block.iter().skip(place).step_by(axes.inner).copied();
                (0..axes.inner).map(move |place| along(place).fold(f64::NEG_INFINITY, greater))
            })
            .collect();
        let mut dims = x.dims().to_vec();
        dims[self.axis..self.axis + self.count].fill(1);
        array::like(x, context.batch, &dims, numbers)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::MaxReduce(axes(&operands[0].dims, self.axis, self.count)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[0].dims)
    }
}

impl MaxReduce {
    /// The sum along the same axes, which has the same shape rule.
    fn sum(&self) -> Sum {
        Sum { axis: self.axis, count: self.count }
    }
}
