//! The mean of each window.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::avg_pool2d_gradient::AvgPool2dGradient;
use super::pool::{self, Windows};
use super::{Constant, Lowering, Operation, Spec, Violation, array, shape, window};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The mean of each window of an image; what lies over the edge does not count.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2d {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps between windows, down and right.
    pub stride: [usize; 2],
    /// How far windows reach over the edge.
    pub padding: [usize; 2],
}

impl Operation for AvgPool2d {
    const SPEC: Spec = Spec {
        name: "avg_pool2d",
        summary: "The mean of each window (LeCun et al., 1998), over the pixels that lie within the image",
        formula: "y[k, r, c] = Σ x[k, r·stride + i - padding, …] / n over the n pixels of the window",
        operands: &["x"],
        attributes: pool::ATTRIBUTES,
        constraints: pool::CONSTRAINTS,
        callable: true,
        pointwise: false,
        examples: &[
            ("[6, 28, 28]", &[("kernel", Constant::Integer(2))], "[6, 14, 14]"),
            (
                "[6, 28, 28]",
                &[
                    ("kernel", Constant::Integer(3)),
                    ("stride", Constant::Integer(2)),
                    ("padding", Constant::Integer(1)),
                ],
                "[6, 14, 14]",
            ),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let Windows { kernel, stride, padding } = Windows::build(attributes, 0)?;
        Ok(AvgPool2d { kernel, stride, padding })
    }

    fn show(&self) -> String {
        self.windows().show()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        self.windows().infer(operands[0])
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let AvgPool2d { kernel, stride, padding } = *self;
        let [_, height, width] = shape::fixed(&rule.ty(rule.operand(0)).dims);
        let gradient = AvgPool2dGradient { height, width, kernel, stride, padding };
        vec![Some(rule.apply(gradient, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = self.windows().shape(operands[0].dims());
        let dims = window::pooled(&shape).unwrap_or_default();
        let x = array::batched(operands[0], context.batch);
        let mut y = vec![0.0; context.batch * shape::product(&dims)];
        window::windows(&shape, context.batch, |place, window| {
            y[place] = window.iter().map(|&pixel| x[pixel]).sum::<f64>() / window.len() as f64;
        });
        array::per_example(context.batch, &dims, y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::AvgPool2d(self.windows().shape(&operands[0].dims)))
    }

    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        self.windows().flops(result)
    }
}

impl AvgPool2d {
    fn windows(&self) -> Windows {
        let AvgPool2d { kernel, stride, padding } = *self;
        Windows { kernel, stride, padding }
    }
}
