//! Search over networks and how they are trained: candidates, hyperparameters and folds enter, a ranked table leaves.
//!
//! ```text
//! let grid = GridSearch::new().values("learning_rate", [0.001, 0.01]).values("batch", [16, 32]);
//! let results = CrossValidation::new(KFold::stratified(5, &labels))
//!     .candidate(Candidate::<Small>::new("small", &small))
//!     .candidate(Candidate::<Large>::new("large", &large))
//!     .workers(2)
//!     .journal("target/search.jsonl")
//!     .search(&grid)?;
//! println!("{results}");
//! ```
//!
//! A trial trains one candidate with one set of hyperparameters on the training part of one fold, and evaluates it on the
//! validation part, which early stopping looks at too. Trials run side by side; each is a function of its settings, its
//! data, the seed and the number of its fold, so neither the number of workers nor the order of trials changes a bit of the
//! table. A trial whose numbers leave the finite ones has failed, which stops no other one; everything else that goes
//! wrong ends the search.
//!
//! With a [`journal`](CrossValidation::journal) each trial is on disk when it ends, and a search that is started again takes
//! it from there. A search may grow, by more hyperparameters or candidates; what is in the file must belong to it.
//!
//! Who chooses the best of many by their scores finds these a little too good: hold a test set back.

mod candidate;
mod error;
mod journal;
mod k_fold;
mod results;
mod space;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use dl_runtime::Network;
use indicatif::ProgressBar;

pub use candidate::{Candidate, Score};
pub use error::SearchError;
pub use k_fold::KFold;
pub use results::{ResultRow, SearchResults};
pub use space::{GridSearch, RandomSearch, SearchSpace};
pub use values::{HyperParameters, Value};

use crate::callback::Monitor;
use crate::data::random::{TRIAL, derived};
use crate::split::Fold;
use crate::{Progress, TrainError};
use candidate::{Hash, Plan, Trials};
use journal::{Header, Journal, Record};

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With these numbers.
    Finished(Score),
    /// With numbers that are not finite, for this reason.
    Failed(String),
}

impl Outcome {
    /// The numbers, unless it failed.
    pub fn score(&self) -> Option<&Score> {
        match self {
            Outcome::Finished(score) => Some(score),
            Outcome::Failed(_) => None,
        }
    }
}

/// Trains candidates on several splits of the same examples and compares them; see the [module](self).
pub struct CrossValidation<'a> {
    folds: Folds,
    candidates: Vec<Box<dyn Trials + Send + 'a>>,
    monitor: Monitor,
    seed: u64,
    workers: usize,
    threads: usize,
    progress: Progress,
    journal: Option<PathBuf>,
}

#[derive(Debug)]
enum Folds {
    Dealt(KFold),
    Given(Vec<Fold>),
}

impl<'a> CrossValidation<'a> {
    /// Over these folds: looks at the loss, with seed 0, one worker, one thread for each trial, and no file.
    pub fn new(folds: KFold) -> Self {
        Self::of(Folds::Dealt(folds))
    }

    /// Over folds made elsewhere, such as a single pair of a training and a validation part.
    pub fn with_folds(folds: Vec<Fold>) -> Self {
        Self::of(Folds::Given(folds))
    }

    fn of(folds: Folds) -> Self {
        Self {
            folds,
            candidates: Vec::new(),
            monitor: Monitor::loss(),
            seed: 0,
            workers: 1,
            threads: 1,
            progress: Progress::Auto,
            journal: None,
        }
    }

    /// Adds a candidate.
    pub fn candidate<N: Network>(mut self, candidate: Candidate<'a, N>) -> Self
    where
        N::Examples: fmt::Debug,
    {
        self.candidates.push(Box::new(candidate));
        self
    }

    /// What candidates are ranked by: a number of the validation part.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// What trials are drawn from. All trials of one fold have the same seed, those of another fold another one.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many trials run side by side, from 1 to 1024. Their number does not change the result.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Threads that share each step of a trial, from 1 to 1024. Their number does not change the result.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How progress is shown: a bar over all trials, or a line for each that ends.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Keeps finished trials in that file, and takes those that are there.
    ///
    /// A trial is known by its candidate, hyperparameters and fold. The file must have been made with the same seed, folds,
    /// networks, data (as it looks in epoch 0, with weights) and settings of training. What callbacks and functions do is not
    /// known to it.
    pub fn journal(mut self, path: impl AsRef<Path>) -> Self {
        self.journal = Some(path.as_ref().to_path_buf());
        self
    }

    /// Compares the candidates as they are.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn cross_validate(&self) -> Result<SearchResults, SearchError> {
        self.run(vec![HyperParameters::default()])
    }

