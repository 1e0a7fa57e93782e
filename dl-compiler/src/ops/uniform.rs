//! Random numbers spread evenly.

use ndarray::ArrayD;

use super::random::{DRAW, drawn};
use super::{Operation, Spec, random};
use crate::eval::{Context, Value};

/// Numbers spread evenly over [0, 1), drawn anew for every example, element and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Uniform {
    /// Which random operation of the network it is: two draws of one number are equal.
    pub instance: u32,
    /// Dimensions for one example.
    pub dims: Vec<usize>,
}

impl Operation for Uniform {
    const SPEC: Spec = Spec {
        name: "uniform",
        summary: "Random numbers spread evenly from 0 up to, not including, 1, drawn for every example, element and step; called as `uniform(like: x)` or `uniform([3])`",
        formula: "y = u, even in [0, 1) in steps of 2⁻²⁴",
        ..DRAW
    };

    drawn!(Uniform);

    fn eval(&self, _: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        random::each(&self.dims, context, |example, element| {
            random::fraction((context.uniform)(self.instance, example, element))
        })
    }
}
