//! Every stage keeps the meaning of a graph: random graphs, with gradients, evaluated before and after.

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

use super::*;
use crate::eval::{Context, eval, root};
use crate::gradient::differentiate;
use crate::graph::{Element, Origin, Role, Type};
use crate::ops::{self, Op};
use crate::program::{Activation, Epilogue, Triangle};

const BATCH: usize = 3;

/// Builds graphs from a row of small numbers: each picks an operation and operands among the values so far.
struct Maker {
    graph: Graph,
    parameters: Vec<Vec<usize>>,
    choices: std::vec::IntoIter<u8>,
}

impl Maker {
    fn choose(&mut self, below: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % below
    }

    fn add(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> NodeId {
        self.graph.add(op.into(), operands, Origin::default()).unwrap()
    }

    fn parameter(&mut self, dims: &[usize]) -> NodeId {
        self.parameters.push(dims.to_vec());
        let parameter = self.parameters.len() - 1;
        self.add(ops::parameter::Parameter { parameter, dims: dims.to_vec() }, &[])
    }

    /// A value of the same dimensions: an earlier one, a number, or one that is copied along axes.
    fn partner(&mut self, of: NodeId) -> NodeId {
        let dims = self.graph.ty(of).dims.clone();
        let same: Vec<NodeId> = self
            .graph
            .iter()
            .filter(|(_, node)| node.ty.dims == dims && node.ty.element == Element::F32)
            .map(|(id, _)| id)
            .collect();
        match self.choose(4) {
            0 => {
                let value = [0.0, 1.0, -0.5, 2.0][self.choose(4)];
                self.add(ops::constant::Splat { value, dims }, &[])
            }
            1 if !dims.is_empty() => {
                let axis = self.choose(dims.len());
                let mut small = dims.clone();
                small[axis] = 1;
                let parameter = self.parameter(&small);
                self.add(ops::expand::Expand { axis, dims: vec![dims[axis]] }, &[parameter])
            }
            _ => same[self.choose(same.len())],
        }
    }

    fn step(&mut self, at: NodeId) -> NodeId {
        let dims = self.graph.ty(at).dims.clone();
        match self.choose(12) {
            0 => self.add(ops::relu::Relu, &[at]),
            1 => self.add(ops::sigmoid::Sigmoid, &[at]),
            2 => self.add(ops::tanh::Tanh, &[at]),
            3 => self.add(ops::negate::Negate, &[at]),
            4 | 5 => {
                let with = self.partner(at);
                self.add(ops::add::Add, &[at, with])
            }
            6 => {
                let with = self.partner(at);
                self.add(ops::multiply::Multiply, &[at, with])
            }
            7 => {
                let with = self.partner(at);
                self.add(ops::subtract::Subtract, &[with, at])
            }
            8 => {
                let with = self.partner(at);
                let other = self.partner(at);
                let greater = self.add(ops::greater::Greater, &[at, with]);
                self.add(ops::select::Select, &[greater, other, at])
            }
            9 if !dims.is_empty() => {
                let outputs = 1 + self.choose(3);
                let weight = self.parameter(&[dims[dims.len() - 1], outputs]);
                let plain = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
                let product = self.add(plain, &[at, weight]);
                let bias = self.parameter(&[outputs]);
                let mut full = self.graph.ty(product).dims.clone();
                let rank = full.len();
                let mut thin = vec![1; rank];
                thin[rank - 1] = outputs;
                let thin = self.add(ops::reshape::Reshape { dims: thin }, &[bias]);
                full.pop();
                let bias = match full.is_empty() {
                    true => thin,
                    false => self.add(ops::expand::Expand { axis: 0, dims: full }, &[thin]),
                };
                self.add(ops::add::Add, &[product, bias])
            }
            10 if !dims.is_empty() => self.add(ops::reshape::Reshape { dims: vec![dims.iter().product()] }, &[at]),
            11 if !dims.is_empty() => {
                let sum = self.add(ops::sum::Sum { axis: 0, count: 1 }, &[at]);
                self.add(ops::expand::Expand { axis: 0, dims: vec![dims[0]] }, &[sum])
            }
            _ => self.add(ops::exp::Exp, &[at]),
        }
    }
}

/// A random network with a loss and its gradients, and the dimensions of its parameters.
fn network(choices: Vec<u8>) -> (Graph, Vec<Vec<usize>>) {
    let mut maker = Maker { graph: Graph::default(), parameters: Vec::new(), choices: choices.into_iter() };
    let ty = Type::per_example(vec![2, 3]);
    let mut at = maker.add(ops::input::Input { field: 0, ty }, &[]);
    let weight = maker.parameter(&[2, 3]);
    at = maker.add(ops::multiply::Multiply, &[at, weight]);
    for _ in 0..10 {
        at = maker.step(at);
    }
    let bounded = maker.add(ops::tanh::Tanh, &[at]);
    let rank = maker.graph.ty(bounded).dims.len();
    let sum = match rank {
        0 => bounded,
        rank => maker.add(ops::sum::Sum { axis: 0, count: rank }, &[bounded]),
    };
    let loss = maker.add(ops::reshape::Reshape { dims: Vec::new() }, &[sum]);
    maker.graph.roots = vec![(Role::Output(0), at), (Role::Loss(0), loss)];
    let Maker { mut graph, parameters, .. } = maker;
    differentiate(&mut graph, 0, &(0..parameters.len()).collect::<Vec<_>>()).unwrap();
    (graph, parameters)
}

/// Numbers that differ and are easy to make.
fn numbers(dims: &[usize], seed: usize) -> ArrayD<f64> {
    let len = dims.iter().product();
    let values = (0..len).map(|i: usize| ((i * 37 + seed * 101 + 13) % 97) as f64 / 48.5 - 1.0).collect();
    ArrayD::from_shape_vec(IxDyn(dims), values).unwrap()
}

fn roots(graph: &Graph, parameters: &[Vec<usize>]) -> Vec<(Role, ArrayD<f64>)> {
    let field = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Input(input) => Some([&[BATCH], input.ty.dims.as_slice()].concat()),
        _ => None,
    });
    let fields = [numbers(&field.unwrap(), 0)];
    let parameters: Vec<_> = parameters.iter().enumerate().map(|(seed, dims)| numbers(dims, seed + 1)).collect();
    let context = Context {
        batch: BATCH,
        fields: &fields,
        parameters: &parameters,
        states: &[],
        weights: None,
        uniform: &|_, _, _| 0.5,
    };
    let values = eval(graph, &context);
    graph.roots.iter().map(|&(role, _)| (role, root(graph, &values, &context, role).unwrap())).collect()
}