    /// Tries each candidate with all hyperparameters of the search.
    ///
    /// # Errors
    /// Before the first trial if there is nothing to try, candidates, folds or hyperparameters do not go together, or the
    /// file is of another search. If a trial fails otherwise than by numbers that are not finite, no further one begins, and
    /// the error of the first one in order is returned.
    pub fn search(&self, space: &impl SearchSpace) -> Result<SearchResults, SearchError> {
        let points = space.points()?;
        if points.is_empty() {
            return Err(SearchError::Empty { what: "the search".to_owned(), expected: "set of hyperparameters" });
        }
        self.run(points)
    }

    fn run(&self, points: Vec<HyperParameters>) -> Result<SearchResults, SearchError> {
        let folds = self.check()?;
        let mut trials = Vec::new();
        for candidate in &self.candidates {
            for values in &points {
                let settings = candidate.settings_hash(values).map_err(|source| SearchError::Setting {
                    candidate: candidate.name().to_owned(),
                    hyperparameters: values.clone(),
                    source: Box::new(source),
                })?;
                let candidate = candidate.as_ref();
                trials.extend((0..folds.len()).map(|fold| Trial { candidate, values, fold, settings }));
            }
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; trials.len()];
        let mut data = Vec::new();
        let mut journal = None;
        if let Some(path) = &self.journal {
            for candidate in &self.candidates {
                data.push((candidate.name(), candidate.data_hash()?));
            }
            let mut positions = Hash::default();
            positions.add(format_args!("{folds:?}"));
            let header = Header { seed: self.seed, folds: folds.len(), positions: positions.0 };
            let (opened, records) = Journal::open(path, &header)?;
            take_records(&opened, records, &trials, &data, &mut outcomes)?;
            journal = Some(opened);
        }
        self.run_trials(&trials, &folds, &data, journal, &mut outcomes)?;
        let mut outcomes = outcomes.into_iter().flatten();
        let rows = trials.chunks(folds.len()).map(|trials| ResultRow {
            rank: None,
            candidate: trials[0].candidate.name().to_owned(),
            hyperparameters: trials[0].values.clone(),
            folds: outcomes.by_ref().take(folds.len()).collect(),
        });
        Ok(SearchResults::new(rows.collect(), self.monitor.clone()))
    }

    /// Checks all but hyperparameters, and makes the folds.
    fn check(&self) -> Result<Vec<Fold>, SearchError> {
        for (name, found) in [("workers", self.workers), ("threads", self.threads)] {
            if !(1..=1024).contains(&found) {
                return Err(TrainError::setting(name, "from 1 to 1024", found).into());
            }
        }
        let Some(first) = self.candidates.first() else {
            return Err(SearchError::Empty { what: "the list of candidates".to_owned(), expected: "candidate" });
        };
        let examples = first.examples();
        for (place, candidate) in self.candidates.iter().enumerate() {
            let (name, found) = (candidate.name().to_owned(), candidate.examples());
            if self.candidates[..place].iter().any(|other| other.name() == name) {
                return Err(SearchError::Twice { kind: "candidates", name });
            }
            if found != examples {
                return Err(SearchError::Length { what: format!("candidate `{name}`"), expected: examples, found });
            }
            candidate.check_monitor(&self.monitor)?;
        }
        match &self.folds {
            Folds::Dealt(folds) => folds.split(examples),
            Folds::Given(folds) => k_fold::check_folds(folds, examples).map(|()| folds.clone()),
        }
    }

