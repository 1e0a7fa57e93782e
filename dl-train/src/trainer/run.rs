//! One run: the loop over epochs and batches, its callbacks and its checkpoints.

use std::fs;
use std::path::Path;
use std::time::Instant;

use dl_runtime::{Examples, Network, Optimizer, Report, Rng, TensorInfo, Tensors, first_not_finite};

use super::{End, Trained, Trainer};
use crate::callback::{Callback, Context, Control, frozen_ranges};
use crate::checkpoint::run::{Position, Restored, Snapshot, restore_optimizers};
use crate::checkpoint::{Checkpoint, CheckpointError, Section};
use crate::data::random::{ORDER, derived};
use crate::data::{DataError, Loader, Minibatch};
use crate::error::{Spoiled, TrainError};
use crate::evaluate::{Set, Totals, evaluate_batches, refused, spoiled};
use crate::interrupt::Listener;
use crate::progress::View;
use crate::{EpochRecord, History};

/// A training under way.
pub(super) struct Run<'a, N: Network> {
    trainer: &'a Trainer<N>,
    train: Set<'a, N>,
    validation: Set<'a, N>,
    loader: Loader<N::Examples>,
    buffer: N::Examples,
    position: Position,
    totals: Totals,
    history: History,
    parameters: N::Parameters,
    state: N::State,
    optimizers: N::Optimizers,
    /// How many losses have a step of their own.
    losses: usize,
    /// Moving averages of the parameters after the last epoch.
    average: Option<N::Parameters>,
    training_workspace: N::TrainingWorkspace,
    workspace: N::Workspace,
    report: Option<N::Report>,
    callbacks: Vec<Box<dyn Callback<N>>>,
    preprocessing: Vec<(String, Section)>,
    control: Control,
    listener: Option<Listener>,
    interrupted: bool,
}

impl<'a, N: Network> Run<'a, N> {
    /// A run before its first epoch.
    pub(super) fn new(trainer: &'a Trainer<N>, train: Set<'a, N>, validation: Set<'a, N>) -> Result<Self, TrainError> {
        let settings = &trainer.settings;
        let (batch_size, seed) = (settings.batch.min(train.len()), trainer.seed);
        let mut optimizers = N::optimizers(settings.optimizer, seed);
        for optimizer in optimizers.as_mut() {
            if *optimizer.options() != settings.options {
                optimizer.set_options(settings.options.clone())?;
            }
        }
        let (parameters, state) = trainer.start.as_deref().cloned().unwrap_or_else(|| N::initialize(seed));
        Ok(Self {
            trainer,
            train,
            validation,
            position: Position {
                seed,
                epoch: 0,
                batch: 0,
                step: 0,
                examples: train.len(),
                batch_size,
                seconds: 0.0,
                frozen: Default::default(),
            },
            totals: Totals::new::<N::Report>(),
            history: History::default(),
            parameters,
            state,
            losses: optimizers.as_mut().len(),
            optimizers,
            average: None,
            training_workspace: N::training_workspace(batch_size, trainer.threads),
            workspace: N::workspace(settings.batch.min(validation.len()), trainer.threads),
            loader: Loader::new(trainer.workers),
            buffer: N::Examples::default(),
            report: None,
            callbacks: trainer.callbacks(),
            preprocessing: trainer.preprocessing.clone(),
            control: Control::default(),
            listener: trainer.interrupt.as_ref().map(|_| Listener::new()).transpose()?,
            interrupted: false,
        })
    }

