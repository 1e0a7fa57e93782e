//! The gradient of a product for its matrix.

use ndarray::ArrayD;

use super::{AttributeValue, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Kernel, MatMulShape};

/// The sum of the outer products of rows, over all rows of all examples. It has no gradient of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct MatMulWeights;

impl Operation for MatMulWeights {
    const SPEC: Spec = Spec {
        name: "matmul_weights",
        summary: "The gradient of a product for its matrix, summed over the batch",
        formula: "d_weight[i, o] = Σ x[.., i] · d_y[.., o] over all rows of all examples",
        operands: &["x", "d_y"],
        attributes: &[],
        constraints: &[
            "x and d_y hold f32, one tensor of at least one dimension for each example",
            "x and d_y agree in all dimensions but the last",
        ],
        callable: false,
        pointwise: false,
        examples: &[("[7, 3], [7, 5]", &[], "[3, 5] batch-wide")],
    };

    fn build(_: &[AttributeValue]) -> Result<Self, (usize, String)> {
        Ok(MatMulWeights)
    }

    fn show(&self) -> String {
        String::new()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        for (place, operand) in operands.iter().enumerate() {
            shape::per_example(1, place, operand)?;
            let holds = !operand.dims.is_empty();
            shape::expect(holds, 1, place, "at least one dimension", operand)?;
        }
        let (x, d_y) = (&operands[0].dims, &operands[1].dims);
        match (x.split_last(), d_y.split_last()) {
            (Some((inputs, x)), Some((outputs, d_y))) => {
                let expected = format_args!("{x:?} before the last dimension");
                shape::expect(x == d_y, 2, 1, expected, operands[1])?;
                Ok(Type::batch_wide([*inputs, *outputs]))
            }
            _ => Ok(Type::batch_wide([1, 1])),
        }
    }

    fn vjp(&self, _: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        vec![None, None]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let inputs = shape::rows(operands[0].dims()).1;
        let outputs = shape::rows(operands[1].dims()).1;
        let x = array::batched(operands[0], context.batch);
        let d_y = array::batched(operands[1], context.batch);
        let mut d_weight = vec![0.0; inputs * outputs];
        for (x, d_y) in x.chunks(inputs).zip(d_y.chunks(outputs)) {
            for (place, entry) in d_weight.iter_mut().enumerate() {
                *entry += x[place / outputs] * d_y[place % outputs];
            }
        }
        array::array(&[inputs, outputs], d_weight)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        Lowering::Kernel(Kernel::MatMulWeights(product_shape(operands)))
    }

    fn flops(&self, operands: &[&Type], _: &Type) -> usize {
        let MatMulShape { rows, inputs, outputs } = product_shape(operands);
        shape::product(&[2, rows, inputs, outputs])
    }
}

fn product_shape(operands: &[&Type]) -> MatMulShape {
    let (rows, inputs) = shape::rows(&operands[0].dims);
    MatMulShape { rows, inputs, outputs: shape::rows(&operands[1].dims).1 }
}
