//! Tests of resuming: a run interrupted anywhere ends with the same bits as one that was not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dl_runtime::{Clip, Options, Schedule, Sgd, Shape, Tensors};

use crate::checkpoint::{Checkpoint, CheckpointError, newest};
use crate::data::Augmented;
use crate::testing::{Line, Points};
use crate::{
    Callback, Context, EarlyStopping, Freeze, LearningRateScheduler, ModelCheckpoint, Progress, ReduceOnPlateau,
    Section, TrainError, Trained, Trainer,
};

/// Momentum, weights, early stopping that restores, plateaus and freezing: all that has a memory.
fn trainer(epochs: usize) -> Trainer<Line> {
    let rule = Sgd { learning_rate: 2e-3, momentum: 0.9, ..Sgd::new() };
    Trainer::new()
        .progress(Progress::Silent)
        .optimizer(rule)
        .seed(7)
        .batch(4)
        .epochs(epochs)
        .patience(Some(3))
        .example_weights((0..10).map(|i| (1 + i % 3) as f32).collect::<Vec<f32>>())
        .callback(ReduceOnPlateau::new(0.5, 1))
        .callback(Freeze::new("weights").from_epoch(4).until_epoch(5))
        .callback(EarlyStopping::new(4).restore_best(false))
}

fn sets() -> [Points; 2] {
    [Points::new(10, |x| (x * 0.7).sin()), Points::new(7, |x| (x * 0.7).sin() + 0.3 * x)]
}

/// All that a run ends with, but for times.
fn result(trained: &Trained<Line>) -> String {
    let history: Vec<_> =
        trained.history.epochs.iter().map(|record| (record.epoch, &record.train, &record.validation)).collect();
    let bits = |floats: &[f32]| floats.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let tensors = (bits(trained.parameters.as_slice()), bits(trained.state.as_slice()));
    format!("{tensors:?} {history:?} {:?} {}", trained.end, trained.history.stopped_early)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_run_interrupted_at_any_step_or_epoch_ends_with_the_same_bits() {
    let [train, validation] = sets();
    for epochs in [5, 12] {
        let expected = result(&trainer(epochs).fit(&train, &validation).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let steps = ModelCheckpoint::new(folder.path().join("steps")).every_steps(1).keep(usize::MAX);
        let ends = ModelCheckpoint::new(folder.path().join("epochs")).keep(usize::MAX);
        let watched = trainer(epochs).callback(steps).callback(ends).fit(&train, &validation).unwrap();
        assert_eq!(result(&watched), expected, "checkpoints change nothing");
        let done = watched.history.epochs.len();
        let files = [files(&folder.path().join("steps")), files(&folder.path().join("epochs"))].concat();
        assert_eq!(files.len(), 3 * done + 1 + done + 1);
        for file in files {
            let resumed = trainer(epochs).resume(&file, &train, &validation).unwrap();
            assert_eq!(result(&resumed), expected, "{}", file.display());
        }
    }
}

/// Clipping, sums of two steps, averages of the parameters and a schedule that waits for a plateau.
fn with_options(epochs: usize) -> Trainer<Line> {
    let options = Options { clip: Clip::GlobalNorm(1.0), accumulate: 2, ema: Some(0.8), ..Options::new() };
    let plateau = Shape::Plateau { factor: 0.5, patience: 1, minimum_change: 0.0, cooldown: 1, end: 0.01 };
    let schedule = Schedule::new(plateau).after_warm_up(1.0, 0.1);
    trainer(epochs).optimizer_options(options).schedule(schedule).patience(Some(9))
}

#[test]
fn sums_averages_and_schedules_survive_an_interruption_anywhere() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    let steps = ModelCheckpoint::new(folder.path()).every_steps(1).keep(usize::MAX);
    let watched = with_options(6).callback(steps).fit(&train, &validation).unwrap();
    let expected = result(&watched);
    assert_eq!(result(&with_options(6).fit(&train, &validation).unwrap()), expected);
    assert_ne!(result(&trainer(6).fit(&train, &validation).unwrap()), expected);
    let files = files(folder.path());
    assert_eq!(files.len(), 3 * watched.history.epochs.len() + 1);
    for file in files {
        let resumed = with_options(6).resume(&file, &train, &validation).unwrap();
        assert_eq!(result(&resumed), expected, "{}", file.display());
    }
    // What is returned is what validation was done with.
    let best = watched.history.best().unwrap();
    assert_eq!(watched.evaluate(&validation).unwrap().loss, best.validation.loss);
    let error = trainer(6).resume(folder.path(), &train, &validation).unwrap_err().to_string();
    assert!(error.ends_with("was made with 6 floats of optimizer memory, found 2"), "{error}");
}

/// The average of one step after another, in f64: `kept · average + (1 − kept) · parameters`, beginning at the first.
#[test]
fn averages_are_what_is_validated() {
    #[derive(Clone, Default)]
    struct Follow(Arc<Mutex<Vec<[f64; 2]>>>);
    impl Callback<Line> for Follow {
        fn name(&self) -> &str {
            "follow"
        }
        fn end_batch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
            let now = [0, 1].map(|at| f64::from(context.parameters.as_slice()[at]));
            let mut seen = self.0.lock().unwrap();
            let next = seen.last().map_or(now, |before| [0, 1].map(|at| 0.9 * before[at] + 0.1 * now[at]));
            seen.push(next);
            Ok(())
        }
    }
    let [train, validation] = sets();
    let follow = Follow::default();
    let options = Options { ema: Some(0.9), ..Options::new() };
    let trained = trainer(3).patience(None).optimizer_options(options).callback(follow.clone());
    let trained = trained.fit(&train, &validation).unwrap();
    let expected = follow.0.lock().unwrap().last().copied().unwrap();
    for (found, expected) in trained.parameters.as_slice().iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} instead of {expected}");
    }
    assert_eq!(trained.evaluate(&validation).unwrap().loss, trained.history.last().unwrap().validation.loss);
}

