//! The smooth rectifier.

use super::pointwise::{UNARY, pointwise};
use super::sigmoid::Sigmoid;
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `ln(1 + exp(x))` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Softplus;

impl Operation for Softplus {
    const SPEC: Spec = Spec {
        name: "softplus",
        summary: "The smooth rectifier (Dugas et al., 2001), without overflow for large elements",
        formula: "y = ln(1 + exp(x))",
        ..UNARY
    };

    pointwise!(Softplus, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let slope = rule.apply(Sigmoid, &[x]);
        vec![Some(rule.multiply(d, slope))]
    }
}