fn assert_same(before: &Graph, after: &Graph, parameters: &[Vec<usize>], stage: &str) {
    assert_eq!(after.verify(), Ok(()), "after {stage}:\n{after}");
    for ((role, x), (_, y)) in roots(before, parameters).into_iter().zip(roots(after, parameters)) {
        assert_eq!(x.shape(), y.shape(), "{stage}, {role:?}");
        for (x, y) in x.iter().zip(&y) {
            let close =
                (x - y).abs() <= 1e-9 * (1.0 + x.abs()) || x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
            assert!(close, "{stage}, {role:?}: {x} became {y}\nbefore\n{before}\nafter\n{after}");
        }
    }
}

proptest! {
    #[test]
    fn stages_keep_the_meaning(choices in proptest::collection::vec(any::<u8>(), 60)) {
        let (graph, parameters) = network(choices);
        prop_assert_eq!(graph.verify(), Ok(()));
        let mut now = graph.clone();
        for (name, stage) in STAGES {
            let next = stage(&now);
            assert_same(&now, &next, &parameters, name);
            now = next;
        }
        assert_same(&graph, &now, &parameters, "all stages");
        let left = now.nodes.iter().filter(|node| matches!(node.op, Op::Relu(_) | Op::Add(_) | Op::Multiply(_))).count();
        prop_assert_eq!(left, 0, "a pointwise operation was left outside a loop:\n{}", now);
    }
}

