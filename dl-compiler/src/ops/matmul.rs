//! The product of rows with a matrix, written `x @ weight`.

use ndarray::ArrayD;

use super::matmul_weights::MatMulWeights;
use super::{Attribute, AttributeValue, Constant, Lowering, Operation, Spec, Violation, array, epilogue, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{Epilogue, Kernel, MatMulShape};

/// Each row of `x` times a matrix `[inputs, outputs]`, or times its transpose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MatMul {
    /// Whether rows of `outputs` numbers become rows of `inputs` numbers.
    pub transposed: bool,
    /// What is done to each result; set by the optimizer.
    pub epilogue: Epilogue,
}

impl Operation for MatMul {
    const SPEC: Spec = Spec {
        name: "matmul",
        summary: "The product of every row of a tensor with a matrix",
        formula: "y[.., o] = Σᵢ x[.., i] · weight[i, o]; transposed: y[.., i] = Σₒ x[.., o] · weight[i, o]",
        operands: &["x", "weight"],
        attributes: &[Attribute {
            name: "transposed",
            default: Some(Constant::Bool(false)),
            doc: "Whether the product is with the transpose",
        }],
        constraints: &[
            "x holds f32, one tensor of at least one dimension for each example",
            "the last dimension of x equals the first of weight (transposed: the second)",
            "weight holds f32, is batch-wide and has two dimensions",
            "bias, if the optimizer added one, is batch-wide with one number for each output; residual and mask are as the result",
        ],
        callable: false,
        pointwise: false,
        examples: &[
            ("[784], [784, 120] batch-wide", &[], "[120]"),
            ("[7, 3], [3, 5] batch-wide", &[], "[7, 5]"),
            ("[7, 5], [3, 5] batch-wide", &[("transposed", Constant::Bool(true))], "[7, 3]"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        match attributes {
            [AttributeValue::Bool(transposed)] => Ok(MatMul { transposed: *transposed, epilogue: Epilogue::default() }),
            _ => Err((0, "expected true or false".to_owned())),
        }
    }

    fn show(&self) -> String {
        let transposed = if self.transposed { "transposed" } else { "" };
        [transposed, &epilogue::show(&self.epilogue)].join(" ").trim().to_owned()
    }

    fn arity(&self) -> usize {
        2 + self.epilogue.operands()
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (x, weight) = (operands[0], operands[1]);
        shape::per_example(1, 0, x)?;
        shape::expect(!x.dims.is_empty(), 1, 0, "at least one dimension", x)?;
        shape::batch_wide(3, 1, weight)?;
        shape::expect(weight.dims.len() == 2, 3, 1, "[inputs, outputs]", weight)?;
        let (inner, outer) = self.ends(&weight.dims);
        let mut dims = x.dims.clone();
        if let Some(last) = dims.last_mut() {
            let expected = format_args!("{inner} as the last dimension, to multiply by {weight}");
            shape::expect(*last == inner, 2, 0, expected, x)?;
            *last = outer;
        }
        let result = Type::per_example(dims);
        epilogue::infer(&self.epilogue, 4, outer, &result, operands)?;
        Ok(result)
    }

    /// Products with an epilogue are made after differentiation, so no gradient flows through one.
    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        if self.epilogue != Epilogue::default() {
            return vec![None; self.arity()];
        }
        let (x, weight, d) = (rule.operand(0), rule.operand(1), rule.d());
        let back = MatMul { transposed: !self.transposed, epilogue: Epilogue::default() };
        let d_x = rule.apply(back, &[d, weight]);
        let (rows, columns) = if self.transposed { (d, x) } else { (x, d) };
        vec![Some(d_x), Some(rule.apply(MatMulWeights, &[rows, columns]))]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let (x, weight) = (operands[0], operands[1]);
        let columns = shape::fixed::<2>(weight.dims())[1];
        let (inner, outer) = self.ends(weight.dims());
        let matrix = array::numbers(weight);
        let entry = |i: usize, o: usize| {
            if self.transposed { matrix[o * columns + i] } else { matrix[i * columns + o] }
        };
        let mut results: Vec<f64> = array::batched(x, context.batch)
            .chunks(inner)
            .flat_map(|row| (0..outer).map(move |o| row.iter().enumerate().map(|(i, x)| x * entry(i, o)).sum()))
            .collect();
        epilogue::eval(&self.epilogue, &mut results, operands, context.batch, 1);
        let rows = &x.dims()[..x.dims().len() - 1];
        array::per_example(context.batch, &[rows, &[outer]].concat(), results)
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let shape = product_shape(&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::MatMul(shape, self.transposed, self.epilogue))
    }

    fn flops(&self, operands: &[&Type], result: &Type) -> usize {
        let MatMulShape { rows, inputs, outputs } = product_shape(&operands[0].dims, &operands[1].dims);
        let results = shape::product(&result.dims);
        shape::product(&[2, rows, inputs, outputs]).saturating_add(epilogue::flops(&self.epilogue, results))
    }
}

impl MatMul {
    /// The length of a row of `x` and of a row of the result.
    fn ends(&self, weight: &[usize]) -> (usize, usize) {
        let [inputs, outputs] = shape::fixed(weight);
        if self.transposed { (outputs, inputs) } else { (inputs, outputs) }
    }
}

fn product_shape(x: &[usize], weight: &[usize]) -> MatMulShape {
    let [inputs, outputs] = shape::fixed(weight);
    MatMulShape { rows: shape::rows(x).0, inputs, outputs }
}