/// The best file holds what was evaluated, the averages, and goes on to the same bits all the same; others hold what is
/// trained.
#[test]
fn the_best_checkpoint_holds_what_was_validated() {
    // The loss falls as long as steps are small, so a late epoch is the best one.
    let train = Points::new(10, |x| x);
    let validation = train.clone();
    let folder = tempfile::tempdir().unwrap();
    let trainer = with_options(6).callback(ModelCheckpoint::new(folder.path()).keep(9));
    let trained = trainer.fit(&train, &validation).unwrap();
    let path = folder.path().join("best.safetensors");
    let best = Checkpoint::open(&path).unwrap();
    let record = trained.history.best().unwrap();
    assert_eq!(best.epoch(), Some(record.epoch));
    let (parameters, state) = best.load::<Line>().unwrap();
    assert_eq!(trainer.evaluate(&parameters, &state, &validation).unwrap(), record.validation);
    let last = folder.path().join(format!("epoch-{:06}.safetensors", record.epoch));
    let (raw, _) = Checkpoint::open(last).unwrap().load::<Line>().unwrap();
    assert_ne!(raw.as_slice(), parameters.as_slice());
    assert!(record.epoch > 1);
    let resumed = with_options(9).resume(&path, &train, &validation).unwrap();
    assert_eq!(result(&resumed), result(&with_options(9).fit(&train, &validation).unwrap()));

    // A file whose trained parameters are of another length is refused.
    let mut bytes = fs::read(&path).unwrap();
    let name = br#""run/parameters""#;
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + 1..at + 4].copy_from_slice(b"ran");
    fs::write(&path, bytes).unwrap();
    let error = with_options(6).resume(&path, &train, &validation).unwrap_err();
    assert!(error.to_string().contains("`run/parameters` is missing"), "{error}");
}

