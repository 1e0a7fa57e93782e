//! Composition: layer values, `repeat`, `shared`, states, penalties, several losses, networks within networks, templates.

use crate::support::{mistakes, model, models};
use dl_compiler::eval::{self, Context};
use dl_compiler::graph::{Graph, Role};
use dl_compiler::model::{Constraint, Model, Parameter};
use ndarray::{ArrayD, IxDyn};

fn paths(tensors: &[Parameter]) -> Vec<&str> {
    tensors.iter().map(|tensor| tensor.path.as_str()).collect()
}

/// The value of a root for a batch, from fields, parameters and states given as flat numbers.
fn run(
    model: &Model,
    graph: &Graph,
    role: Role,
    fields: &[&[f64]],
    parameters: &[&[f64]],
    states: &[&[f64]],
) -> Vec<f64> {
    let array = |dims: &[usize], numbers: &[f64]| ArrayD::from_shape_vec(IxDyn(dims), numbers.to_vec()).unwrap();
    let batch = model.fields.first().map_or(1, |field| fields[0].len() / field.dims.iter().product::<usize>());
    let fields: Vec<_> = model
        .fields
        .iter()
        .zip(fields)
        .map(|(field, numbers)| array(&[&[batch], field.dims.as_slice()].concat(), numbers))
        .collect();
    let tensors = |tensors: &[Parameter], numbers: &[&[f64]]| -> Vec<ArrayD<f64>> {
        tensors.iter().zip(numbers).map(|(tensor, numbers)| array(&tensor.dims, numbers)).collect()
    };
    let (parameters, states) = (tensors(&model.parameters, parameters), tensors(&model.states, states));
    let uniform = |_: u32, _: usize, _: usize| 0.5;
    let context =
        Context { batch, fields: &fields, parameters: &parameters, states: &states, weights: None, uniform: &uniform };
    let values = eval::eval(graph, &context);
    eval::root(graph, &values, &context, role).unwrap().iter().copied().collect()
}

#[test]
fn repetitions_count_on_through_the_statement() {
    let model = model(
        "layer residual(x: [c, h, w], width, stride = 1) {
            y = x |> conv2d(width, kernel: 3, stride: stride, padding: 1, bias: false) |> relu
                |> conv2d(width, kernel: 3, padding: 1, bias: false);
            skip = if stride == 1 and width == c { x } else { x |> conv2d(width, kernel: 1, stride: stride, bias: false) };
            relu(y + skip)
        }
        network ResNet {
            input image: [3, 8, 8];
            body = image |> conv2d(4, kernel: 3, padding: 1, bias: false)
                |> repeat 2 { residual(4) }
                |> repeat i in 0..2 { residual(8, stride: if i == 0 { 2 } else { 1 }) }
                |> flatten |> head: dense(10);
            output y = body;
        }",
    );
    assert_eq!(
        paths(&model.parameters),
        [
            "body.conv2d_1.weight",
            "body.residual_1.y.conv2d_1.weight",
            "body.residual_1.y.conv2d_2.weight",
            "body.residual_2.y.conv2d_1.weight",
            "body.residual_2.y.conv2d_2.weight",
            "body.residual_3.y.conv2d_1.weight",
            "body.residual_3.y.conv2d_2.weight",
            "body.residual_3.skip.weight",
            "body.residual_4.y.conv2d_1.weight",
            "body.residual_4.y.conv2d_2.weight",
            "body.head.weight",
            "body.head.bias",
        ]
    );
    assert_eq!(model.parameters[7].dims, [8, 4, 1, 1]);
}

#[test]
fn a_repetition_may_have_a_name_and_names_in_it_are_numbered() {
    let model = model(
        "network N {
            input x: [4];
            h = x |> tower: repeat 2 { dense(4) |> relu } |> repeat 2 { inner: dense(4) |> tanh } |> repeat 0 { dense(9) };
            output y = h;
        }",
    );
    let weights: Vec<&str> = paths(&model.parameters).into_iter().filter(|path| path.ends_with("weight")).collect();
    assert_eq!(weights, ["h.tower.dense_1.weight", "h.tower.dense_2.weight", "h.inner_1.weight", "h.inner_2.weight"]);
}

