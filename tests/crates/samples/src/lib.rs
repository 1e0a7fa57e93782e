//! Random valid programs: a list of choices goes in, the text of a network comes out.
//!
//! The same choices give the same text; where they end, or are 0, the simplest is taken, so that a property test that
//! shortens or lowers them finds a small program. Every program has the same inputs, labels, outputs and metric, of shapes of
//! its own. It knows shapes and no semantics: what a program means is for the reference evaluator to say.

mod tree;

use tree::Writer;

/// A list of choices for [`program`] that depends on nothing but `seed`.
pub fn choices(seed: u64) -> Vec<u16> {
    // SplitMix64 (Steele et al., 2014).
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 48) as u16
    };
    std::iter::repeat_with(next).take(LENGTH).collect()
}

/// So many choices fill a program; more are not looked at by most.
pub const LENGTH: usize = 300;

/// What every program declares before its network.
const PRELUDE: &str = "\
/// A bell whose height is 1.
fn bell(x, k = 0.5) = exp(-k * x ^ 2);

/// Half of the numbers decide how much of the others passes.
layer gated(x: [.., inputs], units, activation = sigmoid) {
    value, gate = x |> dense(2 * units) |> split(2);
    value * activation(gate)
}

/// Takes from each channel its mean.
layer centred(x: [channels, h, w]) {
    param gain: [channels] = ones;
    (x - mean(x, over: [h, w])) * gain
}
";

/// The network that the choices stand for, called `name`.
///
/// Its inputs are `x: [n]`, `frames: [t, n]`, `image: [c, h, w]`, `words: index(7)[t]` and `length: index(t + 1)`, its labels `target: [n]`
/// and `kind: index(3)`, its outputs `value` and `other`.
pub fn program(name: &str, choices: &[u16]) -> String {
    let mut writer = Writer::new(name, choices);
    let body = writer.network();
    let inner = "{\n    input a: [2];\n    output b = a |> dense(3) |> tanh |> dense(2);\n}";
    format!(
        "//! A random program.\n\n{PRELUDE}\n/// Two numbers of two.\nnetwork {name}Inner {inner}\n\npub network {name} {{\n{body}}}\n"
    )
}
