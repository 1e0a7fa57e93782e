//! The absolute value.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The absolute value in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Abs;

impl Operation for Abs {
    const SPEC: Spec =
        Spec { name: "abs", summary: "The absolute value; its slope at 0 is 0", formula: "y = |x|", ..UNARY };

    pointwise!(Abs, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let zero = rule.splat(0.0, x);
        let above = rule.greater(x, zero);
        let below = rule.greater(zero, x);
        let opposite = rule.negate(d);
        let otherwise = rule.select(below, opposite, zero);
        vec![Some(rule.select(above, d, otherwise))]
    }
}
