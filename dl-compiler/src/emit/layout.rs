//! The planned places as constants: private modules of ranges, one for each block and program.
//!
//! `mod step_layout { pub(super) const HIDDEN: Range<usize> = 0..2048; … }`

use std::ops::Range;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

use super::names::{Interface, Names, ident, snake, upper};
use crate::model::Parameter;
use crate::plan::Offsets;
use crate::program::{BufferId, Home, Program};

/// What the functions of one program call its buffers.
pub(super) struct Layout {
    /// The module of its constants.
    pub(super) module: Ident,
    /// For each buffer its range's constant, as a path.
    pub(super) ranges: Vec<TokenStream>,
    /// For each buffer its variable.
    pub(super) variables: Vec<Ident>,
    /// The module of constants.
    pub(super) item: TokenStream,
}

/// Whether a workspace takes the sizes of its blocks from a program: from the largest of those that share it.
pub(super) struct Sizes {
    /// The size of what the batch has once.
    pub(super) fixed: bool,
    /// The size of what is prepared.
    pub(super) prepared: bool,
}

/// The layout of a program; `prepared` names the prepared block's ranges if it is a module of its own, `chosen` are
/// further constants, and of the sizes those of blocks that are as large as this program wants them.
pub(super) fn layout(
    interface: &Interface,
    program: &Program,
    name: &str,
    prepared: Option<&[(usize, TokenStream)]>,
    chosen: TokenStream,
    sizes: &Sizes,
) -> Layout {
    let module = format_ident!("{name}_layout");
    let mut names = Names::new(["SHARDS", "FIXED_FLOATS", "PREPARED_FLOATS", TRAINED, UPDATED, OTHERS]);
    let fields: Vec<String> = interface.fields.iter().map(|(name, _)| name.to_string()).collect();
    let taken = super::names::VARIABLES.iter().copied().chain(fields.iter().map(String::as_str));
    let mut variables = Names::new(taken);
    let (mut ranges, mut idents, mut items) = (Vec::new(), Vec::new(), chosen);
    for buffer in &program.buffers {
        idents.push(match buffer.home {
            Home::Field(field) => interface.fields[field].0.clone(),
            _ => ident(&variables.unique(&snake(&buffer.name))),
        });
        let own = match buffer.home {
            Home::Parameter(parameter) | Home::Gradient(parameter) => {
                let (_, _, name) = &interface.parameters[parameter];
                ranges.push(quote!(parameter_layout::#name));
                continue;
            }
            Home::State(state) | Home::Update(state) => {
                let (_, _, name) = &interface.states[state];
                ranges.push(quote!(state_layout::#name));
                continue;
            }
            Home::Field(_) | Home::Step { .. } | Home::Steps { .. } | Home::Window { .. } => {
                ranges.push(TokenStream::new());
                continue;
            }
            Home::Prepared => prepared.and_then(|known| known.iter().find(|(offset, _)| *offset == buffer.offset)),
            Home::Shard | Home::Fixed => None,
        };
        if let Some((_, path)) = own {
            ranges.push(path.clone());
            continue;
        }
        let constant = Ident::new(&names.unique(&upper(&buffer.name)), Span::call_site());
        items.extend(range(&constant, &buffer.dims, buffer.offset, buffer.extent(program.shard_examples)));
        ranges.push(quote!(layout::#constant));
    }
    let sizes = [
        ("FIXED_FLOATS", "Floats that the batch has once.", program.fixed_floats, sizes.fixed),
        ("PREPARED_FLOATS", "Floats that are made from the parameters.", program.prepared_floats, sizes.prepared),
    ];
    let sizes = sizes.into_iter().filter(|(_, _, floats, used)| *floats > 0 && *used);
    let sizes = sizes.map(|(name, doc, floats, _)| constant(name, doc, floats));
    let (examples, floats) = (program.shard_examples, program.shard_floats);
    let shards = (program.shard_floats > 0).then(|| {
        quote! {
            use super::rt::Shards;
            #[doc = " Examples and floats of a shard."]
            pub(super) const SHARDS: Shards = Shards { examples: #examples, floats: #floats };
        }
    });
    let sizes: TokenStream = shards.into_iter().chain(sizes).collect();
    let doc =
        format!(" Where `{name}` keeps its values: ranges of floats, shared by values that are never needed at once.");
    let item = module_of(&module, &doc, sizes, items);
    Layout { module, ranges, variables: idents, item }
}

/// The places of what inference reads, by offset, and their module.
pub(super) fn prepared(program: &Program) -> (Vec<(usize, TokenStream)>, TokenStream) {
    let mut names = Names::new(["PREPARED_FLOATS"]);
    let (mut known, mut items) = (Vec::new(), TokenStream::new());
    for step in &program.prepare {
        let buffer = program.buffer(step.result);
        let constant = Ident::new(&names.unique(&upper(&buffer.name)), Span::call_site());
        items.extend(range(&constant, &buffer.dims, buffer.offset, buffer.extent(program.shard_examples)));
        known.push((buffer.offset, quote!(prepared_layout::#constant)));
    }
    let size = constant("PREPARED_FLOATS", "Floats of all.", program.prepared_floats);
    let module = format_ident!("prepared_layout");
    (known, module_of(&module, " Where [`Prepared`] keeps what: ranges of floats.", size, items))
}

/// Which parameters a step trains, as a constant of its layout.
pub(super) const TRAINED: &str = "TRAINED";
/// Which states a step updates.
pub(super) const UPDATED: &str = "UPDATED";
/// Which gradients other steps leave behind.
pub(super) const OTHERS: &str = "OTHERS";

/// The places of parameters, which are those of their gradients too, or of states.
pub(super) fn tensors(
    module: &str,
    doc: &str,
    names: &[(Ident, Ident, Ident)],
    tensors: &[Parameter],
    offsets: &Offsets,
) -> TokenStream {
    let mut items = TokenStream::new();
    for (((_, _, name), tensor), &start) in names.iter().zip(tensors).zip(&offsets.starts) {
        items.extend(range(name, &tensor.dims, start, tensor.dims.iter().product()));
    }
    let mut sizes = constant("FLOATS", "Floats of all.", offsets.total);
    if offsets.trainable < offsets.total {
        sizes.extend(constant(
            "TRAINABLE",
            "Floats of those that are trained, which lie before the others.",
            offsets.trainable,
        ));
    }
    module_of(&format_ident!("{module}"), doc, sizes, items)
}

/// A constant of ranges: one by itself, several as an array. [`all`] reads either.
pub(super) fn ranges(name: &str, doc: &str, ranges: &[Range<usize>]) -> TokenStream {
    let (name, doc, count) = (format_ident!("{name}"), format!(" {doc}"), ranges.len());
    if let [Range { start, end }] = ranges {
        return quote! {
            #[doc = #doc]
            pub(super) const #name: Range<usize> = #start..#end;
        };
    }
    let ranges = ranges.iter().map(|Range { start, end }| quote!(#start..#end));
    quote! {
        #[doc = #doc]
        pub(super) const #name: [Range<usize>; #count] = [#(#ranges),*];
    }
}

/// The ranges of a constant as an array.
pub(super) fn all(name: &str, ranges: &[Range<usize>]) -> TokenStream {
    let name = format_ident!("{name}");
    if ranges.len() == 1 { quote!([layout::#name]) } else { quote!(layout::#name) }
}

/// Code for each range of a constant, which it calls `range`.
pub(super) fn each(name: &str, ranges: &[Range<usize>], code: &TokenStream) -> TokenStream {
    let name = format_ident!("{name}");
    if ranges.len() == 1 {
        quote!(let range = layout::#name; #code)
    } else {
        quote!(for range in layout::#name { #code })
    }
}

impl Layout {
    /// The range of a buffer.
    pub(super) fn range(&self, id: BufferId) -> &TokenStream {
        &self.ranges[id.0 as usize]
    }

    /// The variable of a buffer.
    pub(super) fn variable(&self, id: BufferId) -> &Ident {
        &self.variables[id.0 as usize]
    }
}

fn constant(name: &str, doc: &str, value: usize) -> TokenStream {
    let (name, doc) = (format_ident!("{name}"), format!(" {doc}"));
    quote! {
        #[doc = #doc]
        pub(super) const #name: usize = #value;
    }
}

fn range(name: &Ident, dims: &[usize], offset: usize, floats: usize) -> TokenStream {
    let (doc, end) = (format!(" `{dims:?}`"), offset + floats);
    quote! {
        #[doc = #doc]
        pub(super) const #name: Range<usize> = #offset..#end;
    }
}

fn module_of(name: &Ident, doc: &str, sizes: TokenStream, ranges: TokenStream) -> TokenStream {
    if sizes.is_empty() && ranges.is_empty() {
        return TokenStream::new();
    }
    let import = (!ranges.is_empty()).then(|| {
        quote!(
            use ::core::ops::Range;
        )
    });
    quote! {
        #[doc = #doc]
        mod #name {
            #import
            #sizes
            #ranges
        }
    }
}
