//! Reference semantics against published and hand-computed values.

use dl_compiler::eval::{self, Context, Value};
use dl_compiler::expression::{Argument, Expression, Instruction, View};
use dl_compiler::graph::{Graph, Origin, Type};
use dl_compiler::ops::convolution2d::Convolution2d;
use dl_compiler::ops::fused::Fused;
use dl_compiler::ops::fused_sum::FusedSum;
use dl_compiler::ops::input::Input;
use dl_compiler::ops::max_pool2d::MaxPool2d;
use dl_compiler::ops::max_pool2d_gradient::MaxPool2dGradient;
use dl_compiler::ops::parameter::Parameter;
use dl_compiler::ops::sum::Sum;
use dl_compiler::ops::{Constant, Op, PointwiseFn};
use dl_compiler::program::{Activation, Epilogue};
use ndarray::{ArrayD, IxDyn};

use crate::text::{op, types};

fn integers(given: &[(&'static str, i64)]) -> Vec<(&'static str, Constant)> {
    given.iter().map(|(name, value)| (*name, Constant::Integer(*value))).collect()
}

/// The numbers an operation yields for a batch. Per-example operands come with all examples, one after another.
fn run(op: &Op, batch: usize, operands: &str, numbers: &[&[f64]]) -> Vec<f64> {
    let types = types(operands);
    let values: Vec<Value> = types
        .iter()
        .zip(numbers)
        .map(|(ty, numbers)| {
            let batch: &[usize] = if ty.per_example { &[batch] } else { &[] };
            let dims = [batch, &ty.dims].concat();
            let array = ArrayD::from_shape_vec(IxDyn(&dims), numbers.to_vec()).unwrap();
            Value { per_example: ty.per_example, array }
        })
        .collect();
    let uniform = |instance: u32, example: usize, element: usize| {
        f64::from(instance) * 0.5 + example as f64 * 0.25 + element as f64 * 0.125
    };
    let weights: Vec<f64> = (1..=batch).map(|weight| weight as f64).collect();
    let context =
        Context { batch, fields: &[], parameters: &[], states: &[], weights: Some(&weights), uniform: &uniform };
    let result = op.eval(&values.iter().collect::<Vec<_>>(), &context);
    let ty = op.infer(&types.iter().collect::<Vec<_>>()).unwrap();
    let expected = if ty.per_example { [&[batch], &ty.dims[..]].concat() } else { ty.dims };
    assert_eq!(result.shape(), expected, "{op}");
    result.iter().copied().collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    }
}

const IMAGE: [f64; 25] = [
    128.0, 97.0, 53.0, 201.0, 198.0, 35.0, 22.0, 25.0, 200.0, 195.0, 37.0, 24.0, 28.0, 197.0, 182.0, 33.0, 28.0, 92.0,
    195.0, 179.0, 31.0, 40.0, 100.0, 192.0, 177.0,
];

#[test]
fn convolution_of_the_glossary() {
    let convolution = op("convolution2d", &[]);
    let cross = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let y = run(&convolution, 1, "[1, 5, 5], [1, 1, 3, 3] batch-wide", &[&IMAGE, &cross]);
    assert_eq!(y[0], 181.0);
    let diagonal = [1.0, 0.0, 0.0, 1.0];
    let y = run(&convolution, 1, "[1, 5, 5], [1, 1, 2, 2] batch-wide", &[&IMAGE, &diagonal]);
    assert_eq!((y[0], y.len()), (150.0, 16));
}

#[test]
fn convolution_by_hand() {
    // Only the last tap counts: stride, padding and dilation, different for both axes, decide where it looks.
    let last = Convolution2d { stride: [1, 2], padding: [1, 0], dilation: [2, 1], ..Convolution2d::default() };
    let x: Vec<f64> = (1..=12).map(f64::from).collect();
    let y = run(&last.into(), 1, "[1, 3, 4], [1, 1, 2, 2] batch-wide", &[&x, &[0.0, 0.0, 0.0, 1.0]]);
    assert_eq!(y, [6.0, 8.0, 10.0, 12.0, 0.0, 0.0]);
    // Two groups of one channel each: each filter sees its own channel only.
    let grouped = op("convolution2d", &integers(&[("groups", 2)]));
    let x = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
    let weight = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, -1.0, 0.0, 0.0, 1.0];
    let y = run(&grouped, 1, "[2, 2, 2], [4, 1, 2, 2] batch-wide", &[&x, &weight]);
    assert_eq!(y, [10.0, 1.0, 80.0, 30.0]);
    // Two examples, two channels summed.
    let plain = op("convolution2d", &[]);
    let y = run(&plain, 2, "[2, 1, 2], [1, 2, 1, 1] batch-wide", &[&x, &[1.0, 10.0]]);
    assert_eq!(y, [31.0, 42.0, 310.0, 420.0]);
}

