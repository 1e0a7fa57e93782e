//! What a `train` section says is what the generated code does: every optimizer with its defaults, and all options at once.

use dln::runtime::{
    AdaDelta, AdaGrad, Adam, AdamW, AmsGrad, Clip, Decay, Examples as _, Ftrl, InputError, Lion, NAdam, Network,
    Options, ProximalAdaGrad, ProximalGradient, RmsProp, Rule, Schedule, Settings, Sgd, Shape, Tensors,
};

dln::network! {
    network WithSgd { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: sgd } }
    network WithAdaGrad { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: adagrad } }
    network WithRmsProp { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: rmsprop } }
    network WithAdaDelta { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: adadelta } }
    network WithAdam { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: adam } }
    network WithAdamW { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: adamw } }
    network WithNAdam { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: nadam } }
    network WithAmsGrad { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: amsgrad } }
    network WithLion { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: lion } }
    network WithFtrl { input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: ftrl } }
    network WithProximalGradient {
        input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: proximal_gradient }
    }
    network WithProximalAdaGrad {
        input x: [2]; y = x |> dense(1); output o = y; loss mean(y ^ 2); train { optimizer: proximal_adagrad }
    }
    network Everything {
        input x: [2];
        hidden = x |> dense(3) |> tanh;
        y = hidden |> dense(1);
        output o = y;
        loss mean((y - 1) ^ 2);
        train {
            optimizer: adamw(learning_rate: 0.01, weight_decay: 0.1),
            schedule: warm_up(epochs: 2, then: cosine_restarts(epochs: 10, growth: 2)),
            clip: global_norm(1.5), accumulate: 2, ema: 0.9, decay: [factor("*.bias", 0), factor("y.*", 0.5)],
            batch: 8, stop: early(patience: 3)
        }
    }
    network Two {
        input x: [2];
        a = x |> dense(3);
        b = x |> dense(2);
        output o = a;
        loss first = mean(b ^ 2) updates b.*;
        loss second = mean(a ^ 2) updates a.*;
        train { optimizer: sgd(learning_rate: 0.1), schedule: piecewise(at: [1, 2.5], factors: [0.1, 0.01]), ema: 0.5 }
    }
}

fn has_defaults<N: Network<Rule = R>, R: Rule>(rule: R, name: &str) {
    assert_eq!(N::settings(), Settings::new(rule));
    assert_eq!(R::NAME, name);
}

#[test]
fn optimizers_have_the_defaults_of_the_runtime() {
    has_defaults::<WithSgd, _>(Sgd::new(), "sgd");
    has_defaults::<WithAdaGrad, _>(AdaGrad::new(), "adagrad");
    has_defaults::<WithRmsProp, _>(RmsProp::new(), "rmsprop");
    has_defaults::<WithAdaDelta, _>(AdaDelta::new(), "adadelta");
    has_defaults::<WithAdam, _>(Adam::new(), "adam");
    has_defaults::<WithAdamW, _>(AdamW::new(), "adamw");
    has_defaults::<WithNAdam, _>(NAdam::new(), "nadam");
    has_defaults::<WithAmsGrad, _>(AmsGrad::new(), "amsgrad");
    has_defaults::<WithLion, _>(Lion::new(), "lion");
    has_defaults::<WithFtrl, _>(Ftrl::new(), "ftrl");
    has_defaults::<WithProximalGradient, _>(ProximalGradient::new(), "proximal_gradient");
    has_defaults::<WithProximalAdaGrad, _>(ProximalAdaGrad::new(), "proximal_adagrad");
}

#[test]
fn all_settings_reach_the_run() {
    let settings = Everything::settings();
    let expected = Settings {
        options: Options {
            clip: Clip::GlobalNorm(1.5),
            accumulate: 2,
            ema: Some(0.9),
            decay: vec![Decay::new("*.bias", 0.0), Decay::new("y.*", 0.5)],
        },
        schedule: Schedule::new(Shape::CosineRestarts { epochs: 10.0, growth: 2.0, end: 0.0 }).after_warm_up(2.0, 0.1),
        batch: 8,
        patience: Some(3),
        ..Settings::new(AdamW { learning_rate: 0.01, weight_decay: 0.1, ..AdamW::new() })
    };
    assert_eq!(settings, expected);
    assert_eq!(settings.check(<Everything as Network>::Parameters::TENSORS), Ok(()));
    assert_eq!(everything::optimizer(1).options(), &expected.options);
}

#[test]
fn two_steps_make_one_update_and_averages_follow() {
    let examples = everything::Examples { x: vec![[0.5, -1.0], [2.0, 0.25]] };
    let (mut parameters, mut state) = Everything::initialize(3);
    let start = parameters.clone();
    let mut optimizers = Everything::optimizers(Everything::settings().optimizer, 3);
    let mut workspace = Everything::training_workspace(2, 1);
    for step in 1..=4 {
        Everything::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None).unwrap();
        assert_eq!(parameters.as_slice() != start.as_slice(), step >= 2, "step {step}");
        let mut average = start.clone();
        assert_eq!(optimizers[0].write_average(average.as_mut_slice()), step >= 2);
        // The first update is the average, the second moves it.
        assert_eq!(average.as_slice() == parameters.as_slice(), step < 4, "step {step}");
    }
    optimizers[0].rule.learning_rate = f32::NAN;
    let before = parameters.clone();
    let found = Everything::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None);
    assert!(matches!(found, Err(InputError::Setting(error)) if error.setting == "learning_rate"), "{found:?}");
    assert_eq!(parameters.as_slice(), before.as_slice());
}

#[test]
fn a_step_among_several_averages_its_own_parameters() {
    let schedule = Schedule::new(Shape::Piecewise { pieces: vec![(1.0, 0.1), (2.5, 0.01)] });
    assert_eq!(Two::settings().schedule, schedule);
    let examples = two::Examples { x: vec![[1.0, 2.0]] };
    let (mut parameters, mut state) = Two::initialize(3);
    let mut optimizers = Two::optimizers(Two::settings().optimizer, 3);
    let mut workspace = Two::training_workspace(1, 1);
    Two::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None).unwrap();
    let mut average = <Two as Network>::Parameters::zeros();
    assert!(optimizers[0].write_average(average.as_mut_slice()));
    for info in <Two as Network>::Parameters::TENSORS {
        let (found, trained) = (average.tensor(info.name).unwrap(), parameters.tensor(info.name).unwrap());
        if info.name.starts_with("b.") {
            assert_eq!(found, trained, "{}", info.name);
        } else {
            assert!(found.iter().all(|x| *x == 0.0), "{}", info.name);
        }
    }
    let own: usize = <Two as Network>::Parameters::ranges("b.*").iter().map(|range| range.len()).sum();
    assert_eq!(own, 2 * 2 + 2);
}
