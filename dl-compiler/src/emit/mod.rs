//! Emission: writes a model and its planned Programs down as Rust.
//!
//! Before: Programs. After: a module (`pub mod lenet`) with types, storage and functions over the runtime, and a unit type
//! (`LeNet`) for generic code. The code is safe, allocates only where storage is made, names things as the source does,
//! and says above each run of steps which line of the source it comes from. It decides nothing that changes a result.

use proc_macro2::{Delimiter, Ident, Literal, TokenStream, TokenTree};
use quote::quote;

use dl_grammar::{Sources, Span};

use crate::graph::Role;
use crate::model::{Model, Three};
use crate::plan::offsets;
use crate::program::Program;
use crate::summary::summary;
use crate::{Options, Summary};

mod calls;
mod definition;
mod kernel;
mod layout;
mod loops;
mod names;
mod pointwise;
mod settings;
mod skeleton;
mod steps;
mod storage;
mod text;
mod training;
mod types;

pub use skeleton::skeleton;
pub use text::text;

use calls::Routine;
use kernel::Shapes;
use names::{Declared, Interface};
use pointwise::Expressions;
use steps::Writer;
use training::{Step, Writes};

/// What the parts of emission share.
struct Module<'a> {
    model: &'a Model,
    sources: &'a Sources,
    comments: bool,
    interface: Interface,
    shapes: Shapes,
    expressions: Expressions,
}

impl Module<'_> {
    /// The source line of a step as a comment, unless the step before it has the same.
    fn source_line(&self, span: Span, before: &mut Option<String>) -> TokenStream {
        if !self.comments {
            return TokenStream::new();
        }
        let line = self.sources.line(span);
        let text = if line.is_empty() { String::new() } else { format!("{line}   {}", self.place(span)) };
        if text.is_empty() || before.as_ref() == Some(&text) {
            return TokenStream::new();
        }
        let comment = text::comment(&text);
        *before = Some(text);
        comment
    }

    /// The fields of the report, and what each is the mean of.
    fn measures(&self) -> impl Iterator<Item = (&Ident, Role)> {
        let losses = self.interface.losses.iter().enumerate().map(|(loss, field)| (field, Role::Loss(loss)));
        losses.chain(self.interface.metrics.iter().enumerate().map(|(metric, field)| (field, Role::Metric(metric))))
    }

    fn place(&self, span: Span) -> String {
        crate::summary::place(self.sources, span)
    }
}

