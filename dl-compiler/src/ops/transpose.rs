//! Axes in another order.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Kernel, TransposeShape};

/// The same elements with the axes in another order: axis `k` of the result is axis `axes[k]` of the operand.
#[derive(Debug, Clone, PartialEq)]
pub struct Transpose {
    /// For each axis of the result, the axis of the operand it was.
    pub axes: Vec<usize>,
}

impl Operation for Transpose {
    const SPEC: Spec = Spec {
        name: "transpose",
        summary: "The axes in another order: axis k of the result is axis axes[k] of x",
        formula: "y[iₐ, …] = x[…], where axis k of y runs along axis axes[k] of x",
        operands: &["x"],
        attributes: &[Attribute { name: "axes", default: None, doc: "The axes of x, in the order of the result" }],
        constraints: &["x holds f32", "axes names every axis of x once, counted from 0"],
        callable: true,
        pointwise: false,
        examples: &[
            ("[3, 4]", &[("axes", Constant::List(&[1, 0]))], "[4, 3]"),
            ("[7, 2, 5] batch-wide", &[("axes", Constant::List(&[1, 2, 0]))], "[2, 5, 7] batch-wide"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Transpose { axes: attribute::integers(attributes, 0, 0)? })
    }

    fn show(&self) -> String {
        format!("{:?}", self.axes)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let x = operands[0];
        shape::floats(1, 0, x)?;
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        let holds = sorted.iter().copied().eq(0..x.dims.len());
        let axes = &self.axes;
        shape::expect(holds, 2, 0, format_args!("a tensor of {} axes in the order {axes:?}", axes.len()), x)?;
        Ok(x.with_dims(self.dims(&x.dims)))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![Some(rule.apply(self.inverse(), &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let x = operands[0];
        let batch = usize::from(x.per_example);
        let axes: Vec<usize> = (0..batch).chain(self.axes.iter().map(|axis| axis + batch)).collect();
        let numbers = x.array.view().permuted_axes(axes).iter().copied().collect();
        array::like(x, context.batch, &self.dims(x.dims()), numbers)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        match self.shape(&operands[0].dims) {
            // Nothing but axes of size 1 has moved.
            shape if shape.dims.len() <= 1 => Lowering::View,
            shape => Lowering::Kernel(Kernel::Transpose(shape)),
        }
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}

impl Transpose {
    /// What undoes it.
    pub fn inverse(&self) -> Transpose {
        let mut axes = vec![0; self.axes.len()];
        for (place, &axis) in self.axes.iter().enumerate() {
            if let Some(inverse) = axes.get_mut(axis) {
                *inverse = place;
            }
        }
        Transpose { axes }
    }

    /// This after another.
    pub fn after(&self, first: &Transpose) -> Transpose {
        Transpose { axes: self.axes.iter().filter_map(|&axis| first.axes.get(axis).copied()).collect() }
    }

    /// Whether every axis stays where it is.
    pub fn is_identity(&self) -> bool {
        self.axes.iter().copied().eq(0..self.axes.len())
    }

    /// Whether the last two axes change places and the others stay.
    pub fn swaps_last(&self) -> bool {
        let mut axes: Vec<usize> = (0..self.axes.len()).collect();
        if let [.., a, b] = axes.as_mut_slice() {
            std::mem::swap(a, b);
            return axes == self.axes;
        }
        false
    }

    /// The dimensions of the result.
    pub fn dims(&self, x: &[usize]) -> Vec<usize> {
        self.axes.iter().map(|&axis| x.get(axis).copied().unwrap_or(1)).collect()
    }

    /// The result's axes with their strides in `x`; those of size 1 are left out, those that stay neighbours are one.
    fn shape(&self, x: &[usize]) -> TransposeShape {
        let mut shape = TransposeShape { dims: Vec::new(), strides: Vec::new() };
        for &axis in &self.axes {
            let stride = x.get(axis + 1..).map_or(1, shape::product);
            let size = x.get(axis).copied().unwrap_or(1);
            match (shape.dims.last_mut(), shape.strides.last_mut()) {
                _ if size == 1 => {}
                (Some(before), Some(stride_before)) if *stride_before == stride.saturating_mul(size) => {
                    *before = before.saturating_mul(size);
                    *stride_before = stride;
                }
                _ => {
                    shape.dims.push(size);
                    shape.strides.push(stride);
                }
            }
        }
        shape
    }
}
