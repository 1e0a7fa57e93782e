//! What training holds besides its gradients: states after a step, frozen and constrained parameters.

mod common;

use common::{Fill, assert_close, fields, network, parameters, reference, state};

use dl_compiler::graph::Role;
use dln::runtime::{Examples as _, InputError, Network, Optimizer, Tensors};
use parity::{Held, held};

fn examples(values: &[ndarray::ArrayD<f64>]) -> held::Examples {
    held::Examples { x: Fill::filled(&values[0]), y: Fill::filled(&values[1]) }
}

#[test]
fn a_state_begins_as_declared() {
    let (parameters, state) = Held::initialize(4);
    assert_eq!(parameters.scale(), &[1.0; 5]);
    assert_eq!((state.count(), state.average()), (&[0.0], &[0.5; 5]));
    let offset = state.offset();
    assert!(offset.iter().all(|offset| (0.1..0.2).contains(offset)) && offset[0] != offset[1], "{offset:?}");
    assert_eq!(Held::initialize(4).1.as_slice(), state.as_slice());
    assert_ne!(Held::initialize(5).1.offset(), offset);
}

/// The values of the forward pass, so those from before the optimizer ran.
#[test]
fn a_step_updates_states() {
    let network = network("held");
    let (mut parameters, mut state) = (parameters(held::Parameters::init(3)), state::<held::State>());
    let values = fields(&network, 20);
    let expected = reference(&network, &network.gradients[0], &values, (&parameters, &state), None);
    let offset = *state.offset();
    let (mut optimizer, mut workspace) = (held::optimizer(0), held::TrainingWorkspace::new(20));
    let examples = examples(&values);
    held::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, examples.batch(), None).unwrap();
    for (place, declared) in network.model.states.iter().enumerate() {
        match expected.iter().find(|(role, _)| *role == Role::Update(place)) {
            Some((_, value)) => assert_close(&declared.path, state.tensor(&declared.path).unwrap(), value, 1e-6),
            None => assert_eq!((declared.path.as_str(), *state.offset()), ("offset", offset)),
        }
    }
}

#[test]
fn gradients_alone_change_no_state() {
    let network = network("held");
    let (parameters, state) = (held::Parameters::init(3), state::<held::State>());
    let before = state.as_slice().to_vec();
    let mut workspace = held::TrainingWorkspace::new(20);
    held::gradients(&parameters, &state, &mut workspace, examples(&fields(&network, 20)).batch(), None).unwrap();
    assert_eq!(state.as_slice(), before);
}

#[test]
fn frozen_parameters_have_no_gradient_and_stay() {
    let names = |infos: &[dln::runtime::TensorInfo]| infos.iter().map(|info| info.name).collect::<Vec<_>>();
    let all = ["scale", "features.weight", "features.bias", "mix", "gates", "head"];
    assert_eq!(names(held::Parameters::TENSORS), all);
    assert_eq!(names(held::Gradients::TENSORS), ["scale", "mix", "gates", "head"]);
    let gradients = held::Gradients::zeros();
    for info in held::Gradients::TENSORS {
        let own = held::Parameters::TENSORS.iter().find(|own| own.name == info.name).unwrap();
        assert_eq!(own.offset, info.offset);
        assert!(info.offset + info.len() <= gradients.as_slice().len());
    }
    assert!(gradients.as_slice().len() < held::Parameters::zeros().as_slice().len());
}

/// Weight decay would pull at all that the optimizer knows of.
#[test]
fn training_keeps_to_constraints_and_leaves_what_is_frozen() {
    let network = network("held");
    let (mut parameters, mut state) = Held::initialize(6);
    let mut optimizer = held::optimizer(0);
    optimizer.rule.learning_rate = 0.3;
    let mut workspace = held::TrainingWorkspace::new(20);
    let examples = examples(&fields(&network, 20));
    let frozen = (*parameters.features_weight(), *parameters.features_bias());
    let start = parameters.clone();
    for step in 1..=15 {
        held::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, examples.batch(), None).unwrap();
        assert_eq!(state.count(), &[step as f32]);
        assert!(parameters.scale().iter().all(|scale| (0.5..=1.1).contains(scale)), "{:?}", parameters.scale());
        assert!(parameters.gates().iter().all(|gate| *gate >= 0.0), "{:?}", parameters.gates());
        for unit in 0..6 {
            let norm = parameters.mix().iter().map(|row| row[unit] * row[unit]).sum::<f32>().sqrt();
            assert!(norm <= 0.9 + 1e-6, "step {step}: {norm}");
        }
        for unit in 0..3 {
            let norm = parameters.head().iter().map(|row| row[unit] * row[unit]).sum::<f32>().sqrt();
            assert!((norm - 1.0).abs() < 1e-6, "step {step}: {norm}");
        }
    }
    assert_eq!((*parameters.features_weight(), *parameters.features_bias()), frozen);
    for name in ["scale", "mix", "gates", "head"] {
        assert_ne!(parameters.tensor(name), start.tensor(name), "{name}");
    }
    // Some of them are at their bounds, so it was the constraints that held them.
    assert!(parameters.scale().iter().any(|scale| *scale == 0.5 || *scale == 1.1), "{:?}", parameters.scale());
}

#[test]
fn an_optimizer_for_the_frozen_ones_too_is_an_error() {
    let network = network("held");
    let (mut parameters, mut state) = Held::initialize(6);
    let floats = parameters.as_slice().len();
    let mut optimizer = Optimizer::new(held::settings().optimizer, 0, floats);
    let (before, mut workspace) = (state.as_slice().to_vec(), held::TrainingWorkspace::new(20));
    let examples = examples(&fields(&network, 20));
    let found = held::step(&mut parameters, &mut state, &mut optimizer, &mut workspace, examples.batch(), None);
    assert!(matches!(found, Err(InputError::OptimizerMismatch { found, .. }) if found == floats), "{found:?}");
    assert_eq!(state.as_slice(), before);
}

#[test]
fn the_state_survives_a_checkpoint() {
    let state = state::<held::State>();
    let loaded = held::State::load(&state.save().unwrap()).unwrap();
    assert_eq!(loaded.average(), state.average());
    assert_eq!(loaded.offset(), state.offset());
}
