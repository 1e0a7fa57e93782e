//! Checkpoints during a run: the last few, and the best one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use dl_runtime::Network;
use serde_json::json;

use super::{Callback, Context, Monitor, Save};
use crate::TrainError;
use crate::checkpoint::{self, CheckpointError, Section, json as numbers};

/// Writes a checkpoint of the whole run after every epoch, or every so many steps, to files of a folder:
/// `epoch-000012.safetensors` or `step-0000004800.safetensors`, and `best.safetensors`.
///
/// With moving averages of the parameters, `best.safetensors` holds those under their names: what was validated. The others
/// hold the parameters that are trained, and the averages in the memory of the optimizer. A run is resumed from any.
///
/// Only the last few are kept. A file is complete or not there: see [`checkpoint`](crate::checkpoint).
#[derive(Debug, Clone)]
pub struct ModelCheckpoint {
    folder: PathBuf,
    keep: usize,
    every_epochs: usize,
    every_steps: Option<u64>,
    best: Option<Monitor>,
    overwrite: bool,
    lowest: Option<f64>,
    /// The names of the files that this run wrote, in order, but for those known to be removed.
    written: Vec<String>,
}

impl ModelCheckpoint {
    /// After every epoch; the last three and the one of the lowest validation loss are kept.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_path_buf(),
            keep: 3,
            every_epochs: 1,
            every_steps: None,
            best: Some(Monitor::loss()),
            overwrite: false,
            lowest: None,
            written: Vec::new(),
        }
    }

    /// How many of the last ones are kept, at least 1.
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// After every so many epochs, at least 1.
    pub fn every_epochs(mut self, epochs: usize) -> Self {
        self.every_epochs = epochs;
        self
    }

    /// After every so many steps, at least 1, rather than after epochs.
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps);
        self
    }

    /// What `best.safetensors` is the best of; with `None` there is no such file.
    pub fn best(mut self, monitor: Option<Monitor>) -> Self {
        self.best = monitor;
        self
    }

    /// Lets a run that is not resumed overwrite the checkpoints of an earlier one.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    fn add<N: Network>(&mut self, context: &mut Context<'_, N>, name: String) {
        // A run killed before it removed a file has that file removed when it is resumed.
        if self.written.len() > self.keep {
            self.written.retain(|written| self.folder.join(written).exists());
        }
        self.written.retain(|written| *written != name);
        let path = self.folder.join(&name);
        self.written.push(name);
        let extra = self.written.len().saturating_sub(self.keep);
        let remove = self.written[..extra].iter().map(|name| self.folder.join(name)).collect();
        context.control.saves.push(Save { path, validated: false, remove });
    }
}

impl<N: Network> Callback<N> for ModelCheckpoint {
    fn name(&self) -> &str {
        "model_checkpoint"
    }

    fn begin_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let settings = [("keep", self.keep as u64), ("every_epochs", self.every_epochs as u64)];
        for (name, value) in settings.into_iter().chain(self.every_steps.map(|steps| ("every_steps", steps))) {
            if value == 0 {
                return Err(TrainError::setting(name, "at least 1", value));
            }
        }
        if let Some(monitor) = &self.best {
            monitor.check::<N>()?;
        }
        fs::create_dir_all(&self.folder).map_err(|error| TrainError::write(&self.folder, error))?;
        // Whether the folder can be written to is better known now than after an epoch.
        let probe = checkpoint::partial(&self.folder.join("probe"));
        File::create(&probe).map_err(|error| TrainError::write(&self.folder, error))?;
        fs::remove_file(&probe).map_err(|error| TrainError::write(&probe, error))?;
        if context.step == 0
            && !self.overwrite
            && let Some(found) = checkpoint::newest(&self.folder)?
        {
            return Err(CheckpointError::Occupied { found }.into());
        }
        Ok(())
    }

    fn end_batch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if self.every_steps.is_some_and(|steps| context.step.is_multiple_of(steps)) {
            self.add(context, format!("step-{:010}.safetensors", context.step));
        }
        Ok(())
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if let (Some(monitor), Some(record)) = (&self.best, context.history.last()) {
            let value = monitor.value(record);
            if self.lowest.is_none_or(|lowest| value < lowest) {
                self.lowest = Some(value);
                context.control.save_validated(self.folder.join("best.safetensors"));
            }
        }
        if self.every_steps.is_none() && context.epoch.is_multiple_of(self.every_epochs) {
            self.add(context, format!("epoch-{:06}.safetensors", context.epoch));
        }
        Ok(())
    }

    fn save(&self) -> Section {
        let lowest = self.lowest.map(numbers::float);
        Section::new(json!({ "lowest": lowest, "written": self.written }).to_string())
    }

    fn load(&mut self, section: &Section) -> Result<(), TrainError> {
        let values = section.values()?;
        self.lowest = values.get("lowest").and_then(numbers::to_float);
        let written = values.get("written").and_then(|written| written.as_array()).into_iter().flatten();
        let names = written.filter_map(|name| name.as_str());
        // Only plain names: a file must not make a run remove something elsewhere.
        let plain = |name: &&str| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
        self.written = names.filter(plain).map(str::to_owned).collect();
        Ok(())
    }
}
