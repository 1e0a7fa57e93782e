//! Losses put together: the unnamed ones are one sum, each named one is a step of its own, penalties join those that reach
//! their layer.
//!
//! Before: the nodes of the losses and penalties. After: a root for every step and the table of what each trains.

use dl_grammar::ast::Measure;
use dl_grammar::{Diagnostic, Span};

use super::held::Addend;
use super::select::select;
use crate::graph::{Graph, NodeId, Origin, Role};
use crate::model::{Loss, Parameter};
use crate::ops::{Op, add};

/// A loss that was evaluated.
pub(super) struct Term<'a> {
    /// The statement.
    pub(super) measure: &'a Measure,
    /// One number per example.
    pub(super) node: NodeId,
}

/// Adds the roots of all losses to the graph; what each step trains, and what is wrong with its patterns.
pub(super) fn losses(
    graph: &mut Graph,
    terms: &[Term<'_>],
    penalties: &[Addend],
    parameters: &[Parameter],
    network: Span,
) -> (Vec<Loss>, Vec<Diagnostic>) {
    let mut found = (Vec::new(), Vec::new());
    let unnamed: Vec<NodeId> = terms.iter().filter(|term| term.measure.name.is_none()).map(|term| term.node).collect();
    let trained: Vec<usize> = (0..parameters.len()).filter(|&place| !parameters[place].frozen).collect();
    if let Some((&first, others)) = unnamed.split_first() {
        let total = others.iter().fold(first, |total, &other| sum(graph, total, other, "loss", network));
        let total = with_penalties(graph, total, penalties, "loss");
        graph.roots.push((Role::Loss(0), total));
        found.0.push(Loss { name: None, docs: Vec::new(), updates: trained.clone(), span: network });
    }
    let paths: Vec<&str> = parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    for Term { measure, node } in terms {
        let Some(name) = &measure.name else { continue };
        let total = with_penalties(graph, *node, penalties, &name.text);
        graph.roots.push((Role::Loss(found.0.len()), total));
        let mut updates = trained.clone();
        if !measure.updates.is_empty() {
            let (chosen, diagnostics) = select(&measure.updates, &paths);
            found.1.extend(diagnostics);
            updates.retain(|place| chosen.binary_search(place).is_ok());
        }
        found.0.push(Loss { name: Some(name.text.clone()), docs: measure.docs.clone(), updates, span: name.span });
    }
    found
}

/// The loss and all penalties whose layers it reaches.
fn with_penalties(graph: &mut Graph, loss: NodeId, penalties: &[Addend], name: &str) -> NodeId {
    if penalties.is_empty() {
        return loss;
    }
    let reached = graph.needed([loss]);
    let joins = |penalty: &&Addend| match penalty.layer {
        Some((first, end, result)) => {
            let made = reached.get(first..end.min(reached.len())).unwrap_or_default();
            made.contains(&true) || result.is_some_and(|id| reached[id.index()])
        }
        None => {
            let own = reached_parameters(graph, penalty.node);
            own.is_empty() || own.iter().any(|id| reached[id.index()])
        }
    };
    let joining: Vec<(NodeId, Span)> =
        penalties.iter().filter(joins).map(|penalty| (penalty.node, penalty.span)).collect();
    joining.into_iter().fold(loss, |total, (node, span)| sum(graph, total, node, name, span))
}

/// The sum of two numbers; both have been checked to be numbers, so that it is always possible.
fn sum(graph: &mut Graph, a: NodeId, b: NodeId, name: &str, span: Span) -> NodeId {
    graph.add(add::Add.into(), &[a, b], Origin { span, name: name.to_owned() }).unwrap_or(a)
}

fn reached_parameters(graph: &Graph, from: NodeId) -> Vec<NodeId> {
    let reached = graph.needed([from]);
    let parameters = graph.iter().filter(|(id, node)| matches!(node.op, Op::Parameter(_)) && reached[id.index()]);
    parameters.map(|(id, _)| id).collect()
}