#[test]
fn a_mistake_in_a_later_round_says_which() {
    let (diagnostics, shown) = mistakes(
        "layer half(x: [n]) { y = reshape(x, [2, n / 2]); param w: [n / 2, n / 2] = zeros; reshape(y @ w, [n])[0] }
        network N { input x: [8]; output y = x; }",
    );
    assert!(!diagnostics.is_empty(), "{shown}");
    let (diagnostics, shown) = mistakes(
        "layer halve(x: [n]) { param w: [n, n / 2] = glorot_uniform; x @ w }
        network N { input x: [12]; output y = x |> repeat 5 { halve }; }",
    );
    assert_eq!(diagnostics.len(), 1, "{shown}");
    assert!(shown.contains("in round 3 of 5 of this `repeat`"), "{shown}");
}

#[test]
fn layer_values_go_through_attributes() {
    let models = models(
        "layer twice(x: [..], inner) { a = x |> inner; b = x |> inner; a + b }
        network N {
            input x: [3];
            h = x |> twice(dense(4, bias: false));
            k = x |> twice(dense(4) |> relu |> dense(2));
            l = x |> twice(repeat 2 { dense(3, bias: false) });
            output y = flatten(h);
            output z = k |> twice(tanh);
            output v = l |> twice(inner: scaled(1));
        }
        layer scaled(x: [n], k) { x * k }",
    );
    assert_eq!(
        paths(&models[0].parameters),
        [
            "h.a.weight",
            "h.b.weight",
            "k.a.dense_1.weight",
            "k.a.dense_1.bias",
            "k.a.dense_2.weight",
            "k.a.dense_2.bias",
            "k.b.dense_1.weight",
            "k.b.dense_1.bias",
            "k.b.dense_2.weight",
            "k.b.dense_2.bias",
            "l.a.dense_1.weight",
            "l.a.dense_2.weight",
            "l.b.dense_1.weight",
            "l.b.dense_2.weight",
        ]
    );
}

#[test]
fn a_shared_layer_is_one_set_of_weights() {
    let model = model(
        "network Siamese {
            input u: [2]; input v: [2];
            shared encode = dense(2) |> tanh |> dense(1, bias: false);
            a = u |> encode;
            b = v |> encode |> dense(1);
            output d = a - b;
        }",
    );
    assert_eq!(
        paths(&model.parameters),
        ["encode.dense_1.weight", "encode.dense_1.bias", "encode.dense_2.weight", "b.weight", "b.bias"]
    );
    let parameters: [&[f64]; 5] = [&[0.1, 0.2, 0.3, 0.4], &[0.5, 0.6], &[2.0, -1.0], &[3.0], &[0.25]];
    let encode =
        |x: [f64; 2]| 2.0 * (0.1 * x[0] + 0.3 * x[1] + 0.5).tanh() - (0.2 * x[0] + 0.4 * x[1] + 0.6_f64).tanh();
    let expected = encode([1.0, 2.0]) - (3.0 * encode([-1.0, 0.5]) + 0.25);
    let found = run(&model, &model.inference, Role::Output(0), &[&[1.0, 2.0], &[-1.0, 0.5]], &parameters, &[]);
    assert!((found[0] - expected).abs() < 1e-12, "{found:?} {expected}");
}

#[test]
fn sharing_nests_and_keeps_the_paths_of_where_it_is_declared() {
    let model = model(
        "layer pair(x: [..], units) {
            shared one = dense(units, bias: false);
            a = x |> one;
            b = a |> one;
            c = b |> dense(units, bias: false);
            c
        }
        layer both(x: [..], inner) { x |> inner |> inner }
        network N {
            input x: [3];
            shared outer = pair(3);
            shared leaf = dense(3, bias: false);
            h = x |> outer |> both(outer) |> both(leaf);
            k = h |> pair(3) |> leaf;
            output y = k;
        }",
    );
    assert_eq!(
        paths(&model.parameters),
        ["outer.one.weight", "outer.c.weight", "leaf.weight", "k.one.weight", "k.c.weight"]
    );
}

