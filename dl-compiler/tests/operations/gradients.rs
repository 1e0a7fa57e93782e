//! Gradient rules against central differences of the reference semantics, in f64.
//!
//! An operand `x` per example is made of what the example holds and of a parameter `p` that starts at 0:
//! `x = field + mask * p` with a random mask, so that the gradient of `p` weighs that of every example differently.
//! The loss is the sum of the result times a random cotangent, averaged over the batch by random weights.

use dl_compiler::eval::{self, Context};
use dl_compiler::gradient::differentiate;
use dl_compiler::graph::{Element, Graph, NodeId, Origin, Role, Type};
use dl_compiler::ops::input::Input;
use dl_compiler::ops::parameter::Parameter;
use dl_compiler::ops::reshape::Reshape;
use dl_compiler::ops::sum::Sum;
use dl_compiler::ops::{Constant, Op};
use ndarray::{ArrayD, IxDyn};

use crate::text::{op, types};

const BATCH: usize = 3;

/// A graph being built, with the numbers its fields and parameters hold.
struct Trial {
    graph: Graph,
    fields: Vec<ArrayD<f64>>,
    parameters: Vec<ArrayD<f64>>,
    random: u64,
    /// Numbers from -2 to 2, far from each other and from 0 compared with the step of the differences.
    pool: Vec<f64>,
    positive: bool,
}

impl Trial {
    fn new(seed: u64, positive: bool) -> Trial {
        let (fields, parameters) = (Vec::new(), Vec::new());
        let mut trial = Trial { graph: Graph::default(), fields, parameters, random: seed, pool: Vec::new(), positive };
        let mut pool: Vec<f64> = (0..1000).map(|place| (f64::from(place) - 499.5) * 0.004).collect();
        for place in (1..pool.len()).rev() {
            pool.swap(place, trial.next() as usize % (place + 1));
        }
        trial.pool = pool;
        trial
    }