#[test]
fn a_dense_layer_with_relu_is_one_node() {
    let mut graph = Graph::default();
    let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
    let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![4]) }.into(), &[]);
    let weight = add(ops::parameter::Parameter { parameter: 0, dims: vec![4, 5] }.into(), &[]);
    let bias = add(ops::parameter::Parameter { parameter: 1, dims: vec![5] }.into(), &[]);
    let plain = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
    let product = add(plain.into(), &[x, weight]);
    let sum = add(ops::add::Add.into(), &[product, bias]);
    let relu = add(ops::relu::Relu.into(), &[sum]);
    graph.roots = vec![(Role::Output(0), relu)];
    let graph = optimize(&graph);
    let last = graph.nodes.last().unwrap();
    let epilogue = Epilogue { bias: true, activation: Activation::Relu, ..Epilogue::default() };
    assert_eq!(last.op, ops::matmul::MatMul { transposed: false, epilogue }.into(), "{graph}");
    assert_eq!(graph.nodes.len(), 4, "{graph}");
}

/// The gradient of relu is the mask of the product before it, what a residual connection adds is the residual.
#[test]
fn masks_and_residuals_are_epilogues() {
    let text = "network N { input x: [4]; label t: [4]; \
                output y = x + (x |> dense(5) |> relu |> dense(4)); loss mse(y, t); }";
    let found = crate::pipeline::run(dl_grammar::Source::new("n.dln", text), None);
    assert_eq!(found.diagnostics, []);
    let graph = &found.networks[0].graphs.training[0];
    let epilogues: Vec<String> = graph
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Op::MatMul(_) => Some(node.op.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(epilogues, ["matmul +bias relu", "matmul +bias +residual", "matmul transposed masked"], "{graph}");
}

/// The gradient of relu before a pool is the mask of what the pool's gradient is made of.
#[test]
fn masks_stand_before_the_gradients_of_pools() {
    let text = "network N { input x: [1, 8, 8]; label t: index(3); \
                output y = x |> conv2d(2, kernel: 3) |> relu |> max_pool2d(2) |> conv2d(2, kernel: 2) |> relu \
                |> max_pool2d(2) |> flatten |> dense(3); loss cross_entropy(y, t); }";
    let found = crate::pipeline::run(dl_grammar::Source::new("n.dln", text), None);
    assert_eq!(found.diagnostics, []);
    let graph = &found.networks[0].graphs.training[0];
    let masked = graph.nodes.iter().filter(|node| node.op.to_string().ends_with("masked")).map(|node| node.op.name());
    assert_eq!(masked.collect::<Vec<_>>(), ["matmul", "convolution2d_input"], "{graph}");
    assert!(graph.nodes.iter().all(|node| !matches!(node.op, Op::Fused(_))), "{graph}");
}

#[test]
fn a_value_that_somebody_else_needs_is_not_absorbed() {
    let mut graph = Graph::default();
    let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
    let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![4]) }.into(), &[]);
    let weight = add(ops::parameter::Parameter { parameter: 0, dims: vec![4, 5] }.into(), &[]);
    let plain = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
    let product = add(plain.into(), &[x, weight]);
    let relu = add(ops::relu::Relu.into(), &[product]);
    graph.roots = vec![(Role::Output(0), relu), (Role::Output(1), product)];
    let graph = optimize(&graph);
    assert!(graph.nodes.iter().any(|node| matches!(&node.op, Op::Fused(_))), "{graph}");
    assert_eq!(graph.nodes.len(), 4, "{graph}");
}

/// `x @ transpose(w)`, and what differentiation makes of it, read and write `w` where it is.
#[test]
fn products_take_transposes_in() {
    let names = |per_example: bool| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![2, 3]) }.into(), &[]);
        let weight = add(ops::parameter::Parameter { parameter: 0, dims: vec![2, 3] }.into(), &[]);
        let right = if per_example { add(ops::multiply::Multiply.into(), &[x, weight]) } else { weight };
        let turned = add(ops::transpose::Transpose { axes: vec![1, 0] }.into(), &[right]);
        let plain = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
        let each = ops::batched_matmul::BatchedMatMul::new(false, false);
        let product = add(if per_example { each.into() } else { plain.into() }, &[x, turned]);
        let twice = add(ops::transpose::Transpose { axes: vec![1, 0] }.into(), &[product]);
        let back = add(ops::transpose::Transpose { axes: vec![1, 0] }.into(), &[twice]);
        let sine = add(ops::sin::Sin.into(), &[back]);
        let sum = add(ops::sum::Sum { axis: 0, count: 2 }.into(), &[sine]);
        let loss = add(ops::reshape::Reshape { dims: Vec::new() }.into(), &[sum]);
        graph.roots = vec![(Role::Output(0), product), (Role::Loss(0), loss)];
        differentiate(&mut graph, 0, &[0]).unwrap();
        assert_same(&graph, &optimize(&graph), &[vec![2, 3]], "all stages");
        let optimized = optimize(&graph);
        optimized.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>()
    };
    for per_example in [false, true] {
        let names = names(per_example);
        assert!(!names.contains(&"transpose"), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.contains("matmul")).count(), 2, "{names:?}");
    }
}

