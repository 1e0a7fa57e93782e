//! The training loop: a network's type, settings and two sets of examples enter; trained parameters, state and the
//! history leave.
//!
//! One epoch shuffles the training examples, runs a step for each mini-batch (the last one may be smaller) and then
//! evaluates the validation set. After the first epoch a step allocates nothing. What a step computes is the
//! generated code's matter; nothing here looks into a network.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dl_runtime::{Examples, Network, Rng, Rule, Settings, Tensors};

use crate::evaluate::{Batches, Totals, check_finite, evaluate_batches};
use crate::progress::View;
use crate::{EpochRecord, Evaluation, History, Progress, TrainError};

/// Trains `N` with the settings written in its `train` section; see [`Trainer`] for others.
pub fn fit<N: Network>(train: &N::Examples, validation: &N::Examples) -> Result<Trained<N>, TrainError> {
    Trainer::<N>::new().fit(train, validation)
}

/// How to train a network, to begin with as its `train` section says.
pub struct Trainer<N: Network> {
    settings: Settings<N::Rule>,
    seed: u64,
    threads: usize,
    progress: Progress,
    plots: Option<PathBuf>,
}

impl<N: Network> Trainer<N> {
    /// The network's own settings, seed 0, one thread, progress as [`Progress::Auto`], no plots.
    pub fn new() -> Self {
        Self { settings: N::settings(), seed: 0, threads: 1, progress: Progress::Auto, plots: None }
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
    /// parameters. With `None` all epochs run, and the last one's parameters are returned.
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

    /// Trains freshly initialized parameters on `train`, and watches `validation`.
    ///
    /// `validation` should hold examples that are in neither the training nor the test set: early stopping chooses by
    /// it, so its figures are a little too good.
    pub fn fit(&self, train: &N::Examples, validation: &N::Examples) -> Result<Trained<N>, TrainError> {
        self.check()?;
        check_examples("training", train)?;
        check_examples("validation", validation)?;
        if let Some(folder) = &self.plots {
            // Now rather than after hours of training.
            fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
        }
        let Settings { optimizer: rule, epochs, patience, .. } = self.settings;
        let batch = self.settings.batch.min(train.len());
        let validation_batch = self.settings.batch.min(validation.len());

        let (mut parameters, mut state) = N::initialize(self.seed);
        let mut best = patience.map(|_| (parameters.clone(), state.clone()));
        let mut optimizers = N::optimizers(rule, self.seed);
        let mut training_workspace = N::training_workspace(batch, self.threads);
        let mut workspace = N::workspace(validation_batch, self.threads);
        let mut batches = Batches::<N>::new();
        let mut totals = Totals::new::<N::Report>();
        let mut order: Vec<usize> = (0..train.len()).collect();
        let mut rng = Rng::new(self.seed);
        let mut view = View::new(self.progress, epochs, train.len());
        let mut history = History::default();
        let mut lowest = f64::INFINITY;
        let mut since_best = 0;

        for epoch in 1..=epochs {
            let start = Instant::now();
            view.start_epoch(epoch);
            totals.clear();
            rng.shuffle(&mut order);
            for (number, positions) in order.chunks(batch).enumerate() {
                let report = N::step(
                    &mut parameters,
                    &mut state,
                    &mut optimizers,
                    &mut training_workspace,
                    batches.gather(train, positions)?,
                    None,
                )?;
                check_finite(&report, "training", epoch, number + 1)?;
                totals.add(&report, positions.len());
                view.advance::<N::Report>(positions.len(), &totals);
            }
            let evaluation = evaluate_batches::<N>(
                &N::prepare(&parameters, &state),
                &mut workspace,
                &mut batches,
                validation,
                validation_batch,
                "validation",
                epoch,
            )?;
            let improved = evaluation.loss < lowest;
            if improved {
                lowest = evaluation.loss;
                since_best = 0;
                if let Some((best_parameters, best_state)) = &mut best {
                    best_parameters.as_mut_slice().copy_from_slice(parameters.as_slice());
                    best_state.as_mut_slice().copy_from_slice(state.as_slice());
                }
            } else {
                since_best += 1;
            }
            let record = EpochRecord {
                epoch,
                train: totals.evaluation::<N::Report>(),
                validation: evaluation,
                seconds: start.elapsed().as_secs_f64(),
            };
            view.finish_epoch(&record, improved);
            history.epochs.push(record);
            if patience.is_some_and(|patience| since_best >= patience) {
                history.stopped_early = epoch < epochs;
                break;
            }
        }
        view.finish(history.epochs.len(), history.best(), history.stopped_early);
        if let Some(folder) = &self.plots {
            history.loss_curve_svg(folder.join("loss.svg"))?;
            history.generalization_curve_svg(folder.join("generalization.svg"))?;
        }
        let (parameters, state) = best.unwrap_or((parameters, state));
        Ok(Trained { parameters, state, history })
    }

    /// Loss and metrics of `examples`, in batches and with threads as set here.
    pub fn evaluate(
        &self,
        parameters: &N::Parameters,
        state: &N::State,
        examples: &N::Examples,
    ) -> Result<Evaluation, TrainError> {
        self.check()?;
        check_examples("evaluation", examples)?;
        let batch = self.settings.batch.min(examples.len());
        evaluate_batches::<N>(
            &N::prepare(parameters, state),
            &mut N::workspace(batch, self.threads),
            &mut Batches::new(),
            examples,
            batch,
            "evaluation",
            0,
        )
    }

    fn check(&self) -> Result<(), TrainError> {
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
        Self { settings: self.settings.clone(), plots: self.plots.clone(), ..*self }
    }
}

impl<N: Network> fmt::Debug for Trainer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("network", &N::NAME)
            .field("settings", &self.settings)
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .field("progress", &self.progress)
            .field("plots", &self.plots)
            .finish()
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
}

impl<N: Network> Trained<N> {
    /// What inference reads.
    pub fn prepare(&self) -> N::Prepared {
        N::prepare(&self.parameters, &self.state)
    }

    /// Loss and metrics of `examples`; see [`evaluate`](crate::evaluate).
    pub fn evaluate(&self, examples: &N::Examples) -> Result<Evaluation, TrainError> {
        crate::evaluate::<N>(&self.parameters, &self.state, examples)
    }
}

impl<N: Network> fmt::Debug for Trained<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trained").field("network", &N::NAME).field("history", &self.history).finish_non_exhaustive()
    }
}

/// More threads than this help no step; asking the system for them may end the process.
const MOST_THREADS: usize = 1024;

fn check_examples(set: &'static str, examples: &impl Examples) -> Result<(), TrainError> {
    if examples.is_empty() { Err(TrainError::NoExamples { set }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
