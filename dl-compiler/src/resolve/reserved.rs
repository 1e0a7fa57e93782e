//! Names that generated code cannot have: those that Rust or its scaffolding needs, and two that become one in Rust.
//!
//! Other keywords of Rust are fine: generated code writes them as raw identifiers.

use std::collections::BTreeMap;

use dl_grammar::ast::{Member, Name, Network};
use dl_grammar::{Code, Diagnostic, Span};

use super::limits;
use super::network::metric_name;
use crate::model::Parameter;
use crate::reserved::{METHODS, TYPES};

/// Names that Rust has no raw form of.
const NAMES: &[&str] = &["self", "Self", "super", "crate"];

/// The condition that differs between training and inference.
const CONDITION: &str = "training";

/// A name that cannot be declared at all.
pub(super) fn name(name: &Name) -> Option<Diagnostic> {
    let text = name.text.as_str();
    if text.len() > limits::MAX_NAME {
        let message = format!("a name has {} characters, {} are the limit", text.len(), limits::MAX_NAME);
        return Some(Diagnostic::new(Code::TooLarge, name.span, message).label("too long"));
    }
    if NAMES.contains(&text) {
        return Some(reserved(name.span, text, "Rust"));
    }
    if text == CONDITION {
        return Some(reserved(name.span, text, "the condition of `if training`"));
    }
    None
}

/// Networks whose module and type would be one name, or whose modules would.
pub(super) fn networks<'a>(names: impl Iterator<Item = &'a Name>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut modules: BTreeMap<String, &Name> = BTreeMap::new();
    for name in names {
        let module = name.text.to_ascii_lowercase();
        if module == name.text {
            let message = format!("the network `{module}` becomes a type and a module of one name");
            let diagnostic = Diagnostic::new(Code::ReservedName, name.span, message)
                .label("begins with a small letter")
                .help(format!("call it `{}`", camel(&name.text)));
            diagnostics.push(diagnostic);
        }
        match modules.get(&module) {
            Some(before) if before.text != name.text => {
                diagnostics.push(same(name.span, &name.text, before.span, &before.text, &format!("module `{module}`")));
            }
            Some(_) => {}
            None => {
                modules.insert(module, name);
            }
        }
    }
    diagnostics
}

/// Inputs, labels, outputs and metrics whose names generated code cannot have.
pub(super) fn members(network: &Network) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut types: BTreeMap<String, (&str, Span)> = BTreeMap::new();
    let mut metrics: BTreeMap<&str, Span> = BTreeMap::new();
    for member in &network.members {
        let name = match member {
            Member::Input(field) | Member::Label(field) => &field.name,
            Member::Output(binding) => &binding.name,
            Member::Metric(measure) => {
                let name = metric_name(measure);
                let span = measure.name.as_ref().map_or(measure.value.span, |name| name.span);
                match metrics.get(name) {
                    _ if name == "loss" => diagnostics.push(reserved(span, name, "the report of a step")),
                    Some(&before) if measure.name.is_none() => {
                        let diagnostic =
                            Diagnostic::new(Code::DuplicateName, span, format!("there are two metrics `{name}`"))
                                .label("the second one")
                                .related(before, "the first one")
                                .help(format!("give it a name: `metric {name}_2 = …`"));
                        diagnostics.push(diagnostic);
                    }
                    Some(_) => {}
                    None => {
                        metrics.insert(name, span);
                    }
                }
                continue;
            }
            _ => continue,
        };
        let ty = camel(&name.text);
        if TYPES.contains(&ty.as_str()) {
            let diagnostic = reserved(name.span, &name.text, &format!("generated code, which has a type `{ty}`"));
            diagnostics.push(diagnostic.help(format!("call it `{}_value`", name.text)));
            continue;
        }
        match types.get(&ty) {
            Some((before, span)) if *before != name.text => {
                diagnostics.push(same(name.span, &name.text, *span, before, &format!("type `{ty}`")));
            }
            Some(_) => {}
            None => {
                types.insert(ty, (&name.text, name.span));
            }
        }
    }
    diagnostics
}

/// Parameters whose paths are equal, or become one accessor.
pub(super) fn parameters(parameters: &[Parameter]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut accessors: BTreeMap<String, &Parameter> = BTreeMap::new();
    for parameter in parameters {
        let accessor = parameter.path.replace('.', "_");
        if METHODS.contains(&accessor.as_str()) {
            let diagnostic = reserved(parameter.span, &accessor, "a method of generated code");
            diagnostics.push(diagnostic.help(format!("call it `{accessor}_value`")));
            continue;
        }
        let twin = [accessor.clone(), format!("{accessor}_mut")];
        let twin = twin
            .iter()
            .chain(accessor.strip_suffix("_mut").map(str::to_owned).as_ref())
            .find_map(|name| accessors.get(name).copied());
        match twin {
            Some(before) if before.path == parameter.path => {
                if diagnostics.last().is_some_and(|last: &Diagnostic| last.span == parameter.span) {
                    continue;
                }
                let message = format!("two parameters have the path `{}`", parameter.path);
                let diagnostic = Diagnostic::new(Code::DuplicateName, parameter.span, message)
                    .label("the second one")
                    .related(before.span, "the first one")
                    .help("name the instance: `|> name: layer(…)`");
                diagnostics.push(diagnostic);
            }
            Some(before) => {
                let what = format!("accessor `{accessor}`");
                diagnostics.push(same(parameter.span, &parameter.path, before.span, &before.path, &what));
            }
            None => {
                accessors.insert(accessor, parameter);
            }
        }
    }
    diagnostics
}

fn reserved(span: Span, name: &str, owner: &str) -> Diagnostic {
    Diagnostic::new(Code::ReservedName, span, format!("the name `{name}` is reserved for {owner}"))
        .label("choose another name")
}

fn same(span: Span, name: &str, before: Span, other: &str, what: &str) -> Diagnostic {
    Diagnostic::new(Code::DuplicateName, span, format!("`{name}` and `{other}` become the same {what} in Rust"))
        .label("the second one")
        .related(before, "the first one")
}

/// `hidden_weight` → `HiddenWeight`
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
