//! The largest element of each window.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::fused::Fused;
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
    /// What computes the image from the operands, if it is not the operand itself; the optimizer's work.
    pub prologue: Option<Fused>,
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
        Ok(MaxPool2d { kernel, stride, padding, prologue: None })
    }

    fn show(&self) -> String {
        pool::show(self.windows(), self.prologue.as_ref())
    }

    fn arity(&self) -> usize {
        self.prologue.as_ref().map_or(1, Fused::arity)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        self.windows().infer(&*pool::image(self.prologue.as_ref(), operands)?)
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        if self.prologue.is_some() {
            return vec![None; self.arity()];
        }
        let Windows { kernel, stride, padding } = self.windows();
        let gradient = MaxPool2dGradient { kernel, stride, padding, prologue: None };
        vec![Some(rule.apply(gradient, &[rule.operand(0), rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (image, x) = pool::pixels(self.prologue.as_ref(), operands, context);
        let dims = window::pooled(&self.windows().shape(&image)).unwrap_or_default();
        let y = self.windows().greatest(&image, context.batch, &x);
        array::per_example(context.batch, &dims, y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let image = self.prologue.as_ref().map_or(&operands[0].dims, |fused| &fused.ty.dims);
        let expression = self.prologue.as_ref().map(|fused| fused.expression.clone());
        Lowering::Kernel(Kernel::MaxPool2d(self.windows().shape(image), expression))
    }

    fn flops(&self, operands: &[&Type], result: &Type) -> usize {
        pool::flops(self.windows(), self.prologue.as_ref(), operands, result)
    }
}

impl MaxPool2d {
    /// Whether images of these dimensions can be computed on the way.
    pub(crate) fn takes_prologue(&self, image: &[usize]) -> bool {
        self.windows().shape(image).takes_prologue()
    }

    fn windows(&self) -> Windows {
        let MaxPool2d { kernel, stride, padding, .. } = *self;
        Windows { kernel, stride, padding }
    }
}