#[test]
fn pooling_of_the_glossary() {
    let attributes = integers(&[("kernel", 2), ("stride", 1)]);
    let x = [5.0, 3.0, 1.0, 8.0, 2.0, 5.0, 9.0, 4.0, 3.0];
    assert_eq!(run(&op("max_pool2d", &attributes), 1, "[1, 3, 3]", &[&x]), [8.0, 5.0, 9.0, 5.0]);
    assert_eq!(run(&op("avg_pool2d", &attributes), 1, "[1, 3, 3]", &[&x]), [4.5, 2.75, 5.75, 3.5]);
}

#[test]
fn pooling_over_the_edge_counts_only_what_is_there() {
    let attributes = integers(&[("kernel", 2), ("padding", 1)]);
    let x = [-5.0, -3.0, -8.0, -2.0];
    assert_eq!(run(&op("max_pool2d", &attributes), 1, "[1, 2, 2]", &[&x]), x);
    assert_eq!(run(&op("avg_pool2d", &attributes), 1, "[1, 2, 2]", &[&x]), x);
    let attributes = integers(&[("kernel", 3), ("padding", 1), ("stride", 2)]);
    assert_eq!(run(&op("avg_pool2d", &attributes), 1, "[1, 2, 2]", &[&x]), [-4.5]);
}

#[test]
fn the_first_maximum_gets_the_gradient() {
    let gradient = op("max_pool2d_gradient", &integers(&[("kernel", 2)]));
    let d_x = run(&gradient, 1, "[1, 2, 2], [1, 1, 1]", &[&[1.0, 7.0, 7.0, 7.0], &[3.0]]);
    assert_eq!(d_x, [0.0, 3.0, 0.0, 0.0]);
}

#[test]
fn softmax_is_a_distribution() {
    let softmax = op("softmax", &[]);
    let y = run(&softmax, 2, "[3]", &[&[1.0, 2.0, 3.0, -1000.0, 0.0, 1000.0]]);
    for row in y.chunks(3) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }
    close(&y[..2], &[0.09003057317038046, 0.24472847105479767]);
    assert_eq!(y[3..], [0.0, 0.0, 1.0]);
}

#[test]
fn causal_softmax_is_a_distribution_over_what_has_come() {
    let x = [1.0, 1e300, 1e300, 1.0, 2.0, f64::NAN, 1.0, 2.0, 3.0];
    let y = run(&op("causal_softmax", &[]), 1, "[3, 3]", &[&x]);
    assert_eq!(y[..3], [1.0, 0.0, 0.0]);
    close(
        &y[3..],
        &[0.2689414213699951, 0.7310585786300049, 0.0, 0.09003057317038046, 0.24472847105479767, 0.6652409557748219],
    );
}

