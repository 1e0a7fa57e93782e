//! A network of two losses: each step computes what its loss reaches, trains its own parameters and asks for its own
//! fields; together they train as one network.

mod common;

use common::{Fill, assert_close, fields, network, parameters, reference, state};

use dl_compiler::graph::Role;
use dln::runtime::{self as rt, Examples as _, InputError, Network, Report as _, Tensors};
use parity::{Gan, gan};

const JUDGE: [&str; 3] = ["judge_weight", "judge_bias", "judge_out"];
const MAKER: [&str; 4] = ["made.first.weight", "made.first.bias", "made.second.weight", "made.second.bias"];
const TOLERANCE: f64 = 2e-5;

fn examples(values: &[ndarray::ArrayD<f64>]) -> gan::Examples {
    gan::Examples { noise: Fill::filled(&values[0]), real: Fill::filled(&values[1]) }
}

#[test]
fn every_step_agrees_with_the_reference() {
    let network = network("gan");
    let (parameters, state) = (parameters(gan::Parameters::init(3)), state::<gan::State>());
    let mut workspace = gan::TrainingWorkspace::with_threads(64, 2);
    for n in [1, 15, 16, 17, 64] {
        let values = fields(&network, n);
        let examples = examples(&values);
        let expected =
            |step: usize| reference(&network, &network.gradients[step], &values, (&parameters, &state), None);
        let check = |what: &str, trained: &[&str], step: usize, gradients: &gan::Gradients| {
            for (role, value) in expected(step) {
                let Role::Gradient(place) = role else { continue };
                let path = network.model.parameters[place].path.as_str();
                assert!(trained.contains(&path), "{path}");
                assert_close(&format!("n {n}, {what}, {path}"), gradients.tensor(path).unwrap(), &value, TOLERANCE);
            }
            for info in gan::Gradients::TENSORS.iter().filter(|info| !trained.contains(&info.name)) {
                let gradient = gradients.tensor(info.name).unwrap();
                assert!(gradient.iter().all(|d| *d == 0.0), "{what} has a gradient of {}", info.name);
            }
        };
        let loss = |step: usize| {
            let value = expected(step).into_iter().find(|(role, _)| *role == Role::Loss(step)).unwrap().1;
            value.into_iter().next().unwrap()
        };
        let (judged, gradients) =
            gan::gradients_judge(&parameters, &state, &mut workspace, examples.batch(), None).unwrap();
        check("judge", &JUDGE, 0, gradients);
        assert!((f64::from(judged.judge) - loss(0)).abs() < 1e-5 && judged.maker.is_nan());
        let batch = gan::BatchMaker { noise: &examples.noise };
        let (made, gradients) = gan::gradients_maker(&parameters, &state, &mut workspace, batch, None).unwrap();
        check("maker", &MAKER, 1, gradients);
        assert!((f64::from(made.maker) - loss(1)).abs() < 1e-5 && made.judge.is_nan());
    }
}

/// Gradients flow through the judge to the maker, but the judge's own products are nowhere computed.
#[test]
fn a_step_holds_nothing_that_its_loss_does_not_need() {
    let network = network("gan");
    let [judge, maker] = network.programs.training.as_slice() else { panic!("two steps") };
    let names = |program: &dl_compiler::program::Program| -> Vec<String> {
        let results = program.steps().map(|step| program.buffer(step.result).name.clone());
        results.filter(|name| name.starts_with("d_")).collect()
    };
    assert!(names(judge).iter().all(|name| !name.contains("made_first")), "{:?}", names(judge));
    assert!(names(maker).iter().all(|name| !name.contains("judge") && !name.contains("real")), "{:?}", names(maker));
    assert!(maker.buffers.iter().all(|buffer| buffer.name != "real"));
}

#[test]
fn the_network_runs_both_steps_in_order() {
    let network = network("gan");
    let values = fields(&network, 20);
    let examples = examples(&values);
    let rule = Gan::settings().optimizer;
    let (mut parameters, mut state) = Gan::initialize(5);
    let (mut expected, mut expected_state) = (parameters.clone(), state.clone());
    let mut optimizers = Gan::optimizers(rule, 5);
    let (mut judge, mut maker) = (gan::optimizer_judge(5), gan::optimizer_maker(5));
    let mut workspace = gan::TrainingWorkspace::new(20);
    for _ in 0..4 {
        let report =
            Gan::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None).unwrap();
        let before = expected.clone();
        let judged =
            gan::step_judge(&mut expected, &mut expected_state, &mut judge, &mut workspace, examples.batch(), None);
        let judged = judged.unwrap();
        for name in MAKER {
            assert_eq!(expected.tensor(name), before.tensor(name), "the judge's step changed {name}");
        }
        for name in JUDGE {
            assert_ne!(expected.tensor(name), before.tensor(name), "the judge's step left {name}");
        }
        let between = expected.clone();
        let batch = gan::BatchMaker { noise: &examples.noise };
        let made = gan::step_maker(&mut expected, &mut expected_state, &mut maker, &mut workspace, batch, None);
        let made = made.unwrap();
        for name in JUDGE {
            assert_eq!(expected.tensor(name), between.tensor(name), "the maker's step changed {name}");
        }
        assert_eq!(parameters.as_slice(), expected.as_slice());
        assert_eq!(state.as_slice(), expected_state.as_slice());
        assert_eq!((report.judge, report.maker), (judged.judge, made.maker));
        assert_eq!(report.loss(), judged.judge + made.maker);
        assert!(report.caught.is_finite() && report.length.is_finite());
    }
    assert_eq!(<gan::Report as rt::Report>::METRICS, ["judge", "maker", "caught", "length"]);
    assert_eq!(state.drawn(), &[4.0], "what no loss has to do with is updated once");
}

#[test]
fn what_one_step_cannot_take_changes_nothing_in_the_other() {
    let (mut parameters, mut state) = Gan::initialize(5);
    let before = parameters.as_slice().to_vec();
    let rule = Gan::settings().optimizer;
    let mut optimizers = [gan::optimizer_judge(0), gan::optimizer_judge(0)];
    let mut workspace = gan::TrainingWorkspace::new(20);
    let examples = gan::Examples { noise: vec![[0.5; 3]; 4], real: vec![[0.5; 4]; 4] };
    let found = Gan::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None);
    assert!(matches!(found, Err(InputError::OptimizerMismatch { .. })), "{found:?}");
    let mut optimizers = Gan::optimizers(rule, 0);
    let examples = gan::Examples { noise: vec![[0.5; 3]; 4], real: vec![[0.5; 4]; 3] };
    let found = Gan::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None);
    assert!(matches!(found, Err(InputError::LengthMismatch { name: "real", .. })), "{found:?}");
    assert_eq!(parameters.as_slice(), before);
    assert_eq!((optimizers[0].step(), state.drawn()), (1, &[0.0]));
}

#[test]
fn evaluation_reports_all_losses() {
    let network = network("gan");
    let (parameters, state) = (parameters(gan::Parameters::init(3)), state::<gan::State>());
    let values = fields(&network, 37);
    let expected = reference(&network, &network.model.inference, &values, (&parameters, &state), None);
    let mut workspace = gan::Workspace::new(37);
    let report = gan::evaluate(&parameters.prepare(&state), &mut workspace, examples(&values).batch()).unwrap();
    for (role, value) in &expected {
        let found = match role {
            Role::Loss(0) => report.judge,
            Role::Loss(1) => report.maker,
            Role::Metric(0) => report.caught,
            Role::Metric(1) => report.length,
            _ => continue,
        };
        assert_close(&format!("{role:?}"), &[found], value, TOLERANCE);
    }
}
