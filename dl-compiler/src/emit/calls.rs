//! The public functions of inference and evaluation, and what they share with those of training.
//!
//! Every function checks all of its input before it does anything, then runs the phases of its program.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::Module;
use super::layout::Layout;
use super::steps::{Function, mentions};
use crate::graph::{Element, Role};
use crate::program::{BufferId, Phase, Program};

/// One program with its names and the functions of its phases.
pub(super) struct Routine<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// Its names.
    pub(super) layout: Layout,
    /// The functions of each phase.
    pub(super) phases: Vec<Vec<Function>>,
}

/// A value of each example that is kept: which, how many floats, and the block that it goes to.
pub(super) type Kept = (BufferId, usize, TokenStream);

impl Routine<'_> {
    /// Whether it draws random numbers.
    pub(super) fn draws(&self) -> bool {
        self.program.steps().any(|step| step.kernel.draws())
    }

    /// Runs all phases; `shards`, `n` and whatever the functions take are variables at hand. With `kept`, all
    /// that remains of shards which are computed once, each thread computes its own in the floats of one.
    pub(super) fn run(&self, kept: Option<&[Kept]>) -> TokenStream {
        let mut code = TokenStream::new();
        for (phase, functions) in self.program.phases.iter().zip(&self.phases) {
            code.extend(match phase {
                Phase::Batch(_) => {
                    let calls = calls(functions);
                    quote!(#(#calls;)*)
                }
                Phase::Shards(_) => {
                    let body = of_shard(functions);
                    match kept {
                        None => quote!(team.shards(shards, layout::SHARDS, n, #body);),
                        Some(kept) => {
                            let kept = kept.iter().map(|(id, len, to)| {
                                let range = self.layout.range(*id);
                                quote!(rt::Kept { start: #range.start, len: #len, to: #to.as_mut_slice() })
                            });
                            quote!(team.shards_in_turn(shards, layout::SHARDS, n, [#(#kept),*], #body);)
                        }
                    }
                }
            });
        }
        code
    }

    /// The values that the report is made of, those that the program computes, and a variable for the block of each.
    pub(super) fn measured(&self, module: &Module<'_>) -> Vec<(Role, BufferId, Ident)> {
        let computed = |(field, role)| {
            let id = self.program.result(role)?;
            Some((role, id, format_ident!("{field}_of_examples")))
        };
        module.measures().filter_map(computed).collect()
    }

    /// The report, each value the mean over the batch; `weights` is the code of what the examples count.
    pub(super) fn report(&self, module: &Module<'_>, weights: &TokenStream) -> (TokenStream, TokenStream) {
        let helper = quote! {
            let mean = |range: ::core::ops::Range<usize>| {
                let values = rt::Segments::of_shards(shards, layout::SHARDS, range.start, 1);
                rt::mean(n, values, #weights)
            };
        };
        let range = |role| self.program.result(role).map(|id| self.layout.range(id).clone());
        (helper, means(module, range))
    }
}

/// The report of means, each of what `of` gives for a value. What the program does not compute is NaN.
fn means(module: &Module<'_>, of: impl Fn(Role) -> Option<TokenStream>) -> TokenStream {
    let values = module.measures().map(|(field, role)| match of(role) {
        Some(values) => quote!(#field: mean(#values)),
        None => quote!(#field: f32::NAN),
    });
    quote!(Report { #(#values),* })
}

/// The calls of a phase.
fn calls(functions: &[Function]) -> Vec<TokenStream> {
    functions.iter().map(|function| call(function, functions.len() > 1)).collect()
}

/// The closure that computes a shard.
fn of_shard(functions: &[Function]) -> TokenStream {
    let calls = calls(functions);
    match calls.as_slice() {
        [call] => quote!(|shard| #call),
        _ => quote! {
            |shard| {
                let rt::Shard { first, rows, floats } = shard;
                #(#calls;)*
            }
        },
    }
}

/// A function called with variables of the names it takes; one of several gets the shard put together anew.
pub(super) fn call(function: &Function, again: bool) -> TokenStream {
    let arguments = function.arguments.iter().map(|argument| {
        if again && argument == "shard" {
            return quote!(rt::Shard { first, rows, floats: &mut *floats });
        }
        quote!(#argument)
    });
    let (name, blocks) = (&function.name, &function.blocks);
    let together = (!blocks.is_empty()).then(|| quote!([#(#blocks),*],));
    quote!(#name(#together #(#arguments),*))
}

/// `let` for each block that the code mentions.
pub(super) fn blocks(code: &TokenStream, sources: &[(&str, TokenStream)]) -> TokenStream {
    let used = sources.iter().filter(|(name, _)| mentions(code, &format_ident!("{name}")));
    let lets = used.map(|(name, source)| {
        let name = format_ident!("{name}");
        quote!(let #name = #source;)
    });
    lets.collect()
}

/// The checks of some fields of the model; `of` makes the code of a field.
pub(super) fn checks(module: &Module<'_>, fields: &[usize], of: impl Fn(&Ident) -> TokenStream) -> TokenStream {
    let mut code = TokenStream::new();
    for (place, &field) in fields.iter().enumerate() {
        let (field, (name, _)) = (&module.model.fields[field], &module.interface.fields[field]);
        let (values, text) = (of(name), &field.name);
        code.extend(if place == 0 {
            quote! {
                let n = #values.len();
                rt::check_examples(n, workspace.capacity)?;
            }
        } else {
            quote!(rt::check_length(#text, n, #values.len())?;)
        });
        if let Element::Index(bound) = field.element {
            let len = field.dims.iter().product::<usize>();
            code.extend(quote!(rt::check_indices(#text, rt::flat(#values), #len, #bound)?;));
        }
    }
    code
}

/// `forward` and what it returns.
pub(super) fn forward(module: &Module<'_>, routine: &Routine<'_>) -> TokenStream {
    let inputs = module.model.fields.iter().zip(&module.interface.fields).filter(|(field, _)| !field.label);
    let inputs = inputs.map(|(_, (name, ty))| quote!(#name: &[#ty]));
    let (names, types): (Vec<&Ident>, Vec<&Ident>) = module.interface.outputs.iter().map(|(a, b)| (a, b)).unzip();
    let given: Vec<usize> = (0..module.model.fields.len()).filter(|&field| !module.model.fields[field].label).collect();
    let checks = checks(module, &given, |name| quote!(#name));
    let lens: Vec<TokenStream> = module
        .model
        .outputs
        .iter()
        .map(|output| super::kernel::count(output.dims.iter().product(), Some(&quote!(n))))
        .collect();
    // An output asks nothing of other examples, so their shards are computed once.
    let kept = names.iter().zip(&module.model.outputs).enumerate().filter_map(|(place, (name, output))| {
        let id = routine.program.result(Role::Output(place))?;
        Some((id, output.dims.iter().product(), quote!(workspace.#name)))
    });
    let body = routine.run(Some(&kept.collect::<Vec<Kept>>()));
    let views: Vec<TokenStream> =
        names.iter().zip(&lens).map(|(name, len)| quote!(rt::views(&workspace.#name.as_slice()[..#len]))).collect();
    let (output, value) = match (types.as_slice(), views.as_slice()) {
        ([ty], [view]) => (quote!(&'w [#ty]), quote!(#view)),
        _ => (quote!(Outputs<'w>), quote!(Outputs { #(#names: #views),* })),
    };
    let draws = routine.draws();
    let blocks = inference_blocks(&body, if draws { quote!(seed) } else { quote!(seed: 0) });
    let (seed_doc, seed) = if draws {
        (quote!(#[doc = " `seed` decides what is drawn at random."] #[doc = ""]), quote!(seed: u64))
    } else {
        Default::default()
    };
    let prepared = used_or_not(&blocks, "prepared");
    let outputs = (types.len() != 1).then(|| {
        let docs = module.model.outputs.iter().map(|output| format!(" Output `{}` of each example.", output.name));
        quote! {
            #[doc = " What inference yields: slices of one length, borrowed from the workspace."]
            #[derive(Clone, Copy, Debug)]
            pub struct Outputs<'w> {
                #(#[doc = #docs] pub #names: &'w [#types],)*
            }
        }
    });
    quote! {
        #outputs
        #[doc = " Inference: the outputs of any number of examples up to the capacity of the workspace."]
        #[doc = ""]
        #seed_doc
        #[doc = " # Errors"]
        #[doc = " If there are no examples or too many, inputs differ in length, or an index is out of range."]
        pub fn forward<'w>(
            #prepared: &Prepared,
            workspace: &'w mut Workspace,
            #(#inputs,)*
            #seed
        ) -> Result<#output, rt::InputError> {
            use self::forward_layout as layout;
            #checks
            #blocks
            #body
            Ok(#value)
        }
    }
}

/// `OwnedOutputs` and `predict`, which collects what `forward` yields batch by batch.
pub(super) fn predict(module: &Module<'_>, draws: bool) -> (TokenStream, TokenStream) {
    let outputs = &module.interface.outputs;
    let (names, types): (Vec<&Ident>, Vec<&Ident>) = outputs.iter().map(|(name, ty)| (name, ty)).unzip();
    let docs = module.model.outputs.iter().map(|output| format!(" Output `{}` of each example.", output.name));
    let predictions = quote! {
        #[doc = " Outputs of any number of examples, owned: vectors of one length."]
        #[derive(Clone, Debug, Default)]
        pub struct OwnedOutputs {
            #(#[doc = #docs] pub #names: Vec<#types>,)*
        }
    };
    let inputs = module.model.fields.iter().zip(&module.interface.fields).filter(|(field, _)| !field.label);
    let inputs: Vec<(&str, &Ident)> = inputs.map(|(field, (name, _))| (field.name.as_str(), name)).collect();
    let ([(_, first), others @ ..], false) = (inputs.as_slice(), names.is_empty()) else {
        let predict = quote! {
            fn predict(
                _prepared: &Prepared,
                _workspace: &mut Workspace,
                _examples: &Examples,
            ) -> Result<OwnedOutputs, rt::InputError> {
                Ok(OwnedOutputs {})
            }
        };
        return (predictions, predict);
    };
    let checks = others.iter().map(|(text, name)| quote!(rt::check_length(#text, n, examples.#name.len())?;));
    let slices = inputs.iter().map(|(_, name)| quote!(&examples.#name[from..to]));
    let seed = draws.then(|| quote!(0));
    let arguments = slices.chain(seed);
    let collected = match names.as_slice() {
        [name] => quote!(predictions.#name.extend_from_slice(outputs);),
        names => quote!(#(predictions.#names.extend_from_slice(outputs.#names);)*),
    };
    let predict = quote! {
        fn predict(
            prepared: &Prepared,
            workspace: &mut Workspace,
            examples: &Examples,
        ) -> Result<OwnedOutputs, rt::InputError> {
            let n = examples.#first.len();
            #(#checks)*
            let mut predictions = OwnedOutputs::default();
            let capacity = workspace.capacity.max(1);
            for from in (0..n).step_by(capacity) {
                let to = n.min(from.saturating_add(capacity));
                let outputs = forward(prepared, workspace, #(#arguments),*)
                    .map_err(|error| error.with_example(|example| from + example))?;
                #collected
            }
            Ok(predictions)
        }
    };
    (predictions, predict)
}

/// The blocks that `forward` and `evaluate` work on, as far as the code mentions them.
fn inference_blocks(body: &TokenStream, seed: TokenStream) -> TokenStream {
    blocks(
        body,
        &[
            ("form", quote!(rt::Form::of(n))),
            ("team", quote!(&workspace.team)),
            ("prepared", quote!(prepared.block.as_slice())),
            ("fixed", quote!(workspace.fixed.as_mut_slice())),
            ("shards", quote!(workspace.shards.as_mut_slice())),
            ("draw", quote!(rt::Draw { #seed, step: 0, instance: 0 })),
        ],
    )
}

/// `prepared`, with an underscore if no code mentions it.
pub(super) fn used_or_not(code: &TokenStream, name: &str) -> Ident {
    let ident = format_ident!("{name}");
    if mentions(code, &ident) { ident } else { format_ident!("_{name}") }
}

/// `evaluate`.
pub(super) fn evaluate(module: &Module<'_>, routine: &Routine<'_>) -> TokenStream {
    let all: Vec<usize> = (0..module.model.fields.len()).collect();
    let checks = checks(module, &all, |name| quote!(batch.#name));
    let body = if routine.program.goes_by_shards() {
        let measured = routine.measured(module);
        let variables: Vec<&Ident> = measured.iter().map(|(.., variable)| variable).collect();
        let kept: Vec<Kept> = measured.iter().map(|(_, id, variable)| (*id, 1, quote!(#variable))).collect();
        let run = routine.run(Some(&kept));
        let report =
            means(module, |role| measured.iter().find(|(of, ..)| *of == role).map(|(.., variable)| quote!(#variable)));
        quote! {
            let [#(#variables),*] = &mut workspace.measures;
            #run
            let mean = |values: &rt::Block| {
                rt::mean(n, rt::Segments::of_examples(values.as_slice(), 1), rt::ExampleWeights::equal(n))
            };
            Ok(#report)
        }
    } else {
        let run = routine.run(None);
        let (mean, report) = routine.report(module, &quote!(rt::ExampleWeights::equal(n)));
        quote!(#run #mean Ok(#report))
    };
    let blocks = inference_blocks(&body, quote!(seed: 0));
    let prepared = used_or_not(&blocks, "prepared");
    quote! {
        #[doc = " Loss and metrics of the inference network, each the mean over the batch."]
        #[doc = ""]
        #[doc = " # Errors"]
        #[doc = " If there are no examples or too many, slices differ in length, or an index is out of range."]
        pub fn evaluate(
            #prepared: &Prepared,
            workspace: &mut Workspace,
            batch: Batch<'_>,
        ) -> Result<Report, rt::InputError> {
            use self::evaluate_layout as layout;
            #checks
            #blocks
            #body
        }
    }
}