/// Interrupted after every single step: each process does one step, however many it takes.
#[test]
fn a_run_of_many_short_lives_ends_with_the_same_bits() {
    #[derive(Clone)]
    struct OneStep(u64);
    impl Callback<Line> for OneStep {
        fn name(&self) -> &str {
            "one step"
        }
        fn begin_run(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
            self.0 = context.step;
            Ok(())
        }
        fn begin_batch(&mut self, context: &mut Context<'_, Line>) -> Result<(), TrainError> {
            if context.step > self.0 {
                let source = "the power failed".into();
                return Err(TrainError::Callback { callback: "one step".to_owned(), source });
            }
            Ok(())
        }
    }
    let [train, validation] = sets();
    let expected = result(&trainer(4).fit(&train, &validation).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = ModelCheckpoint::new(folder.path()).every_steps(1).keep(2);
    let short = trainer(4).callback(checkpoints).callback(OneStep(0));
    let mut lives = 0;
    let trained = loop {
        lives += 1;
        match short.fit_or_resume(folder.path(), &train, &validation) {
            Ok(trained) => break trained,
            Err(TrainError::Callback { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(result(&trained), expected);
    assert_eq!(lives, 12);
    let names: Vec<_> = files(folder.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["best.safetensors", "step-0000000011.safetensors", "step-0000000012.safetensors"]);
}

/// A batch of which no example counts has no step, and nothing is lost count of.
#[test]
fn examples_of_weight_0_do_not_count() {
    let [train, validation] = sets();
    let weights: Vec<f32> = (0..10).map(|i| if i == 3 { 2.0 } else { 0.0 }).collect();
    let only = trainer(3).batch(2).example_weights(weights);
    let folder = tempfile::tempdir().unwrap();
    let steps = ModelCheckpoint::new(folder.path()).every_steps(1).keep(usize::MAX);
    let trained = only.clone().callback(steps).fit(&train, &validation).unwrap();
    // One step of two examples in each epoch; the loss is that of the one example.
    assert_eq!(trained.state.as_slice()[1], 6.0);
    let loss = f64::from(train.y[3]).powi(2);
    assert!((trained.history.epochs[0].train.loss - loss).abs() < 1e-6);
    for file in files(folder.path()) {
        assert_eq!(result(&only.resume(&file, &train, &validation).unwrap()), result(&trained), "{}", file.display());
    }
    for (weights, expected) in [
        (vec![1.0; 9], "`example weights` has 9 elements, expected 10"),
        (vec![-1.0; 10], "training set: the weight of example 0 is -1, expected a finite number of at least 0"),
        (vec![0.0; 10], "training set: the example weights sum to 0, expected a finite number above 0"),
    ] {
        let error = only.clone().example_weights(weights).fit(&train, &validation).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn more_epochs_may_be_asked_for() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    let long = result(&trainer(6).fit(&train, &validation).unwrap());
    trainer(2).callback(ModelCheckpoint::new(folder.path())).fit(&train, &validation).unwrap();
    let resumed = trainer(6).resume(folder.path(), &train, &validation).unwrap();
    assert_eq!(result(&resumed), long);
}

#[test]
fn the_last_few_and_the_best_are_kept() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    let trainer = trainer(5).patience(None);
    let trained =
        trainer.clone().callback(ModelCheckpoint::new(folder.path()).keep(2)).fit(&train, &validation).unwrap();
    let names: Vec<_> = files(folder.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["best.safetensors", "epoch-000004.safetensors", "epoch-000005.safetensors"]);
    let best = Checkpoint::open(folder.path().join("best.safetensors")).unwrap();
    assert_eq!(best.epoch(), Some(trained.history.best().unwrap().epoch));
    let (parameters, state) = best.load::<Line>().unwrap();
    let evaluation = trainer.evaluate(&parameters, &state, &validation).unwrap();
    assert_eq!(evaluation, trained.history.best().unwrap().validation);

    // Another run does not overwrite them unasked, and says so before it trains.
    let again = trainer.clone().callback(ModelCheckpoint::new(folder.path()));
    let error = again.fit(&train, &validation).unwrap_err();
    assert!(matches!(&error, TrainError::Checkpoint(CheckpointError::Occupied { .. })), "{error}");
    trainer.callback(ModelCheckpoint::new(folder.path()).overwrite(true)).fit(&train, &validation).unwrap();
}

#[test]
fn a_run_is_continued_with_its_own_data_only() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    trainer(2).callback(ModelCheckpoint::new(folder.path()).every_steps(2)).fit(&train, &validation).unwrap();
    let file = folder.path().join("step-0000000002.safetensors");
    let fewer = Points::new(9, |x| x);
    let weighted = trainer(3).example_weights(vec![1.0; 9]);
    let error = weighted.resume(&file, &fewer, &validation).unwrap_err().to_string();
    assert!(error.ends_with("was made with 10 training examples, found 9"), "{error}");
    let error = trainer(3).batch(5).resume(&file, &train, &validation).unwrap_err().to_string();
    assert!(error.ends_with("was made with 4 examples in a batch, found 5"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = trainer(3).resume(empty.path(), &train, &validation).unwrap_err().to_string();
    assert!(error.ends_with("holds no checkpoint"), "{error}");
    assert_eq!(newest(empty.path()).unwrap(), None);
}

#[test]
fn preprocessing_comes_along() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    let mut fitted = Section::new(r#"{"kind":"standard"}"#);
    fitted.push("mean", &[4.5]);
    let checkpoints = || ModelCheckpoint::new(folder.path());
    trainer(2).preprocessing("x", fitted.clone()).callback(checkpoints()).fit(&train, &validation).unwrap();
    trainer(4).callback(checkpoints()).resume(folder.path(), &train, &validation).unwrap();
    let last = Checkpoint::open(folder.path().join("epoch-000004.safetensors")).unwrap();
    assert_eq!(last.preprocessing("x").unwrap(), fitted);
}

/// A schedule is a function of the step, so it goes on where it was.
#[test]
fn schedules_go_on() {
    let [train, validation] = sets();
    let folder = tempfile::tempdir().unwrap();
    let scheduled = |epochs| {
        let rate = |moment: crate::callback::Moment| 1e-3 / (moment.step + 1) as f32;
        trainer(epochs).callback(LearningRateScheduler::new(rate))
    };
    let long = result(&scheduled(4).fit(&train, &validation).unwrap());
    scheduled(2).callback(ModelCheckpoint::new(folder.path())).fit(&train, &validation).unwrap();
    assert_eq!(result(&scheduled(4).resume(folder.path(), &train, &validation).unwrap()), long);
}

/// Sets whose examples change in every epoch, gathered ahead by threads or not.
#[test]
fn augmented_sets_go_on() {
    let [train, validation] = sets();
    let noisy = Augmented::new(&train, 3, |points: &mut Points, at, rng| points.x[at] += 0.1 * rng.normal());
    let folder = tempfile::tempdir().unwrap();
    let steps = ModelCheckpoint::new(folder.path()).every_steps(1).keep(usize::MAX);
    let watched = result(&trainer(4).workers(2).callback(steps).fit(&noisy, &validation).unwrap());
    assert_ne!(watched, result(&trainer(4).fit(&train, &validation).unwrap()));
    for (number, file) in files(folder.path()).iter().enumerate() {
        let resumed = trainer(4).workers(number % 3).resume(file, &noisy, &validation).unwrap();
        assert_eq!(result(&resumed), watched, "{}", file.display());
    }
}

#[test]
fn fine_tuning_begins_where_it_is_told() {
    let [train, validation] = sets();
    let first = trainer(3).fit(&train, &validation).unwrap();
    let tiny = Sgd { learning_rate: f32::MIN_POSITIVE, ..Sgd::new() };
    let tuned = trainer(1).optimizer(tiny).start_from(first.parameters.clone(), first.state.clone());
    let tuned = tuned.fit(&train, &validation).unwrap();
    assert_eq!(tuned.parameters.as_slice(), first.parameters.as_slice());
}
