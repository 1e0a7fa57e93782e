//! The natural logarithm.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The natural logarithm in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Log;

impl Operation for Log {
    const SPEC: Spec =
        Spec { name: "log", summary: "The natural logarithm; not a number below 0", formula: "y = ln(x)", ..UNARY };

    pointwise!(Log, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        vec![Some(rule.divide(d, x))]
    }
}
