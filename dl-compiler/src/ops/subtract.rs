//! Subtraction, written `a - b`.

use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `a - b` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Subtract;

impl Operation for Subtract {
    const SPEC: Spec = Spec {
        name: "subtract",
        summary: "The difference of two tensors, place by place",
        formula: "y = a - b",
        ..BINARY
    };

    pointwise!(Subtract, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.d()), Some(rule.negate(rule.d()))]
    }
}
