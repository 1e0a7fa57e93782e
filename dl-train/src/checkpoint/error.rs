//! What can be wrong with a checkpoint.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Difference;

/// A checkpoint that cannot be read, or does not belong to what reads it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system does not give the file.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not complete, or not what it says.
    #[error("{} is not a readable checkpoint: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It holds another network.
    #[error("{} holds another network than `{network}`: {difference}", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The network that was to be loaded.
        network: &'static str,
        /// How they differ.
        difference: Box<Difference>,
    },
    /// It holds tensors only, no run to be continued.
    #[error("{} holds no run to be resumed, only tensors", path.display())]
    NotARun {
        /// The file.
        path: PathBuf,
    },
    /// A run that other settings or data cannot continue.
    #[error("{} was made with {expected} {what}, found {found}", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// How much of it the checkpoint has.
        expected: u64,
        /// How much of it there is now.
        found: u64,
    },
    /// A folder without a readable checkpoint.
    #[error("{} holds no checkpoint", folder.display())]
    None {
        /// The folder.
        folder: PathBuf,
    },
    /// A fresh run would overwrite an older one's checkpoints.
    #[error("there is a checkpoint of an earlier run, {}: resume it, choose another folder or allow overwriting", found.display())]
    Occupied {
        /// The newest one.
        found: PathBuf,
    },
    /// A section of another form than its owner expects.
    #[error("section `{section}` of the checkpoint is not readable: {reason}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CheckpointError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(super) fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_path_buf(), reason: reason.to_string() }
    }
}
