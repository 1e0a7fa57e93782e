//! The gradient of maximum pooling.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::fused::Fused;
use super::pool::{self, Windows};
use super::{Constant, Lowering, Operation, Spec, Violation, array, shape, window};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// Hands each window's gradient to its largest element, the first in row-major order. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2dGradient {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps between windows, down and right.
    pub stride: [usize; 2],
    /// How far windows reach over the edge.
    pub padding: [usize; 2],
    /// What computes the image from the operands before `d_y`, if it is no operand itself; the optimizer's work.
    pub prologue: Option<Fused>,
}

impl Operation for MaxPool2dGradient {
    const SPEC: Spec = Spec {
        name: "max_pool2d_gradient",
        summary: "The gradient of maximum pooling: the first of the largest elements of a window gets it",
        formula: "d_x[m] = Σ d_y[w] over the windows w whose first maximum is m",
        operands: &["x", "d_y"],
        attributes: pool::ATTRIBUTES,
        constraints: &[
            "x holds f32, one [channels, height, width] for each example",
            "padding is smaller than the kernel, along both axes",
            "the window is not larger than the padded image",
            "d_y holds f32 for each example and has the dimensions of the pooled x",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[6, 28, 28], [6, 14, 14]", &[("kernel", Constant::Integer(2))], "[6, 28, 28]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let Windows { kernel, stride, padding } = Windows::build(attributes, 0)?;
        Ok(MaxPool2dGradient { kernel, stride, padding, prologue: None })
    }

    fn show(&self) -> String {
        pool::show(self.windows(), self.prologue.as_ref())
    }

    fn arity(&self) -> usize {
        self.prologue.as_ref().map_or(1, Fused::arity) + 1
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let image = pool::image(self.prologue.as_ref(), operands)?;
        let pooled = self.windows().infer(&image)?;
        let (place, d_y) = (self.arity() - 1, operands[self.arity() - 1]);
        shape::per_example(4, place, d_y)?;
        shape::same_dims(4, place, &pooled.dims, d_y)?;
        Ok(image.into_owned())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None; self.arity()]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (image, x) = pool::pixels(self.prologue.as_ref(), operands, context);
        let d_y = array::batched(operands[self.arity() - 1], context.batch);
        let mut d_x = vec![0.0; x.len()];
        let shape = self.windows().shape(&image);
        window::windows(&shape, context.batch, |place, window| {
            let larger = |first: usize, next: usize| if x[next] > x[first] { next } else { first };
            if let Some(first) = window.iter().copied().reduce(larger) {
                d_x[first] += d_y[place];
            }
        });
        array::per_example(context.batch, &image, d_x)
    }

    fn lower(&self, _: &[&Type], result: &Type) -> Lowering {
        let expression = self.prologue.as_ref().map(|fused| fused.expression.clone());
        Lowering::Kernel(Kernel::MaxPool2dGradient(self.windows().shape(&result.dims), expression))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        pool::flops(self.windows(), self.prologue.as_ref(), operands, operands[self.arity() - 1])
    }
}

impl MaxPool2dGradient {
    /// Whether images of these dimensions can be computed on the way.
    pub(crate) fn takes_prologue(&self, image: &[usize]) -> bool {
        self.windows().shape(image).takes_prologue()
    }

    fn windows(&self) -> Windows {
        let MaxPool2dGradient { kernel, stride, padding, .. } = *self;
        Windows { kernel, stride, padding }
    }
}
