//! Random numbers spread evenly.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::random::Drawn;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, random};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// Numbers spread evenly over [0, 1), drawn anew for every example, element and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Uniform {
    /// Which random operation of the network it is: two draws of one number are equal.
    pub instance: u32,
    /// Dimensions for one example.
    pub dims: Vec<usize>,
}

impl Operation for Uniform {
    const SPEC: Spec = Spec {
        name: "uniform",
        summary: "Random numbers spread evenly from 0 up to, not including, 1, drawn for every example, element and step; called as `uniform(like: x)` or `uniform([3])`",
        formula: "y = u, even in [0, 1) in steps of 2⁻²⁴",
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
        Ok(Uniform { instance, dims })
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
        random::each(&self.dims, context, |example, element| {
            random::fraction((context.uniform)(self.instance, example, element))
        })
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Uniform { instance: self.instance })
    }
}
