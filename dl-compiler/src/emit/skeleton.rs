//! Types and signatures of a network that has mistakes, so that an editor keeps working on the code around it.
//!
//! Nothing here runs: bodies are `loop {}`, and the front door reports the mistakes beside it.

use proc_macro2::TokenStream;
use quote::quote;

use super::names::{Declared, Interface};
use super::types::{array, docs};
use crate::Options;
use crate::graph::Element;
use crate::resolve::Skeleton;

/// The module and the type of a network with mistakes.
pub fn skeleton(skeleton: &Skeleton, options: &Options) -> TokenStream {
    let declared = Declared {
        network: skeleton.name.clone(),
        fields: skeleton.fields.iter().map(|field| field.name.clone()).collect(),
        outputs: skeleton.outputs.iter().map(|output| output.name.clone()).collect(),
        ..Declared::default()
    };
    let interface = Interface::new(&declared);
    let (module, network) = (&interface.module, &interface.network);
    let alias = |(name, ty): (&proc_macro2::Ident, TokenStream)| quote!(#[doc = ""] pub type #name = #ty;);
    let field_types =
        interface.fields.iter().map(|(_, ty)| ty).zip(skeleton.fields.iter().map(|f| array(f.element, &f.dims)));
    let output_types =
        interface.outputs.iter().map(|(_, ty)| ty).zip(skeleton.outputs.iter().map(|o| array(Element::F32, &o.dims)));
    let aliases: TokenStream = field_types.chain(output_types).map(alias).collect();
    let (names, types): (Vec<_>, Vec<_>) = interface.fields.iter().map(|(name, ty)| (name, ty)).unzip();
    let inputs = skeleton.fields.iter().zip(&interface.fields).filter(|(field, _)| !field.label);
    let (input_names, inputs): (Vec<_>, Vec<_>) = inputs.map(|(_, (name, ty))| (name, quote!(#name: &[#ty]))).unzip();
    let (output_names, output_idents): (Vec<_>, Vec<_>) = interface.outputs.iter().map(|(name, ty)| (name, ty)).unzip();
    let output = match output_idents.as_slice() {
        [ty] => quote!(&'w [#ty]),
        _ => quote!(Outputs<'w>),
    };
    let outputs = (output_idents.len() > 1).then(|| {
        quote! {
            #[doc = ""]
            #[derive(Clone, Copy, Debug)]
            pub struct Outputs<'w> {
                #(#[doc = ""] pub #output_names: &'w [#output_idents],)*
            }
        }
    });
    let batches = (!names.is_empty()).then(|| {
        quote! {
            #[doc = ""]
            #[derive(Clone, Copy, Debug)]
            pub struct Batch<'a> {
                #(#[doc = ""] pub #names: &'a [#types],)*
            }
            #[doc = ""]
            #[derive(Clone, Debug, Default)]
            pub struct Examples {
                #(#[doc = ""] pub #names: Vec<#types>,)*
            }
        }
    });
    let forward = (!output_idents.is_empty()).then(|| {
        quote! {
            #[doc = ""]
            pub fn forward<'w>(
                _prepared: &Prepared,
                _workspace: &'w mut Workspace,
                #(#inputs),*
            ) -> Result<#output, rt::InputError> {
                let _ = (#(#input_names,)*);
                loop {}
            }
        }
    });
    let visibility = skeleton.public.then(|| quote!(pub));
    let runtime: TokenStream = options.runtime.parse().unwrap_or_else(|_| quote!(::dln::runtime));
    let import = forward.is_some().then(|| quote!(use #runtime as rt;));
    let module_docs = docs(&skeleton.docs);
    let units =
        ["Parameters", "State", "Prepared", "Gradients", "Workspace", "TrainingWorkspace", "Optimizer", "Report"];
    let units = units.map(super::names::plain);
    let code = quote! {
        #module_docs
        #visibility mod #module {
            #import
            #aliases
            #(
                #[doc = ""]
                #[derive(Debug)]
                pub struct #units;
            )*
            #outputs
            #batches
            impl Parameters {
                #[doc = ""]
                pub fn init(_seed: u64) -> Parameters {
                    loop {}
                }
                #[doc = ""]
                pub fn prepare(&self, _state: &State) -> Prepared {
                    loop {}
                }
            }
            impl State {
                #[doc = ""]
                pub fn init(_seed: u64) -> State {
                    loop {}
                }
            }
            impl Workspace {
                #[doc = ""]
                pub fn new(_capacity: usize) -> Workspace {
                    loop {}
                }
            }
            impl TrainingWorkspace {
                #[doc = ""]
                pub fn new(_capacity: usize) -> TrainingWorkspace {
                    loop {}
                }
            }
            #forward
        }
        #[doc = ""]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #network;
    };
    super::finished(code, !skeleton.public)
}