/// The code of one network: its module and its type.
pub fn emit(model: &Model, programs: &Three<Program>, sources: &Sources, options: &Options) -> TokenStream {
    let summary = &summary(model, programs, sources);
    let trains = model.trains();
    let fields = model.fields.iter().filter(|field| trains || !field.label);
    let model = &Model { fields: fields.cloned().collect(), ..model.clone() };
    let interface = interface(model);
    let shapes = Shapes::new(interface.types.clone());
    let mut module =
        Module { model, sources, comments: options.comments, interface, shapes, expressions: Expressions::default() };
    let module = &mut module;
    let infers = !model.outputs.is_empty();
    let aliases = types::aliases(module);
    let (known, prepared_layout) = layout::prepared(&programs.inference);
    let mut layouts = tensor_layouts(module);
    if !programs.inference.prepare.is_empty() {
        layouts.extend(prepared_layout);
    }
    let mut functions = TokenStream::new();
    let mut routine = |module: &mut Module<'_>, part: Part<'_>, program, constants| {
        let Part { name, prepare, prepared, batch, sharing } = part;
        let sizes = storage::sizes(sharing, name, prepared.is_none());
        let layout = layout::layout(&module.interface, program, name, prepared, constants, &sizes);
        layouts.extend(layout.item.clone());
        let writer = Writer { program, layout: &layout, name, batch };
        let phases = writer.phases(module);
        let prepare = prepare.map_or_else(Vec::new, |prepare| writer.prepare(module, prepare));
        functions.extend(phases.iter().flatten().chain(&prepare).map(|function| function.item.clone()));
        (Routine { program, layout, phases }, prepare)
    };
    let prepared = Some(known.as_slice());
    let mut sharing = Vec::new();
    if infers {
        sharing.push(("forward", &programs.inference));
    }
    if trains {
        sharing.push(("evaluate", &programs.evaluation));
    }
    let sharing = &sharing;
    let forward = Part { name: "forward", prepare: Some("prepare_inference"), prepared, batch: None, sharing };
    let (forward, prepare) = routine(module, forward, &programs.inference, TokenStream::new());
    let all = names::plain("Batch");
    let evaluate = trains.then(|| {
        let evaluate = Part { name: "evaluate", prepare: None, prepared, batch: Some(&all), sharing };
        routine(module, evaluate, &programs.evaluation, TokenStream::new()).0
    });
    let names: Vec<String> = module.interface.steps.iter().map(|step| format!("gradients{}", step.suffix)).collect();
    let together: Vec<(&str, &Program)> = names.iter().map(String::as_str).zip(&programs.training).collect();
    let mut steps = Vec::new();
    for (loss, program) in programs.training.iter().enumerate() {
        let writes = Writes::new(model, &programs.training, loss);
        let step = &module.interface.steps[loss];
        let (suffix, own) = (step.suffix.clone(), step.batch.clone());
        let batch = if writes.fields.len() < model.fields.len() { &own } else { &all };
        let (name, prepare) = (names[loss].as_str(), format!("prepare_training{suffix}"));
        let part = Part { name, prepare: Some(&prepare), prepared: None, batch: Some(batch), sharing: &together };
        let (routine, prepare) = routine(module, part, program, writes.constants());
        steps.push(Step { loss, routine, prepare, writes });
    }

    let (prepared, prepare_method) = storage::prepared(&programs.inference, &prepare);
    let tensors = types::tensors(module, &prepare_method);
    let kept = evaluate.as_ref().filter(|evaluate| evaluate.program.goes_by_shards());
    let measures = kept.map_or(0, |evaluate| evaluate.measured(module).len());
    let workspace = storage::workspace(module, sharing, measures);
    let mut calls = TokenStream::new();
    let mut storage = quote!(#prepared #workspace);
    let mut batches = TokenStream::new();
    if infers {
        calls.extend(calls::forward(module, &forward));
    }
    if let Some(evaluate) = &evaluate {
        storage.extend(storage::training_workspace(&together));
        calls.extend(calls::evaluate(module, evaluate));
        batches.extend(types::batches(module));
        for step in &steps {
            calls.extend(step.functions(module));
            batches.extend(step.batch_type(module));
        }
        calls.extend(settings::settings(module));
        calls.extend(training::network(module, &steps, forward.draws()));
    }
    let used = used(module, infers, !programs.inference.prepare.is_empty());

    let visibility = model.public.then(|| quote!(pub));
    let runtime: TokenStream = options.runtime.parse().unwrap_or_else(|_| quote!(::dln::runtime));
    let (name, network) = (&module.interface.module, &module.interface.network);
    let module_docs = types::docs(&docs(summary, &model.docs));
    let network_doc = format!(" The network of [`{name}`] for generic code.");
    let (expressions, shapes) = (module.expressions.items(), module.shapes.items());
    let code = quote! {
        #module_docs
        #visibility mod #name {
            use #runtime as rt;
            #aliases
            #batches
            #tensors
            #storage
            #calls
            #functions
            #(#expressions)*
            #(#shapes)*
            #layouts
            #used
        }
        #[doc = #network_doc]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #network;
    };
    finished(code, !model.public)
}

/// What to call a program's functions and where they find things.
struct Part<'a> {
    /// What the functions are called first of all.
    name: &'a str,
    /// What the functions that prepare are called, if there are any.
    prepare: Option<&'a str>,
    /// The places of the prepared block, if it is a block of its own.
    prepared: Option<&'a [(usize, TokenStream)]>,
    /// The type of examples with labels.
    batch: Option<&'a Ident>,
    /// The programs that work in one workspace, by name.
    sharing: &'a [(&'a str, &'a Program)],
}

/// What the code calls everything that the model declares.
fn interface(model: &Model) -> Interface {
    let list = |named: &[crate::model::Named]| named.iter().map(|one| one.name.clone()).collect();
    let paths = |tensors: &[crate::model::Parameter]| tensors.iter().map(|tensor| tensor.path.clone()).collect();
    let losses = if model.trains() { model.losses.as_slice() } else { &[] };
    Interface::new(&Declared {
        network: model.name.clone(),
        fields: model.fields.iter().map(|field| field.name.clone()).collect(),
        outputs: list(&model.outputs),
        metrics: list(&model.metrics),
        parameters: paths(&model.parameters),
        states: paths(&model.states),
        losses: losses.iter().map(|loss| loss.name.clone()).collect(),
    })
}

