//! Named axes, reductions over them and over the batch, alignment by name, and values of several parts.
//!
//! The oracle is plain arithmetic on small arrays: each program is run by the reference evaluator and compared with
//! numbers computed here by loops that know nothing of names.

use dl_compiler::eval::{Context, eval, root};
use dl_compiler::graph::Role;
use dl_compiler::model::Parameter;
use ndarray::{ArrayD, IxDyn};

use crate::support::{mistakes, model};

/// Examples of a run.
pub(crate) const BATCH: usize = 3;

/// A number for each place, no two alike.
pub(crate) fn x(example: usize, place: usize) -> f64 {
    (example * 31 + place * 7 % 23) as f64 * 0.25 - 2.0
}

/// The output of a network with one input of `dims`, in its training or inference form; parameters count 1, 2, 3, …
pub(crate) fn output(text: &str, training: bool, dims: &[usize]) -> Vec<f64> {
    roots(text, training, dims, &[Role::Output(0)]).remove(0)
}

/// The same for any values that are wanted of a network; states count 1, 2, 3, … too.
pub(crate) fn roots(text: &str, training: bool, dims: &[usize], roles: &[Role]) -> Vec<Vec<f64>> {
    let model = model(text);
    let len: usize = dims.iter().product();
    let numbers: Vec<f64> = (0..BATCH * len).map(|at| x(at / len, at % len)).collect();
    let field = ArrayD::from_shape_vec(IxDyn(&[&[BATCH], dims].concat()), numbers).unwrap();
    let counted = |tensors: &[Parameter]| -> Vec<ArrayD<f64>> {
        let count = |parameter: &Parameter| {
            let mut next = 0.0;
            ArrayD::from_shape_fn(IxDyn(&parameter.dims), |_| {
                next += 1.0;
                next
            })
        };
        tensors.iter().map(count).collect()
    };
    let (parameters, states) = (counted(&model.parameters), counted(&model.states));
    let fields = [field];
    let context = Context {
        batch: BATCH,
        fields: &fields,
        parameters: &parameters,
        states: &states,
        weights: None,
        uniform: &|_, _, _| 0.5,
    };
    let graph = if training { &model.training } else { &model.inference };
    let values = eval(graph, &context);
    roles.iter().map(|&role| root(graph, &values, &context, role).unwrap().iter().copied().collect()).collect()
}

/// Both lists, number by number.
pub(crate) fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-12, "{found:?} is not {expected:?}");
    }
}

/// The element at `[c, h, w]` of a `[2, 3, 4]` image.
fn at(example: usize, c: usize, h: usize, w: usize) -> f64 {
    x(example, (c * 3 + h) * 4 + w)
}

#[test]
fn reductions_keep_their_axes_with_size_one() {
    let text = "layer l(x: [c, h, w]) { mean(x, over: [c, w]) + 0 * x }
        network N { input x: [2, 3, 4]; output y = l(x); }";
    let mut expected = Vec::new();
    for example in 0..BATCH {
        for _ in 0..2 {
            for h in 0..3 {
                let sum: f64 = (0..2).flat_map(|c| (0..4).map(move |w| at(example, c, h, w))).sum();
                expected.extend([sum / 8.0; 4]);
            }
        }
    }
    assert_close(&output(text, false, &[2, 3, 4]), &expected);
}

#[test]
fn numbers_and_rest_speak_of_axes_too() {
    for over in ["1", "-2", "[1]", "[-2]", "h"] {
        let text = format!("network N {{ input x: [2, 3, 4]; y: [c, h, w] = x; output s = sum(y, over: {over}); }}");
        let model = model(&text);
        assert_eq!(model.outputs[0].dims, [2, 1, 4], "{over}");
    }
    for (over, dims) in [("..", vec![1, 1, 1]), ("[.., w]", vec![2, 1, 1]), ("[c, ..]", vec![1, 1, 4])] {
        let text = format!("network N {{ input x: [2, 3, 4]; y: [c, 3, w] = x; output s = sum(y, over: {over}); }}");
        assert_eq!(model(&text).outputs[0].dims, dims, "{over}");
    }
    let text = "network N { input x: [2, 3, 4]; output s = variance(x); }";
    assert!(model(text).outputs[0].dims.is_empty());
}

#[test]
fn what_reduces_over_the_batch_is_the_same_for_every_example() {
    let text = "layer l(x: [c, h, w]) { if training { x - mean(x, over: [batch, h]) } else { x } }
        network N { input x: [2, 3, 4]; output y = l(x); }";
    let mut expected = Vec::new();
    for example in 0..BATCH {
        for (c, h, w) in (0..24).map(|place| (place / 12, place / 4 % 3, place % 4)) {
            let all = (0..BATCH).flat_map(|example| (0..3).map(move |h| at(example, c, h, w)));
            expected.push(at(example, c, h, w) - all.sum::<f64>() / (BATCH * 3) as f64);
        }
    }
    assert_close(&output(text, true, &[2, 3, 4]), &expected);
}

