//! What a carry is after all steps of a loop.

use super::carried::{CARRIED, carried};
use super::{Operation, Spec};

/// The value of a carry after the last step.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// Which of its carries.
    pub index: usize,
}

impl Operation for Last {
    const SPEC: Spec = Spec {
        name: "last",
        summary: "What a carry of a scan is after the last step",
        formula: "y = next at the last step",
        operands: &["next"],
        constraints: &["next holds f32"],
        ..CARRIED
    };

    carried!(Last);
}
