//! What a loop hands to its next step.

use super::carried::{CARRIED, carried};
use super::{Operation, Spec};

/// The value that a carry has at the next step.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The loop: its place among those of the graph.
    pub scan: usize,
    /// Which of its carries.
    pub index: usize,
}

impl Operation for Next {
    const SPEC: Spec =
        Spec { name: "next", summary: "What a carry of a scan is at the next step", formula: "y = x", ..CARRIED };

    carried!(Next);
}
