//! Checks of a whole network, after both walks: its parts, its loss, its gradients, its inference, and whether
//! training and inference are one network.

use dl_grammar::ast::{self, ExprKind, Member};
use dl_grammar::{Code, Diagnostic, Span};

use super::network::Half;
use crate::gradient::differentiate;
use crate::graph::{Graph, NodeId, Role};
use crate::model::Field;
use crate::ops::Op;

/// What can be said without values: a network has an input, an output or loss, and what trains has a loss.
pub(super) fn parts(network: &ast::Network) -> Vec<Diagnostic> {
    let has = |wanted: fn(&Member) -> bool| network.members.iter().any(wanted);
    let has_loss = has(|member| matches!(member, Member::Loss(_)));
    let has_output = has(|member| matches!(member, Member::Output(_)));
    let train = network.members.iter().find_map(|member| match member {
        Member::Train(train) => Some(train.span),
        _ => None,
    });
    let name = &network.name;
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
    if let Some(section) = train.filter(|_| !has_loss) {
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
pub(super) fn halves(network: &ast::Network, training: &Half, inference: &Half) -> Vec<Diagnostic> {
    let mut diagnostics = disagreements(network, training, inference);
    diagnostics.extend(outputs_without_labels(network, &inference.graph, &inference.fields));
    diagnostics.extend(gradients(network, training));
    diagnostics
}

/// Parameters and shapes are those of one network.
fn disagreements(network: &ast::Network, training: &Half, inference: &Half) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let pairs = training.parameters.iter().zip(&inference.parameters);
    let different = pairs.clone().find(|(a, b)| (&a.path, &a.dims, a.initializer) != (&b.path, &b.dims, b.initializer));
    match different {
        Some((a, b)) if a.path == b.path => {
            let label = format!("{:?} in training, {:?} in inference", a.dims, b.dims);
            diagnostics.push(differ(a.span, format!("the parameter `{}`", a.path), label));
        }
        Some((a, b)) => {
            let label = format!("`{}` in training, `{}` in inference", a.path, b.path);
            diagnostics.push(differ(a.span, "the parameters".to_owned(), label));
        }
        None => {
            let shared = pairs.len();
            if let Some(extra) = training.parameters.get(shared) {
                diagnostics.push(differ(
                    extra.span,
                    format!("the parameter `{}`", extra.path),
                    "in training only".to_owned(),
                ));
            }
            if let Some(extra) = inference.parameters.get(shared) {
                diagnostics.push(differ(
                    extra.span,
                    format!("the parameter `{}`", extra.path),
                    "in inference only".to_owned(),
                ));
            }
        }
    }
    if !diagnostics.is_empty() {
        return diagnostics;
    }
    for (a, b) in training.outputs.iter().flatten().zip(inference.outputs.iter().flatten()) {
        if a.dims != b.dims {
            let label = format!("{:?} in training, {:?} in inference", a.dims, b.dims);
            diagnostics.push(differ(a.span, format!("the shape of the output `{}`", a.name), label));
        }
    }
    let roles = |half: &Half| half.graph.roots.iter().map(|(role, _)| *role).collect::<Vec<_>>();
    if diagnostics.is_empty() && roles(training) != roles(inference) {
        let span = network.name.span;
        let message = "training and inference disagree about outputs, losses or metrics";
        diagnostics.push(Diagnostic::new(Code::TrainingDisagrees, span, message));
    }
    diagnostics
}

fn differ(span: Span, what: String, label: String) -> Diagnostic {
    let message = format!("training and inference disagree about {what}");
    Diagnostic::new(Code::TrainingDisagrees, span, message).label(label)
}

/// What inference yields may not ask for a label.
fn outputs_without_labels(network: &ast::Network, graph: &Graph, fields: &[Option<Field>]) -> Vec<Diagnostic> {
    let declared = network.members.iter().filter_map(|member| match member {
        Member::Output(binding) => Some(binding),
        _ => None,
    });
    let mut diagnostics = Vec::new();
    for (place, output) in declared.enumerate() {
        let Some(root) = graph.root(Role::Output(place)) else { continue };
        let Some(label) = reached_label(graph, root, fields) else { continue };
        let message = format!("the output `{}` depends on the label `{}`", output.name.text, label.name);
        let diagnostic = Diagnostic::new(Code::LabelInInference, output.name.span, message)
            .label("inference knows no labels")
            .related(label.span, "the label")
            .help(format!("declare it as `input {}: …` if inference knows it", label.name));
        diagnostics.push(diagnostic);
    }
    diagnostics
}

/// The first label that a value is computed from.
fn reached_label<'h>(graph: &Graph, from: NodeId, fields: &'h [Option<Field>]) -> Option<&'h Field> {
    let mut reached = vec![false; from.index() + 1];
    reached[from.index()] = true;
    for (id, node) in graph.iter().take(from.index() + 1).rev() {
        if !reached[id.index()] {
            continue;
        }
        if let Op::Input(input) = &node.op
            && let Some(Some(field)) = fields.get(input.field)
            && field.label
        {
            return Some(field);
        }
        for operand in &node.operands {
            reached[operand.index()] = true;
        }
    }
    None
}

/// A loss of a network that has parameters, or trains, must reach one of them.
fn gradients(network: &ast::Network, training: &Half) -> Vec<Diagnostic> {
    let loss = network.members.iter().find_map(|member| match member {
        Member::Loss(measure) => Some(measure),
        _ => None,
    });
    let Some(loss) = loss else { return Vec::new() };
    if training.parameters.is_empty() && training.train.is_none() {
        return Vec::new();
    }
    let mut graph = training.graph.with_roots(|role| role == Role::Loss(0));
    let is_sound = differentiate(&mut graph, training.parameters.len()).is_ok();
    if !is_sound || graph.roots.iter().any(|(role, _)| matches!(role, Role::Gradient(_))) {
        return Vec::new();
    }
    let mut diagnostic = Diagnostic::new(
        Code::NotDifferentiable,
        loss.value.span,
        format!("no gradient of the loss reaches any parameter of `{}`", network.name.text),
    );
    if training.parameters.is_empty() {
        diagnostic = diagnostic.label("there are no parameters to train").help("use a layer such as `dense(10)`");
    } else {
        diagnostic = diagnostic
            .label("depends on no parameter, or only through operations without gradient")
            .note("comparisons, `accuracy` and the like have no gradient");
    }
    vec![diagnostic]
}

/// The first byte of a long span, which is enough to point at it.
fn start(span: Span) -> Span {
    Span { end: span.end.min(span.start.saturating_add("train".len() as u32)), ..span }
}
