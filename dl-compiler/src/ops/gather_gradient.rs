//! The gradient of a look-up for its table.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::gather::{gather_shape, indices};
use super::{Attribute, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

/// For every row of the table the sum of what came back to it, over the batch. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct GatherGradient {
    /// Rows of the table.
    pub rows: usize,
}

impl Operation for GatherGradient {
    const SPEC: Spec = Spec {
        name: "gather_gradient",
        summary: "The gradient of a look-up for its table, summed over the batch",
        formula: "d_table[r, i] = Σ d_y[.., i] over all places of all examples with index[..] = r",
        operands: &["index", "d_y"],
        attributes: &[Attribute { name: "rows", default: None, doc: "Rows of the table" }],
        constraints: &[
            "index holds indices, for each example",
            "d_y holds f32, one tensor for each example",
            "d_y begins with the dimensions of index",
            "the bound of index is at most the number of rows",
        ],
        callable: false,
        pointwise: false,
        examples: &[("index(96)[64], [64, 8]", &[("rows", Constant::Integer(96))], "[96, 8] batch-wide")],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(GatherGradient { rows: attribute::integer(attributes, 0, 1)? })
    }

    fn show(&self) -> String {
        format!("rows: {}", self.rows)
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (index, d_y) = (operands[0], operands[1]);
        let bound = indices(1, 0, index)?;
        shape::per_example(2, 1, d_y)?;
        let row = d_y.dims.strip_prefix(index.dims.as_slice());
        shape::expect(row.is_some(), 3, 1, format_args!("{:?} as the first dimensions", index.dims), d_y)?;
        let rows = self.rows;
        shape::expect(bound <= rows, 4, 0, format_args!("indices below {rows} rows"), index)?;
        Ok(Type::batch_wide([&[rows], row.unwrap_or_default()].concat()))
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (index, d_y) = (operands[0], operands[1]);
        let row = &d_y.dims()[index.dims().len()..];
        let width = shape::product(row);
        let mut d_table = vec![0.0; self.rows * width];
        let indices = array::batched(index, context.batch);
        for (index, d_y) in indices.iter().zip(array::batched(d_y, context.batch).chunks(width)) {
            for (sum, d_y) in d_table[*index as usize * width..].iter_mut().zip(d_y) {
                *sum += d_y;
            }
        }
        array::array(&[&[self.rows], row].concat(), d_table)
    }

    fn lower(&self, operands: &[&Type], result: &Type) -> Lowering {
        Lowering::Kernel(Kernel::GatherGradient(gather_shape(&result.dims, &operands[0].dims)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        shape::product(&operands[1].dims)
    }
}
