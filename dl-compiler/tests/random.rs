//! Random valid programs: each compiles; the optimized graphs have the values of those that were resolved, and the gradients are
//! those of central differences, all by the reference evaluator in f64.
//!
//! What is generated from such programs is tried in `tests/crates/parity`.

use dl_compiler::Source;
use dl_compiler::eval::{Context, eval, root};
use dl_compiler::graph::{Element, Graph, Role};
use dl_compiler::pipeline::{Network, run};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

const BATCH: usize = 2;

/// A network with numbers for all that it reads.
struct Trial {
    network: Network,
    fields: Vec<ArrayD<f64>>,
    parameters: Vec<ArrayD<f64>>,
}

/// Numbers between -1 and 1 that look random: the fractional parts of multiples of the golden ratio (Weyl, 1916).
fn spread(place: usize) -> f64 {
    (place as f64 * 0.618_033_988_749_894_9).fract() * 2.0 - 1.0
}

impl Trial {
    fn new(text: &str) -> Trial {
        let output = run(Source::new("random.dln", text), None);
        let rendered = || dl_compiler::render(&output.sources, &output.diagnostics, false);
        assert!(output.diagnostics.is_empty(), "{}\n{text}", rendered());
        let network = output.networks.into_iter().find(|network| network.model.public).unwrap();
        let mut place = 0;
        let mut array = |dims: &[usize], element: Element| {
            ArrayD::from_shape_fn(IxDyn(dims), |_| {
                place += 1;
                match element {
                    Element::Index(bound) => (spread(place).abs() * bound as f64).floor(),
                    _ => spread(place),
                }
            })
        };
        let fields =
            network.model.fields.iter().map(|field| array(&[&[BATCH], &field.dims[..]].concat(), field.element));
        let fields = fields.collect();
        let parameters =
            network.model.parameters.iter().map(|parameter| array(&parameter.dims, Element::F32)).collect();
        Trial { network, fields, parameters }
    }

    fn roots(&self, graph: &Graph, parameters: &[ArrayD<f64>]) -> Vec<(Role, ArrayD<f64>)> {
        self.evaluate(graph, parameters).0
    }

    /// The roots, and the largest number on the way to them.
    fn evaluate(&self, graph: &Graph, parameters: &[ArrayD<f64>]) -> (Vec<(Role, ArrayD<f64>)>, f64) {
        let uniform = |instance: u32, example: usize, element: usize| {
            spread(instance as usize + 10 * example + 100 * element).abs()
        };
        let context = Context {
            batch: BATCH,
            fields: &self.fields,
            parameters,
            states: &[],
            weights: Some(&[0.5, 2.0]),
            uniform: &uniform,
        };
        let values = eval(graph, &context);
        let largest = values.iter().flat_map(|value| &value.array).fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let role = |&(role, _): &(Role, _)| (role, root(graph, &values, &context, role).unwrap());
        (graph.roots.iter().map(role).collect(), largest)
    }

    /// Every root of `graph` has the value that the same root of `plain` has, as far as rounding leaves it one: within ten times
    /// what changes in `plain` if parameters are rounded otherwise.
    fn agree(&self, what: &str, graph: &Graph, plain: &Graph) {
        let (expected, largest) = self.evaluate(plain, &self.parameters);
        let rounded = |parameter: &ArrayD<f64>| parameter.mapv(|number| number * (1.0 + 4.0 * f64::EPSILON));
        let others = self.roots(plain, &self.parameters.iter().map(rounded).collect::<Vec<_>>());
        // What cancels leaves the rounding of what it came from.
        let rounding = 1e3 * f64::EPSILON * largest;
        for (role, found) in self.roots(graph, &self.parameters) {
            let of = |roots: &[(Role, ArrayD<f64>)]| roots.iter().find(|(other, _)| *other == role).unwrap().1.clone();
            let (expected, other) = (of(&expected), of(&others));
            assert_eq!(found.shape(), expected.shape(), "{what}, {role:?}");
            // A sine of a large sum, times a large slope, tells one rounding from another.
            let changes = expected.iter().zip(&other).map(|(a, b)| 10.0 * (a - b).abs());
            let rounding = changes.fold(rounding, f64::max);
            for (found, expected) in found.iter().zip(&expected) {
                let error = (found - expected).abs();
                assert!(error <= 1e-9 * (1.0 + expected.abs()) + rounding, "{what}, {role:?}: {found} for {expected}");
            }
        }
    }

