//! What a loop hands from step to step, as a step finds it.

use super::carried::{CARRIED, carried};
use super::{Constant, Operation, Spec};

/// A value that goes from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// Which of its carries.
    pub index: usize,
}

impl Operation for Carry {
    const SPEC: Spec = Spec {
        name: "carry",
        summary: "What a scan hands from step to step, as a step finds it",
        formula: "y = initial at the first step, then what `next` was at the step before",
        operands: &["initial"],
        constraints: &["initial holds f32"],
        examples: &[("[3] batch-wide", &[("scan", Constant::Integer(0)), ("index", Constant::Integer(0))], "[3]")],
        ..CARRIED
    };

    carried!(Carry);
}
