//! The function `settings` and the type of the optimizers: what the `train` section says, as values of the runtime.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::Module;
use super::pointwise::float;
use crate::model::{Chosen, Number, Train};

/// The type of the optimizers and `settings`.
pub(super) fn settings(module: &Module<'_>) -> TokenStream {
    let train = &module.model.train;
    let (batch, epochs) = (train.batch, train.epochs);
    let patience = optional(train.patience.map(|patience| quote!(#patience)));
    let rule = rule(module);
    let numbers = fields(&train.optimizer, float);
    let (options, schedule) = (options(train), schedule(train));
    let train_doc = format!(" The numbers of the `train` section of `{}`.", module.model.name);
    quote! {
        #[doc = " The optimizer: its rule and its memory."]
        pub type Optimizer = rt::Optimizer<#rule>;
        #[doc = #train_doc]
        pub fn settings() -> rt::Settings<#rule> {
            rt::Settings {
                optimizer: #rule { #numbers },
                options: #options,
                schedule: #schedule,
                batch: #batch,
                epochs: #epochs,
                patience: #patience,
            }
        }
    }
}

/// The type of the optimizers' rule.
pub(super) fn rule(module: &Module<'_>) -> TokenStream {
    let name = format_ident!("{}", module.model.train.optimizer.form.rust);
    quote!(rt::#name)
}

/// What the optimizer does besides its rule.
fn options(train: &Train) -> TokenStream {
    let Train { clip, accumulate, ema, decay, .. } = train;
    if clip.is_none() && *accumulate == 1 && ema.is_none() && decay.is_empty() {
        return quote!(rt::Options::new());
    }
    let clip = match clip {
        Some(Chosen { form, numbers }) => {
            let (name, limits) = (format_ident!("{}", form.rust), numbers.iter().map(|limit| number(limit, float)));
            quote!(rt::Clip::#name(#(#limits),*))
        }
        None => quote!(rt::Clip::None),
    };
    let ema = optional(ema.map(float));
    let decay = decay.iter().map(|decay| {
        let (pattern, factor) = (&decay.pattern, float(decay.factor));
        quote!(rt::Decay::new(#pattern, #factor))
    });
    let decay = if decay.len() == 0 { quote!(::std::vec::Vec::new()) } else { quote!(::std::vec![#(#decay),*]) };
    quote!(rt::Options { clip: #clip, accumulate: #accumulate, ema: #ema, decay: #decay })
}

fn schedule(train: &Train) -> TokenStream {
    let Train { schedule, warm_up, .. } = train;
    if schedule.numbers.is_empty() && warm_up.is_none() {
        return quote!(rt::Schedule::constant());
    }
    let name = format_ident!("{}", schedule.form.rust);
    let shape = match schedule.numbers.as_slice() {
        [] => quote!(rt::Shape::#name),
        [Number::List(at), Number::List(factors)] => {
            let pieces = at.iter().zip(factors).map(|(&at, &factor)| (double(at), double(factor)));
            let pieces = pieces.map(|(at, factor)| quote!((#at, #factor)));
            quote!(rt::Shape::#name { pieces: ::std::vec![#(#pieces),*] })
        }
        _ => {
            let numbers = fields(schedule, double);
            quote!(rt::Shape::#name { #numbers })
        }
    };
    match warm_up {
        Some(warm_up) => {
            let numbers = warm_up.numbers.iter().map(|value| number(value, double));
            quote!(rt::Schedule::new(#shape).after_warm_up(#(#numbers),*))
        }
        None => quote!(rt::Schedule::new(#shape)),
    }
}

/// `learning_rate: 0.001, beta1: 0.9, …`
fn fields(chosen: &Chosen, float: fn(f64) -> TokenStream) -> TokenStream {
    let names = chosen.form.settings.iter().map(|setting| format_ident!("{}", setting.name));
    let numbers = chosen.numbers.iter().map(|value| number(value, float));
    quote!(#(#names: #numbers),*)
}

fn number(number: &Number, float: fn(f64) -> TokenStream) -> TokenStream {
    match number {
        Number::Float(value) => float(*value),
        Number::Count(value) => {
            let literal = proc_macro2::Literal::usize_unsuffixed(*value);
            quote!(#literal)
        }
        Number::Truth(value) => quote!(#value),
        Number::List(values) => {
            let values = values.iter().map(|value| float(*value));
            quote!([#(#values),*])
        }
    }
}

/// A number of at least 0 in double precision, with an exponent where that is shorter.
fn double(value: f64) -> TokenStream {
    let text = format!("{value:?}");
    let literal = text.parse().unwrap_or_else(|_| proc_macro2::Literal::f64_unsuffixed(value));
    quote!(#literal)
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}
