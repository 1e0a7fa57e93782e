//! The history as a file that grows with the run: comma-separated values, or a JSON object a line.

use std::path::{Path, PathBuf};

use dl_runtime::Network;

use super::{Callback, Context};
use crate::{History, TrainError};

/// Writes the history to a file after every epoch. The file is replaced as a whole: whoever reads it finds whole epochs,
/// and a resumed run continues it.
#[derive(Debug, Clone)]
pub struct HistoryLog {
    path: PathBuf,
    json: bool,
}

impl HistoryLog {
    /// Comma-separated values, as [`History::csv`] gives them.
    pub fn csv(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf(), json: false }
    }

    /// A JSON object a line, as [`History::json_lines`] gives them.
    pub fn json_lines(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_path_buf(), json: true }
    }

    fn write(&self, history: &History) -> Result<(), TrainError> {
        let text = if self.json { history.json_lines() } else { history.csv() };
        let mut beside = self.path.clone().into_os_string();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        crate::history::write(&beside, text.as_bytes())?;
        std::fs::rename(&beside, &self.path).map_err(|error| TrainError::write(&self.path, error))
    }
}

impl<N: Network> Callback<N> for HistoryLog {
    fn name(&self) -> &str {
        if self.json { "history as JSON lines" } else { "history as CSV" }
    }

    /// What cannot be written is said now rather than after an epoch.
    fn begin_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        self.write(context.history)
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        self.write(context.history)
    }
}
