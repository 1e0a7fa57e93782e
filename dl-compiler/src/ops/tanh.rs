//! The hyperbolic tangent.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The hyperbolic tangent in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Tanh;

impl Operation for Tanh {
    const SPEC: Spec = Spec {
        name: "tanh",
        summary: "The hyperbolic tangent",
        formula: "y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))",
        ..UNARY
    };

    pointwise!(Tanh, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        let one = rule.splat(1.0, y);
        let square = rule.multiply(y, y);
        let slope = rule.subtract(one, square);
        vec![Some(rule.multiply(d, slope))]
    }
}
