//! Random zeros and ones, such as dropout needs.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::random::Drawn;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, random};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// 1 with probability `keep`, otherwise 0; drawn anew for every example, element and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Bernoulli {
    /// The probability of a 1.
    pub keep: f64,
    /// Which random operation of the network it is: two draws of one number are equal.
    pub instance: u32,
    /// Dimensions for one example.
    pub dims: Vec<usize>,
}

impl Operation for Bernoulli {
    const SPEC: Spec = Spec {
        name: "bernoulli",
        summary: "Random zeros and ones, drawn for every example, element and step",
        formula: "y = 1 if u < keep, otherwise 0, with u even in [0, 1)",
        operands: &[],
        attributes: &[
            Attribute { name: "keep", default: None, doc: "The probability of a 1" },
            Attribute { name: "instance", default: None, doc: "Its number in the network" },
            Attribute { name: "dims", default: None, doc: "Dimensions for one example" },
        ],
        constraints: &[],
        callable: false,
        pointwise: false,
        examples: &[(
            "",
            &[("keep", Constant::Float(0.5)), ("instance", Constant::Integer(0)), ("dims", Constant::Integer(3))],
            "[3]",
        )],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let keep = attribute::float(attributes, 0)?;
        if !(0.0..=1.0).contains(&keep) {
            return Err((0, format!("expected a probability from 0 to 1, found {keep:?}")));
        }
        let Drawn { instance, dims } = Drawn::build(attributes, 1)?;
        Ok(Bernoulli { keep, instance, dims })
    }

    fn show(&self) -> String {
        format!("keep: {:?}, instance: {}", self.keep, self.instance)
    }

    fn infer(&self, _: &[&Type]) -> Result<Type, Violation> {
        Ok(Type::per_example(self.dims.clone()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        Vec::new()
    }

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        random::each(&self.dims, context, |example, element| {
            let draw = random::fraction((context.uniform)(self.instance, example, element));
            f64::from(u8::from(draw < self.keep))
        })
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Bernoulli { instance: self.instance, keep: self.keep })
    }
}
