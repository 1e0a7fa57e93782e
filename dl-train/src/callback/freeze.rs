//! Freezing for some epochs: parameters that training leaves alone, then lets go.
//!
//! What the language freezes has no gradient and stays frozen for good; this here can be any part at any epoch.

use dl_runtime::Network;

use super::{Callback, Context};
use crate::TrainError;

/// Keeps the parameters of a pattern as they are during some epochs, as in fine-tuning.
///
/// Patterns are those of [`path_matches`](dl_runtime::path_matches), such as `features.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pattern: String,
    /// The first epoch in which they are frozen, from 1.
    from: usize,
    /// The first epoch in which they no longer are.
    until: Option<usize>,
}

impl Freeze {
    /// Frozen from the first epoch on.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), from: 1, until: None }
    }

    /// Frozen from that epoch on, counted from 1.
    pub fn from_epoch(mut self, epoch: usize) -> Self {
        self.from = epoch;
        self
    }

    /// Trained from that epoch on, counted from 1.
    pub fn until_epoch(mut self, epoch: usize) -> Self {
        self.until = Some(epoch);
        self
    }
}

impl<N: Network> Callback<N> for Freeze {
    fn name(&self) -> &str {
        "freeze"
    }

    /// A pattern that no parameter matches is said now rather than after hours.
    fn begin_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let was = context.control.frozen.contains(&self.pattern);
        context.freeze(&self.pattern)?;
        if !was {
            context.unfreeze(&self.pattern);
        }
        Ok(())
    }

    fn begin_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if self.from <= context.epoch && self.until.is_none_or(|until| context.epoch < until) {
            context.freeze(&self.pattern)
        } else {
            context.unfreeze(&self.pattern);
            Ok(())
        }
    }
}
