//! The training loop's settings: a network's type, settings and two sets of examples enter; trained parameters, state and
//! the history leave.
//!
//! One epoch shuffles the training examples, runs a step for each mini-batch (the last one may be smaller) and then
//! evaluates the validation set. After the first epoch a step allocates nothing. What a step computes is the
//! generated code's matter; nothing here looks into a network.

#[cfg(test)]
mod resume_tests;
mod run;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dl_runtime::{Examples, Network, Options, Rule, Schedule, Settings, Tensors};

use crate::callback::{Callback, EarlyStopping, Prototypes, Scheduled};
use crate::checkpoint::{self, Checkpoint, CheckpointError, Section};
use crate::data::Dataset;
use crate::evaluate::{Set, check_example_weights, evaluate_batches, refused};
use crate::{Evaluation, History, Progress, TrainError};
use run::Run;

/// Trains `N` with the settings written in its `train` section; see [`Trainer`] for others.
pub fn fit<N: Network>(
    train: &impl Dataset<Examples = N::Examples>,
    validation: &impl Dataset<Examples = N::Examples>,
) -> Result<Trained<N>, TrainError> {
    Trainer::<N>::new().fit(train, validation)
}

/// How to train a network, to begin with as its `train` section says.
pub struct Trainer<N: Network> {
    settings: Settings<N::Rule>,
    seed: u64,
    threads: usize,
    workers: usize,
    progress: Progress,
    plots: Option<PathBuf>,
    callbacks: Prototypes<N>,
    check_finite: bool,
    example_weights: Option<Arc<[f32]>>,
    start: Option<Arc<(N::Parameters, N::State)>>,
    preprocessing: Vec<(String, Section)>,
    interrupt: Option<PathBuf>,
}

impl<N: Network> Trainer<N> {
    /// The network's own settings, seed 0, one thread, progress as [`Progress::Auto`], no plots and no callbacks.
    pub fn new() -> Self {
        Self {
            settings: N::settings(),
            seed: 0,
            threads: 1,
            workers: 0,
            progress: Progress::Auto,
            plots: None,
            callbacks: Vec::new(),
            check_finite: true,
            example_weights: None,
            start: None,
            preprocessing: Vec::new(),
            interrupt: None,
        }
    }

    /// Examples in a mini-batch, at least 1.
    pub fn batch(mut self, batch: usize) -> Self {
        self.settings.batch = batch;
        self
    }

