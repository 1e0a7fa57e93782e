//! Tests of the training loop on a network small enough to compute by hand.

use dl_runtime::{InputError, Tensors};

use super::*;
use crate::data::{Subset, Weighted};
use crate::testing::{Line, Points, logged};

fn trainer() -> Trainer<Line> {
    Trainer::new().progress(Progress::Silent)
}

/// A step so small that 0 stays 0 within f32: every epoch sees the same parameters.
fn frozen() -> Trainer<Line> {
    trainer().learning_rate(f32::MIN_POSITIVE)
}

#[test]
fn a_line_is_found() {
    let points = Points {
        x: (0..40).map(|i| i as f32 / 10.0 - 2.0).collect(),
        y: (0..40).map(|i| 3.0 * (i as f32 / 10.0 - 2.0) - 1.0).collect(),
    };
    let trained = trainer().learning_rate(0.05).epochs(200).fit(&points, &points).unwrap();
    let [weight, bias] = [trained.parameters.as_slice()[0], trained.parameters.as_slice()[1]];
    assert!((weight - 3.0).abs() < 1e-3 && (bias + 1.0).abs() < 1e-3, "{weight} {bias}");
    assert_eq!(trained.evaluate(&points).unwrap().metric("close"), Some(1.0));
    assert_eq!(trained.history.epochs.len(), 200);
    assert!(!trained.history.stopped_early);
}

/// Each epoch is a permutation of all examples, another one each time, cut into batches with a smaller last one.
#[test]
fn every_epoch_shuffles_and_visits_every_example_once() {
    let points = Points::new(10, |_| 0.0);
    let log = logged(|| {
        trainer().batch(4).epochs(3).fit(&points, &points).unwrap();
    });
    assert_eq!(log.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2, 4, 4, 2]);
    let epochs: Vec<Vec<f32>> = log.chunks(3).map(<[_]>::concat).collect();
    for epoch in &epochs {
        let mut sorted = epoch.clone();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, points.x);
        assert_ne!(*epoch, points.x);
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
}

/// With parameters that stay 0 the loss of an example is y²: the epoch's mean must weigh examples, not batches.
#[test]
fn means_weigh_examples_alike() {
    let points = Points::new(10, |x| 0.1 * x);
    let expected = (0..10).map(|i| (0.1 * f64::from(i)).powi(2)).sum::<f64>() / 10.0;
    for batch in [1, 3, 4, 7, 10, 99] {
        let trained = frozen().batch(batch).epochs(1).fit(&points, &points).unwrap();
        let record = &trained.history.epochs[0];
        for evaluation in [&record.train, &record.validation] {
            assert!((evaluation.loss - expected).abs() < 1e-7, "{batch}: {}", evaluation.loss);
            // Within ½ of 0: y = 0, 0.1, … 0.4.
            assert!((evaluation.metric("close").unwrap() - 0.5).abs() < 1e-7);
        }
    }
}

/// Training on y = x moves away from validation y = −x, so that the first epoch is the best one.
#[test]
fn early_stopping_returns_the_best_epoch() {
    let (train, validation) = (Points::new(4, |x| x), Points::new(4, |x| -x));
    let once = trainer().epochs(1).fit(&train, &validation).unwrap();
    let stopped = trainer().epochs(50).patience(Some(3)).fit(&train, &validation).unwrap();
    assert_eq!(stopped.history.epochs.len(), 4);
    assert!(stopped.history.stopped_early);
    assert_eq!(stopped.history.best().unwrap().epoch, 1);
    assert_eq!(stopped.parameters.as_slice(), once.parameters.as_slice());
    assert_eq!(stopped.state.as_slice(), once.state.as_slice());
    let kept = stopped.evaluate(&validation).unwrap();
    assert_eq!(kept, stopped.history.epochs[0].validation);

    let last = trainer().epochs(4).fit(&train, &validation).unwrap();
    assert_ne!(last.parameters.as_slice(), once.parameters.as_slice());
    assert_eq!(last.history.best().unwrap().epoch, 1);
}

