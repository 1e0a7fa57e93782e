//! The dln compiler: a network description goes in, Rust source comes out.
//!
//! [`compile`] is the one function behind every front door (the macro, the build script, the command).
//! It does no I/O. The stages are listed in [`pipeline`].

use std::fmt;

pub use dl_grammar::{Code, Diagnostic, FileId, Source, Sources, Span, render};
pub use import::{Imports, Loader};
use proc_macro2::TokenStream;

pub mod addends;
pub mod budget;
pub mod emit;
pub mod eval;
pub mod expression;
pub mod gradient;
pub mod graph;
pub mod import;
pub mod lanes;
pub mod library;
pub mod model;
pub mod moments;
pub mod ops;
pub mod optimize;
pub mod outline;
pub mod pipeline;
pub mod plan;
pub mod program;
mod reserved;
pub mod resolve;
pub mod schedule;
pub mod shards;
pub mod small;
pub mod summary;
pub mod training;
pub mod windows;

/// What a front door may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path by which generated code reaches the runtime.
    pub runtime: String,
    /// Whether the source line stands as a comment above each step (text output only; tokens carry no comments).
    pub comments: bool,
    /// What reads the files that the program imports; without it, it cannot import any.
    pub loader: Option<Loader>,
}

impl Default for Options {
    fn default() -> Options {
        Options { runtime: "::dln::runtime".to_owned(), comments: true, loader: None }
    }
}

/// What came out of a program without mistakes.
#[derive(Debug)]
pub struct Compiled {
    /// The program's text and those of the library.
    pub sources: Sources,
    /// The paths of the files that the program imports, in order.
    pub inputs: Vec<String>,
    /// The networks in all their representations.
    pub networks: Vec<pipeline::Network>,
    /// One module and one type for each network, as tokens.
    pub tokens: TokenStream,
}

impl Compiled {
    /// The generated code as formatted text.
    pub fn text(&self) -> String {
        emit::text(&self.tokens)
    }

    /// The layer table of every network: shape, parameters, FLOPs, bytes.
    pub fn summary(&self) -> Vec<Summary> {
        self.networks.iter().map(|network| summary::summary(&network.model, &network.programs, &self.sources)).collect()
    }
}

/// What is known of a program with mistakes.
#[derive(Debug)]
pub struct Failure {
    /// The program's text and those of the library.
    pub sources: Sources,
    /// Which files the program imports, and where.
    pub imports: Imports,
    /// All mistakes, in order of place.
    pub diagnostics: Vec<Diagnostic>,
    /// Types and signatures that could be made all the same, so that an editor keeps working.
    pub tokens: TokenStream,
}

/// The layer table of one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The network's name.
    pub name: String,
    /// The first paragraph of its documentation; may be empty.
    pub docs: String,
    /// One row for each binding, output and loss.
    pub rows: Vec<SummaryRow>,
    /// Floats in all parameters.
    pub parameters: usize,
    /// Floating-point operations of one forward pass over one example.
    pub flops: usize,
    /// Bytes of the workspace for one shard of inference and of training.
    pub inference_bytes: usize,
    /// Bytes of the workspace for one shard of training.
    pub training_bytes: usize,
}

/// One line of a layer table.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// The binding's name, or the segments that the call adds to the paths of its parameters; may be empty.
    pub name: String,
    /// What is called; empty for a binding of something else than one call.
    pub callee: String,
    /// The dimensions of its value.
    pub dims: Vec<usize>,
    /// Floats in the parameters it holds.
    pub parameters: usize,
    /// Floating-point operations of the forward pass over one example.
    pub flops: usize,
    /// Bytes its value takes for one example.
    pub bytes: usize,
    /// Where it stands: `file:line`.
    pub place: String,
    /// The calls in it, as the user's text nests them.
    pub children: Vec<SummaryRow>,
}

/// Compiles a program.
pub fn compile(source: Source, options: &Options) -> Result<Compiled, Box<Failure>> {
    finish(pipeline::run(source, options.loader.as_ref()), options)
}

fn finish(output: pipeline::Output, options: &Options) -> Result<Compiled, Box<Failure>> {
    let pipeline::Output { sources, imports, networks, skeletons, diagnostics, .. } = output;
    let mut tokens = TokenStream::new();
    for network in &networks {
        tokens.extend(emit::emit(&network.model, &network.programs, &sources, options));
    }
    if diagnostics.is_empty() {
        return Ok(Compiled { sources, inputs: imports.inputs, networks, tokens });
    }
    for skeleton in &skeletons {
        tokens.extend(emit::skeleton(skeleton, options));
    }
    Err(Box::new(Failure { sources, imports, diagnostics, tokens }))
}

/// The names of the stages that [`dump`] prints, in order.
pub const STAGES: &[&str] = &["ast", "graph", "gradient", "optimized", "program", "rust"];

/// The text of one stage of [`STAGES`], for all networks of the program; `None` for an unknown stage.
pub fn dump(source: Source, options: &Options, stage: &str) -> Result<Option<String>, Box<Failure>> {
    let output = pipeline::run(source, options.loader.as_ref());
    let mut text = String::new();
    for network in &output.networks {
        let mut section = |name: &str, body: &dyn fmt::Display| {
            text.push_str(&format!("# {}, {name}\n{body}\n", network.model.name));
        };
        match stage {
            "graph" => {
                section("training", &network.model.training);
                section("inference", &network.model.inference);
            }
            "gradient" => {
                let steps = network.model.losses.iter().zip(&network.gradients);
                steps.for_each(|(loss, graph)| section(&loss.step_name(), graph));
            }
            "optimized" => {
                network.graphs.named(&network.model.losses).into_iter().for_each(|(name, graph)| section(&name, graph));
            }
            "program" => {
                let programs = network.programs.named(&network.model.losses);
                programs.into_iter().for_each(|(name, program)| section(&name, program));
            }
            _ => {}
        }
    }
    if stage == "ast" {
        text = format!("{:#?}\n", output.file);
    }
    let compiled = finish(output, options)?;
    Ok(match stage {
        "rust" => Some(compiled.text()),
        stage if STAGES.contains(&stage) => Some(text),
        _ => None,
    })
}
