//! Loops over sequences: what they mean against loops written out by hand, and their gradients against differences.

use dl_compiler::eval::{Context, eval, root};
use dl_compiler::graph::Role;
use dl_compiler::pipeline::{self, Network};
use dl_grammar::Source;
use ndarray::{ArrayD, IxDyn};

const BATCH: usize = 3;

fn network(text: &str) -> Network {
    let output = pipeline::run(Source::new("test.dln", text), None);
    let found = dl_grammar::render(&output.sources, &output.diagnostics, false);
    assert!(output.diagnostics.is_empty(), "{found}");
    output.networks.into_iter().next().unwrap_or_else(|| panic!("no network in {text}"))
}

/// Numbers that look random, the same for the same seed.
fn numbers(dims: &[usize], seed: u64) -> ArrayD<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    ArrayD::from_shape_fn(IxDyn(dims), |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 * 1.6 - 0.8
    })
}

struct Data {
    fields: Vec<ArrayD<f64>>,
    parameters: Vec<ArrayD<f64>>,
}

impl Data {
    fn new(network: &Network) -> Data {
        let fields = network.model.fields.iter().enumerate().map(|(place, field)| {
            let dims = [&[BATCH], field.dims.as_slice()].concat();
            let numbers = numbers(&dims, 17 + place as u64);
            match field.element {
                dl_compiler::graph::Element::Index(bound) => numbers.mapv(|x| ((x + 0.8) / 1.6 * bound as f64).floor()),
                _ => numbers,
            }
        });
        let parameters = network.model.parameters.iter().enumerate();
        let parameters = parameters.map(|(place, parameter)| numbers(&parameter.dims, 91 + place as u64));
        Data { fields: fields.collect(), parameters: parameters.collect() }
    }

    fn context<'a>(&'a self, parameters: &'a [ArrayD<f64>]) -> Context<'a> {
        let uniform = &|instance: u32, example: usize, element: usize| {
            (f64::from(instance) * 0.37 + example as f64 * 0.61 + element as f64 * 0.17).fract()
        };
        Context { batch: BATCH, fields: &self.fields, parameters, states: &[], weights: None, uniform }
    }

    fn loss(&self, network: &Network, parameters: &[ArrayD<f64>]) -> f64 {
        let context = self.context(parameters);
        let values = eval(&network.model.training, &context);
        root(&network.model.training, &values, &context, Role::Loss(0)).unwrap().sum()
    }

    fn output(&self, network: &Network) -> ArrayD<f64> {
        let context = self.context(&self.parameters);
        let values = eval(&network.model.inference, &context);
        root(&network.model.inference, &values, &context, Role::Output(0)).unwrap()
    }
}

/// Gradients as made and as optimized agree with central differences of the loss.
fn gradients_agree(text: &str) {
    let network = network(text);
    let data = Data::new(&network);
    let context = data.context(&data.parameters);
    for graph in [&network.gradients[0], &network.graphs.training[0]] {
        let values = eval(graph, &context);
        for place in 0..data.parameters.len() {
            let found = root(graph, &values, &context, Role::Gradient(place))
                .unwrap_or_else(|| panic!("no gradient of {}", network.model.parameters[place].path));
            for at in 0..data.parameters[place].len() {
                let loss_at = |change: f64| {
                    let mut parameters = data.parameters.clone();
                    parameters[place].as_slice_mut().unwrap()[at] += change;
                    data.loss(&network, &parameters)
                };
                let step = 1e-5;
                let expected = (loss_at(step) - loss_at(-step)) / (2.0 * step);
                let found = found.as_slice().unwrap()[at];
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{} {at}: {found} for {expected}\n{graph}",
                    network.model.parameters[place].path
                );
            }
        }
    }
}

const ELMAN: &str = "
layer rnn(x: [time, inputs], units) {
    param w: [inputs, units] = glorot_uniform;
    param u: [units, units] = glorot_uniform;
    param b: [units] = zeros;
    scan x_t in x with h: [units] = 0 {
        h = tanh(x_t @ w + h @ u + b);
        yield h
    }
}
";

