//! The layers and formulas of the library yield what their papers say: loops and closed formulas in f64 are the oracle.

use dl_compiler::graph::Role;

use crate::axes::{BATCH, assert_close, output, roots, x};

/// Normalizes a list: mean 0, variance 1 but for `epsilon`.
fn normalized(values: &[f64], epsilon: f64) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    values.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect()
}

fn network(dims: &str, layer: &str) -> String {
    format!("network N {{ input x: {dims}; output y = x |> {layer}; }}")
}

#[test]
fn activations_are_the_published_functions() {
    type Case = (&'static str, fn(f64) -> f64);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert!((sigmoid(0.0) - 0.5).abs() < 1e-15);
    let cases: &[Case] = &[
        ("silu", |x| x / (1.0 + (-x).exp())),
        ("swish(slope: 2.0)", |x| x / (1.0 + (-2.0 * x).exp())),
        ("mish", |x| x * x.exp().ln_1p().tanh()),
        ("elu(alpha: 0.5)", |x| if x > 0.0 { x } else { 0.5 * x.exp_m1() }),
        ("selu", |x| 1.0507009873554805 * if x > 0.0 { x } else { 1.6732632423543772 * x.exp_m1() }),
        ("leaky_relu", |x| if x > 0.0 { x } else { 0.01 * x }),
        ("softsign", |x| x / (1.0 + x.abs())),
        ("hard_sigmoid", |x| (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    ];
    for (name, function) in cases {
        let found = output(&network("[5]", name), false, &[5]);
        let expected: Vec<f64> = (0..BATCH * 5).map(|at| function(x(at / 5, at % 5))).collect();
        assert_close(&found, &expected);
    }
    // x · Φ(x) at 1: Φ(1) = 0.841344746068543.
    let found = output("network N { input x: [1]; output y = gelu(0 * x + 1); }", false, &[1]);
    assert!((found[0] - 0.841344746068543).abs() < 1e-7, "{found:?}");
}

#[test]
fn batch_norm_normalizes_each_channel_over_the_batch_and_moves_its_averages() {
    for (dims, shown, channels) in [(vec![2, 3, 2], "[2, 3, 2]", 2), (vec![4], "[4]", 4), (vec![2, 3], "[2, 3]", 2)] {
        let len: usize = dims.iter().product();
        let (places, text) = (len / channels, network(shown, "batch_norm(momentum: 0.75, epsilon: 0.01)"));
        let wanted = [Role::Output(0), Role::Update(0), Role::Update(1)];
        let found = roots(&text, true, &dims, &wanted);
        let run = output(&text, false, &dims);
        for channel in 0..channels {
            let at = |e: usize, place: usize| channel * places + place + e * len;
            let all: Vec<f64> = (0..BATCH * places).map(|i| x(i / places, channel * places + i % places)).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
            // Parameters and states count from 1 in each tensor: gamma, beta and both averages are all `number`.
            let number = channel as f64 + 1.0;
            for (i, value) in normalized(&all, 0.01).into_iter().enumerate() {
                let (e, place) = (i / places, i % places);
                assert!((found[0][at(e, place)] - (value * number + number)).abs() < 1e-9);
                let expected = (all[i] - number) / (number + 0.01).sqrt() * number + number;
                assert!((run[at(e, place)] - expected).abs() < 1e-9);
            }
            assert!((found[1][channel] - (0.75 * number + 0.25 * mean)).abs() < 1e-9);
            assert!((found[2][channel] - (0.75 * number + 0.25 * variance)).abs() < 1e-9);
        }
    }
}

#[test]
fn normalizations_of_an_example_take_what_they_say() {
    let rows = output(&network("[2, 4]", "layer_norm(epsilon: 0.1)"), false, &[2, 4]);
    let squares = output(&network("[2, 4]", "rms_norm(epsilon: 0.1)"), false, &[2, 4]);
    let groups = output(&network("[4, 1, 2]", "group_norm(2, epsilon: 0.1)"), false, &[4, 1, 2]);
    let instances = output(&network("[2, 2, 2]", "instance_norm(epsilon: 0.1)"), false, &[2, 2, 2]);
    for (example, half) in (0..BATCH * 2).map(|at| (at / 2, at % 2)) {
        let four: Vec<f64> = (0..4).map(|place| x(example, half * 4 + place)).collect();
        let square = (four.iter().map(|x| x * x).sum::<f64>() / 4.0 + 0.1).sqrt();
        let start = example * 8 + half * 4;
        for (place, value) in normalized(&four, 0.1).into_iter().enumerate() {
            let (feature, channel, map) = (place as f64 + 1.0, (half * 2 + place / 2) as f64 + 1.0, half as f64 + 1.0);
            assert!((rows[start + place] - (value + 1.0) * feature).abs() < 1e-9);
            assert!((squares[start + place] - four[place] / square * feature).abs() < 1e-9);
            assert!((groups[start + place] - (value + 1.0) * channel).abs() < 1e-9);
            assert!((instances[start + place] - (value + 1.0) * map).abs() < 1e-9);
        }
    }
}

#[test]
fn positions_are_sines_and_cosines() {
    let found = output(&network("[5, 4]", "positional_encoding"), false, &[5, 4]);
    for (at, found) in found.iter().enumerate() {
        let (time, place) = (at % 20 / 4, at % 4);
        let angle = time as f64 / 10000_f64.powf((place / 2 * 2) as f64 / 4.0);
        let expected = x(at / 20, at % 20) + if place % 2 == 0 { angle.sin() } else { angle.cos() };
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
}

/// Attention of two heads from the first `time` rows of width 4 to those at `memory`; every dense layer multiplies by the
/// same matrix 1, 2, 3, …, here scaled down by the input.
fn attention(example: usize, time: usize, memory: std::ops::Range<usize>, causal: bool) -> Vec<f64> {
    const WIDTH: usize = 4;
    let weight = |i: usize, j: usize| (i * WIDTH + j + 1) as f64;
    let dense =
        |row: &[f64]| -> Vec<f64> { (0..WIDTH).map(|j| (0..WIDTH).map(|i| row[i] * weight(i, j)).sum()).collect() };
    let row = |t: usize| dense(&(0..WIDTH).map(|i| 0.01 * x(example, t * WIDTH + i)).collect::<Vec<_>>());
    let (queries, keys): (Vec<_>, Vec<_>) = ((0..time).map(row).collect(), memory.map(row).collect());
    let mut result = Vec::new();
    for (t, query) in queries.iter().enumerate() {
        let seen = if causal { t + 1 } else { keys.len() };
        let mut heads = Vec::new();
        for head in 0..2 {
            let part = |row: &[f64]| [row[head * 2], row[head * 2 + 1]];
            let score = |key: &Vec<f64>| {
                let (a, b) = (part(query), part(key));
                ((a[0] * b[0] + a[1] * b[1]) / 2_f64.sqrt()).exp()
            };
            let total: f64 = keys[..seen].iter().map(score).sum();
            heads.extend((0..2).map(|i| keys[..seen].iter().map(|key| score(key) / total * part(key)[i]).sum::<f64>()));
        }
        result.extend(dense(&heads));
    }
    result
}

#[test]
fn attention_weighs_values_by_how_keys_answer_queries() {
    let cases = [
        ("[3, 4]", "0.01 * x |> multi_head_attention(2, causal: true, bias: false)", 3, 0..3, true),
        ("[5, 4]", "few |> multi_head_attention(2, bias: false, memory: others)", 2, 2..5, false),
        ("[5, 4]", "few |> multi_head_attention(2, causal: true, bias: false, memory: others)", 2, 2..5, true),
    ];
    for (dims, call, time, memory, causal) in cases {
        let rows = memory.end;
        let text = format!(
            "network N {{ input x: {dims}; few = 0.01 * slice(x, axis: 0, start: 0, len: {time});
             others = 0.01 * slice(x, axis: 0, start: {}, len: {}); output y = {call}; }}",
            memory.start,
            memory.len(),
        );
        let found = output(&text, false, &[rows, 4]);
        let expected: Vec<f64> =
            (0..BATCH).flat_map(|example| attention(example, time, memory.clone(), causal)).collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{call}: {found} is not {expected}");
        }
    }
}

#[test]
fn a_transposed_convolution_paints_its_kernels() {
    let layer = "conv_transpose2d(3, kernel: [2, 3], stride: 2, padding: [0, 1], output_padding: 1)";
    let found = output(&network("[2, 2, 3]", layer), false, &[2, 2, 3]);
    let (height, width) = (2 + 2 + 1, 4 + 3 + 1 - 2);
    assert_eq!(found.len(), BATCH * 3 * height * width);
    for (example, one) in found.chunks(3 * height * width).enumerate() {
        let mut expected = vec![0.0; one.len()];
        for (place, y) in expected.iter_mut().enumerate() {
            *y = (place / (height * width)) as f64 + 1.0;
        }
        for (c, i, j) in (0..12_usize).map(|at| (at / 6, at / 3 % 2, at % 3)) {
            for (f, p, q) in (0..18_usize).map(|at| (at / 6, at / 3 % 2, at % 3)) {
                let (row, column) = (2 * i + p, (2 * j + q).wrapping_sub(1));
                if row < height && column < width {
                    let weight = (((c * 3 + f) * 2 + p) * 3 + q + 1) as f64;
                    expected[(f * height + row) * width + column] += x(example, (c * 2 + i) * 3 + j) * weight;
                }
            }
        }
        assert_close(one, &expected);
    }
}

#[test]
fn sequences_are_convolved_and_pooled() {
    let found = output(&network("[1, 6]", "conv1d(1, kernel: 2, stride: 2, bias: false)"), false, &[1, 6]);
    let means = output(&network("[1, 6]", "avg_pool1d(3)"), false, &[1, 6]);
    let greatest = output(&network("[1, 6]", "max_pool1d(2)"), false, &[1, 6]);
    let large = output(&network("[1, 2, 3]", "upsample2d"), false, &[1, 2, 3]);
    let whole = output(&network("[2, 1, 3]", "global_average_pool"), false, &[2, 1, 3]);
    for example in 0..BATCH {
        for i in 0..3 {
            let (a, b) = (x(example, 2 * i), x(example, 2 * i + 1));
            assert_eq!(found[example * 3 + i], a + 2.0 * b);
            assert_eq!(greatest[example * 3 + i], a.max(b));
        }
        for i in 0..2 {
            let mean = (0..3).map(|k| x(example, 3 * i + k)).sum::<f64>() / 3.0;
            assert!((means[example * 2 + i] - mean).abs() < 1e-12);
            assert!((whole[example * 2 + i] - mean).abs() < 1e-12);
        }
        for (row, column) in (0..24).map(|at| (at / 6, at % 6)) {
            assert_eq!(large[example * 24 + row * 6 + column], x(example, row / 2 * 3 + column / 2));
        }
    }
}

#[test]
fn losses_are_the_published_formulas() {
    let number = |members: &str| {
        output(
            &format!("network N {{ input x: [2]; a = 0 * x + 2; b = 0 * x - 1; output y = {members} + 0 * sum(x); }}"),
            false,
            &[2],
        )[0]
    };
    let cases = [
        // |a - b| is 3 in both places.
        ("huber(a, b)", 1.0 * (3.0 - 0.5)),
        ("huber(a, b, delta: 4)", 4.5),
        ("hinge(a, b)", 3.0),
        ("hinge(a, -b)", 0.0),
        ("kl_divergence_normal(a, b)", -0.5 * 2.0 * (1.0 - 1.0 - 4.0 - (-1_f64).exp())),
        ("cosine_similarity(a, b)", -1.0),
        ("euclidean_distance(a, b)", 18_f64.sqrt()),
        ("contrastive(a, b, 1)", 9.0),
        ("contrastive(a, b, 0, margin: 5)", 0.5 * (5.0 - 18_f64.sqrt()).powi(2)),
        ("triplet(a, b, a + 1, margin: 0.5)", 18.0 - 2.0 + 0.5),
        ("triplet(a, a, b)", 0.0),
    ];
    for (call, expected) in cases {
        let found = number(call);
        assert!((found - expected).abs() < 1e-6, "{call} is {found}, not {expected}");
    }
}
