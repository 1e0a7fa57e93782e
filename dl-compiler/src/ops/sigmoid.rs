//! The logistic function.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// `1 / (1 + exp(-x))` in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Sigmoid;

impl Operation for Sigmoid {
    const SPEC: Spec =
        Spec { name: "sigmoid", summary: "The logistic function", formula: "y = 1 / (1 + exp(-x))", ..UNARY };

    pointwise!(Sigmoid, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        let one = rule.splat(1.0, y);
        let rest = rule.subtract(one, y);
        let slope = rule.multiply(y, rest);
        vec![Some(rule.multiply(d, slope))]
    }
}
