//! Random numbers from a bell curve.

use ndarray::ArrayD;

use super::random::{DRAW, drawn};
use super::{Operation, Spec, random};
use crate::eval::{Context, Value};

/// Normally distributed numbers of mean 0 and deviation 1, drawn anew for every example, element and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Normal {
    /// Which random operation of the network it is: two draws of one number are equal.
    pub instance: u32,
    /// Dimensions for one example.
    pub dims: Vec<usize>,
}

impl Operation for Normal {
    const SPEC: Spec = Spec {
        name: "normal",
        summary: "Random numbers, normally distributed with mean 0 and deviation 1 (Box and Muller, 1958), drawn for every example, element and step; called as `normal(like: x)` or `normal([3])`",
        formula: "y[2i] = √(-2 ln u) cos 2πv, y[2i + 1] = √(-2 ln u) sin 2πv, with u and v even",
        ..DRAW
    };

    drawn!(Normal);

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        // The two numbers that a pair of elements draws decide both.
        random::each(&self.dims, context, |example, element| {
            let u = (context.uniform)(self.instance, example, element & !1) + 0.5 * random::STEP;
            let angle = std::f64::consts::TAU * (context.uniform)(self.instance, example, element | 1);
            let turned = if element % 2 == 0 { angle.cos() } else { angle.sin() };
            (-2.0 * u.ln()).sqrt() * turned
        })
    }
}