#[test]
fn cross_entropy_and_accuracy() {
    let logits = [0.0, 0.0, 0.0, 0.0, 1000.0, 0.0, 0.0, 0.0];
    let operands = "[4], index(4)[]";
    let loss = run(&op("cross_entropy", &[]), 2, operands, &[&logits, &[1.0, 0.0]]);
    close(&loss, &[4f64.ln(), 0.0]);
    let wrong = run(&op("cross_entropy", &[]), 2, operands, &[&logits, &[1.0, 1.0]]);
    close(&wrong, &[4f64.ln(), 1000.0]);
    let hits = run(&op("accuracy", &[]), 2, operands, &[&logits, &[0.0, 3.0]]);
    assert_eq!(hits, [1.0, 0.0]);
    let rows = run(&op("accuracy", &[]), 1, "[2, 4], index(4)[2]", &[&logits, &[3.0, 0.0]]);
    assert_eq!(rows, [0.0, 1.0]);
}

#[test]
fn products_by_hand() {
    let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let y = run(&op("matmul", &[]), 2, "[2], [2, 3] batch-wide", &[&[1.0, 10.0, 0.0, 1.0], &weight]);
    assert_eq!(y, [41.0, 52.0, 63.0, 4.0, 5.0, 6.0]);
    let transposed = op("matmul", &[("transposed", Constant::Bool(true))]);
    let y = run(&transposed, 1, "[3], [2, 3] batch-wide", &[&[1.0, 0.0, 10.0], &weight]);
    assert_eq!(y, [31.0, 64.0]);
    let d_weight = run(&op("matmul_weights", &[]), 2, "[2], [1]", &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0]]);
    assert_eq!(d_weight, [31.0, 42.0]);
}

#[test]
fn broadcasting_of_the_glossary() {
    // [[7, 10, 4], [13, 5, 9]] + [2], as calls write it: reshape, expand, add.
    let mut graph = Graph::default();
    let mut add = |op: Op, operands: &[_]| graph.add(op, operands, Origin::default()).unwrap();
    let x = add(Input { field: 0, ty: Type::per_example([2, 3]) }.into(), &[]);
    let two = add(Parameter { parameter: 0, dims: vec![1] }.into(), &[]);
    let two = add(dl_compiler::ops::reshape::Reshape { dims: vec![1, 1] }.into(), &[two]);
    let two = add(dl_compiler::ops::expand::Expand { axis: 0, dims: vec![2, 3] }.into(), &[two]);
    let sum = add(op("add", &[]), &[x, two]);
    let fields = [ArrayD::from_shape_vec(IxDyn(&[1, 2, 3]), vec![7.0, 10.0, 4.0, 13.0, 5.0, 9.0]).unwrap()];
    let parameters = [ArrayD::from_elem(IxDyn(&[1]), 2.0)];
    let uniform = |_: u32, _: usize, _: usize| 0.0;
    let context =
        Context { batch: 1, fields: &fields, parameters: &parameters, states: &[], weights: None, uniform: &uniform };
    graph.verify().unwrap();
    let values = eval::eval(&graph, &context);
    let sum: Vec<f64> = values[sum.index()].array.iter().copied().collect();
    assert_eq!(sum, [9.0, 12.0, 6.0, 15.0, 7.0, 11.0]);
}

#[test]
fn copies_and_sums_along_axes() {
    let expand = op("expand", &integers(&[("axis", 1), ("dims", 2)]));
    let y = run(&expand, 1, "[2, 1, 2]", &[&[1.0, 2.0, 3.0, 4.0]]);
    assert_eq!(y, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    let sum = op("sum", &integers(&[("axis", 0), ("count", 1)]));
    assert_eq!(run(&sum, 2, "[2, 2]", &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]), [4.0, 6.0, 12.0, 14.0]);
    let all = op("sum", &integers(&[("axis", 0), ("count", 2)]));
    assert_eq!(run(&all, 1, "[2, 2] batch-wide", &[&[1.0, 2.0, 3.0, 4.0]]), [10.0]);
    assert_eq!(run(&op("sum_batch", &[]), 2, "[2]", &[&[1.0, 2.0, 3.0, 4.0]]), [4.0, 6.0]);
}

