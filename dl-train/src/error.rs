//! What can go wrong around training: each case says what was expected and what was found.
//!
//! Nothing in this crate panics on what a user can set, pass or name; it returns one of these.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use dl_runtime::{InputError, SettingError, TensorInfo};
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::data::DataError;

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
    /// Something left the finite numbers: training diverged, or an example holds such a number.
    #[error("{first}, expected finite numbers: {set} set, epoch {epoch}, batch {batch}, where the loss is {loss}")]
    NotFinite {
        /// The set it was computed on: training, validation or evaluation.
        set: &'static str,
        /// The epoch, from 1; 0 outside training.
        epoch: usize,
        /// The batch of the epoch, from 1.
        batch: usize,
        /// The loss.
        loss: f32,
        /// What was the first to go bad.
        first: Spoiled,
    },
    /// The network refused an example of a set; its number is that of the set.
    #[error("{set} set: {source}")]
    Example {
        /// Which set: training, validation, …
        set: &'static str,
        /// What is wrong with it.
        source: InputError,
    },
    /// Settings of the optimizer or the schedule that do not fit each other or the network.
    #[error(transparent)]
    Optimizer(#[from] SettingError),
    /// A metric that the network does not have.
    #[error("there is no metric `{name}`, expected {}", if names.is_empty() { "none: the network has only a loss".to_owned() } else { names.join(" or ") })]
    NoSuchMetric {
        /// Its name.
        name: String,
        /// The names there are.
        names: Vec<&'static str>,
    },
    /// A checkpoint could not be read or continued.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The handler of Ctrl-C could not be set.
    #[error("Ctrl-C cannot be handled: {reason}")]
    Interrupt {
        /// What the system says.
        reason: String,
    },
    /// A callback of the user failed.
    #[error("callback `{callback}` failed: {source}")]
    Callback {
        /// Its name.
        callback: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The network refused the examples.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The data could not be read or drawn.
    #[error(transparent)]
    Data(DataError),
    /// A metric that its examples do not define, or that refused them.
    #[error(transparent)]
    Metric(#[from] crate::metrics::MetricError),
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

/// What was the first to hold a number that is infinite or not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Spoiled {
    /// An input or label.
    Input(InputError),
    /// The loss, of finite examples and parameters: a value between them overflowed.
    Loss,
    /// A gradient. It flows from the loss back to the inputs, so this is the last tensor of the network whose
    /// gradient is spoiled.
    Gradient(TensorInfo),
    /// A parameter, by an update that overflowed.
    Parameter(TensorInfo),
    /// A state.
    State(TensorInfo),
}

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tensor = |kind: &str, info: &TensorInfo| {
            write!(f, "{kind} `{}` overflowed", info.name)?;
            if info.place.is_empty() { Ok(()) } else { write!(f, " ({})", info.place) }
        };
        match self {
            Spoiled::Input(InputError::NotFinite { name, example, found }) => {
                write!(f, "`{name}` of example {example} holds {found}")
            }
            Spoiled::Input(error) => error.fmt(f),
            Spoiled::Loss => f.write_str("the loss overflowed (a smaller learning rate may help)"),
            Spoiled::Gradient(info) => tensor("the gradient of", info),
            Spoiled::Parameter(info) => tensor("the parameter", info),
            Spoiled::State(info) => tensor("the state", info),
        }
    }
}

impl TrainError {
    pub(crate) fn setting(name: &'static str, expected: &'static str, found: impl Display) -> Self {
        Self::Setting { name, expected, found: found.to_string() }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), source }
    }
}

impl From<DataError> for TrainError {
    /// What the network's own types refuse stays what it is.
    fn from(error: DataError) -> Self {
        match error {
            DataError::Input(error) => Self::Input(error),
            error => Self::Data(error),
        }
    }
}