/// `a = slice(x, 0..2), b = slice(x, 2..3)` of a parameter: their gradients are one `concat`.
#[test]
fn the_gradient_of_a_split_is_a_concatenation() {
    let split = |second: usize| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let field = add(ops::input::Input { field: 0, ty: Type::per_example(vec![3]) }.into(), &[]);
        let weight = add(ops::parameter::Parameter { parameter: 0, dims: vec![3] }.into(), &[]);
        let x = add(ops::multiply::Multiply.into(), &[field, weight]);
        let a = add(ops::slice::Slice { axis: 0, start: 0, len: 2 }.into(), &[x]);
        let b = add(ops::slice::Slice { axis: 0, start: second, len: 1 }.into(), &[x]);
        let sine = add(ops::sin::Sin.into(), &[a]);
        let cosine = add(ops::cos::Cos.into(), &[b]);
        let sine = add(ops::sum::Sum { axis: 0, count: 1 }.into(), &[sine]);
        let both = add(ops::multiply::Multiply.into(), &[sine, cosine]);
        let loss = add(ops::reshape::Reshape { dims: Vec::new() }.into(), &[both]);
        graph.roots = vec![(Role::Loss(0), loss)];
        differentiate(&mut graph, 0, &[0]).unwrap();
        let optimized = optimize(&graph);
        let meaning = |graph: &Graph| {
            let context = Context {
                batch: BATCH,
                fields: &[numbers(&[BATCH, 3], 0)],
                parameters: &[numbers(&[3], 1)],
                states: &[],
                weights: None,
                uniform: &|_, _, _| 0.5,
            };
            let values = eval(graph, &context);
            root(graph, &values, &context, Role::Gradient(0)).unwrap()
        };
        let (before, after) = (meaning(&graph), meaning(&optimized));
        assert!(before.iter().zip(&after).all(|(before, after)| (before - after).abs() < 1e-12), "{optimized}");
        let count = |wanted: &str| optimized.nodes.iter().filter(|node| node.op.name() == wanted).count();
        (count("pad"), count("concat"))
    };
    assert_eq!(split(2), (0, 1));
    // Parts that overlap stay a sum.
    assert_eq!(split(1), (2, 0));
}

/// `concat(concat(a, b), c)` is one step, and so is a slice of a slice, along one axis only.
#[test]
fn parts_of_parts_are_parts() {
    let parts = |axis: usize| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![2, 3]) }.into(), &[]);
        let sine = add(ops::sin::Sin.into(), &[x]);
        let inner = add(ops::concat::Concat { axis: 0, count: 2 }.into(), &[x, sine]);
        let below = add(ops::slice::Slice { axis: 0, start: 1, len: 2 }.into(), &[inner]);
        let joined = add(ops::concat::Concat { axis, count: 2 }.into(), &[inner, inner]);
        let part = add(ops::slice::Slice { axis, start: 1, len: 1 }.into(), &[below]);
        graph.roots = vec![(Role::Output(0), joined), (Role::Output(1), part)];
        let optimized = optimize(&graph);
        let meaning = |graph: &Graph, role: Role| {
            let context = Context {
                batch: BATCH,
                fields: &[numbers(&[BATCH, 2, 3], 0)],
                parameters: &[],
                states: &[],
                weights: None,
                uniform: &|_, _, _| 0.5,
            };
            root(graph, &eval(graph, &context), &context, role).unwrap()
        };
        for role in [Role::Output(0), Role::Output(1)] {
            assert_eq!(meaning(&graph, role), meaning(&optimized, role), "{optimized}");
        }
        let operands = |place: usize| optimized.node(optimized.roots[place].1).operands.clone();
        let slices = optimized.nodes.iter().filter(|node| node.op.name() == "slice").count();
        (operands(0).len(), slices)
    };
    assert_eq!(parts(0), (4, 1));
    assert_eq!(parts(1), (2, 2));
}

