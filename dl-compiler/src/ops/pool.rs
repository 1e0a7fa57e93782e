//! What poolings share: attributes, shape rule, documentation.

use std::borrow::Cow;

use super::attribute::{self, AttributeValue};
use super::fused::Fused;
use super::{Attribute, Constant, Operation, Violation, array, shape, window};
use crate::eval::{Context, Value};
use crate::graph::Type;
use crate::program::Pool2dShape;

/// Kernel, stride and padding.
pub(super) const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "kernel", default: None, doc: "Height and width of a window" },
    Attribute {
        name: "stride",
        default: Some(Constant::SameAs(0)),
        doc: "How far apart neighbouring windows are, down and right",
    },
    Attribute {
        name: "padding",
        default: Some(Constant::Integer(0)),
        doc: "How far windows reach over the edge; nothing is there, so nothing counts",
    },
];

/// What the image and the attributes must meet.
pub(super) const CONSTRAINTS: &[&str] = &[
    "x holds f32, one [channels, height, width] for each example",
    "padding is smaller than the kernel, along both axes",
    "the window is not larger than the padded image",
];

/// The type of the image that is pooled: of the first operand, or of what the prologue makes of the first ones.
pub(super) fn image<'a>(prologue: Option<&Fused>, operands: &[&'a Type]) -> Result<Cow<'a, Type>, Violation> {
    match prologue {
        None => Ok(Cow::Borrowed(operands[0])),
        Some(fused) => {
            fused.infer(operands).map(Cow::Owned).map_err(|violation| Violation { constraint: 1, ..violation })
        }
    }
}

/// The dimensions and the pixels of the images that are pooled.
pub(super) fn pixels(prologue: Option<&Fused>, operands: &[&Value], context: &Context<'_>) -> (Vec<usize>, Vec<f64>) {
    match prologue {
        None => (operands[0].dims().to_vec(), array::batched(operands[0], context.batch)),
        Some(fused) => (fused.ty.dims.clone(), fused.eval(operands, context).into_iter().collect()),
    }
}

/// What is computed before it is pooled, as dumps show it.
pub(super) fn show(windows: Windows, prologue: Option<&Fused>) -> String {
    let before = prologue.map(|fused| format!(" of {}", fused.show())).unwrap_or_default();
    windows.show() + &before
}

/// Operations of computing the image, if a prologue does, and of looking at every window once.
pub(super) fn flops(windows: Windows, prologue: Option<&Fused>, operands: &[&Type], pooled: &Type) -> usize {
    let before = prologue.map_or(0, |fused| fused.flops(operands, &fused.ty));
    windows.flops(pooled).saturating_add(before)
}

/// Kernel, stride and padding of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

impl Windows {
    /// Three attributes, the first at `place`.
    pub(super) fn build(values: &[AttributeValue], place: usize) -> Result<Windows, (usize, String)> {
        Ok(Windows {
            kernel: attribute::pair(values, place, 1)?,
            stride: attribute::pair(values, place + 1, 1)?,
            padding: attribute::pair(values, place + 2, 0)?,
        })
    }

    /// As dumps show them.
    pub(super) fn show(&self) -> String {
        let Windows { kernel, stride, padding } = self;
        format!("kernel: {kernel:?}, stride: {stride:?}, padding: {padding:?}")
    }

    /// The whole shape of the pooling of an image.
    pub(super) fn shape(&self, image: &[usize]) -> Pool2dShape {
        let [channels, height, width] = shape::fixed(image);
        let Windows { kernel, stride, padding } = *self;
        Pool2dShape { channels, height, width, kernel, stride, padding }
    }

    /// The type of the result, by [`CONSTRAINTS`].
    pub(super) fn infer(&self, x: &Type) -> Result<Type, Violation> {
        let Windows { kernel, padding, .. } = self;
        shape::image(1, 0, x)?;
        if padding.iter().zip(kernel).any(|(padding, kernel)| padding >= kernel) {
            let message = format!("expected padding below the kernel {kernel:?}, found {padding:?}");
            return Err(Violation::new(2, 0, message));
        }
        match window::pooled(&self.shape(&x.dims)) {
            Some(dims) => Ok(Type::per_example(dims)),
            None => {
                let message = format!(
                    "expected an image of at least the size of the {kernel:?} window, \
                     found {x} (padding {padding:?})"
                );
                Err(Violation::new(3, 0, message))
            }
        }
    }

    /// The greatest element of each window of images of these dimensions.
    pub(super) fn greatest(&self, image: &[usize], batch: usize, x: &[f64]) -> Vec<f64> {
        let shape = self.shape(image);
        let mut y = vec![0.0; batch * shape::product(&window::pooled(&shape).unwrap_or_default())];
        window::windows(&shape, batch, |place, held| {
            y[place] = held.iter().map(|&pixel| x[pixel]).fold(f64::NEG_INFINITY, f64::max);
        });
        y
    }

    /// Operations of looking at every window once.
    pub(super) fn flops(&self, pooled: &Type) -> usize {
        shape::product(&[shape::product(&pooled.dims), self.kernel[0], self.kernel[1]])
    }
}
