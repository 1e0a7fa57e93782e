//! Negation, written `-x`.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `-x` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Negate;

impl Operation for Negate {
    const SPEC: Spec =
        Spec { name: "negate", summary: "The negative of every element", formula: "y = -x", callable: false, ..UNARY };

    pointwise!(Negate, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.negate(rule.d()))]
    }
}
