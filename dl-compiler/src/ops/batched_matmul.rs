//! Products of matrices of which each example has its own, written `a @ b`.

use ndarray::ArrayD;

use super::{Attribute, AttributeValue, Constant, Lowering, Operation, Spec, Violation, array, shape};
use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::{BatchedMatMulShape, Kernel, Triangle};

/// For every place of the leading axes the product of two matrices, each as it is or transposed.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchedMatMul {
    /// Whether the matrices of `a` are multiplied transposed.
    pub transposed_a: bool,
    /// Whether the matrices of `b` are multiplied transposed.
    pub transposed_b: bool,
    /// Which of the matrices is lower triangular, as it lies in memory; set by the optimizer.
    pub triangle: Triangle,
}

impl Operation for BatchedMatMul {
    const SPEC: Spec = Spec {
        name: "batched_matmul",
        summary: "The product of two matrices at every place of the leading axes, as attention needs it",
        formula: "y[.., r, c] = Σₖ a[.., r, k] · b[.., k, c]; transposed: a[.., k, r], b[.., c, k]",
        operands: &["a", "b"],
        attributes: &[
            Attribute {
                name: "transposed_a",
                default: Some(Constant::Bool(false)),
                doc: "Whether the matrices of a are transposed",
            },
            Attribute {
                name: "transposed_b",
                default: Some(Constant::Bool(false)),
                doc: "Whether the matrices of b are transposed",
            },
        ],
        constraints: &[
            "a holds f32 and has at least two dimensions",
            "b holds f32 and has as many dimensions as a",
            "a and b agree in all dimensions before the last two",
            "the columns of a, transposed if so stated, are as many as the rows of b",
        ],
        callable: false,
        pointwise: false,
        examples: &[
            ("[4, 7, 5], [4, 5, 6]", &[], "[4, 7, 6]"),
            ("[7, 5], [6, 5]", &[("transposed_b", Constant::Bool(true))], "[7, 6]"),
            ("[2, 5, 7], [2, 5, 6] batch-wide", &[("transposed_a", Constant::Bool(true))], "[2, 7, 6]"),
        ],
    };

    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)> {
        let flag = |place: usize| match attributes.get(place) {
            Some(AttributeValue::Bool(value)) => Ok(*value),
            _ => Err((place, "expected true or false".to_owned())),
        };
        Ok(BatchedMatMul::new(flag(0)?, flag(1)?))
    }

    fn show(&self) -> String {
        let flags = [
            ("transposed_a", self.transposed_a),
            ("transposed_b", self.transposed_b),
            ("lower a", self.triangle == Triangle::Left),
            ("lower b", self.triangle == Triangle::Right),
            ("lower y", self.triangle == Triangle::Result),
        ];
        let set: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        set.join(", ")
    }

    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
        let (a, b) = (operands[0], operands[1]);
        shape::floats(1, 0, a)?;
        shape::expect(a.dims.len() >= 2, 1, 0, "at least two dimensions", a)?;
        shape::floats(2, 1, b)?;
        let rank = a.dims.len();
        shape::expect(b.dims.len() == rank, 2, 1, format_args!("{rank} dimensions, as {a} has"), b)?;
        let (leading, _) = a.dims.split_at(rank.saturating_sub(2));
        let expected = format_args!("{leading:?} before the last two dimensions");
        shape::expect(b.dims.starts_with(leading), 3, 1, expected, b)?;
        let ([rows, inner], [depth, columns]) = (ends(&a.dims, self.transposed_a), ends(&b.dims, self.transposed_b));
        let expected = format_args!("{inner} rows, to be multiplied by {a}");
        shape::expect(inner == depth, 4, 1, expected, b)?;
        let dims = [leading, &[rows, columns]].concat();
        Ok(Type { per_example: a.per_example || b.per_example, ..a.with_dims(dims) })
    }

    /// Triangles are found after differentiation, so no gradient flows through one.
    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
        if self.triangle != Triangle::None {
            return vec![None, None];
        }
        let (a, b, d) = (rule.operand(0), rule.operand(1), rule.d());
        let product = BatchedMatMul::new;
        let d_a = match self.transposed_a {
            false => rule.apply(product(false, !self.transposed_b), &[d, b]),
            true => rule.apply(product(self.transposed_b, true), &[b, d]),
        };
        let d_b = match self.transposed_b {
            false => rule.apply(product(!self.transposed_a, false), &[a, d]),
            true => rule.apply(product(true, self.transposed_a), &[d, a]),
        };
        vec![Some(d_a), Some(d_b)]
    }

    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
        let per_example = operands.iter().any(|operand| operand.per_example);
        let numbers = |operand: &Value| match per_example {
            true => array::batched(operand, context.batch),
            false => array::numbers(operand),
        };
        let (a_dims, b_dims) = (operands[0].dims(), operands[1].dims());
        let BatchedMatMulShape { rows, inner, columns, triangle, .. } = self.shape(a_dims, b_dims);
        let (a, b) = (numbers(operands[0]), numbers(operands[1]));
        let entry = |matrix: &[f64], transposed: bool, [_, width]: [usize; 2], row: usize, column: usize| {
            if transposed { matrix[column * width + row] } else { matrix[row * width + column] }
        };
        let mut y = Vec::new();
        for (a, b) in a.chunks(rows * inner).zip(b.chunks(inner * columns)) {
            for place in 0..rows * columns {
                let (row, column) = (place / columns, place % columns);
                let is_left_out = |k| match triangle {
                    Triangle::None => false,
                    Triangle::Left => is_above(self.transposed_a, row, k),
                    Triangle::Right => is_above(self.transposed_b, k, column),
                    Triangle::Result => is_above(false, row, column),
                };
                let term = |k| {
                    if is_left_out(k) {
                        return 0.0;
                    }
                    entry(a, self.transposed_a, ends(a_dims, false), row, k)
                        * entry(b, self.transposed_b, ends(b_dims, false), k, column)
                };
                y.push((0..inner).map(term).sum());
            }
        }
        let dims = [&a_dims[..a_dims.len() - 2], &[rows, columns]].concat();
        if per_example { array::per_example(context.batch, &dims, y) } else { array::array(&dims, y) }
    }

    fn lower(&self, operands: &[&Type], _: &Type) -> Lowering {
        let shape = self.shape(&operands[0].dims, &operands[1].dims);
        Lowering::Kernel(Kernel::BatchedMatMul(shape, [self.transposed_a, self.transposed_b]))
    }

    fn flops(&self, operands: &[&Type], result: &Type) -> usize {
        let BatchedMatMulShape { count, rows, inner, columns, triangle } =
            self.shape(&operands[0].dims, &operands[1].dims);
        let lower = |dims: &[usize], others: usize| {
            let [rows, columns] = ends(dims, false);
            let counted = (0..rows).map(|row| columns.min(row + 1)).fold(0, usize::saturating_add);
            shape::product(&[2, count, counted, others])
        };
        match triangle {
            Triangle::None => shape::product(&[2, count, rows, inner, columns]),
            Triangle::Left => lower(&operands[0].dims, columns),
            Triangle::Right => lower(&operands[1].dims, rows),
            Triangle::Result => lower(&result.dims, inner),
        }
    }
}

impl BatchedMatMul {
    /// A product of any matrices, each as it is or transposed.
    pub fn new(transposed_a: bool, transposed_b: bool) -> BatchedMatMul {
        BatchedMatMul { transposed_a, transposed_b, triangle: Triangle::None }
    }

    fn shape(&self, a: &[usize], b: &[usize]) -> BatchedMatMulShape {
        let count = shape::product(&a[..a.len().saturating_sub(2)]);
        let ([rows, inner], [_, columns]) = (ends(a, self.transposed_a), ends(b, self.transposed_b));
        BatchedMatMulShape { count, rows, inner, columns, triangle: self.triangle }
    }
}

/// Whether a place of a matrix, or of one that lies transposed, is above the diagonal.
fn is_above(transposed: bool, row: usize, column: usize) -> bool {
    if transposed { row > column } else { column > row }
}

/// Rows and columns of the matrices of a tensor, or of their transposes.
fn ends(dims: &[usize], transposed: bool) -> [usize; 2] {
    match dims {
        [.., rows, columns] if transposed => [*columns, *rows],
        [.., rows, columns] => [*rows, *columns],
        _ => [1, 1],
    }
}