    /// SplitMix64 (Steele et al., 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 1
    }

    /// A number of magnitude 0.5 to 1.5.
    fn factor(&mut self) -> f64 {
        let bits = self.next();
        let size = 0.5 + (bits >> 1) as f64 / 2f64.powi(62);
        if bits & 1 == 0 { size } else { -size }
    }

    fn number(&mut self) -> f64 {
        let number = self.pool.pop().unwrap();
        if self.positive { number.abs() + 0.3 } else { number }
    }

    fn add(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> NodeId {
        self.graph.add(op.into(), operands, Origin::default()).unwrap()
    }

    fn field(&mut self, ty: &Type, mut number: impl FnMut(&mut Trial) -> f64) -> NodeId {
        let dims = [&[BATCH], &ty.dims[..]].concat();
        let array = ArrayD::from_shape_fn(IxDyn(&dims), |_| number(self));
        self.fields.push(array);
        let field = self.fields.len() - 1;
        self.add(Input { field, ty: ty.clone() }, &[])
    }

    fn parameter(&mut self, dims: &[usize], mut number: impl FnMut(&mut Trial) -> f64) -> NodeId {
        let array = ArrayD::from_shape_fn(IxDyn(dims), |_| number(self));
        self.parameters.push(array);
        let parameter = self.parameters.len() - 1;
        self.add(Parameter { parameter, dims: dims.to_vec() }, &[])
    }

    fn operand(&mut self, ty: &Type) -> NodeId {
        match ty.element {
            Element::Index(bound) => self.field(ty, |trial| (trial.next() as usize % bound) as f64),
            Element::Bool => self.field(ty, |trial| (trial.next() % 2) as f64),
            Element::F32 if ty.per_example => {
                let field = self.field(ty, Trial::number);
                let mask = self.field(ty, Trial::factor);
                let parameter = self.parameter(&ty.dims, |_| 0.0);
                let moved = self.add(op("multiply", &[]), &[mask, parameter]);
                self.add(op("add", &[]), &[field, moved])
            }
            Element::F32 => self.parameter(&ty.dims, Trial::number),
        }
    }

    /// Makes the result, times a random cotangent and summed, the loss.
    fn lose(&mut self, result: NodeId) {
        let ty = self.graph.ty(result).clone();
        let result = if ty.element == Element::Bool {
            let ones = self.field(&Type::per_example(ty.dims.clone()), |_| 1.0);
            let zeros = self.field(&Type::per_example(ty.dims.clone()), |_| 0.0);
            self.add(op("where", &[]), &[result, ones, zeros])
        } else {
            result
        };
        let cotangent = self.field(&Type::per_example(ty.dims.clone()), Trial::factor);
        let weighed = self.add(op("multiply", &[]), &[result, cotangent]);
        let sum = self.add(Sum { axis: 0, count: ty.dims.len() }, &[weighed]);
        let loss = self.add(Reshape { dims: Vec::new() }, &[sum]);
        self.graph.roots.push((Role::Loss(0), loss));
    }

    fn evaluate(&self, graph: &Graph, parameters: &[ArrayD<f64>], role: Role) -> Option<ArrayD<f64>> {
        let weights = [0.5, 2.0, 1.0];
        let uniform = |_: u32, _: usize, _: usize| 0.0;
        let fields = &self.fields;
        let context =
            Context { batch: BATCH, fields, parameters, states: &[], weights: Some(&weights), uniform: &uniform };
        let values = eval::eval(graph, &context);
        eval::root(graph, &values, &context, role)
    }

    /// Every gradient that differentiation yields is that of central differences.
    fn check(&self, what: &str) {
        let mut differentiated = self.graph.clone();
        differentiate(&mut differentiated, 0, &(0..self.parameters.len()).collect::<Vec<_>>()).unwrap();
        differentiated.verify().unwrap();
        let loss = |parameters: &[ArrayD<f64>]| {
            self.evaluate(&self.graph, parameters, Role::Loss(0)).unwrap().iter().sum::<f64>()
        };
        for index in 0..self.parameters.len() {
            let gradient = self.evaluate(&differentiated, &self.parameters, Role::Gradient(index));
            let gradient: Vec<f64> = match gradient {
                Some(gradient) => {
                    assert_eq!(gradient.shape(), self.parameters[index].shape(), "{what}");
                    gradient.iter().copied().collect()
                }
                None => vec![0.0; self.parameters[index].len()],
            };
            let step = 1e-5;
            for (place, found) in gradient.into_iter().enumerate() {
                let at = |distance: f64| {
                    let mut parameters = self.parameters.clone();
                    *parameters[index].iter_mut().nth(place).unwrap() += distance;
                    loss(&parameters)
                };
                let expected = (at(step) - at(-step)) / (2.0 * step);
                let tolerance = 1e-6 * expected.abs() + 1e-8;
                assert!(
                    (found - expected).abs() <= tolerance,
                    "{what}: parameter {index}[{place}] {found} for {expected}"
                );
            }
        }
    }
}

fn check(op: &Op, operands: &str) {
    let positive = ["log", "sqrt", "power"].contains(&op.name());
    for seed in 0..3 {
        let mut trial = Trial::new(seed, positive);
        let operands_of: Vec<NodeId> = types(operands).iter().map(|ty| trial.operand(ty)).collect();
        let result = trial.add(op.clone(), &operands_of);
        trial.lose(result);
        trial.check(&format!("{op} of {operands}"));
    }
}

/// Operations without operands, what comes after differentiation, gradients, which are differentiated no further, and what
/// differs from its differences on purpose.
const EXEMPT: &[&str] = &[
    "input",
    "parameter",
    "state",
    "constant",
    "example_weight",
    "bernoulli",
    "fused",
    "fused_sum",
    "scan_step",
    "carry",
    "next",
    "stack",
    "last",
    "matmul_weights",
    "gather_gradient",
    "range",
    "uniform",
    "normal",
    "stop_gradient",
    "batch_share",
    "convolution2d_input",
    "convolution2d_weight",
    "depthwise2d",
    "max_pool2d_gradient",
    "avg_pool2d_gradient",
    "softmax_gradient",
    "causal_softmax_gradient",
    "cross_entropy_gradient",
];