/// Products of causal attention leave out what lies above the diagonal, forward and backward.
#[test]
fn attention_that_looks_back_multiplies_triangles() {
    let triangles = |shows_scores: bool| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![2, 5, 3]) }.into(), &[]);
        let weight = |parameter| ops::parameter::Parameter { parameter, dims: vec![2, 5, 3] }.into();
        let [query, key, value] = [0, 1, 2].map(|parameter| {
            let weight = add(weight(parameter), &[]);
            add(ops::multiply::Multiply.into(), &[x, weight])
        });
        let each = || -> Op { ops::batched_matmul::BatchedMatMul::new(false, false).into() };
        let key = add(ops::transpose::Transpose { axes: vec![0, 2, 1] }.into(), &[key]);
        let scores = add(each(), &[query, key]);
        let scale = add(ops::constant::Splat { value: 0.5, dims: vec![2, 5, 5] }.into(), &[]);
        let scaled = add(ops::multiply::Multiply.into(), &[scores, scale]);
        let weights = add(ops::causal_softmax::CausalSoftmax.into(), &[scaled]);
        let y = add(each(), &[weights, value]);
        let bounded = add(ops::tanh::Tanh.into(), &[y]);
        let sum = add(ops::sum::Sum { axis: 0, count: 3 }.into(), &[bounded]);
        let loss = add(ops::reshape::Reshape { dims: Vec::new() }.into(), &[sum]);
        graph.roots = vec![(Role::Loss(0), loss), (Role::Output(0), y)];
        if shows_scores {
            graph.roots.push((Role::Output(1), scaled));
        }
        differentiate(&mut graph, 0, &[0, 1, 2]).unwrap();
        let optimized = optimize(&graph);
        assert_same(&graph, &optimized, &vec![vec![2, 5, 3]; 3], "triangle");
        let products = optimized.nodes.iter().filter_map(|node| match &node.op {
            Op::BatchedMatMul(product) => Some((product.transposed_a, product.transposed_b, product.triangle)),
            _ => None,
        });
        products.collect::<Vec<_>>()
    };
    let (left, below) = (Triangle::Left, Triangle::Result);
    // Scores, results; gradients of weights, values, queries and keys.
    let backward = [(false, true, below), (true, false, left), (false, false, left), (true, false, left)];
    for (shows_scores, scores) in [(false, below), (true, Triangle::None)] {
        let found = triangles(shows_scores);
        assert_eq!(found[..2], [(false, true, scores), (false, false, left)]);
        assert!(backward.iter().all(|product| found[2..].contains(product)), "{found:?}");
        assert_eq!(found.len(), 6);
    }
}

/// The mask of a relu and the choice by it are one loop, truth values within it.
#[test]
fn truth_values_are_no_loop_of_their_own() {
    let mut graph = Graph::default();
    let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
    let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![4]) }.into(), &[]);
    let d = add(ops::input::Input { field: 1, ty: Type::per_example(vec![4]) }.into(), &[]);
    let zero = add(ops::constant::Splat { value: 0.0, dims: vec![4] }.into(), &[]);
    let mask = add(ops::greater::Greater.into(), &[x, zero]);
    let chosen = add(ops::select::Select.into(), &[mask, d, zero]);
    graph.roots = vec![(Role::Output(0), chosen)];
    let graph = optimize(&graph);
    let fused = graph.nodes.iter().filter(|node| matches!(&node.op, Op::Fused(_))).count();
    assert_eq!(fused, 1, "{graph}");
}

