//! Comparison, written `a > b`.

use super::pointwise::{COMPARISON, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// 1 where `a > b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Greater;

impl Operation for Greater {
    const SPEC: Spec = Spec {
        name: "greater",
        summary: "Whether the first element is greater than the second, place by place; no gradient flows",
        formula: "y = 1 if a > b, otherwise 0",
        ..COMPARISON
    };

    pointwise!(Greater, comparison);

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }
}
