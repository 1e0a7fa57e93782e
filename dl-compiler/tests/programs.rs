//! Programs and generated code of whole networks: phases, places, and the habits that all generated code keeps.

use std::collections::BTreeSet;

use dl_compiler::emit::emit;
use dl_compiler::graph::{Graph, NodeId, Origin, Role, Type};
use dl_compiler::ops::Op;
use dl_compiler::ops::input::Input;
use dl_compiler::ops::subtract::Subtract;
use dl_compiler::ops::sum_batch::SumBatch;
use dl_compiler::pipeline::{Network, run};
use dl_compiler::plan::plan;
use dl_compiler::program::{Home, Kernel, Phase, Program, Step};
use dl_compiler::schedule::schedule;
use dl_compiler::{Options, Source, Sources, compile};

const LENET: &str = include_str!("programs/lenet.dln");
const POINTS: &str = include_str!("programs/points.dln");
const CORNERS: &str = include_str!("programs/corners.dln");
const INFERENCE: &str = "network Double { input x: [3]; output y = 2 * x; output same = x; }";

const ALL: &[&str] = &[LENET, POINTS, CORNERS, INFERENCE];

fn networks(text: &str) -> Vec<Network> {
    let output = run(Source::new("test.dln", text), None);
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics);
    output.networks
}

fn text(text: &str) -> String {
    let compiled = compile(Source::new("nets/test.dln", text), &Options::default());
    compiled.map(|compiled| compiled.text()).unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics))
}

/// The floats of a shard that are alive at the busiest step, found by walking over the steps: no plan needs fewer.
fn least(program: &Program) -> usize {
    let steps: Vec<_> = program.steps().collect();
    let needed = |id, from: usize| {
        steps[from..].iter().any(|step| step.operands.contains(&id)) || program.results.iter().any(|(_, r)| *r == id)
    };
    let alive = |at: usize| -> usize {
        // A value that is cleared in place is written twice.
        let written: BTreeSet<_> = steps[..=at].iter().flat_map(|step| step.results()).collect();
        let is_here = |id| steps[at].results().any(|result| result == id) || needed(id, at);
        let here = written.into_iter().filter(|&id| program.buffer(id).home == Home::Shard && is_here(id));
        here.map(|id| program.buffer(id).extent(program.shard_examples).next_multiple_of(16)).sum()
    };
    (0..steps.len()).map(alive).max().unwrap_or(0)
}

#[test]
fn a_feed_forward_network_is_one_phase_of_shards_and_one_of_the_batch() {
    for network in [LENET, POINTS].into_iter().flat_map(networks) {
        let named = network.programs.named(&network.model.losses);
        let [inference, evaluation, training] = named.as_slice() else { panic!("one program for each use") };
        let [inference, evaluation, training] =
            [inference, evaluation, training].map(|(_, program)| &program.phases[..]);
        assert!(matches!(inference, [Phase::Shards(_)]));
        assert!(matches!(evaluation, [Phase::Shards(_)]));
        assert!(matches!(training, [Phase::Shards(_), Phase::Batch(_)]), "{}", network.programs.training[0]);
    }
}

#[test]
fn every_program_passes_its_own_check() {
    for network in ALL.iter().flat_map(|text| networks(text)) {
        for (name, program) in network.programs.named(&network.model.losses) {
            assert_eq!(program.verify(), Ok(()), "{name}\n{program}");
        }
    }
}

#[test]
fn the_check_notices_what_is_wrong() {
    let broken = |change: fn(&mut Program)| {
        let mut program = networks(LENET).remove(0).programs.training.remove(0);
        change(&mut program);
        program.verify().is_err()
    };
    assert!(!broken(|_| {}));
    assert!(broken(|program| program.phases.reverse()));
    assert!(broken(|program| program.results[2].1 = program.results[3].1));
    assert!(broken(|program| program.buffers.iter_mut().for_each(|buffer| buffer.offset = 0)));
    assert!(broken(|program| program.buffers.iter_mut().for_each(|buffer| buffer.name.clear())));
    assert!(broken(|program| program.prepare.clear()));
    assert!(broken(|program| match &mut program.phases[0] {
        Phase::Shards(steps) | Phase::Batch(steps) => drop(steps[1].operands.pop()),
    }));
}

