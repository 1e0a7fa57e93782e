//! The file of finished trials: records enter and are on disk; those of an earlier run of the same search leave.
//!
//! It holds a JSON object in each line: first what all trials share, then one for each trial as it ends, synced before the
//! next one begins. A process that is killed leaves at worst half a last line, which is dropped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::candidate::Score;
use super::{HyperParameters, Outcome, SearchError};
use crate::checkpoint::json as numbers;

/// What all trials of a search share.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) seed: u64,
    pub(super) folds: usize,
    /// A hash of the positions in all folds.
    pub(super) positions: u64,
}

/// What a trial is, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) candidate: String,
    /// Hashes of the network, the data and the settings of training.
    pub(super) hashes: [u64; 3],
    pub(super) values: HyperParameters,
    /// From 0.
    pub(super) fold: usize,
    pub(super) outcome: Outcome,
}

/// An open file of finished trials, locked against other processes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the file, or makes it; with what it holds already.
    pub(super) fn open(path: &Path, header: &Header) -> Result<(Self, Vec<Record>), SearchError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| SearchError::write(folder, error))?;
        }
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(|error| SearchError::write(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SearchError::InUse { path: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => return Err(SearchError::read(path, error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| SearchError::read(path, error))?;
        let mut journal = Self { path: path.to_path_buf(), file };
        let complete = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let line = header.json().to_string() + "\n";
        if complete == 0 {
            if !line.as_bytes().starts_with(&bytes) {
                return Err(journal.format(1, HEADER));
            }
            journal.cut(0)?;
            journal.append(&line)?;
            if cfg!(unix) {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|error| SearchError::write(folder, error))?;
            }
            return Ok((journal, Vec::new()));
        }
        let records = journal.parse(&bytes[..complete], header)?;
        journal.cut(complete as u64)?;
        Ok((journal, records))
    }

    /// Adds a trial; it is on disk when this returns.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), SearchError> {
        self.append(&(record.json().to_string() + "\n"))
    }

    fn append(&mut self, line: &str) -> Result<(), SearchError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| SearchError::write(&self.path, error))
    }

    fn cut(&mut self, len: u64) -> Result<(), SearchError> {
        let cut = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::Start(len)));
        cut.map(drop).map_err(|error| SearchError::write(&self.path, error))
    }

    fn parse(&self, bytes: &[u8], header: &Header) -> Result<Vec<Record>, SearchError> {
        let mut records = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            if number == 1 {
                let value = serde_json::from_slice(line).ok();
                let found = value.as_ref().and_then(Header::of_json).ok_or_else(|| self.format(1, HEADER))?;
                self.compare(header, &found)?;
            } else if !line.is_empty() {
                let value = serde_json::from_slice(line).ok();
                let record = value.as_ref().and_then(Record::of_json);
                records.push(record.ok_or_else(|| self.format(number, "a finished trial"))?);
            }
        }
        Ok(records)
    }

    fn compare(&self, expected: &Header, found: &Header) -> Result<(), SearchError> {
        for ((what, expected), found) in expected.texts().into_iter().zip(found.texts().map(|(_, text)| text)) {
            if expected != found {
                return Err(self.other(what.to_owned(), expected, found));
            }
        }
        Ok(())
    }

    /// The error that the file has something else than the search.
    pub(super) fn other(&self, what: String, expected: String, found: String) -> SearchError {
        SearchError::OtherSearch { path: self.path.clone(), what, expected, found }
    }

    fn format(&self, line: usize, expected: &'static str) -> SearchError {
        SearchError::Format { path: self.path.clone(), line, expected }
    }
}

const HEADER: &str = "the first line of a file of finished trials";

impl Header {
    fn texts(&self) -> [(&'static str, String); 3] {
        let Self { seed, folds, positions } = self;
        [
            ("seed", seed.to_string()),
            ("number of folds", folds.to_string()),
            ("hash of the positions in all folds", hex(*positions)),
        ]
    }

    fn json(&self) -> Value {
        json!({ "dln_search": 1, "seed": self.seed, "folds": self.folds, "positions": hex(self.positions) })
    }

    fn of_json(value: &Value) -> Option<Self> {
        (value.get("dln_search")?.as_u64()? == 1).then_some(())?;
        Some(Self {
            seed: value.get("seed")?.as_u64()?,
            folds: usize::try_from(value.get("folds")?.as_u64()?).ok()?,
            positions: of_hex(value.get("positions")?)?,
        })
    }
}

impl Record {
    fn json(&self) -> Value {
        let [network, data, settings] = self.hashes.map(hex);
        let mut value = json!({
            "candidate": self.candidate,
            "network": network,
            "data": data,
            "settings": settings,
            "hyperparameters": self.values.json(),
            "fold": self.fold + 1,
        });
        let more = match &self.outcome {
            Outcome::Failed(reason) => json!({ "failed": reason }),
            Outcome::Finished(Score { loss, metrics, epochs, seconds }) => {
                let metrics: Vec<Value> =
                    metrics.iter().map(|(name, value)| json!([name, numbers::float(*value)])).collect();
                let (loss, seconds) = (numbers::float(*loss), numbers::float(*seconds));
                json!({ "loss": loss, "metrics": metrics, "epochs": epochs, "seconds": seconds })
            }
        };
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value
    }

    fn of_json(value: &Value) -> Option<Self> {
        let metric = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), numbers::to_float(pair.get(1)?)?));
        let outcome = match value.get("failed") {
            Some(reason) => Outcome::Failed(reason.as_str()?.to_owned()),
            None => Outcome::Finished(Score {
                loss: numbers::to_float(value.get("loss")?)?,
                metrics: value.get("metrics")?.as_array()?.iter().map(metric).collect::<Option<_>>()?,
                epochs: numbers::count(value, "epochs").ok()?,
                seconds: numbers::to_float(value.get("seconds")?)?,
            }),
        };
        Some(Self {
            candidate: value.get("candidate")?.as_str()?.to_owned(),
            hashes: [of_hex(value.get("network")?)?, of_hex(value.get("data")?)?, of_hex(value.get("settings")?)?],
            values: HyperParameters::of_json(value.get("hyperparameters")?)?,
            fold: numbers::count(value, "fold").ok()?.checked_sub(1)?,
            outcome,
        })
    }
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn of_hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?, 16).ok()
}