#[test]
fn the_variance_is_the_mean_of_squared_distances() {
    let text = "network N { input x: [2, 3, 4]; y: [c, h, w] = x;
        output v = if training { variance(y, over: [batch, c, w]) + 0 * y } else { y }; }";
    let found = output(text, true, &[2, 3, 4]);
    for h in 0..3 {
        let all: Vec<f64> = (0..BATCH * 8).map(|place| at(place / 8, place % 8 / 4, h, place % 4)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
        assert!((found[h * 4] - variance).abs() < 1e-12, "{} is not {variance}", found[h * 4]);
    }
}

#[test]
fn operands_with_names_align_by_name() {
    // From the right, a gain of two channels would not fit [2, 3, 4]; rows would meet the columns.
    let text = "layer l(x: [channels, h, w]) {
            param gain: [channels] = ones; param row: [h] = ones; x * gain + row * 100 + gain * gain
        }
        network N { input x: [2, 3, 4]; output y = l(x); }";
    let (gain, row) = ([1.0, 2.0], [100.0, 200.0, 300.0]);
    let each = (0..BATCH * 24).map(|place| (place / 24, place % 24 / 12, place / 4 % 3, place % 4));
    let expected: Vec<f64> = each.map(|(e, c, h, w)| at(e, c, h, w) * gain[c] + row[h] + gain[c] * gain[c]).collect();
    assert_close(&output(text, false, &[2, 3, 4]), &expected);
}

#[test]
fn names_of_the_front_align_before_axes_without_names() {
    let text = "layer l(x: [channels, ..]) { param gain: [channels] = ones; x * gain }
        network N { input x: [3, 2, 3]; output y = l(x); }";
    let expected: Vec<f64> =
        (0..BATCH * 18).map(|place| x(place / 18, place % 18) * (place % 18 / 6 + 1) as f64).collect();
    assert_close(&output(text, false, &[3, 2, 3]), &expected);
}

#[test]
fn names_stay_within_their_layer() {
    // Inside, the same axes bear the layer's names; outside, the caller's.
    let text = "layer inner(x: [h, c]) { x - mean(x, over: h) }
        layer twice(a: [c, h], b: [d, e]) { sum(a, over: c) + reshape(sum(b, over: [d, e]), [1]) }
        network N { input x: [3, 4]; y: [c, h] = x; z = inner(y); output o = twice(y, y) + mean(y, over: c) + 0 * z; }";
    let at = |example: usize, c: usize, h: usize| x(example, c * 4 + h);
    let mut expected = Vec::new();
    for example in 0..BATCH {
        let all: f64 = (0..12).map(|place| x(example, place)).sum();
        for _ in 0..3 {
            expected.extend((0..4).map(|h| {
                let column: f64 = (0..3).map(|c| at(example, c, h)).sum();
                column + all + column / 3.0
            }));
        }
    }
    assert_close(&output(text, false, &[3, 4]), &expected);
}

#[test]
fn formulas_share_the_names_of_their_caller() {
    let text = "fn centred(x, over) = x - mean(x, over: over);
        layer l(x: [rows, columns], over = 0) { centred(x, over: over) }
        network N { input x: [3, 4]; y: [a, b] = x; output o = l(y, over: b) + centred(y, over: a); }";
    let at = |example: usize, a: usize, b: usize| x(example, a * 4 + b);
    let mut expected = Vec::new();
    for (example, a, b) in (0..BATCH * 12).map(|place| (place / 12, place % 12 / 4, place % 4)) {
        let row: f64 = (0..4).map(|b| at(example, a, b)).sum();
        let column: f64 = (0..3).map(|a| at(example, a, b)).sum();
        expected.push(2.0 * at(example, a, b) - row / 4.0 - column / 3.0);
    }
    assert_close(&output(text, false, &[3, 4]), &expected);
}

#[test]
fn softmax_runs_over_the_axes_it_is_told() {
    let text =
        "network N { input x: [3, 4]; y: [a, b] = x; p = softmax(y, over: [a, b]); output s = sum(p, over: a); }";
    let mut expected = Vec::new();
    for example in 0..BATCH {
        let all: f64 = (0..12).map(|place| x(example, place).exp()).sum();
        expected.extend((0..4).map(|b| (0..3).map(|a| x(example, a * 4 + b).exp() / all).sum::<f64>()));
    }
    assert_close(&output(text, false, &[3, 4]), &expected);
}

