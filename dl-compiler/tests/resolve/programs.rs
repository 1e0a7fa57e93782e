//! What resolve makes of sound programs: graphs, parameter paths, tables, train sections; and what the library computes.

use crate::support::{model, models};
use dl_compiler::eval::{self, Context};
use dl_compiler::graph::{Element, Role};
use dl_compiler::model::{Initializer, Model, Number};
use dl_compiler::outline::{Part, outline};
use ndarray::{ArrayD, IxDyn};

const LENET: &str = "
const CLASSES = 10;
/// LeNet-5 (LeCun et al., 1998).
pub network LeNet {
    /// Grey levels.
    input image: [1, 28, 28];
    label digit: index(CLASSES);
    features = image
        |> conv2d(6, kernel: 5, padding: 2) |> relu |> max_pool2d(2)
        |> conv2d(16, kernel: 5) |> relu |> max_pool2d(2)
        |> flatten;
    logits = features |> dense(120) |> relu |> dense(84) |> relu |> dense(CLASSES);
    output probabilities = softmax(logits);
    loss cross_entropy(logits, digit);
    metric accuracy(logits, digit);
    train { optimizer: sgd(learning_rate: 0.05, momentum: 0.9), batch: 64, epochs: 10, stop: early(patience: 3) }
}";

fn paths(model: &Model) -> Vec<&str> {
    model.parameters.iter().map(|parameter| parameter.path.as_str()).collect()
}

/// The value of a root for one example, from fields and parameters given as flat numbers.
fn run(model: &Model, role: Role, training: bool, fields: &[&[f64]], parameters: &[&[f64]]) -> Vec<f64> {
    let array = |dims: &[usize], numbers: &[f64]| ArrayD::from_shape_vec(IxDyn(dims), numbers.to_vec()).unwrap();
    let fields: Vec<_> = model
        .fields
        .iter()
        .zip(fields)
        .map(|(field, numbers)| array(&[&[1], field.dims.as_slice()].concat(), numbers))
        .collect();
    let parameters: Vec<_> =
        model.parameters.iter().zip(parameters).map(|(parameter, numbers)| array(&parameter.dims, numbers)).collect();
    let uniform = |_: u32, _: usize, element: usize| [0.1, 0.9][element % 2];
    let context =
        Context { batch: 1, fields: &fields, parameters: &parameters, states: &[], weights: None, uniform: &uniform };
    let graph = if training { &model.training } else { &model.inference };
    let values = eval::eval(graph, &context);
    eval::root(graph, &values, &context, role).unwrap().iter().copied().collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{found:?} {expected:?}");
    }
}

#[test]
fn lenet_has_the_paths_and_shapes_of_the_paper() {
    let model = model(LENET);
    let expected: [(&str, &[usize]); 10] = [
        ("features.conv2d_1.weight", &[6, 1, 5, 5]),
        ("features.conv2d_1.bias", &[6]),
        ("features.conv2d_2.weight", &[16, 6, 5, 5]),
        ("features.conv2d_2.bias", &[16]),
        ("logits.dense_1.weight", &[400, 120]),
        ("logits.dense_1.bias", &[120]),
        ("logits.dense_2.weight", &[120, 84]),
        ("logits.dense_2.bias", &[84]),
        ("logits.dense_3.weight", &[84, 10]),
        ("logits.dense_3.bias", &[10]),
    ];
    let found: Vec<(&str, &[usize])> =
        model.parameters.iter().map(|parameter| (parameter.path.as_str(), parameter.dims.as_slice())).collect();
    assert_eq!(found, expected);
    let count: usize = model.parameters.iter().map(|parameter| parameter.dims.iter().product::<usize>()).sum();
    assert_eq!(count, 61_706);
    assert_eq!(model.parameters[0].initializer, Initializer::GlorotUniform);
    assert_eq!(model.parameters[1].initializer, Initializer::Constant(0.0));

    assert!(model.public && model.has_loss());
    assert_eq!(model.docs, ["LeNet-5 (LeCun et al., 1998)."]);
    assert_eq!((model.fields[0].label, model.fields[1].label), (false, true));
    assert_eq!(model.fields[0].docs, ["Grey levels."]);
    assert_eq!((model.fields[1].element, model.fields[1].dims.as_slice()), (Element::Index(10), [].as_slice()));
    assert_eq!((model.outputs[0].name.as_str(), model.outputs[0].dims.as_slice()), ("probabilities", [10].as_slice()));
    assert_eq!(model.metrics[0].name, "accuracy");
    assert_eq!(model.training, model.inference);
    let rows: Vec<_> =
        model.bindings.iter().map(|row| (row.name.as_str(), row.dims.clone(), row.parameters.len())).collect();
    let expected =
        [("features", vec![400], 4), ("logits", vec![10], 6), ("probabilities", vec![10], 0), ("loss", vec![], 0)];
    assert_eq!(rows, expected);
    assert!(model.bindings.windows(2).all(|rows| rows[0].nodes.1 == rows[1].nodes.0));
}

