//! Budgets: `budget { parameters < 64_000, memory < 256_KiB }` against what a network came to, and the limit of all arenas.
//!
//! A planned network enters, a mistake for each limit that it exceeds leaves. Parameters are counted in numbers, memory in
//! bytes: parameters, states, and what the workspace of inference takes for one example.

use dl_grammar::{Code, Diagnostic};

use crate::model::{Measured, Model, Parameter};
use crate::program::{Home, Program};
use crate::summary::grouped;

/// Bytes of a number.
const BYTES: usize = 4;

/// Floats of a shard, of what the batch has once, or of what is prepared (32 GiB).
const MAX_ARENA: usize = 1 << 33;

/// What of a planned program is larger than any arena may be.
pub fn arena(model: &Model, program: &Program) -> Option<Diagnostic> {
    let examples = program.shard_examples;
    let homes = [
        (Home::Shard, program.shard_floats, format!("the values of {examples} examples take")),
        (Home::Fixed, program.fixed_floats, "the values that a batch has once take".to_owned()),
        (Home::Prepared, program.prepared_floats, "the parameters in the form that kernels read take".to_owned()),
    ];
    let (home, floats, what) = homes.into_iter().find(|(_, floats, _)| *floats > MAX_ARENA)?;
    let message = format!("`{}` is larger than the limit: {what} {} floats", model.name, typed(floats));
    let here = program.buffers.iter().filter(|buffer| buffer.home == home);
    let largest = here.max_by_key(|buffer| buffer.extent(examples));
    let diagnostic =
        Diagnostic::new(Code::TooLarge, model.span, message).label(format!("at most {} floats", typed(MAX_ARENA)));
    Some(match largest {
        Some(buffer) => diagnostic.note(format!("the largest of them, `{}`, is of {:?}", buffer.name, buffer.dims)),
        None => diagnostic,
    })
}

/// What exceeds its limit, with what takes the most.
pub fn budget(model: &Model, inference: &Program) -> Vec<Diagnostic> {
    let parameters = floats(&model.parameters);
    let states = floats(&model.states);
    let workspace = inference.shard_floats.div_ceil(inference.shard_examples).saturating_add(inference.fixed_floats);
    let mut diagnostics = Vec::new();
    for limit in &model.budget {
        let (found, unit) = match limit.measured {
            Measured::Parameters => (parameters, "parameters"),
            Measured::Memory => {
                (parameters.saturating_add(states).saturating_add(workspace).saturating_mul(BYTES), "bytes of memory")
            }
        };
        if found < limit.limit || limit.inclusive && found == limit.limit {
            continue;
        }
        let bound = if limit.inclusive { "at most" } else { "fewer than" };
        let message =
            format!("`{}` needs {} {unit}, its budget is {bound} {}", model.name, typed(found), typed(limit.limit));
        let mut diagnostic = Diagnostic::new(Code::OverBudget, limit.span, message);
        diagnostic = diagnostic.label(format!("exceeded by {}", typed(found.saturating_sub(limit.limit))));
        if limit.measured == Measured::Memory {
            let part = |floats: usize| typed(floats.saturating_mul(BYTES));
            diagnostic = diagnostic.note(format!(
                "parameters take {}, states {}, the workspace of one example {}",
                part(parameters),
                part(states),
                part(workspace)
            ));
        }
        let largest = largest(&model.parameters);
        if !largest.is_empty() {
            diagnostic = diagnostic.note(format!("the largest: {}", largest.join(", ")));
        }
        let name = if limit.measured == Measured::Memory { "memory" } else { "parameters" };
        diagnostics.push(diagnostic.help(format!("make the network smaller, or write `{name} <= {}`", typed(found))));
    }
    diagnostics
}

fn floats(tensors: &[Parameter]) -> usize {
    tensors.iter().fold(0, |sum, tensor| sum.saturating_add(size(tensor)))
}

fn size(tensor: &Parameter) -> usize {
    tensor.dims.iter().product()
}

/// The parameters that take the most, the largest first.
fn largest(parameters: &[Parameter]) -> Vec<String> {
    const SHOWN: usize = 3;
    let mut order: Vec<&Parameter> = parameters.iter().collect();
    order.sort_by_key(|parameter| std::cmp::Reverse(size(parameter)));
    let shown = order.iter().take(SHOWN);
    shown
        .map(|parameter| format!("`{}` {:?} with {}", parameter.path, parameter.dims, typed(size(parameter))))
        .collect()
}

/// `64_000`, as it can be typed.
fn typed(number: usize) -> String {
    grouped(number).replace(' ', "_")
}