#[test]
fn gates_are_computed_by_parts() {
    let fused = |text: &str| {
        let network = network(text);
        gradients_agree(text);
        let graph = &network.graphs.inference;
        let slices = graph.iter().filter(|(_, node)| matches!(node.op, dl_compiler::ops::Op::Slice(_)));
        // Of a product at each step, or of a sum that is computed as a whole.
        slices.filter(|(_, node)| graph.node(node.operands[0]).op.name() == "fused").count()
    };
    assert_eq!(fused("network N { input x: [3, 2]; y = x |> lstm(2) |> gru(2); output o = y; loss mean(y * y); }"), 0);
    let cell = |parts: &str, more: &str| {
        format!(
            "network N {{ input x: [3, 4]; param w: [4, 4] = zeros; y = scan x_t in x with h: [4] = 0 {{
                all = sin(x_t + h @ w) * 2; {parts} h = concat(a * b, b, axis: 0){more}; yield h
            }}; output o = y; loss mean(y * y); }}"
        )
    };
    let parts =
        |a: usize, b: usize| format!("a = slice(all, 0, start: {a}, len: 2); b = slice(all, 0, start: {b}, len: 2);");
    assert_eq!(fused(&cell(&parts(2, 0), "")), 0);
    // A place that is wanted twice, and a whole that is wanted as such, are computed once.
    assert_eq!(fused(&cell(&parts(1, 0), "")), 2);
    assert_eq!(fused(&cell(&parts(2, 0), " + all * 0.5")), 2);
}

#[test]
fn an_elman_network_is_the_loop_written_by_hand() {
    let text = format!("{ELMAN} network A {{ input x: [4, 2]; output y = x |> rnn(3); }}");
    let network = network(&text);
    let data = Data::new(&network);
    let found = data.output(&network);
    let x = &data.fields[0];
    let [w, u, b] = data.parameters.as_slice() else { panic!("three parameters") };
    for example in 0..BATCH {
        let mut h = [0.0; 3];
        for step in 0..4 {
            let mut next = [0.0; 3];
            for unit in 0..3 {
                let input: f64 = (0..2).map(|i| x[[example, step, i]] * w[[i, unit]]).sum();
                let state: f64 = (0..3).map(|i| h[i] * u[[i, unit]]).sum();
                next[unit] = (input + state + b[[unit]]).tanh();
            }
            h = next;
            for unit in 0..3 {
                assert!((found[[example, step, unit]] - h[unit]).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn gradients_flow_through_time() {
    gradients_agree(&format!(
        "{ELMAN} network A {{ input x: [4, 2]; label y: [4, 3]; z = x |> rnn(3); output z2 = z; loss mse(z, y); }}"
    ));
}

#[test]
fn gradients_flow_through_two_layers_and_the_last_state() {
    gradients_agree(
        "network A {
            input x: [4, 2];
            label y: [3];
            param w: [2, 3] = glorot_uniform;
            param u: [3, 3] = glorot_uniform;
            param first: [3] = zeros;
            param scale: [3] = ones;
            a = scan reversed x_t in x with h: [3] = first { h = sigmoid(x_t @ w + h @ u) * scale; yield h };
            b, last = scan a_t, x_t in a, x with s: [3] = 0.5 {
                s = s * 0.9 + a_t * sum(x_t);
                yield s
            };
            output z = last;
            loss mse(last + mean(b), y);
        }",
    );
}

#[test]
fn loops_within_loops() {
    gradients_agree(
        "network A {
            input x: [3, 4, 2];
            label y: [2];
            param w: [2, 2] = glorot_uniform;
            param u: [2, 2] = glorot_uniform;
            param k: [2] = ones;
            rows = scan row in x with s: [2] = 0 {
                cells, inner = scan cell in row with h: [2] = s { h = tanh(cell @ w + h @ u) * k; yield h + s };
                s = inner * 0.5 + s;
                yield s * sum(cells)
            };
            output z = rows;
            loss mse(rows, reshape(y, [1, 2]));
        }",
    );
}

#[test]
fn what_a_loop_makes_of_an_inner_sequence_is_kept_for_its_gradient() {
    gradients_agree(
        "network A {
            input x: [3, 4, 2];
            label y: [3];
            param w: [2, 2] = glorot_uniform;
            rows = scan row in x with s: [] = 0 {
                cells = scan cell in row with h: [2] = 0 { h = tanh(cell @ w + h); yield h };
                waves = sin(cells);
                s = s + sum(waves * waves);
                yield s
            };
            output z = rows;
            loss mse(rows, y);
        }",
    );
}

#[test]
fn a_penalty_joins_the_loss_that_reaches_its_parameter_through_a_carry() {
    gradients_agree(
        "network A {
            input x: [4];
            label y: [4];
            param w: [1] = ones;
            a = scan x_t in x with s: [] = 0 { old = s; s = tanh(s + x_t * sum(w)); yield old };
            penalty sum(w ^ 2);
            output z = a;
            loss mse(a, y);
        }",
    );
    let text = |penalty: &str| {
        format!(
            "network A {{
                input x: [4];
                label y: [4];
                param w: [1] = ones;
                a = scan x_t in x with s: [] = 0 {{ old = s; s = s + x_t * sum(w); yield old }};
                {penalty}
                output z = a;
                loss mse(a, y);
            }}"
        )
    };
    let (without, with) = (network(&text("")), network(&text("penalty sum(w ^ 2);")));
    let data = Data::new(&without);
    let expected: f64 = data.parameters[0].iter().map(|w| w * w).sum();
    let difference = data.loss(&with, &data.parameters) - data.loss(&without, &data.parameters);
    assert!((difference - expected).abs() < 1e-12, "{difference} for {expected}");
}