#[test]
fn parts_and_joints() {
    let x: Vec<f64> = (1..=12).map(f64::from).collect();
    let reverse = op("reverse", &integers(&[("axis", 1)]));
    assert_eq!(run(&reverse, 2, "[2, 3]", &[&x]), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0, 12.0, 11.0, 10.0]);
    let slice = op("slice", &integers(&[("axis", 1), ("start", 1), ("len", 2)]));
    assert_eq!(run(&slice, 2, "[2, 3]", &[&x]), [2.0, 3.0, 5.0, 6.0, 8.0, 9.0, 11.0, 12.0]);
    let rows = op("slice", &integers(&[("axis", 0), ("start", 1), ("len", 1)]));
    assert_eq!(run(&rows, 2, "[2, 3]", &[&x]), [4.0, 5.0, 6.0, 10.0, 11.0, 12.0]);
    let pad = op("pad", &integers(&[("axis", 0), ("before", 1), ("after", 2)]));
    assert_eq!(run(&pad, 2, "[1]", &[&[1.0, 2.0]]), [0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    let concat = op("concat", &integers(&[("axis", 1)]));
    let y = run(&concat, 1, "[2, 2], [2, 1]", &[&x[..4], &[10.0, 20.0]]);
    assert_eq!(y, [1.0, 2.0, 10.0, 3.0, 4.0, 20.0]);
    // What the batch has once is joined to every example.
    let mixed = op("concat", &integers(&[("axis", 0), ("count", 3)]));
    let y = run(&mixed, 2, "[1], [1] batch-wide, [1]", &[&[1.0, 2.0], &[7.0], &[3.0, 4.0]]);
    assert_eq!(y, [1.0, 7.0, 3.0, 2.0, 7.0, 4.0]);
}

#[test]
fn axes_in_another_order() {
    let x: Vec<f64> = (1..=12).map(f64::from).collect();
    let turn = |axes: &'static [i64]| op("transpose", &[("axes", Constant::List(axes))]);
    assert_eq!(run(&turn(&[1, 0]), 2, "[2, 3]", &[&x])[..6], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    // y[k, i, j] = x[i, j, k]
    let y = run(&turn(&[2, 0, 1]), 1, "[2, 3, 2] batch-wide", &[&x]);
    assert_eq!(y, [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
}

#[test]
fn products_of_two_matrices_of_an_example() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    let product = |a_flag: bool, b_flag: bool| {
        let flags = [("transposed_a", Constant::Bool(a_flag)), ("transposed_b", Constant::Bool(b_flag))];
        run(&op("batched_matmul", &flags), 1, "[2, 2], [2, 2]", &[&a, &b])
    };
    assert_eq!(product(false, false), [19.0, 22.0, 43.0, 50.0]);
    assert_eq!(product(true, false), [26.0, 30.0, 38.0, 44.0]);
    assert_eq!(product(false, true), [17.0, 23.0, 39.0, 53.0]);
    assert_eq!(product(true, true), [23.0, 31.0, 34.0, 46.0]);
    // Two examples, two products each, the right matrices those of the batch.
    let y = run(&op("batched_matmul", &[]), 2, "[2, 1, 2], [2, 2, 1] batch-wide", &[&[a, b].concat(), &a]);
    assert_eq!(y, [5.0, 25.0, 17.0, 53.0]);
}

#[test]
fn rows_by_their_numbers() {
    let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let y = run(&op("gather", &[]), 2, "[3, 2] batch-wide, index(3)[2]", &[&table, &[2.0, 0.0, 1.0, 1.0]]);
    assert_eq!(y, [5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    let gradient = op("gather_gradient", &integers(&[("rows", 3)]));
    let d_table = run(&gradient, 2, "index(3)[], [2]", &[&[2.0, 2.0], &[1.0, 2.0, 10.0, 20.0]]);
    assert_eq!(d_table, [0.0, 0.0, 0.0, 0.0, 11.0, 22.0]);
    let one_hot = op("one_hot", &integers(&[("classes", 3)]));
    assert_eq!(run(&one_hot, 2, "index(2)[]", &[&[1.0, 0.0]]), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(run(&op("float", &[]), 2, "index(9)[]", &[&[7.0, 3.0]]), [7.0, 3.0]);
    assert_eq!(run(&op("range", &integers(&[("len", 4)])), 2, "", &[]), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(run(&op("batch_share", &[]), 4, "", &[]), [0.25]);
}

#[test]
fn greatest_numbers_and_their_places() {
    let x = [1.0, 5.0, 2.0, 7.0, 7.0, 3.0];
    let columns = op("max_reduce", &integers(&[("axis", 0), ("count", 1)]));
    assert_eq!(run(&columns, 1, "[2, 3]", &[&x]), [7.0, 7.0, 3.0]);
    let all = op("max_reduce", &integers(&[("axis", 0), ("count", 1)]));
    assert_eq!(run(&all, 2, "[3]", &[&x]), [5.0, 7.0]);
    let columns = op("deviations", &integers(&[("axis", 0), ("count", 1)]));
    assert_eq!(run(&columns, 1, "[2, 3]", &[&x]), [18.0, 2.0, 0.5]);
    let all = op("deviations", &integers(&[("axis", 0), ("count", 1)]));
    close(&run(&all, 2, "[3]", &[&x]), &[26.0 / 3.0, 32.0 / 3.0]);
    assert_eq!(run(&op("argmax", &[]), 1, "[2, 3] batch-wide", &[&x]), [1.0, 0.0]);
    let y = run(&op("log_softmax", &[]), 2, "[2]", &[&[0.0, 0.0, 1000.0, 0.0]]);
    close(&y, &[-2f64.ln(), -2f64.ln(), 0.0, -1000.0]);
}

#[test]
fn transposed_convolution_paints_kernels() {
    // Stride 2: the kernels of neighbours overlap in the middle column.
    let paint = op("convolution2d_transpose", &integers(&[("stride", 2)]));
    let y = run(&paint, 1, "[1, 1, 2], [1, 1, 1, 3] batch-wide", &[&[1.0, 10.0], &[1.0, 2.0, 3.0]]);
    assert_eq!(y, [1.0, 2.0, 13.0, 20.0, 30.0]);
    let cut = op("convolution2d_transpose", &integers(&[("stride", 2), ("padding", 1), ("output_padding", 1)]));
    let kernel = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0];
    let y = run(&cut, 1, "[1, 1, 2], [1, 1, 3, 3] batch-wide", &[&[1.0, 10.0], &kernel]);
    assert_eq!(y, [2.0, 13.0, 20.0, 30.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn draws_are_transformed_as_published() {
    let given = [("instance", Constant::Integer(0)), ("dims", Constant::Integer(3))];
    let draws = [0.0, 0.125, 0.25, 0.25, 0.375, 0.5];
    assert_eq!(run(&op("uniform", &given), 2, "", &[]), draws);
    // Box and Muller: a pair of elements shares its two draws; the third element's partner is drawn, but not used.
    let radius = |u: f64| (-2.0 * (u + 0.5 / 2f64.powi(32)).ln()).sqrt();
    let angle = |v: f64| std::f64::consts::TAU * v;
    let expected = [
        radius(0.0) * angle(0.125).cos(),
        radius(0.0) * angle(0.125).sin(),
        radius(0.25) * angle(0.375).cos(),
        radius(0.25) * angle(0.375).cos(),
        radius(0.25) * angle(0.375).sin(),
        radius(0.5) * angle(0.625).cos(),
    ];
    close(&run(&op("normal", &given), 2, "", &[]), &expected);
}

#[test]
fn truth_values_are_zero_and_one() {
    let (a, b) = ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]);
    let compare = |name: &str| run(&op(name, &[]), 1, "[3], [3] batch-wide", &[&a, &b]);
    assert_eq!(compare("greater"), [0.0, 0.0, 1.0]);
    assert_eq!(compare("greater_equal"), [0.0, 1.0, 1.0]);
    assert_eq!(compare("equal"), [0.0, 1.0, 0.0]);
    assert_eq!(compare("not_equal"), [1.0, 0.0, 1.0]);
    assert_eq!(compare("min"), [1.0, 2.0, 2.0]);
    assert_eq!(compare("max"), [2.0, 2.0, 3.0]);
    assert_eq!(compare("power"), [1.0, 4.0, 9.0]);
    let chosen = run(&op("where", &[]), 1, "bool[3], [3], [3]", &[&[1.0, 0.0, 1.0], &a, &b]);
    assert_eq!(chosen, [1.0, 2.0, 3.0]);
}

#[test]
fn a_batch_wide_operand_meets_every_example() {
    let y = run(&op("subtract", &[]), 2, "[2] batch-wide, [2]", &[&[10.0, 20.0], &[1.0, 2.0, 3.0, 4.0]]);
    assert_eq!(y, [9.0, 18.0, 7.0, 16.0]);
}

#[test]
fn draws_name_instance_example_and_element() {
    let given = [("keep", Constant::Float(0.5)), ("instance", Constant::Integer(0)), ("dims", Constant::Integer(3))];
    // The draws are 0, 1/8, 2/8 for the first example, then 1/4 more for the next two.
    assert_eq!(run(&op("bernoulli", &given), 3, "", &[]), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let given = [("keep", Constant::Float(0.5)), ("instance", Constant::Integer(1)), ("dims", Constant::Integer(3))];
    assert_eq!(run(&op("bernoulli", &given), 1, "", &[]), [0.0, 0.0, 0.0]);
}

#[test]
fn weights_of_examples_are_shares() {
    close(&run(&op("example_weight", &[]), 3, "", &[]), &[1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]);
}

#[test]
fn an_epilogue_is_bias_then_activation() {
    let epilogue = Epilogue { bias: true, activation: Activation::Relu, ..Epilogue::default() };
    let Op::MatMul(mut product) = op("matmul", &[]) else { panic!() };
    product.epilogue = epilogue;
    let operands = "[2], [2, 2] batch-wide, [2] batch-wide";
    let y = run(&product.into(), 2, operands, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0], &[-2.0, 0.5]]);
    assert_eq!(y, [0.0, 2.5, 1.0, 4.5]);
    let Op::Convolution2d(mut convolution) = op("convolution2d", &[]) else { panic!() };
    convolution.epilogue = Epilogue { bias: true, activation: Activation::Identity, ..Epilogue::default() };
    let operands = "[1, 1, 2], [2, 1, 1, 1] batch-wide, [2] batch-wide";
    let y = run(&convolution.into(), 1, operands, &[&[1.0, 2.0], &[1.0, -1.0], &[10.0, 20.0]]);
    assert_eq!(y, [11.0, 12.0, 19.0, 18.0]);
}

#[test]
fn channels_last_are_convolved_each_by_itself() {
    let Op::Depthwise2d(mut depthwise) = op("depthwise2d", &integers(&[("stride", 2), ("padding", 1)])) else {
        panic!()
    };
    depthwise.epilogue = Epilogue { bias: true, ..Epilogue::default() };
    // Two channels: the second is the first times ten, and its taps are the first's in reverse.
    let image = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0, 6.0, 60.0];
    let taps = [1.0, 8.0, 2.0, 4.0, 4.0, 2.0, 8.0, 1.0];
    let y = run(&depthwise.into(), 1, "[2, 3, 2], [2, 2, 2] batch-wide, [2] batch-wide", &[&image, &taps, &[0.5, 0.0]]);
    // The first channel: 8·1, 4·2 + 8·3, 2·4, 1·5 + 2·6; the second: the other taps, times ten.
    assert_eq!(y, [8.5, 10.0, 32.5, 70.0, 8.5, 160.0, 17.5, 640.0]);
}

#[test]
fn results_with_channels_last_are_those_of_planes() {
    let Op::Convolution2d(mut convolution) = op("convolution2d", &[]) else { panic!() };
    convolution.epilogue = Epilogue { bias: true, residual: true, ..Epilogue::default() };
    convolution.last = true;
    let operands = "[1, 1, 2], [3, 1, 1, 1] batch-wide, [3] batch-wide, [1, 2, 3]";
    let residual = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let y = run(&convolution.into(), 1, operands, &[&[1.0, 2.0], &[1.0, -1.0, 4.0], &[10.0, 20.0, 30.0], &residual]);
    close(&y, &[11.1, 19.2, 34.3, 12.4, 18.5, 38.6]);
}

#[test]
fn an_epilogue_adds_a_residual_and_lets_pass_what_a_mask_says() {
    let Op::MatMul(mut product) = op("matmul", &[]) else { panic!() };
    product.epilogue = Epilogue { bias: true, residual: true, activation: Activation::Relu, mask: true, pool: None };
    assert_eq!(Op::from(product.clone()).to_string(), "matmul +bias +residual relu masked");
    let operands = "[2], [2, 2] batch-wide, [2] batch-wide, [2], [2]";
    let residual = [0.5, -4.0, 0.0, 10.0];
    let mask = [1.0, 1.0, 0.0, 0.25];
    let y = run(
        &product.into(),
        2,
        operands,
        &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, 0.0, 1.0], &[-2.0, 0.5], &residual, &mask],
    );
    assert_eq!(y, [0.0, 0.0, 0.0, 14.5]);
    let given = [("channels", Constant::Integer(1)), ("height", Constant::Integer(1)), ("width", Constant::Integer(2))];
    let Op::Convolution2dInput(mut gradient) = op("convolution2d_input", &given) else { panic!() };
    gradient.epilogue = Epilogue { residual: true, mask: true, ..Epilogue::default() };
    let operands = "[2, 1, 2], [2, 1, 1, 1] batch-wide, [1, 1, 2], [1, 1, 2]";
    let d_x = run(&gradient.into(), 1, operands, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, -1.0], &[10.0, 20.0], &[-1.0, 1.0]]);
    assert_eq!(d_x, [0.0, 18.0]);
}

#[test]
fn an_epilogue_keeps_the_greatest_of_each_window() {
    let Op::Convolution2d(mut convolution) = op("convolution2d", &[]) else { panic!() };
    convolution.epilogue = Epilogue { activation: Activation::Relu, pool: Some([1, 2]), ..Epilogue::default() };
    // Columns 0 and 1 are a window, as are 2 and 3; column 4 is none.
    let image = [1.0, -2.0, -3.0, -4.0, 9.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let y = run(&convolution.into(), 1, "[1, 2, 5], [2, 1, 1, 1] batch-wide", &[&image, &[1.0, -1.0]]);
    assert_eq!(y, [1.0, 0.0, 6.0, 8.0, 2.0, 4.0, 0.0, 0.0]);
}

#[test]
fn a_fused_loop_reads_by_its_views() {
    // relu(x * s + 0.5) with one number of s for every two places.
    let instruction = |function, arguments| Instruction { function, arguments, name: String::new() };
    let instructions = vec![
        instruction(PointwiseFn::Multiply, vec![Argument::Operand(0), Argument::Operand(1)]),
        instruction(PointwiseFn::Add, vec![Argument::Instruction(0), Argument::Constant(0.5)]),
        instruction(PointwiseFn::Relu, vec![Argument::Instruction(1)]),
    ];
    let views = vec![View { inner: 1, len: 4 }, View { inner: 2, len: 2 }];
    let fused = |ty| {
        Op::from(Fused { expression: Expression { views: views.clone(), instructions: instructions.clone() }, ty })
    };
    let x = [1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0];
    let wide = run(&fused(Type::per_example([4])), 2, "[4], [2] batch-wide", &[&x, &[1.0, -1.0]]);
    assert_eq!(wide, [1.5, 2.5, 0.0, 0.0, 0.0, 0.0, 3.5, 4.5]);
    let each = run(&fused(Type::per_example([4])), 2, "[4], [2]", &[&x, &[1.0, -1.0, 2.0, -2.0]]);
    assert_eq!(each, [1.5, 2.5, 0.0, 0.0, 0.0, 0.0, 6.5, 8.5]);
    let batch = run(&fused(Type::batch_wide([4])), 2, "[4] batch-wide, [2] batch-wide", &[&x[..4], &[1.0, 1.0]]);
    assert_eq!(batch, [1.5, 2.5, 3.5, 4.5]);
    assert_eq!(
        fused(Type::per_example([4])).to_string(),
        "fused v0 = multiply(x0, x1), v1 = add(v0, 0.5), v2 = relu(v1), x1 at i / 2 % 2"
    );
}

#[test]
fn a_fused_sum_adds_up_what_its_loop_computes() {
    // (x - m)² summed over the second axis, with one m for each row.
    let instruction = |function, arguments| Instruction { function, arguments, name: String::new() };
    let instructions = vec![
        instruction(PointwiseFn::Subtract, vec![Argument::Operand(0), Argument::Operand(1)]),
        instruction(PointwiseFn::Multiply, vec![Argument::Instruction(0), Argument::Instruction(0)]),
    ];
    let views = vec![View { inner: 1, len: 6 }, View { inner: 3, len: 2 }];
    let terms = Fused { expression: Expression { views, instructions }, ty: Type::per_example([2, 3]) };
    let op = Op::from(FusedSum { terms, sum: Sum { axis: 1, count: 1 } });
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 0.0, 0.0, 0.0, 6.0, 6.0, 7.0];
    let y = run(&op, 2, "[2, 3], [2] batch-wide", &[&x, &[2.0, 6.0]]);
    assert_eq!(y, [2.0, 14.0, 12.0, 1.0]);
    let shown = "fused_sum axis: 1, count: 1 of v0 = subtract(x0, x1), v1 = multiply(v0, v0), x1 at i / 3 % 2";
    assert_eq!(op.to_string(), shown);
}

#[test]
fn a_pool_of_what_its_prologue_computes() {
    // The greatest x·a of each row of two windows, with one a for each of two planes.
    let instruction = |function, arguments| Instruction { function, arguments, name: String::new() };
    let instructions = vec![instruction(PointwiseFn::Multiply, vec![Argument::Operand(0), Argument::Operand(1)])];
    let views = vec![View { inner: 1, len: 8 }, View { inner: 4, len: 2 }];
    let terms = Fused { expression: Expression { views, instructions }, ty: Type::per_example([2, 1, 4]) };
    let (kernel, stride, padding) = ([1, 2], [1, 2], [0, 0]);
    let op = Op::from(MaxPool2d { kernel, stride, padding, prologue: Some(terms.clone()) });
    let x = [1.0, 2.0, 4.0, 3.0, 1.0, 2.0, 4.0, 3.0];
    let a = [1.0, -1.0];
    assert_eq!(run(&op, 1, "[2, 1, 4], [2] batch-wide", &[&x, &a]), [2.0, 4.0, -1.0, -3.0]);
    let shown = "max_pool2d kernel: [1, 2], stride: [1, 2], padding: [0, 0] of v0 = multiply(x0, x1), x1 at i / 4 % 2";
    assert_eq!(op.to_string(), shown);
    let gradient = Op::from(MaxPool2dGradient { kernel, stride, padding, prologue: Some(terms) });
    let d_x = run(&gradient, 1, "[2, 1, 4], [2] batch-wide, [2, 1, 2]", &[&x, &a, &[1.0, 2.0, 3.0, 4.0]]);
    assert_eq!(d_x, [0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0]);
}
