//! The larger of two.

use super::greater_equal::GreaterEqual;
use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `max(a, b)` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Maximum;

impl Operation for Maximum {
    const SPEC: Spec = Spec {
        name: "max",
        summary: "The larger of two elements, place by place; where they are equal, the gradient goes to `a`",
        formula: "y = max(a, b)",
        callable: true,
        ..BINARY
    };

    pointwise!(Maximum, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (a, b, d) = (rule.operand(0), rule.operand(1), rule.d());
        let first = rule.apply(GreaterEqual, &[a, b]);
        let zero = rule.splat(0.0, a);
        vec![Some(rule.select(first, d, zero)), Some(rule.select(first, zero, d))]
    }
}
