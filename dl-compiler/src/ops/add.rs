//! Addition, written `a + b`.

use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `a + b` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Add;

impl Operation for Add {
    const SPEC: Spec =
        Spec { name: "add", summary: "The sum of two tensors, place by place", formula: "y = a + b", ..BINARY };

    pointwise!(Add, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.d()), Some(rule.d())]
    }
}
