//! The rectifier.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `max(x, 0)` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Relu;

impl Operation for Relu {
    const SPEC: Spec = Spec {
        name: "relu",
        summary: "The rectifier (Nair and Hinton, 2010); its slope at 0 is 0",
        formula: "y = max(x, 0)",
        ..UNARY
    };

    pointwise!(Relu, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        let zero = rule.splat(0.0, y);
        let passes = rule.greater(y, zero);
        vec![Some(rule.select(passes, d, zero))]
    }
}
