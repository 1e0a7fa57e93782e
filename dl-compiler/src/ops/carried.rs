//! What the operations that hand values from step to step of a loop share: all but what they mean.
//!
//! `carry` is what a step finds, `next` what it hands on, `last` what is left in the end. The walk over the loop knows their
//! values at every step, `differentiate` their gradients; taken by itself, each yields its operand.

use super::{Attribute, Constant, Spec};

/// The documentation that they share.
pub(super) const CARRIED: Spec = Spec {
    name: "",
    summary: "",
    formula: "",
    operands: &["x"],
    attributes: &[
        Attribute { name: "scan", default: None, doc: "Its scan in the graph" },
        Attribute { name: "index", default: None, doc: "Which of the carries of the scan" },
    ],
    constraints: &["x holds f32"],
    callable: false,
    pointwise: false,
    examples: &[("[3]", &[("scan", Constant::Integer(0)), ("index", Constant::Integer(0))], "[3]")],
};

/// All rules of the operation of that name, which has a `scan` and an `index`.
macro_rules! carried {
    ($name:ident) => {
        fn build(attributes: &[$crate::ops::AttributeValue]) -> Result<Self, (usize, String)> {
            use $crate::ops::attribute::integer;
            Ok($name { scan: integer(attributes, 0, 0)?, index: integer(attributes, 1, 0)? })
        }

        fn show(&self) -> String {
            format!("scan: {}, index: {}", self.scan, self.index)
        }

        fn infer(&self, operands: &[&$crate::graph::Type]) -> Result<$crate::graph::Type, $crate::ops::Violation> {
            $crate::ops::shape::floats(1, 0, operands[0])?;
            Ok($crate::graph::Type::per_example(operands[0].dims.clone()))
        }

        fn vjp(&self, _: &mut $crate::gradient::Rule<'_>) -> Vec<Option<$crate::graph::NodeId>> {
            vec![None]
        }

        fn eval(&self, operands: &[&$crate::eval::Value], context: &$crate::eval::Context<'_>) -> ndarray::ArrayD<f64> {
            operands[0].with_batch(context.batch)
        }

        fn lower(&self, _: &[&$crate::graph::Type], _: &$crate::graph::Type) -> $crate::ops::Lowering {
            $crate::ops::Lowering::Leaf
        }

        fn flops(&self, _: &[&$crate::graph::Type], _: &$crate::graph::Type) -> usize {
            0
        }
    };
}
pub(super) use carried;
