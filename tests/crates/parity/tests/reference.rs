//! The generated code of every fixture and of some random programs agrees with the reference evaluator: outputs, loss, metrics and all gradients,
//! for batches that fill no shard, one shard, and several; and it yields the same bits for any number of threads.

mod common;

use common::{Fill, SEED, STEP, assert_close, fields, network, parameters, reference, state};
use std::collections::BTreeSet;

use dl_compiler::graph::Role;
use dl_compiler::ops::Op;
use dln::runtime::{self as rt, Examples as _, Tensors};
use parity::*;

/// Of the largest number of a tensor; sums here have up to some ten thousand terms.
const TOLERANCE: f64 = 2e-5;

macro_rules! fixture {
    // A network whose training draws at random is told the seed and the step, one whose inference does a seed.
    ($test:ident, $module:ident, [$($field:ident),*], [$($input:ident),*], |$y:ident| $outputs:expr, [$($batch:expr),*] $(, $seed:expr, $step:expr $(, $inference:expr)?)?) => {
        #[test]
        fn $test() {
            let network = network(stringify!($module));
            let parameters = parameters($module::Parameters::init(3));
            let state: $module::State = state();
            let prepared = parameters.prepare(&state);
            let mut workspace = $module::Workspace::with_threads(64, 2);
            let mut training = $module::TrainingWorkspace::new(64);
            let mut parallel = $module::TrainingWorkspace::with_threads(64, 3);
            for n in [$($batch),*] {
                let values = fields(&network, n);
                let mut each = values.iter();
                $(let $field = Fill::filled(each.next().unwrap());)*
                let examples = $module::Examples { $($field),* };

                let expected = reference(&network, &network.model.inference, &values, (&parameters, &state), None);
                let $y = $module::forward(&prepared, &mut workspace, $(&examples.$input),* $($(, $inference)?)?).unwrap();
                let outputs: [&[f32]; _] = $outputs;
                for (role, value) in &expected {
                    if let Role::Output(place) = role {
                        assert_close(&format!("n {n}, output {place}"), outputs[*place], value, TOLERANCE);
                    }
                }
                let report = $module::evaluate(&prepared, &mut workspace, examples.batch()).unwrap();
                check_report(&format!("n {n}, evaluation"), &report, &expected);

                let weights: Vec<f32> = (0..n).map(|i| 0.5 + (i % 3) as f32).collect();
                for weights in [None, Some(weights.as_slice())] {
                    let what = format!("n {n}, weights {}", weights.is_some());
                    let expected = reference(&network, &network.gradients[0], &values, (&parameters, &state), weights);
                    let (report, gradients) = $module::gradients(
                        &parameters, &state, &mut training, examples.batch(), weights $(, $seed, $step)?
                    ).unwrap();
                    check_report(&what, &report, &expected);
                    let trained = network.model.parameters.iter().enumerate().filter(|(_, parameter)| !parameter.frozen);
                    for (place, parameter) in trained {
                        let value = expected.iter().find(|(role, _)| *role == Role::Gradient(place));
                        // Only a random program may stop the gradient of a parameter, which then is 0.
                        let may_stop = stringify!($module).starts_with("random");
                        assert!(value.is_some() || may_stop, "no gradient of {}", parameter.path);
                        let value = value.map_or_else(|| ndarray::ArrayD::zeros(&parameter.dims[..]), |(_, value)| value.clone());
                        let found = gradients.tensor(&parameter.path).unwrap();
                        assert_close(&format!("{what}, gradient of {}", parameter.path), found, &value, TOLERANCE);
                    }
                    let (_, others) = $module::gradients(
                        &parameters, &state, &mut parallel, examples.batch(), weights $(, $seed, $step)?
                    ).unwrap();
                    let same = gradients.as_slice().iter().zip(others.as_slice()).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{what}: three threads yield other bits than one");
                }
            }
        }
    };
}

fn check_report<R: rt::Report>(what: &str, report: &R, expected: &[(Role, ndarray::ArrayD<f64>)]) {
    for (role, value) in expected {
        match role {
            Role::Loss(0) => assert_close(&format!("{what}, loss"), &[report.loss()], value, TOLERANCE),
            Role::Metric(place) => {
                assert_close(&format!("{what}, metric {place}"), &[report.metric(*place)], value, TOLERANCE);
            }
            _ => {}
        }
    }
}

