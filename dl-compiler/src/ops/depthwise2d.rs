//! Convolution of images whose channels come last, each by itself.

use ndarray::ArrayD;

use super::window::{self, Steps};
use super::{AttributeValue, Constant, Lowering, Operation, Spec, Violation, array, attribute, epilogue, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Convolution2dShape, Epilogue, Kernel};

/// Cross-correlation of each channel of `[height, width, channels]` with its own of `[height, width, channels]` taps. The
/// optimizer makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Depthwise2d {
    /// Steps between places, down and right.
    pub stride: [usize; 2],
    /// Zeros on each side, above and below, left and right.
    pub padding: [usize; 2],
    /// Distance between the kernel's taps, down and right.
    pub dilation: [usize; 2],
    /// What is done to each result; set by the optimizer.
    pub epilogue: Epilogue,
}

impl Operation for Depthwise2d {
    const SPEC: Spec = Spec {
        name: "depthwise2d",
        summary: "Convolution of images whose channels come last, each channel by itself (Howard et al., 2017)",
        formula: "y[r, c, k] = Σ weight[i, j, k] · x[r·stride + i·dilation - padding, …, k]",
        operands: &["x", "weight"],
        attributes: &[window::STRIDE, window::PADDING, window::DILATION],
        constraints: &[
            "x holds f32, one [height, width, channels] for each example",
            "weight holds f32 and is batch-wide [height, width, channels], with the channels of x",
            "the kernel, with its dilation, is not larger than the padded image",
            "bias, if the optimizer added one, is batch-wide with one number for each channel; residual and mask are as the result",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[9, 8, 16], [3, 3, 16] batch-wide", &[("stride", Constant::Integer(2))], "[4, 3, 16]")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Depthwise2d {
            stride: attribute::pair(attributes, 0, 1)?,
            padding: attribute::pair(attributes, 1, 0)?,
            dilation: attribute::pair(attributes, 2, 1)?,
            epilogue: Epilogue::default(),
        })
    }

    fn show(&self) -> String {
        let Depthwise2d { stride, padding, dilation, .. } = self;
        let epilogue = epilogue::show(&self.epilogue);
        let separator = if epilogue.is_empty() { "" } else { ", " };
        format!("stride: {stride:?}, padding: {padding:?}, dilation: {dilation:?}{separator}{epilogue}")
    }

    fn arity(&self) -> usize {
        2 + self.epilogue.operands()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (x, weight) = (operands[0], operands[1]);
        let [.., channels] = shape::image(1, 0, x)?;
        shape::batch_wide(2, 1, weight)?;
        let fits = weight.dims.len() == 3 && weight.dims[2] == channels;
        shape::expect(fits, 2, 1, format_args!("[height, width, {channels}]"), weight)?;
        let shape = self.shape(&x.dims, &weight.dims);
        let Some([_, height, width]) = window::convolved(&shape) else {
            let message = format!("expected an image of at least the size of the {:?} kernel, found {x}", shape.kernel);
            return Err(Violation::new(3, 0, message));
        };
        let result = Type::per_example([height, width, channels]);
        epilogue::infer(&self.epilogue, 4, channels, &result, operands)?;
        Ok(result)
    }

    /// It is made after differentiation, so no gradient flows through one.
    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None; self.arity()]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = self.shape(operands[0].dims(), operands[1].dims());
        let [channels, height, width] = window::convolved(&shape).unwrap_or_default();
        let x = array::batched(operands[0], context.batch);
        let weight = array::numbers(operands[1]);
        let mut results = vec![0.0; context.batch * channels * height * width];
        let last = |at, pixels| window::last(at, channels, pixels);
        let taps = shape.kernel[0] * shape.kernel[1];
        window::taps(&shape, context.batch, |in_x, in_weight, in_y| {
            let product = x[last(in_x, shape.height * shape.width)] * weight[last(in_weight, taps)];
            results[last(in_y, height * width)] += product;
        });
        epilogue::eval(&self.epilogue, &mut results, operands, context.batch, 1);
        array::per_example(context.batch, &[height, width, channels], results)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::Depthwise2d(shape, self.epilogue))
    }

    fn flops(&self, operands: &[&Type], result: &Type) -> usize {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        window::flops(&shape).saturating_add(epilogue::flops(&self.epilogue, result.len()))
    }
}

impl Depthwise2d {
    /// The whole shape of a convolution of x by the weight, by their dimensions.
    fn shape(&self, x: &[usize], weight: &[usize]) -> Convolution2dShape {
        let Depthwise2d { stride, padding, dilation, .. } = *self;
        let ([height, width, channels], [down, right, _]) = (shape::fixed(x), shape::fixed(weight));
        let steps = Steps { stride, padding, dilation, groups: channels };
        steps.shape([channels, height, width], channels, [down, right])
    }
}