/// Where parameters and states lie.
fn tensor_layouts(module: &Module<'_>) -> TokenStream {
    let (model, interface) = (module.model, &module.interface);
    let mut layouts = TokenStream::new();
    if !model.parameters.is_empty() {
        let doc = " Where each parameter and its gradient lie: ranges of floats.";
        let (names, tensors) = (&interface.parameters, &model.parameters);
        layouts.extend(layout::tensors("parameter_layout", doc, names, tensors, &offsets(tensors)));
    }
    if !model.states.is_empty() {
        let doc = " Where each state and its update lie: ranges of floats.";
        let (names, tensors) = (&interface.states, &model.states);
        layouts.extend(layout::tensors("state_layout", doc, names, tensors, &offsets(tensors)));
    }
    layouts
}

/// What the source says of the network, then its layer table.
fn docs(summary: &Summary, lines: &[String]) -> Vec<String> {
    let mut docs = lines.to_vec();
    if docs.iter().all(|line| line.trim().is_empty()) {
        docs = vec![format!("The network `{}`.", summary.name)];
    }
    docs.extend(["", "| layer | output | parameters | FLOPs | line |", "|---|---|---:|---:|---|"].map(str::to_owned));
    let number = crate::summary::grouped;
    docs.extend(summary.rows.iter().map(|row| {
        let (parameters, flops) = (number(row.parameters), number(row.flops));
        format!("| {} | `{:?}` | {parameters} | {flops} | {} |", row.name, row.dims, row.place)
    }));
    let (parameters, flops) = (number(summary.parameters), number(summary.flops));
    docs.push(format!("| in all | | {parameters} | {flops} | |"));
    docs
}

/// What no function of the module uses, said to be used: a crate that does not call it has no dead code.
fn used(module: &Module<'_>, infers: bool, prepares: bool) -> TokenStream {
    let network = &module.interface.network;
    let mut used = vec![quote!(super::#network), quote!(Workspace::new)];
    used.extend([quote!(Parameters::init), quote!(Parameters::prepare), quote!(State::init)]);
    if infers {
        used.push(quote!(forward));
    }
    if infers && module.model.outputs.len() > 1 {
        let fields = module.interface.outputs.iter().map(|(name, _)| quote!(outputs.#name));
        used.push(quote!(|outputs: Outputs<'_>| (#(#fields.len(),)*)));
    }
    if !prepares {
        used.push(quote!(|prepared: &Prepared| prepared.block.as_slice().len()));
    }
    if module.model.trains() {
        used.push(quote!(TrainingWorkspace::new));
        used.extend(module.interface.steps.iter().map(|step| step.function("optimizer")).map(|name| quote!(#name)));
    }
    for ((read, write, _), parameter) in module.interface.parameters.iter().zip(&module.model.parameters) {
        used.extend([quote!(Parameters::#read), quote!(Parameters::#write)]);
        if module.model.trains() && !parameter.frozen {
            used.push(quote!(Gradients::#read));
        }
    }
    for (read, write, _) in &module.interface.states {
        used.extend([quote!(State::#read), quote!(State::#write)]);
    }
    quote! {
        #[doc = " All of this is the network's interface, whatever part of it a crate calls."]
        const _: () = {
            let _ = (#(#used),*);
        };
    }
}

/// The same code with `64` in place of `64usize`, since types say it already; and where the network is `private`,
/// with `pub(super)` in place of `pub`, so that nothing claims to be seen farther than it is.
fn finished(code: TokenStream, private: bool) -> TokenStream {
    let mut finished = TokenStream::new();
    let mut rest = code.into_iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Group(group) => {
                let mut inner = proc_macro2::Group::new(group.delimiter(), self::finished(group.stream(), private));
                inner.set_span(group.span());
                finished.extend([TokenTree::Group(inner)]);
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let digits = text.strip_suffix("usize").or_else(|| text.strip_suffix("u32"));
                let number = digits.and_then(|digits| digits.parse::<u64>().ok());
                finished.extend([TokenTree::Literal(number.map_or(literal, Literal::u64_unsuffixed))]);
            }
            TokenTree::Ident(word) if private && word == "pub" && !restricted(rest.peek()) => {
                finished.extend(quote!(pub(super)));
            }
            other => finished.extend([other]),
        }
    }
    finished
}

/// Whether what follows `pub` restricts it.
fn restricted(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}