#[test]
fn the_train_section_fills_in_defaults() {
    let train = model(LENET).train;
    let [rate, momentum, decay] = [0.05, 0.9, 0.0].map(Number::Float);
    assert_eq!(train.optimizer.form.name, "sgd");
    assert_eq!(train.optimizer.numbers, [rate, momentum, Number::Truth(false), decay]);
    assert_eq!((train.batch, train.epochs, train.patience), (64, 10, Some(3)));
    let train = model("network N { input x: [2]; output y = relu(x); }").train;
    assert_eq!(train.optimizer.form.name, "adam");
    assert_eq!(train.optimizer.numbers, [0.001, 0.9, 0.999, 1e-8, 0.0].map(Number::Float));
    assert_eq!((train.batch, train.epochs, train.patience), (32, 10, None));
}

#[test]
fn graphs_read_as_the_source_does() {
    let model = model(
        "network Small {
            input x: [2, 3];
            label t: [2, 4];
            hidden = x |> dense(4) |> tanh;
            output y = hidden * 2 - 1;
            loss mse(y, t);
        }",
    );
    let expected = "\
%0 x = input 0 : [2, 3]
%1 t = input 1 : [2, 4]
%2 hidden_weight = parameter 0 : [3, 4] batch-wide
%3 hidden_bias = parameter 1 : [4] batch-wide
%4 = matmul (%0, %2) : [2, 4]
%5 = reshape [1, 4] (%3) : [1, 4] batch-wide
%6 = expand axis: 0, dims: [2] (%5) : [2, 4] batch-wide
%7 hidden_dense = add (%4, %6) : [2, 4]
%8 hidden = tanh (%7) : [2, 4]
%9 = constant 2.0 : [2, 4] batch-wide
%10 = multiply (%8, %9) : [2, 4]
%11 = constant 1.0 : [2, 4] batch-wide
%12 y = subtract (%10, %11) : [2, 4]
%13 = subtract (%12, %1) : [2, 4]
%14 = multiply (%13, %13) : [2, 4]
%15 = sum axis: 0, count: 2 (%14) : [1, 1]
%16 = reshape [] (%15) : []
%17 = constant 8.0 : [] batch-wide
%18 loss = divide (%16, %17) : []
output 0 is %12
loss is %18
";
    assert_eq!(model.training.to_string(), expected);
}

#[test]
fn nodes_of_a_library_layer_stand_for_the_stage_in_the_source() {
    let source = "network N {\n  input x: [3];\n  output y = x\n    |> dense(4)\n    |> relu;\n}";
    let model = model(source);
    let lines: Vec<usize> =
        model.training.nodes.iter().map(|node| source[..node.origin.span.start as usize].lines().count()).collect();
    assert_eq!(lines, [2, 4, 4, 4, 4, 5]);
    assert!(model.training.nodes.iter().all(|node| node.origin.span.file.0 == 0));
}