/// `(x @ w - mean) * scale + shift` is one product of scaled weights, unless gradients are wanted.
#[test]
fn weights_take_the_factors_of_their_products() {
    for (convolution, training) in [(false, false), (true, false), (false, true)] {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let (x_dims, weight_dims) = if convolution { (vec![2, 3, 3], vec![5, 2, 2, 2]) } else { (vec![4], vec![4, 5]) };
        let x = add(ops::input::Input { field: 0, ty: Type::per_example(x_dims.clone()) }.into(), &[]);
        let weight = add(ops::parameter::Parameter { parameter: 0, dims: weight_dims.clone() }.into(), &[]);
        let plain = ops::matmul::MatMul { transposed: false, epilogue: Epilogue::default() };
        let window = ops::convolution2d::Convolution2d {
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            last: false,
            epilogue: Epilogue::default(),
        };
        let mut y = add(if convolution { window.into() } else { plain.into() }, &[x, weight]);
        let operators: [Op; 3] = [ops::subtract::Subtract.into(), ops::multiply::Multiply.into(), ops::add::Add.into()];
        for (parameter, operator) in operators.into_iter().enumerate() {
            let parameter = ops::parameter::Parameter { parameter: parameter + 1, dims: vec![5] };
            let mut list = add(parameter.into(), &[]);
            if convolution {
                list = add(ops::reshape::Reshape { dims: vec![5, 1, 1] }.into(), &[list]);
                list = add(ops::expand::Expand { axis: 1, dims: vec![2, 2] }.into(), &[list]);
            }
            y = add(operator, &[y, list]);
        }
        graph.roots = vec![(Role::Output(0), y)];
        if training {
            graph.roots.push((Role::Gradient(0), weight));
        }
        let optimized = optimize(&graph);
        let meaning = |graph: &Graph| {
            let mut fields = vec![BATCH];
            fields.extend(&x_dims);
            let context = Context {
                batch: BATCH,
                fields: &[numbers(&fields, 0)],
                parameters: &[numbers(&weight_dims, 1), numbers(&[5], 2), numbers(&[5], 3), numbers(&[5], 4)],
                states: &[],
                weights: None,
                uniform: &|_, _, _| 0.5,
            };
            root(graph, &eval(graph, &context), &context, Role::Output(0)).unwrap()
        };
        let (before, after) = (meaning(&graph), meaning(&optimized));
        assert!(before.iter().zip(&after).all(|(before, after)| (before - after).abs() < 1e-12), "{optimized}");
        let loops =
            optimized.nodes.iter().filter(|node| node.ty.per_example && matches!(node.op, Op::Fused(_))).count();
        assert_eq!(loops, usize::from(training), "{optimized}");
    }
}

/// A separable convolution of channels last behind another, with what else reads its values: planes of single pixels, a sum, a list that is
/// added to each pixel, a picture, and a choice.
#[test]
fn channels_come_last_between_separable_convolutions() {
    for training in [false, true] {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let x = add(ops::input::Input { field: 0, ty: Type::per_example([2, 6, 5]) }.into(), &[]);
        let parameters: [&[usize]; 6] = [&[16, 1, 3, 3], &[16], &[3, 16, 1, 1], &[3, 5, 4], &[1], &[16, 2, 2, 2]];
        let parameter = |(parameter, dims): (usize, &&[usize])| {
            add(ops::parameter::Parameter { parameter, dims: dims.to_vec() }.into(), &[])
        };
        let [taps, list, matrix, picture, one, first] =
            *parameters.iter().enumerate().map(parameter).collect::<Vec<_>>()
        else {
            panic!()
        };
        let plain = ops::convolution2d::Convolution2d::default();
        let depthwise = ops::convolution2d::Convolution2d { padding: [1; 2], groups: 16, ..plain.clone() };
        let x = add(plain.clone().into(), &[x, first]);
        let x = add(ops::relu::Relu.into(), &[x]);
        let deep = add(depthwise.into(), &[x, taps]);
        let list = add(ops::reshape::Reshape { dims: vec![16, 1, 1] }.into(), &[list]);
        let list = add(ops::expand::Expand { axis: 1, dims: vec![5, 4] }.into(), &[list]);
        let shifted = add(ops::add::Add.into(), &[list, deep]);
        let deep = add(ops::tanh::Tanh.into(), &[shifted]);
        let single = add(plain.into(), &[deep, matrix]);
        let one = add(ops::reshape::Reshape { dims: vec![1, 1, 1] }.into(), &[one]);
        let one = add(ops::expand::Expand { axis: 0, dims: vec![3, 5, 4] }.into(), &[one]);
        let zero = add(ops::constant::Splat { value: 0.0, dims: vec![3, 5, 4] }.into(), &[]);
        let single = add(ops::multiply::Multiply.into(), &[single, one]);
        let single = add(ops::subtract::Subtract.into(), &[picture, single]);
        let is_positive = add(ops::greater::Greater.into(), &[single, zero]);
        let chosen = add(ops::select::Select.into(), &[is_positive, single, zero]);
        let sum = add(ops::sum::Sum { axis: 1, count: 2 }.into(), &[single]);
        let part = add(ops::sum::Sum { axis: 2, count: 1 }.into(), &[single]);
        graph.roots =
            [single, chosen, sum, part].into_iter().enumerate().map(|(i, id)| (Role::Output(i), id)).collect();
        if training {
            graph.roots.push((Role::Gradient(0), taps));
        }
        let optimized = optimize(&graph);
        let meaning = |graph: &Graph| {
            let parameters: Vec<_> = (1..).zip(parameters).map(|(seed, dims)| numbers(dims, seed)).collect();
            let context = Context {
                batch: BATCH,
                fields: &[numbers(&[BATCH, 2, 6, 5], 0)],
                parameters: &parameters,
                states: &[],
                weights: None,
                uniform: &|_, _, _| 0.5,
            };
            let values = eval(graph, &context);
            (0..4).flat_map(|i| root(graph, &values, &context, Role::Output(i)).unwrap()).collect::<Vec<f64>>()
        };
        let (before, after) = (meaning(&graph), meaning(&optimized));
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(&after).all(|(before, after)| (before - after).abs() < 1e-12), "{optimized}");
        let count = |kind: fn(&Op) -> bool| optimized.nodes.iter().filter(|node| kind(&node.op)).count();
        let found = [
            count(|op| matches!(op, Op::Convolution2d(of) if !of.last)),
            count(|op| matches!(op, Op::Convolution2d(of) if of.last)),
            count(|op| matches!(op, Op::Depthwise2d(_))),
            count(|op| matches!(op, Op::MatMul(_))),
        ];
        assert_eq!(found, if training { [3, 0, 0, 0] } else { [0, 1, 1, 1] }, "{optimized}");
    }
}

