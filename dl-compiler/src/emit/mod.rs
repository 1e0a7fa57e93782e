//! Emission: writes a model and its planned Programs down as Rust.
//!
//! Before: Programs. After: a module (`pub mod lenet`) with types, storage and functions over the runtime, and a unit type
//! (`LeNet`) for generic code. The code is safe, allocates only where storage is made, names things as the source does,
//! and says above each run of steps which line of the source it comes from. It decides nothing that changes a result.

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};
use quote::quote;

use dl_grammar::{Sources, Span};

use crate::model::Model;
use crate::model::Three;
use crate::program::Program;
use crate::summary::summary;
use crate::{Options, Summary};

mod calls;
mod kernel;
mod layout;
mod loops;
mod names;
mod pointwise;
mod skeleton;
mod steps;
mod storage;
mod text;
mod types;

pub use skeleton::skeleton;
pub use text::text;

use calls::Routine;
use kernel::Shapes;
use names::Interface;
use pointwise::Expressions;
use steps::Writer;

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

    fn place(&self, span: Span) -> String {
        crate::summary::place(self.sources, span)
    }
}

/// The code of one network: its module and its type.
pub fn emit(model: &Model, programs: &Three<Program>, sources: &Sources, options: &Options) -> TokenStream {
    let summary = &summary(model, programs, sources);
    let labels = model.fields.iter().filter(|field| model.has_loss() || !field.label);
    let model = &Model { fields: labels.cloned().collect(), ..model.clone() };
    let list = |named: &[crate::model::Named]| named.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let interface = Interface::new(
        &model.name,
        &model.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>(),
        &list(&model.outputs),
        &list(&model.metrics),
        &model.parameters.iter().map(|parameter| parameter.path.clone()).collect::<Vec<_>>(),
    );
    let shapes = Shapes::new(interface.types.clone());
    let mut module =
        Module { model, sources, comments: options.comments, interface, shapes, expressions: Expressions::default() };
    let module = &mut module;
    let infers = !model.outputs.is_empty();
    let aliases = types::aliases(module);
    let (known, prepared_layout) = layout::prepared(&programs.inference);
    let mut layouts = TokenStream::new();
    if !model.parameters.is_empty() {
        layouts.extend(layout::parameters(&module.interface, model));
    }
    if !programs.inference.prepare.is_empty() {
        layouts.extend(prepared_layout);
    }
    let mut functions = TokenStream::new();
    let mut routine = |module: &mut Module<'_>, name: &'static str, program, prepared: Option<&[_]>, training| {
        let layout = layout::layout(&module.interface, program, name, prepared);
        layouts.extend(layout.item.clone());
        let writer = Writer { program, layout: &layout, name, training };
        let phases = writer.phases(module);
        let prepare = match name {
            "evaluate" => Vec::new(),
            "forward" => writer.prepare(module, "prepare_inference"),
            _ => writer.prepare(module, "prepare_training"),
        };
        functions.extend(phases.iter().flatten().chain(&prepare).map(|function| function.item.clone()));
        (Routine { program, layout, phases }, prepare)
    };
    let (forward, prepare) = routine(module, "forward", &programs.inference, Some(&known), false);
    let training = model.has_loss().then(|| {
        let (evaluate, _) = routine(module, "evaluate", &programs.evaluation, Some(&known), true);
        let (gradients, prepare) = routine(module, "gradients", &programs.training, None, true);
        (evaluate, gradients, prepare)
    });

    let (prepared, prepare_method) = storage::prepared(&programs.inference, &prepare);
    let tensors = types::tensors(module, model.has_loss(), &prepare_method);
    let mut sharing = Vec::new();
    if infers {
        sharing.push(("forward", &programs.inference));
    }
    if model.has_loss() {
        sharing.push(("evaluate", &programs.evaluation));
    }
    let workspace = storage::workspace(module, &sharing);
    let mut calls = TokenStream::new();
    let mut storage = quote!(#prepared #workspace);
    if infers {
        calls.extend(calls::forward(module, &forward));
    }
    if let Some((evaluate, gradients, prepare)) = &training {
        storage.extend(storage::training_workspace(&programs.training));
        calls.extend(calls::evaluate(module, evaluate));
        calls.extend(calls::training(module, gradients, prepare));
        calls.extend(storage::network(module));
    }
    let batches = if model.has_loss() { types::batches(module) } else { TokenStream::new() };
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
    let mut used =
        vec![quote!(super::#network), quote!(Workspace::new), quote!(Parameters::init), quote!(Parameters::prepare)];
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
    if module.model.has_loss() {
        used.extend([quote!(TrainingWorkspace::new), quote!(optimizer)]);
    } else {
        used.push(quote!(<State as rt::Tensors>::zeros));
    }
    for (read, write, _) in &module.interface.parameters {
        used.extend([quote!(Parameters::#read), quote!(Parameters::#write)]);
        if module.model.has_loss() {
            used.push(quote!(Gradients::#read));
        }
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
