//! What pointwise operations share: documentation, shape rules, reference semantics.
//!
//! Operands have equal dimensions (calls broadcast them before); the result is per example if any operand is.

use ndarray::ArrayD;

use super::{PointwiseFn, Spec, Violation, array, shape};
use crate::eval::Value;
use crate::graph::{Element, Type};

/// All rules but the gradient: `pointwise!(Relu, arithmetic);` names the function and the shape rule.
macro_rules! pointwise {
    ($function:ident, $infer:ident) => {
        fn build(_: &[$crate::ops::AttributeValue]) -> Result<Self, (usize, String)> {
            Ok(Self)
        }

        fn show(&self) -> String {
            String::new()
        }

        fn infer(&self, operands: &[&$crate::graph::Type]) -> Result<$crate::graph::Type, $crate::ops::Violation> {
            $crate::ops::pointwise::$infer(operands)
        }

        fn eval(&self, operands: &[&$crate::eval::Value], context: &$crate::eval::Context<'_>) -> ndarray::ArrayD<f64> {
            let function = $crate::ops::PointwiseFn::$function;
            $crate::ops::pointwise::eval(function, operands, context.batch)
        }

        fn lower(&self, _: &[&$crate::graph::Type], _: &$crate::graph::Type) -> $crate::ops::Lowering {
            $crate::ops::Lowering::Pointwise($crate::ops::PointwiseFn::$function)
        }
    };
}
pub(super) use pointwise;

/// The documentation that functions of one tensor share.
pub(super) const UNARY: Spec = Spec {
    name: "",
    summary: "",
    formula: "",
    operands: &["x"],
    attributes: &[],
    constraints: &["x holds f32"],
    callable: true,
    pointwise: true,
    examples: &[("[3, 4]", &[], "[3, 4]"), ("[2] batch-wide", &[], "[2] batch-wide")],
};

/// The documentation that functions of two tensors share.
pub(super) const BINARY: Spec = Spec {
    operands: &["a", "b"],
    constraints: &["a and b hold f32", "a and b have the same dimensions once broadcast"],
    callable: false,
    examples: &[
        ("[3, 4], [3, 4] batch-wide", &[], "[3, 4]"),
        ("[2] batch-wide, [2] batch-wide", &[], "[2] batch-wide"),
    ],
    ..UNARY
};

/// The documentation that comparisons share.
pub(super) const COMPARISON: Spec = Spec {
    examples: &[
        ("[3, 4], [3, 4] batch-wide", &[], "bool[3, 4]"),
        ("[2] batch-wide, [2] batch-wide", &[], "bool[2] batch-wide"),
    ],
    ..BINARY
};

/// The documentation that tests for equality share.
pub(super) const EQUALITY: Spec = Spec {
    constraints: &["a and b both hold f32 or both hold bool", "a and b have the same dimensions once broadcast"],
    examples: &[("[3, 4], [3, 4] batch-wide", &[], "bool[3, 4]"), ("bool[2], bool[2]", &[], "bool[2]")],
    ..BINARY
};

/// Numbers from numbers.
pub(super) fn arithmetic(operands: &[&Type]) -> Result<Type, Violation> {
    for (place, operand) in operands.iter().enumerate() {
        shape::floats(1, place, operand)?;
    }
    common(2, operands, Element::F32)
}

/// A truth value from two numbers.
pub(super) fn comparison(operands: &[&Type]) -> Result<Type, Violation> {
    Ok(Type { element: Element::Bool, ..arithmetic(operands)? })
}

/// A truth value from two numbers or two truth values.
pub(super) fn equality(operands: &[&Type]) -> Result<Type, Violation> {
    match operands {
        [a, b] if a.element == Element::Bool => {
            let holds = b.element == Element::Bool;
            shape::expect(holds, 1, 1, "a tensor of bool, as before", b)?;
            common(2, operands, Element::Bool)
        }
        _ => comparison(operands),
    }
}

/// One of two numbers, by a truth value.
pub(super) fn selection(operands: &[&Type]) -> Result<Type, Violation> {
    for (place, operand) in operands.iter().enumerate() {
        if place == 0 {
            let holds = operand.element == Element::Bool;
            shape::expect(holds, 1, 0, "a tensor of bool, such as `x > 0`", operand)?;
        } else {
            shape::floats(2, place, operand)?;
        }
    }
    common(3, operands, Element::F32)
}

/// The function applied place by place.
pub(super) fn eval(function: PointwiseFn, operands: &[&Value], batch: usize) -> ArrayD<f64> {
    let per_example = operands.iter().any(|operand| operand.per_example);
    let dims = operands.first().map(|operand| operand.dims().to_vec()).unwrap_or_default();
    let columns: Vec<Vec<f64>> = operands
        .iter()
        .map(|operand| if per_example { array::batched(operand, batch) } else { array::numbers(operand) })
        .collect();
    let places = columns.iter().map(Vec::len).min().unwrap_or(0);
    let results = (0..places)
        .map(|place| {
            let arguments: Vec<f64> = columns.iter().map(|column| column[place]).collect();
            function.eval(&arguments)
        })
        .collect();
    if per_example { array::per_example(batch, &dims, results) } else { array::array(&dims, results) }
}

fn common(constraint: usize, operands: &[&Type], element: Element) -> Result<Type, Violation> {
    let dims = operands.first().map(|operand| operand.dims.clone()).unwrap_or_default();
    for (place, operand) in operands.iter().enumerate() {
        shape::same_dims(constraint, place, &dims, operand)?;
    }
    let per_example = operands.iter().any(|operand| operand.per_example);
    Ok(Type { element, dims, per_example })
}
