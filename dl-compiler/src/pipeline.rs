//! The stages, in order: the one list of what happens to a program between its text and its code.
//!
//! parse → import → resolve → differentiate → optimize → schedule → lanes → addends → moments → windows → small → plan → emit. Every representation is kept, so that
//! [`dump`](crate::dump) can print any of them. Graphs and Programs are verified after each stage that makes one.

use dl_grammar::{Code, Diagnostic, FileId, Source, Sources, Span, ast};

use crate::addends::addends;
use crate::budget::{arena, budget};
use crate::gradient::differentiate;
use crate::graph::{Graph, Role};
use crate::import::{Imports, Loader, import};
use crate::lanes::lanes;
use crate::model::{Model, Three};
use crate::moments::moments;
use crate::optimize::optimize;
use crate::plan::{plan, plan_together};
use crate::program::Program;
use crate::resolve::{Resolved, Skeleton, resolve};
use crate::schedule::schedule;
use crate::shards::shards;
use crate::small::small;
use crate::training::training;
use crate::windows::windows;

/// A network in all its representations.
#[derive(Debug, Clone)]
pub struct Network {
    /// What was resolved: tables and the two graphs as written.
    pub model: Model,
    /// For each training step its graph with gradients.
    pub gradients: Vec<Graph>,
    /// The optimized graphs.
    pub graphs: Three<Graph>,
    /// The planned programs.
    pub programs: Three<Program>,
}

/// Everything known of a program.
#[derive(Debug)]
pub struct Output {
    /// The program's text, those that it imports, and those of the library.
    pub sources: Sources,
    /// Which files it imports.
    pub imports: Imports,
    /// The syntax tree, with the declarations of all its files.
    pub file: ast::File,
    /// The networks without mistakes.
    pub networks: Vec<Network>,
    /// What is known of the others.
    pub skeletons: Vec<Skeleton>,
    /// All mistakes, in order of place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Runs all stages up to the planned programs; `loader` reads what the program imports.
pub fn run(source: Source, loader: Option<&Loader>) -> Output {
    let mut sources = Sources::default();
    let main = sources.add(source);
    let (mut file, mut diagnostics) = dl_grammar::parse(main, &sources.get(main).text);
    let (imports, found) = import(&mut file, main, &mut sources, loader);
    diagnostics.extend(found);
    let Resolved { models, skeletons, diagnostics: mut found } = resolve(&file, main, &imports, &mut sources);
    if diagnostics.iter().any(|diagnostic| diagnostic.code == Code::UnterminatedComment) {
        // What stands behind it was not read, so that nothing can be said to be missing.
        let is_missing = |code| matches!(code, Code::MissingInput | Code::MissingOutput | Code::MissingLoss);
        found.retain(|diagnostic| !is_missing(diagnostic.code));
    }
    diagnostics.extend(found);
    let mut networks = Vec::new();
    for model in models {
        match lower(model) {
            Ok(network) => {
                diagnostics.extend(budget(&network.model, &network.programs.inference));
                networks.push(network);
            }
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    if diagnostics.is_empty() && networks.is_empty() {
        diagnostics.push(empty(&file, main));
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.file != FileId(0), diagnostic.span));
    Output { sources, imports, file, networks, skeletons, diagnostics }
}

/// A program of which no code is made.
fn empty(file: &ast::File, main: FileId) -> Diagnostic {
    let template = file.items.iter().find_map(|item| match item {
        ast::Item::Network(network) if network.name.span.file == main => Some(network),
        _ => None,
    });
    let Some(template) = template else {
        let span = Span { file: main, start: 0, end: 0 };
        return Diagnostic::new(Code::Empty, span, "the program declares no network")
            .help("declare one: `network Name { output y = …; }`");
    };
    let open = template.arguments.iter().filter(|argument| argument.default.is_none());
    let open: Vec<&str> = open.map(|argument| argument.name.text.as_str()).collect();
    let name = &template.name.text;
    let given: Vec<String> = open.iter().map(|attribute| format!("{attribute}: …")).collect();
    Diagnostic::new(Code::Empty, template.name.span, format!("`{name}` is a template, of which no code is made"))
        .label(format!("`{}` has no default", open.join("` and `")))
        .help(format!("make an instance of it: `network My{name} = {name}({});`", given.join(", ")))
}

fn lower(model: Model) -> Result<Network, Box<Diagnostic>> {
    let mut gradients = training(&model);
    for (place, (graph, loss)) in gradients.iter_mut().zip(&model.losses).enumerate() {
        differentiate(graph, place, &loss.updates)
            .map_err(|violation| internal(&model, &format!("differentiation: {}", violation.message)))?;
    }
    let trains = model.trains();
    let graphs = Three {
        inference: optimize(&model.inference.with_roots(|role| matches!(role, Role::Output(_)))),
        evaluation: optimize(&model.inference.with_roots(|role| trains && !matches!(role, Role::Output(_)))),
        training: gradients.iter().map(optimize).collect(),
    };
    for (name, graph) in graphs.named(&model.losses) {
        graph.verify().map_err(|problem| internal(&model, &format!("{name} graph: {problem}")))?;
    }
    let mut programs = Three {
        inference: schedule(&model, &graphs.inference, true),
        evaluation: schedule(&model, &graphs.evaluation, true),
        training: graphs.training.iter().map(|graph| schedule(&model, graph, false)).collect(),
    };
    for program in [&mut programs.inference, &mut programs.evaluation].into_iter().chain(&mut programs.training) {
        lanes(program);
        addends(program);
        moments(program);
        windows(program);
    }
    programs.training.iter_mut().for_each(|program| small(&model, program));
    shards([&mut programs.inference, &mut programs.evaluation]);
    shards(&mut programs.training);
    plan_together(&mut programs.inference, &mut programs.evaluation);
    programs.training.iter_mut().for_each(plan);
    for (name, program) in programs.named(&model.losses) {
        if let Some(diagnostic) = arena(&model, program) {
            return Err(Box::new(diagnostic));
        }
        program.verify().map_err(|problem| internal(&model, &format!("{name} program: {problem}")))?;
    }
    Ok(Network { model, gradients, graphs, programs })
}

/// A mistake of the compiler itself, told at the network instead of ending the process.
fn internal(model: &Model, problem: &str) -> Box<Diagnostic> {
    let diagnostic =
        Diagnostic::new(Code::Internal, model.span, format!("the compiler contradicts itself in `{}`", model.name))
            .note(problem)
            .help("this is a mistake of the compiler, not of the program; please report the program");
    Box::new(diagnostic)
}
