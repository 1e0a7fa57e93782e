//! The private functions of a program: one for each phase, and one that prepares.
//!
//! A function of shards gets one shard and computes its rows; a function of the batch reads all shards and writes what the
//! batch has once. Values are cut out of their block by range, together for a run of steps from one source line.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{format_ident, quote};

use super::Module;
use super::kernel::{Call, Piece, count};
use super::layout::Layout;
use crate::graph::Element;
use crate::program::{BufferId, Home, Kernel, Phase, Program, Step};

/// The most steps of one function.
const STEPS: usize = 200;

/// The most arguments of one function.
const MANY: usize = 7;

/// The most values cut at once.
const CUT: usize = 10;

/// One function: what it is called and its code.
pub(super) struct Function {
    /// Its name.
    pub(super) name: Ident,
    /// The blocks that it takes together, before all else.
    pub(super) blocks: Vec<Ident>,
    /// The variables it takes, in order, a shard last.
    pub(super) arguments: Vec<Ident>,
    /// All of it.
    pub(super) item: TokenStream,
}

/// Writes the functions of one program.
pub(super) struct Writer<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// Its names.
    pub(super) layout: &'a Layout,
    /// What its functions are called first of all: `forward`, `evaluate`, `gradients`.
    pub(super) name: &'a str,
    /// The type of its examples with labels; `None` if inputs are arguments.
    pub(super) batch: Option<&'a Ident>,
}

