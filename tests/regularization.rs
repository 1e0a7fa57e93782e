//! The noise of the library in training has the mean and the variance of its papers, and penalties their sums.

use dln::runtime::{Examples as _, Network, Report};

dln::network! {
    network Noises {
        input x: [4, 10, 10];
        one = 0 * x + 1;
        gauss = normal(like: x);

        plain = one |> dropout(0.3);
        spatial: [channels, height, width] = one |> spatial_dropout(0.3);
        multiplied = one |> gaussian_dropout(0.3);
        added = one |> gaussian_noise(0.5);
        alpha = gauss |> alpha_dropout(0.3);

        metric plain_mean = mean(plain);
        metric plain_square = mean(plain ^ 2);
        metric spatial_mean = mean(spatial);
        metric spatial_square = mean(spatial ^ 2);
        // Within a channel all or nothing stays, so the square of a channel's mean is the mean of its squares.
        metric spatial_channels = mean(mean(spatial, over: [height, width]) ^ 2);
        metric multiplied_mean = mean(multiplied);
        metric multiplied_square = mean(multiplied ^ 2);
        metric added_mean = mean(added);
        metric added_square = mean(added ^ 2);
        metric alpha_mean = mean(alpha);
        metric alpha_square = mean(alpha ^ 2);

        y = x |> flatten |> dense(1);
        output o = y;
        loss mean(y ^ 2);
    }
    network Penalties {
        input x: [3];
        kept = x |> activity_penalty(l1_rate: 0.5, l2_rate: 0.25);
        y = kept |> dense(1);
        output o = y;
        loss 0 * mean(y);
        metric elastic_sum = elastic(x, 0.5, 0.25);
    }
    network Bounded {
        input x: [3];
        label y: [4];
        param weight: [3, 4] = normal(0, 1) where min_max_norm(0.5, 0.75);
        output z = x @ weight;
        loss mse(x @ weight, y);
        train { optimizer: sgd(learning_rate: 0.5) }
    }
}

#[test]
fn noise_has_the_mean_and_variance_of_its_paper() {
    let n = 256;
    let examples = noises::Examples { x: vec![[[[0.0; 10]; 10]; 4]; n] };
    let (mut parameters, mut state) = Noises::initialize(1);
    let mut optimizers = Noises::optimizers(Noises::settings().optimizer, 7);
    let mut workspace = Noises::training_workspace(n, 1);
    let report =
        Noises::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None).unwrap();
    let variance = 0.3 / 0.7;
    // Expected values, and five standard errors: 102,400 draws, or 1,024 of whole channels.
    for (name, expected, tolerance) in [
        ("plain_mean", 1.0, 0.011),
        ("plain_square", 1.0 + variance, 0.015),
        ("spatial_mean", 1.0, 0.11),
        ("spatial_square", 1.0 + variance, 0.15),
        ("spatial_channels", 1.0 + variance, 0.15),
        ("multiplied_mean", 1.0, 0.011),
        ("multiplied_square", 1.0 + variance, 0.025),
        ("added_mean", 1.0, 0.008),
        ("added_square", 1.25, 0.018),
        ("alpha_mean", 0.0, 0.016),
        ("alpha_square", 1.0, 0.03),
    ] {
        let place = <Noises as Network>::Report::METRICS.iter().position(|metric| *metric == name).unwrap();
        let found = f64::from(report.metric(place));
        assert!((found - expected).abs() < tolerance, "{name}: {found} instead of {expected}");
    }
    let channels = f64::from(report.spatial_channels - report.spatial_square);
    assert!(channels.abs() < 1e-5, "channels are dropped whole: {channels}");
}

/// After a step the norm of every column lies between the two ends: at one of them if the step left it outside.
#[test]
fn norms_lie_between_their_ends_after_every_step() {
    use dln::runtime::Tensors;
    let examples = bounded::Examples { x: vec![[1.0, -1.0, 0.5]; 2], y: vec![[9.0, 0.0, -9.0, 0.1]; 2] };
    let (mut parameters, mut state) = Bounded::initialize(3);
    let mut optimizers = Bounded::optimizers(Bounded::settings().optimizer, 7);
    let mut workspace = Bounded::training_workspace(2, 1);
    for _ in 0..4 {
        Bounded::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None).unwrap();
        let weight = parameters.tensor("weight").unwrap();
        let norms: Vec<f32> =
            (0..4).map(|unit| (0..3).map(|row| weight[4 * row + unit].powi(2)).sum::<f32>().sqrt()).collect();
        assert!(norms.iter().all(|norm| (0.5 - 1e-6..=0.75 + 1e-6).contains(norm)), "{norms:?}");
        assert!((norms[0] - 0.75).abs() < 1e-6 && (norms[2] - 0.75).abs() < 1e-6, "{norms:?}");
    }
}

#[test]
fn penalties_are_the_published_sums() {
    let examples = penalties::Examples { x: vec![[1.0, -2.0, 3.0], [0.5, 0.0, -1.5]] };
    let (parameters, state) = Penalties::initialize(1);
    let mut workspace = Penalties::workspace(2, 1);
    let prepared = Penalties::prepare(&parameters, &state);
    let report = Penalties::evaluate(&prepared, &mut workspace, examples.batch()).unwrap();
    // ½·Σ|x| + ¼·Σx² of the examples: 3 + 3.5 and 1 + 0.625.
    assert!((report.elastic_sum - (6.5 + 1.625) / 2.0).abs() < 1e-6, "{report:?}");
    assert!((report.loss - report.elastic_sum).abs() < 1e-6, "{report:?}");
}
