//! The training loop trains networks of several losses and with state as any other.

use dl_train::{Progress, Trainer};
use dln::runtime::{Examples as _, Rng, Tensors};
use parity::{Gan, Held, Residual, gan, held, residual};

fn number(rng: &mut Rng) -> f32 {
    rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0
}

/// Points around (1, −1, 1, −1).
fn points(count: usize) -> gan::Examples {
    let mut rng = Rng::new(1);
    let mut examples = gan::Examples::default();
    for _ in 0..count {
        examples.noise.push(std::array::from_fn(|_| number(&mut rng)));
        examples.real.push([1.0, -1.0, 1.0, -1.0].map(|at| at + 0.1 * number(&mut rng)));
    }
    examples
}

/// How far the mean of the made points is from that of the real ones.
fn distance(parameters: &gan::Parameters, state: &gan::State, examples: &gan::Examples) -> f32 {
    let mut workspace = gan::Workspace::new(examples.noise.len());
    let made = gan::forward(&parameters.prepare(state), &mut workspace, &examples.noise).unwrap();
    let mean = |place: usize| made.iter().map(|point| point[place]).sum::<f32>() / made.len() as f32;
    (0..4).map(|place| (mean(place) - [1.0, -1.0, 1.0, -1.0][place]).powi(2)).sum::<f32>().sqrt()
}

/// They circle around the point where the judge cannot tell: made points are where real ones are, and the losses are
/// 2 ln 2 and ln 2 (Goodfellow et al., 2014). Larger steps or fewer epochs leave them farther out.
#[test]
fn two_networks_train_against_each_other() {
    let examples = points(160);
    let trainer = Trainer::<Gan>::new().seed(3).learning_rate(0.005).epochs(480).progress(Progress::Silent);
    let trained = trainer.fit(&examples, &examples).unwrap();
    let (start, state) = <Gan as dln::runtime::Network>::initialize(3);
    let (before, after) =
        (distance(&start, &state, &examples), distance(&trained.parameters, &trained.state, &examples));
    assert!(after < 0.2 * before, "from {before} to {after}");
    let last = &trained.history.epochs.last().unwrap().train;
    for (name, expected) in [("judge", 2.0 * 2.0_f64.ln()), ("maker", 2.0_f64.ln())] {
        assert!((last.metric(name).unwrap() - expected).abs() < 0.05, "{name}: {last:?}");
    }
    assert_eq!(trained.state.drawn(), &[480.0 * 5.0], "one update for each batch");
    let names: Vec<&str> = trained.history.epochs[0].train.metrics.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["judge", "maker", "caught", "length"]);
    let few = trainer.epochs(3);
    let [alone, threaded] = [1, 3].map(|threads| few.clone().threads(threads).fit(&examples, &examples).unwrap());
    assert_eq!(alone.parameters.as_slice(), threaded.parameters.as_slice());
}

#[test]
fn the_state_of_the_best_epoch_comes_with_its_parameters() {
    let mut rng = Rng::new(2);
    let mut examples = held::Examples::default();
    for _ in 0..48 {
        examples.x.push(std::array::from_fn(|_| number(&mut rng)));
        examples.y.push(std::array::from_fn(|_| number(&mut rng)));
    }
    let trainer = Trainer::<Held>::new().epochs(12).patience(Some(12)).progress(Progress::Silent);
    let trained = trainer.fit(&examples, &examples).unwrap();
    let best = trained.history.best().unwrap().epoch;
    assert_eq!(trained.state.count(), &[3.0 * best as f32], "three batches in each epoch up to number {best}");
    let evaluation = trained.evaluate(&examples).unwrap();
    assert!((evaluation.loss - trained.history.best().unwrap().validation.loss).abs() < 1e-6);
}

/// Images of three kinds: each has one channel that is brighter than the others, by a number that only batch normalization
/// brings to a common scale.
#[test]
fn batch_normalization_trains_and_its_averages_serve_inference() {
    let mut rng = Rng::new(4);
    let mut examples = residual::Examples::default();
    for place in 0..96_u32 {
        let mut image = residual::Image::default();
        for (channel, plane) in image.iter_mut().enumerate() {
            let bright = if channel as u32 == place % 3 { 1.0 } else { 0.0 };
            plane.as_flattened_mut().iter_mut().for_each(|pixel| *pixel = 40.0 + bright + 0.3 * number(&mut rng));
        }
        examples.image.push(image);
        examples.kind.push(place % 3);
    }
    let trainer = Trainer::<Residual>::new().seed(1).batch(16).learning_rate(0.02).epochs(30);
    let trainer = trainer.patience(None).progress(Progress::Silent);
    let trained = trainer.fit(&examples, &examples).unwrap();
    let (first, last) = (trained.history.epochs.first().unwrap(), trained.history.epochs.last().unwrap());
    assert!(last.train.loss < 0.2 * first.train.loss, "{} to {}", first.train.loss, last.train.loss);
    // Inference sees one example at a time and has the averages alone; zeros and ones, as they begin, would not do.
    let evaluation = trained.evaluate(&examples).unwrap();
    assert!(evaluation.loss < 0.3, "{}", evaluation.loss);
    let mut workspace = residual::Workspace::new(1);
    let right = examples.image.iter().zip(&examples.kind).filter(|(image, kind)| {
        let shares = residual::forward(&trained.prepare(), &mut workspace, std::slice::from_ref(*image)).unwrap()[0];
        (0..3).all(|other| shares[other] <= shares[**kind as usize])
    });
    assert!(right.count() >= 92);
    let start = residual::State::init(1);
    let mut at_start = residual::Workspace::new(96);
    let untrained = residual::evaluate(&trained.parameters.prepare(&start), &mut at_start, examples.batch()).unwrap();
    assert!(f64::from(untrained.loss) > 2.0 * evaluation.loss, "{untrained:?}");
    let [alone, threaded] =
        [1, 3].map(|threads| trainer.clone().epochs(2).threads(threads).fit(&examples, &examples).unwrap());
    assert_eq!(alone.state.as_slice(), threaded.state.as_slice());
}