#[test]
fn a_shared_layer_is_applied_to_one_shape() {
    let (diagnostics, shown) = mistakes(
        "network N {
            input u: [2]; input v: [3];
            shared encode = dense(4);
            a = u |> encode;
            output b = v |> encode;
        }",
    );
    assert_eq!(diagnostics.len(), 1, "{shown}");
    assert!(shown.contains("since it was applied first") && shown.contains("applied first here"), "{shown}");
}

const RUNNING: &str = "
    layer centered(x: [n], rate = 0.25) {
        state running: [n] = zeros;
        update running = (1 - rate) * running + rate;
        x - running
    }";

#[test]
fn a_state_is_read_by_both_graphs_and_updated_by_training() {
    let model = model(&format!(
        "{RUNNING} network N {{ input x: [2]; label t: [2]; h = x |> centered |> dense(2); output y = h; loss mse(h, t); }}"
    ));
    assert_eq!(paths(&model.states), ["h.centered_1.running"]);
    assert_eq!(paths(&model.parameters), ["h.dense_1.weight", "h.dense_1.bias"]);
    assert_eq!(model.inference.root(Role::Update(0)), None);
    let fields: [&[f64]; 2] = [&[1.0, 2.0], &[0.0, 0.0]];
    let parameters: [&[f64]; 2] = [&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0]];
    let states: [&[f64]; 1] = [&[4.0, 8.0]];
    assert_eq!(run(&model, &model.training, Role::Update(0), &fields, &parameters, &states), [3.25, 6.25]);
    assert_eq!(run(&model, &model.inference, Role::Output(0), &fields, &parameters, &states), [-3.0, -6.0]);
}

#[test]
fn a_shared_state_is_updated_once_for_each_application() {
    let model = model(&format!(
        "{RUNNING} network N {{
            input x: [1]; label t: [1];
            shared center = centered;
            a = x |> center; b = a |> center;
            param w: [1] = ones;
            output y = b * w; loss mse(b * w, t);
        }}"
    ));
    assert_eq!(paths(&model.states), ["center.running"]);
    let fields: [&[f64]; 2] = [&[1.0], &[0.0]];
    assert_eq!(run(&model, &model.training, Role::Update(0), &fields, &[&[1.0]], &[&[0.0]]), [0.25 * 0.75 + 0.25]);
}

#[test]
fn penalties_join_the_losses_that_reach_their_layer() {
    let model = model(
        "layer decayed(x: [n], rate) {
            param w: [n] = ones where non_negative;
            penalty rate * sum(w ^ 2);
            x * w
        }
        network N {
            input x: [2]; label t: [2];
            a = x |> decayed(0.5);
            b = x |> decayed(0.25);
            param c: [1] = ones where clip(-1, high: 2);
            param d: [2, 2] = ones where min_max_norm(0.5, high: 2);
            penalty mean(c) * 3;
            penalty 0 * sum(d);
            output y = a + b;
            loss first = mse(a, t);
            loss second = mse(b * c, t);
        }",
    );
    let fields: [&[f64]; 2] = [&[0.0, 0.0], &[0.0, 0.0]];
    let parameters: [&[f64]; 4] = [&[1.0, 2.0], &[3.0, 4.0], &[7.0], &[0.0; 4]];
    for graph in [&model.training, &model.inference] {
        assert_eq!(run(&model, graph, Role::Loss(0), &fields, &parameters, &[]), [0.5 * 5.0]);
        assert_eq!(run(&model, graph, Role::Loss(1), &fields, &parameters, &[]), [0.25 * 25.0 + 21.0]);
    }
    let constraints: Vec<_> = model.parameters.iter().map(|parameter| parameter.constraint).collect();
    let clip = Constraint::Clip { low: -1.0, high: 2.0 };
    let norm = Constraint::MinMaxNorm { low: 0.5, high: 2.0 };
    let positive = Constraint::NonNegative;
    assert_eq!(constraints, [positive, positive, clip, norm].map(Some));
}

