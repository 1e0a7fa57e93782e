//! A training step, an evaluation and an inference call allocate nothing.

use allocation_counter::measure;
use dln::runtime::{Examples as _, Tensors};
use parity::{dropout, lenet};

#[test]
fn lenet_allocates_nothing() {
    let mut parameters = lenet::Parameters::init(1);
    let mut state = <lenet::State as Tensors>::zeros();
    let mut optimizer = lenet::optimizer(1);
    let mut training = lenet::TrainingWorkspace::new(64);
    let mut workspace = lenet::Workspace::new(64);
    let prepared = parameters.prepare(&state);
    let examples = lenet::Examples { image: vec![[[[0.5; 28]; 28]; 1]; 50], digit: vec![3; 50] };
    let counted = measure(|| {
        for _ in 0..3 {
            lenet::step(&mut parameters, &mut state, &mut optimizer, &mut training, examples.batch(), None).unwrap();
        }
        lenet::evaluate(&prepared, &mut workspace, examples.batch()).unwrap();
        lenet::forward(&prepared, &mut workspace, &examples.image).unwrap();
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn random_draws_allocate_nothing() {
    let mut parameters = dropout::Parameters::init(1);
    let mut state = <dropout::State as Tensors>::zeros();
    let mut optimizer = dropout::optimizer(1);
    let mut training = dropout::TrainingWorkspace::new(20);
    let examples = dropout::Examples { x: vec![[0.5; 20]; 20], kind: vec![3; 20] };
    let weights = [1.0; 20];
    let counted = measure(|| {
        let weights = Some(weights.as_slice());
        dropout::step(&mut parameters, &mut state, &mut optimizer, &mut training, examples.batch(), weights).unwrap();
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn the_count_sees_an_allocation() {
    let counted = measure(|| drop(std::hint::black_box(vec![0.0_f32; 100])));
    assert_eq!(counted.count_total, 1);
}
