//! The types of a module: what an example is, blocks of tensors, batches, reports.
//!
//! Everything here follows from the model alone; what is computed is in `calls.rs` and `steps.rs`.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use dl_grammar::Sources;

use super::Module;
use super::pointwise::float;
use crate::graph::Element;
use crate::model::{Initializer, Parameter};

/// `[[f32; 28]; 28]` for `[28, 28]`.
pub(super) fn array(element: Element, dims: &[usize]) -> TokenStream {
    let number = match element {
        Element::F32 | Element::Bool => quote!(f32),
        Element::Index(_) => quote!(u32),
    };
    dims.iter().rev().fold(number, |inner, dim| quote!([#inner; #dim]))
}

/// ` Line.` for each line, as doc attributes.
pub(super) fn docs(lines: &[String]) -> TokenStream {
    lines
        .iter()
        .map(|line| {
            if line.is_empty() {
                quote!(#[doc = ""])
            } else {
                let line = if line.starts_with(' ') { line.clone() } else { format!(" {line}") };
                quote!(#[doc = #line])
            }
        })
        .collect()
}

/// A line of our own, and below it what the source says.
fn described(first: String, lines: &[String]) -> TokenStream {
    let mut all = vec![first];
    if !lines.is_empty() {
        all.push(String::new());
        all.extend(lines.iter().cloned());
    }
    docs(&all)
}

/// The types of inputs, labels and outputs.
pub(super) fn aliases(module: &Module<'_>) -> TokenStream {
    let fields = module.model.fields.iter().zip(&module.interface.fields).map(|(field, (_, name))| {
        let (kind, ty) = (if field.label { "Label" } else { "Input" }, array(field.element, &field.dims));
        let bound = match field.element {
            Element::Index(bound) => format!(", indices below {bound}"),
            Element::F32 | Element::Bool => String::new(),
        };
        let doc = described(format!("{kind} `{}`, `{:?}`{bound}.", field.name, field.dims), &field.docs);
        quote!(#doc pub type #name = #ty;)
    });
    let outputs = module.model.outputs.iter().zip(&module.interface.outputs).map(|(output, (_, name))| {
        let doc = described(format!("Output `{}`, `{:?}`.", output.name, output.dims), &output.docs);
        let ty = array(Element::F32, &output.dims);
        quote!(#doc pub type #name = #ty;)
    });
    fields.chain(outputs).collect()
}

/// `Parameters`, `State` and `Gradients`.
pub(super) fn tensors(module: &Module<'_>, prepares: &TokenStream) -> TokenStream {
    let parameters = Tensors::parameters(module);
    let state = Tensors::states(module);
    let (accessors, table) = (parameters.accessors(true), parameters.initializers());
    let parameters_impl = block_impl("Parameters", &parameters.floats(), &parameters.infos());
    let init = parameters.init();
    let state_impl = block_impl("State", &state.floats(), &state.infos());
    let state_doc = match state.declared.as_slice() {
        [] => " What training updates without a gradient; this network has nothing of the kind.",
        _ => " All tensors that training updates without a gradient.",
    };
    let (state_init, state_accessors, state_table) = (state.init(), state.accessors(true), state.initializers());
    let gradients = module.model.trains().then(|| {
        let some_frozen = parameters.declared.iter().any(|(parameter, _)| parameter.frozen);
        let trained = Tensors { declared: parameters.trained(), ..Tensors::parameters(module) };
        let (floats, infos) = if some_frozen {
            (quote!(parameter_layout::TRAINABLE), trained.infos())
        } else {
            (parameters.floats(), quote!(<Parameters as rt::Tensors>::TENSORS))
        };
        let gradients_impl = block_impl("Gradients", &floats, &infos);
        let accessors = trained.accessors(false);
        let accessors = (!trained.declared.is_empty()).then(|| quote!(impl Gradients { #accessors }));
        quote! {
            #[doc = " The gradient of the loss for each parameter, in the layout of [`Parameters`]."]
            #[derive(Clone, Debug)]
            pub struct Gradients {
                block: rt::Block,
            }
            #accessors
            #gradients_impl
        }
    });
    quote! {
        #[doc = " All trainable tensors: one contiguous, 64-byte aligned block."]
        #[derive(Clone, Debug)]
        pub struct Parameters {
            block: rt::Block,
        }
        impl Parameters {
            #init
            #prepares
            #accessors
        }
        #parameters_impl
        #table
        #[doc = #state_doc]
        #[derive(Clone, Debug)]
        pub struct State {
            block: rt::Block,
        }
        impl State {
            #state_init
            #state_accessors
        }
        #state_impl
        #state_table
        #gradients
    }
}

/// The tensors of a block, each with its accessors and its constant, and what the block's parts are called.
struct Tensors<'a> {
    sources: &'a Sources,
    declared: Vec<(&'a Parameter, &'a (Ident, Ident, Ident))>,
    ty: &'static str,
    layout: Ident,
    initializers: Ident,
    /// The number of the first tensor among all that are filled from a seed.
    first: u32,
    kind: &'static str,
}

impl<'a> Tensors<'a> {
    fn parameters(module: &'a Module<'_>) -> Tensors<'a> {
        Tensors {
            sources: module.sources,
            declared: module.model.parameters.iter().zip(&module.interface.parameters).collect(),
            ty: "Parameters",
            layout: format_ident!("parameter_layout"),
            initializers: format_ident!("INITIALIZERS"),
            first: 0,
            kind: "parameter",
        }
    }

    fn states(module: &'a Module<'_>) -> Tensors<'a> {
        Tensors {
            sources: module.sources,
            declared: module.model.states.iter().zip(&module.interface.states).collect(),
            ty: "State",
            layout: format_ident!("state_layout"),
            initializers: format_ident!("STATE_INITIALIZERS"),
            first: u32::try_from(module.model.parameters.len()).unwrap_or(u32::MAX),
            kind: "state",
        }
    }

    /// Those that are not frozen.
    fn trained(&self) -> Vec<(&'a Parameter, &'a (Ident, Ident, Ident))> {
        self.declared.iter().copied().filter(|(parameter, _)| !parameter.frozen).collect()
    }

    /// The size of the block.
    fn floats(&self) -> TokenStream {
        let layout = &self.layout;
        if self.declared.is_empty() { quote!(0) } else { quote!(#layout::FLOATS) }
    }

    fn infos(&self) -> TokenStream {
        let layout = &self.layout;
        let infos = self.declared.iter().map(|(tensor, (_, _, range))| {
            let (path, dims) = (&tensor.path, &tensor.dims);
            let place = crate::summary::place(self.sources, tensor.span);
            let dims = quote!(&[#(#dims),*]);
            quote!(rt::TensorInfo { name: #path, dims: #dims, offset: #layout::#range.start, place: #place })
        });
        quote!(&[#(#infos),*])
    }

    /// `init`
    fn init(&self) -> TokenStream {
        let (ty, layout, initializers) = (super::names::plain(self.ty), &self.layout, &self.initializers);
        if self.declared.is_empty() {
            let doc = format!(" The {} before training: there is nothing of the kind.", self.ty.to_lowercase());
            return quote! {
                #[doc = #doc]
                pub fn init(_seed: u64) -> #ty {
                    <#ty as rt::Tensors>::zeros()
                }
            };
        }
        let doc = format!(" The {} before training, a function of the seed alone.", self.ty.to_lowercase());
        let first = Literal::u32_unsuffixed(self.first);
        quote! {
            #[doc = #doc]
            pub fn init(seed: u64) -> #ty {
                let mut block = rt::Block::zeroed(#layout::FLOATS);
                let tensors = <#ty as rt::Tensors>::TENSORS.iter().zip(#initializers);
                for (instance, (info, initializer)) in (#first..).zip(tensors) {
                    let range = info.offset..info.offset + info.len();
                    initializer.fill(seed, instance, &mut block.as_mut_slice()[range]);
                }
                #ty { block }
            }
        }
    }

    /// The table of initializers, if there is something to fill.
    fn initializers(&self) -> TokenStream {
        if self.declared.is_empty() {
            return TokenStream::new();
        }
        let name = &self.initializers;
        let doc = format!(" How each {} is filled before training, in the order of its tensors.", self.kind);
        let initializers = self.declared.iter().map(|(tensor, _)| initializer(tensor));
        quote! {
            #[doc = #doc]
            const #name: &[rt::Initializer] = &[#(#initializers),*];
        }
    }

    /// Typed access to every tensor.
    fn accessors(&self, mutable: bool) -> TokenStream {
        let layout = &self.layout;
        let each = self.declared.iter().map(|(Parameter { path, dims, .. }, (name, name_mut, range))| {
            let (doc, ty) = (format!(" `{path}`, `{dims:?}`"), array(Element::F32, dims));
            let write = mutable.then(|| {
                quote! {
                    #[doc = #doc]
                    pub fn #name_mut(&mut self) -> &mut #ty {
                        rt::view_mut(&mut self.block.as_mut_slice()[#layout::#range])
                    }
                }
            });
            quote! {
                #[doc = #doc]
                pub fn #name(&self) -> &#ty {
                    rt::view(&self.block.as_slice()[#layout::#range])
                }
                #write
            }
        });
        each.collect()
    }
}

fn block_impl(name: &str, floats: &TokenStream, infos: &TokenStream) -> TokenStream {
    let name = super::names::plain(name);
    quote! {
        impl rt::Tensors for #name {
            const TENSORS: &'static [rt::TensorInfo] = #infos;
            fn zeros() -> #name {
                #name { block: rt::Block::zeroed(#floats) }
            }
            fn as_slice(&self) -> &[f32] {
                self.block.as_slice()
            }
            fn as_mut_slice(&mut self) -> &mut [f32] {
                self.block.as_mut_slice()
            }
        }
    }
}

/// The runtime's initializer with the fans of a tensor: of `[in, out]` its dimensions, of `[filters, channels, k…]`
/// `channels·k…` and `filters·k…`, of any other tensor all its numbers.
fn initializer(parameter: &Parameter) -> TokenStream {
    let (fan_in, fan_out) = match *parameter.dims.as_slice() {
        [inputs, outputs] => (inputs, outputs),
        [filters, channels, ref kernel @ ..] if !kernel.is_empty() => {
            let taps: usize = kernel.iter().product();
            (channels * taps, filters * taps)
        }
        ref dims => (dims.iter().product(), dims.iter().product()),
    };
    let variant = match parameter.initializer {
        Initializer::Constant(0.0) => quote!(Zeros),
        Initializer::Constant(1.0) => quote!(Ones),
        Initializer::Constant(value) => {
            let value = float(value);
            quote!(Constant(#value))
        }
        Initializer::Uniform { low, high } => {
            let (low, high) = (float(low), float(high));
            quote!(Uniform { low: #low, high: #high })
        }
        Initializer::Normal { mean, deviation } => {
            let (mean, deviation) = (float(mean), float(deviation));
            quote!(Normal { mean: #mean, deviation: #deviation })
        }
        Initializer::GlorotUniform => quote!(GlorotUniform { fan_in: #fan_in, fan_out: #fan_out }),
        Initializer::GlorotNormal => quote!(GlorotNormal { fan_in: #fan_in, fan_out: #fan_out }),
        Initializer::HeUniform => quote!(HeUniform { fan_in: #fan_in }),
        Initializer::HeNormal => quote!(HeNormal { fan_in: #fan_in }),
        Initializer::LecunUniform => quote!(LecunUniform { fan_in: #fan_in }),
        Initializer::LecunNormal => quote!(LecunNormal { fan_in: #fan_in }),
        Initializer::Orthogonal => {
            let rows = parameter.dims.first().copied().unwrap_or(1);
            quote!(Orthogonal { rows: #rows })
        }
    };
    quote!(rt::Initializer::#variant)
}

/// `Batch`, `Examples` and `Report`.
pub(super) fn batches(module: &Module<'_>) -> TokenStream {
    let names: Vec<_> = module.interface.fields.iter().map(|(name, _)| name).collect();
    let types: Vec<_> = module.interface.fields.iter().map(|(_, ty)| ty).collect();
    let docs: Vec<String> = module
        .model
        .fields
        .iter()
        .map(|field| format!(" {} `{}` of each example.", if field.label { "Label" } else { "Input" }, field.name))
        .collect();
    let Some((first, others)) = names.split_first() else { return TokenStream::new() };
    let others_text: Vec<String> = others.iter().map(ToString::to_string).collect();
    let finite = finite(module);
    let report = report(module);
    quote! {
        #[doc = " Examples with their labels by reference: slices of one length."]
        #[derive(Clone, Copy, Debug)]
        pub struct Batch<'a> {
            #(#[doc = #docs] pub #names: &'a [#types],)*
        }
        #[doc = " Examples with their labels, owned: vectors of one length."]
        #[derive(Clone, Debug, Default)]
        pub struct Examples {
            #(#[doc = #docs] pub #names: Vec<#types>,)*
        }
        impl rt::Examples for Examples {
            type Batch<'a> = Batch<'a>;
            fn len(&self) -> usize {
                self.#first.len()
            }
            fn clear(&mut self) {
                #(self.#names.clear();)*
            }
            fn extend(&mut self, from: &Examples, positions: &[usize]) -> Result<(), rt::InputError> {
                let len = from.#first.len();
                #(rt::check_length(#others_text, len, from.#others.len())?;)*
                if let Some(&found) = positions.iter().find(|&&position| position >= len) {
                    return Err(rt::InputError::PositionOutOfRange { len, found });
                }
                #(self.#names.extend(positions.iter().map(|&position| from.#names[position]));)*
                Ok(())
            }
            fn batch(&self) -> Batch<'_> {
                Batch { #(#names: &self.#names),* }
            }
            fn check_finite(&self) -> Result<(), rt::InputError> {
                #finite
                Ok(())
            }
        }
        #report
    }
}

/// The checks that all fields hold finite numbers.
fn finite(module: &Module<'_>) -> TokenStream {
    let fields = module.model.fields.iter().zip(&module.interface.fields);
    let floats = fields.filter(|(field, _)| !matches!(field.element, Element::Index(_)));
    let checks = floats.map(|(field, (name, _))| {
        let (text, len) = (&field.name, field.dims.iter().product::<usize>());
        quote!(rt::check_finite(#text, rt::flat(&self.#name), #len)?;)
    });
    checks.collect()
}

/// The examples of a training step that takes some fields only.
pub(super) fn step_batch(module: &Module<'_>, name: &Ident, loss: &str, fields: &[usize]) -> TokenStream {
    let doc = format!(" What the training step of `{loss}` takes of each example: slices of one length.");
    let each = fields.iter().map(|&field| {
        let (declared, (name, ty)) = (&module.model.fields[field], &module.interface.fields[field]);
        let doc = format!(" {} `{}` of each example.", if declared.label { "Label" } else { "Input" }, declared.name);
        quote!(#[doc = #doc] pub #name: &'a [#ty],)
    });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        pub struct #name<'a> {
            #(#each)*
        }
    }
}

/// `Report`: the unnamed loss, then all that has a name.
fn report(module: &Module<'_>) -> TokenStream {
    let losses = module.model.losses.iter().zip(&module.interface.losses);
    let unnamed = losses.clone().find(|(loss, _)| loss.name.is_none()).map(|(loss, _)| match loss.docs.as_slice() {
        [] => docs(&["The loss.".to_owned()]),
        lines => docs(lines),
    });
    let named = losses.filter_map(|(loss, field)| Some((loss.name.as_deref()?, &loss.docs, field)));
    let metrics = module.model.metrics.iter().zip(&module.interface.metrics);
    let named = named.clone().chain(metrics.map(|(metric, field)| (metric.name.as_str(), &metric.docs, field)));
    let documented = named.map(|(name, lines, field)| match lines.as_slice() {
        [] => (name, docs(&[format!("The mean of `{name}`.")]), field),
        lines => (name, docs(lines), field),
    });
    let documented: Vec<_> = documented.collect();
    let names = documented.iter().map(|(name, ..)| name);
    let docs = documented.iter().map(|(_, docs, _)| docs);
    let fields: Vec<&Ident> = documented.iter().map(|(.., field)| *field).collect();
    let (loss_field, loss) = match unnamed {
        Some(docs) => (Some(quote!(#docs pub loss: f32,)), quote!(self.loss)),
        None => {
            let losses = &module.interface.losses;
            (None, quote!(#(self.#losses)+*))
        }
    };
    let places = 0..fields.len();
    let metric = if fields.is_empty() {
        quote! {
            fn metric(&self, _index: usize) -> f32 {
                f32::NAN
            }
        }
    } else {
        quote! {
            fn metric(&self, index: usize) -> f32 {
                match index {
                    #(#places => self.#fields,)*
                    _ => f32::NAN,
                }
            }
        }
    };
    quote! {
        #[doc = " Loss and metrics, each the mean over a batch."]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Report {
            #loss_field
            #(#docs pub #fields: f32,)*
        }
        impl rt::Report for Report {
            const METRICS: &'static [&'static str] = &[#(#names),*];
            fn loss(&self) -> f32 {
                #loss
            }
            #metric
        }
    }
}
