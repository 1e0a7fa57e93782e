//! Comparison, written `a != b`.

use super::pointwise::{EQUALITY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// 1 where `a ≠ b`.
#[derive(Debug, Clone, PartialEq)]
pub struct NotEqual;

impl Operation for NotEqual {
    const SPEC: Spec = Spec {
        name: "not_equal",
        summary: "Whether two elements differ, place by place; no gradient flows",
        formula: "y = 1 if a ≠ b, otherwise 0",
        ..EQUALITY
    };

    pointwise!(NotEqual, equality);

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }
}
