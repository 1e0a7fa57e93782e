//! Where the greatest number of a row stands.

use ndarray::ArrayD;

use super::accuracy::largest;
use super::attribute::AttributeValue;
use super::log_softmax::rows;
use super::softmax::softmax_shape;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The place of the greatest number of each row, the first if several are, as a number. No gradient flows.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgMax;

impl Operation for ArgMax {
    const SPEC: Spec = Spec {
        name: "argmax",
        summary: "The place of the greatest number along the last axis, the first if several are, as f32",
        formula: "y[..] = the least k with x[.., k] = maxⱼ x[.., j]",
        operands: &["x"],
        attributes: &[],
        constraints: &["x holds f32 and has at least one dimension"],
        callable: true,
        pointwise: false,
        examples: &[("[10]", &[], "[]"), ("[7, 10]", &[], "[7]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(ArgMax)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        rows(x)?;
        Ok(x.with_dims(x.dims.split_last().map(|(_, rows)| rows).unwrap_or_default()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let places = array::numbers(x).chunks(shape::rows(x.dims()).1).map(|row| largest(row) as f64).collect();
        array::like(x, context.batch, &x.dims()[..x.dims().len() - 1], places)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::ArgMax(softmax_shape(&operands[0].dims)))
    }

    /// One comparison for each number.
    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[0].dims)
    }
}
