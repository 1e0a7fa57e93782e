//! Event files that TensorBoard reads: scalars, histograms and images enter, a file of framed records leaves.
//!
//! A record is its length, a checksum of that, the data, and a checksum of those; the data are one `Event` message in the
//! protocol buffer format, of which `wire` writes the few fields that are needed.

mod callback;
mod wire;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use callback::TensorBoard;
use wire::Message;

use crate::TrainError;

/// Writes an event file. Every record is handed to the system as soon as it is complete.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Begins a new file `events.out.tfevents.…` in a folder, which is made if it is missing. Files of earlier runs stay:
    /// TensorBoard reads all files of a folder as one run.
    ///
    /// # Errors
    /// If the folder or file cannot be written, as for all functions below.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, TrainError> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
        let seconds = now() as u64;
        for number in 0_u32.. {
            // TensorBoard reads the files of a folder in the order of their names.
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.dln.{number:04}"));
            match File::create_new(&path) {
                Ok(file) => {
                    let mut writer = Self { path, file };
                    writer.event(|event| event.bytes(3, b"brain.Event:2"))?;
                    return Ok(writer);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(TrainError::write(&path, error)),
            }
        }
        Err(TrainError::write(folder, std::io::ErrorKind::AlreadyExists.into()))
    }

    /// Says that a run starts or starts again at that step: what earlier files hold from there on no longer counts.
    pub fn start(&mut self, step: u64) -> Result<(), TrainError> {
        let mut session = Message::default();
        session.integer(1, 1);
        self.event(|event| {
            event.integer(2, step);
            event.bytes(7, &session.0);
        })
    }

    /// A number at a step, such as the loss.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f32) -> Result<(), TrainError> {
        self.summary(tag, step, |summary| summary.float(2, value))
    }

    /// How numbers are distributed at a step, such as those of a parameter, in 30 buckets of equal width. Numbers that are
    /// not finite are left out; if there are no others, nothing is written.
    pub fn histogram(&mut self, tag: &str, step: u64, values: &[f32]) -> Result<(), TrainError> {
        match histogram(values) {
            Some(histogram) => self.summary(tag, step, |summary| summary.bytes(5, &histogram.0)),
            None => Ok(()),
        }
    }

    /// A picture at a step, encoded as PNG or JPEG, of that width and height in pixels.
    pub fn image(
        &mut self,
        tag: &str,
        step: u64,
        (width, height): (u32, u32),
        encoded: &[u8],
    ) -> Result<(), TrainError> {
        let mut image = Message::default();
        image.integer(1, u64::from(height));
        image.integer(2, u64::from(width));
        image.integer(3, 3);
        image.bytes(4, encoded);
        self.summary(tag, step, |summary| summary.bytes(4, &image.0))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn summary(&mut self, tag: &str, step: u64, fill: impl FnOnce(&mut Message)) -> Result<(), TrainError> {
        let (mut value, mut summary) = (Message::default(), Message::default());
        value.bytes(1, tag.as_bytes());
        fill(&mut value);
        summary.bytes(1, &value.0);
        self.event(|event| {
            event.integer(2, step);
            event.bytes(5, &summary.0);
        })
    }

    fn event(&mut self, fill: impl FnOnce(&mut Message)) -> Result<(), TrainError> {
        let mut event = Message::default();
        event.double(1, now());
        fill(&mut event);
        let record = wire::framed(&event.0);
        self.file.write_all(&record).map_err(|error| TrainError::write(&self.path, error))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A `HistogramProto`: least, largest, number, sum, sum of squares, upper limits of buckets and counts.
fn histogram(values: &[f32]) -> Option<Message> {
    const BUCKETS: usize = 30;
    let finite = || values.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value));
    let (least, largest) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let width = (largest - least) / BUCKETS as f64;
    let buckets = if width > 0.0 { BUCKETS } else { 1 };
    let mut counts = vec![0.0; buckets];
    for value in finite() {
        counts[(((value - least) / width) as usize).min(buckets - 1)] += 1.0;
    }
    let mut limits: Vec<f64> = (1..=buckets).map(|bucket| least + width * bucket as f64).collect();
    limits[buckets - 1] = largest;
    let mut message = Message::default();
    let squares = finite().map(|value| value * value).sum();
    let numbers = [least, largest, finite().count() as f64, finite().sum(), squares];
    (1..).zip(numbers).for_each(|(field, number)| message.double(field, number));
    message.doubles(6, &limits);
    message.doubles(7, &counts);
    Some(message)
}
