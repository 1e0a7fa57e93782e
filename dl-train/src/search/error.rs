//! What can be wrong with a search: each case says what was expected and what was found.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::HyperParameters;
use crate::TrainError;

/// A search or cross-validation that cannot be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A search over nothing.
    #[error("{what} is empty, expected at least 1 {expected}")]
    Empty {
        /// What has nothing in it.
        what: String,
        /// What it should have.
        expected: &'static str,
    },
    /// Two candidates or hyperparameters of one name.
    #[error("there are two {kind} named `{name}`, expected different names")]
    Twice {
        /// What they are.
        kind: &'static str,
        /// Their name.
        name: String,
    },
    /// A value or distribution that no hyperparameter can have.
    #[error("`{name}` is {found}, expected {expected}")]
    Range {
        /// The hyperparameter.
        name: String,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A hyperparameter that a network does not know.
    #[error("`{network}` has no hyperparameter `{name}`, expected one of {expected}, or a function that takes it")]
    Unknown {
        /// The network.
        network: &'static str,
        /// The hyperparameter.
        name: String,
        /// Those it knows.
        expected: String,
    },
    /// A hyperparameter that was asked for and is none of the search.
    #[error("there is no hyperparameter `{name}`, expected {expected}")]
    NoSuchHyperParameter {
        /// Its name.
        name: String,
        /// The names there are.
        expected: String,
    },
    /// A hyperparameter of another type.
    #[error("`{name}` is {found}, expected {expected}")]
    Kind {
        /// Its name.
        name: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Too few or too many folds.
    #[error("there are {found} folds, expected from 2 to the number of {of}, {most}")]
    Folds {
        /// How many.
        found: usize,
        /// What is dealt out to them.
        of: &'static str,
        /// How many of these there are.
        most: usize,
    },
    /// A class that cannot be in every fold.
    #[error("class {class} has {found} examples, expected at least 1 for each of {folds} folds")]
    SmallClass {
        /// The label.
        class: String,
        /// How many examples it has.
        found: usize,
        /// How many folds there are.
        folds: usize,
    },
    /// Labels, groups or candidates that do not go with the data.
    #[error("{what} has {found} examples, expected {expected}")]
    Length {
        /// What does not.
        what: String,
        /// How many examples there are.
        expected: usize,
        /// How many it is for.
        found: usize,
    },
    /// A fold that is none.
    #[error("fold {fold}: {reason}")]
    Fold {
        /// Its number, from 1.
        fold: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Hyperparameters that a candidate cannot be trained with.
    #[error("candidate `{candidate}` with {hyperparameters}: {source}")]
    Setting {
        /// The candidate.
        candidate: String,
        /// The hyperparameters.
        hyperparameters: HyperParameters,
        /// What is wrong with them.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A trial that failed otherwise than by numbers that are not finite.
    #[error("candidate `{candidate}` with {hyperparameters}, fold {fold}: {source}")]
    Trial {
        /// The candidate.
        candidate: String,
        /// The hyperparameters.
        hyperparameters: HyperParameters,
        /// The number of the fold, from 1.
        fold: usize,
        /// What went wrong.
        source: Box<SearchError>,
    },
    /// Something around the search: a setting, the data.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The file of finished trials could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of finished trials is none.
    #[error("{}, line {line}: expected {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The file of finished trials is that of another search.
    #[error("{} is of another search: its {what} is {found}, expected {expected}", path.display())]
    OtherSearch {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
        /// What this search has.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Another search is writing to the file of finished trials.
    #[error("{} is in use by another search", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

impl SearchError {
    pub(super) fn range(name: &str, expected: &'static str, found: impl ToString) -> Self {
        Self::Range { name: name.to_owned(), expected, found: found.to_string() }
    }

    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(super) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Train(TrainError::write(path, source))
    }
}
