//! Random numbers from a bell curve.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::random::Drawn;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, random};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// Normally distributed numbers of mean 0 and deviation 1, drawn anew for every example, element and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Normal {
    /// Which random operation of the network it is: two draws of one number are equal.
    pub instance: u32,
    /// Dimensions for one example.
    pub dims: Vec<usize>,
}

impl Operation for Normal {
    const SPEC: Spec = Spec {
        name: "normal",
        summary: "Random numbers, normally distributed with mean 0 and deviation 1 (Box and Muller, 1958), drawn for every example, element and step; called as `normal(like: x)` or `normal([3])`",
        formula: "y[2i] = √(-2 ln u) cos 2πv, y[2i + 1] = √(-2 ln u) sin 2πv, with u and v even",
        operands: &[],
        attributes: &[
            Attribute { name: "instance", default: None, doc: "Its number in the network" },
            Attribute { name: "dims", default: None, doc: "Dimensions for one example" },
        ],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[("", &[("instance", Constant::Integer(0)), ("dims", Constant::Integer(3))], "[3]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let Drawn { instance, dims } = Drawn::build(attributes, 0)?;
        Ok(Normal { instance, dims })
    }

    fn show(&self) -> String {
        format!("instance: {}", self.instance)
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::per_example(self.dims.clone()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        // The two numbers that a pair of elements draws decide both.
        random::each(&self.dims, context, |example, element| {
            let u = (context.uniform)(self.instance, example, element & !1) + 0.5 * random::STEP;
            let angle = std::f64::consts::TAU * (context.uniform)(self.instance, example, element | 1);
            let turned = if element % 2 == 0 { angle.cos() } else { angle.sin() };
            (-2.0 * u.ln()).sqrt() * turned
        })
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Normal { instance: self.instance })
    }
}
