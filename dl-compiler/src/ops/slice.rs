//! A part of a tensor along one axis.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::pad::Pad;
use super::sum::axes;
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{AxisShape, Kernel, SliceShape};

/// `len` places of an axis, from `start` on.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Which axis.
    pub axis: usize,
    /// The first place.
    pub start: usize,
    /// How many places.
    pub len: usize,
}

impl Operation for Slice {
    const SPEC: Spec = Spec {
        name: "slice",
        summary: "Neighbouring places of one axis",
        formula: "y[o, m, i] = x[o, start + m, i], m < len",
        operands: &["x"],
        attributes: &[
            Attribute { name: "axis", default: None, doc: "Which axis" },
            Attribute { name: "start", default: None, doc: "The first place" },
            Attribute { name: "len", default: None, doc: "How many places" },
        ],
        constraints: &["x holds f32", "the axis exists", "the axis has at least start + len places"],
        callable: true,
        pointwise: false,
        examples: &[(
            "[3, 8]",
            &[("axis", Constant::Integer(1)), ("start", Constant::Integer(2)), ("len", Constant::Integer(4))],
            "[3, 4]",
        )],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let axis = attribute::integer(attributes, 0, 0)?;
        let start = attribute::integer(attributes, 1, 0)?;
        Ok(Slice { axis, start, len: attribute::integer(attributes, 2, 1)? })
    }

    fn show(&self) -> String {
        format!("axis: {}, start: {}, len: {}", self.axis, self.start, self.len)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::floats(1, 0, x)?;
        let size = shape::axis(2, 0, self.axis, x)?;
        let end = self.start.saturating_add(self.len);
        let expected = format_args!("at least {end} places along axis {}", self.axis);
        shape::expect(end <= size, 3, 0, expected, x)?;
        let mut dims = x.dims.clone();
        dims[self.axis] = self.len;
        Ok(x.with_dims(dims))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let size = rule.ty(rule.operand(0)).dims.get(self.axis).copied().unwrap_or(0);
        let after = size.saturating_sub(self.start.saturating_add(self.len));
        vec![Some(rule.apply(Pad { axis: self.axis, before: self.start, after }, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let SliceShape { size, start, len, .. } = self.shape(x.dims());
        let numbers = array::numbers(x).chunks(size).flat_map(|block| block[start..start + len].to_vec()).collect();
        let mut dims = x.dims().to_vec();
        dims[self.axis] = self.len;
        array::like(x, context.batch, &dims, numbers)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Slice(self.shape(&operands[0].dims)))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}

impl Slice {
    fn shape(&self, x: &[usize]) -> SliceShape {
        part(x, self.axis, self.start, self.len)
    }
}

/// `len` places of an axis, from `start` on, in floats.
pub(super) fn part(dims: &[usize], axis: usize, start: usize, len: usize) -> SliceShape {
    let AxisShape { outer, middle, inner } = axes(dims, axis, 1);
    let floats = |places: usize| shape::product(&[places, inner]);
    SliceShape { outer, size: floats(middle), start: floats(start), len: floats(len) }
}
