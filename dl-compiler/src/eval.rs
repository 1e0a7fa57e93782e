//! The reference evaluator: runs a Graph in f64 on plain arrays, slowly and plainly right.
//!
//! It is the semantics of the language and the oracle of every test of generated code.
//! Each operation's own rule is in its file under `ops/`; here are the values and the walk.

use ndarray::{ArrayD, IxDyn};

use crate::graph::{Graph, NodeId, Role};

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

/// The value of every node.
pub fn eval(graph: &Graph, context: &Context<'_>) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let operands: Vec<&Value> = node.operands.iter().map(|operand| &values[operand.index()]).collect();
        let array = node.op.eval(&operands, context);
        values.push(Value { per_example: node.ty.per_example, array });
    }
    values
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