const GATES: &str = "network N { input x: [5, 3]; y = x |> lstm(4); output o = y; loss mean(y * y); }";

/// The kernels that run for shards.
fn kernels(program: &Program) -> Vec<&Kernel> {
    let shards = program.phases.iter().filter(|phase| matches!(phase, Phase::Shards(_)));
    shards.flat_map(Phase::steps).map(|step| &step.kernel).collect()
}

#[test]
fn gates_are_windows_and_their_gradients_too() {
    for network in networks(GATES) {
        for (name, program) in network.programs.named(&network.model.losses) {
            let copies =
                kernels(program).into_iter().filter(|kernel| matches!(kernel, Kernel::Slice(_) | Kernel::Concat(..)));
            assert_eq!(copies.count(), 0, "{name}\n{program}");
        }
        let training = &network.programs.training[0];
        let windows = training.steps().filter(|step| training.window(step.result).is_some());
        assert_eq!(windows.count(), 4, "{training}");
    }
}

/// A convolution before a batch normalization finds the mean and the deviations itself; one that is normalized place by place,
/// or only summed, does not.
#[test]
fn convolutions_find_the_moments_of_their_results() {
    let moments = |layers: &str| {
        let text = format!(
            "network N {{ input x: [3, 8, 8]; label t: index(4); loss cross_entropy(x |> {layers} |> flatten |> dense(4), t); }}"
        );
        let network = networks(&text).remove(0);
        let training = &network.programs.training[0];
        let sums =
            kernels(training).iter().filter(|kernel| matches!(kernel, Kernel::Sum(_) | Kernel::Deviations(_))).count();
        (training.steps().filter(|step| step.moments.is_some()).count(), sums)
    };
    // What is summed besides is the gradient of beta.
    assert_eq!(moments("conv2d(4, kernel: 3, bias: false) |> batch_norm |> relu"), (1, 1));
    assert_eq!(moments("conv2d(4, kernel: 3, bias: false) |> relu |> batch_norm"), (1, 1));
    assert_eq!(moments("conv2d(4, kernel: 3, bias: false) |> max_pool2d(2) |> batch_norm"), (0, 3));
    assert_eq!(moments("conv2d(4, kernel: 3) |> avg_pool2d(2)").0, 0);
}

/// Shards sum what they add to the gradient of a convolution's weight as soon as they have the gradient of its results, cleared of
/// lanes without an example; where the weight is large beside the images, the batch sums it from all shards.
#[test]
fn shards_sum_gradients_of_small_weights() {
    let text = "network N {
        input x: [3, 16, 16];
        label t: index(4);
        loss cross_entropy(
            x |> conv2d(8, kernel: 3) |> relu |> conv2d(32, kernel: 3, stride: 7) |> relu |> conv2d(96, kernel: 2) |> flatten |> dense(4), t
        );
    }";
    let network = networks(text).remove(0);
    let training = &network.programs.training[0];
    let [Phase::Shards(shards), Phase::Batch(batch)] = training.phases.as_slice() else { panic!("{training}") };
    let filters = |steps: &[Step]| {
        let of = |step: &Step| match step.kernel {
            Kernel::Convolution2dWeight(shape, _) => Some(("batch", shape.filters)),
            Kernel::Convolution2dWeightOfShard(shape) => Some(("shard", shape.filters)),
            Kernel::Convolution2dWeightOfBatch(shape) => Some(("all", shape.filters)),
            _ => None,
        };
        steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    // 2304 weights beside 8·14·14 + 32·2·2 numbers of each example, but 12,288 beside 32·2·2 + 96.
    assert_eq!(filters(shards), [("shard", 32), ("shard", 8)], "{training}");
    assert_eq!(filters(batch), [("batch", 96), ("all", 32), ("all", 8)], "{training}");
    for (at, step) in shards.iter().enumerate() {
        if let Kernel::Convolution2dWeightOfShard(_) = step.kernel {
            let [.., made, clear] = &shards[..at] else { panic!("{training}") };
            assert!(matches!(clear.kernel, Kernel::Clear(_)), "{training}");
            assert_eq!([made.result, clear.result], [step.operands[1]; 2], "{training}");
            let addend = training.buffer(step.result);
            assert_eq!((addend.home, addend.per_example), (Home::Shard, false));
        }
    }
}

