//! Which training step computes what: a model goes in, the graph of each of its steps comes out, without gradients.
//!
//! Before: a training graph with roots for all losses, metrics and updates. After: for each loss a graph with that root, and
//! those metrics and updates of states that belong to it. A step has what its loss reaches and asks for no other field; what it
//! draws at random, no other step draws.
//! With a single loss everything belongs to its step.

use std::collections::BTreeSet;

use crate::graph::{Graph, NodeId, Role};
use crate::model::Model;
use crate::ops::Op;
use crate::ops::bernoulli::Bernoulli;
use crate::ops::normal::Normal;
use crate::ops::uniform::Uniform;

/// The graph of each training step, in the order of [`Model::losses`]; none if the model does not train.
pub fn training(model: &Model) -> Vec<Graph> {
    if !model.trains() {
        return Vec::new();
    }
    let graph = &model.training;
    let mut steps: Vec<Step> = Vec::new();
    for loss in 0..model.losses.len() {
        let needed = graph.needed(graph.root(Role::Loss(loss)));
        steps.push(Step { fields: fields(graph, &needed), needed, roots: vec![Role::Loss(loss)] });
    }
    for &(role, root) in &graph.roots {
        match role {
            Role::Metric(_) => {
                if let Some(step) = of_metric(graph, &mut steps, root) {
                    step.roots.push(role);
                }
            }
            Role::Update(_) => of_update(graph, &mut steps, root).for_each(|step| step.roots.push(role)),
            Role::Output(_) | Role::Loss(_) | Role::Gradient(_) => {}
        }
    }
    let mut nodes = graph.nodes.clone();
    let draws = nodes.iter_mut().filter_map(|node| instance(&mut node.op).copied()).max();
    let draws = draws.map_or(0, |last| last + 1);
    let graphs = (0..).zip(&steps).map(|(place, step)| {
        let mut graph = graph.with_roots(|role| step.roots.contains(&role));
        // Steps of one number and seed draw numbers of their own.
        for instance in graph.nodes.iter_mut().filter_map(|node| instance(&mut node.op)) {
            *instance += place * draws;
        }
        graph
    });
    graphs.collect()
}

/// Which random operation of the network it is, if it is one.
fn instance(op: &mut Op) -> Option<&mut u32> {
    match op {
        Op::Bernoulli(Bernoulli { instance, .. })
        | Op::Uniform(Uniform { instance, .. })
        | Op::Normal(Normal { instance, .. }) => Some(instance),
        _ => None,
    }
}

/// What is known of one step.
struct Step {
    /// For every node whether the loss depends on it.
    needed: Vec<bool>,
    /// The fields among them.
    fields: BTreeSet<usize>,
    /// What the step computes.
    roots: Vec<Role>,
}

/// The first step that has all the fields a metric needs. A metric over fields of several steps is left to evaluation.
fn of_metric<'s>(graph: &Graph, steps: &'s mut [Step], root: NodeId) -> Option<&'s mut Step> {
    if steps.len() == 1 {
        return steps.first_mut();
    }
    let fields = fields(graph, &graph.needed([root]));
    steps.iter_mut().find(|step| fields.is_subset(&step.fields))
}

/// The steps whose loss reaches the layer of an update: those that have computed what it is made of. An update that no
/// loss has to do with belongs to the first step.
fn of_update<'s>(graph: &Graph, steps: &'s mut [Step], root: NodeId) -> impl Iterator<Item = &'s mut Step> {
    let belongs: Vec<bool> = steps.iter().map(|step| steps.len() == 1 || reaches_layer(graph, step, root)).collect();
    let orphan = !belongs.contains(&true);
    let chosen = steps.iter_mut().zip(belongs).enumerate();
    chosen.filter(move |(place, (_, belongs))| *belongs || orphan && *place == 0).map(|(_, (step, _))| step)
}

/// Whether `root` follows from values of the step's forward pass, among them one that is more than a field or a constant,
/// without further fields or parameters.
fn reaches_layer(graph: &Graph, step: &Step, root: NodeId) -> bool {
    let mut found = false;
    let mut open = vec![root];
    let mut seen: BTreeSet<NodeId> = BTreeSet::new();
    while let Some(id) = open.pop() {
        let node = graph.node(id);
        match &node.op {
            Op::Splat(_) => {}
            Op::Input(_) if step.needed[id.index()] => {}
            _ if step.needed[id.index()] => found = true,
            Op::Input(_) | Op::Parameter(_) => return false,
            _ => open.extend(node.operands.iter().filter(|operand| seen.insert(**operand))),
        }
    }
    found
}

/// The fields among the nodes that are needed.
fn fields(graph: &Graph, needed: &[bool]) -> BTreeSet<usize> {
    let nodes = graph.nodes.iter().zip(needed).filter(|(_, needed)| **needed);
    nodes.filter_map(|(node, _)| if let Op::Input(op) = &node.op { Some(op.field) } else { None }).collect()
}
