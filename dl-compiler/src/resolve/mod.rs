//! From tree to models: names, shapes and attributes are found, layers unfolded, everything checked.
//!
//! An [`ast::File`] enters; a [`Model`] for each network without mistakes, a [`Skeleton`] for each of the others, and
//! all diagnostics leave. It is an interpreter: constants, functions and layers are evaluated with compile-time values,
//! and what is left is a graph of operations. Every network is walked twice, for training and for inference. It does
//! not optimize and keeps what nothing needs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use dl_grammar::ast::{self, Item};
use dl_grammar::{Code, Diagnostic, FileId, Sources, Span};

use crate::import::Imports;
use crate::library;
use crate::model::{Field, Model, Named};

mod allowance;
mod axes;
mod broadcast;
mod builtin;
mod call;
mod catalog;
mod check;
mod draw;
mod evaluator;
mod expr;
mod held;
mod instance;
mod layer;
mod limits;
mod lookup;
mod mention;
mod names;
mod network;
mod objective;
mod operation;
mod operator;
mod order;
mod part;
mod path;
mod pattern;
mod reduce;
mod reserved;
mod scan;
mod select;
mod sharing;
mod stage;
mod train;
mod value;

use catalog::{Catalog, NoTemplate};
use evaluator::{Evaluator, Kind, Program};
use network::{Half, Target};
use value::{Home, Value};

/// With more mistakes than this, the networks that follow are not looked at: nobody reads that far.
const ENOUGH: usize = 10 * limits::MAX_DIAGNOSTICS;

/// What came of a file.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The networks without mistakes, in order of declaration.
    pub models: Vec<Model>,
    /// What is known of the others, in order of declaration.
    pub skeletons: Vec<Skeleton>,
    /// All mistakes, in order of place, each once.
    pub diagnostics: Vec<Diagnostic>,
}

/// What is known of a network with mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Skeleton {
    /// What it is called.
    pub name: String,
    /// Its documentation.
    pub docs: Vec<String>,
    /// Whether `pub` stands before it.
    pub public: bool,
    /// Where it is declared.
    pub span: Span,
    /// Inputs, then labels, as far as their types are known.
    pub fields: Vec<Field>,
    /// Outputs, as far as their shapes are known.
    pub outputs: Vec<Named>,
    /// Whether there is a loss.
    pub has_loss: bool,
}

/// Resolves all networks of a program; the library's texts are added to `sources`. `file` holds the declarations of all
/// files, as [`import`](crate::import::import) makes it; models are made of those of the text `main` only.
pub fn resolve(file: &ast::File, main: FileId, imports: &Imports, sources: &mut Sources) -> Resolved {
    let library = library::load(sources);
    let catalog = Catalog::new(file, imports, &library);
    let found = names::names(file, &catalog, Home::User(main));
    let order = order::order(file, &found.mentions);
    let mut diagnostics = found.diagnostics;
    diagnostics.extend(order.diagnostics);

    let mut program =
        Program { catalog, sources, constants: BTreeMap::new(), recursive: BTreeSet::new(), steps: Cell::new(0) };
    for (item, is_cyclic) in file.items.iter().zip(&order.cyclic) {
        let name = match item {
            Item::Function(function) => &function.name,
            Item::Layer(layer) => &layer.name,
            Item::Network(network) => &network.name,
            Item::Instance(instance) => &instance.name,
            Item::Const(_) | Item::Import(_) => continue,
        };
        if *is_cyclic {
            program.recursive.insert((Home::User(name.span.file), &name.text));
        }
    }
    for &place in &order.items {
        if let Some(Item::Const(constant)) = file.items.get(place)
            && !order.cyclic.get(place).is_some_and(|is_cyclic| *is_cyclic)
        {
            let (value, found) = evaluate(&program, constant);
            program.constants.entry(&constant.name.text).or_insert(value);
            diagnostics.extend(found);
        }
    }

    let mut resolved = Resolved::default();
    for item in &file.items {
        diagnostics.extend(too_far(&program, item));
        let Some(target) = target(&program, item).filter(|target| target.name.span.file == main) else { continue };
        if diagnostics.len() > ENOUGH {
            break;
        }
        let mut found = check::parts(&target);
        let training = network::half(&program, &target, !target.inference);
        let inference = network::half(&program, &target, false);
        found.extend(training.diagnostics.iter().chain(&inference.diagnostics).cloned());
        let is_touched = |diagnostic: &&Diagnostic| {
            inside(diagnostic.span, target.span) || inside(diagnostic.span, target.network.span)
        };
        let is_broken = is_poisoned(&training) || is_poisoned(&inference);
        if found.is_empty() && !is_broken && !diagnostics.iter().any(|diagnostic| is_touched(&diagnostic)) {
            found.extend(check::halves(&target, &training, &inference));
            found.extend(reserved::parameters(&training.parameters));
            found.extend(reserved::parameters(&training.states));
        } else if check::has_input(target.network) {
            found.extend(check::outputs(target.network, &inference.graph, &inference.fields));
        }
        let is_complete = found.is_empty() && !is_broken;
        diagnostics.extend(found);
        if is_complete && !diagnostics.iter().any(|diagnostic| is_touched(&diagnostic)) {
            resolved.models.push(model(&target, training, inference));
        } else if !diagnostics
            .iter()
            .any(|diagnostic| diagnostic.span == target.name.span && is_about_names(diagnostic))
        {
            resolved.skeletons.push(skeleton(&target, training));
        }
    }
    resolved.diagnostics = tidy(diagnostics, main);
    resolved
}

