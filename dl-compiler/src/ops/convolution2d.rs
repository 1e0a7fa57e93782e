//! Convolution of images.

use ndarray::ArrayD;

use super::convolution2d_input::Convolution2dInput;
use super::convolution2d_weight::Convolution2dWeight;
use super::window::{self, Steps};
use super::{AttributeValue, Constant, Lowering, Operation, Spec, Violation, array, epilogue, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Convolution2dShape, Epilogue, Kernel};

/// Cross-correlation of `[channels, height, width]` with `[filters, channels / groups, height, width]`.
///
/// It can be differentiated once: its gradients have none of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution2d {
    /// Steps between places, down and right.
    pub stride: [usize; 2],
    /// Zeros on each side, above and below, left and right.
    pub padding: [usize; 2],
    /// Distance between the kernel's taps, down and right.
    pub dilation: [usize; 2],
    /// How many groups channels and filters fall into.
    pub groups: usize,
    /// Whether the channels of the result come last; set by the optimizer.
    pub last: bool,
    /// What is done to each result; set by the optimizer.
    pub epilogue: Epilogue,
}

impl Default for Convolution2d {
    /// Every place once, without padding.
    fn default() -> Convolution2d {
        let epilogue = Epilogue::default();
        Convolution2d { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1, last: false, epilogue }
    }
}

impl Operation for Convolution2d {
    const SPEC: Spec = Spec {
        name: "convolution2d",
        summary: "Convolution of images (LeCun et al., 1989), as cross-correlation: the kernel is not flipped",
        formula: "y[f, r, c] = Σ weight[f, k, i, j] · x[k, r·stride + i·dilation - padding, …]",
        operands: &["x", "weight"],
        attributes: &[window::STRIDE, window::PADDING, window::DILATION, window::GROUPS],
        constraints: &[
            "x holds f32, one [channels, height, width] for each example",
            "weight holds f32 and is batch-wide [filters, channels / groups, height, width]",
            "groups divides the channels of x and the filters of weight",
            "the second dimension of weight is channels / groups",
            "the kernel, with its dilation, is not larger than the padded image",
            "bias, if the optimizer added one, is batch-wide with one number for each filter; residual and mask are as the result",
        ],
        callable: true,
        pointwise: false,
        examples: &[
            ("[1, 28, 28], [6, 1, 5, 5] batch-wide", &[("padding", Constant::Integer(2))], "[6, 28, 28]"),
            (
                "[4, 9, 8], [6, 2, 3, 3] batch-wide",
                &[
                    ("stride", Constant::Integer(2)),
                    ("dilation", Constant::Integer(2)),
                    ("groups", Constant::Integer(2)),
                ],
                "[6, 3, 2]",
            ),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let Steps { stride, padding, dilation, groups } = Steps::build(attributes, 0)?;
        let epilogue = Epilogue::default();
        Ok(Convolution2d { stride, padding, dilation, groups, last: false, epilogue })
    }

    fn show(&self) -> String {
        let epilogue = epilogue::show(&self.epilogue);
        let separator = if epilogue.is_empty() { "" } else { ", " };
        let last = if self.last { ", channels last" } else { "" };
        format!("{}{last}{separator}{epilogue}", self.steps().show())
    }

    fn arity(&self) -> usize {
        2 + self.epilogue.operands()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (x, weight) = (operands[0], operands[1]);
        let [channels, ..] = shape::image(1, 0, x)?;
        shape::batch_wide(2, 1, weight)?;
        let holds = weight.dims.len() == 4;
        shape::expect(holds, 2, 1, "[filters, channels / groups, height, width]", weight)?;
        let [filters, depth, ..] = shape::fixed::<4>(&weight.dims);
        let groups = self.groups;
        let channels_in_group = |count: usize| count.checked_rem(groups) == Some(0);
        let expected = format_args!("channels that {groups} groups divide");
        shape::expect(channels_in_group(channels), 3, 0, expected, x)?;
        let expected = format_args!("filters that {groups} groups divide");
        shape::expect(channels_in_group(filters), 3, 1, expected, weight)?;
        let wanted = channels / groups;
        let expected = format_args!("{wanted} as the second dimension (channels / groups)");
        shape::expect(depth == wanted, 4, 1, expected, weight)?;
        let shape = self.shape(&x.dims, &weight.dims);
        let Some(dims) = window::convolved(&shape) else {
            let message = format!(
                "expected an image of at least the size of the {:?} kernel, found {x} \
                 (padding {:?}, dilation {:?})",
                shape.kernel, shape.padding, shape.dilation,
            );
            return Err(Violation::new(5, 0, message));
        };
        let result = Type::per_example(self.ordered(dims));
        epilogue::infer(&self.epilogue, 6, filters, &result, operands)?;
        Ok(Type::per_example(self.ordered(epilogue::pooled(&self.epilogue, dims))))
    }

    /// Those with an epilogue or with channels last are made after differentiation, so no gradient flows through one.
    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        if self.last || self.epilogue != Epilogue::default() {
            return vec![None; self.arity()];
        }
        let (x, weight, d) = (rule.operand(0), rule.operand(1), rule.d());
        let Convolution2d { stride, padding, dilation, groups, .. } = *self;
        let [channels, height, width] = shape::fixed(&rule.ty(x).dims);
        let [_, _, kernel @ ..] = shape::fixed::<4>(&rule.ty(weight).dims);
        let epilogue = Epilogue::default();
        let d_x = Convolution2dInput { channels, height, width, stride, padding, dilation, groups, epilogue };
        let d_weight = Convolution2dWeight { kernel, stride, padding, dilation, groups };
        vec![Some(rule.apply(d_x, &[d, weight])), Some(rule.apply(d_weight, &[x, d]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let shape = self.shape(operands[0].dims(), operands[1].dims());
        let dims = window::convolved(&shape).unwrap_or_default();
        let x = array::batched(operands[0], context.batch);
        let weight = array::numbers(operands[1]);
        let mut results = vec![0.0; context.batch * shape::product(&dims)];
        let pixels = dims[1] * dims[2];
        let place = |at| if self.last { window::last(at, dims[0], pixels) } else { at };
        window::taps(&shape, context.batch, |in_x, in_weight, in_y| {
            results[place(in_y)] += x[in_x] * weight[in_weight];
        });
        let alike = if self.last { 1 } else { pixels };
        epilogue::eval(&self.epilogue, &mut results, operands, context.batch, alike);
        let results = epilogue::pool(&self.epilogue, results, dims, context.batch);
        array::per_example(context.batch, &self.ordered(epilogue::pooled(&self.epilogue, dims)), results)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::Convolution2d(shape, self.epilogue))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        let results = shape::product(&window::convolved(&shape).unwrap_or_default());
        window::flops(&shape).saturating_add(epilogue::flops(&self.epilogue, results))
    }
}

impl Convolution2d {
    fn steps(&self) -> Steps {
        let Convolution2d { stride, padding, dilation, groups, .. } = *self;
        Steps { stride, padding, dilation, groups }
    }

    /// The dimensions of the result, in order.
    fn ordered(&self, [filters, height, width]: [usize; 3]) -> [usize; 3] {
        if self.last { [height, width, filters] } else { [filters, height, width] }
    }

    /// The whole shape of a convolution of x by the weight, by their dimensions.
    pub(crate) fn shape(&self, x: &[usize], weight: &[usize]) -> Convolution2dShape {
        let [filters, _, kernel @ ..] = shape::fixed::<4>(weight);
        Convolution2dShape { last: self.last, ..self.steps().shape(shape::fixed(x), filters, kernel) }
    }
}
