//! The types of a module: what an example is, blocks of tensors, batches, reports.
//!
//! Everything here follows from the model alone; what is computed is in `calls.rs` and `steps.rs`.

use proc_macro2::TokenStream;
use quote::quote;

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
pub(super) fn tensors(module: &Module<'_>, training: bool, prepares: &TokenStream) -> TokenStream {
    let parameters = accessors(module, true);
    let infos = infos(module);
    let no_parameters = module.model.parameters.is_empty();
    let floats = if no_parameters { quote!(0) } else { quote!(parameter_layout::FLOATS) };
    let initializers = module.model.parameters.iter().map(initializer);
    let init = if no_parameters {
        quote! {
            #[doc = " The parameters before training: there are none."]
            pub fn init(_seed: u64) -> Parameters {
                <Parameters as rt::Tensors>::zeros()
            }
        }
    } else {
        quote! {
            #[doc = " The parameters before training, a function of the seed alone."]
            pub fn init(seed: u64) -> Parameters {
                let mut block = rt::Block::zeroed(parameter_layout::FLOATS);
                let tensors = <Parameters as rt::Tensors>::TENSORS.iter().zip(INITIALIZERS);
                for (instance, (info, initializer)) in (0..).zip(tensors) {
                    let range = info.offset..info.offset + info.len();
                    initializer.fill(seed, instance, &mut block.as_mut_slice()[range]);
                }
                Parameters { block }
            }
        }
    };
    let table = (!no_parameters).then(|| {
        quote! {
            #[doc = " How each parameter is filled before training, in the order of its tensors."]
            const INITIALIZERS: &[rt::Initializer] = &[#(#initializers),*];
        }
    });
    let parameters_impl = block_impl("Parameters", &floats, &infos);
    let state_impl = block_impl("State", &quote!(0), &quote!(&[]));
    let gradients = training.then(|| {
        let gradients_impl = block_impl("Gradients", &floats, &quote!(<Parameters as rt::Tensors>::TENSORS));
        let accessors = accessors(module, false);
        let accessors = (!no_parameters).then(|| quote!(impl Gradients { #accessors }));
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
            #parameters
        }
        #parameters_impl
        #table
        #[doc = " What training updates without a gradient; this network has nothing of the kind."]
        #[derive(Clone, Debug)]
        pub struct State {
            block: rt::Block,
        }
        #state_impl
        #gradients
    }
}

fn infos(module: &Module<'_>) -> TokenStream {
    let infos = module.model.parameters.iter().zip(&module.interface.parameters).map(|(parameter, (_, _, range))| {
        let (path, dims) = (&parameter.path, &parameter.dims);
        quote!(rt::TensorInfo { name: #path, dims: &[#(#dims),*], offset: parameter_layout::#range.start })
    });
    quote!(&[#(#infos),*])
}

/// Typed access to every tensor.
fn accessors(module: &Module<'_>, mutable: bool) -> TokenStream {
    let each = module.model.parameters.iter().zip(&module.interface.parameters);
    let each = each.map(|(Parameter { path, dims, .. }, (name, name_mut, range))| {
        let (doc, ty) = (format!(" `{path}`, `{dims:?}`"), array(Element::F32, dims));
        let write = mutable.then(|| {
            quote! {
                #[doc = #doc]
                pub fn #name_mut(&mut self) -> &mut #ty {
                    rt::view_mut(&mut self.block.as_mut_slice()[parameter_layout::#range])
                }
            }
        });
        quote! {
            #[doc = #doc]
            pub fn #name(&self) -> &#ty {
                rt::view(&self.block.as_slice()[parameter_layout::#range])
            }
            #write
        }
    });
    each.collect()
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
    let metrics = metrics(module);
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
        }
        #metrics
    }
}

fn metrics(module: &Module<'_>) -> TokenStream {
    let fields = &module.interface.metrics;
    let names: Vec<&str> = module.model.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let docs = module.model.metrics.iter().map(|metric| match metric.docs.as_slice() {
        [] => docs(&[format!("The mean of `{}`.", metric.name)]),
        lines => docs(lines),
    });
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
            #[doc = " The loss."]
            pub loss: f32,
            #(#docs pub #fields: f32,)*
        }
        impl rt::Report for Report {
            const METRICS: &'static [&'static str] = &[#(#names),*];
            fn loss(&self) -> f32 {
                self.loss
            }
            #metric
        }
    }
}