/// An instance of an instance of an instance … beyond the limit.
fn too_far<'a>(program: &Program<'a>, item: &'a Item) -> Option<Diagnostic> {
    let Item::Instance(instance) = item else { return None };
    let is_recursive = program.recursive.contains(&(Home::User(instance.name.span.file), instance.name.text.as_str()));
    if is_recursive || program.catalog.instances(instance).err() != Some(NoTemplate::TooFar) {
        return None;
    }
    let message = format!("`{}` is made of instances more than {} deep", instance.name.text, limits::MAX_CALLS);
    let diagnostic = Diagnostic::new(Code::Recursion, instance.template.callee.span, message);
    Some(diagnostic.label("the limit is exceeded here").help("make it an instance of the template itself"))
}

/// The network that an item makes code for: one whose attributes all have values, and that does not reach itself.
fn target<'a>(program: &Program<'a>, item: &'a Item) -> Option<Target<'a>> {
    let is_recursive =
        |name: &'a ast::Name| program.recursive.contains(&(Home::User(name.span.file), name.text.as_str()));
    match item {
        Item::Network(network) => {
            let is_template = network.arguments.iter().any(|argument| argument.default.is_none());
            let ast::Network { docs, public, inference, name, span, .. } = network;
            let (public, inference, span, instances) = (*public, *inference, *span, Vec::new());
            let target = Target { name, docs, public, inference, span, network, instances };
            (!is_template && !is_recursive(name)).then_some(target)
        }
        Item::Instance(instance) => {
            let (network, instances) = program.catalog.instances(instance).ok()?;
            if instances.iter().any(|instance| is_recursive(&instance.name)) || is_recursive(&network.name) {
                return None;
            }
            let docs = if instance.docs.is_empty() { &network.docs } else { &instance.docs };
            let ast::Instance { public, inference, name, span, .. } = instance;
            let (public, inference, span) = (*public, *inference || network.inference, *span);
            Some(Target { name, docs, public, inference, span, network, instances })
        }
        Item::Const(_) | Item::Function(_) | Item::Layer(_) | Item::Import(_) => None,
    }
}

/// The value of a constant, and what is wrong with it.
fn evaluate<'a>(program: &Program<'a>, constant: &'a ast::Const) -> (Value<'a>, Vec<Diagnostic>) {
    let mut evaluator =
        Evaluator::new(program, None, Kind::Constant, Home::User(constant.name.span.file), &constant.name);
    let mut value = evaluator.expr(&constant.value);
    if let Value::Tensor(_) | Value::Layer(_) = value {
        let found = value.clone();
        value = evaluator.wrong_kind(
            &format!("const {}", constant.name.text),
            "a value known at compile time",
            &found,
            constant.value.span,
        );
    }
    (value, evaluator.diagnostics)
}

/// Whether something is missing in a walk that reported nothing itself: what it used was wrong already.
fn is_poisoned(half: &Half) -> bool {
    half.fields.iter().any(Option::is_none) || half.outputs.iter().any(Option::is_none) || half.is_poisoned
}

/// Whether a network of that name would be a second mistake in Rust.
fn is_about_names(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.code, Code::DuplicateName | Code::ReservedName)
}

fn inside(span: Span, outer: Span) -> bool {
    span.file == outer.file && span.start >= outer.start && span.end <= outer.end
}

fn model(target: &Target<'_>, training: Half, inference: Half) -> Model {
    Model {
        name: target.name.text.clone(),
        docs: target.docs.clone(),
        public: target.public,
        span: target.name.span,
        fields: training.fields.into_iter().flatten().collect(),
        parameters: training.parameters,
        outputs: training.outputs.into_iter().flatten().collect(),
        metrics: training.metrics,
        inference_only: target.inference,
        states: training.states,
        losses: training.losses,
        budget: training.budget,
        train: training.train.unwrap_or_default(),
        training: if target.inference { training.graph.with_roots(|_| false) } else { training.graph },
        inference: inference.graph,
        bindings: inference.rows,
        calls: inference.calls,
    }
}

fn skeleton(target: &Target<'_>, half: Half) -> Skeleton {
    Skeleton {
        name: target.name.text.clone(),
        docs: target.docs.clone(),
        public: target.public,
        span: target.name.span,
        fields: half.fields.into_iter().flatten().collect(),
        outputs: half.outputs.into_iter().flatten().collect(),
        has_loss: !target.inference && has_loss(target.network),
    }
}

fn has_loss(network: &ast::Network) -> bool {
    network.members.iter().any(|member| matches!(member, ast::Member::Loss(_)))
}

/// Diagnostics in order of place, each once: what both walks find, and what several calls of one layer find at one place.
fn tidy(mut diagnostics: Vec<Diagnostic>, main: FileId) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.file != main, diagnostic.span, diagnostic.code));
    let mut seen = BTreeSet::new();
    diagnostics.retain(|diagnostic| seen.insert((diagnostic.span, diagnostic.code, diagnostic.message.clone())));
    diagnostics.truncate(limits::MAX_DIAGNOSTICS);
    diagnostics
}
