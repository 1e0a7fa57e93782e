//! What each command does: typed arguments enter, printed text and an exit code leave. What is printed is made elsewhere.

mod check;
mod fmt;
mod graph;
mod new;

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use dl_compiler::{Code, Compiled, Failure, Options};

use crate::arguments::{Arguments, Format};
use crate::{files, json, memory, output, tree};

pub(crate) use check::check;
pub(crate) use fmt::fmt;
pub(crate) use graph::{graph, picture_kind};
pub(crate) use new::new;

/// `dln expand`: the generated Rust, or the text of an earlier stage.
pub(crate) fn expand(file: &Path, stage: &str, runtime: String) -> ExitCode {
    let options = Options { runtime, ..files::options(file) };
    match files::read(file).and_then(|source| dl_compiler::dump(source, &options, stage)) {
        Ok(text) => output::print(&text.unwrap_or_default()),
        Err(failure) => output::failure(&failure),
    }
}

/// `dln summary`: the layers of every network, or its arenas.
pub(crate) fn summary(file: &Path, memory: bool, format: Format) -> ExitCode {
    show(file, format, |compiled| match (format, memory) {
        (Format::Text, false) => tree::tables(&compiled.summary()),
        (Format::Text, true) => compiled.networks.iter().map(memory::tables).collect(),
        (Format::Json, false) => json::text(compiled.summary().iter().map(json::network)),
        (Format::Json, true) => json::text(compiled.networks.iter().flat_map(json::memory)),
    })
}

/// `dln explain`: a page of the catalogue, or its table of contents.
pub(crate) fn explain(code: Option<Code>) -> ExitCode {
    let Some(code) = code else {
        let line = |code: &Code| format!("{}  {}\n", code.number(), code.title());
        return output::print(&Code::ALL.iter().map(line).collect::<String>());
    };
    let mut text = format!("{}: {}\n\n", code.number(), code.title());
    let mut is_program = false;
    for line in code.explanation().lines() {
        if line.starts_with("```") {
            is_program = !is_program;
        } else if is_program && !line.is_empty() {
            text.push_str(&format!("    {line}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    output::print(&text)
}

/// `dln completions`: a script for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "dln", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints what is made of a compiled file, or shows what is wrong with it.
fn show(file: &Path, format: Format, text: impl FnOnce(Compiled) -> String) -> ExitCode {
    match files::compile(file) {
        Ok(compiled) => output::print(&text(compiled)),
        Err(failure) => fail(&failure, format),
    }
}

/// Shows what is wrong: to people on standard error, to tools on standard output.
fn fail(failure: &Failure, format: Format) -> ExitCode {
    match format {
        Format::Text => output::failure(failure),
        Format::Json => {
            output::print(&json::text(json::diagnostics(failure)));
            ExitCode::FAILURE
        }
    }
}
