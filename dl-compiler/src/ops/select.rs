//! Choice by a condition, called `where`.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The second operand where the first holds, otherwise the third.
#[derive(Debug, Clone, PartialEq)]
pub struct Select;

impl Operation for Select {
    const SPEC: Spec = Spec {
        name: "where",
        summary: "One of two elements, place by place: `a` where the condition holds, otherwise `b`",
        formula: "y = a if condition, otherwise b",
        operands: &["condition", "a", "b"],
        constraints: &[
            "condition holds bool",
            "a and b hold f32",
            "condition, a and b have the same dimensions once broadcast",
        ],
        examples: &[("bool[3], [3], [3] batch-wide", &[], "[3]")],
        ..UNARY
    };

    pointwise!(Select, selection);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (condition, d) = (rule.operand(0), rule.d());
        let zero = rule.splat(0.0, condition);
        let d_a = rule.select(condition, d, zero);
        let d_b = rule.select(condition, zero, d);
        vec![None, Some(d_a), Some(d_b)]
    }
}
