//! The public functions of training: for each loss `gradients` and `step`, with the optimizer and the settings, and the
//! implementation of the runtime's `Network`, which runs all steps one after another.
//!
//! A step computes gradients and updates of states first, then lets the optimizer change the parameters it trains, then
//! sees to their constraints and hands the updates over: nothing changes before all of the input is checked.

use std::ops::Range;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::Module;
use super::calls::{self, Routine, blocks, call, checks, used_or_not};
use super::definition;
use super::layout::{OTHERS, TRAINED, UPDATED, all, each, ranges};
use super::names::StepNames;
use super::pointwise::float;
use super::settings;
use super::steps::Function;
use super::types;
use crate::graph::Role;
use crate::model::{Constraint, Model};
use crate::plan::offsets;
use crate::program::{Home, Program};

/// What the steps of a model write, as ranges of the blocks.
pub(super) struct Writes {
    /// Parameters that it trains.
    trained: Part,
    /// States that it updates.
    updated: Part,
    /// Gradients that other steps compute and this one does not.
    others: Vec<Range<usize>>,
    /// The fields it reads; all if it is the only step.
    pub(super) fields: Vec<usize>,
}

/// A part of a block.
enum Part {
    /// Nothing.
    None,
    /// All that is trained or updated at all.
    Whole,
    /// These ranges.
    Ranges(Vec<Range<usize>>),
}

impl Part {
    fn new(ranges: Vec<Range<usize>>, whole: usize) -> Part {
        match ranges.as_slice() {
            [] => Part::None,
            [range] if *range == (0..whole) => Part::Whole,
            _ => Part::Ranges(ranges),
        }
    }
}

impl Writes {
    /// What step number `step` of the model writes.
    pub(super) fn new(model: &Model, programs: &[Program], step: usize) -> Writes {
        let (parameters, states) = (offsets(&model.parameters), offsets(&model.states));
        let gradients = |program: &Program| -> Vec<usize> {
            let roles = program.results.iter().map(|(role, _)| *role);
            roles.filter_map(|role| if let Role::Gradient(parameter) = role { Some(parameter) } else { None }).collect()
        };
        let (mut others, mut updates, mut read) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(program) = programs.get(step) {
            let own = gradients(program);
            others.extend(programs.iter().flat_map(gradients).filter(|parameter| !own.contains(parameter)));
            for buffer in &program.buffers {
                match buffer.home {
                    Home::Field(field) => read.push(field),
                    Home::Update(state) => updates.push(state),
                    _ => {}
                }
            }
        }
        others.sort_unstable();
        others.dedup();
        read.sort_unstable();
        let all = programs.len() == 1 || read.is_empty();
        let trained = model.losses.get(step).map_or(&[][..], |loss| &loss.updates);
        Writes {
            trained: Part::new(parameters.ranges(trained), parameters.trainable),
            updated: Part::new(states.ranges(&updates), states.total),
            others: parameters.ranges(&others),
            fields: if all { (0..model.fields.len()).collect() } else { read },
        }
    }

    /// The constants that the step's layout has besides places.
    pub(super) fn constants(&self) -> TokenStream {
        let mut constants = TokenStream::new();
        if let Part::Ranges(of) = &self.trained {
            constants.extend(ranges(TRAINED, "The parameters that the step trains.", of));
        }
        if let Part::Ranges(of) = &self.updated {
            constants.extend(ranges(UPDATED, "The states that the step updates.", of));
        }
        if !self.others.is_empty() {
            constants.extend(ranges(OTHERS, "Gradients that other steps leave behind.", &self.others));
        }
        constants
    }
}

/// One training step: its names, its program and what it writes.
pub(super) struct Step<'a> {
    /// Which loss it is of.
    pub(super) loss: usize,
    /// Its phases.
    pub(super) routine: Routine<'a>,
    /// The functions that prepare.
    pub(super) prepare: Vec<Function>,
    /// What it writes and reads.
    pub(super) writes: Writes,
}

