//! What a layer of 120 million weights makes of memory: nothing is kept twice in training.

use dl_compiler::program::{Home, Program};
use dl_compiler::{Options, Source, compile};

const PARAMETERS: usize = 64 * 12_000 + 12_000 + 12_000 * 10_000 + 10_000 + 10_000 * 10 + 10;
/// More than all activations of sixteen examples, and than the panels of the smaller layers, take; a hundredth of the parameters.
const SMALL: usize = 3_000_000;

fn programs() -> (Vec<Program>, Program, String) {
    let text = "network Huge { input x: [64]; label digit: index(10);
        logits = x |> narrow: dense(12_000) |> relu |> wide: dense(10_000) |> relu |> last: dense(10);
        output probabilities = softmax(logits); loss cross_entropy(logits, digit);
        train { optimizer: adam(learning_rate: 0.001), batch: 8, epochs: 1 } }";
    let compiled = compile(Source::new("huge.dln", text), &Options::default()).expect("the network is right");
    let text = compiled.text();
    let network = compiled.networks.into_iter().next().expect("there is one network");
    assert_eq!(
        network.model.parameters.iter().map(|parameter| parameter.dims.iter().product::<usize>()).sum::<usize>(),
        PARAMETERS
    );
    (network.programs.training, network.programs.inference, text)
}

#[test]
fn a_training_step_keeps_no_second_copy_of_a_huge_weight() {
    let (training, _, text) = programs();
    for program in training {
        assert!(program.prepared_floats < SMALL, "prepared: {}", program.prepared_floats);
        assert!(program.fixed_floats < SMALL, "fixed: {}", program.fixed_floats);
        assert!(program.shard_floats < SMALL, "a shard: {}", program.shard_floats);
        // What is large is what the caller holds: the parameter and its gradient.
        let large = program.buffers.iter().filter(|buffer| buffer.extent(program.shard_examples) >= SMALL);
        for buffer in large {
            assert!(matches!(buffer.home, Home::Parameter(_) | Home::Gradient(_)), "{} is large", buffer.name);
        }
    }
    // Forward and, for the gradient of its input, with the transpose.
    for transposed in ["false", "true"] {
        let calls = text.split("rt::matmul_unpacked(").skip(1);
        assert!(
            calls.into_iter().any(|call| call.split(')').next().is_some_and(|call| call.contains(transposed))),
            "{transposed}"
        );
    }
}

#[test]
fn inference_keeps_one_copy_of_all_parameters() {
    let (_, inference, _) = programs();
    assert!(inference.prepared_floats < PARAMETERS + SMALL, "prepared: {}", inference.prepared_floats);
}
