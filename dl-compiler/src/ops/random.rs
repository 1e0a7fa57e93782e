//! What random operations share: their attributes, and how the reference draws.

use ndarray::ArrayD;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant, Spec, array, shape};
use crate::eval::Context;

/// The distance of neighbouring numbers that [`Context::uniform`] yields: it has 32 random bits.
pub(super) const STEP: f64 = 1.0 / (1_u64 << 32) as f64;

/// The documentation that draws without numbers of their own share.
pub(super) const DRAW: Spec = Spec {
    name: "",
    summary: "",
    formula: "",
    operands: &[],
    attributes: &[
        Attribute { name: "instance", default: None, doc: "Its number in the network" },
        Attribute { name: "dims", default: None, doc: "Dimensions for one example" },
    ],
    constraints: &[],
    callable: false,
    pointwise: false,
    examples: &[("", &[("instance", Constant::Integer(0)), ("dims", Constant::Integer(3))], "[3]")],
};

/// All rules of such a draw but what it yields: the operation and its kernel have one name.
macro_rules! drawn {
    ($name:ident) => {
        fn build(attributes: &[$crate::ops::AttributeValue]) -> Result<Self, (usize, String)> {
            let $crate::ops::random::Drawn { instance, dims } = $crate::ops::random::Drawn::build(attributes, 0)?;
            Ok($name { instance, dims })
        }

        fn show(&self) -> String {
            format!("instance: {}", self.instance)
        }

        fn infer(&self, _: &[&$crate::graph::Type]) -> Result<$crate::graph::Type, $crate::ops::Violation> {
            Ok($crate::graph::Type::per_example(self.dims.clone()))
        }

        fn vjp(&self, _: &mut $crate::gradient::Rule<'_>) -> Vec<Option<$crate::graph::NodeId>> {
            Vec::new()
        }

        fn lower(&self, _: &[&$crate::graph::Type], _: &$crate::graph::Type) -> $crate::ops::Lowering {
            $crate::ops::Lowering::Kernel($crate::program::Kernel::$name { instance: self.instance })
        }
    };
}
pub(super) use drawn;

/// The attributes of a draw.
pub(super) struct Drawn {
    /// Which random operation of the network it is.
    pub(super) instance: u32,
    /// Dimensions for one example.
    pub(super) dims: Vec<usize>,
}

impl Drawn {
    /// Two attributes, the first at `place`.
    pub(super) fn build(attributes: &[AttributeValue], place: usize) -> Result<Drawn, (usize, String)> {
        let instance = attribute::integer(attributes, place, 0)?;
        let instance = u32::try_from(instance).map_err(|_| (place, "expected a smaller number".to_owned()))?;
        Ok(Drawn { instance, dims: attribute::integers(attributes, place + 1, 1)? })
    }
}

/// An array of what `number` yields for each example and element.
pub(super) fn each(dims: &[usize], context: &Context<'_>, number: impl Fn(usize, usize) -> f64) -> ArrayD<f64> {
    let elements = shape::product(dims);
    let number = &number;
    let numbers = (0..context.batch).flat_map(|example| (0..elements).map(move |element| number(example, element)));
    array::per_example(context.batch, dims, numbers.collect())
}

/// The upper 24 bits of a draw as a fraction, which an `f32` holds exactly: what the runtime compares and yields.
pub(super) fn fraction(uniform: f64) -> f64 {
    const UNITS: f64 = (1 << 24) as f64;
    (uniform * UNITS).floor() / UNITS
}