/// A convolution of sequences is one of images under other dimensions, which hide it from nothing: it takes batch normalization,
/// activation and pool as any.
#[test]
fn dimensions_of_sequences_hide_no_convolution() {
    let text =
        "network N { input x: [3, 9]; output y = x |> conv1d(4, kernel: 2) |> batch_norm |> relu |> max_pool1d(2); }";
    let found = crate::pipeline::run(dl_grammar::Source::new("n.dln", text), None);
    assert_eq!(found.diagnostics, []);
    let graph = &found.networks[0].graphs.inference;
    let each: Vec<&Op> = graph
        .nodes
        .iter()
        .filter(|node| node.ty.per_example && !matches!(node.op, Op::Input(_) | Op::Reshape(_)))
        .map(|node| &node.op)
        .collect();
    let [Op::Convolution2d(convolution)] = each.as_slice() else { panic!("{graph}") };
    let epilogue = Epilogue { bias: true, activation: Activation::Relu, pool: Some([1, 2]), ..Epilogue::default() };
    assert_eq!(convolution.epilogue, epilogue);
}

/// What a pool reads is part of it if it is cheap and pools alone read it, forward and backward.
#[test]
fn pools_compute_what_they_read() {
    let prologues = |layers: &str| {
        let text = format!(
            "network N {{ input x: [2, 6, 6]; label t: [2, 3, 3];
             output y = x |> conv2d(2, kernel: 3, padding: 1, bias: false) |> {layers}; loss mse(y, t); }}"
        );
        let found = crate::pipeline::run(dl_grammar::Source::new("n.dln", &text), None);
        assert_eq!(found.diagnostics, []);
        let graph = &found.networks[0].graphs.training[0];
        let prologues = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::MaxPool2d(pool) => Some(pool.prologue.is_some()),
            Op::MaxPool2dGradient(pool) => Some(pool.prologue.is_some()),
            _ => None,
        });
        prologues.collect::<Vec<bool>>()
    };
    assert_eq!(prologues("batch_norm |> relu |> max_pool2d(2)"), [true, true]);
    // The gradient of what is computed at some cost would compute it again.
    assert_eq!(prologues("batch_norm |> gelu |> max_pool2d(2)"), [false, false]);
    // Windows that overlap would compute places again.
    assert_eq!(prologues("batch_norm |> relu |> max_pool2d(3, stride: 2, padding: 1)"), [false, false]);
}