fixture!(xor, xor, [bits, odd], [bits], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(mlp, mlp, [image, digit], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(winograd, winograd, [image, kind], [image], |y| [rt::flat(y)], [1, 12, 17]);
fixture!(lenet, lenet, [image, digit], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(convolutions, convolutions, [image, kind], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(pools, pools, [image, kind], [image], |y| [rt::flat(y)], [3, 8, 16, 17, 37]);
fixture!(volumes, volumes, [volume, kind], [volume], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(video, video, [clip, action], [clip], |y| [rt::flat(y)], [3, 16, 17]);
fixture!(regression, regression, [features, price], [features], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(small, small, [x, target], [x], |y| [rt::flat(y)], [1, 2, 3, 16, 17, 64]);
fixture!(steps, steps, [steps, tags], [steps], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(attention, attention, [words, next], [words], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(
    sampling,
    sampling,
    [image, kind],
    [image],
    |y| [rt::flat(y.guess), rt::flat(y.logarithms)],
    [1, 3, 16, 17, 64],
    SEED,
    STEP,
    0
);
fixture!(parts, parts, [steps, y], [steps], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(sequence, sequence, [steps, length, kind], [steps, length], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(lstm, lstm, [frames, digit], [frames], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(siamese, siamese, [left, right, same], [left, right], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(arithmetic, arithmetic, [image, offset, target], [image, offset], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(functions, functions, [x, y], [x], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(cnn, cnn, [image, class], [image], |y| [rt::flat(y)], [1, 3]);
fixture!(autoencoder, autoencoder, [x], [x], |y| [rt::flat(y.code_of_x), rt::flat(y.copy)], [1, 3, 16, 17, 64]);
fixture!(axes, axes, [image, target], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 37, 64]);
fixture!(held, held, [x, y], [x], |y| [rt::flat(y.value), rt::flat(y.age)], [1, 3, 16, 17, 64]);
fixture!(residual, residual, [image, kind], [image], |y| [rt::flat(y)], [3, 16, 17, 37]);
fixture!(noise, noise, [image, target], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(normalizations, normalizations, [image, song, target], [image, song], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(
    causal,
    causal,
    [notes, tune, next],
    [notes, tune],
    |y| [rt::flat(y.seen), rt::flat(y.guesses)],
    [1, 3, 16, 17]
);
fixture!(transformer, transformer, [signs, next], [signs], |y| [rt::flat(y)], [1, 3, 16, 17]);
fixture!(
    long,
    long,
    [notes, next, mood],
    [notes],
    |y| [rt::flat(y.guesses), rt::flat(y.moods_of_all)],
    [1, 3, 4, 5, 18],
    SEED,
    STEP
);
fixture!(dropout, dropout, [x, kind], [x], |y| [rt::flat(y)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(bayes, bayes, [x, y], [x], |y| [rt::flat(y)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(boltzmann, boltzmann, [v], [v], |y| [rt::flat(y.features), rt::flat(y.copy)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(ensemble, ensemble, [x, kind], [x], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(vae, vae, [x], [x], |y| [rt::flat(y.copy), rt::flat(y.place)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(elman, elman, [signs, next], [signs], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(gru, gru, [frames, kind], [frames], |y| [rt::flat(y)], [1, 3, 16, 17, 64], SEED, STEP);
fixture!(
    pretraining,
    pretraining,
    [x, kind],
    [x],
    |y| [rt::flat(y.probabilities), rt::flat(y.features)],
    [1, 3, 16, 17, 64]
);
fixture!(audio, audio, [wave, word], [wave], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(inverted, inverted, [image, class], [image], |y| [rt::flat(y)], [1, 3, 17, 37]);
fixture!(separable, separable, [wave, word], [wave], |y| [rt::flat(y)], [1, 3, 17, 37]);
fixture!(mobile, mobile, [image, class], [image], |y| [rt::flat(y)], [3, 16, 17, 64]);
fixture!(resnet, resnet, [image, class], [image], |y| [rt::flat(y)], [3, 17]);
fixture!(sentiment, sentiment, [words, length, kind], [words, length], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(
    convlstm,
    convlstm,
    [film, next, busy],
    [film],
    |y| [rt::flat(y.picture), rt::flat(y.energy)],
    [1, 3, 16, 17, 64]
);
fixture!(tagger, tagger, [words, letters, tags], [words, letters], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(translation, translation, [source, before, target], [source, before], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);
fixture!(variance, variance, [left, right], [left, right], |y| [rt::flat(y)], [2, 3, 16, 17, 64]);
fixture!(unet, unet, [image, mask], [image], |y| [rt::flat(y)], [1, 3, 16, 17, 64]);

/// The fields and outputs are those that all random programs have.
macro_rules! random {
    ($($module:ident),*) => {
        $(fixture!(
            $module,
            $module,
            [x, frames, image, words, length, target, kind],
            [x, frames, image, words, length],
            |y| [rt::flat(y.value), rt::flat(y.other)],
            [1, 3, 17, 64]
        );)*
    };
}

random!(random0, random1, random2, random3, random4, random5, random6, random7, random8, random9, random10, random11);

#[test]
fn a_network_without_a_loss_only_runs() {
    let network = network("perceptron");
    let parameters = parameters(perceptron::Parameters::init(3));
    let state = <perceptron::State as Tensors>::zeros();
    let prepared = parameters.prepare(&state);
    let mut workspace = perceptron::Workspace::new(17);
    let values = fields(&network, 17);
    let x: Vec<perceptron::X> = Fill::filled(&values[0]);
    let expected = reference(&network, &network.model.inference, &values, (&parameters, &state), None);
    let fires = perceptron::forward(&prepared, &mut workspace, &x).unwrap();
    assert_close("fires", rt::flat(fires), &expected[0].1, TOLERANCE);
}

/// No operation is left out: each is in the graphs of some fixture, which are those that the generated code runs.
#[test]
fn every_operation_is_in_a_fixture() {
    let names = [
        "arithmetic",
        "attention",
        "autoencoder",
        "axes",
        "causal",
        "cnn",
        "convolutions",
        "dropout",
        "functions",
        "gan",
        "held",
        "inverted",
        "lenet",
        "lstm",
        "mlp",
        "parts",
        "perceptron",
        "regression",
        "sampling",
        "sequence",
        "siamese",
        "steps",
        "xor",
    ];
    let networks = names.map(network);
    let used: BTreeSet<&str> = networks
        .iter()
        .flat_map(|network| {
            let optimized = network.graphs.training.iter().chain([&network.graphs.inference]);
            network.gradients.iter().chain([&network.model.inference]).chain(optimized)
        })
        .flat_map(|graph| &graph.nodes)
        .map(|node| node.op.name())
        .collect();
    let missing: Vec<&str> = Op::SPECS.iter().map(|spec| spec.name).filter(|name| !used.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
