//! The reference evaluator: runs a Graph in f64 on plain arrays, slowly and plainly right.
//!
//! It is the semantics of the language and the oracle of every test of generated code.
//! Each operation's own rule is in its file under `ops/`; here are the values and the walk.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, IxDyn};

use crate::graph::{Graph, NodeId, Regions, Role, Scan};
use crate::ops::Op;

/// A value: a batch-wide one has the dimensions of its type, a per-example one the batch axis before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Whether axis 0 is the batch.
    pub per_example: bool,
    /// The numbers; indices and truth values as whole numbers.
    pub array: ArrayD<f64>,
}

impl Value {
    /// The dimensions without the batch axis.
    pub fn dims(&self) -> &[usize] {
        &self.array.shape()[usize::from(self.per_example)..]
    }

    /// The array with a batch axis of `batch` whatever it was before.
    pub fn with_batch(&self, batch: usize) -> ArrayD<f64> {
        if self.per_example {
            return self.array.clone();
        }
        let mut dims = vec![batch];
        dims.extend(self.array.shape());
        self.array.broadcast(IxDyn(&dims)).map(|view| view.to_owned()).unwrap_or_else(|| self.array.clone())
    }
}

/// What a run is given.
pub struct Context<'a> {
    /// How many examples there are.
    pub batch: usize,
    /// One array for each field of the model, batch axis first.
    pub fields: &'a [ArrayD<f64>],
    /// One array for each parameter of the model.
    pub parameters: &'a [ArrayD<f64>],
    /// One array for each state of the model.
    pub states: &'a [ArrayD<f64>],
    /// One weight for each example; `None` if all count alike.
    pub weights: Option<&'a [f64]>,
    /// The evenly distributed number in [0, 1), a multiple of 2⁻³², that random operation number `.0` draws for example `.1`, element `.2`.
    pub uniform: &'a dyn Fn(u32, usize, usize) -> f64,
}

impl Context<'_> {
    /// The weight of an example divided by the sum of all.
    pub fn share(&self, example: usize) -> f64 {
        match self.weights {
            None => 1.0 / self.batch as f64,
            Some(weights) => weights[example] / weights.iter().sum::<f64>(),
        }
    }
}

/// The value of every node; of one that a loop repeats, that of the last step.
pub fn eval(graph: &Graph, context: &Context<'_>) -> Vec<Value> {
    let regions = Regions::new(graph);
    let order = graph.order(&regions);
    let mut walk = Walk {
        graph,
        context,
        regions,
        values: vec![None; graph.nodes.len()],
        stacks: vec![Vec::new(); graph.nodes.len()],
        carried: BTreeMap::new(),
    };
    walk.run(&order, None, 0);
    let nothing = || Value { per_example: false, array: ArrayD::zeros(IxDyn(&[])) };
    walk.values.into_iter().map(|value| value.unwrap_or_else(nothing)).collect()
}

/// A walk over the nodes, round and round within loops.
struct Walk<'a> {
    graph: &'a Graph,
    context: &'a Context<'a>,
    regions: Regions,
    values: Vec<Option<Value>>,
    /// For every `stack`, what its operand was at each step.
    stacks: Vec<Vec<Option<ArrayD<f64>>>>,
    /// What each carry of each loop is at the next step.
    carried: BTreeMap<(usize, usize), ArrayD<f64>>,
}

impl Walk<'_> {
    /// Evaluates nodes that stand in the region `within`, at a step of that loop; those of loops in it stand in a row each.
    fn run(&mut self, places: &[usize], within: Option<usize>, step: usize) {
        let loops: Vec<Option<usize>> =
            places.iter().map(|&place| self.graph.child(self.regions.of(NodeId(place as u32)), within)).collect();
        let mut start = 0;
        for run in loops.chunk_by(|a, b| a == b) {
            let members = &places[start..start + run.len()];
            match run.first().copied().flatten() {
                Some(scan) => self.repeat(members, scan),
                None => members.iter().for_each(|&place| self.node(place, step)),
            }
            start += run.len();
        }
    }

    /// All steps of one loop.
    fn repeat(&mut self, places: &[usize], scan: usize) {
        let Scan { length, reversed, .. } = self.graph.scans[scan];
        self.carried.retain(|(of, _), _| *of != scan);
        let stacks: Vec<(usize, NodeId)> = self
            .graph
            .iter()
            .filter(|(_, node)| matches!(&node.op, Op::Stack(op) if op.scan == scan))
            .map(|(id, node)| (id.index(), node.operands[0]))
            .collect();
        stacks.iter().for_each(|(stack, _)| self.stacks[*stack] = vec![None; length]);
        for round in 0..length {
            let step = if reversed { length - 1 - round } else { round };
            self.run(places, Some(scan), step);
            for &(stack, of) in &stacks {
                self.stacks[stack][step] =
                    self.values[of.index()].as_ref().map(|value| value.with_batch(self.context.batch));
            }
            for &place in places {
                if let (Op::Next(op), Some(value)) = (&self.graph.nodes[place].op, &self.values[place])
                    && op.scan == scan
                {
                    self.carried.insert((scan, op.index), value.array.clone());
                }
            }
        }
    }

    fn node(&mut self, place: usize, step: usize) {
        let node = &self.graph.nodes[place];
        let operands: Vec<&Value> =
            node.operands.iter().filter_map(|operand| self.values[operand.index()].as_ref()).collect();
        let array = match &node.op {
            Op::ScanStep(_) => operands[0].with_batch(self.context.batch).index_axis(Axis(1), step).to_owned(),
            Op::Carry(op) => match self.carried.get(&(op.scan, op.index)) {
                Some(value) => value.clone(),
                None => node.op.eval(&operands, self.context),
            },
            Op::Stack(_) => {
                let steps: Option<Vec<_>> =
                    self.stacks[place].iter().map(|step| step.as_ref().map(|step| step.view())).collect();
                match steps {
                    Some(steps) if !steps.is_empty() => {
                        ndarray::stack(Axis(1), &steps).unwrap_or_else(|_| node.op.eval(&operands, self.context))
                    }
                    _ => node.op.eval(&operands, self.context),
                }
            }
            op => op.eval(&operands, self.context),
        };
        self.values[place] = Some(Value { per_example: node.ty.per_example, array });
    }
}

/// The value of one root; a loss or metric is averaged over the batch by [`Context::share`].
pub fn root(graph: &Graph, values: &[Value], context: &Context<'_>, role: Role) -> Option<ArrayD<f64>> {
    let id: NodeId = graph.root(role)?;
    let value = &values[id.index()];
    match role {
        Role::Loss(_) | Role::Metric(_) => {
            let numbers = value.with_batch(context.batch);
            let mean: f64 = numbers.iter().enumerate().map(|(example, number)| number * context.share(example)).sum();
            Some(ArrayD::from_elem(IxDyn(&[]), mean))
        }
        Role::Output(_) => Some(value.with_batch(context.batch)),
        Role::Gradient(_) | Role::Update(_) => Some(value.array.clone()),
    }
}