    fn loss(&self, parameters: &[ArrayD<f64>]) -> f64 {
        let roots = self.roots(&self.network.model.training, parameters);
        roots.iter().find(|(role, _)| *role == Role::Loss(0)).unwrap().1.sum()
    }

    /// Compares some numbers of every gradient with central differences; says how many were compared.
    ///
    /// Where the slopes to both sides stay apart when the differences narrow, there is a bend, and nothing is said.
    fn differentiate(&self) -> usize {
        let gradients = self.roots(&self.network.gradients[0], &self.parameters);
        let here = self.loss(&self.parameters);
        let mut compared = 0;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let gradient = gradients.iter().find(|(role, _)| *role == Role::Gradient(index)).map(|(_, value)| value);
            for place in [0, parameter.len() / 2].into_iter().take(parameter.len()) {
                let slope = |distance: f64| {
                    let mut parameters = self.parameters.clone();
                    *parameters[index].iter_mut().nth(place).unwrap() += distance;
                    (self.loss(&parameters) - here) / distance
                };
                let (wide, narrow) = ([slope(1e-4), slope(-1e-4)], [slope(5e-5), slope(-5e-5)]);
                let apart = |[right, left]: [f64; 2]| (right - left).abs();
                let middle = |[right, left]: [f64; 2]| (right + left) / 2.0;
                let expected = middle(narrow);
                let is_smooth = apart(narrow) <= 0.6 * apart(wide) + 1e-7;
                if !is_smooth || (middle(wide) - expected).abs() > 1e-6 * (1.0 + expected.abs()) {
                    continue;
                }
                let found = gradient.map_or(0.0, |gradient| *gradient.iter().nth(place).unwrap());
                let path = &self.network.model.parameters[index].path;
                // A loss is rounded to so much, and a difference of losses with it.
                let rounding = 4.0 * f64::EPSILON * here.abs() / 5e-5;
                let error = (found - expected).abs();
                assert!(
                    error <= 1e-5 * (1.0 + expected.abs()) + rounding,
                    "gradient of {path}[{place}]: {found} for {expected}, slopes {wide:?} and {narrow:?}"
                );
                compared += 1;
            }
        }
        compared
    }
}

fn check(text: &str) -> usize {
    let trial = Trial::new(text);
    let Network { model, gradients, graphs, .. } = &trial.network;
    trial.agree("inference", &graphs.inference, &model.inference);
    trial.agree("evaluation", &graphs.evaluation, &model.inference);
    trial.agree("training", &graphs.training[0], &gradients[0]);
    // Differences know nothing of gradients that are stopped.
    if text.contains("stop_gradient") { 0 } else { trial.differentiate() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn graphs_and_gradients_agree(
        text in proptest::collection::vec(any::<u16>(), 0..samples::LENGTH).prop_map(|choices| samples::program("Random", &choices)),
    ) {
        check(&text);
    }
}

/// The comparison is of something: most slopes are compared, and the programs are of all kinds.
#[test]
fn the_programs_are_worth_comparing() {
    let texts: Vec<String> = (0..60).map(|seed| samples::program("Random", &samples::choices(seed))).collect();
    for word in [
        "scan",
        "reversed",
        "until",
        "repeat",
        "shared",
        "Inner",
        "split",
        "concat",
        "slice",
        "pad",
        "transpose",
        "softmax",
        "@",
        "conv2d",
        "groups",
        "max_pool2d",
        "avg_pool2d",
        "gather",
        "where",
        "training",
        "variance",
        "stop_gradient",
        "gated",
        "centred",
    ] {
        let uses = texts.iter().filter(|text| text.split("pub network").nth(1).unwrap().contains(word)).count();
        assert!(uses >= 2, "{word} is in {uses} programs");
    }
    assert!(texts.iter().take(8).map(|text| check(text)).sum::<usize>() >= 100);
}
