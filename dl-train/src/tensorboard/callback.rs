//! The callback that writes event files.

use std::path::{Path, PathBuf};

use dl_runtime::{Network, Tensors};

use super::EventWriter;
use crate::{Callback, Context, TrainError};

/// Writes losses, metrics and the learning rate of every epoch for TensorBoard, each by its epoch, and on request how the
/// parameters are distributed.
///
/// Tags are `train/loss`, `validation/loss`, the same with each metric's name, `learning_rate`, and `parameters/NAME`.
/// A resumed run adds a file to the folder; TensorBoard shows both as one run.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    histograms: Option<usize>,
    writer: Option<EventWriter>,
}

impl TensorBoard {
    /// Scalars only, into that folder.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_path_buf(), histograms: None, writer: None }
    }

    /// Writes a histogram of every parameter after every so many epochs, at least 1.
    pub fn histograms(mut self, epochs: usize) -> Self {
        self.histograms = Some(epochs);
        self
    }
}

/// Every run writes a file of its own.
impl Clone for TensorBoard {
    fn clone(&self) -> Self {
        Self { folder: self.folder.clone(), histograms: self.histograms, writer: None }
    }
}

impl<N: Network> Callback<N> for TensorBoard {
    fn name(&self) -> &str {
        "TensorBoard"
    }

    fn begin_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if self.histograms == Some(0) {
            return Err(TrainError::setting("histograms", "at least 1 epoch", 0));
        }
        let mut writer = EventWriter::create(&self.folder)?;
        writer.start(context.history.epochs.len() as u64 + 1)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let rate = context.learning_rate();
        let (Some(writer), Some(record)) = (&mut self.writer, context.history.last()) else { return Ok(()) };
        let step = record.epoch as u64;
        for (set, evaluation) in [("train", &record.train), ("validation", &record.validation)] {
            writer.scalar(&format!("{set}/loss"), step, evaluation.loss as f32)?;
            for (name, value) in &evaluation.metrics {
                writer.scalar(&format!("{set}/{name}"), step, *value as f32)?;
            }
        }
        writer.scalar("learning_rate", step, rate)?;
        if self.histograms.is_some_and(|epochs| record.epoch.is_multiple_of(epochs)) {
            for info in N::Parameters::TENSORS {
                let values = context.parameters.tensor(info.name).unwrap_or_default();
                writer.histogram(&format!("parameters/{}", info.name), step, values)?;
            }
        }
        Ok(())
    }
}
