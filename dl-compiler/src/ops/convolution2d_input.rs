//! The gradient of a convolution for its image.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::window::{self, Steps};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, epilogue, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Convolution2dShape, Epilogue, Kernel};

/// Spreads each gradient over the pixels its window saw. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution2dInput {
    /// Channels of the image.
    pub channels: usize,
    /// Height of the image.
    pub height: usize,
    /// Width of the image.
    pub width: usize,
    /// As in the convolution.
    pub stride: [usize; 2],
    /// As in the convolution.
    pub padding: [usize; 2],
    /// As in the convolution.
    pub dilation: [usize; 2],
    /// As in the convolution.
    pub groups: usize,
    /// Residual and mask of each result; set by the optimizer.
    pub epilogue: Epilogue,
}

impl Operation for Convolution2dInput {
    const SPEC: Spec = Spec {
        name: "convolution2d_input",
        summary: "The gradient of a convolution for its image",
        formula: "d_x[k, r·stride + i·dilation - padding, …] = Σ weight[f, k, i, j] · d_y[f, r, c]",
        operands: &["d_y", "weight"],
        attributes: &[
            Attribute { name: "channels", default: None, doc: "Channels of the image" },
            Attribute { name: "height", default: None, doc: "Height of the image" },
            Attribute { name: "width", default: None, doc: "Width of the image" },
            window::STRIDE,
            window::PADDING,
            window::DILATION,
            window::GROUPS,
        ],
        constraints: &[
            "d_y holds f32, one [filters, height, width] for each example",
            "weight holds f32 and is batch-wide [filters, channels / groups, height, width]",
            "a convolution of the image with weight has the dimensions of d_y",
            "residual and mask, if the optimizer added them, are as the result",
        ],
        callable: false,
        pointwise: false,
        examples: &[(
            "[6, 26, 26], [6, 1, 3, 3] batch-wide",
            &[("channels", Constant::Integer(1)), ("height", Constant::Integer(28)), ("width", Constant::Integer(28))],
            "[1, 28, 28]",
        )],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let channels = attribute::integer(attributes, 0, 1)?;
        let height = attribute::integer(attributes, 1, 1)?;
        let width = attribute::integer(attributes, 2, 1)?;
        let Steps { stride, padding, dilation, groups } = Steps::build(attributes, 3)?;
        let epilogue = Epilogue::default();
        Ok(Convolution2dInput { channels, height, width, stride, padding, dilation, groups, epilogue })
    }

    fn show(&self) -> String {
        let Convolution2dInput { channels, height, width, .. } = self;
        let steps = self.steps().show();
        let epilogue = epilogue::show(&self.epilogue);
        let separator = if epilogue.is_empty() { "" } else { ", " };
        format!("channels: {channels}, height: {height}, width: {width}, {steps}{separator}{epilogue}")
    }

    fn arity(&self) -> usize {
        2 + self.epilogue.operands()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (d_y, weight) = (operands[0], operands[1]);
        shape::image(1, 0, d_y)?;
        shape::batch_wide(2, 1, weight)?;
        let [filters, depth, ..] = shape::fixed::<4>(&weight.dims);
        let holds = weight.dims.len() == 4
            && self.channels.checked_div(self.groups) == Some(depth)
            && self.channels.checked_rem(self.groups) == Some(0)
            && filters.checked_rem(self.groups) == Some(0);
        shape::expect(holds, 2, 1, "[filters, channels / groups, height, width]", weight)?;
        let convolved = window::convolved(&self.shape(&weight.dims));
        let holds = convolved.is_some_and(|dims| d_y.dims == dims);
        shape::expect(holds, 3, 0, "the gradient of the convolution", d_y)?;
        let result = Type::per_example([self.channels, self.height, self.width]);
        epilogue::infer(&self.epilogue, 4, self.channels, &result, operands)?;
        Ok(result)
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None; self.arity()]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let dims = [self.channels, self.height, self.width];
        let d_y = array::batched(operands[0], context.batch);
        let weight = array::numbers(operands[1]);
        let mut d_x = vec![0.0; context.batch * shape::product(&dims)];
        let shape = self.shape(operands[1].dims());
        window::taps(&shape, context.batch, |in_x, in_weight, in_y| {
            d_x[in_x] += d_y[in_y] * weight[in_weight];
        });
        epilogue::eval(&self.epilogue, &mut d_x, operands, context.batch, 1);
        array::per_example(context.batch, &dims, d_x)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Convolution2dInput(self.shape(&operands[1].dims), self.epilogue))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        window::flops(&self.shape(&operands[1].dims))
    }
}

impl Convolution2dInput {
    fn steps(&self) -> Steps {
        let Convolution2dInput { stride, padding, dilation, groups, .. } = *self;
        Steps { stride, padding, dilation, groups }
    }

    fn shape(&self, weight: &[usize]) -> Convolution2dShape {
        let [filters, _, kernel @ ..] = shape::fixed::<4>(weight);
        self.steps().shape([self.channels, self.height, self.width], filters, kernel)
    }
}