/// What of a network the text says is summed by its training step: by how many sums over places, and how many over the batch.
fn sums(layer: &str) -> (usize, usize) {
    let text =
        format!("network N {{ input x: [3, 4, 5]; label t: [3, 4, 5]; output y = x |> {layer}; loss mse(y, t); }}");
    let found = crate::pipeline::run(dl_grammar::Source::new("n.dln", &text), None);
    assert_eq!(found.diagnostics, []);
    let graph = &found.networks[0].graphs.training[0];
    let count = |kind: fn(&Op) -> bool| graph.nodes.iter().filter(|node| kind(&node.op)).count();
    let places = count(|op| matches!(op, Op::Sum(_) | Op::FusedSum(_) | Op::Deviations(_)));
    (places, count(|op| matches!(op, Op::SumBatch(_))))
}

/// The gradient of a normalization takes two sums besides the two of mean and variance and the one of the loss: of the
/// gradient, and of it times the deviations. The sum of the deviations is zero, whatever it is multiplied by.
#[test]
fn gradients_of_normalizations_take_two_sums() {
    assert_eq!(sums("batch_norm"), (5, 4));
    let (places, _) = sums("layer_norm");
    // Its gamma and beta are one for each of the places normalized, so their gradients are sums of their own.
    assert_eq!(places, 5);
}

/// Squared distances from what the batch has once are deviations of each example and the distance of its mean; from what each
/// example has they stay what they are.
#[test]
fn variances_of_a_batch_take_the_deviations_of_examples() {
    let deviations = |of_batch: bool, summed: usize, is_reversed: bool| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let x = add(ops::input::Input { field: 0, ty: Type::per_example(vec![2, summed]) }.into(), &[]);
        let over = ops::sum::Sum { axis: 1, count: 1 };
        let sum = add(over.clone().into(), &[x]);
        let mut center = sum;
        if of_batch {
            center = add(ops::parameter::Parameter { parameter: 0, dims: vec![2, 1] }.into(), &[]);
        }
        let center = add(ops::expand::Expand { axis: 1, dims: vec![summed] }.into(), &[center]);
        let pair = if is_reversed { [center, x] } else { [x, center] };
        let distance = add(ops::subtract::Subtract.into(), &pair);
        let square = add(ops::multiply::Multiply.into(), &[distance, distance]);
        let spread = add(over.into(), &[square]);
        graph.roots = vec![(Role::Output(0), sum), (Role::Output(1), spread)];
        let optimized = optimize(&graph);
        for role in [Role::Output(0), Role::Output(1)] {
            let meaning = |graph: &Graph| {
                let context = Context {
                    batch: BATCH,
                    fields: &[numbers(&[BATCH, 2, summed], 0)],
                    parameters: &[numbers(&[2, 1], 1)],
                    states: &[],
                    weights: None,
                    uniform: &|_, _, _| 0.5,
                };
                root(graph, &eval(graph, &context), &context, role).unwrap()
            };
            let (before, after) = (meaning(&graph), meaning(&optimized));
            assert!(before.iter().zip(&after).all(|(before, after)| (before - after).abs() < 1e-12), "{optimized}");
        }
        optimized.nodes.iter().any(|node| matches!(node.op, Op::Deviations(_)))
    };
    assert!(deviations(true, 5, false) && deviations(true, 5, true));
    assert!(!deviations(false, 5, false) && !deviations(true, 1, false));
}

/// Factors that single precision holds apart but not together stay apart.
#[test]
fn factors_out_of_range_do_not_meet() {
    let factors = |first: f64, second: f64| {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let mut y = add(ops::input::Input { field: 0, ty: Type::per_example(vec![4]) }.into(), &[]);
        for value in [first, second] {
            let factor = add(ops::constant::Splat { value, dims: vec![4] }.into(), &[]);
            y = add(ops::multiply::Multiply.into(), &[y, factor]);
        }
        graph.roots = vec![(Role::Output(0), y)];
        let graph = optimize(&graph);
        let Some(Op::Fused(fused)) = graph.nodes.last().map(|node| &node.op) else { panic!("{graph}") };
        fused.expression.instructions.len()
    };
    assert_eq!(factors(0.5, 3.0), 1);
    assert_eq!(factors(1e30, 1e30), 2);
    assert_eq!(factors(1e-30, 1e-30), 2);
}