    /// Passes over the training set, at most; at least 1.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.settings.epochs = epochs;
        self
    }

    /// Stop when the validation loss has not improved for that many epochs, at least 1, and return the best epoch's
    /// parameters: [`EarlyStopping`] with its own settings. With `None` all epochs run, and the last one's parameters
    /// are returned.
    pub fn patience(mut self, patience: Option<usize>) -> Self {
        self.settings.patience = patience;
        self
    }

    /// The learning rate, finite and above 0.
    pub fn learning_rate(mut self, learning_rate: f32) -> Self {
        self.settings.optimizer.set_learning_rate(learning_rate);
        self
    }

    /// The optimizer's rule and all its numbers.
    pub fn optimizer(mut self, rule: N::Rule) -> Self {
        self.settings.optimizer = rule;
        self
    }

    /// What the optimizer does besides its rule: clipping, accumulation, averages of the parameters, decay by parameter.
    /// With averages, validation and what training returns are those of the averages.
    pub fn optimizer_options(mut self, options: Options) -> Self {
        self.settings.options = options;
        self
    }

    /// How the learning rate changes in training; the schedule multiplies the optimizer's own.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }

    /// What initialization, shuffling and dropout are drawn from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Threads that share each step, at least 1. Their number does not change the result.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Worker threads that gather batches ahead of the step, for sets that read or change examples; with 0 each batch
    /// is gathered when its step is due. Their number does not change the result.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How progress is shown.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Writes `loss.svg` and `generalization.svg` to that folder after training.
    pub fn plots(mut self, folder: impl AsRef<Path>) -> Self {
        self.plots = Some(folder.as_ref().to_path_buf());
        self
    }

    /// Adds a callback, called after those that were added before. Every run has its own clone.
    pub fn callback(mut self, callback: impl Callback<N> + Clone + Sync + 'static) -> Self {
        self.callbacks.push(Arc::new(callback));
        self
    }

    /// Whether gradients, parameters and state are looked through after every step, so that the first one that holds a
    /// number that is not finite is named; otherwise only the loss is. It is, unless set otherwise; the loss always is.
    pub fn terminate_on_nan(mut self, check: bool) -> Self {
        self.check_finite = check;
        self
    }

    /// How much each training example counts, in the order of the set: finite, at least 0. Class weights are weights of
    /// examples. The training loss and metrics are then weighted means; those of validation are if that set has weights of
    /// its own, as [`Weighted`](crate::data::Weighted) does.
    pub fn example_weights(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.example_weights = Some(weights.into().into());
        self
    }

    /// Begins with these rather than with freshly initialized ones, as in fine-tuning.
    pub fn start_from(mut self, parameters: N::Parameters, state: N::State) -> Self {
        self.start = Some(Arc::new((parameters, state)));
        self
    }

    /// Stores fitted preprocessing under that name in every checkpoint, such as
    /// [`Fitted::to_state`](crate::data::Fitted::to_state).
    pub fn preprocessing(mut self, name: impl Into<String>, state: impl Into<Section>) -> Self {
        self.preprocessing.push((name.into(), state.into()));
        self
    }

    /// On Ctrl-C (or SIGTERM) finishes the step, writes a checkpoint of the run to that file and ends as after the last
    /// epoch; the epoch under way is continued when the run is resumed. A second Ctrl-C ends the process.
    pub fn save_on_interrupt(mut self, path: impl AsRef<Path>) -> Self {
        self.interrupt = Some(path.as_ref().to_path_buf());
        self
    }

    /// Trains freshly initialized parameters on `train`, and watches `validation`.
    ///
    /// `validation` should hold examples that are in neither the training nor the test set: early stopping chooses by
    /// it, so its figures are a little too good.
    pub fn fit(
        &self,
        train: &impl Dataset<Examples = N::Examples>,
        validation: &impl Dataset<Examples = N::Examples>,
    ) -> Result<Trained<N>, TrainError> {
        self.fit_sets(train, validation)
    }

    pub(crate) fn fit_sets(&self, train: Set<'_, N>, validation: Set<'_, N>) -> Result<Trained<N>, TrainError> {
        self.run(train, validation)?.finish()
    }

    /// Continues the run of a checkpoint, or of the newest one in a folder, to the same bits as if it had not stopped.
    ///
    /// Settings, callbacks and data are those of the run; seed and learning rate come from the checkpoint, and more
    /// epochs may be asked for. Callbacks find their memory by name.
    ///
    /// # Errors
    /// If there is no checkpoint, or it is one of another network, optimizer or number of examples.
    pub fn resume(
        &self,
        from: impl AsRef<Path>,
        train: &impl Dataset<Examples = N::Examples>,
        validation: &impl Dataset<Examples = N::Examples>,
    ) -> Result<Trained<N>, TrainError> {
        let from = from.as_ref();
        let file = if from.is_dir() {
            checkpoint::newest(from)?.ok_or_else(|| CheckpointError::None { folder: from.to_path_buf() })?
        } else {
            from.to_path_buf()
        };
        let mut run = self.run(train, validation)?;
        run.restore(&Checkpoint::open(file)?)?;
        run.finish()
    }

    /// [`resume`](Self::resume) if the folder holds a checkpoint, else [`fit`](Self::fit): a job that may be started
    /// again at any time.
    pub fn fit_or_resume(
        &self,
        folder: impl AsRef<Path>,
        train: &impl Dataset<Examples = N::Examples>,
        validation: &impl Dataset<Examples = N::Examples>,
    ) -> Result<Trained<N>, TrainError> {
        match checkpoint::newest(folder)? {
            Some(file) => self.resume(file, train, validation),
            None => self.fit(train, validation),
        }
    }

    fn run<'a>(&'a self, train: Set<'a, N>, validation: Set<'a, N>) -> Result<Run<'a, N>, TrainError> {
        self.check()?;
        check_examples("training", train)?;
        check_examples("validation", validation)?;
        if let Some(weights) = self.example_weights.as_deref().or(train.weights()) {
            check_example_weights("training", weights, train.len())?;
        }
        if let Some(weights) = validation.weights() {
            check_example_weights("validation", weights, validation.len())?;
        }
        Run::new(self, train, validation)
    }

    /// The callbacks of a run.
    fn callbacks(&self) -> Vec<Box<dyn Callback<N>>> {
        let Settings { optimizer, schedule, patience, .. } = &self.settings;
        let mut callbacks: Vec<Box<dyn Callback<N>>> = Vec::new();
        if *schedule != Schedule::constant() {
            callbacks.push(Box::new(Scheduled::new(schedule, optimizer.learning_rate())));
        }
        if let Some(patience) = *patience {
            callbacks.push(Box::new(EarlyStopping::new(patience)));
        }
        callbacks.extend(self.callbacks.iter().map(|callback| callback.instance()));
        callbacks
    }

    /// Loss and metrics of `examples`, in batches and with threads as set here; of a set with weights they are weighted
    /// means.
    pub fn evaluate(
        &self,
        parameters: &N::Parameters,
        state: &N::State,
        examples: &impl Dataset<Examples = N::Examples>,
    ) -> Result<Evaluation, TrainError> {
        self.evaluate_set(parameters, state, examples)
    }

    pub(crate) fn evaluate_set(
        &self,
        parameters: &N::Parameters,
        state: &N::State,
        examples: Set<'_, N>,
    ) -> Result<Evaluation, TrainError> {
        self.check()?;
        check_examples("evaluation", examples)?;
        let batch = self.settings.batch.min(examples.len());
        evaluate_batches::<N>(
            &N::prepare(parameters, state),
            &mut N::workspace(batch, self.threads),
            &mut N::Examples::default(),
            examples,
            batch,
            "evaluation",
            0,
        )
    }

    /// The outputs of the inference network for `examples`, in batches and with threads as set here. Labels are not read
    /// and may be missing; a set without examples has no outputs. Sets that make their examples are held in memory, as they
    /// look in epoch 0.
    pub fn predict(
        &self,
        parameters: &N::Parameters,
        state: &N::State,
        examples: &impl Dataset<Examples = N::Examples>,
    ) -> Result<N::Predictions, TrainError> {
        self.check()?;
        let examples = examples.examples(0)?;
        // How many inputs there are is not known here: labels may be missing.
        let batch = self.settings.batch.min(MOST_PREDICTED);
        N::predict(&N::prepare(parameters, state), &mut N::workspace(batch, self.threads), &examples)
            .map_err(|error| refused("prediction", error, &[]))
    }

    pub(crate) fn settings_mut(&mut self) -> &mut Settings<N::Rule> {
        &mut self.settings
    }

    pub(crate) fn has_example_weights(&self) -> bool {
        self.example_weights.is_some()
    }

    /// As it is, but without the files it writes by itself.
    pub(crate) fn without_files(mut self) -> Self {
        self.plots = None;
        self.interrupt = None;
        self
    }

    pub(crate) fn check(&self) -> Result<(), TrainError> {
        const AT_LEAST_ONE: &str = "at least 1";
        let Settings { optimizer, batch, epochs, patience, .. } = &self.settings;
        if *batch == 0 {
            return Err(TrainError::setting("batch", AT_LEAST_ONE, batch));
        }
        if *epochs == 0 {
            return Err(TrainError::setting("epochs", AT_LEAST_ONE, epochs));
        }
        if *patience == Some(0) {
            return Err(TrainError::setting("patience", AT_LEAST_ONE, 0));
        }
        if self.threads == 0 || self.threads > MOST_THREADS {
            return Err(TrainError::setting("threads", "from 1 to 1024", self.threads));
        }
        let learning_rate = optimizer.learning_rate();
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            let expected = "a finite number above 0";
            return Err(TrainError::setting("learning_rate", expected, learning_rate));
        }
        self.settings.check(N::Parameters::TENSORS)?;
        Ok(())
    }
}

