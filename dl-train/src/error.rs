//! What can go wrong around training: each case says what was expected and what was found.
//!
//! Nothing in this crate panics on what a user can set, pass or name; it returns one of these.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use dl_runtime::InputError;
use thiserror::Error;

/// A training, an evaluation, a split or a plot that cannot be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A set of examples that holds none.
    #[error("the {set} set is empty, expected at least 1 example")]
    NoExamples {
        /// Which set: training, validation, …
        set: &'static str,
    },
    /// A setting or argument outside its range.
    #[error("`{name}` is {found}, expected {expected}")]
    Setting {
        /// The setting or argument.
        name: &'static str,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Two lists that belong together differ in length.
    #[error("`{name}` has {found} elements, expected {expected}")]
    Length {
        /// The list.
        name: &'static str,
        /// How many elements the other one has.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The loss left the finite numbers: training diverged, or an example holds such a number.
    #[error(
        "the {set} loss of epoch {epoch}, batch {batch} is {loss}, expected a finite number; \
         a smaller learning rate may help, or an example holds a number that is not finite"
    )]
    NotFinite {
        /// The set it was computed on: training, validation or evaluation.
        set: &'static str,
        /// The epoch, from 1; 0 outside training.
        epoch: usize,
        /// The batch of the epoch, from 1.
        batch: usize,
        /// The loss.
        loss: f32,
    },
    /// The network refused the examples.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The data could not be read or drawn.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// A curve of a history without epochs, or without a finite loss.
    #[error("the history has nothing to plot, expected at least 1 epoch with a finite loss")]
    NothingToPlot,
    /// A curve could not be drawn.
    #[error("the curve could not be drawn: {reason}")]
    Plot {
        /// What the plotting library says.
        reason: String,
    },
    /// A file could not be written.
    #[error("{} could not be written: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl TrainError {
    pub(crate) fn setting(name: &'static str, expected: &'static str, found: impl Display) -> Self {
        Self::Setting { name, expected, found: found.to_string() }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), source }
    }
}