fn kernels() -> Vec<(Op, &'static str)> {
    let of = |name: &str, given: &[(&'static str, i64)]| {
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, Constant::Integer(*value))).collect();
        op(name, &given)
    };
    let transposed = op("matmul", &[("transposed", Constant::Bool(true))]);
    let convolution = |given: &[(&'static str, i64)]| of("convolution2d", given);
    let mut cases = vec![
        (of("reshape", &[("dims", 6)]), "[2, 3]"),
        (of("reshape", &[("dims", 6)]), "[2, 3] batch-wide"),
        (of("flatten", &[]), "[2, 1, 3]"),
        (of("expand", &[("axis", 1), ("dims", 4)]), "[2, 1, 3]"),
        (of("expand", &[("axis", 0), ("dims", 4)]), "[1, 3] batch-wide"),
        (of("sum", &[("axis", 1), ("count", 2)]), "[2, 3, 2]"),
        (of("sum", &[("axis", 0), ("count", 1)]), "[3, 2] batch-wide"),
        (of("slice", &[("axis", 1), ("start", 1), ("len", 2)]), "[2, 4, 3]"),
        (of("reverse", &[("axis", 1)]), "[2, 4, 3]"),
        (of("slice", &[("axis", 0), ("start", 0), ("len", 2)]), "[3] batch-wide"),
        (of("pad", &[("axis", 0), ("before", 1), ("after", 2)]), "[2, 3]"),
        (of("pad", &[("axis", 1), ("after", 1)]), "[2, 3] batch-wide"),
        (of("concat", &[("axis", 0)]), "[2, 3], [1, 3] batch-wide"),
        (of("concat", &[("axis", 1), ("count", 3)]), "[2, 1], [2, 3], [2, 2]"),
        (of("concat", &[("axis", 0)]), "[2] batch-wide, [1] batch-wide"),
        (of("sum_batch", &[]), "[2, 3]"),
        (op("matmul", &[]), "[3], [3, 4] batch-wide"),
        (op("matmul", &[]), "[2, 5, 3], [3, 4] batch-wide"),
        (transposed.clone(), "[4], [3, 4] batch-wide"),
        (transposed, "[5, 4], [3, 4] batch-wide"),
        (convolution(&[]), "[2, 5, 4], [3, 2, 3, 2] batch-wide"),
        (convolution(&[("padding", 2)]), "[1, 3, 4], [2, 1, 3, 3] batch-wide"),
        (convolution(&[("stride", 2), ("padding", 1)]), "[2, 6, 5], [2, 2, 3, 3] batch-wide"),
        (convolution(&[("stride", 3)]), "[1, 7, 5], [2, 1, 2, 2] batch-wide"),
        (convolution(&[("dilation", 2), ("padding", 1)]), "[1, 5, 6], [2, 1, 2, 3] batch-wide"),
        (convolution(&[("groups", 2)]), "[4, 4, 4], [6, 2, 2, 2] batch-wide"),
        (
            convolution(&[("groups", 3), ("stride", 2), ("padding", 1), ("dilation", 2)]),
            "[3, 5, 5], [3, 1, 2, 2] batch-wide",
        ),
        (op("softmax", &[]), "[5]"),
        (op("softmax", &[]), "[2, 3, 4]"),
        (op("causal_softmax", &[]), "[2, 3, 4]"),
        (op("causal_softmax", &[]), "[4, 3]"),
        (op("cross_entropy", &[]), "[5], index(5)[]"),
        (op("cross_entropy", &[]), "[2, 3, 4], index(4)[2, 3]"),
        (op("accuracy", &[]), "[4], index(4)[]"),
    ];
    let turn = |axes: &'static [i64]| op("transpose", &[("axes", Constant::List(axes))]);
    cases.push((turn(&[1, 0]), "[2, 3]"));
    cases.push((turn(&[2, 0, 1]), "[2, 3, 4] batch-wide"));
    for (transposed_a, a) in [(false, "[2, 3, 4]"), (true, "[2, 4, 3]")] {
        for (transposed_b, b) in [(false, "[2, 4, 2]"), (true, "[2, 2, 4]")] {
            let flags = [("transposed_a", transposed_a), ("transposed_b", transposed_b)];
            let product = op("batched_matmul", &flags.map(|(name, flag)| (name, Constant::Bool(flag))));
            for (one, other) in [("", ""), ("", " batch-wide"), (" batch-wide", ""), (" batch-wide", " batch-wide")] {
                let operands: &'static str = format!("{a}{one}, {b}{other}").leak();
                cases.push((product.clone(), operands));
            }
        }
    }
    cases.push((op("gather", &[]), "[5, 3] batch-wide, index(5)[4]"));
    cases.push((op("gather", &[]), "[4] batch-wide, index(3)[]"));
    cases.push((of("max_reduce", &[("axis", 1), ("count", 1)]), "[2, 3, 2]"));
    cases.push((of("max_reduce", &[("axis", 0), ("count", 2)]), "[2, 3] batch-wide"));
    cases.push((of("deviations", &[("axis", 1), ("count", 1)]), "[2, 3, 2]"));
    cases.push((of("deviations", &[("axis", 0), ("count", 2)]), "[2, 3] batch-wide"));
    cases.push((op("log_softmax", &[]), "[5]"));
    cases.push((op("log_softmax", &[]), "[2, 3] batch-wide"));
    cases.push((op("argmax", &[]), "[2, 3]"));
    let painting = |given: &[(&'static str, i64)]| of("convolution2d_transpose", given);
    cases.push((painting(&[]), "[2, 3, 2], [2, 3, 2, 3] batch-wide"));
    let stride = [("stride", 2), ("padding", 1), ("output_padding", 1)];
    cases.push((painting(&stride), "[1, 2, 3], [1, 2, 3, 3] batch-wide"));
    let groups = [("stride", 3), ("dilation", 2), ("groups", 2)];
    cases.push((painting(&groups), "[4, 2, 2], [4, 1, 2, 2] batch-wide"));
    cases.push((of("one_hot", &[("classes", 4)]), "index(3)[2]"));
    cases.push((op("float", &[]), "index(3)[2]"));
    for name in ["max_pool2d", "avg_pool2d"] {
        cases.push((of(name, &[("kernel", 2)]), "[2, 4, 5]"));
        cases.push((of(name, &[("kernel", 3), ("stride", 1), ("padding", 1)]), "[1, 4, 5]"));
        cases.push((of(name, &[("kernel", 3), ("stride", 2), ("padding", 2)]), "[2, 5, 6]"));
    }
    cases
}

#[test]
fn pointwise_rules_agree_with_differences() {
    for spec in Op::SPECS.iter().filter(|spec| spec.pointwise) {
        let op = op(spec.name, &[]);
        let mixes: &[&str] = match spec.operands.len() {
            1 => &["[2, 3]", "[4] batch-wide", "[]"],
            2 => &["[2, 3], [2, 3]", "[4], [4] batch-wide", "[4] batch-wide, [4]", "[3] batch-wide, [3] batch-wide"],
            _ => &["bool[4], [4], [4]", "bool[4], [4] batch-wide, [4]", "bool[4], [4] batch-wide, [4] batch-wide"],
        };
        mixes.iter().for_each(|operands| check(&op, operands));
    }
}

#[test]
fn kernel_rules_agree_with_differences() {
    let cases = kernels();
    cases.iter().for_each(|(op, operands)| check(op, operands));
    for spec in Op::SPECS.iter().filter(|spec| !spec.pointwise) {
        let tried = cases.iter().any(|(op, _)| op.name() == spec.name);
        assert!(tried || EXEMPT.contains(&spec.name), "no gradient of {} is tried", spec.name);
    }
}

#[test]
fn a_value_used_twice_gathers_both_gradients() {
    let mut trial = Trial::new(7, false);
    let x = trial.operand(&Type::per_example([3]));
    let weight = trial.operand(&Type::batch_wide([3]));
    let square = trial.add(op("multiply", &[]), &[x, x]);
    let scaled = trial.add(op("multiply", &[]), &[square, weight]);
    let all = trial.add(op("add", &[]), &[scaled, weight]);
    trial.lose(all);
    trial.check("x * x * weight + weight");
}

#[test]
fn gradients_pass_through_a_sum_over_the_batch() {
    // Behind the sum the gradient is batch-wide; before it every example has its own, also for products and biases.
    let mut trial = Trial::new(11, false);
    let x = trial.operand(&Type::per_example([3]));
    let weight = trial.operand(&Type::batch_wide([3, 4]));
    let bias = trial.operand(&Type::batch_wide([4]));
    let product = trial.add(op("matmul", &[]), &[x, weight]);
    let shifted = trial.add(op("add", &[]), &[product, bias]);
    let total = trial.add(op("sum_batch", &[]), &[shifted]);
    trial.lose(total);
    trial.check("matmul, bias, sum over the batch");
}

#[test]
fn no_gradient_passes_where_it_is_stopped() {
    // The gradient of stop(w · field) · w is that of a constant times w.
    let mut trial = Trial::new(13, false);
    let field = trial.field(&Type::per_example([3]), Trial::number);
    let weight = trial.operand(&Type::batch_wide([3]));
    let product = trial.add(op("multiply", &[]), &[field, weight]);
    let stopped = trial.add(op("stop_gradient", &[]), &[product]);
    let result = trial.add(op("multiply", &[]), &[stopped, weight]);
    trial.lose(result);
    let mut differentiated = trial.graph.clone();
    differentiate(&mut differentiated, 0, &(0..trial.parameters.len()).collect::<Vec<_>>()).unwrap();
    let found = trial.evaluate(&differentiated, &trial.parameters, Role::Gradient(0)).unwrap();
    // With the product as a constant the gradient is half of that of the whole, whose loss is quadratic in w.
    let loss = |factor: f64| {
        let parameters: Vec<_> = trial.parameters.iter().map(|parameter| parameter * factor).collect();
        trial.evaluate(&trial.graph, &parameters, Role::Loss(0)).unwrap().sum()
    };
    let along = found.iter().zip(&trial.parameters[0]).map(|(d, w)| d * w).sum::<f64>();
    assert!((along - loss(1.0)).abs() < 1e-12, "{along} for {}", loss(1.0));
    assert!((loss(2.0) - 4.0 * loss(1.0)).abs() < 1e-12);
}

#[test]
fn slopes_at_kinks() {
    // The gradient of the sum of one operation of a batch-wide number.
    let slope = |name: &str, numbers: &[f64]| -> Vec<f64> {
        let mut graph = Graph::default();
        let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, Origin::default()).unwrap();
        let operands: Vec<NodeId> =
            (0..numbers.len()).map(|parameter| add(Parameter { parameter, dims: Vec::new() }.into(), &[])).collect();
        let loss = add(op(name, &[]), &operands);
        graph.roots.push((Role::Loss(0), loss));
        differentiate(&mut graph, 0, &(0..numbers.len()).collect::<Vec<_>>()).unwrap();
        let parameters: Vec<_> = numbers.iter().map(|number| ArrayD::from_elem(IxDyn(&[]), *number)).collect();
        let uniform = |_: u32, _: usize, _: usize| 0.0;
        let context =
            Context { batch: 1, fields: &[], parameters: &parameters, states: &[], weights: None, uniform: &uniform };
        let values = eval::eval(&graph, &context);
        let gradient = |index| eval::root(&graph, &values, &context, Role::Gradient(index)).unwrap().sum();
        (0..numbers.len()).map(gradient).collect()
    };
    assert_eq!(slope("relu", &[0.0]), [0.0]);
    assert_eq!(slope("abs", &[0.0]), [0.0]);
    assert_eq!(slope("min", &[2.0, 2.0]), [1.0, 0.0]);
    assert_eq!(slope("max", &[2.0, 2.0]), [1.0, 0.0]);
    assert_eq!(slope("exp", &[0.0]), [1.0]);
}
