//! Comparison, written `a == b`.

use super::pointwise::{EQUALITY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// 1 where `a = b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Equal;

impl Operation for Equal {
    const SPEC: Spec = Spec {
        name: "equal",
        summary: "Whether two elements are equal, place by place; no gradient flows",
        formula: "y = 1 if a = b, otherwise 0",
        ..EQUALITY
    };

    pointwise!(Equal, equality);

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }
}