/// The validation loss falls in every epoch: patience never ends the training, and the last epoch is returned.
#[test]
fn improving_epochs_are_not_stopped() {
    let points = Points::new(4, |x| x);
    let trained = trainer().epochs(6).patience(Some(1)).batch(4).fit(&points, &points).unwrap();
    assert_eq!(trained.history.epochs.len(), 6);
    assert!(!trained.history.stopped_early);
    assert_eq!(trained.evaluate(&points).unwrap(), trained.history.last().unwrap().validation);
}

#[test]
fn a_seed_gives_the_same_bits_and_another_seed_others() {
    let points = Points::new(30, |x| (x * 0.7).sin());
    let run = |seed| {
        let trained = trainer().learning_rate(1e-3).seed(seed).fit(&points, &points).unwrap();
        let losses: Vec<f64> = trained.history.epochs.iter().map(|r| r.train.loss).collect();
        (trained.parameters.as_slice().to_vec(), losses)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_diverging_loss_names_its_epoch() {
    let points = Points::new(8, |x| x + 1.0);
    let error = trainer().learning_rate(1e6).epochs(50).fit(&points, &points).unwrap_err();
    let TrainError::NotFinite { set, epoch, loss, .. } = error else {
        panic!("another error: {error}");
    };
    // Each step multiplies the error by some 10⁷: f32 holds the square of three of them.
    assert!((1..=3).contains(&epoch) && set == "training" && !loss.is_finite());
    assert!(error.to_string().contains(&format!("epoch {epoch}, batch")), "{error}");

    let mut spoiled = points.clone();
    spoiled.y[5] = f32::NAN;
    let error = frozen().fit(&points, &spoiled).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { set: "validation", epoch: 1, batch: 2, .. }), "{error}");
}

/// Σ w·l / Σ w in f64 over single examples, for weights that are all different, few, and partly 0.
#[test]
fn evaluation_weighs_examples_as_asked() {
    let points = Points::new(23, |x| (x * 0.9).sin());
    let (mut parameters, state) = Line::initialize(0);
    parameters.as_mut_slice().copy_from_slice(&[0.03, -0.2]);
    let trainer = trainer().batch(4);
    for weight in [|i: usize| 0.1 + i as f32, |i: usize| [0.5, 3.0][i % 2], |i: usize| (i % 3) as f32, |_: usize| 2.0] {
        let weights: Vec<f32> = (0..23).map(weight).collect();
        let (mut loss, mut close, mut total) = (0.0, 0.0, 0.0);
        for ((&x, &y), &weight) in points.x.iter().zip(&points.y).zip(&weights) {
            let error = f64::from(0.03 * x - 0.2 - y);
            loss += f64::from(weight) * error * error;
            close += f64::from(weight) * f64::from(error.abs() < 0.5);
            total += f64::from(weight);
        }
        let weighted = Weighted::new(&points, weights).unwrap();
        let found = trainer.evaluate(&parameters, &state, &weighted).unwrap();
        assert!((found.loss - loss / total).abs() < 1e-6, "{} instead of {}", found.loss, loss / total);
        assert!((found.metric("close").unwrap() - close / total).abs() < 1e-6);
        let trained = frozen().epochs(1).start_from(parameters.clone(), state.clone()).fit(&points, &weighted).unwrap();
        assert!((trained.history.epochs[0].validation.loss - loss / total).abs() < 1e-6);
    }
    let mut spoiled = points.clone();
    spoiled.y[7] = f32::NAN;
    let weights = (0..23).map(|i| if i == 7 { 0.0 } else { 1.0 }).collect();
    let weighted = Weighted::new(&spoiled, weights).unwrap();
    assert!(trainer.evaluate(&parameters, &state, &weighted).unwrap().loss.is_finite());
    let weighted = Weighted::new(&points, vec![0.0; 23]).unwrap();
    for error in [
        trainer.evaluate(&parameters, &state, &weighted).unwrap_err().to_string(),
        trainer.fit(&points, &weighted).unwrap_err().to_string(),
    ] {
        assert!(error.contains(" set: ") && error.contains("weight"), "{error}");
    }
}