#[test]
fn what_others_touch_is_no_window() {
    let copies = |text: &str| {
        let network = networks(&format!("inference network N {{ input x: [4]; input z: [4]; {text} }}")).remove(0);
        let program = &network.programs.inference;
        assert_eq!(program.verify(), Ok(()));
        kernels(program).iter().filter(|kernel| matches!(kernel, Kernel::Slice(_) | Kernel::Concat(..))).count()
    };
    // Read by pointwise steps alone, and written by them.
    assert_eq!(copies("output y = tanh(slice(exp(x), 0, start: 1, len: 2));"), 0);
    assert_eq!(copies("output y = concat(tanh(x), exp(z), axis: 0);"), 0);
    // Read by a product, wanted as it is, joined twice, not computed here, and one part computed from another.
    assert_eq!(copies("output y = slice(exp(x), 0, start: 1, len: 2) |> dense(2);"), 1);
    assert_eq!(copies("output y = slice(exp(x), 0, start: 1, len: 2);"), 1);
    assert_eq!(copies("t = tanh(x); output y = concat(t, t, axis: 0);"), 1);
    assert_eq!(copies("output y = concat(x, exp(z), axis: 0);"), 1);
    assert_eq!(copies("t = tanh(x); output o = t; output y = concat(t, exp(z), axis: 0);"), 1);
    assert_eq!(copies("t = tanh(x); u = sigmoid(t |> dense(4)) * t; output y = concat(t, u, axis: 0);"), 1);
}

#[test]
fn a_carry_that_is_stored_is_not_copied() {
    let network = networks(GATES).remove(0);
    let copies = |program: &Program, scan: usize| {
        let steps = program.steps().filter(|step| step.within == Some(scan));
        steps.filter(|step| matches!(step.kernel, Kernel::Copy)).count()
    };
    // In training both states are stored for the gradients, in inference the cell is needed but for the next step.
    assert_eq!(copies(&network.programs.training[0], 0), 0);
    assert_eq!(copies(&network.programs.inference, 0), 1);
}

#[test]
fn the_check_notices_wrong_windows_and_steps() {
    let broken = |change: fn(&mut Program)| {
        let mut program = networks(GATES).remove(0).programs.training.remove(0);
        change(&mut program);
        program.verify().is_err()
    };
    fn homes(program: &mut Program, change: impl Fn(&mut Home)) {
        program.buffers.iter_mut().for_each(|buffer| change(&mut buffer.home));
    }
    fn windows(program: &mut Program, kernel: fn(&Kernel) -> Option<Kernel>) {
        for phase in &mut program.phases {
            let (Phase::Shards(steps) | Phase::Batch(steps)) = phase;
            for step in steps {
                step.kernel = kernel(&step.kernel).unwrap_or_else(|| step.kernel.clone());
            }
        }
    }
    assert!(!broken(|_| {}));
    assert!(broken(|program| homes(program, |home| {
        if let Home::Window { start, size, .. } = home {
            *start = *size;
        }
    })));
    assert!(broken(|program| homes(program, |home| {
        if let Home::Window { size, .. } = home {
            *size += 1;
        }
    })));
    assert!(broken(|program| homes(program, |home| {
        if let Home::Steps { first, .. } = home {
            *first += 2;
        }
    })));
    assert!(broken(|program| homes(program, |home| {
        if let Home::Step { later, .. } = home {
            *later += 1;
        }
    })));
    // Windows are for pointwise steps.
    assert!(broken(|program| windows(program, |kernel| match kernel {
        Kernel::Pointwise(expression) if expression.views.len() == 1 => Some(Kernel::Copy),
        Kernel::Pointwise(expression) if expression.views.len() == 3 => Some(Kernel::Concat(1, vec![4, 4, 4])),
        _ => None,
    })));
    // No step reads what it writes a part of.
    assert!(broken(|program| {
        let Phase::Shards(steps) = &mut program.phases[0] else { return };
        let written =
            steps.iter().filter(|step| matches!(program.buffers[step.result.0 as usize].home, Home::Window { .. }));
        let written: Vec<_> = written.map(|step| step.result).collect();
        for step in steps.iter_mut().filter(|step| step.result == written[1]) {
            step.operands[0] = written[0];
        }
    }));
}

