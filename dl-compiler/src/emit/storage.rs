//! Storage of calls: `Prepared`, `Workspace`, `TrainingWorkspace`, and the implementation of the runtime's `Network`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::Module;
use super::calls::settings;
use super::kernel::count;
use super::steps::Function;
use crate::program::Program;

/// `Prepared`, and the method of the parameters that makes it.
pub(super) fn prepared(program: &Program, functions: &[Function]) -> (TokenStream, TokenStream) {
    let calls = functions.iter().map(|function| {
        let (name, arguments) = (&function.name, &function.arguments);
        let arguments = arguments.iter().map(|argument| match argument.to_string().as_str() {
            "parameters" => quote!(self.block.as_slice()),
            "prepared" => quote!(block.as_mut_slice()),
            _ => quote!(#argument),
        });
        quote!(#name(#(#arguments),*);)
    });
    let calls: TokenStream = calls.collect();
    let block = if program.prepare.is_empty() {
        quote!(Prepared { block: rt::Block::zeroed(0) })
    } else {
        quote! {
            let mut block = rt::Block::zeroed(prepared_layout::PREPARED_FLOATS);
            #calls
            Prepared { block }
        }
    };
    let method = quote! {
        #[doc = " What inference reads: the parameters in the form its kernels want them."]
        pub fn prepare(&self, _state: &State) -> Prepared {
            #block
        }
    };
    let ty = quote! {
        #[doc = " Parameters and state in the form inference reads, made by [`Parameters::prepare`]."]
        #[derive(Clone, Debug)]
        pub struct Prepared {
            block: rt::Block,
        }
    };
    (ty, method)
}

/// `Workspace`: storage of inference and evaluation.
pub(super) fn workspace(module: &Module<'_>, programs: &[(&str, &Program)]) -> TokenStream {
    let outputs = module.model.outputs.iter().zip(&module.interface.outputs).map(|(output, (name, _))| {
        let len = count(output.dims.iter().product(), Some(&quote!(capacity)));
        let len = if output.dims.iter().product::<usize>() == 1 {
            len
        } else {
            let floats = output.dims.iter().product::<usize>();
            quote!(capacity.saturating_mul(#floats))
        };
        (quote!(#name: rt::Block,), quote!(#name: rt::Block::zeroed(#len),))
    });
    let (fields, values): (TokenStream, TokenStream) = outputs.unzip();
    let doc = " Storage of one inference or evaluation call; one for each thread that calls.";
    arena(doc, "Workspace", programs, &fields, &values)
}

/// `TrainingWorkspace`: storage of a training step.
pub(super) fn training_workspace(program: &Program) -> TokenStream {
    let (prepared, prepared_value) = if program.prepared_floats > 0 {
        (quote!(prepared: rt::Block,), quote!(prepared: rt::Block::zeroed(gradients_layout::PREPARED_FLOATS),))
    } else {
        Default::default()
    };
    let fields = quote!(#prepared gradients: Gradients,);
    let values = quote!(#prepared_value gradients: <Gradients as rt::Tensors>::zeros(),);
    arena(" Storage of one training step.", "TrainingWorkspace", &[("gradients", program)], &fields, &values)
}

/// A workspace: a row of shards, what the batch has once, and more fields.
fn arena(
    doc: &str,
    name: &str,
    programs: &[(&str, &Program)],
    fields: &TokenStream,
    values: &TokenStream,
) -> TokenStream {
    let name = super::names::plain(name);
    // The largest of the programs that share it.
    let largest = |floats: fn(&Program) -> usize, constant: &str| {
        let best = programs.iter().max_by_key(|(_, program)| floats(program))?;
        let (module, constant) = (format_ident!("{}_layout", best.0), format_ident!("{constant}"));
        (floats(best.1) > 0).then(|| quote!(#module::#constant))
    };
    let shard = largest(|program| program.shard_floats, "SHARD_FLOATS").unwrap_or_else(|| quote!(0));
    let (fixed, fixed_value) = match largest(|program| program.fixed_floats, "FIXED_FLOATS") {
        Some(floats) => (quote!(fixed: rt::Block,), quote!(fixed: rt::Block::zeroed(#floats),)),
        None => Default::default(),
    };
    let constants = programs.iter().map(|(_, program)| 4 * program.shard_floats).max().unwrap_or(0);
    let size = format!(
        " {} bytes for every {} examples of capacity, and what is there once.",
        crate::summary::grouped(constants),
        crate::program::SHARD
    );
    quote! {
        #[doc = #doc]
        #[doc = #size]
        #[derive(Debug)]
        pub struct #name {
            team: rt::Team,
            capacity: usize,
            shards: rt::Block,
            #fixed
            #fields
        }
        impl #name {
            #[doc = " For up to `capacity` examples at once, on the calling thread."]
            pub fn new(capacity: usize) -> #name {
                #name::with_threads(capacity, 1)
            }
            #[doc = " For up to `capacity` examples at once, on `threads` threads with the caller among them."]
            pub fn with_threads(capacity: usize, threads: usize) -> #name {
                let shards = capacity.div_ceil(rt::SHARD).saturating_mul(#shard);
                #name {
                    team: rt::Team::new(threads),
                    capacity,
                    shards: rt::Block::zeroed(shards),
                    #fixed_value
                    #values
                }
            }
        }
    }
}

/// The implementation of the runtime's `Network` for the type that stands for the network.
pub(super) fn network(module: &Module<'_>) -> TokenStream {
    let (name, text) = (&module.interface.network, &module.model.name);
    let (rule, _) = settings(module);
    quote! {
        impl rt::Network for super::#name {
            const NAME: &'static str = #text;
            type Examples = Examples;
            type Parameters = Parameters;
            type State = State;
            type Prepared = Prepared;
            type Workspace = Workspace;
            type TrainingWorkspace = TrainingWorkspace;
            type Rule = #rule;
            type Report = Report;
            fn settings() -> rt::Settings<#rule> {
                settings()
            }
            fn initialize(seed: u64) -> (Parameters, State) {
                (Parameters::init(seed), <State as rt::Tensors>::zeros())
            }
            fn workspace(capacity: usize, threads: usize) -> Workspace {
                Workspace::with_threads(capacity, threads)
            }
            fn training_workspace(capacity: usize, threads: usize) -> TrainingWorkspace {
                TrainingWorkspace::with_threads(capacity, threads)
            }
            fn prepare(parameters: &Parameters, state: &State) -> Prepared {
                parameters.prepare(state)
            }
            fn step(
                parameters: &mut Parameters,
                state: &mut State,
                optimizer: &mut Optimizer,
                workspace: &mut TrainingWorkspace,
                batch: Batch<'_>,
                weights: Option<&[f32]>,
            ) -> Result<Report, rt::InputError> {
                step(parameters, state, optimizer, workspace, batch, weights)
            }
            fn evaluate(
                prepared: &Prepared,
                workspace: &mut Workspace,
                batch: Batch<'_>,
            ) -> Result<Report, rt::InputError> {
                evaluate(prepared, workspace, batch)
            }
        }
    }
}