const GAN: &str = "
    network Generator {
        input noise: [2];
        h = noise |> dense(3) |> relu;
        output image = h |> dense(4);
    }
    network Discriminator(width = 5) {
        input image: [4];
        label real: [1];
        h = image |> dense(width) |> relu;
        score = h |> dense(1);
        output logit = score;
        loss binary_cross_entropy(score, real);
        metric binary_accuracy(score, real);
    }
    network Gan {
        input noise: [2]; input real: [4];
        shared discriminator = Discriminator(width: 6);
        generator = Generator(noise);
        on_fake = generator |> discriminator;
        on_real = real |> discriminator;
        output fake = generator;
        loss d = mean(softplus(-on_real) + softplus(on_fake)) updates discriminator.*;
        loss g = mean(softplus(-on_fake)) updates generator.*;
    }";

#[test]
fn networks_are_applied_like_layers() {
    let models = models(GAN);
    assert_eq!(
        models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(),
        ["Generator", "Discriminator", "Gan"]
    );
    let gan = &models[2];
    assert_eq!(
        paths(&gan.parameters),
        [
            "generator.h.weight",
            "generator.h.bias",
            "generator.image.weight",
            "generator.image.bias",
            "discriminator.h.weight",
            "discriminator.h.bias",
            "discriminator.score.weight",
            "discriminator.score.bias",
        ]
    );
    assert_eq!(gan.parameters[4].dims, [4, 6]);
    let steps: Vec<_> = gan.losses.iter().map(|loss| (loss.name.as_deref().unwrap(), loss.updates.clone())).collect();
    assert_eq!(steps, [("d", vec![4, 5, 6, 7]), ("g", vec![0, 1, 2, 3])]);
    assert!(gan.metrics.is_empty() && gan.fields.iter().all(|field| !field.label));
}

#[test]
fn frozen_parameters_are_trained_by_nothing() {
    let models = models(
        "network Features { input x: [2]; h = x |> dense(3); freeze h.bias; output y = h |> dense(2); }
        network N {
            input x: [2]; label t: [1];
            features = Features(x);
            head = features |> dense(1);
            freeze features.y.*, head.weight;
            output y = head;
            loss mse(head, t);
        }",
    );
    let frozen: Vec<_> = models[1].parameters.iter().filter(|parameter| parameter.frozen).collect();
    let frozen: Vec<&str> = frozen.iter().map(|parameter| parameter.path.as_str()).collect();
    assert_eq!(frozen, ["features.h.bias", "features.y.weight", "features.y.bias", "head.weight"]);
    assert_eq!(models[1].losses[0].updates, [0, 5]);
}

#[test]
fn a_template_becomes_networks() {
    let models = models(
        "/// Of any width.
        network Name(width, depth = 2, activation = relu) {
            input x: [3]; label t: [1];
            h = x |> repeat depth { dense(width) |> activation };
            y = h |> dense(1);
            output value = y;
            loss mse(y, t);
        }
        /// Eight wide.
        pub network Small = Name(width: 8);
        inference network Tiny = Small(depth: 1);
        network Pair { input x: [3]; a = Small(x); b = Name(x, width: 2, activation: tanh); output sum = a + b; }",
    );
    let names: Vec<_> = models.iter().map(|model| (model.name.as_str(), model.public, model.inference_only)).collect();
    assert_eq!(names, [("Small", true, false), ("Tiny", false, true), ("Pair", false, false)]);
    assert_eq!(models[0].docs, ["Eight wide."]);
    assert_eq!(models[1].docs, ["Of any width."]);
    assert_eq!(models[0].parameters.len(), 6);
    assert_eq!(paths(&models[1].parameters), ["h.weight", "h.bias", "y.weight", "y.bias"]);
    assert!(!models[1].has_loss() && models[1].fields.len() == 1);
    assert!(paths(&models[2].parameters).contains(&"b.h.dense_2.weight"));
}

#[test]
fn several_outputs_are_several_values() {
    let models = models(
        "network Two { input x: [2]; output a = x |> dense(3); output b = x |> dense(4); }
        network N { input z: [2]; first, second = Two(z); output y = mean(first) + second; }",
    );
    assert_eq!(paths(&models[1].parameters)[..2], ["first.a.weight", "first.a.bias"]);
    assert_eq!(models[1].outputs[0].dims, [4]);
}
