//! Checks of a whole network, after both walks: its parts, its loss, its gradients, its inference, and whether
//! training and inference are one network.

use dl_grammar::ast::{self, ExprKind, Member};
use dl_grammar::{Code, Diagnostic, Span};

use super::network::{Half, Target};
use crate::gradient::differentiate;
use crate::graph::{Graph, Role};
use crate::model::{Field, Loss, Parameter};
use crate::ops::Op;

/// What can be said without values: a network has an input, an output or loss, and what trains has a loss.
pub(super) fn parts(target: &Target<'_>) -> Vec<Diagnostic> {
    let network = target.network;
    let has = |wanted: fn(&Member) -> bool| network.members.iter().any(wanted);
    let has_loss = has(|member| matches!(member, Member::Loss(_))) && !target.inference;
    let has_output = has(|member| matches!(member, Member::Output(_)));
    let train = network.members.iter().find_map(|member| match member {
        Member::Train(train) => Some(train.span),
        _ => None,
    });
    let name = target.name;
    if !has_loss && !has_output {
        let message = format!("the network `{}` has neither output nor loss", name.text);
        let diagnostic = Diagnostic::new(Code::MissingOutput, name.span, message)
            .label("computes nothing")
            .help("add `output name = …;`");
        return vec![diagnostic];
    }
    let mut diagnostics = Vec::new();
    if !has_input(network) {
        let message = format!("the network `{}` has no input", name.text);
        let diagnostic = Diagnostic::new(Code::MissingInput, name.span, message)
            .label("its outputs would be the same for every example")
            .help("add `input name: [dims];`");
        diagnostics.push(diagnostic);
    }
    if let Some(section) = train.filter(|_| !has_loss && !target.inference) {
        let message = format!("the network `{}` has a train section but no loss", name.text);
        let diagnostic = Diagnostic::new(Code::MissingLoss, name.span, message)
            .label("has no loss")
            .related(start(section), "trained by this section")
            .help("add `loss mse(prediction, target);` or `loss cross_entropy(logits, label);`");
        diagnostics.push(diagnostic);
    }
    diagnostics
}

/// Whether a network has an input, or something unreadable that may have been one.
pub(super) fn has_input(network: &ast::Network) -> bool {
    network.members.iter().any(|member| match member {
        Member::Input(_) => true,
        Member::Binding(binding) => binding.value.kind == ExprKind::Invalid,
        _ => false,
    })
}

/// What both walks of a network without mistakes must meet.
pub(super) fn halves(target: &Target<'_>, training: &Half, inference: &Half) -> Vec<Diagnostic> {
    let network = target.network;
    let mut diagnostics = disagreements(target, training, inference);
    diagnostics.extend(outputs(network, &inference.graph, &inference.fields));
    diagnostics.extend(gradients(network, training));
    diagnostics
}

/// Parameters, states and shapes are those of one network.
fn disagreements(target: &Target<'_>, training: &Half, inference: &Half) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    diagnostics.extend(different("parameter", &training.parameters, &inference.parameters));
    diagnostics.extend(different("state", &training.states, &inference.states));
    if !diagnostics.is_empty() {
        return diagnostics;
    }
    for (a, b) in training.outputs.iter().flatten().zip(inference.outputs.iter().flatten()) {
        if a.dims != b.dims {
            let label = format!("{:?} in training, {:?} in inference", a.dims, b.dims);
            diagnostics.push(differ(a.span, format!("the shape of the output `{}`", a.name), label));
        }
    }
    let roles = |half: &Half| {
        let roles = half.graph.roots.iter().map(|(role, _)| *role);
        roles.filter(|role| !matches!(role, Role::Update(_))).collect::<Vec<_>>()
    };
    if diagnostics.is_empty() && roles(training) != roles(inference) {
        let span = target.name.span;
        let message = "training and inference disagree about outputs, losses or metrics";
        diagnostics.push(Diagnostic::new(Code::TrainingDisagrees, span, message));
    }
    diagnostics
}

/// The first tensor that is not the same in both.
fn different(kind: &str, training: &[Parameter], inference: &[Parameter]) -> Option<Diagnostic> {
    let mut pairs = training.iter().zip(inference);
    if let Some((a, b)) = pairs.find(|(a, b)| (&a.path, &a.dims, a.initializer) != (&b.path, &b.dims, b.initializer)) {
        let (what, label) = match a.path == b.path {
            true => {
                (format!("the {kind} `{}`", a.path), format!("{:?} in training, {:?} in inference", a.dims, b.dims))
            }
            false => (format!("the {kind}s"), format!("`{}` in training, `{}` in inference", a.path, b.path)),
        };
        return Some(differ(a.span, what, label));
    }
    let (extra, only) = match training.len() > inference.len() {
        true => (training.get(inference.len())?, "in training only"),
        false => (inference.get(training.len())?, "in inference only"),
    };
    Some(differ(extra.span, format!("the {kind} `{}`", extra.path), only.to_owned()))
}