    /// Goes to where the run of a checkpoint was.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let restored = Restored::<N>::read(checkpoint)?;
        let (found, expected) = (&self.position, &restored.position);
        let within = expected.batch > 0;
        let compared = [
            ("training examples", expected.examples, found.examples, true),
            ("examples in a batch", expected.batch_size, found.batch_size, within),
        ];
        for (what, expected, found, matters) in compared {
            if matters && expected != found {
                let (path, expected, found) = (checkpoint.path().to_path_buf(), expected as u64, found as u64);
                return Err(CheckpointError::OtherRun { path, what, expected, found }.into());
            }
        }
        let batch_size = found.batch_size;
        restore_optimizers(checkpoint, self.optimizers.as_mut())?;
        self.control.frozen = restored.position.frozen.clone();
        self.control.changed = true;
        self.position = Position { batch_size, ..restored.position };
        self.totals = restored.totals;
        self.history = restored.history;
        self.parameters = restored.parameters;
        self.state = restored.state;
        self.take_average();
        if self.preprocessing.is_empty() {
            self.preprocessing = restored.preprocessing;
        }
        let mut sections = restored.callbacks;
        for callback in &mut self.callbacks {
            if let Some(at) = sections.iter().position(|(name, _)| name == callback.name()) {
                callback.load(&sections.remove(at).1)?;
            }
        }
        Ok(())
    }

    /// Runs to the end.
    pub(super) fn finish(mut self) -> Result<Trained<N>, TrainError> {
        let epochs = self.trainer.settings.epochs;
        if let Some(folder) = &self.trainer.plots {
            // Now rather than after hours of training.
            fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
        }
        let mut view = View::new(self.trainer.progress, epochs, self.train.len());
        let mut order: Vec<usize> = Vec::with_capacity(self.train.len());
        let mut weights = Vec::new();
        self.hook((self.position.epoch + 1).min(epochs), |callback, context| callback.begin_run(context))?;
        while self.control.stop.is_none() && self.position.epoch < epochs {
            self.epoch(&mut view, &mut order, &mut weights)?;
        }
        self.history.stopped_early = self.control.stop.is_some() && !self.interrupted && self.position.epoch < epochs;
        if let Some(average) = self.average.take() {
            self.parameters = average;
        }
        self.hook(self.position.epoch, |callback, context| callback.end_run(context))?;
        view.finish(self.history.epochs.len(), self.history.best(), self.history.stopped_early);
        if let Some(folder) = &self.trainer.plots
            && !self.history.epochs.is_empty()
        {
            self.history.loss_curve_svg(folder.join("loss.svg"))?;
            self.history.generalization_curve_svg(folder.join("generalization.svg"))?;
        }
        let end = match self.control.stop {
            _ if self.interrupted => End::Interrupted,
            Some(reason) => End::Stopped(reason),
            None => End::Completed,
        };
        Ok(Trained { parameters: self.parameters, state: self.state, history: self.history, end })
    }

    /// One epoch, or what is left of it.
    fn epoch(&mut self, view: &mut View, order: &mut Vec<usize>, weights: &mut Vec<f32>) -> Result<(), TrainError> {
        let (epoch, before) = (self.position.epoch + 1, self.position.seconds);
        let start = Instant::now();
        if self.position.batch == 0 {
            self.totals.clear();
            self.hook(epoch, |callback, context| callback.begin_epoch(context))?;
        }
        let batch_size = self.position.batch_size;
        view.start_epoch(epoch, self.position.batch * batch_size);
        shuffled(self.position.seed, epoch, self.train.len(), order);
        if self.control.stop.is_none() {
            let mut loader = std::mem::replace(&mut self.loader, Loader::new(0));
            let (train, rest) = (self.train, order.get(self.position.batch * batch_size..).unwrap_or_default());
            let ended = loader.run(train, epoch as u64, rest, batch_size, |batch| {
                self.batch(epoch, &batch, view, weights, before + start.elapsed().as_secs_f64())
            });
            self.loader = loader;
            match ended {
                Err(Ended::Failed(error)) => return Err(error),
                Ok(()) | Err(Ended::Stopped) => {}
            }
        }
        if self.control.stop.is_some() {
            return Ok(());
        }
        self.take_average();
        let validation = evaluate_batches::<N>(
            &N::prepare(self.average.as_ref().unwrap_or(&self.parameters), &self.state),
            &mut self.workspace,
            &mut self.buffer,
            self.validation,
            self.trainer.settings.batch.min(self.validation.len()),
            "validation",
            epoch,
        )?;
        let lowest = self.history.best().map_or(f64::INFINITY, |best| best.validation.loss);
        let record = EpochRecord {
            epoch,
            train: self.totals.evaluation::<N::Report>(),
            validation,
            seconds: before + start.elapsed().as_secs_f64(),
        };
        view.finish_epoch(&record, record.validation.loss < lowest);
        self.history.epochs.push(record);
        self.position = Position { epoch, batch: 0, seconds: 0.0, ..self.position.clone() };
        self.hook(epoch, |callback, context| callback.end_epoch(context))
    }

    /// Moving averages of the parameters, if the optimizers keep such.
    fn take_average(&mut self) {
        if self.trainer.settings.options.ema.is_none() {
            return;
        }
        let average = self.average.get_or_insert_with(|| self.parameters.clone());
        average.as_mut_slice().copy_from_slice(self.parameters.as_slice());
        for optimizer in self.optimizers.as_mut() {
            optimizer.write_average(average.as_mut_slice());
        }
    }

    /// One batch with its hooks; `seconds` is how long the epoch took up to it.
    fn batch(
        &mut self,
        epoch: usize,
        batch: &Minibatch<'_, N::Examples>,
        view: &mut View,
        weights: &mut Vec<f32>,
        seconds: f64,
    ) -> Result<(), Ended> {
        let start = Instant::now();
        self.hook(epoch, |callback, context| callback.begin_batch(context))?;
        self.step(epoch, batch, weights)?;
        view.advance::<N::Report>(batch.positions.len(), &self.totals);
        self.position.seconds = seconds + start.elapsed().as_secs_f64();
        self.hook(epoch, |callback, context| callback.end_batch(context))?;
        if self.listener.as_ref().is_some_and(Listener::asked) {
            self.interrupted = true;
            self.control.stop("interrupted");
            if let Some(path) = &self.trainer.interrupt {
                self.save(path, false)?;
            }
        }
        if self.control.stop.is_some() { Err(Ended::Stopped) } else { Ok(()) }
    }

    /// One step and its checks.
    fn step(
        &mut self,
        epoch: usize,
        batch: &Minibatch<'_, N::Examples>,
        buffer: &mut Vec<f32>,
    ) -> Result<(), TrainError> {
        let Minibatch { positions, examples, .. } = *batch;
        let weights = match self.trainer.example_weights.as_deref() {
            Some(given) => {
                buffer.clear();
                buffer.extend(positions.iter().map(|&position| given[position]));
                Some(buffer.as_slice())
            }
            None => batch.weights,
        };
        let weight = match weights {
            Some(weights) => weights.iter().map(|&weight| f64::from(weight)).sum(),
            None => positions.len() as f64,
        };
        self.position.batch += 1;
        if weight == 0.0 {
            // Nothing in the batch counts: there is nothing to learn from it.
            return Ok(());
        }
        let report = N::step(
            &mut self.parameters,
            &mut self.state,
            &mut self.optimizers,
            &mut self.training_workspace,
            examples.batch(),
            weights,
        )
        .map_err(|error| refused("training", error, positions))?;
        self.position.step += 1;
        self.report = Some(report);
        if let Some(first) = self.spoiled(&report, batch) {
            let (set, batch, loss) = ("training", self.position.batch, report.loss());
            return Err(TrainError::NotFinite { set, epoch, batch, loss, first });
        }
        self.totals.add(&report, weight);
        Ok(())
    }

    /// What a step spoiled first: it was given finite parameters.
    fn spoiled(&self, report: &N::Report, batch: &Minibatch<'_, N::Examples>) -> Option<Spoiled> {
        if !report.loss().is_finite() {
            let input = spoiled(batch.examples, batch.positions);
            return Some(input.or_else(|| self.spoiled_before(report)).unwrap_or(Spoiled::Loss));
        }
        if !self.trainer.check_finite {
            return None;
        }
        let of = |infos: &'static [TensorInfo], block: &[f32]| {
            let at = first_not_finite(block)?;
            infos.iter().find(|info| (info.offset..info.offset + info.len()).contains(&at)).copied()
        };
        let gradients = N::gradients(&self.training_workspace);
        if let Some(first) = of(N::Parameters::TENSORS, gradients) {
            let spoiled = |info: &&TensorInfo| {
                let range = gradients.get(info.offset..info.offset + info.len());
                range.is_some_and(|gradient| first_not_finite(gradient).is_some())
            };
            return Some(Spoiled::Gradient(N::Parameters::TENSORS.iter().rfind(spoiled).copied().unwrap_or(first)));
        }
        of(N::Parameters::TENSORS, self.parameters.as_slice())
            .map(Spoiled::Parameter)
            .or_else(|| of(N::State::TENSORS, self.state.as_slice()).map(Spoiled::State))
    }

    /// What the step of an earlier one of several losses spoiled, for the last one to read: a parameter that is not finite
    /// though the last loss has not touched it, while the first loss was finite.
    fn spoiled_before(&self, report: &N::Report) -> Option<Spoiled> {
        if self.losses < 2 || !self.trainer.check_finite || !report.metric(0).is_finite() {
            return None;
        }
        let finite = |block: &[f32], info: &TensorInfo| {
            block.get(info.offset..info.offset + info.len()).is_none_or(|values| first_not_finite(values).is_none())
        };
        let gradients = N::gradients(&self.training_workspace);
        let untouched = |info: &&TensorInfo| finite(gradients, info) && !finite(self.parameters.as_slice(), info);
        N::Parameters::TENSORS.iter().find(untouched).copied().map(Spoiled::Parameter)
    }

    /// Calls one hook of all callbacks, then does what they asked for.
    fn hook(
        &mut self,
        epoch: usize,
        mut call: impl FnMut(&mut dyn Callback<N>, &mut Context<'_, N>) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let Position { batch, step, batch_size, examples, .. } = self.position;
        let epochs = self.trainer.settings.epochs;
        let mut context = Context {
            epoch,
            epochs,
            batch,
            batches: examples.div_ceil(batch_size.max(1)),
            step,
            report: self.report,
            gradients: N::gradients(&self.training_workspace),
            parameters: &mut self.parameters,
            average: self.average.as_ref(),
            state: &mut self.state,
            optimizers: &mut self.optimizers,
            history: &self.history,
            control: &mut self.control,
        };
        for callback in &mut self.callbacks {
            call(callback.as_mut(), &mut context)?;
        }
        if self.control.changed {
            self.control.changed = false;
            let ranges = frozen_ranges::<N::Parameters>(&self.control.frozen);
            for optimizer in self.optimizers.as_mut() {
                optimizer.freeze(ranges.clone());
            }
            self.position.frozen.clone_from(&self.control.frozen);
        }
        if !self.control.saves.is_empty() {
            for save in std::mem::take(&mut self.control.saves) {
                self.save(&save.path, save.validated)?;
                for old in save.remove {
                    match fs::remove_file(&old) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(TrainError::write(&old, error));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes all of the run to a file, its parameters those that are trained or those that were validated.
    fn save(&mut self, path: &Path, validated: bool) -> Result<(), TrainError> {
        let callbacks: Vec<_> =
            self.callbacks.iter().map(|callback| (callback.name().to_owned(), callback.save())).collect();
        let optimizers: &[Optimizer<N::Rule>] = self.optimizers.as_mut();
        let snapshot = Snapshot::<N> {
            position: &self.position,
            totals: &self.totals,
            history: &self.history,
            parameters: &self.parameters,
            validated: self.average.as_ref().filter(|_| validated),
            state: &self.state,
            optimizers,
            callbacks: &callbacks,
            preprocessing: &self.preprocessing,
        };
        snapshot.save(path)
    }
}

/// Why the batches of an epoch ended early.
enum Ended {
    Stopped,
    Failed(TrainError),
}

impl From<TrainError> for Ended {
    fn from(error: TrainError) -> Self {
        Self::Failed(error)
    }
}

impl From<DataError> for Ended {
    fn from(error: DataError) -> Self {
        Self::Failed(error.into())
    }
}

/// The order of an epoch's examples: a function of seed and epoch.
fn shuffled(seed: u64, epoch: usize, examples: usize, order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..examples);
    Rng::new(derived(ORDER, seed, 0, epoch as u64)).shuffle(order);
}
