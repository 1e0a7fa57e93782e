//! What the tests share: a fixture's model and graphs, random examples, and its values by the reference evaluator.

use dl_compiler::eval::{Context, eval, root};
use dl_compiler::graph::{Element, Graph, Role};
use dl_compiler::model::Parameter;
use dl_compiler::pipeline::Network;
use dl_compiler::{Options, Source};
use dln::runtime::{self as rt, Draw, Rng, Tensors};
use ndarray::{ArrayD, IxDyn};

/// The seed and the step that random draws of these tests belong to.
pub(crate) const SEED: u64 = 5;
/// See [`SEED`].
pub(crate) const STEP: u64 = 9;

/// A fixture in all its representations, or the random program of the seed in its name.
pub(crate) fn network(name: &str) -> Network {
    let path = format!("{}/../../networks/{name}.dln", env!("CARGO_MANIFEST_DIR"));
    let text = match name.strip_prefix("random") {
        Some(seed) => samples::program(&format!("Random{seed}"), &samples::choices(seed.parse().unwrap())),
        None => std::fs::read_to_string(&path).unwrap(),
    };
    let compiled = dl_compiler::compile(Source::new(path, text), &Options::default()).unwrap();
    compiled.networks.into_iter().find(|network| network.model.public).unwrap()
}

/// Random numbers for each field of the model: `batch` examples, batch axis first.
pub(crate) fn fields(network: &Network, batch: usize) -> Vec<ArrayD<f64>> {
    let mut rng = Rng::new(batch as u64);
    let mut draw = |element: Element| match element {
        Element::Index(bound) => rng.below(bound) as f64,
        _ => f64::from(rng.next_u32() as f32 / u32::MAX as f32) * 2.0 - 1.0,
    };
    let array = |field: &dl_compiler::model::Field| {
        let mut dims = vec![batch];
        dims.extend(&field.dims);
        let len = dims.iter().product();
        let values = (0..len).map(|_| f64::from(draw(field.element) as f32)).collect();
        ArrayD::from_shape_vec(IxDyn(&dims), values).unwrap()
    };
    network.model.fields.iter().map(array).collect()
}

/// Numbers of a field as the generated type of that field.
pub(crate) trait Fill {
    /// From one example after another.
    fn filled(values: &ArrayD<f64>) -> Self;
}

impl<T: rt::Tensor<Element: Number>> Fill for Vec<T> {
    fn filled(values: &ArrayD<f64>) -> Vec<T> {
        let flat: Vec<T::Element> = values.iter().map(|&value| Number::from_f64(value)).collect();
        rt::views::<T>(&flat).to_vec()
    }
}

/// An element of a field.
pub(crate) trait Number: Copy {
    /// The nearest.
    fn from_f64(value: f64) -> Self;
}

impl Number for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
}

impl Number for u32 {
    fn from_f64(value: f64) -> u32 {
        value as u32
    }
}

/// Parameters in which no tensor is all zero or all alike.
pub(crate) fn parameters<T: Tensors>(mut parameters: T) -> T {
    let mut rng = Rng::new(77);
    for value in parameters.as_mut_slice() {
        *value += (rng.next_u32() as f32 / u32::MAX as f32 - 0.5) * 0.1;
    }
    parameters
}

/// A state whose numbers lie from 0.5 to 1.5, so that it may be a variance.
pub(crate) fn state<T: Tensors>() -> T {
    let mut state = T::zeros();
    let mut rng = Rng::new(78);
    for value in state.as_mut_slice() {
        *value = 0.5 + rng.next_u32() as f32 / u32::MAX as f32;
    }
    state
}

/// The tensors that the model declares, in its order.
fn tensors<T: Tensors>(declared: &[Parameter], block: &T) -> Vec<ArrayD<f64>> {
    let tensor = |declared: &Parameter| {
        let values = block.tensor(&declared.path).unwrap().iter().map(|&value| f64::from(value)).collect();
        ArrayD::from_shape_vec(IxDyn(&declared.dims), values).unwrap()
    };
    declared.iter().map(tensor).collect()
}

/// What the reference evaluator says of every root of a graph.
pub(crate) fn reference<P: Tensors, S: Tensors>(
    network: &Network,
    graph: &Graph,
    fields: &[ArrayD<f64>],
    (parameters, state): (&P, &S),
    weights: Option<&[f32]>,
) -> Vec<(Role, ArrayD<f64>)> {
    let weights: Option<Vec<f64>> = weights.map(|weights| weights.iter().map(|&weight| f64::from(weight)).collect());
    // Inference and evaluation draw with seed and step 0.
    let (seed, step) = if std::ptr::eq(graph, &network.model.inference) { (0, 0) } else { (SEED, STEP) };
    let uniform = |instance: u32, example: usize, element: usize| {
        let draw = Draw { seed, step, instance };
        f64::from(rt::draw_bits(&draw, example, element)) / 2f64.powi(32)
    };
    let context = Context {
        batch: fields[0].shape()[0],
        fields,
        parameters: &tensors(&network.model.parameters, parameters),
        states: &tensors(&network.model.states, state),
        weights: weights.as_deref(),
        uniform: &uniform,
    };
    let values = eval(graph, &context);
    graph.roots.iter().map(|&(role, _)| (role, root(graph, &values, &context, role).unwrap())).collect()
}

/// Asserts that f32 results agree with f64 ones to `tolerance` of the largest.
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &ArrayD<f64>, tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance * largest + 1e-7,
            "{what}, place {place}: expected {expected}, found {found}, largest {largest}"
        );
    }
}
