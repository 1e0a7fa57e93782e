//! A loop of pointwise operations whose results are summed as they are made.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::fused::Fused;
use super::sum::{self, Sum};
use super::{Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// A sum of the terms of a fused loop. Made after differentiation, so it has no gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedSum {
    /// What is summed.
    pub terms: Fused,
    /// Along which axes.
    pub sum: Sum,
}

impl Operation for FusedSum {
    const SPEC: Spec = Spec {
        name: "fused_sum",
        summary: "The sum along neighbouring axes of what a fused loop computes, made by the optimizer",
        formula: "y[o, 0, i] = Σₘ expression(xₖ[(o, m, i) / innerₖ mod lenₖ], …)",
        operands: &["x…"],
        attributes: &[],
        constraints: &["the operands fit the loop", "the axes exist"],
        callable: false,
        pointwise: false,
        examples: &[],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Err((0, "a fused sum is made by the optimizer".to_owned()))
    }

    fn show(&self) -> String {
        format!("{} of {}", self.sum.show(), self.terms.show())
    }

    fn arity(&self) -> usize {
        self.terms.arity()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let terms = self.terms.infer(operands).map_err(|violation| Violation { constraint: 1, ..violation })?;
        self.sum.infer(&[&terms])
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None; self.arity()]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let array = self.terms.eval(operands, context);
        self.sum.eval(&[&Value { per_example: self.terms.ty.per_example, array }], context)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        let axes = sum::axes(&self.terms.ty.dims, self.sum.axis, self.sum.count);
        Lowering::Kernel(Kernel::PointwiseSum(self.terms.expression.clone(), axes))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        let terms = shape::product(&self.terms.ty.dims);
        terms.saturating_add(self.terms.flops(operands, &self.terms.ty))
    }
}
