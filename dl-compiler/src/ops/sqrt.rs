//! The square root.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The square root in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Sqrt;

impl Operation for Sqrt {
    const SPEC: Spec =
        Spec { name: "sqrt", summary: "The square root; not a number below 0", formula: "y = √x", ..UNARY };

    pointwise!(Sqrt, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        let two = rule.splat(2.0, y);
        let twice = rule.multiply(two, y);
        vec![Some(rule.divide(d, twice))]
    }
}