    /// Runs what has no outcome yet.
    fn run_trials(
        &self,
        trials: &[Trial<'_>],
        folds: &[Fold],
        data: &[(&str, u64)],
        journal: Option<Journal>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), SearchError> {
        let pending: Vec<usize> = (0..trials.len()).filter(|&trial| outcomes[trial].is_none()).collect();
        let view = View::new(self.progress, trials.len(), trials.len() - pending.len());
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Mutex::new((journal, view, outcomes, None::<(usize, SearchError)>));
        let work = || {
            while !stopped.load(Ordering::Relaxed)
                && let Some(&at) = pending.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let trial = &trials[at];
                let ended = trial.run(&folds[trial.fold], self.seed, self.threads);
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let (journal, view, outcomes, failed) = &mut *shared;
                let kept = ended.and_then(|outcome| {
                    if let Some(journal) = journal {
                        journal.add(&trial.record(data, outcome.clone()))?;
                    }
                    Ok(outcome)
                });
                match kept {
                    Ok(outcome) => {
                        view.advance(trial, &outcome, &self.monitor);
                        outcomes[at] = Some(outcome);
                    }
                    Err(error) => {
                        stopped.store(true, Ordering::Relaxed);
                        if failed.as_ref().is_none_or(|(first, _)| at < *first) {
                            *failed = Some((at, error));
                        }
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.workers.min(pending.len()) {
                let builder = thread::Builder::new().name("trial".to_owned()).stack_size(STACK);
                builder.spawn_scoped(scope, work).map_err(|error| {
                    stopped.store(true, Ordering::Relaxed);
                    TrainError::setting("workers", "as many threads as the system gives", error)
                })?;
            }
            Ok::<_, SearchError>(())
        })?;
        let (_, view, _, failed) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        view.finish();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl fmt::Debug for CrossValidation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let candidates: Vec<&str> = self.candidates.iter().map(|candidate| candidate.name()).collect();
        f.debug_struct("CrossValidation")
            .field("folds", &self.folds)
            .field("candidates", &candidates)
            .field("monitor", &self.monitor)
            .field("seed", &self.seed)
            .field("workers", &self.workers)
            .field("threads", &self.threads)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

/// As much stack as the main thread usually has: examples are moved over it.
const STACK: usize = 8 << 20;

/// One training to be done.
struct Trial<'a> {
    candidate: &'a dyn Trials,
    values: &'a HyperParameters,
    /// From 0.
    fold: usize,
    /// A hash of all settings of training.
    settings: u64,
}

impl Trial<'_> {
    fn run(&self, fold: &Fold, seed: u64, threads: usize) -> Result<Outcome, SearchError> {
        let plan = Plan { fold, seed: derived(TRIAL, seed, 0, self.fold as u64), threads };
        match self.candidate.run(self.values, plan) {
            Ok(Ok(score)) => Ok(Outcome::Finished(score)),
            Ok(Err(reason)) => Ok(Outcome::Failed(reason)),
            Err(source) => Err(SearchError::Trial {
                candidate: self.candidate.name().to_owned(),
                hyperparameters: self.values.clone(),
                fold: self.fold + 1,
                source: Box::new(source),
            }),
        }
    }

    /// What the file of finished trials knows it by.
    fn key(&self) -> (String, String, usize) {
        (self.candidate.name().to_owned(), self.values.key(), self.fold)
    }

    fn hashes(&self, data: &[(&str, u64)]) -> [u64; 3] {
        let name = self.candidate.name();
        let data = data.iter().find(|(candidate, _)| *candidate == name).map_or(0, |(_, hash)| *hash);
        [self.candidate.fingerprint(), data, self.settings]
    }

    fn record(&self, data: &[(&str, u64)], outcome: Outcome) -> Record {
        let (candidate, values) = (self.candidate.name().to_owned(), self.values.clone());
        Record { candidate, hashes: self.hashes(data), values, fold: self.fold, outcome }
    }
}

/// Takes what the file of finished trials has.
fn take_records(
    journal: &Journal,
    records: Vec<Record>,
    trials: &[Trial<'_>],
    data: &[(&str, u64)],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), SearchError> {
    let places: HashMap<_, usize> = trials.iter().enumerate().map(|(place, trial)| (trial.key(), place)).collect();
    for record in records {
        let Record { candidate, hashes, values, fold, outcome } = record;
        if !data.iter().any(|(name, _)| *name == candidate) {
            let expected = values::names(data.iter().map(|(name, _)| *name));
            return Err(journal.other("candidate".to_owned(), expected, format!("`{candidate}`")));
        }
        let Some(&at) = places.get(&(candidate.clone(), values.key(), fold)) else {
            let found = format!("candidate `{candidate}` with {values}, fold {}", fold + 1);
            return Err(journal.other("trial".to_owned(), "one that is to be done".to_owned(), found));
        };
        let of = |what: &str| format!("hash of the {what} of candidate `{candidate}`");
        let whats = [of("network"), of("data"), format!("{} with {values}", of("settings"))];
        for ((what, expected), found) in whats.into_iter().zip(trials[at].hashes(data)).zip(hashes) {
            if expected != found {
                return Err(journal.other(what, format!("{expected:016x}"), format!("{found:016x}")));
            }
        }
        outcomes[at].get_or_insert(outcome);
    }
    Ok(())
}

/// How the trials are shown on standard error.
struct View {
    mode: Progress,
    bar: ProgressBar,
}

impl View {
    fn new(progress: Progress, trials: usize, done: usize) -> Self {
        let mode = progress.resolved();
        let bar = if mode == Progress::Bar { ProgressBar::new(trials as u64) } else { ProgressBar::hidden() };
        bar.set_length(trials as u64);
        bar.set_position(done as u64);
        Self { mode, bar }
    }

    fn advance(&self, trial: &Trial<'_>, outcome: &Outcome, monitor: &Monitor) {
        self.bar.inc(1);
        if self.mode == Progress::Silent {
            return;
        }
        let name = monitor.name();
        let result = match outcome {
            Outcome::Finished(score) => format!("{name} {:.6}", score.get(name).unwrap_or(f64::NAN)),
            Outcome::Failed(reason) => format!("failed: {reason}"),
        };
        let Trial { candidate, values, fold, .. } = trial;
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let line = format!("trial {done}/{all}: {}, {values}, fold {}: {result}", candidate.name(), fold + 1);
        match self.mode {
            Progress::Bar => self.bar.println(line),
            // A closed standard error is no reason to fail.
            _ => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
