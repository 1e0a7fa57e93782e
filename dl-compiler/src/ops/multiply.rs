//! Multiplication, written `a * b`.

use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `a · b` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiply;

impl Operation for Multiply {
    const SPEC: Spec = Spec {
        name: "multiply",
        summary: "The product of two tensors, place by place",
        formula: "y = a · b",
        ..BINARY
    };

    pointwise!(Multiply, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (a, b, d) = (rule.operand(0), rule.operand(1), rule.d());
        vec![Some(rule.multiply(d, b)), Some(rule.multiply(d, a))]
    }
}
