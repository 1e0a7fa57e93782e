//! Rows of a table by their numbers: the embedding of words and the like.

use ndarray::ArrayD;

use super::attribute::AttributeValue;
use super::gather_gradient::GatherGradient;
use super::{Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{Element, NodeId, Type};
use crate::program::{GatherShape, Kernel};

/// For each index the row of the table of that number.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather;

impl Operation for Gather {
    const SPEC: Spec = Spec {
        name: "gather",
        summary: "The rows of a table that indices name, such as the vectors of words (Bengio et al., 2003)",
        formula: "y[.., i] = table[index[..], i]",
        operands: &["table", "index"],
        attributes: &[],
        constraints: &[
            "table holds f32, is batch-wide and has at least one dimension",
            "index holds indices, for each example",
            "the bound of index is at most the first dimension of table",
        ],
        callable: true,
        pointwise: false,
        examples: &[("[96, 8] batch-wide, index(96)[64]", &[], "[64, 8]"), ("[5] batch-wide, index(4)[]", &[], "[]")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(Gather)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (table, index) = (operands[0], operands[1]);
        shape::batch_wide(1, 0, table)?;
        shape::expect(!table.dims.is_empty(), 1, 0, "at least one dimension", table)?;
        let (rows, row) = table.dims.split_first().map_or((1, [].as_slice()), |(rows, row)| (*rows, row));
        let bound = indices(2, 1, index)?;
        shape::expect(bound <= rows, 3, 1, format_args!("indices below the {rows} rows of {table}"), index)?;
        Ok(Type::per_example([&index.dims, row].concat()))
    }

    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        let (table, index, d) = (rule.operand(0), rule.operand(1), rule.d());
        let rows = rule.ty(table).dims.first().copied().unwrap_or(1);
        vec![Some(rule.apply(GatherGradient { rows }, &[index, d])), None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (table, index) = (operands[0], operands[1]);
        let row = &table.dims()[1..];
        let width = shape::product(row);
        let numbers = array::numbers(table);
        let indices = array::batched(index, context.batch);
        let y = indices.iter().flat_map(|index| &numbers[*index as usize * width..][..width]).copied().collect();
        array::per_example(context.batch, &[index.dims(), row].concat(), y)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let (table, index) = (&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::Gather(gather_shape(table, index)))
    }

    fn flops(&self, _: &[&Type], _: &Type) -> usize {
        0
    }
}

/// The bound of an operand that must hold indices for each example.
pub(super) fn indices(constraint: usize, place: usize, found: &Type) -> Result<usize, Violation> {
    let Element::Index(bound) = found.element else {
        let message = format!("expected indices, such as index(10)[], found {found}");
        return Err(Violation::new(constraint, place, message));
    };
    shape::expect(found.per_example, constraint, place, "indices for each example", found)?;
    Ok(bound)
}

/// The shape of a look-up in a table.
pub(super) fn gather_shape(table: &[usize], index: &[usize]) -> GatherShape {
    let (rows, row) = table.split_first().map_or((1, [].as_slice()), |(rows, row)| (*rows, row));
    GatherShape { rows, width: shape::product(row), count: shape::product(index), steps: 1 }
}