#[test]
fn a_plan_is_within_a_tenth_of_the_least_possible() {
    for network in ALL.iter().flat_map(|text| networks(text)) {
        for (name, program) in network.programs.named(&network.model.losses) {
            let least = least(program);
            let planned = program.shard_floats;
            println!("{} {name}: {planned} floats in a shard, at least {least}", network.model.name);
            assert!(
                least <= planned && planned * 10 <= least * 11,
                "{} {name}: {planned} of {least}",
                network.model.name
            );
        }
    }
}

#[test]
fn long_sequences_make_small_shards() {
    let block = "input t: index(9)[64]; y = t |> embedding(8) |> transformer_block(2);";
    let cases = [
        (format!("inference network N {{ {block} output o = y; }}"), 2),
        (format!("network N {{ {block} output o = y; loss mean(y * y); }}"), 2),
        ("network N { input x: [64]; y = x |> dense(8); output o = y; loss mean(y * y); }".to_owned(), 16),
        ("network N { input x: [64]; output o = tanh(x); }".to_owned(), 16),
    ];
    for (text, expected) in cases {
        for network in networks(&text) {
            for (name, program) in network.programs.named(&network.model.losses) {
                assert_eq!(program.shard_examples, expected, "{name} of {text}");
            }
        }
    }
}

#[test]
fn inference_and_evaluation_read_one_prepared_block() {
    for network in ALL.iter().flat_map(|text| networks(text)).filter(|network| network.model.has_loss()) {
        let places = |program: &Program| {
            let steps = program.prepare.iter().map(|step| (step.kernel.clone(), program.buffer(step.result).offset));
            steps.collect::<Vec<_>>()
        };
        let (inference, evaluation) = (&network.programs.inference, &network.programs.evaluation);
        assert_eq!(places(inference), places(evaluation));
        assert_eq!(inference.prepared_floats, evaluation.prepared_floats);
        let reads = |program: &Program| program.steps().flat_map(|step| step.operands.clone()).collect::<Vec<_>>();
        for program in [inference, evaluation] {
            let direct = reads(program).into_iter().find(|&id| matches!(program.buffer(id).home, Home::Parameter(_)));
            assert_eq!(direct, None, "inference reads prepared values only");
        }
    }
}

#[test]
fn every_reached_parameter_has_a_gradient() {
    for network in ALL.iter().flat_map(|text| networks(text)).filter(|network| network.model.has_loss()) {
        for parameter in 0..network.model.parameters.len() {
            let id = network.programs.training[0].result(Role::Gradient(parameter));
            let home = id.map(|id| network.programs.training[0].buffer(id).home);
            assert_eq!(home, Some(Home::Gradient(parameter)));
        }
    }
}

#[test]
fn generated_code_keeps_its_habits() {
    for source in ALL {
        let text = text(source);
        for word in ["unwrap", "expect(", "panic!", "unsafe", "allow(", "todo!", "loop {", "__source_line"] {
            assert_eq!(text.lines().find(|line| line.contains(word)), None, "{word}");
        }
        for path in ["std::", " core::", "alloc::"] {
            assert!(!text.contains(path), "{path} is not absolute");
        }
        let suffixed = text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
            word.starts_with(|c: char| c.is_ascii_digit()) && (word.ends_with("usize") || word.ends_with("u32"))
        });
        assert_eq!(suffixed, None);
        syn::parse_file(&text).expect("it is Rust");
    }
}

