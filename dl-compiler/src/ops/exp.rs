//! The exponential function.

use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// e to the x in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Exp;

impl Operation for Exp {
    const SPEC: Spec = Spec { name: "exp", summary: "e to the power of every element", formula: "y = exp(x)", ..UNARY };

    pointwise!(Exp, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (y, d) = (rule.result(), rule.d());
        vec![Some(rule.multiply(d, y))]
    }
}
