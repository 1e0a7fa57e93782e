//! Division, written `a / b`.

use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `a / b` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Divide;

impl Operation for Divide {
    const SPEC: Spec =
        Spec { name: "divide", summary: "The quotient of two tensors, place by place", formula: "y = a / b", ..BINARY };

    pointwise!(Divide, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (b, y, d) = (rule.operand(1), rule.result(), rule.d());
        let d_a = rule.divide(d, b);
        let rise = rule.multiply(d_a, y);
        vec![Some(d_a), Some(rule.negate(rise))]
    }
}
