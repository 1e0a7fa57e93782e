//! Convolution the other way round: images from what a convolution would make of them.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::convolution2d::Convolution2d;
use super::convolution2d_input::Convolution2dInput;
use super::convolution2d_weight::Convolution2dWeight;
use super::window::{self, Steps};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Epilogue;

/// What the gradient of a convolution does to its result, as an operation of its own: every place of `x` paints its
/// kernel into the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution2dTranspose {
    /// Steps between the places that are painted, down and right.
    pub stride: [usize; 2],
    /// What is cut off on each side, above and below, left and right.
    pub padding: [usize; 2],
    /// Distance between the kernel's taps, down and right.
    pub dilation: [usize; 2],
    /// How many groups channels and filters fall into.
    pub groups: usize,
    /// Rows and columns more at the bottom and at the right; less than the stride.
    pub output_padding: [usize; 2],
}

impl Operation for Convolution2dTranspose {
    const SPEC: Spec = Spec {
        name: "convolution2d_transpose",
        summary: "Transposed convolution (Zeiler et al., 2010): every place of x paints its kernels into a larger image",
        formula: "y[k, r·stride + i·dilation - padding, …] = Σ weight[f, k, i, j] · x[f, r, c]",
        operands: &["x", "weight"],
        attributes: &[
            window::STRIDE,
            Attribute {
                name: "padding",
                default: Some(Constant::Integer(0)),
                doc: "How much is cut off on each side, above and below, left and right",
            },
            window::DILATION,
            window::GROUPS,
            Attribute {
                name: "output_padding",
                default: Some(Constant::Integer(0)),
                doc: "Rows and columns more, below and right: of the sizes that a convolution makes alike, which one",
            },
        ],
        constraints: &[
            "x holds f32, one [filters, height, width] for each example",
            "weight holds f32 and is batch-wide [filters, channels / groups, height, width]",
            "the first dimension of x is that of weight, and groups divides it",
            "padding leaves an image, and output_padding is smaller than the stride",
        ],
        callable: true,
        pointwise: false,
        examples: &[
            (
                "[6, 7, 7], [6, 3, 4, 4] batch-wide",
                &[("stride", Constant::Integer(2)), ("padding", Constant::Integer(1))],
                "[3, 14, 14]",
            ),
            (
                "[4, 3, 3], [4, 1, 3, 3] batch-wide",
                &[
                    ("stride", Constant::Integer(2)),
                    ("groups", Constant::Integer(2)),
                    ("output_padding", Constant::Integer(1)),
                ],
                "[2, 8, 8]",
            ),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let Steps { stride, padding, dilation, groups } = Steps::build(attributes, 0)?;
        let output_padding = attribute::pair(attributes, 4, 0)?;
        Ok(Convolution2dTranspose { stride, padding, dilation, groups, output_padding })
    }

    fn show(&self) -> String {
        let Convolution2dTranspose { stride, padding, dilation, groups, output_padding } = *self;
        let steps = Steps { stride, padding, dilation, groups }.show();
        format!("{steps}, output_padding: {output_padding:?}")
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (x, weight) = (operands[0], operands[1]);
        shape::image(1, 0, x)?;
        shape::batch_wide(2, 1, weight)?;
        let holds = weight.dims.len() == 4;
        shape::expect(holds, 2, 1, "[filters, channels / groups, height, width]", weight)?;
        let ([filters, ..], [first, ..]) = (shape::fixed::<3>(&x.dims), shape::fixed::<4>(&weight.dims));
        shape::expect(filters == first, 3, 0, format_args!("{first} as the first dimension, as {weight} has"), x)?;
        let groups = self.groups;
        let divides = filters.checked_rem(groups) == Some(0);
        shape::expect(divides, 3, 0, format_args!("filters that {groups} groups divide"), x)?;
        let input = self.input(&x.dims, &weight.dims);
        let convolved = input.as_ref().and_then(|input| input.infer(operands).ok());
        match convolved {
            Some(ty) => Ok(ty),
            None => {
                let (padding, output) = (self.padding, self.output_padding);
                let message = format!(
                    "expected padding that leaves an image and output_padding below the stride {:?}, \
                     found {padding:?} and {output:?} for {x}",
                    self.stride
                );
                Err(Violation::new(4, 0, message))
            }
        }
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (x, weight, d) = (rule.operand(0), rule.operand(1), rule.d());
        let Convolution2dTranspose { stride, padding, dilation, groups, .. } = *self;
        let [_, _, kernel @ ..] = shape::fixed::<4>(&rule.ty(weight).dims);
        let epilogue = Epilogue::default();
        let d_x = Convolution2d { stride, padding, dilation, groups, last: false, epilogue };
        let d_weight = Convolution2dWeight { kernel, stride, padding, dilation, groups };
        // Image and result have changed places.
        vec![Some(rule.apply(d_x, &[d, weight])), Some(rule.apply(d_weight, &[d, x]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        match self.input(operands[0].dims(), operands[1].dims()) {
            Some(input) => input.eval(operands, context),
            None => ArrayD::default(ndarray::IxDyn(&[])),
        }
    }

    fn lower(&self, operands: &[&Type], result: &Type) -> Lowering {
        match self.input(&operands[0].dims, &operands[1].dims) {
            Some(input) => input.lower(operands, result),
            None => Lowering::Leaf,
        }
    }

    fn flops(&self, operands: &[&Type], result: &Type) -> usize {
        let input = self.input(&operands[0].dims, &operands[1].dims);
        input.map_or(0, |input| input.flops(operands, result))
    }
}

impl Convolution2dTranspose {
    /// The gradient that computes it; `None` if there is no such image.
    fn input(&self, x: &[usize], weight: &[usize]) -> Option<Convolution2dInput> {
        let Convolution2dTranspose { stride, padding, dilation, groups, output_padding } = *self;
        let ([_, rows, columns], [_, depth, taps @ ..]) = (shape::fixed::<3>(x), shape::fixed::<4>(weight));
        let places = [rows, columns];
        let size = |axis: usize| -> Option<usize> {
            let steps = places[axis].checked_sub(1)?.checked_mul(stride[axis])?;
            let reach = taps[axis].checked_sub(1)?.checked_mul(dilation[axis])?.checked_add(1)?;
            let whole = steps.checked_add(reach)?.checked_add(output_padding[axis])?;
            whole.checked_sub(padding[axis].checked_mul(2)?).filter(|size| *size > 0)
        };
        let (height, width) = (size(0)?, size(1)?);
        let channels = depth.checked_mul(groups)?;
        let epilogue = Epilogue::default();
        Some(Convolution2dInput { channels, height, width, stride, padding, dilation, groups, epilogue })
    }
}
