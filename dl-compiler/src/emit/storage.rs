//! Storage of calls: `Prepared`, `Workspace`, `TrainingWorkspace`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::Module;
use super::calls::used_or_not;
use super::kernel::count;
use super::layout::Sizes;
use super::steps::Function;
use crate::program::{Home, Program};

/// `Prepared`, and the method of the parameters that makes it.
pub(super) fn prepared(program: &Program, functions: &[Function]) -> (TokenStream, TokenStream) {
    let calls = functions.iter().map(|function| {
        let (name, arguments) = (&function.name, &function.arguments);
        let arguments = arguments.iter().map(|argument| match argument.to_string().as_str() {
            "parameters" => quote!(self.block.as_slice()),
            "state" => quote!(state.block.as_slice()),
            "prepared" => quote!(block.as_mut_slice()),
            "team" => quote!(&rt::Team::serial()),
            // Batches may be of any size.
            "form" => quote!(rt::Form::Examples),
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
    let state = used_or_not(&calls, "state");
    let method = quote! {
        #[doc = " What inference reads: the parameters in the form its kernels want them."]
        pub fn prepare(&self, #state: &State) -> Prepared {
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

/// `Workspace`: storage of inference and evaluation, which keeps so many measures of each example.
pub(super) fn workspace(module: &Module<'_>, programs: &[(&str, &Program)], measures: usize) -> TokenStream {
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
    let (mut fields, mut values): (TokenStream, TokenStream) = outputs.unzip();
    if measures > 0 {
        fields.extend(quote!(measures: [rt::Block; #measures],));
        values.extend(quote!(measures: ::core::array::from_fn(|_| rt::Block::zeroed(capacity)),));
    }
    let doc = " Storage of one inference or evaluation call; one for each thread that calls.";
    let in_turn = programs.iter().all(|(_, program)| program.goes_by_shards());
    arena(doc, "Workspace", programs, in_turn, &fields, &values)
}

/// `TrainingWorkspace`: storage of a training step, as large as the largest needs it.
pub(super) fn training_workspace(programs: &[(&str, &Program)]) -> TokenStream {
    let (prepared, prepared_value) = match largest(programs, |program| program.prepared_floats, "PREPARED_FLOATS") {
        Some(floats) => (quote!(prepared: rt::Block,), quote!(prepared: rt::Block::zeroed(#floats),)),
        None => Default::default(),
    };
    let updates = |program: &Program| program.buffers.iter().any(|buffer| matches!(buffer.home, Home::Update(_)));
    let (updates, updates_value) = if programs.iter().any(|(_, program)| updates(program)) {
        (quote!(updates: State,), quote!(updates: <State as rt::Tensors>::zeros(),))
    } else {
        Default::default()
    };
    let fields = quote!(#prepared gradients: Gradients, #updates);
    let values = quote!(#prepared_value gradients: <Gradients as rt::Tensors>::zeros(), #updates_value);
    arena(" Storage of one training step.", "TrainingWorkspace", programs, false, &fields, &values)
}

/// Which sizes of the program `name` become those of the workspace that `programs` share.
pub(super) fn sizes(programs: &[(&str, &Program)], name: &str, prepares: bool) -> Sizes {
    let gives = |floats: fn(&Program) -> usize| {
        programs.iter().max_by_key(|(_, program)| floats(program)).is_some_and(|(largest, _)| *largest == name)
    };
    Sizes {
        fixed: gives(|program| program.fixed_floats),
        prepared: prepares && gives(|program| program.prepared_floats),
    }
}

/// The constant that says how many floats the largest of some programs needs; `None` if none needs any.
fn largest(programs: &[(&str, &Program)], floats: fn(&Program) -> usize, constant: &str) -> Option<TokenStream> {
    let (name, program) = programs.iter().max_by_key(|(_, program)| floats(program))?;
    let (module, constant) = (format_ident!("{name}_layout"), format_ident!("{constant}"));
    (floats(program) > 0).then(|| quote!(#module::#constant))
}

/// A workspace: a row of shards, of all examples or one for each thread, what the batch has once, and more fields.
fn arena(
    doc: &str,
    name: &str,
    programs: &[(&str, &Program)],
    in_turn: bool,
    fields: &TokenStream,
    values: &TokenStream,
) -> TokenStream {
    let name = super::names::plain(name);
    let shards = largest(programs, |program| program.shard_floats, "SHARDS");
    let shards = match shards {
        Some(shards) if in_turn => quote!(#shards.room_in_turn(threads, capacity)),
        Some(shards) => quote!(#shards.room(capacity)),
        None => quote!(0),
    };
    let (fixed, fixed_value) = match largest(programs, |program| program.fixed_floats, "FIXED_FLOATS") {
        Some(floats) => (quote!(fixed: rt::Block,), quote!(fixed: rt::Block::zeroed(#floats),)),
        None => Default::default(),
    };
    let largest = programs.iter().map(|(_, program)| program).max_by_key(|program| program.shard_floats);
    let (examples, floats) = largest.map_or((1, 0), |program| (program.shard_examples, program.shard_floats));
    let every = match examples {
        _ if in_turn => "each thread".to_owned(),
        1 => "every example of capacity".to_owned(),
        examples => format!("every {examples} examples of capacity"),
    };
    let bytes = crate::summary::grouped(4 * floats);
    let once = if in_turn { "what is kept of each example" } else { "what is there once" };
    let size = format!(" {bytes} bytes for {every}, and {once}.");
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
                #name {
                    team: rt::Team::new(threads),
                    capacity,
                    shards: rt::Block::zeroed(#shards),
                    #fixed_value
                    #values
                }
            }
        }
    }
}
