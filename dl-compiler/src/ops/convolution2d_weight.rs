//! The gradient of a convolution for its weight.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::window::{self, Steps};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Convolution2dShape, Kernel};

/// What each tap saw, weighted by the gradients, over all places and examples. It has no gradient of its own.
///
/// An example may hold several images, as it does where a loop convolves one at each step: it sums over them too.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution2dWeight {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// As in the convolution.
    pub stride: [usize; 2],
    /// As in the convolution.
    pub padding: [usize; 2],
    /// As in the convolution.
    pub dilation: [usize; 2],
    /// As in the convolution.
    pub groups: usize,
}

impl Operation for Convolution2dWeight {
    const SPEC: Spec = Spec {
        name: "convolution2d_weight",
        summary: "The gradient of a convolution for its weight, summed over the batch",
        formula: "d_weight[f, k, i, j] = Σ x[k, r·stride + i·dilation - padding, …] · d_y[f, r, c]",
        operands: &["x", "d_y"],
        attributes: &[
            Attribute { name: "kernel", default: None, doc: "Height and width of the kernel" },
            window::STRIDE,
            window::PADDING,
            window::DILATION,
            window::GROUPS,
        ],
        constraints: &[
            "x holds f32, images [channels, height, width] for each example",
            "d_y holds f32, as many images [filters, height, width] for each example",
            "a convolution of x with such a weight has the dimensions of d_y",
        ],
        callable: false,
        pointwise: false,
        examples: &[
            (
                "[4, 28, 28], [6, 26, 26]",
                &[("kernel", Constant::Integer(3)), ("groups", Constant::Integer(2))],
                "[6, 2, 3, 3] batch-wide",
            ),
            ("[5, 4, 28, 28], [5, 6, 26, 26]", &[("kernel", Constant::Integer(3))], "[6, 4, 3, 3] batch-wide"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let kernel = attribute::pair(attributes, 0, 1)?;
        let Steps { stride, padding, dilation, groups } = Steps::build(attributes, 1)?;
        Ok(Convolution2dWeight { kernel, stride, padding, dilation, groups })
    }

    fn show(&self) -> String {
        format!("kernel: {:?}, {}", self.kernel, self.steps().show())
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (x, d_y) = (operands[0], operands[1]);
        let (before, [channels, ..]) = images(1, 0, x)?;
        let (images, image @ [filters, ..]) = images(2, 1, d_y)?;
        shape::expect(images == before, 2, 1, format_args!("{before:?} before an image"), d_y)?;
        let holds = window::convolved(&self.shape(&x.dims, &d_y.dims)) == Some(image)
            && channels.checked_rem(self.groups) == Some(0)
            && filters.checked_rem(self.groups) == Some(0);
        shape::expect(holds, 3, 1, "the gradient of the convolution", d_y)?;
        Ok(Type::batch_wide(self.dims(&x.dims, &d_y.dims)))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (in_dims, out_dims) = (operands[0].dims(), operands[1].dims());
        let x = array::batched(operands[0], context.batch);
        let d_y = array::batched(operands[1], context.batch);
        let dims = self.dims(in_dims, out_dims);
        let mut d_weight = vec![0.0; shape::product(&dims)];
        let shape = self.shape(in_dims, out_dims);
        window::taps(&shape, context.batch * count(in_dims), |in_x, in_weight, in_y| {
            d_weight[in_weight] += x[in_x] * d_y[in_y];
        });
        array::array(&dims, d_weight)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::Convolution2dWeight(shape, count(&operands[0].dims)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        let one = window::flops(&self.shape(&operands[0].dims, &operands[1].dims));
        one.saturating_mul(count(&operands[0].dims))
    }
}

impl Convolution2dWeight {
    fn steps(&self) -> Steps {
        let Convolution2dWeight { stride, padding, dilation, groups, .. } = *self;
        Steps { stride, padding, dilation, groups }
    }

    fn shape(&self, x: &[usize], d_y: &[usize]) -> Convolution2dShape {
        let [filters, ..] = image(d_y);
        self.steps().shape(image(x), filters, self.kernel)
    }

    fn dims(&self, x: &[usize], d_y: &[usize]) -> [usize; 4] {
        let ([channels, ..], [filters, ..]) = (image(x), image(d_y));
        let channels = channels.checked_div(self.groups).unwrap_or(0);
        [filters, channels, self.kernel[0], self.kernel[1]]
    }
}

/// What is before the images of an operand that must hold some for each example, and the dimensions of one.
fn images(constraint: usize, operand: usize, found: &Type) -> Result<(&[usize], [usize; 3]), Violation> {
    shape::per_example(constraint, operand, found)?;
    let before = found.dims.len().checked_sub(3);
    shape::expect(before.is_some(), constraint, operand, "images [channels, height, width]", found)?;
    Ok((&found.dims[..before.unwrap_or(0)], image(&found.dims)))
}

/// `[channels, height, width]`, the last dimensions.
fn image(dims: &[usize]) -> [usize; 3] {
    shape::fixed(dims.get(dims.len().saturating_sub(3)..).unwrap_or_default())
}

/// How many images an example has.
fn count(dims: &[usize]) -> usize {
    shape::product(dims.get(..dims.len().saturating_sub(3)).unwrap_or_default())
}