fn differ(span: Span, what: String, label: String) -> Diagnostic {
    let message = format!("training and inference disagree about {what}");
    Diagnostic::new(Code::TrainingDisagrees, span, message).label(label)
}

/// What inference yields for an example may ask for no label and may not depend on the other examples of the batch.
pub(super) fn outputs(network: &ast::Network, graph: &Graph, fields: &[Option<Field>]) -> Vec<Diagnostic> {
    let declared = network.members.iter().filter_map(|member| match member {
        Member::Output(binding) => Some(binding),
        _ => None,
    });
    let mut diagnostics = Vec::new();
    for (place, output) in declared.enumerate() {
        let Some(root) = graph.root(Role::Output(place)) else { continue };
        let needed = graph.needed([root]);
        // The last of a kind is the one nearest to the output.
        let mut nodes = graph.nodes.iter().zip(&needed).rev().filter(|(_, needed)| **needed).map(|(node, _)| node);
        let label = nodes.clone().find_map(|node| match &node.op {
            Op::Input(input) => fields.get(input.field)?.as_ref().filter(|field| field.label),
            _ => None,
        });
        let sum = nodes.find(|node| matches!(node.op, Op::SumBatch(_)));
        diagnostics.extend(label.map(|label| of_label(output, label)));
        diagnostics.extend(sum.map(|sum| of_batch(output, sum.origin.span)));
    }
    diagnostics
}

fn of_label(output: &ast::Binding, label: &Field) -> Diagnostic {
    let message = format!("the output `{}` depends on the label `{}`", output.name.text, label.name);
    Diagnostic::new(Code::LabelInInference, output.name.span, message)
        .label("inference knows no labels")
        .related(label.span, "the label")
        .help(format!("declare it as `input {}: …` if inference knows it", label.name))
}

fn of_batch(output: &ast::Binding, reduction: Span) -> Diagnostic {
    let message = format!("the output `{}` depends on the other examples of the batch", output.name.text);
    Diagnostic::new(Code::BatchRule, output.name.span, message)
        .label("inference answers for one example")
        .related(reduction, "this reduces over the batch")
        .help("choose by `if training { … } else { … }`, and keep in a `state` what inference needs")
}

/// Each loss of a network that has parameters, or trains, must reach one that it trains.
fn gradients(network: &ast::Network, training: &Half) -> Vec<Diagnostic> {
    if training.parameters.is_empty() && training.train.is_none() {
        return Vec::new();
    }
    let measures: Vec<&ast::Measure> = network
        .members
        .iter()
        .filter_map(|member| match member {
            Member::Loss(measure) => Some(measure),
            _ => None,
        })
        .collect();
    let mut diagnostics = Vec::new();
    for (place, loss) in training.losses.iter().enumerate() {
        let Some(root) = training.graph.root(Role::Loss(place)) else { continue };
        let is_of = |measure: &&&ast::Measure| measure.name.as_ref().map(|name| &name.text) == loss.name.as_ref();
        let Some(measure) = measures.iter().find(is_of) else { continue };
        let mut graph = Graph { roots: vec![(Role::Loss(0), root)], ..training.graph.clone() };
        let all: Vec<usize> = (0..training.parameters.len()).collect();
        if differentiate(&mut graph, 0, &all).is_err() {
            continue;
        }
        let reaches = |place: usize| graph.root(Role::Gradient(place)).is_some();
        if !loss.updates.iter().any(|&place| reaches(place)) {
            let is_apart = (0..training.parameters.len()).any(reaches);
            diagnostics.push(unreached(network, training, loss, measure, is_apart));
        }
    }
    diagnostics
}

/// A loss that trains nothing; `is_apart` if it reaches parameters, but none of those that it may train.
fn unreached(
    network: &ast::Network,
    training: &Half,
    loss: &Loss,
    measure: &ast::Measure,
    is_apart: bool,
) -> Diagnostic {
    let shown = loss.name.as_ref().map_or("the loss".to_owned(), |name| format!("the loss `{name}`"));
    let whose = match (is_apart, measure.updates.first()) {
        (true, Some(_)) => "that it updates".to_owned(),
        (true, None) => "that is not frozen".to_owned(),
        (false, _) => format!("of `{}`", network.name.text),
    };
    let message = format!("no gradient of {shown} reaches any parameter {whose}");
    let diagnostic = Diagnostic::new(Code::NotDifferentiable, measure.value.span, message);
    if is_apart {
        return diagnostic.label("depends on other parameters only");
    }
    if training.parameters.is_empty() {
        return diagnostic.label("there are no parameters to train").help("use a layer such as `dense(10)`");
    }
    diagnostic
        .label("depends on no parameter, or only through operations without gradient")
        .note("comparisons, `accuracy` and the like have no gradient")
}

/// The first byte of a long span, which is enough to point at it.
fn start(span: Span) -> Span {
    Span { end: span.end.min(span.start.saturating_add("train".len() as u32)), ..span }
}