#[test]
fn any_set_is_predicted() {
    let points = Points::new(9, |x| x);
    let (mut parameters, state) = Line::initialize(0);
    parameters.as_mut_slice().copy_from_slice(&[2.0, 1.0]);
    let all = crate::predict::<Line>(&parameters, &state, &points).unwrap();
    assert_eq!(all, (0..9).map(|x| 2.0 * x as f32 + 1.0).collect::<Vec<_>>());
    let some = Subset::new(&points, vec![8, 0, 3]).unwrap();
    assert_eq!(crate::predict::<Line>(&parameters, &state, &some).unwrap(), [17.0, 1.0, 7.0]);
    let weighted = Weighted::new(&points, vec![0.0; 9]).unwrap();
    assert_eq!(crate::predict::<Line>(&parameters, &state, &weighted).unwrap(), all);
    // Labels may be missing.
    let blind = Points { x: points.x.clone(), y: vec![] };
    assert_eq!(crate::predict::<Line>(&parameters, &state, &blind).unwrap(), all);
}

#[test]
fn settings_out_of_range_are_errors() {
    let points = Points::new(4, |x| x);
    let message = |trainer: Trainer<Line>| {
        let fit = trainer.fit(&points, &points).unwrap_err().to_string();
        let (parameters, state) = Line::initialize(0);
        let evaluate = trainer.evaluate(&parameters, &state, &points).unwrap_err().to_string();
        assert_eq!(fit, evaluate);
        fit
    };
    assert_eq!(message(trainer().batch(0)), "`batch` is 0, expected at least 1");
    assert_eq!(message(trainer().epochs(0)), "`epochs` is 0, expected at least 1");
    assert_eq!(message(trainer().patience(Some(0))), "`patience` is 0, expected at least 1");
    assert_eq!(message(trainer().threads(0)), "`threads` is 0, expected from 1 to 1024");
    assert_eq!(message(trainer().threads(usize::MAX)), format!("`threads` is {}, expected from 1 to 1024", usize::MAX));
    for rate in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(
            message(trainer().learning_rate(rate)),
            format!("`learning_rate` is {rate}, expected a finite number above 0")
        );
    }
}

#[test]
fn empty_sets_are_errors() {
    let (points, none) = (Points::new(4, |x| x), Points::default());
    let message = |train, validation| trainer().fit(train, validation).unwrap_err().to_string();
    assert_eq!(message(&none, &points), "the training set is empty, expected at least 1 example");
    assert_eq!(message(&points, &none), "the validation set is empty, expected at least 1 example");
    let (parameters, state) = Line::initialize(0);
    assert_eq!(
        crate::evaluate::<Line>(&parameters, &state, &none).unwrap_err().to_string(),
        "the evaluation set is empty, expected at least 1 example"
    );
}

/// Inputs and labels that disagree in number: the network's own error, passed on.
#[test]
fn a_network_that_refuses_examples_is_heard() {
    let points = Points { x: vec![1.0, 2.0], y: vec![1.0] };
    let error = trainer().fit(&points, &points).unwrap_err();
    assert!(matches!(error, TrainError::Input(InputError::PositionOutOfRange { len: 2, found: 1 })));
}

#[test]
fn a_batch_larger_than_the_set_is_the_whole_set() {
    let points = Points::new(5, |x| x);
    let log = logged(|| {
        trainer().batch(usize::MAX).epochs(1).fit(&points, &points).unwrap();
    });
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].len(), 5);
}

/// Ten times as many steps allocate exactly as often: what allocates is the set-up and each epoch's end.
#[test]
fn steps_do_not_allocate() {
    let allocations = |steps: usize| {
        let points = Points::new(8 * steps, |x| x.sin());
        let trainer = frozen().batch(8).epochs(2);
        allocation_counter::measure(|| {
            trainer.fit(&points, &points).unwrap();
        })
        .count_total
    };
    assert_eq!(allocations(10), allocations(100));
}

#[test]
fn plots_are_written_where_asked() {
    let folder = std::env::temp_dir().join(format!("dl-train-{}", std::process::id()));
    let points = Points::new(8, |x| x);
    frozen().plots(folder.join("deep")).fit(&points, &points).unwrap();
    for name in ["loss.svg", "generalization.svg"] {
        let svg = std::fs::read_to_string(folder.join("deep").join(name)).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
    // A file where a folder should be.
    let error = frozen().plots(folder.join("deep/loss.svg")).fit(&points, &points).unwrap_err();
    assert!(matches!(&error, TrainError::Write { path, .. } if path.ends_with("loss.svg")), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
