//! The largest element of each window.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::max_pool2d_gradient::MaxPool2dGradient;
use super::pool::{self, Windows};
use super::{Constant, Lowering, Operation, Spec, Violation, array, window};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// The largest element of each window of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2d {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps between windows, down and right.
    pub stride: [usize; 2],
    /// How far windows reach over the edge.
    pub padding: [usize; 2],
}

impl Operation for MaxPool2d {
    const SPEC: Spec = Spec {
        name: "max_pool2d",
        summary: "The largest element of each window",
        formula: "y[k, r, c] = max x[k, r·stride + i - padding, …] over the window",
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
        Ok(MaxPool2d { kernel, stride, padding })
    }

    fn show(&self) -> String {
        self.windows().show()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        self.windows().infer(operands[0])
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let MaxPool2d { kernel, stride, padding } = *self;
        let gradient = MaxPool2dGradient { kernel, stride, padding };
        vec![Some(rule.apply(gradient, &[rule.operand(0), rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = self.windows().shape(operands[0].dims());
        let dims = window::pooled(&shape).unwrap_or_default();
        let x = array::batched(operands[0], context.batch);
        let y = self.windows().greatest(operands[0].dims(), context.batch, &x);
        array::per_example(context.batch, &dims, y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::MaxPool2d(self.windows().shape(&operands[0].dims)))
    }

    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        self.windows().flops(result)
    }
}

impl MaxPool2d {
    fn windows(&self) -> Windows {
        let MaxPool2d { kernel, stride, padding } = *self;
        Windows { kernel, stride, padding }
    }
}
