//! The cosine.

use super::pointwise::{UNARY, pointwise};
use super::sin::Sin;
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// Cosine, in radians, in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Cos;

impl Operation for Cos {
    const SPEC: Spec =
        Spec { name: "cos", summary: "The cosine of every element, in radians", formula: "y = cos(x)", ..UNARY };

    pointwise!(Cos, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let sine = rule.apply(Sin, &[x]);
        let slope = rule.negate(sine);
        vec![Some(rule.multiply(d, slope))]
    }
}
