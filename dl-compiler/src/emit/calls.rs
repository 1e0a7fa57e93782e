//! The public functions of a module and the storage they work in.
//!
//! Every function checks all of its input before it does anything, then runs the phases of its program.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::Module;
use super::layout::Layout;
use super::steps::{Function, mentions};
use crate::graph::{Element, Role};
use crate::model::Optimizer;
use crate::program::{Phase, Program};

/// One program with its names and the functions of its phases.
pub(super) struct Routine<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// Its names.
    pub(super) layout: Layout,
    /// The functions of each phase.
    pub(super) phases: Vec<Vec<Function>>,
}

impl Routine<'_> {
    /// Runs all phases; `shards`, `n` and whatever the functions take are variables at hand.
    fn run(&self) -> TokenStream {
        let mut code = TokenStream::new();
        for (phase, functions) in self.program.phases.iter().zip(&self.phases) {
            let calls: Vec<TokenStream> =
                functions.iter().map(|function| call(function, functions.len() > 1)).collect();
            code.extend(match (phase, calls.as_slice()) {
                (Phase::Batch(_), _) => quote!(#(#calls;)*),
                (Phase::Shards(_), [call]) => {
                    quote!(team.shards(shards, layout::SHARD_FLOATS, n, |shard| #call);)
                }
                (Phase::Shards(_), _) => quote! {
                    team.shards(shards, layout::SHARD_FLOATS, n, |shard| {
                        let rt::Shard { first, rows, floats } = shard;
                        #(#calls;)*
                    });
                },
            });
        }
        code
    }

    /// The report, each value the mean over the batch; `weights` is the code of the weights and their sum.
    fn report(&self, module: &Module<'_>, weights: &TokenStream) -> (TokenStream, TokenStream) {
        let mean = |role| match self.program.result(role) {
            Some(id) => {
                let range = self.layout.range(id);
                quote!(mean(#range))
            }
            None => quote!(f32::NAN),
        };
        let (loss, names) = (mean(Role::Loss(0)), &module.interface.metrics);
        let metrics = (0..names.len()).map(|metric| mean(Role::Metric(metric)));
        let helper = quote! {
            let mean = |range: ::core::ops::Range<usize>| {
                let values = rt::Segments::of_shards(shards, layout::SHARD_FLOATS, range.start, 1);
                rt::mean(n, values, #weights)
            };
        };
        (helper, quote!(Report { loss: #loss, #(#names: #metrics),* }))
    }
}

/// A function called with variables of the names it takes; one of several gets the shard put together anew.
fn call(function: &Function, again: bool) -> TokenStream {
    let arguments = function.arguments.iter().map(|argument| {
        if again && argument == "shard" {
            return quote!(rt::Shard { first, rows, floats: &mut *floats });
        }
        quote!(#argument)
    });
    let name = &function.name;
    quote!(#name(#(#arguments),*))
}

/// `let` for each block that the code mentions.
fn blocks(code: &TokenStream, sources: &[(&str, TokenStream)]) -> TokenStream {
    let used = sources.iter().filter(|(name, _)| mentions(code, &format_ident!("{name}")));
    let lets = used.map(|(name, source)| {
        let name = format_ident!("{name}");
        quote!(let #name = #source;)
    });
    lets.collect()
}

/// The checks of some fields; `of` makes the code of a field.
fn checks(module: &Module<'_>, labels: bool, of: impl Fn(&Ident) -> TokenStream) -> TokenStream {
    let mut code = TokenStream::new();
    let fields = module.model.fields.iter().zip(&module.interface.fields).filter(|(field, _)| labels || !field.label);
    for (place, (field, (name, _))) in fields.enumerate() {
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
    let checks = checks(module, false, |name| quote!(#name));
    let run = routine.run();
    let lens: Vec<TokenStream> = module
        .model
        .outputs
        .iter()
        .map(|output| super::kernel::count(output.dims.iter().product(), Some(&quote!(n))))
        .collect();
    let gathers =
        names.iter().zip(&module.model.outputs).zip(&lens).enumerate().map(|(place, ((name, output), len))| {
            let range = routine.program.result(Role::Output(place)).map(|id| routine.layout.range(id));
            let floats = output.dims.iter().product::<usize>();
            quote! {
                let values = rt::Segments::of_shards(shards, layout::SHARD_FLOATS, #range.start, #floats);
                values.copy_to(&mut workspace.#name.as_mut_slice()[..#len]);
            }
        });
    let gathers: TokenStream = gathers.collect();
    let views: Vec<TokenStream> =
        names.iter().zip(&lens).map(|(name, len)| quote!(rt::views(&workspace.#name.as_slice()[..#len]))).collect();
    let (output, value) = match (types.as_slice(), views.as_slice()) {
        ([ty], [view]) => (quote!(&'w [#ty]), quote!(#view)),
        _ => (quote!(Outputs<'w>), quote!(Outputs { #(#names: #views),* })),
    };
    let body = quote!(#run #gathers);
    let blocks = inference_blocks(&body);
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
        #[doc = " # Errors"]
        #[doc = " If there are no examples or too many, inputs differ in length, or an index is out of range."]
        pub fn forward<'w>(
            #prepared: &Prepared,
            workspace: &'w mut Workspace,
            #(#inputs),*
        ) -> Result<#output, rt::InputError> {
            use self::forward_layout as layout;
            #checks
            #blocks
            #body
            Ok(#value)
        }
    }
}

/// The blocks that `forward` and `evaluate` work on, as far as the code mentions them.
fn inference_blocks(body: &TokenStream) -> TokenStream {
    blocks(
        body,
        &[
            ("team", quote!(&workspace.team)),
            ("prepared", quote!(prepared.block.as_slice())),
            ("fixed", quote!(workspace.fixed.as_mut_slice())),
            ("shards", quote!(workspace.shards.as_mut_slice())),
            ("draw", quote!(rt::Draw { seed: 0, step: 0, instance: 0 })),
        ],
    )
}

/// `prepared`, with an underscore if no code mentions it.
fn used_or_not(code: &TokenStream, name: &str) -> Ident {
    let ident = format_ident!("{name}");
    if mentions(code, &ident) { ident } else { format_ident!("_{name}") }
}

/// `evaluate`.
pub(super) fn evaluate(module: &Module<'_>, routine: &Routine<'_>) -> TokenStream {
    let checks = checks(module, true, |name| quote!(batch.#name));
    let run = routine.run();
    let (mean, report) = routine.report(module, &quote!(None, n as f32));
    let body = quote!(#run #mean Ok(#report));
    let blocks = inference_blocks(&body);
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

/// Whether a program draws random numbers.
pub(super) fn draws(program: &Program) -> bool {
    program.steps().any(|step| step.kernel.draws())
}

/// `gradients`, `step` and the optimizer.
pub(super) fn training(module: &Module<'_>, routine: &Routine<'_>, prepare: &[Function]) -> TokenStream {
    let checks = checks(module, true, |name| quote!(batch.#name));
    let run = routine.run();
    let prepare: Vec<TokenStream> = prepare.iter().map(|function| call(function, false)).collect();
    let (mean, report) = routine.report(module, &quote!(weights, total));
    let body = quote!(#(#prepare;)* #run #mean let report = #report;);
    let blocks = blocks(
        &body,
        &[
            ("team", quote!(&workspace.team)),
            ("parameters", quote!(parameters.block.as_slice())),
            ("prepared", quote!(workspace.prepared.as_mut_slice())),
            ("fixed", quote!(workspace.fixed.as_mut_slice())),
            ("shards", quote!(workspace.shards.as_mut_slice())),
            ("gradients", quote!(workspace.gradients.block.as_mut_slice())),
            ("draw", quote!(rt::Draw { seed, step, instance: 0 })),
        ],
    );
    let parameters = used_or_not(&blocks, "parameters");
    let draws = draws(routine.program);
    let (draw_doc, draw_arguments, draw_values) = if draws {
        (
            quote!(#[doc = " `seed` and `step` decide what is drawn at random."]),
            quote!(seed: u64, step: u64,),
            quote!(optimizer.seed, optimizer.step(),),
        )
    } else {
        Default::default()
    };
    let (rule, settings) = settings(module);
    let name = &module.model.name;
    let floats = if module.model.parameters.is_empty() { quote!(0) } else { quote!(parameter_layout::FLOATS) };
    let train_doc = format!(" The numbers of the `train` section of `{name}`.");
    quote! {
        #[doc = " The gradient of the loss for every parameter, with the loss and the metrics it belongs to."]
        #[doc = ""]
        #[doc = " `weights` holds one weight for each example; without it all count alike."]
        #draw_doc
        #[doc = ""]
        #[doc = " # Errors"]
        #[doc = " If there are no examples or too many, slices differ in length, an index is out of range, or weights are unusable."]
        pub fn gradients<'w>(
            #parameters: &Parameters,
            _state: &State,
            workspace: &'w mut TrainingWorkspace,
            batch: Batch<'_>,
            weights: Option<&[f32]>,
            #draw_arguments
        ) -> Result<(Report, &'w Gradients), rt::InputError> {
            use self::gradients_layout as layout;
            #checks
            let total = rt::check_weights(weights, n)?;
            #blocks
            #body
            Ok((report, &workspace.gradients))
        }
        #[doc = " One training step: forward, backward, update. Returns the loss and the metrics from before the update."]
        #[doc = ""]
        #[doc = " # Errors"]
        #[doc = " As [`gradients`], or if the optimizer was made for another network; then nothing has changed."]
        pub fn step(
            parameters: &mut Parameters,
            state: &mut State,
            optimizer: &mut Optimizer,
            workspace: &mut TrainingWorkspace,
            batch: Batch<'_>,
            weights: Option<&[f32]>,
        ) -> Result<Report, rt::InputError> {
            optimizer.check(parameters.block.as_slice().len())?;
            let (report, _) = gradients(parameters, state, workspace, batch, weights, #draw_values)?;
            let gradients = workspace.gradients.block.as_slice();
            optimizer.update(parameters.block.as_mut_slice(), gradients, &workspace.team);
            Ok(report)
        }
        #[doc = " The optimizer: its rule and its memory."]
        pub type Optimizer = rt::Optimizer<#rule>;
        #[doc = #train_doc]
        pub fn settings() -> rt::Settings<#rule> {
            #settings
        }
        #[doc = " The optimizer of the `train` section before its first step."]
        pub fn optimizer(seed: u64) -> Optimizer {
            Optimizer::new(settings().optimizer, seed, #floats)
        }
    }
}

/// The rule's type and the code of the settings.
pub(super) fn settings(module: &Module<'_>) -> (TokenStream, TokenStream) {
    let train = module.model.train;
    let (batch, epochs) = (train.batch, train.epochs);
    let patience = match train.patience {
        Some(patience) => quote!(Some(#patience)),
        None => quote!(None),
    };
    let float = super::pointwise::float;
    let (rule, numbers) = match train.optimizer {
        Optimizer::Sgd { learning_rate, momentum, nesterov, weight_decay } => {
            let (rate, momentum, decay) = (float(learning_rate), float(momentum), float(weight_decay));
            let numbers = quote!(learning_rate: #rate, momentum: #momentum, nesterov: #nesterov, weight_decay: #decay);
            (quote!(rt::Sgd), numbers)
        }
        Optimizer::Adam { learning_rate, beta1, beta2, epsilon, weight_decay } => {
            let (rate, beta1, beta2) = (float(learning_rate), float(beta1), float(beta2));
            let (epsilon, decay) = (float(epsilon), float(weight_decay));
            let betas = quote!(beta1: #beta1, beta2: #beta2);
            (quote!(rt::Adam), quote!(learning_rate: #rate, #betas, epsilon: #epsilon, weight_decay: #decay))
        }
    };
    let settings = quote! {
        rt::Settings {
            optimizer: #rule { #numbers },
            batch: #batch,
            epochs: #epochs,
            patience: #patience,
        }
    };
    (rule, settings)
}
