//! The sine.

use super::cos::Cos;
use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// Sine, in radians, in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Sin;

impl Operation for Sin {
    const SPEC: Spec =
        Spec { name: "sin", summary: "The sine of every element, in radians", formula: "y = sin(x)", ..UNARY };

    pointwise!(Sin, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let slope = rule.apply(Cos, &[x]);
        vec![Some(rule.multiply(d, slope))]
    }
}
