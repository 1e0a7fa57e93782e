//! The gradient of mean pooling.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::pool::{self, Windows};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape, window};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Kernel, Pool2dShape};

/// Shares each window's gradient evenly among its pixels. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2dGradient {
    /// Height of the image.
    pub height: usize,
    /// Width of the image.
    pub width: usize,
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps between windows, down and right.
    pub stride: [usize; 2],
    /// How far windows reach over the edge.
    pub padding: [usize; 2],
}

const KERNEL: Attribute = pool::ATTRIBUTES[0];
const STRIDE: Attribute = Attribute { default: Some(Constant::SameAs(2)), ..pool::ATTRIBUTES[1] };
const PADDING: Attribute = pool::ATTRIBUTES[2];

impl Operation for AvgPool2dGradient {
    const SPEC: Spec = Spec {
        name: "avg_pool2d_gradient",
        summary: "The gradient of mean pooling: the pixels of a window share it evenly",
        formula: "d_x[m] = Σ d_y[w] / n over the windows w that hold m and n - 1 other pixels",
        operands: &["d_y"],
        attributes: &[
            Attribute { name: "height", default: None, doc: "Height of the image" },
            Attribute { name: "width", default: None, doc: "Width of the image" },
            KERNEL,
            STRIDE,
            PADDING,
        ],
        constraints: &[
            "d_y holds f32, one [channels, height, width] for each example",
            "padding is smaller than the kernel, along both axes",
            "the window is not larger than the padded image",
            "d_y has the dimensions of the pooled image",
        ],
        callable: false,
        pointwise: false,
        examples: &[(
            "[6, 14, 14]",
            &[("height", Constant::Integer(28)), ("width", Constant::Integer(28)), ("kernel", Constant::Integer(2))],
            "[6, 28, 28]",
        )],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let height = attribute::integer(attributes, 0, 1)?;
        let width = attribute::integer(attributes, 1, 1)?;
        let Windows { kernel, stride, padding } = Windows::build(attributes, 2)?;
        Ok(AvgPool2dGradient { height, width, kernel, stride, padding })
    }

    fn show(&self) -> String {
        let AvgPool2dGradient { height, width, .. } = self;
        format!("height: {height}, width: {width}, {}", self.windows().show())
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let [channels, ..] = shape::image(1, 0, operands[0])?;
        let x = Type::per_example([channels, self.height, self.width]);
        let pooled = self.windows().infer(&x)?;
        shape::same_dims(4, 0, &pooled.dims, operands[0])?;
        Ok(x)
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let d_y = array::batched(operands[0], context.batch);
        let shape = self.shape(operands[0].dims());
        let dims = [shape.channels, shape.height, shape.width];
        let mut d_x = vec![0.0; context.batch * shape::product(&dims)];
        window::windows(&shape, context.batch, |place, window| {
            for &pixel in window {
                d_x[pixel] += d_y[place] / window.len() as f64;
            }
        });
        array::per_example(context.batch, &dims, d_x)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::AvgPool2dGradient(self.shape(&operands[0].dims)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        self.windows().flops(operands[0])
    }
}

impl AvgPool2dGradient {
    fn windows(&self) -> Windows {
        let AvgPool2dGradient { kernel, stride, padding, .. } = *self;
        Windows { kernel, stride, padding }
    }

    fn shape(&self, d_y: &[usize]) -> Pool2dShape {
        let [channels, ..] = shape::fixed::<3>(d_y);
        self.windows().shape(&[channels, self.height, self.width])
    }
}