impl Writer<'_> {
    /// The functions of all phases, each phase one list.
    pub(super) fn phases(&self, module: &mut Module<'_>) -> Vec<Vec<Function>> {
        let mut functions = Vec::new();
        let (mut shards, mut batches) = (0, 0);
        for phase in &self.program.phases {
            let (kind, number) = match phase {
                Phase::Shards(_) => ("shard", &mut shards),
                Phase::Batch(_) => ("batch", &mut batches),
            };
            *number += 1;
            let suffix = if *number == 1 { String::new() } else { format!("_{number}") };
            let name = format!("{}_{kind}{suffix}", self.name);
            let parts = parts(phase.steps());
            let functions_of_phase = parts.iter().enumerate().map(|(part, steps)| {
                let name = if parts.len() == 1 { name.clone() } else { format!("{name}_part_{}", part + 1) };
                let name = module.interface.functions.unique(&name);
                match phase {
                    Phase::Shards(_) => self.shard_function(module, &name, steps),
                    Phase::Batch(_) => self.batch_function(module, &name, steps),
                }
            });
            functions.push(functions_of_phase.collect());
        }
        functions
    }

    /// The function that makes panels and the like out of the parameters, if there are any.
    pub(super) fn prepare(&self, module: &mut Module<'_>, name: &str) -> Vec<Function> {
        let parts: Vec<&[Step]> = self.program.prepare.chunks(STEPS).collect();
        let functions = parts.iter().enumerate().map(|(part, steps)| {
            let name = if parts.len() == 1 { name.to_owned() } else { format!("{name}_part_{}", part + 1) };
            let name = module.interface.functions.unique(&name);
            let doc = " Writes what is computed from the parameters once.";
            let body = self.batch_steps(module, steps);
            self.function(module, &name, doc, body, steps)
        });
        functions.collect()
    }

    fn shard_function(&self, module: &mut Module<'_>, name: &str, steps: &[Step]) -> Function {
        let mut body = TokenStream::new();
        let mut line = None;
        for run in self.runs(module, steps) {
            if let Some(step) = run.first() {
                body.extend(module.source_line(step.span, &mut line));
            }
            if run.iter().any(|step| step.within.is_some()) {
                body.extend(self.repeated(module, run, &mut line));
                continue;
            }
            body.extend(self.cut(&self.of_home(run, Home::Shard), &quote!(floats)));
            for step in run {
                let operands: Vec<Piece> = step.operands.iter().map(|&operand| self.shard_piece(operand)).collect();
                let result = self.shard_piece(step.result);
                body.extend(self.call(module, step, &operands, result, Some(quote!(rows))));
            }
        }
        let mut inputs = TokenStream::new();
        for (id, buffer) in self.program.buffers.iter().enumerate() {
            let Home::Field(field) = buffer.home else { continue };
            let variable = &self.layout.variables[id];
            if mentions(&body, variable) {
                let source = self.field(module, field);
                inputs.extend(quote!(let #variable = rt::flat(&#source[first..first + rows]);));
            }
        }
        let body = quote!(#inputs #body);
        let mut names: Vec<TokenStream> = Vec::new();
        for name in ["first", "rows", "floats"] {
            let name = format_ident!("{name}");
            if mentions(&body, &name) {
                names.push(quote!(#name));
            }
        }
        let rest = (names.len() < 3).then(|| quote!(..));
        let body = quote! {
            let rt::Shard { #(#names,)* #rest } = shard;
            #body
        };
        self.function(module, name, " Computes the values of one shard of examples.", body, steps)
    }

    fn batch_function(&self, module: &mut Module<'_>, name: &str, steps: &[Step]) -> Function {
        let body = self.batch_steps(module, steps);
        let segments = format_ident!("segments");
        let helper = mentions(&body, &segments).then(|| {
            quote! {
                let segments = |range: ::core::ops::Range<usize>| {
                    rt::Segments::of_shards(shards, layout::SHARDS, range.start, range.len() / layout::SHARDS.examples)
                };
            }
        });
        let addends = mentions(&body, &format_ident!("addends")).then(|| {
            quote! {
                let addends = |range: ::core::ops::Range<usize>| {
                    by_shards.then(|| rt::Segments::once(shards, layout::SHARDS, range))
                };
            }
        });
        let doc = " Computes the values that the batch has once.";
        self.function(module, name, doc, quote!(#helper #addends #body), steps)
    }

    fn batch_steps(&self, module: &mut Module<'_>, steps: &[Step]) -> TokenStream {
        let mut body = TokenStream::new();
        let mut line = None;
        for step in steps {
            body.extend(module.source_line(step.span, &mut line));
            let home = self.program.buffer(step.result).home;
            let same = |id: &BufferId| same_block(self.program.buffer(*id).home, home);
            let mut together: Vec<BufferId> = step.operands.iter().copied().filter(same).collect();
            if !together.is_empty() {
                together.push(step.result);
                together.sort_unstable();
                together.dedup();
                body.extend(self.cut(&together, &self.block(step.result)));
            }
            let piece = |id: BufferId| {
                if together.contains(&id) {
                    return Piece::Reference(self.layout.variable(id).clone());
                }
                let (block, range) = (self.block(id), self.layout.range(id));
                Piece::Place(quote!(#block[#range]))
            };
            let operands = step.operands.iter().map(|&id| match self.program.buffer(id) {
                buffer if buffer.per_example => self.segments(module, id),
                buffer if buffer.home == Home::Shard => self.addends(id),
                _ => piece(id),
            });
            let operands: Vec<Piece> = operands.collect();
            let sums = step.operands.iter().any(|&id| self.program.buffer(id).per_example);
            body.extend(self.call(module, step, &operands, piece(step.result), sums.then(|| quote!(n))));
        }
        body
    }

    pub(super) fn call(
        &self,
        module: &mut Module<'_>,
        step: &Step,
        operands: &[Piece],
        result: Piece,
        rows: Option<TokenStream>,
    ) -> TokenStream {
        let buffers: Vec<_> = step.operands.iter().map(|&operand| self.program.buffer(operand)).collect();
        let y = self.program.buffer(step.result);
        let expression = match step.kernel.expression(y.floats) {
            Some((expression, _)) if !operands.is_empty() => {
                let read = buffers.iter().take(expression.views.len());
                let names: Vec<String> = read.map(|buffer| buffer.name.clone()).collect();
                let place = module.place(step.span);
                let result = match (&step.kernel, expression.instructions.last()) {
                    (Kernel::Pointwise(_), _) | (_, None) => y.name.clone(),
                    // What a pool or a sum reads.
                    (_, Some(last)) if !last.name.is_empty() => last.name.clone(),
                    (Kernel::PointwiseSum(..), _) => y.name.clone(),
                    (_, Some(last)) => format!("{}_{}", y.name, last.function.name()),
                };
                Some(module.expressions.name(&mut module.shapes.names, expression, &result, &names, &place))
            }
            _ => None,
        };
        let window =
            |id: BufferId| self.program.window(id).map(|(_, shape)| (shape, self.program.buffer(id).name.as_str()));
        let sizes: Vec<(usize, bool)> = buffers.iter().map(|buffer| (buffer.floats, buffer.per_example)).collect();
        let layer = self.layer(step);
        let in_lanes = buffers.iter().copied().chain([y]).any(|buffer| buffer.layout == crate::program::Layout::Lanes);
        let call = Call {
            kernel: &step.kernel,
            small: step.small,
            layer: &layer,
            operands,
            sizes: &sizes,
            windows: &step.operands.iter().map(|&operand| window(operand)).collect::<Vec<_>>(),
            part: window(step.result),
            result,
            moments: step.moments.map(|moments| moments.map(|id| self.shard_piece(id))),
            floats: y.floats,
            rows,
            in_lanes,
            in_steps: buffers.iter().any(|buffer| matches!(buffer.layout, crate::program::Layout::Steps(_))),
            expression,
        };
        call.tokens(&mut module.shapes)
    }

    /// The layer a step belongs to: that of its weight, else that of its result or of what its result is the gradient of.
    fn layer(&self, step: &Step) -> String {
        let result = &self.program.buffer(step.result).name;
        let name = match (&step.kernel, step.operands.get(1)) {
            (
                Kernel::MatMul(..)
                | Kernel::MatMulUnpacked(..)
                | Kernel::MatMulEither(..)
                | Kernel::Convolution2d(..)
                | Kernel::Convolution2dInput(..)
                | Kernel::Depthwise2d(..),
                Some(&weight),
            ) => self.program.buffer(weight).name.as_str(),
            (
                Kernel::Softmax(_)
                | Kernel::SoftmaxGradient(_)
                | Kernel::CausalSoftmax(_)
                | Kernel::CausalSoftmaxGradient(_)
                | Kernel::CrossEntropy(_)
                | Kernel::CrossEntropyGradient(_)
                | Kernel::LogSoftmax(_)
                | Kernel::ArgMax(_)
                | Kernel::Accuracy(_),
                _,
            ) => step.operands.first().map_or(result.as_str(), |&logits| &self.program.buffer(logits).name),
            _ => result.strip_prefix("d_").unwrap_or(result),
        };
        let name = name.strip_suffix("_addend").unwrap_or(name);
        let name = name.strip_suffix("_transposed").unwrap_or(name);
        let name = name.strip_suffix("_panels").unwrap_or(name);
        let name = name.strip_suffix("weight").map_or(name, |layer| layer.trim_end_matches(['.', '_']));
        if name.is_empty() { result.clone() } else { name.to_owned() }
    }

    /// Splits steps into runs that come from one source line and whose values in the shard lie apart.
    fn runs<'s>(&self, module: &Module<'_>, steps: &'s [Step]) -> Vec<&'s [Step]> {
        let (mut runs, mut start) = (Vec::new(), 0);
        let around = |step: &Step| step.within.map(|scan| self.program.outermost(scan));
        for end in 1..=steps.len() {
            let together = steps.get(start..=end).is_some_and(|run| {
                if let (Some(first), Some(last)) = (run.first(), run.last())
                    && (around(first).is_some() || around(last).is_some())
                {
                    return around(first) == around(last);
                }
                let cut = self.of_home(run, Home::Shard);
                let line = |step: &Step| module.sources.line_column(step.span).0;
                let one_line =
                    run.first().zip(run.last()).is_some_and(|(a, b)| a.span.file == b.span.file && line(a) == line(b));
                one_line && cut.len() <= CUT && self.apart(&cut)
            });
            if !together {
                runs.extend(steps.get(start..end));
                start = end;
            }
        }
        runs
    }

    fn apart(&self, ids: &[BufferId]) -> bool {
        let mut ranges: Vec<(usize, usize)> = ids
            .iter()
            .map(|&id| self.program.buffer(id))
            .map(|buffer| (buffer.offset, buffer.offset + buffer.extent(self.program.shard_examples)))
            .collect();
        ranges.sort_unstable();
        ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
    }

    /// The buffers of that home that a run of steps touches, in the order in which it does.
    pub(super) fn of_home(&self, steps: &[Step], home: Home) -> Vec<BufferId> {
        let mut ids: Vec<BufferId> = Vec::new();
        for id in steps.iter().flat_map(Step::touched) {
            let id = self.program.whole(id);
            if self.program.buffer(id).home == home && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// `let [a, b] = rt::cut(floats, [layout::A, layout::B]);`
    pub(super) fn cut(&self, ids: &[BufferId], block: &TokenStream) -> TokenStream {
        let variables: Vec<&Ident> = ids.iter().map(|&id| self.layout.variable(id)).collect();
        let ranges: Vec<&TokenStream> = ids.iter().map(|&id| self.layout.range(id)).collect();
        match (variables.as_slice(), ranges.as_slice()) {
            ([], _) => TokenStream::new(),
            ([variable], [range]) => quote!(let #variable = &mut #block[#range];),
            _ => quote!(let [#(#variables),*] = rt::cut(#block, [#(#ranges),*]);),
        }
    }

    /// What a step of a shard reads.
    pub(super) fn shard_piece(&self, id: BufferId) -> Piece {
        // What is a window is reached through its whole.
        let id = self.program.window(id).map_or(id, |(of, _)| of);
        match self.program.buffer(id).home {
            Home::Shard | Home::Step { .. } | Home::Field(_) => Piece::Reference(self.layout.variable(id).clone()),
            Home::Steps { of, first } => {
                let whole = self.layout.variable(of);
                match self.floats_before(of, first) {
                    0 => Piece::Reference(whole.clone()),
                    floats => {
                        let start = count(floats, Some(&quote!(rows)));
                        Piece::Place(quote!(#whole[#start..]))
                    }
                }
            }
            _ => {
                let (block, range) = (self.block(id), self.layout.range(id));
                Piece::Place(quote!(#block[#range]))
            }
        }
    }

    /// Floats of one example in the first steps of a sequence.
    fn floats_before(&self, of: BufferId, first: usize) -> usize {
        let whole = self.program.buffer(of);
        let crate::program::Layout::Steps(all) = whole.layout else { return 0 };
        whole.floats / all.max(1) * first
    }

    /// A value per example, over all shards.
    fn segments(&self, module: &Module<'_>, id: BufferId) -> Piece {
        let buffer = self.program.buffer(id);
        Piece::Value(match buffer.home {
            // Indices are read where the caller has them, one example after another.
            Home::Field(field) if matches!(module.model.fields[field].element, Element::Index(_)) => {
                let source = self.field(module, field);
                quote!(rt::flat(#source))
            }
            Home::Field(field) => {
                let (source, len) = (self.field(module, field), buffer.floats);
                quote!(rt::Segments::of_examples(rt::flat(#source), #len))
            }
            Home::Steps { of, first } => {
                let (range, skip, len) = (self.layout.range(of), self.floats_before(of, first), buffer.floats);
                quote!(segments(#range).steps(n, #skip, #len))
            }
            _ => {
                let range = self.layout.range(id);
                quote!(segments(#range))
            }
        })
    }

    /// What each shard adds to a sum, if it does.
    fn addends(&self, id: BufferId) -> Piece {
        let range = self.layout.range(id);
        Piece::Value(quote!(addends(#range)))
    }

    /// The caller's slice of a field: an argument in inference, part of the batch otherwise.
    fn field(&self, module: &Module<'_>, field: usize) -> TokenStream {
        let (name, _) = &module.interface.fields[field];
        if self.batch.is_some() { quote!(batch.#name) } else { quote!(#name) }
    }

    /// The block a buffer lies in.
    fn block(&self, id: BufferId) -> TokenStream {
        match self.program.buffer(id).home {
            Home::Parameter(_) => quote!(parameters),
            Home::Gradient(_) => quote!(gradients),
            Home::State(_) => quote!(state),
            Home::Update(_) => quote!(updates),
            Home::Prepared => quote!(prepared),
            Home::Fixed => quote!(fixed),
            Home::Shard | Home::Step { .. } | Home::Steps { .. } | Home::Window { .. } | Home::Field(_) => {
                quote!(floats)
            }
        }
    }

    /// A function that takes what its body mentions and writes to blocks of those homes.
    fn function(&self, module: &Module<'_>, name: &str, doc: &str, body: TokenStream, steps: &[Step]) -> Function {
        let layout = format_ident!("layout");
        let import = mentions(&body, &layout).then(|| {
            let module = &self.layout.module;
            quote!(use self::#module as layout;)
        });
        let written: Vec<String> = steps.iter().map(|step| self.block(step.result).to_string()).collect();
        let mut arguments: Vec<(Ident, TokenStream)> = Vec::new();
        for (variable, ty) in ARGUMENTS {
            let mutable = written.iter().any(|block| block == variable);
            let ty = ty.replace("&[f32]", if mutable { "&mut [f32]" } else { "&[f32]" });
            let ty = self.batch.map_or(ty.clone(), |batch| ty.replace("Batch", &batch.to_string()));
            arguments.push((format_ident!("{variable}"), ty.parse().unwrap_or_default()));
        }
        if self.batch.is_none() {
            let fields = module.model.fields.iter().zip(&module.interface.fields).filter(|(field, _)| !field.label);
            arguments.extend(fields.map(|(_, (name, ty))| (name.clone(), quote!(&[#ty]))));
        }
        arguments.push((format_ident!("shard"), quote!(rt::Shard<'_>)));
        arguments.retain(|(name, _)| mentions(&body, name));
        // Many arguments are hard to read: then the blocks that are only read come as one.
        let mut blocks = Vec::new();
        if arguments.len() > MANY {
            // How tokens are spaced depends on who made them.
            let is_read = |(_, ty): &(Ident, TokenStream)| ty.to_string().replace(' ', "") == "&[f32]";
            blocks = arguments.iter().filter(|argument| is_read(argument)).map(|(name, _)| name.clone()).collect();
            arguments.retain(|argument| !is_read(argument));
        }
        let together = (!blocks.is_empty()).then(|| {
            let count = blocks.len();
            quote!([#(#blocks),*]: [&[f32]; #count],)
        });
        // A network of many inputs has them all here.
        let many = (arguments.len() + usize::from(!blocks.is_empty()) > MANY)
            .then(|| quote!(#[allow(clippy::too_many_arguments, reason = "one for each input")]));
        let (names, types): (Vec<Ident>, Vec<TokenStream>) = arguments.into_iter().unzip();
        let name = format_ident!("{name}");
        let item = quote! {
            #[doc = #doc]
            #many
            fn #name(#together #(#names: #types),*) {
                #import
                #body
            }
        };
        Function { name, blocks, arguments: names, item }
    }
}

/// Splits the steps of a phase into what goes into one function each; loops stay whole.
fn parts(steps: &[Step]) -> Vec<&[Step]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for end in 1..=steps.len() {
        let within = |place: usize| steps.get(place).is_some_and(|step| step.within.is_some());
        let is_whole = !(within(end - 1) && within(end));
        if end == steps.len() || end - start >= STEPS && is_whole {
            parts.extend(steps.get(start..end));
            start = end;
        }
    }
    parts
}

/// What functions may take besides fields and a shard, in order.
const ARGUMENTS: &[(&str, &str)] = &[
    ("n", "usize"),
    ("form", "rt::Form"),
    ("by_shards", "bool"),
    ("in_place", "bool"),
    ("parameters", "&[f32]"),
    ("prepared", "&[f32]"),
    ("fixed", "&[f32]"),
    ("state", "&[f32]"),
    ("gradients", "&[f32]"),
    ("updates", "&[f32]"),
    ("batch", "Batch<'_>"),
    ("weights", "rt::ExampleWeights<'_>"),
    ("draw", "rt::Draw"),
    ("shards", "&[f32]"),
    ("team", "&rt::Team"),
];

/// Whether two homes are one block.
fn same_block(a: Home, b: Home) -> bool {
    a == b || matches!((a, b), (Home::Gradient(_), Home::Gradient(_)) | (Home::Update(_), Home::Update(_)))
}

/// Whether an identifier stands anywhere in the code.
pub(super) fn mentions(code: &TokenStream, name: &Ident) -> bool {
    code.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
