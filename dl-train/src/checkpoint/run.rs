//! A run as a file: where it is, its optimizers, its history and the memory of its callbacks.

use std::collections::BTreeSet;
use std::path::Path;

use dl_runtime::{Network, Optimizer, Report, Rule, Tensors};
use serde_json::{Value, json};

use super::write::{Entry, metadata, network, sections, write};
use super::{Checkpoint, CheckpointError, Section, json as numbers};
use crate::evaluate::Totals;
use crate::{EpochRecord, Evaluation, History, TrainError};

/// More steps than any run does, and few enough to count on.
const MOST_STEPS: u64 = 1 << 53;

/// The parameters that are trained, all in a row, in a file that has others under their names.
const TRAINED: &str = "run/parameters";

/// Where a run is, apart from tensors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Position {
    pub(crate) seed: u64,
    /// Epochs done.
    pub(crate) epoch: usize,
    /// Batches done of the next one.
    pub(crate) batch: usize,
    /// Steps done in all epochs.
    pub(crate) step: u64,
    /// Examples of the training set.
    pub(crate) examples: usize,
    /// Examples of a batch.
    pub(crate) batch_size: usize,
    /// How long the epoch under way has taken.
    pub(crate) seconds: f64,
    /// What callbacks have frozen.
    pub(crate) frozen: BTreeSet<String>,
}

/// All of a run that a file holds.
pub(crate) struct Snapshot<'a, N: Network> {
    pub(crate) position: &'a Position,
    pub(crate) totals: &'a Totals,
    pub(crate) history: &'a History,
    pub(crate) parameters: &'a N::Parameters,
    /// What stands under the names of the parameters instead of them, if anything does.
    pub(crate) validated: Option<&'a N::Parameters>,
    pub(crate) state: &'a N::State,
    pub(crate) optimizers: &'a [Optimizer<N::Rule>],
    pub(crate) callbacks: &'a [(String, Section)],
    pub(crate) preprocessing: &'a [(String, Section)],
}

impl<N: Network> Snapshot<'_, N> {
    pub(crate) fn save(&self, path: &Path) -> Result<(), TrainError> {
        let Position { seed, epoch, batch, step, examples, batch_size, seconds, frozen } = self.position;
        let mut entries = network::<N>(self.validated.unwrap_or(self.parameters), self.state);
        if self.validated.is_some() {
            let values = self.parameters.as_slice();
            entries.push(Entry { name: TRAINED.to_owned(), dims: vec![values.len()], values });
        }
        let optimizers = self.optimizers.iter().enumerate().map(|(number, optimizer)| {
            let values = optimizer.memory();
            entries.push(Entry { name: format!("optimizer/{number}"), dims: vec![values.len()], values });
            let rate = numbers::float(optimizer.rule.learning_rate().into());
            json!({ "steps": optimizer.steps(), "learning_rate": rate, "floats": values.len(), "seed": optimizer.seed })
        });
        let optimizers: Vec<Value> = optimizers.collect();
        let callbacks = sections("callback", self.callbacks, &mut entries);
        let preprocessing = sections("preprocessing", self.preprocessing, &mut entries);
        let run = json!({
            "seed": seed,
            "epoch": epoch,
            "batch": batch,
            "step": step,
            "examples": examples,
            "batch_size": batch_size,
            "seconds": numbers::float(*seconds),
            "frozen": frozen,
            "validated": self.validated.is_some(),
            "totals": self.totals.sums().map(numbers::float).collect::<Vec<Value>>(),
            "optimizers": optimizers,
            "history": self.history.epochs.iter().map(record).collect::<Vec<Value>>(),
            "callback": callbacks,
        });
        write(path, &metadata::<N>(json!({ "run": run, "preprocessing": preprocessing })), &entries)
    }
}

/// All of a run that was read from a file.
pub(crate) struct Restored<N: Network> {
    pub(crate) position: Position,
    pub(crate) totals: Totals,
    pub(crate) history: History,
    pub(crate) parameters: N::Parameters,
    pub(crate) state: N::State,
    pub(crate) callbacks: Vec<(String, Section)>,
    pub(crate) preprocessing: Vec<(String, Section)>,
}