#[test]
fn paths_follow_instances() {
    let cases: [(&str, &[&str]); 9] = [
        ("h = x |> dense(3);", &["h.weight", "h.bias"]),
        ("h = dense(x, 3, bias: false);", &["h.weight"]),
        ("h = x |> head: dense(3, bias: false);", &["h.head.weight"]),
        ("h = x |> dense(3, bias: false) |> head: dense(3, bias: false);", &["h.weight", "h.head.weight"]),
        (
            "h = x |> dense(3, bias: false) |> relu |> twice(4) |> dense(2, bias: false);",
            &["h.dense_1.weight", "h.twice_1.dense_1.weight", "h.twice_1.dense_2.weight", "h.dense_2.weight"],
        ),
        ("h = x |> scaled |> relu;", &["h.gain"]),
        ("h = x |> a: scaled |> b: scaled;", &["h.a.gain", "h.b.gain"]),
        ("h = x |> block(4);", &["h.y.conv.weight", "h.y.dense_1.weight", "h.y.dense_2.weight", "h.skip.weight"]),
        (
            "h = if 1 < 2 { z = x |> dense(3, bias: false); z |> dense(3, bias: false) } else { x };",
            &["h.z.weight", "h.weight"],
        ),
    ];
    for (binding, expected) in cases {
        let model = model(&format!(
            "layer twice(x: [.., n], units) {{
                x |> dense(units, bias: false) |> relu |> dense(n, bias: false)
            }}
            layer scaled(x: [.., n]) {{ param gain: [n] = ones; x * gain }}
            layer block(x: [.., n], width) {{
                y = x |> conv: dense(width, bias: false) |> relu
                      |> dense(width, bias: false) |> dense(width, bias: false);
                skip = if width == n {{ x }} else {{ x |> dense(width, bias: false) }};
                y + skip
            }}
            network N {{ input x: [5]; {binding} output o = h; }}"
        ));
        assert_eq!(paths(&model), expected, "{binding}");
        for node in &model.training.nodes {
            if let dl_compiler::ops::Op::Parameter(op) = &node.op {
                assert_eq!(node.origin.name, expected[op.parameter].replace('.', "_"));
            }
        }
    }
}

#[test]
fn losses_without_names_add_up_and_names_are_kept() {
    let model = model(
        "network N {
            input x: [2];
            label t: [2];
            param w: [2] = normal(0, deviation: 0.5);
            output y = x * w;
            loss mse(y, t);
            loss absolute = mae(y, t);
            loss 0.5 * mean(y);
            metric error = absolute;
            metric y |> mean;
        }",
    );
    let loss = run(&model, Role::Loss(0), true, &[&[1.0, 2.0], &[0.0, 1.0]], &[&[2.0, 3.0]]);
    close(&loss, &[(4.0 + 25.0) / 2.0 + 0.5 * (2.0 + 6.0) / 2.0]);
    let absolute = run(&model, Role::Loss(1), true, &[&[1.0, 2.0], &[0.0, 1.0]], &[&[2.0, 3.0]]);
    close(&absolute, &[(2.0 + 5.0) / 2.0]);
    let steps: Vec<_> = model.losses.iter().map(|loss| (loss.name.as_deref(), loss.updates.as_slice())).collect();
    assert_eq!(steps, [(None, &[0][..]), (Some("absolute"), &[0][..])]);
    assert_eq!(model.metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(), ["error", "mean"]);
    assert_eq!(run(&model, Role::Metric(0), false, &[&[1.0, 2.0], &[0.0, 1.0]], &[&[2.0, 3.0]]), [3.5]);
    assert_eq!(model.parameters[0].initializer, Initializer::Normal { mean: 0.0, deviation: 0.5 });
}

#[test]
fn formulas_of_the_library_are_the_published_ones() {
    let binary = model(
        "network N {
            input logit: [2];
            label y: [2];
            output p = sigmoid(logit);
            loss binary_cross_entropy(logit, y);
            metric binary_accuracy(logit, y);
        }",
    );
    let (logits, labels) = ([0.7, -1.3], [0.0, 0.0]);
    let p: Vec<f64> = logits.iter().map(|x: &f64| 1.0 / (1.0 + (-x).exp())).collect();
    let expected = -((1.0 - p[0]).ln() + (1.0 - p[1]).ln()) / 2.0;
    close(&run(&binary, Role::Loss(0), true, &[&logits, &labels], &[]), &[expected]);
    close(&run(&binary, Role::Metric(0), true, &[&logits, &labels], &[]), &[0.5]);
    close(&run(&binary, Role::Loss(0), true, &[&[800.0, -800.0], &[1.0, 0.0]], &[]), &[0.0]);
}