#[test]
fn carries_swap_and_stay() {
    let network = network(
        "network A {
            input x: [4];
            y, a_end, b_end = scan x_t in x with a: [] = 1, b: [] = 2 {
                old = a;
                a = b;
                b = old + x_t;
                yield a
            };
            output z = concat(y, reshape(a_end, [1]), reshape(b_end, [1]), axis: 0);
        }",
    );
    let data = Data::new(&network);
    let found = data.output(&network);
    for example in 0..BATCH {
        let x = |step: usize| data.fields[0][[example, step]];
        let expected = [2.0, 1.0 + x(0), 2.0 + x(1), 1.0 + x(0) + x(2), 1.0 + x(0) + x(2), 2.0 + x(1) + x(3)];
        for (place, expected) in expected.into_iter().enumerate() {
            assert!((found[[example, place]] - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn a_loop_may_stand_still() {
    let network = network(
        "network A {
            input x: [5];
            input length: [];
            y, end = scan x_t in x with s: [] = 0 until length * 0 + 2 { s = s + x_t; yield s };
            z, back = scan reversed x_t in x with s: [] = 0 until length * 0 + 2 { s = s + x_t; yield s };
            output all = concat(y, z, reshape(end, [1]), reshape(back, [1]), axis: 0);
        }",
    );
    let data = Data::new(&network);
    let found = data.output(&network);
    for example in 0..BATCH {
        let x = |step: usize| data.fields[0][[example, step]];
        let sum = x(0) + x(1);
        let expected = [x(0), sum, 0.0, 0.0, 0.0, sum, x(1), 0.0, 0.0, 0.0, sum, sum];
        for (place, expected) in expected.into_iter().enumerate() {
            assert!((found[[example, place]] - expected).abs() < 1e-12, "{place}: {found}");
        }
    }
}

#[test]
fn a_program_does_not_grow_with_the_steps() {
    let text = |steps: usize| {
        format!(
            "{ELMAN} network A {{ input x: [{steps}, 2]; label y: [{steps}, 3]; z = x |> rnn(3); output o = z; loss mse(z, y); }}"
        )
    };
    let (short, long) = (network(&text(10)), network(&text(1000)));
    assert_eq!(short.programs.training[0].steps().count(), long.programs.training[0].steps().count());
    assert_eq!(short.graphs.training[0].nodes.len(), long.graphs.training[0].nodes.len());
}

#[test]
fn steps_convolve_and_pool() {
    gradients_agree(
        "network A {
            input film: [3, 2, 4, 5];
            label y: [3];
            param w: [4, 1, 3, 2] = glorot_uniform;
            param u: [2, 2, 2, 2] = glorot_uniform;
            frames = scan frame in film with h: [2, 4, 5] = 0 {
                seen = convolution2d(frame + h, w, stride: 2, padding: [1, 1], groups: 2);
                painted = convolution2d_transpose(avg_pool2d(slice(seen, axis: 0, start: 1, len: 2), 2, stride: 1), u, stride: [4, 3]);
                h = tanh(h * 0.5 + sum(painted));
                yield mean(max_pool2d(h, 2))
            };
            output z = frames;
            loss mse(frames, y);
        }",
    );
}

/// However many steps there are, the gradient of a kernel is one sum behind the loop.
#[test]
fn the_gradient_of_a_kernel_leaves_the_loop() {
    let network = network(
        "network A {
            input film: [7, 1, 5, 5];
            label y: [7];
            z = scan frame in film with h: [1, 5, 5] = 0 {
                h = tanh(frame + (h |> conv2d(1, kernel: 3, padding: 1)));
                yield mean(h)
            };
            output o = z;
            loss mse(z, y);
        }",
    );
    let program = &network.programs.training[0];
    let sums: Vec<_> = program
        .steps()
        .filter(|step| matches!(step.kernel, dl_compiler::program::Kernel::Convolution2dWeight(_, 7)))
        .collect();
    assert!(sums.len() == 1 && sums[0].within.is_none(), "{program}");
}

const LOOK_UPS: &str = "
    input words: index(5)[4];
    input letters: index(3)[4, 2];
    label tags: index(3)[4];
    param table: [5, 3] = glorot_uniform;
    param signs: [3, 3] = glorot_uniform;
";

#[test]
fn indices_are_steps_too() {
    let inside = format!(
        "network A {{ {LOOK_UPS}
            z, hits = scan word, spelling, tag in words, letters, tags with h: [3] = 0 {{
                spelled = scan letter in spelling {{ yield gather(signs, letter) * float(letter) }};
                row = gather(table, reshape(word, [1]));
                h = tanh(h + flatten(row) + reshape(sum(spelled, over: 0), [3]) + 0 * sum(one_hot(flatten(word), 5)));
                yield cross_entropy(h, tag), accuracy(h, tag)
            }};
            output o = float(words);
            loss mean(z);
            metric share = mean(hits);
        }}"
    );
    gradients_agree(&inside);
    let outside = format!(
        "network A {{ {LOOK_UPS}
            vectors = gather(table, words) + reshape(sum(gather(signs, letters) * reshape(float(letters), [4, 2, 1]), over: 1), [4, 3]);
            h_of = scan x_t in vectors with h: [3] = 0 {{ h = tanh(h + x_t); yield h }};
            output o = float(words);
            loss mean(cross_entropy(h_of, tags));
            metric share = mean(accuracy(h_of, tags));
        }}"
    );
    let (inside, outside) = (network(&inside), network(&outside));
    let data = Data::new(&inside);
    let context = data.context(&data.parameters);
    for role in [Role::Loss(0), Role::Metric(0)] {
        let [found, expected] = [&inside, &outside].map(|network| {
            let graph = &network.model.training;
            root(graph, &eval(graph, &context), &context, role).unwrap().sum()
        });
        assert!((found - expected).abs() < 1e-12, "{role:?}: {found} for {expected}");
    }
}
