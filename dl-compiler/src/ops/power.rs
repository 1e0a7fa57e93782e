//! The power, written `a ^ b`.

use super::log::Log;
use super::pointwise::{BINARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `aᵇ` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Power;

impl Operation for Power {
    const SPEC: Spec = Spec {
        name: "power",
        summary: "`a` to the power of `b`, place by place; not a number where `a` is negative and `b` not whole",
        formula: "y = aᵇ",
        ..BINARY
    };

    pointwise!(Power, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (a, b, y, d) = (rule.operand(0), rule.operand(1), rule.result(), rule.d());
        let one = rule.splat(1.0, b);
        let less = rule.subtract(b, one);
        let lower = rule.apply(Power, &[a, less]);
        let slope = rule.multiply(b, lower);
        let d_a = rule.multiply(d, slope);
        let log = rule.apply(Log, &[a]);
        let growth = rule.multiply(y, log);
        vec![Some(d_a), Some(rule.multiply(d, growth))]
    }
}