#[test]
fn parts_have_names_and_sizes() {
    let text = "network N { input x: [2, 6]; y: [a, b] = x;
        u, v, w = split(y, 3);
        first, rest = split(y, [1, 1], axis: a);
        long, short = split(x, [4, 2], axis: 1);
        output o = concat(w, u, axis: 1) + concat(long, short, axis: -1) |> split(1) ; output f = first - rest; }";
    let (_, shown) = mistakes(text);
    assert!(shown.contains("cannot combine"), "{shown}");
    let text = text.replace("concat(w, u,", "concat(w, v, u,").replace(" |> split(1)", "");
    let each = (0..BATCH * 12).map(|place| (place / 12, place % 12 / 6, place % 6));
    let swapped = |b: usize| [4, 5, 2, 3, 0, 1][b];
    let expected: Vec<f64> = each.map(|(e, a, b)| x(e, a * 6 + swapped(b)) + x(e, a * 6 + b)).collect();
    assert_close(&output(&text, false, &[2, 6]), &expected);
    assert_eq!(model(&text).outputs[1].dims, [1, 6]);
}

#[test]
fn parts_of_a_layer_are_counted_with_its_first_name() {
    let model = model(
        "network N { input x: [3]; label y: [2]; a, b = x |> dense(4) |> split(2); output o = a * b; loss mse(a, y); }",
    );
    let paths: Vec<&str> = model.parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    assert_eq!(paths, ["a.weight", "a.bias"]);
    let rows: Vec<(&str, usize)> =
        model.bindings.iter().map(|row| (row.name.as_str(), row.parameters.len())).take(2).collect();
    assert_eq!(rows, [("a", 2), ("b", 0)]);
}

/// Each program is wrong in one way; the code, and words that the message must have.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "x: [3, 4]",
        "y: [time, f] = x; output o = mean(y, over: tine);",
        &["E0101", "[time = 3, f = 4]", "did you mean `time`?"],
    ),
    ("x: [3, 4]", "output o = mean(x, over: time);", &["E0101", "name the axes"]),
    ("x: [3, 4]", "output o = mean(x, over: 2);", &["E0206", "from 0 to 1, or from -2 to -1"]),
    ("x: [3, 4]", "y: [a, b] = x; output o = mean(y, over: [a, ..]);", &["E0206", "every axis"]),
    ("x: [3, 3]", "y: [n, n] = x; output o = sum(y, over: n);", &["E0206", "more than once"]),
    ("x: [3]", "param w: [3] = ones; output o = x + sum(w, over: batch);", &["E0305", "same for every example"]),
    (
        "x: [3]",
        "output o = x - mean(x, over: batch);",
        &["E0305", "other examples of the batch", "this reduces over the batch"],
    ),
    ("x: [3, 4]", "y: [a, b] = x; z: [a, c] = x; output o = y + z;", &["E0303", "by name", "there is no `c`"]),
    ("x: [4]", "a, b, c = split(x, 2); output o = a;", &["E0204", "3 names stand for 2 values"]),
    ("x: [4]", "a, b = relu(x); output o = a;", &["E0204", "2 names stand for one value"]),
    ("x: [4]", "a = split(x, 2); output o = a;", &["E0204", "`a` names one value, found 2 values"]),
    ("x: [4]", "output o = relu(split(x, 2));", &["E0204", "2 values"]),
    ("x: [4]", "a, b, c = split(x, 3); output o = a;", &["E0306", "leaves a remainder of 1"]),
    ("x: [4]", "a, b = split(x, [3, 2]); output o = a;", &["E0301", "5 places together, the axis has 4"]),
    ("x: [4]", "a, b = split(x, [5, -1]); output o = a;", &["E0204", "sizes of at least 1"]),
    ("x: [4]", "a, b = split(x, 2.0); output o = a;", &["E0204", "a number of parts"]),
    ("x: [4]", "a, b = split(x, 2, axis: [0, batch]); output o = a;", &["E0206", "expects one axis"]),
    ("x: [4]", "output o = softmax(x, over: batch);", &["E0206", "within an example"]),
    ("x: [4]", "output o = sum(x, over: relu);", &["E0101", "no axis `relu`"]),
    ("x: [4]", "output o = sum(x, over: 1.5);", &["E0204", "axes"]),
    ("x: [4]", "output o = x + [..];", &["E0204", "`..` stands for axes"]),
];

#[test]
fn mistakes_say_what_is_there() {
    for (input, members, expected) in MISTAKES {
        let (diagnostics, shown) = mistakes(&format!("network N {{ input {input}; {members} }}"));
        assert_eq!(diagnostics.len(), 1, "{members}\n{shown}");
        for words in *expected {
            assert!(shown.contains(words), "{members}: no {words:?} in\n{shown}");
        }
    }
}
