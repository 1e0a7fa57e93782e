//! All elements as one list.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::reshape::Reshape;
use super::{Lowering, Operation, Spec, Violation, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};

/// The same elements in the same order as one list.
#[derive(Debug, Clone, PartialEq)]
pub struct Flatten;

impl Operation for Flatten {
    const SPEC: Spec = Spec {
        name: "flatten",
        summary: "The same elements in the same order as one list; nothing is copied",
        formula: "y[i] = x[i], counted in row-major order",
        operands: &["x"],
        attributes: &[],
        constraints: &["the number of elements can be counted"],
        callable: true,
        pointwise: false,
        examples: &[("[16, 5, 5]", &[], "[400]"), ("[]", &[], "[1]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Flatten)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let count = shape::elements(&operands[0].dims);
        shape::expect(count.is_some(), 1, 0, "fewer elements", operands[0])?;
        Ok(operands[0].with_dims([count.unwrap_or(1)]))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let dims = rule.ty(rule.operand(0)).dims.clone();
        vec![Some(rule.apply(Reshape { dims }, &[rule.d()]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let dims = vec![shape::product(operands[0].dims())];
        Reshape { dims }.eval(operands, context)
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::View
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}
