//! Training is a function of the seed: the same bits in two runs and for any number of threads; and it learns.

use dln::runtime::{Examples as _, InputError, Optimizer, Rng, Tensors};
use parity::dropout;

fn examples() -> dropout::Examples {
    let mut rng = Rng::new(4);
    let kind: Vec<u32> = (0..60).map(|_| rng.below(4) as u32).collect();
    let mut example = |kind: u32| {
        std::array::from_fn(|place| {
            rng.next_u32() as f32 / u32::MAX as f32 + if place % 4 == kind as usize { 0.8 } else { 0.0 }
        })
    };
    dropout::Examples { x: kind.iter().map(|&kind| example(kind)).collect(), kind }
}

/// The parameters and the loss of every step.
fn train(threads: usize) -> (Vec<u32>, Vec<f32>) {
    let mut parameters = dropout::Parameters::init(8);
    let mut state = <dropout::State as Tensors>::zeros();
    let mut optimizer = dropout::optimizer(8);
    optimizer.rule.learning_rate = 0.01;
    let mut workspace = dropout::TrainingWorkspace::with_threads(60, threads);
    let examples = examples();
    let losses = (0..60).map(|_| {
        let batch = examples.batch();
        dropout::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, batch, None).unwrap().loss
    });
    let losses = losses.collect();
    (parameters.as_slice().iter().map(|value| value.to_bits()).collect(), losses)
}

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    let (parameters, losses) = train(1);
    for threads in [1, 2, 3, 8] {
        assert_eq!(train(threads), (parameters.clone(), losses.clone()), "{threads} threads");
    }
    assert!(losses[59] < 0.6 * losses[0], "from {} to {}", losses[0], losses[59]);
}

#[test]
fn the_optimizer_of_another_network_is_an_error() {
    let mut parameters = dropout::Parameters::init(8);
    let before = parameters.as_slice().to_vec();
    let mut state = <dropout::State as Tensors>::zeros();
    let mut optimizer = Optimizer::new(dropout::settings().optimizer, 0, 7);
    let mut workspace = dropout::TrainingWorkspace::new(60);
    let examples = examples();
    let found = dropout::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, examples.batch(), None);
    assert!(matches!(found, Err(InputError::OptimizerMismatch { found: 7, .. })), "{found:?}");
    assert_eq!(parameters.as_slice(), before);
}

#[test]
fn unusable_examples_are_errors_and_change_nothing() {
    let mut parameters = dropout::Parameters::init(8);
    let before = parameters.as_slice().to_vec();
    let mut state = <dropout::State as Tensors>::zeros();
    let mut optimizer = dropout::optimizer(8);
    let mut workspace = dropout::TrainingWorkspace::new(4);
    let mut step = |examples: &dropout::Examples, weights: Option<&[f32]>| {
        dropout::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, examples.batch(), weights)
            .unwrap_err()
    };
    let of = |examples: usize, labels: Vec<u32>| dropout::Examples { x: vec![[0.0; 20]; examples], kind: labels };
    assert_eq!(step(&of(0, vec![]), None), InputError::Empty);
    assert_eq!(step(&of(5, vec![0; 5]), None), InputError::OverCapacity { capacity: 4, found: 5 });
    assert_eq!(step(&of(3, vec![0; 2]), None), InputError::LengthMismatch { name: "kind", expected: 3, found: 2 });
    assert_eq!(
        step(&of(2, vec![0, 4]), None),
        InputError::IndexOutOfRange { name: "kind", example: 1, bound: 4, found: 4 }
    );
    assert!(matches!(step(&of(2, vec![0, 1]), Some(&[1.0])), InputError::LengthMismatch { expected: 2, found: 1, .. }));
    let found = step(&of(2, vec![0, 1]), Some(&[1.0, f32::NAN]));
    assert!(matches!(found, InputError::WeightOutOfRange { example: 1, .. }), "{found:?}");
    let found = step(&of(2, vec![0, 1]), Some(&[0.0, 0.0]));
    assert_eq!(found, InputError::WeightsUnusable { sum: 0.0 });
    assert_eq!(parameters.as_slice(), before);
}
