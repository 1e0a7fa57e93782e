//! The error function.

use std::f64::consts::FRAC_2_SQRT_PI;

use super::exp::Exp;
use super::pointwise::{UNARY, pointwise};
use super::{Operation, Spec};
use crate::gradient::Rule;
use crate::graph::NodeId;

/// The error function in every place.
#[derive(Debug, Clone, PartialEq)]
pub struct Erf;

impl Operation for Erf {
    const SPEC: Spec = Spec {
        name: "erf",
        summary: "The error function, of which GELU is made (Hendrycks and Gimpel, 2016)",
        formula: "y = 2/√π · ∫₀ˣ exp(-t²) dt",
        ..UNARY
    };

    pointwise!(Erf, arithmetic);

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, d) = (rule.operand(0), rule.d());
        let square = rule.multiply(x, x);
        let exponent = rule.negate(square);
        let bell = rule.apply(Exp, &[exponent]);
        let scale = rule.splat(FRAC_2_SQRT_PI, x);
        let slope = rule.multiply(bell, scale);
        vec![Some(rule.multiply(d, slope))]
    }
}