impl Step<'_> {
    fn names<'m>(&self, module: &'m Module<'_>) -> &'m StepNames {
        &module.interface.steps[self.loss]
    }

    /// Whether it takes fewer fields than there are.
    pub(super) fn has_batch(&self, module: &Module<'_>) -> bool {
        self.writes.fields.len() < module.model.fields.len()
    }

    /// The type of its examples.
    fn batch(&self, module: &Module<'_>) -> Ident {
        if self.has_batch(module) { self.names(module).batch.clone() } else { format_ident!("Batch") }
    }

    /// The type of its examples, if it is its own.
    pub(super) fn batch_type(&self, module: &Module<'_>) -> TokenStream {
        if !self.has_batch(module) {
            return TokenStream::new();
        }
        let loss = module.model.losses[self.loss].name.as_deref().unwrap_or("loss");
        types::step_batch(module, &self.names(module).batch, loss, &self.writes.fields)
    }

    /// How many floats its optimizer is for.
    fn floats(&self, module: &Module<'_>) -> TokenStream {
        let frozen = module.model.parameters.iter().any(|parameter| parameter.frozen);
        match &self.writes.trained {
            Part::None => quote!(0),
            Part::Whole if frozen => quote!(parameter_layout::TRAINABLE),
            Part::Whole => quote!(parameter_layout::FLOATS),
            Part::Ranges(ranges) => {
                let floats: usize = ranges.iter().map(Range::len).sum();
                quote!(#floats)
            }
        }
    }

    /// `gradients`, `step` and `optimizer`.
    pub(super) fn functions(&self, module: &mut Module<'_>) -> TokenStream {
        let (gradients, step) = (self.gradients(module), self.step(module));
        let floats = self.floats(module);
        let optimizer = self.names(module).function("optimizer");
        let (import, ranges) = match &self.writes.trained {
            Part::Ranges(ranges) => {
                let (layout, trained) = (&self.routine.layout.module, all(TRAINED, ranges));
                (quote!(use self::#layout as layout;), quote!(.with_ranges(&#trained)))
            }
            Part::None | Part::Whole => Default::default(),
        };
        let of = match &module.model.losses[self.loss].name {
            Some(loss) => format!(" of `{loss}`"),
            None => String::new(),
        };
        let doc = format!(" The optimizer{of} with the numbers of the `train` section, before its first step.");
        let doc = if of.is_empty() { " The optimizer of the `train` section before its first step." } else { &doc };
        quote! {
            #gradients
            #step
            #[doc = #doc]
            pub fn #optimizer(seed: u64) -> Optimizer {
                #import
                Optimizer::with_settings(&settings(), seed, #floats, <Parameters as rt::Tensors>::TENSORS)#ranges
            }
        }
    }

    fn gradients(&self, module: &Module<'_>) -> TokenStream {
        let checks = checks(module, &self.writes.fields, |name| quote!(batch.#name));
        let run = self.routine.run(None);
        let prepare: Vec<TokenStream> = self.prepare.iter().map(|function| call(function, false)).collect();
        let (mean, report) = self.routine.report(module, &quote!(weights));
        let others = (!self.writes.others.is_empty())
            .then(|| each(OTHERS, &self.writes.others, &quote!(gradients[range].fill(0.0);)));
        let body = quote!(#others #(#prepare;)* #run #mean let report = #report;);
        let blocks = blocks(
            &body,
            &[
                ("form", quote!(rt::Form::of(n))),
                ("team", quote!(&workspace.team)),
                ("by_shards", quote!(layout::SHARDS.are_even(n, team))),
                ("in_place", quote!(layout::SHARDS.meet_weights_in_place(n, team))),
                ("parameters", quote!(parameters.block.as_slice())),
                ("state", quote!(state.block.as_slice())),
                ("prepared", quote!(workspace.prepared.as_mut_slice())),
                ("fixed", quote!(workspace.fixed.as_mut_slice())),
                ("shards", quote!(workspace.shards.as_mut_slice())),
                ("gradients", quote!(workspace.gradients.block.as_mut_slice())),
                ("updates", quote!(workspace.updates.block.as_mut_slice())),
                ("draw", quote!(rt::Draw { seed, step, instance: 0 })),
            ],
        );
        let (parameters, state) = (used_or_not(&blocks, "parameters"), used_or_not(&blocks, "state"));
        let (draw_doc, draws) = if self.routine.draws() {
            (quote!(#[doc = " `seed` and `step` decide what is drawn at random."]), quote!(seed: u64, step: u64,))
        } else {
            Default::default()
        };
        let (name, batch) = (self.names(module).function("gradients"), self.batch(module));
        let doc = match &module.model.losses[self.loss].name {
            Some(loss) => format!(
                " The gradient of `{loss}` for every parameter it trains, 0 for all others, with the loss and the metrics it belongs to."
            ),
            None => {
                " The gradient of the loss for every parameter, with the loss and the metrics it belongs to.".to_owned()
            }
        };
        let layout = &self.routine.layout.module;
        quote! {
            #[doc = #doc]
            #[doc = ""]
            #[doc = " `weights` holds one weight for each example; without it all count alike."]
            #draw_doc
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = " If there are no examples or too many, slices differ in length, an index is out of range, or weights are unusable."]
            pub fn #name<'w>(
                #parameters: &Parameters,
                #state: &State,
                workspace: &'w mut TrainingWorkspace,
                batch: #batch<'_>,
                weights: Option<&[f32]>,
                #draws
            ) -> Result<(Report, &'w Gradients), rt::InputError> {
                use self::#layout as layout;
                #checks
                let weights = rt::check_weights(weights, n)?;
                #blocks
                #body
                Ok((report, &workspace.gradients))
            }
        }
    }

    fn step(&self, module: &mut Module<'_>) -> TokenStream {
        let (len, update) = self.update(module);
        let constraints = self.constraints(module);
        let updates = match &self.writes.updated {
            Part::None => TokenStream::new(),
            Part::Whole => quote! {
                state.block.as_mut_slice().copy_from_slice(workspace.updates.block.as_slice());
            },
            Part::Ranges(ranges) => {
                let copy = quote! {
                    let updates = &workspace.updates.block.as_slice()[range.clone()];
                    state.block.as_mut_slice()[range].copy_from_slice(updates);
                };
                each(UPDATED, ranges, &copy)
            }
        };
        let body = quote!(#update #constraints #updates);
        let import = super::steps::mentions(&body, &format_ident!("layout")).then(|| {
            let layout = &self.routine.layout.module;
            quote!(use self::#layout as layout;)
        });
        let names = self.names(module);
        let (step, gradients, batch) = (names.function("step"), names.function("gradients"), self.batch(module));
        let draws = self.routine.draws().then(|| quote!(optimizer.seed, optimizer.step(),));
        let errors = format!(
            " As [`{gradients}`], or if the optimizer was made for another {}; then nothing has changed.",
            if names.suffix.is_empty() { "network" } else { "step" }
        );
        let doc = match &module.model.losses[self.loss].name {
            Some(loss) => format!(
                " One training step of `{loss}`: forward, backward, update. Returns the loss and the metrics from before the update."
            ),
            None => {
                " One training step: forward, backward, update. Returns the loss and the metrics from before the update."
                    .to_owned()
            }
        };
        quote! {
            #[doc = #doc]
            #[doc = ""]
            #[doc = " # Errors"]
            #[doc = #errors]
            pub fn #step(
                parameters: &mut Parameters,
                state: &mut State,
                optimizer: &mut Optimizer,
                workspace: &mut TrainingWorkspace,
                batch: #batch<'_>,
                weights: Option<&[f32]>,
            ) -> Result<Report, rt::InputError> {
                #import
                optimizer.check(#len)?;
                let (report, _) = #gradients(parameters, state, workspace, batch, weights, #draws)?;
                #body
                Ok(report)
            }
        }
    }

    /// The length that the optimizer is checked for, and its call.
    fn update(&self, module: &Module<'_>) -> (TokenStream, TokenStream) {
        let gradients = quote!(let gradients = workspace.gradients.block.as_slice(););
        let frozen = module.model.parameters.iter().any(|parameter| parameter.frozen);
        match &self.writes.trained {
            Part::Whole if !frozen => {
                let call = quote!(optimizer.update(parameters.block.as_mut_slice(), gradients, &workspace.team););
                (quote!(parameters.block.as_slice().len()), quote!(#gradients #call))
            }
            Part::Ranges(ranges) => {
                let trained = all(TRAINED, ranges);
                let update = quote! {
                    #gradients
                    let parameters = parameters.block.as_mut_slice();
                    optimizer.update_ranges(parameters, gradients, &#trained, &workspace.team);
                };
                (self.floats(module), update)
            }
            Part::None | Part::Whole => {
                let floats = self.floats(module);
                let update = quote! {
                    #gradients
                    let parameters = &mut parameters.block.as_mut_slice()[..#floats];
                    optimizer.update(parameters, gradients, &workspace.team);
                };
                (floats, update)
            }
        }
    }

    /// What sees to the constraints of the parameters that the step trains.
    fn constraints(&self, module: &mut Module<'_>) -> TokenStream {
        let mut code = TokenStream::new();
        let mut line = None;
        let model = module.model;
        for &place in &model.losses[self.loss].updates {
            let (parameter, (_, _, name)) = (&model.parameters[place], &module.interface.parameters[place]);
            let Some(constraint) = parameter.constraint else { continue };
            let (outer, incoming, inner) = units(&parameter.dims);
            let units = quote!(&rt::Units { outer: #outer, incoming: #incoming, inner: #inner });
            let tensor = quote!(&mut parameters[parameter_layout::#name]);
            let call = match constraint {
                Constraint::MaxNorm(max) => {
                    let max = float(max);
                    quote!(rt::max_norm(#units, #max, #tensor);)
                }
                Constraint::UnitNorm => quote!(rt::unit_norm(#units, #tensor);),
                Constraint::MinMaxNorm { low, high } => {
                    let (low, high) = (float(low), float(high));
                    quote!(rt::min_max_norm(#units, #low, #high, #tensor);)
                }
                Constraint::NonNegative => quote!(rt::non_negative(#tensor);),
                Constraint::Clip { low, high } => {
                    let (low, high) = (float(low), float(high));
                    quote!(rt::clip(#low, #high, #tensor);)
                }
            };
            code.extend(module.source_line(parameter.span, &mut line));
            code.extend(call);
        }
        if code.is_empty() {
            return code;
        }
        let whole = matches!(self.writes.trained, Part::Whole)
            && !module.model.parameters.iter().any(|parameter| parameter.frozen);
        let block = whole.then(|| quote!(let parameters = parameters.block.as_mut_slice();));
        quote!(#block #code)
    }
}

/// A tensor as units, each with its incoming weights: `[outer, incoming, inner]`. Those of `[inputs, units]` are columns,
/// those of `[filters, channels, k…]` filters; any other tensor is one unit.
fn units(dims: &[usize]) -> (usize, usize, usize) {
    match *dims {
        [inputs, units] => (1, inputs, units),
        [filters, ref rest @ ..] if rest.len() >= 2 => (filters, rest.iter().product(), 1),
        ref dims => (1, dims.iter().product(), 1),
    }
}

/// The implementation of the runtime's `Network` for the type that stands for the network; `draws` says whether inference
/// draws random numbers.
pub(super) fn network(module: &Module<'_>, steps: &[Step<'_>], draws: bool) -> TokenStream {
    let (name, text) = (&module.interface.network, &module.model.name);
    let (rule, count) = (settings::rule(module), steps.len());
    let optimizers: Vec<Ident> = steps.iter().map(|step| step.names(module).function("optimizer")).collect();
    let step = all_steps(module, steps);
    let (source, fingerprint) = (definition::source(module), definition::fingerprint(module.model));
    let (predictions, predict) = calls::predict(module, draws);
    quote! {
        #predictions
        impl rt::Network for super::#name {
            const NAME: &'static str = #text;
            const SOURCE: &'static [&'static str] = &[#(#source),*];
            const FINGERPRINT: u64 = #fingerprint;
            type Examples = Examples;
            type Parameters = Parameters;
            type State = State;
            type Prepared = Prepared;
            type Workspace = Workspace;
            type TrainingWorkspace = TrainingWorkspace;
            type Rule = #rule;
            type Optimizers = [Optimizer; #count];
            type Report = Report;
            type Predictions = OwnedOutputs;
            fn settings() -> rt::Settings<#rule> {
                settings()
            }
            fn initialize(seed: u64) -> (Parameters, State) {
                (Parameters::init(seed), State::init(seed))
            }
            fn optimizers(rule: #rule, seed: u64) -> [Optimizer; #count] {
                [#(#optimizers(seed).with_rule(rule)),*]
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
                optimizers: &mut [Optimizer; #count],
                workspace: &mut TrainingWorkspace,
                batch: Batch<'_>,
                weights: Option<&[f32]>,
            ) -> Result<Report, rt::InputError> {
                let [#(#optimizers),*] = optimizers;
                #step
            }
            fn gradients(workspace: &TrainingWorkspace) -> &[f32] {
                workspace.gradients.block.as_slice()
            }
            fn evaluate(
                prepared: &Prepared,
                workspace: &mut Workspace,
                batch: Batch<'_>,
            ) -> Result<Report, rt::InputError> {
                evaluate(prepared, workspace, batch)
            }
            #predict
        }
    }
}

/// The one step, or all of them after their input is checked, so that none runs if another cannot.
fn all_steps(module: &Module<'_>, steps: &[Step<'_>]) -> TokenStream {
    if let [_] = steps {
        return quote!(step(parameters, state, optimizer, workspace, batch, weights));
    }
    let all: Vec<usize> = (0..module.model.fields.len()).collect();
    let mut code = checks(module, &all, |name| quote!(batch.#name));
    code.extend(quote!(rt::check_weights(weights, n)?;));
    for step in steps {
        let (optimizer, (floats, _)) = (step.names(module).function("optimizer"), step.update(module));
        code.extend(quote!(#optimizer.check(#floats)?;));
    }
    for step in steps {
        let names = step.names(module);
        let [report, function, optimizer] = ["report", "step", "optimizer"].map(|name| names.function(name));
        let batch = if step.has_batch(module) {
            let (ty, fields) =
                (&names.batch, step.writes.fields.iter().map(|&field| &module.interface.fields[field].0));
            quote!(#ty { #(#fields: batch.#fields),* })
        } else {
            quote!(batch)
        };
        code.extend(quote!(let #report = #function(parameters, state, #optimizer, workspace, #batch, weights)?;));
    }
    let values = module.measures().map(|(field, role)| {
        match steps.iter().find(|step| step.routine.program.result(role).is_some()) {
            Some(step) => {
                let report = step.names(module).function("report");
                quote!(#field: #report.#field)
            }
            None => quote!(#field: f32::NAN),
        }
    });
    quote!(#code Ok(Report { #(#values),* }))
}