impl<N: Network> Restored<N> {
    /// Reads all but the optimizers, whose number and lengths the network knows.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let not_a_run = || CheckpointError::NotARun { path: checkpoint.path().to_path_buf() };
        let (mut parameters, state) = checkpoint.load::<N>()?;
        let run = checkpoint.run().ok_or_else(not_a_run)?;
        if run.get("validated").and_then(Value::as_bool) == Some(true) {
            checkpoint.numbers()?.read(TRAINED, parameters.as_mut_slice())?;
        }
        let long = |name: &str| run.get(name).and_then(Value::as_u64).ok_or_else(|| numbers::missing(name));
        let list = |name: &str| run.get(name).and_then(Value::as_array).ok_or_else(|| numbers::missing(name));
        let frozen = list("frozen")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let position = Position {
            seed: long("seed")?,
            epoch: numbers::count(run, "epoch")?,
            batch: numbers::count(run, "batch")?,
            step: long("step")?,
            examples: numbers::count(run, "examples")?,
            batch_size: numbers::count(run, "batch_size")?,
            seconds: run.get("seconds").and_then(numbers::to_float).ok_or_else(|| numbers::missing("seconds"))?,
            frozen,
        };
        let sums: Option<Vec<f64>> = list("totals")?.iter().map(numbers::to_float).collect();
        let totals = sums.and_then(|sums| Totals::from_sums::<N::Report>(&sums));
        let batches = position.examples.div_ceil(position.batch_size.max(1));
        let plausible = position.batch <= batches && position.step <= MOST_STEPS && position.seconds.is_finite();
        if !plausible || list("history")?.len() != position.epoch {
            let reason = "its epoch, batch and step do not go together".to_owned();
            return Err(CheckpointError::Section { section: "run".to_owned(), reason });
        }
        let epochs: Option<Vec<EpochRecord>> = list("history")?.iter().map(to_record::<N::Report>).collect();
        Ok(Self {
            position,
            totals: totals.ok_or_else(|| numbers::missing("totals"))?,
            history: History { epochs: epochs.ok_or_else(|| numbers::missing("history"))?, stopped_early: false },
            parameters,
            state,
            callbacks: checkpoint.sections("callback", run)?,
            preprocessing: checkpoint.all_preprocessing()?,
        })
    }
}

/// Puts the memory of optimizers back.
pub(crate) fn restore_optimizers<R: Rule>(
    checkpoint: &Checkpoint,
    optimizers: &mut [Optimizer<R>],
) -> Result<(), CheckpointError> {
    let other = |what, expected: usize, found: usize| CheckpointError::OtherRun {
        path: checkpoint.path().to_path_buf(),
        what,
        expected: expected as u64,
        found: found as u64,
    };
    let listed = checkpoint.run().and_then(|run| run.get("optimizers")).and_then(Value::as_array);
    let listed = listed.ok_or_else(|| numbers::missing("optimizers"))?;
    if listed.len() != optimizers.len() {
        return Err(other("optimizers", listed.len(), optimizers.len()));
    }
    let mut file = checkpoint.numbers()?;
    for (number, (listed, optimizer)) in listed.iter().zip(optimizers).enumerate() {
        let floats = numbers::count(listed, "floats")?;
        let memory = optimizer.memory_mut();
        if floats != memory.len() {
            return Err(other("floats of optimizer memory", floats, memory.len()));
        }
        file.read(&format!("optimizer/{number}"), memory)?;
        let long = |name: &str| listed.get(name).and_then(Value::as_u64).ok_or_else(|| numbers::missing(name));
        let rate = listed.get("learning_rate").and_then(numbers::to_float).map(|rate| rate as f32);
        let rate = rate.filter(|rate| rate.is_finite() && *rate >= 0.0);
        let steps = Some(long("steps")?).filter(|&steps| steps <= MOST_STEPS);
        optimizer.rule.set_learning_rate(rate.ok_or_else(|| numbers::missing("learning_rate"))?);
        optimizer.set_steps(steps.ok_or_else(|| numbers::missing("steps"))?);
        optimizer.seed = long("seed")?;
    }
    Ok(())
}

fn record(record: &EpochRecord) -> Value {
    let evaluation = |evaluation: &Evaluation| {
        let metrics: Vec<Value> = evaluation.metrics.iter().map(|(_, value)| numbers::float(*value)).collect();
        json!({ "loss": numbers::float(evaluation.loss), "metrics": metrics })
    };
    json!({
        "epoch": record.epoch,
        "seconds": numbers::float(record.seconds),
        "train": evaluation(&record.train),
        "validation": evaluation(&record.validation),
    })
}

fn to_record<R: Report>(value: &Value) -> Option<EpochRecord> {
    let evaluation = |name: &str| {
        let value = value.get(name)?;
        let metrics: Option<Vec<f64>> = value.get("metrics")?.as_array()?.iter().map(numbers::to_float).collect();
        let metrics = metrics.filter(|metrics| metrics.len() == R::METRICS.len())?;
        let metrics = R::METRICS.iter().copied().zip(metrics).collect();
        Some(Evaluation { loss: numbers::to_float(value.get("loss")?)?, metrics })
    };
    Some(EpochRecord {
        epoch: numbers::count(value, "epoch").ok()?,
        train: evaluation("train")?,
        validation: evaluation("validation")?,
        seconds: numbers::to_float(value.get("seconds")?)?,
    })
}