#[test]
fn dropout_is_inverted_and_draws_in_training_only() {
    let model = model("network N { input x: [4]; output y = x |> dropout(0.5) |> dropout(0.25) |> dropout(0); }");
    let x = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(run(&model, Role::Output(0), false, &[&x], &[]), x);
    // The first draw keeps where u < 0.5, the second where u < 0.75; u is 0.1, 0.9, 0.1, 0.9.
    let kept = 1.0 / (0.5 * 0.75);
    close(&run(&model, Role::Output(0), true, &[&x], &[]), &[kept, 0.0, 3.0 * kept, 0.0]);
    let text = model.training.to_string();
    assert!(text.contains("keep: 0.5, instance: 0") && text.contains("keep: 0.75, instance: 1"), "{text}");
    assert!(!model.inference.to_string().contains("bernoulli"));
}

#[test]
fn operators_broadcast_and_compute() {
    let cases: [(&str, &[f64]); 15] = [
        ("a + row", &[17.0, 30.0, 44.0, 23.0, 25.0, 49.0]),
        ("column * a", &[14.0, 20.0, 8.0, 39.0, 15.0, 27.0]),
        ("a - 2 * a", &[-7.0, -10.0, -4.0, -13.0, -5.0, -9.0]),
        ("1 / (a / 2)", &[2.0 / 7.0, 0.2, 0.5, 2.0 / 13.0, 0.4, 2.0 / 9.0]),
        ("a ^ 2", &[49.0, 100.0, 16.0, 169.0, 25.0, 81.0]),
        ("(-a) ^ 3", &[-343.0, -1000.0, -64.0, -2197.0, -125.0, -729.0]),
        ("(a / a * 2) ^ -2", &[0.25; 6]),
        ("where(a < 9, a, 0)", &[7.0, 0.0, 4.0, 0.0, 5.0, 0.0]),
        ("where(a <= 9, 1, 0)", &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
        ("where(a > 9, 1, 0)", &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]),
        ("where(a >= 9, 1, 0)", &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
        ("where(a == 9, 1, 0)", &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        ("where(a != 9, 1, 0)", &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        ("max(a, 6) |> min(9)", &[7.0, 9.0, 6.0, 9.0, 6.0, 9.0]),
        ("mean(a) + sum(column)", &[13.0]),
    ];
    for (expression, expected) in cases {
        let model = model(&format!(
            "network N {{ input a: [2, 3]; input row: [3]; input column: [2, 1]; output y = {expression}; }}"
        ));
        let fields: [&[f64]; 3] = [&[7.0, 10.0, 4.0, 13.0, 5.0, 9.0], &[10.0, 20.0, 40.0], &[2.0, 3.0]];
        close(&run(&model, Role::Output(0), false, &fields, &[]), expected);
    }
}

#[test]
fn compile_time_values_compute() {
    let cases = [
        ("7 * 6", 42),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2 + 10", 6),
        ("12 / 4 - 17 % 5", 1),
        ("if 1 == 1.0 and not (2 < 1 or false) { 3 } else { 4 }", 3),
        ("if false and 1 / 0 == 0 { 1 } else { 2 }", 2),
        ("area([3, 5])", 15),
        ("area(4)", 16),
        ("LATER + 1", 8),
        ("if \"a\" == \"a\" { twice(9) } else { 0 }", 18),
        ("64_000", 64_000),
    ];
    for (expression, expected) in cases {
        let model = model(&format!(
            "const N = {expression};
            const LATER = 7;
            fn twice(x, k = 2) = x * k;
            fn area(size) = height(size) * width(size);
            network Net {{ input x: [N]; output y = relu(x); }}"
        ));
        assert_eq!(model.fields[0].dims, [expected], "{expression}");
    }
}

#[test]
fn patterns_bind_and_check_dimensions() {
    let model = model(
        "const FOUR = 4;
        layer tail(x: [first, .., last], y: [.., last], width = 2 * last, extra = width + first) {
            z: [first, .., FOUR] = x;
            assert z_is_fine(last) and extra == 10, \"{first} {last} {width} {extra}\";
            x + y
        }
        fn z_is_fine(n) = n == 4;
        network N { input a: [2, 3, 4]; input b: [4]; output y = tail(a, b); }",
    );
    assert_eq!(model.outputs[0].dims, [2, 3, 4]);
}

#[test]
fn a_layer_can_be_handed_over() {
    let model = model(
        "layer block(x: [..], units, activation = relu) { x |> dense(units) |> activation }
        network N { input x: [2]; h = x |> block(3, activation: tanh); output y = h |> block(3); }",
    );
    let text = model.inference.to_string();
    assert!(text.contains("h = tanh") && text.contains("y = relu"), "{text}");
}

#[test]
fn a_file_may_replace_the_library() {
    let model = model("fn mse(a, b) = sum((a - b) ^ 2); network N { input x: [2]; loss mse(x, 1); }");
    assert_eq!(run(&model, Role::Loss(0), true, &[&[3.0, 4.0]], &[]), [13.0]);
}

#[test]
fn convolution_takes_sizes_for_each_axis() {
    let model = model(
        "network N {
            input x: [4, 9, 11];
            output y = x |> conv2d(6, kernel: [3, 5], stride: [2, 1], padding: [1, 2], groups: 2, bias: false);
        }",
    );
    assert_eq!(model.parameters[0].dims, [6, 2, 3, 5]);
    assert_eq!(model.outputs[0].dims, [6, 5, 11]);
}

#[test]
fn several_networks_share_declarations() {
    let models = models(
        "fn f(x) = x + 1; network A { input x: [1]; output y = f(x); } network B { input x: [2]; output y = f(x); }",
    );
    assert_eq!(models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
}

/// `features(conv2d, relu)`
fn show(part: &Part) -> String {
    let children: Vec<String> = part.children.iter().map(show).collect();
    if children.is_empty() { part.title() } else { format!("{}({})", part.title(), children.join(", ")) }
}

#[test]
fn calls_are_known_with_what_they_hold() {
    let model = model(
        "fn swish(x) = x * sigmoid(x);
        layer block(x: [.., n], width) { y = x |> first: dense(width) |> swish; y |> dense(n) }
        network N { input x: [3]; y = x |> block(5) |> relu; output z = y |> dense(2); }",
    );
    let found: Vec<(&str, usize, usize)> = model
        .calls
        .iter()
        .map(|call| (call.callee.as_str(), call.depth, call.parameters.1 - call.parameters.0))
        .collect();
    let expected =
        [("dense", 1, 2), ("swish", 1, 0), ("dense", 1, 2), ("block", 0, 4), ("relu", 0, 0), ("dense", 0, 2)];
    assert_eq!(found, expected);
    let nodes: Vec<(usize, usize)> = model.calls.iter().map(|call| call.nodes).collect();
    assert!(nodes[0].0 == nodes[3].0 && nodes[2].1 == nodes[3].1, "a call holds those of its layer: {nodes:?}");
    assert_eq!(model.calls[3].dims, [3]);
    assert_eq!(model.calls[0].instance.as_deref(), Some("first"));

    let shown: Vec<String> = outline(&model).iter().map(show).collect();
    assert_eq!(shown, ["y(block(y.first: dense, swish, dense), relu)", "z: dense"]);

    let model = self::model(
        "layer block(x: [n], width) { y = x |> dense(width) |> relu |> dense(n); y }
        network N { input x: [3]; body = x |> block(5) |> block(6) |> head: block(7); output z = body; }",
    );
    let parts = outline(&model);
    let titles: Vec<String> = parts[0].children.iter().map(Part::title).collect();
    assert_eq!(titles, ["block_1: block", "block_2: block", "head: block"]);
    assert_eq!(show(&parts[0].children[2]), "head: block(y.dense_1: dense, relu, y.dense_2: dense)");
}