#[test]
fn the_same_source_gives_the_same_code() {
    for source in ALL {
        assert_eq!(text(source), text(source));
    }
}

#[test]
fn the_source_line_stands_above_its_steps() {
    let text = text(LENET);
    assert!(text.contains("// |> conv2d(6, kernel: 5, padding: 2) |> relu |> max_pool2d(2)   test.dln:11\n"), "{text}");
    let without = compile(Source::new("nets/test.dln", LENET), &Options { comments: false, ..Options::default() });
    assert!(!without.expect("it compiles").text().contains("   test.dln:11"));
}

/// `y = x - Σ x` over the batch, which the language cannot say: a value of the batch between two values per example.
fn centered() -> Network {
    let mut network = networks("network Centered { input x: [3]; output y = 2 * x; }").remove(0);
    let mut graph = Graph::default();
    let ty = Type::per_example([3]);
    let mut add = |op: Op, operands: &[NodeId], name: &str| {
        let origin = Origin { name: name.to_owned(), ..Origin::default() };
        graph.add(op, operands, origin).expect("it is well typed")
    };
    let x = add(Input { field: 0, ty }.into(), &[], "x");
    let sum = add(SumBatch.into(), &[x], "sum");
    let y = add(Subtract.into(), &[x, sum], "y");
    graph.roots.push((Role::Output(0), y));
    let mut inference = schedule(&network.model, &graph, true);
    plan(&mut inference);
    network.programs.inference = inference;
    network
}

#[test]
fn a_value_of_the_batch_stands_between_phases_of_shards() {
    let network = centered();
    let program = &network.programs.inference;
    assert_eq!(program.verify(), Ok(()));
    assert!(matches!(&program.phases[..], [Phase::Batch(_), Phase::Shards(_)]), "{program}");
    assert_eq!((program.shard_floats, program.fixed_floats), (48, 16));
    let code = emit(&network.model, &network.programs, &Sources::default(), &Options::default());
    let text = dl_compiler::emit::text(&code);
    assert!(text.contains("forward_batch(n, fixed, team, x);"), "{text}");
    assert!(text.contains("|shard| forward_shard(fixed, x, shard)"), "{text}");
    assert!(text.contains("fn forward_batch(n: usize, fixed: &mut [f32], team: &rt::Team, x: &[X]) {"), "{text}");
    assert!(text.contains("fn forward_shard(fixed: &[f32], x: &[X], shard: rt::Shard<'_>) {"), "{text}");
}

/// The instances of the draws of each training step, in order.
fn draws(network: &Network) -> Vec<Vec<u32>> {
    let instance = |step: &dl_compiler::program::Step| match step.kernel {
        Kernel::Bernoulli { instance, .. } | Kernel::Uniform { instance } | Kernel::Normal { instance } => {
            Some(instance)
        }
        _ => None,
    };
    network.programs.training.iter().map(|program| program.steps().filter_map(instance).collect()).collect()
}

/// Two losses that read one noise: a step of the one and a step of the other, of one number and seed, draw different numbers.
#[test]
fn the_steps_of_several_losses_draw_numbers_of_their_own() {
    let networks = networks(
        "network Two {
            input x: [4];
            noise = normal(like: x);
            other = uniform(like: x);
            a = (x * noise) |> dense(1);
            b = (noise + other) |> dense(1);
            output y = x;
            loss first = mean(a) updates a.*;
            loss second = mean(b * dropout(x, 0.5)) updates b.*;
        }",
    );
    let found = draws(&networks[0]);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 3], "{found:?}");
    assert!(found[1].iter().all(|instance| !found[0].contains(instance)), "{found:?}");
    let distinct: std::collections::BTreeSet<u32> = found[1].iter().copied().collect();
    assert_eq!(distinct.len(), 3, "{found:?}");
}
