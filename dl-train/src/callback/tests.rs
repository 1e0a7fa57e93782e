//! Tests of callbacks on a network small enough to compute by hand.

use std::sync::{Arc, Mutex};

use dl_runtime::{Network, Tensors};

use super::*;
use crate::testing::{Line, Points};
use crate::{End, Progress, TrainError, Trained, Trainer};

fn trainer() -> Trainer<Line> {
    Trainer::new().progress(Progress::Silent)
}

/// Training on y = x moves away from validation y = −x: the first epoch is the best one.
fn diverging() -> [Points; 2] {
    [Points::new(4, |x| x), Points::new(4, |x| -x)]
}

/// Notes every call, with epoch, batch, step and learning rate.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, hook: &str, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        let rate = context.learning_rate();
        let Context { epoch, batch, batches, step, history, .. } = context;
        let epochs = history.epochs.len();
        self.0.lock().unwrap().push(format!("{hook} {epoch} {batch}/{batches} {step} {epochs} {rate}"));
        Ok(())
    }
}

impl Callback<Line> for Notes {
    fn name(&self) -> &str {
        "notes"
    }
    fn begin_run(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("begin run", context)
    }
    fn end_run(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("end run", context)
    }
    fn begin_epoch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("begin epoch", context)
    }
    fn end_epoch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("end epoch", context)
    }
    fn begin_batch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("begin batch", context)
    }
    fn end_batch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
        self.note("end batch", context)
    }
}

#[test]
fn hooks_are_called_in_order_and_know_where_they_are() {
    let (notes, points) = (Notes::default(), Points::new(6, |x| x));
    trainer().batch(4).epochs(2).learning_rate(0.001).callback(notes.clone()).fit(&points, &points).unwrap();
    let expected = [
        "begin run 1 0/2 0 0 0.001",
        "begin epoch 1 0/2 0 0 0.001",
        "begin batch 1 0/2 0 0 0.001",
        "end batch 1 1/2 1 0 0.001",
        "begin batch 1 1/2 1 0 0.001",
        "end batch 1 2/2 2 0 0.001",
        "end epoch 1 0/2 2 1 0.001",
        "begin epoch 2 0/2 2 1 0.001",
        "begin batch 2 0/2 2 1 0.001",
        "end batch 2 1/2 3 1 0.001",
        "begin batch 2 1/2 3 1 0.001",
        "end batch 2 2/2 4 1 0.001",
        "end epoch 2 0/2 4 2 0.001",
        "end run 2 0/2 4 2 0.001",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}

/// Stops at a batch.
#[derive(Clone)]
struct StopAt(u64);

impl<N: Network> Callback<N> for StopAt {
    fn name(&self) -> &str {
        "stop"
    }
    fn end_batch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if context.step == self.0 {
            context.control.stop("far enough");
        }
        Ok(())
    }
}

#[test]
fn a_callback_stops_at_a_batch() {
    let points = Points::new(12, |x| x);
    let seen = |trained: &Trained<Line>| trained.state.as_slice()[1];
    let trained = trainer().batch(4).epochs(5).callback(StopAt(4)).fit(&points, &points).unwrap();
    assert_eq!(trained.end, End::Stopped("far enough".to_owned()));
    assert_eq!((trained.history.epochs.len(), seen(&trained)), (1, 16.0));
    let trained = trainer().batch(4).epochs(5).fit(&points, &points).unwrap();
    assert_eq!((trained.end.clone(), seen(&trained)), (End::Completed, 60.0));
}

#[test]
fn early_stopping_keeps_the_best_or_the_last() {
    let [train, validation] = diverging();
    let run = |stopping| trainer().epochs(50).callback(stopping).fit(&train, &validation).unwrap();
    let first = trainer().epochs(1).fit(&train, &validation).unwrap();
    let best = run(EarlyStopping::new(3));
    assert_eq!((best.history.epochs.len(), best.history.stopped_early), (4, true));
    assert_eq!(best.parameters.as_slice(), first.parameters.as_slice());
    let last = run(EarlyStopping::new(3).restore_best(false));
    let four = trainer().epochs(4).fit(&train, &validation).unwrap();
    assert_eq!(last.parameters.as_slice(), four.parameters.as_slice());
    assert_eq!(last.end, End::Stopped("no improvement for 3 epochs".to_owned()));
}

/// The loss falls, but by less than what counts from the second epoch on.
#[test]
fn small_changes_do_not_count_as_better() {
    let points = Points::new(4, |x| x);
    let run = |delta| {
        let stopping = EarlyStopping::new(2).min_delta(delta);
        trainer().epochs(9).batch(4).callback(stopping).fit(&points, &points).unwrap()
    };
    let losses: Vec<f64> = run(0.0).history.epochs.iter().map(|record| record.validation.loss).collect();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    let trained = run(losses[0]);
    assert_eq!(trained.history.epochs.len(), 3);
    assert_eq!(trained.evaluate(&points).unwrap(), trained.history.epochs[0].validation);
}

#[test]
fn what_is_monitored_may_be_a_metric() {
    let [train, validation] = diverging();
    let run = |monitor| {
        let stopping = EarlyStopping::new(1).monitor(monitor);
        trainer().epochs(3).callback(stopping).fit(&train, &validation)
    };
    let error = run(Monitor::highest("far")).unwrap_err();
    assert_eq!(error.to_string(), "there is no metric `far`, expected close");
    let share = |record: &crate::EpochRecord| record.validation.metric("close").unwrap();
    let trained = run(Monitor::highest("close")).unwrap();
    let best = trained.history.epochs.iter().map(share).fold(0.0, f64::max);
    assert_eq!(trained.evaluate(&validation).unwrap().metric("close"), Some(best));
    run(Monitor::lowest("close")).unwrap();
}

