//! Sums of squared deviations along axes.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::expand::Expand;
use super::sum::{Sum, axes};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The sum of squared deviations from the mean along neighbouring axes, each kept with size 1. The optimizer makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviations {
    /// The first of the axes.
    pub axis: usize,
    /// How many there are.
    pub count: usize,
}

impl Operation for Deviations {
    const SPEC: Spec = Spec {
        name: "deviations",
        summary: "The sum of squared deviations from the mean along neighbouring axes, each kept with size 1",
        formula: "y[o, 0, i] = Σₘ (x[o, m, i] - meanₘ x[o, m, i])²",
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
        let Sum { axis, count } = Sum::build(attributes)?;
        Ok(Deviations { axis, count })
    }

    fn show(&self) -> String {
        self.sum().show()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        self.sum().infer(operands)
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let dims: Vec<usize> = rule.ty(x).dims.iter().skip(self.axis).take(self.count).copied().collect();
        let share = 1.0 / shape::product(&dims) as f64;
        let expand = Expand { axis: self.axis, dims };
        let sum = rule.apply(self.sum(), &[x]);
        let share = rule.splat(share, sum);
        let mean = rule.multiply(sum, share);
        let mean = rule.apply(expand.clone(), &[mean]);
        let deviation = rule.subtract(x, mean);
        let two = rule.splat(2.0, d);
        let factor = rule.multiply(d, two);
        let factor = rule.apply(expand, &[factor]);
        vec![Some(rule.multiply(deviation, factor))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let axes = axes(x.dims(), self.axis, self.count);
        let of = |block: &[f64], place: usize| {
            let along = || block.iter().skip(place).step_by(axes.inner);
            let mean = along().sum::<f64>() / axes.middle as f64;
            along().map(|x| (x - mean).powi(2)).sum::<f64>()
        };
        let numbers = array::numbers(x)
            .chunks(axes.middle * axes.inner)
            .flat_map(|block| (0..axes.inner).map(move |place| of(block, place)))
            .collect();
        let mut dims = x.dims().to_vec();
        dims[self.axis..self.axis + self.count].fill(1);
        if x.per_example { array::per_example(context.batch, &dims, numbers) } else { array::array(&dims, numbers) }
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Deviations(axes(&operands[0].dims, self.axis, self.count)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&[4, shape::product(&operands[0].dims)])
    }
}

impl Deviations {
    fn sum(&self) -> Sum {
        Sum { axis: self.axis, count: self.count }
    }
}
