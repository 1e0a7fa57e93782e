//! A loop of pointwise operations made one.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::expression::{Argument, Expression};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};
use crate::program::Kernel;

/// An expression of as many operands as it has views. Made after differentiation, so it has no gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// What is computed for each place.
    pub expression: Expression,
    /// What that yields.
    pub ty: Type,
}

impl Operation for Fused {
    const SPEC: Spec = Spec {
        name: "fused",
        summary: "Several pointwise operations in one loop, made by the optimizer",
        formula: "y[i] = expression(xₖ[i / innerₖ mod lenₖ], …)",
        operands: &["x…"],
        attributes: &[],
        constraints: &[
            "no operand holds indices",
            "an operand has as many elements as its view says",
            "inner · len of a view divides the number of elements of the result",
            "an operand per example fills the result once, and the result is per example too",
            "every instruction uses operands that exist and instructions before it",
        ],
        callable: false,
        pointwise: false,
        examples: &[],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Err((0, "a fused loop is made by the optimizer".to_owned()))
    }

    fn show(&self) -> String {
        let mut text = self.expression.to_string();
        let elements = shape::product(&self.ty.dims);
        for (place, view) in self.expression.views.iter().enumerate() {
            if (view.inner, view.len) != (1, elements) {
                text += &format!(", x{place} at i / {} % {}", view.inner, view.len);
            }
        }
        text
    }

    fn arity(&self) -> usize {
        self.expression.views.len()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let elements = shape::product(&self.ty.dims);
        for (place, (operand, view)) in operands.iter().zip(&self.expression.views).enumerate() {
            let no_index = !matches!(operand.element, Element::Index(_));
            shape::expect(no_index, 1, place, "a tensor of f32 or bool", operand)?;
            let holds = shape::elements(&operand.dims) == Some(view.len);
            shape::expect(holds, 2, place, format_args!("{} elements", view.len), operand)?;
            let period = shape::product(&[view.inner, view.len]);
            let divides = elements.checked_rem(period) == Some(0);
            let what = format_args!("{period} elements to divide those of {}", self.ty);
            shape::expect(divides, 3, place, what, operand)?;
            let fills = !operand.per_example || (self.ty.per_example && period == elements);
            shape::expect(fills, 4, place, format_args!("one of {}", self.ty), operand)?;
        }
        if !self.instructions_agree() {
            let message = format!("expected uses of earlier values, found {}", self.expression);
            return Err(Violation::new(5, 0, message));
        }
        Ok(self.ty.clone())
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None; self.arity()]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let elements = shape::product(&self.ty.dims);
        let examples = if self.ty.per_example { context.batch } else { 1 };
        let columns: Vec<Vec<f64>> = operands
            .iter()
            .map(
                |operand| {
                    if self.ty.per_example { array::batched(operand, examples) } else { array::numbers(operand) }
                },
            )
            .collect();
        let mut results = Vec::with_capacity(examples * elements);
        for example in 0..examples {
            for place in 0..elements {
                let numbers: Vec<f64> = columns
                    .iter()
                    .zip(&self.expression.views)
                    .map(|(column, view)| column[example * view.len + place / view.inner % view.len])
                    .collect();
                results.push(self.expression.eval(&numbers));
            }
        }
        if self.ty.per_example {
            array::per_example(examples, &self.ty.dims, results)
        } else {
            array::array(&self.ty.dims, results)
        }
    }

    fn lower(&self, _: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::Pointwise(self.expression.clone()))
    }

    fn flops(&self, _: &[&Type], result: &Type) -> usize {
        shape::product(&[self.expression.instructions.len(), shape::product(&result.dims)])
    }
}

impl Fused {
    fn instructions_agree(&self) -> bool {
        let instructions = &self.expression.instructions;
        !instructions.is_empty()
            && instructions.iter().enumerate().all(|(place, instruction)| {
                instruction.arguments.iter().all(|argument| match *argument {
                    Argument::Operand(operand) => operand < self.arity(),
                    Argument::Instruction(earlier) => earlier < place,
                    Argument::Constant(_) => true,
                })
            })
    }
}