#[test]
fn the_scheduler_sets_the_rate_of_every_step() {
    let (notes, points) = (Notes::default(), Points::new(6, |x| x));
    let scheduler = LearningRateScheduler::new(|moment| {
        assert_eq!((moment.steps_per_epoch, moment.epochs), (3, 2));
        0.5_f32.powi(moment.step as i32 + 4)
    });
    let trainer = trainer().batch(2).epochs(2).callback(scheduler).callback(notes.clone());
    trainer.fit(&points, &points).unwrap();
    let notes = notes.0.lock().unwrap();
    let steps = notes.iter().filter(|note| note.starts_with("begin batch"));
    let rates: Vec<&str> = steps.map(|note| note.rsplit(' ').next().unwrap()).collect();
    assert_eq!(rates, ["0.0625", "0.03125", "0.015625", "0.0078125", "0.00390625", "0.001953125"]);
    let scheduler = LearningRateScheduler::new(|_| f32::NAN);
    let error = self::trainer().callback(scheduler).fit(&points, &points).unwrap_err();
    assert_eq!(error.to_string(), "`learning_rate` is NaN, expected a finite number of at least 0");
}

/// The validation loss rises from the second epoch on, so the rate falls after every second one.
#[test]
fn the_rate_falls_on_a_plateau() {
    let (notes, [train, validation]) = (Notes::default(), diverging());
    let plateau = ReduceOnPlateau::new(0.5, 2).min_rate(0.003);
    let trainer = trainer().epochs(8).learning_rate(0.01).callback(plateau).callback(notes.clone());
    trainer.fit(&train, &validation).unwrap();
    let notes = notes.0.lock().unwrap();
    let ends = notes.iter().filter(|note| note.starts_with("end epoch"));
    let rates: Vec<&str> = ends.map(|note| note.rsplit(' ').next().unwrap()).collect();
    assert_eq!(rates, ["0.01", "0.01", "0.005", "0.005", "0.003", "0.003", "0.003", "0.003"]);
}

#[test]
fn parameters_are_frozen_for_some_epochs() {
    let points = Points::new(8, |x| x);
    let after = |epochs, freeze| {
        let trained = trainer().epochs(epochs).callback(freeze).fit(&points, &points).unwrap();
        trained.parameters.as_slice().to_vec()
    };
    let until = |epochs| after(epochs, Freeze::new("w*").until_epoch(3));
    assert_eq!(until(2), [0.0, 0.0]);
    assert_ne!(until(3), [0.0, 0.0]);
    let from = |epochs| after(epochs, Freeze::new("weights").from_epoch(2));
    assert_ne!(from(1), [0.0, 0.0]);
    assert_eq!(from(5), from(1));
    let error = trainer().callback(Freeze::new("hidden.*")).fit(&points, &points).unwrap_err();
    assert_eq!(error.to_string(), "no parameter has a path that matches `hidden.*`; the paths are `weights`");
}

#[test]
fn settings_out_of_range_are_errors() {
    let points = Points::new(4, |x| x);
    let folder = tempfile::tempdir().unwrap();
    let message = |trainer: Trainer<Line>| trainer.fit(&points, &points).unwrap_err().to_string();
    let checkpoints = || ModelCheckpoint::new(folder.path());
    let cases = [
        (trainer().callback(EarlyStopping::new(0)), "`patience` is 0, expected at least 1"),
        (
            trainer().callback(EarlyStopping::new(1).min_delta(-1.0)),
            "`min_delta` is -1, expected a finite number of at least 0",
        ),
        (trainer().callback(ReduceOnPlateau::new(1.0, 1)), "`factor` is 1, expected a number between 0 and 1"),
        (trainer().callback(ReduceOnPlateau::new(0.5, 0)), "`patience` is 0, expected at least 1"),
        (trainer().callback(checkpoints().keep(0)), "`keep` is 0, expected at least 1"),
        (trainer().callback(checkpoints().every_epochs(0)), "`every_epochs` is 0, expected at least 1"),
        (trainer().callback(checkpoints().every_steps(0)), "`every_steps` is 0, expected at least 1"),
    ];
    for (trainer, expected) in cases {
        assert_eq!(message(trainer), expected);
    }
}

#[test]
fn the_history_is_on_disk_after_every_epoch() {
    let (folder, points) = (tempfile::tempdir().unwrap(), Points::new(4, |x| x));
    let [table, lines] = ["made/log.csv", "made/log.jsonl"].map(|name| folder.path().join(name));
    let trainer = trainer().learning_rate(0.01).epochs(3);
    let trainer = trainer.callback(HistoryLog::csv(&table)).callback(HistoryLog::json_lines(&lines));
    let trained = trainer.fit(&points, &points).unwrap();
    assert_eq!(std::fs::read_to_string(&table).unwrap(), trained.history.csv());
    assert_eq!(std::fs::read_to_string(&lines).unwrap().lines().count(), 3);
    assert_eq!(std::fs::read_dir(folder.path().join("made")).unwrap().count(), 2);
}

#[test]
fn a_log_that_cannot_be_written_is_an_error_before_the_first_epoch() {
    let (folder, points) = (tempfile::tempdir().unwrap(), Points::new(4, |x| x));
    let trainer = trainer().callback(HistoryLog::csv(folder.path()));
    assert!(matches!(trainer.fit(&points, &points), Err(TrainError::Write { .. })));
}