impl<N: Network> Default for Trainer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Network> Clone for Trainer<N> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            plots: self.plots.clone(),
            callbacks: self.callbacks.clone(),
            example_weights: self.example_weights.clone(),
            start: self.start.clone(),
            preprocessing: self.preprocessing.clone(),
            interrupt: self.interrupt.clone(),
            ..*self
        }
    }
}

impl<N: Network> fmt::Debug for Trainer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("network", &N::NAME)
            .field("settings", &self.settings)
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .field("workers", &self.workers)
            .field("progress", &self.progress)
            .field("plots", &self.plots)
            .field("check_finite", &self.check_finite)
            .finish_non_exhaustive()
    }
}

/// What training made.
pub struct Trained<N: Network> {
    /// The parameters: of the epoch with the lowest validation loss if patience was set, else of the last epoch.
    pub parameters: N::Parameters,
    /// The state of the same epoch.
    pub state: N::State,
    /// What happened in each epoch.
    pub history: History,
    /// Why training ended.
    pub end: End,
}

/// Why a training ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All epochs were done.
    Completed,
    /// A callback stopped it, for that reason.
    Stopped(String),
    /// Ctrl-C or SIGTERM; there is a checkpoint to resume from.
    Interrupted,
}

impl<N: Network> Trained<N> {
    /// What inference reads.
    pub fn prepare(&self) -> N::Prepared {
        N::prepare(&self.parameters, &self.state)
    }

    /// Loss and metrics of `examples`; see [`evaluate`](crate::evaluate).
    pub fn evaluate(&self, examples: &impl Dataset<Examples = N::Examples>) -> Result<Evaluation, TrainError> {
        crate::evaluate::<N>(&self.parameters, &self.state, examples)
    }

    /// The outputs of the inference network for `examples`; see [`predict`](crate::predict).
    pub fn predict(&self, examples: &impl Dataset<Examples = N::Examples>) -> Result<N::Predictions, TrainError> {
        crate::predict::<N>(&self.parameters, &self.state, examples)
    }

    /// Writes parameters and state to a file; see [`checkpoint`](crate::checkpoint).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        checkpoint::save::<N>(path, &self.parameters, &self.state, &[])
    }
}

impl<N: Network> fmt::Debug for Trained<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trained").field("network", &N::NAME).field("history", &self.history).finish_non_exhaustive()
    }
}

/// Examples that a prediction computes at once, at most.
const MOST_PREDICTED: usize = 1024;

/// More threads than this help no step; asking the system for them may end the process.
const MOST_THREADS: usize = 1024;

fn check_examples<E: Examples>(set: &'static str, examples: &dyn Dataset<Examples = E>) -> Result<(), TrainError> {
    if examples.is_empty() { Err(TrainError::NoExamples { set }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
