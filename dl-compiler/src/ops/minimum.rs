//! The smaller of two.

use super::greater_equal::GreaterEqual;
use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `min(a, b)` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum;

impl Operation for Minimum {
    const SPEC: Spec = Spec {
        name: "min",
        summary: "The smaller of two elements, place by place; where they are equal, the gradient goes to `a`",
        formula: "y = min(a, b)",
        callable: true,
        ..BINARY
    };

    pointwise!(Minimum, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (a, b, d) = (rule.operand(0), rule.operand(1), rule.d());
        let first = rule.apply(GreaterEqual, &[b, a]);
        let zero = rule.splat(0.0, a);
        vec![Some(rule.select(first, d, zero)), Some(rule.select(first, zero, d))]
    }
}
