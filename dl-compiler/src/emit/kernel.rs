//! One step as a call of the runtime: the compiler's table of kernels, written down.
//!
//! What enters are the step's kernel and the code of its operands; shapes of some size become named constants of the module.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::names::Names;
use super::pointwise::float;
use crate::expression::Expression;
use crate::program::{
    Activation, AxisShape, BatchedMatMulShape, CausalSoftmaxShape, Convolution2dShape, Epilogue, GatherShape, Kernel,
    MatMulShape, Method, Pool2dShape, SliceShape, SoftmaxShape, StepsShape, TransposeShape, Triangle,
};

/// The shapes of a module's kernels, each a constant named after the layer that has it.
pub(super) struct Shapes {
    /// Names that are taken in the module, which expressions share.
    pub(super) names: Names,
    /// The layer and the numbers of each.
    known: Vec<((String, String), Ident)>,
    items: Vec<TokenStream>,
}

impl Shapes {
    /// None yet; their constants get names that are not among `names`.
    pub(super) fn new(names: Names) -> Shapes {
        Shapes { names, known: Vec::new(), items: Vec::new() }
    }

    /// The constant that holds a layer's shape; `shared` if any other layer's of the same numbers will do.
    fn constant(&mut self, layer: &str, shared: bool, ty: &str, value: TokenStream) -> TokenStream {
        let numbers = value.to_string();
        let layer = super::names::upper(layer);
        let known = |(key, _): &&((String, String), Ident)| key.1 == numbers && (shared || key.0 == layer);
        if let Some((_, name)) = self.known.iter().find(known) {
            return quote!(&#name);
        }
        let (of_kind, ty) = (format!("{layer}_{}", super::names::upper(ty)), format_ident!("{ty}"));
        let name = super::names::plain(&self.names.unique_or(&layer, &of_kind));
        self.items.push(quote!(const #name: rt::#ty = #value;));
        self.known.push(((layer, numbers), name.clone()));
        quote!(&#name)
    }

    /// The constants.
    pub(super) fn items(&self) -> &[TokenStream] {
        &self.items
    }
}

/// Code of what a kernel reads or writes.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// A variable that is a reference.
    Reference(Ident),
    /// Floats within something, such as `fixed[layout::MEAN]`.
    Place(TokenStream),
    /// A value, such as the segments of a batch.
    Value(TokenStream),
}

impl Piece {
    /// As an argument that is read.
    fn read(&self) -> TokenStream {
        match self {
            Piece::Reference(name) => quote!(#name),
            Piece::Place(place) => quote!(&#place),
            Piece::Value(value) => value.clone(),
        }
    }

    /// As an argument that is written.
    fn write(&self) -> TokenStream {
        match self {
            Piece::Place(place) => quote!(&mut #place),
            other => other.read(),
        }
    }

    /// As what a method is called on or a range is taken of.
    fn place(&self) -> TokenStream {
        match self {
            Piece::Place(place) => place.clone(),
            other => other.read(),
        }
    }
}

/// A step's kernel with the code of what it works on.
pub(super) struct Call<'a> {
    /// The kernel.
    pub(super) kernel: &'a Kernel,
    /// Whether it is one of the loops of `rt::small`.
    pub(super) small: bool,
    /// The layer it belongs to, for the name of its shape.
    pub(super) layer: &'a str,
    /// The operands: slices, or segments for kernels that sum over the batch.
    pub(super) operands: &'a [Piece],
    /// For each operand, how many floats it has, and whether that is for each example.
    pub(super) sizes: &'a [(usize, bool)],
    /// For each operand, the part that it is of the blocks of something larger, if it is, and what that is called.
    pub(super) windows: &'a [Option<(SliceShape, &'a str)>],
    /// The part that the result is of the blocks of something larger, if it is.
    pub(super) part: Option<(SliceShape, &'a str)>,
    /// The result, at least as long as it has to be.
    pub(super) result: Piece,
    /// What is written besides: sums of the results and of their squared deviations.
    pub(super) moments: Option<[Piece; 2]>,
    /// Floats of the result (for one example if it is per example).
    pub(super) floats: usize,
    /// Code of the number of examples at hand; `None` for a batch-wide result of batch-wide operands.
    pub(super) rows: Option<TokenStream>,
    /// Whether examples lie side by side, if the batch is large enough.
    pub(super) in_lanes: bool,
    /// Whether an operand lies step by step.
    pub(super) in_steps: bool,
    /// The type that computes a pointwise expression.
    pub(super) expression: Option<Ident>,
}

impl Call<'_> {
    /// The statement.
    pub(super) fn tokens(&self, shapes: &mut Shapes) -> TokenStream {
        let layer = self.layer;
        let operands: Vec<TokenStream> = self.operands.iter().map(Piece::read).collect();
        let y = self.result.write();
        let n = self.rows.clone().unwrap_or_else(|| quote!(1));
        let form = if self.in_lanes { quote!(form) } else { quote!(rt::Form::Examples) };
        let name = format_ident!("{}", self.kernel.name());
        let small = self.small.then(|| quote!(small::));
        match self.kernel {
            Kernel::MatMulUnpacked(MatMulShape { rows, inputs, outputs }, transposed, epilogue) if self.small => {
                let rows = count(*rows, self.rows.as_ref());
                let (x, weight) = (operands.first(), operands.get(1));
                let epilogue = self.epilogue(*epilogue);
                let name = if *transposed { quote!(matmul_transposed) } else { quote!(matmul) };
                quote!(rt::small::#name::<#inputs, #outputs>(#rows, #x, #weight, #epilogue, #y);)
            }
            Kernel::MatMulWeights(MatMulShape { rows, inputs, outputs }) if self.small => {
                quote!(rt::small::matmul_weights::<#inputs, #outputs>(#rows, #n, #(#operands),*, #y);)
            }
            Kernel::SumBatch(len) if self.small => quote!(rt::small::sum_batch::<#len>(#n, #(#operands),*, #y);),
            Kernel::Pack { inputs, outputs, transposed, either } => {
                let value = quote!(rt::Pack { inputs: #inputs, outputs: #outputs, transposed: #transposed });
                let name = if *transposed { "panels_transposed" } else { "panels" };
                let shape = shapes.constant(&format!("{layer}_{name}"), false, "Pack", value);
                let pack = quote!(rt::pack(#shape, #(#operands),*, #y, team););
                if *either { quote!(if !in_place { #pack }) } else { pack }
            }
            Kernel::MatMulEither(shape, epilogue) => {
                let shape = shapes.constant(layer, false, "MatMul", matmul(shape));
                let (x, panels, weight) = (operands.first(), operands.get(1), operands.last());
                let epilogue = self.epilogue(*epilogue);
                let weight = quote!(rt::Either { in_place, weight: #weight, panels: #panels });
                quote!(rt::#name(#shape, #n, #x, #weight, #epilogue, #y);)
            }
            Kernel::MatMul(shape, transposed, epilogue) | Kernel::MatMulUnpacked(shape, transposed, epilogue) => {
                let shape = if *transposed {
                    let swapped = MatMulShape { inputs: shape.outputs, outputs: shape.inputs, ..*shape };
                    shapes.constant(&format!("{layer}_transposed"), false, "MatMul", matmul(&swapped))
                } else {
                    shapes.constant(layer, false, "MatMul", matmul(shape))
                };
                let (x, weight) = (operands.first(), operands.get(1));
                let epilogue = self.epilogue(*epilogue);
                let as_it_is = matches!(self.kernel, Kernel::MatMulUnpacked(..)).then(|| quote!(#transposed,));
                quote!(rt::#name(#shape, #n, #x, #weight, #as_it_is #epilogue, #y);)
            }
            Kernel::PackFilters { shape, transposed } => {
                let value = convolution2d(shape);
                let value = quote!(rt::Filters { shape: #value, transposed: #transposed });
                let name = if *transposed { "filters_transposed" } else { "filters" };
                let shape = shapes.constant(&format!("{layer}_{name}"), false, "Filters", value);
                quote!(rt::pack_filters(#shape, form, #(#operands),*, #y);)
            }
            Kernel::Convolution2d(shape, epilogue) => {
                let last = shape.last;
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                let (x, weight) = (operands.first(), operands.get(1));
                let epilogue = self.epilogue(*epilogue);
                match &self.moments {
                    _ if last => quote!(rt::convolution2d_last(#shape, #n, #x, #weight, #epilogue, #y);),
                    None => quote!(rt::convolution2d(#shape, #form, #n, #x, #weight, #epilogue, #y);),
                    Some(moments) => {
                        let moments = moments.iter().map(Piece::write);
                        quote!(rt::convolution2d_moments(
                            #shape, #form, #n, #x, #weight, #epilogue, #y, [#(#moments),*],
                        );)
                    }
                }
            }
            Kernel::Convolution2dInput(shape, epilogue) => {
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                let (d_y, weight) = (operands.first(), operands.get(1));
                let epilogue = self.epilogue(*epilogue);
                quote!(rt::#name(#shape, #form, #n, #d_y, #weight, #epilogue, #y);)
            }
            Kernel::Depthwise2d(shape, epilogue) => {
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                let (x, weight) = (operands.first(), operands.get(1));
                let epilogue = self.epilogue(*epilogue);
                quote!(rt::#name(#shape, #n, #x, #weight, #epilogue, #y);)
            }
            Kernel::MatMulWeights(shape) => {
                let shape = shapes.constant(layer, false, "MatMul", matmul(shape));
                quote!(rt::#name(#shape, #n, #(#operands),*, #y, team);)
            }
            Kernel::Convolution2dWeight(shape, images) => {
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                // Every image counts as an example.
                let parts = (*images > 1).then(|| quote!(.parts(#images)));
                let n = count(*images, Some(&n));
                quote!(rt::#name(#shape, #form, #n, #(#operands #parts),*, #y, team);)
            }
            Kernel::Convolution2dWeightOfShard(shape) => {
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                quote!(if by_shards { rt::#name(#shape, #form, #n, #(#operands),*, #y); })
            }
            Kernel::Convolution2dWeightOfBatch(shape) => {
                let shape = shapes.constant(layer, false, "Convolution2d", convolution2d(shape));
                quote!(rt::#name(#shape, #form, #n, #(#operands),*, #y, team);)
            }
            Kernel::MaxPool2d(shape, Some(expression)) | Kernel::MaxPool2dGradient(shape, Some(expression)) => {
                let places = shape.channels * shape.height * shape.width;
                let shape = shapes.constant(layer, true, "Pool2d", pool2d(shape));
                let views = self.views(shapes, expression, &operands, places);
                let (ty, d_y) = (&self.expression, &operands[expression.views.len()..]);
                quote! {
                    let operands = [#(#views),*];
                    rt::#name(#ty, operands, #shape, #form, #n, #(#d_y,)* #y);
                }
            }
            Kernel::MaxPool2d(shape, None)
            | Kernel::MaxPool2dGradient(shape, None)
            | Kernel::AvgPool2d(shape)
            | Kernel::AvgPool2dGradient(shape) => {
                let shape = shapes.constant(layer, true, "Pool2d", pool2d(shape));
                quote!(rt::#name(#shape, #form, #n, #(#operands),*, #y);)
            }
            Kernel::Softmax(shape)
            | Kernel::SoftmaxGradient(shape)
            | Kernel::CrossEntropy(shape)
            | Kernel::CrossEntropyGradient(shape)
            | Kernel::LogSoftmax(shape)
            | Kernel::ArgMax(shape)
            | Kernel::Accuracy(shape) => {
                let SoftmaxShape { rows, classes } = shape;
                let shape =
                    shapes.constant(layer, true, "Softmax", quote!(rt::Softmax { rows: #rows, classes: #classes }));
                quote!(rt::#name(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::CausalSoftmax(shape) | Kernel::CausalSoftmaxGradient(shape) => {
                let CausalSoftmaxShape { count, rows, columns } = shape;
                let value = quote!(rt::CausalSoftmax { count: #count, rows: #rows, columns: #columns });
                let shape = shapes.constant(layer, true, "CausalSoftmax", value);
                quote!(rt::#name(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::Sum(AxisShape { outer, middle, inner })
            | Kernel::Deviations(AxisShape { outer, middle, inner })
            | Kernel::MaxReduce(AxisShape { outer, middle, inner }) => {
                let value = quote!(rt::Sum { outer: #outer, reduced: #middle, inner: #inner });
                let shape = shapes.constant(layer, true, "Sum", value);
                if self.in_steps {
                    return quote!(rt::#name(#shape.in_steps(#n), 1, #(#operands),*, #y););
                }
                let (shape, n) = self.formed(shape, n);
                quote!(rt::#name(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::Expand(shape) => self.expand(shape),
            Kernel::Transpose(TransposeShape { dims, strides }) => {
                let value = quote!(rt::Transpose { dims: &[#(#dims),*], strides: &[#(#strides),*] });
                let shape = shapes.constant(layer, true, "Transpose", value);
                quote!(rt::transpose(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::BatchedMatMul(shape, [transposed_a, transposed_b]) => {
                let BatchedMatMulShape { count, rows, inner, columns, triangle } = shape;
                let triangle = match triangle {
                    Triangle::None => quote!(None),
                    Triangle::Left => quote!(Left),
                    Triangle::Right => quote!(Right),
                    Triangle::Result => quote!(Result),
                };
                // An operand of the batch meets every example.
                let shared = |place: usize| self.rows.is_some() && self.sizes.get(place).is_some_and(|(_, each)| !each);
                let (shared_a, shared_b) = (shared(0), shared(1));
                let value = quote!(rt::BatchedMatMul {
                    count: #count,
                    rows: #rows,
                    inner: #inner,
                    columns: #columns,
                    transposed_a: #transposed_a,
                    transposed_b: #transposed_b,
                    shared_a: #shared_a,
                    shared_b: #shared_b,
                    triangle: rt::Triangle::#triangle,
                });
                let shape = shapes.constant(layer, true, "BatchedMatMul", value);
                quote!(rt::batched_matmul(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::Gather(GatherShape { rows, width, count, steps })
            | Kernel::GatherGradient(GatherShape { rows, width, count, steps }) => {
                let value = quote!(rt::Gather { rows: #rows, width: #width, count: #count, steps: #steps });
                let shape = shapes.constant(layer, true, "Gather", value);
                let team = self.kernel.sums_over_batch().then(|| quote!(, team));
                quote!(rt::#name(#shape, #n, #(#operands),*, #y #team);)
            }
            Kernel::OneHot(SoftmaxShape { rows, classes }) => {
                let rows = count(*rows, self.rows.as_ref());
                quote!(rt::one_hot(#classes, #rows, #(#operands),*, #y);)
            }
            Kernel::Float(len) => {
                let len = count(*len, self.rows.as_ref());
                quote!(rt::float(#len, #(#operands),*, #y);)
            }
            Kernel::Range => quote!(rt::range(#y);),
            Kernel::BatchShare => quote!(rt::batch_share(n, #y);),
            Kernel::Slice(shape) | Kernel::Pad(shape) => {
                let shape = part(shapes, *shape, layer);
                let (shape, n) = self.formed(shape, n);
                quote!(rt::#name(#shape, #n, #(#operands),*, #y);)
            }
            Kernel::Concat(outer, lens) => {
                let blocks = if self.in_lanes { quote!(form.blocks(#n)) } else { n };
                let blocks = count(*outer, self.rows.as_ref().map(|_| &blocks));
                let lens = lens.iter().map(|len| self.side_by_side(*len));
                quote!(rt::concat(#blocks, [#((#operands, #lens)),*], #y);)
            }
            Kernel::SumBatch(len) => quote!(rt::sum_batch(#len, #n, #(#operands),*, #y, team);),
            Kernel::Pointwise(expression) => match &self.expression {
                None => {
                    let (value, y) = (float(expression.eval(&[])), self.exact());
                    quote!(#y.fill(#value);)
                }
                Some(ty) => {
                    let views = self.views(shapes, expression, &operands, self.floats);
                    let call = match self.part {
                        Some((shape, name)) => {
                            let shape = part(shapes, shape, name);
                            quote!(rt::pointwise_part(#ty, operands, #shape, #n, #y);)
                        }
                        None => {
                            let y = self.exact_mut();
                            quote!(rt::#small pointwise(#ty, operands, #y);)
                        }
                    };
                    quote! {
                        let operands = [#(#views),*];
                        #call
                    }
                }
            },
            Kernel::PointwiseSum(expression, AxisShape { outer, middle, inner }) => {
                let value = quote!(rt::Sum { outer: #outer, reduced: #middle, inner: #inner });
                let shape = shapes.constant(layer, true, "Sum", value);
                let views = self.views(shapes, expression, &operands, outer * middle * inner);
                let (shape, n) = self.formed(shape, n);
                let ty = &self.expression;
                quote! {
                    let operands = [#(#views),*];
                    rt::#small pointwise_sum(#ty, operands, #shape, #n, #y);
                }
            }
            Kernel::Bernoulli { instance, keep } => {
                let (keep, len) = (float(*keep), self.floats);
                quote!(rt::bernoulli(&rt::Draw { instance: #instance, ..draw }, #keep, first, #n, #len, #y);)
            }
            Kernel::Uniform { instance } | Kernel::Normal { instance } => {
                let len = self.floats;
                // From 0 to 1, or mean 0 and deviation 1.
                quote!(rt::#name(&rt::Draw { instance: #instance, ..draw }, 0.0, 1.0, first, #n, #len, #y);)
            }
            Kernel::ExampleWeight => quote!(rt::example_weights(first, #n, weights, #y);),
            Kernel::Reverse(AxisShape { outer, middle, inner }) => {
                let blocks = count(*outer, Some(&n));
                quote!(rt::reverse(#blocks, #middle, #inner, #(#operands),*, #y);)
            }
            Kernel::StepsFirst(StepsShape { steps, len }) | Kernel::ExamplesFirst(StepsShape { steps, len }) => {
                quote!(rt::#name(#steps, #len, #n, #(#operands),*, #y);)
            }
            Kernel::Clear(len) => quote!(rt::clear(form, #n, #len, #y);),
            Kernel::Interleave(len) | Kernel::Deinterleave(len) => {
                quote!(rt::#name(form, #n, #len, #(#operands),*, #y);)
            }
            Kernel::Copy => {
                let y = self.exact();
                match &self.rows {
                    Some(rows) => {
                        let (x, len) = (self.operands.first().map(Piece::place), self.floats_of(rows));
                        quote!(#y.copy_from_slice(&#x[..#len]);)
                    }
                    None => quote!(#y.copy_from_slice(#(#operands),*);),
                }
            }
        }
    }

    /// How an expression of so many places reads its operands.
    fn views(
        &self,
        shapes: &mut Shapes,
        expression: &Expression,
        operands: &[TokenStream],
        places: usize,
    ) -> Vec<TokenStream> {
        let views = expression.views.iter().zip(operands).zip(self.sizes).zip(self.windows);
        let views = views.map(|(((view, x), &(floats, per_example)), window)| {
            if let (Some((shape, name)), Some(rows)) = (window, &self.rows) {
                let shape = part(shapes, *shape, name);
                return quote!(rt::Operand::part(#x, #shape, #rows));
            }
            if per_example == self.rows.is_some() && view.inner == 1 && floats == places {
                return quote!(rt::Operand::full(#x));
            }
            let len = count(view.len, if per_example { self.rows.as_ref() } else { None });
            let inner = self.side_by_side(view.inner);
            quote!(rt::Operand::new(#x, #inner, #len))
        });
        views.collect()
    }

    /// A shape and its number of examples, or where these lie side by side, the same for one example of wider places.
    fn formed(&self, shape: TokenStream, n: TokenStream) -> (TokenStream, TokenStream) {
        if self.in_lanes { (quote!(#shape.in_form(form)), quote!(form.blocks(#n))) } else { (shape, n) }
    }

    /// As many floats of one example, of all examples that lie side by side.
    fn side_by_side(&self, len: usize) -> TokenStream {
        match (self.in_lanes, len) {
            (false, _) => quote!(#len),
            (true, 1) => quote!(form.lanes()),
            (true, _) => quote!(#len * form.lanes()),
        }
    }

    /// How many floats the result has in all.
    fn floats_of(&self, rows: &TokenStream) -> TokenStream {
        let len = self.floats;
        if self.in_lanes { quote!(form.floats(#rows, #len)) } else { count(len, Some(rows)) }
    }

    /// What a product does to its results, the fields that do nothing left out.
    fn epilogue(&self, epilogue: Epilogue) -> TokenStream {
        let names = [("bias", epilogue.bias), ("residual", epilogue.residual), ("mask", epilogue.mask)];
        let names = names.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| format_ident!("{name}"));
        let operands = self.operands.iter().skip(2).map(Piece::read);
        let mut fields: Vec<TokenStream> =
            names.zip(operands).map(|(name, operand)| quote!(#name: Some(#operand))).collect();
        let activation = match epilogue.activation {
            Activation::Identity => None,
            Activation::Relu => Some(quote!(Relu)),
            Activation::Sigmoid => Some(quote!(Sigmoid)),
            Activation::Tanh => Some(quote!(Tanh)),
        };
        fields.extend(activation.map(|activation| quote!(activation: rt::Activation::#activation)));
        fields.extend(epilogue.pool.map(|[down, right]| quote!(pool: Some([#down, #right]))));
        if fields.is_empty() {
            quote!(rt::Epilogue::NONE)
        } else {
            quote!(rt::Epilogue { #(#fields,)* ..rt::Epilogue::NONE })
        }
    }

    /// Copies along an axis; kernels repeat what they read, so this is for what has to lie in full.
    fn expand(&self, &AxisShape { outer, middle, inner }: &AxisShape) -> TokenStream {
        let Some(x) = self.operands.first() else { return TokenStream::new() };
        let (place, x, y) = (x.place(), x.read(), self.exact_mut());
        let wide = self.sizes.first().is_some_and(|(_, per_example)| !per_example);
        if inner == 1 || outer == 1 && (wide || self.rows.is_none()) {
            let (repeat, len) = if inner == 1 { (middle, outer) } else { (1, inner) };
            let len = count(len, if wide { None } else { self.rows.as_ref() });
            return quote!(rt::broadcast(rt::Operand::new(#x, #repeat, #len), #y););
        }
        let (len, chunk) = (count(outer * inner, self.rows.as_ref()), middle * inner);
        let y = self.exact();
        quote! {
            for (one, copies) in #place[..#len].chunks(#inner).zip(#y.chunks_mut(#chunk)) {
                rt::broadcast(rt::Operand::new(one, 1, #inner), copies);
            }
        }
    }

    /// The result, exactly as long as it is, as a place.
    fn exact(&self) -> TokenStream {
        let y = self.result.place();
        match &self.rows {
            Some(rows) => {
                let len = self.floats_of(rows);
                quote!(#y[..#len])
            }
            None => y,
        }
    }

    /// The result, exactly as long as it is, as an argument.
    fn exact_mut(&self) -> TokenStream {
        match &self.rows {
            Some(_) => {
                let y = self.exact();
                quote!(&mut #y)
            }
            None => self.result.write(),
        }
    }
}

/// `rows * len`, or `len` for what the batch has once.
pub(super) fn count(len: usize, rows: Option<&TokenStream>) -> TokenStream {
    match rows {
        None => quote!(#len),
        Some(rows) if len == 1 => quote!(#rows),
        Some(rows) => quote!(#rows * #len),
    }
}

/// The constant of a part of blocks.
fn part(shapes: &mut Shapes, SliceShape { outer, size, start, len }: SliceShape, layer: &str) -> TokenStream {
    let value = quote!(rt::Slice { outer: #outer, size: #size, start: #start, len: #len });
    shapes.constant(layer.strip_prefix("d_").unwrap_or(layer), true, "Slice", value)
}

fn matmul(MatMulShape { rows, inputs, outputs }: &MatMulShape) -> TokenStream {
    quote!(rt::MatMul { rows: #rows, inputs: #inputs, outputs: #outputs })
}

fn convolution2d(shape: &Convolution2dShape) -> TokenStream {
    let Convolution2dShape { channels, height, width, filters, groups, .. } = shape;
    let ([k0, k1], [s0, s1], [p0, p1], [d0, d1]) = (shape.kernel, shape.stride, shape.padding, shape.dilation);
    let method = match shape.method() {
        Method::Direct => quote!(Direct),
        Method::Winograd => quote!(Winograd),
    };
    quote!(rt::Convolution2d {
        channels: #channels,
        height: #height,
        width: #width,
        filters: #filters,
        kernel: [#k0, #k1],
        stride: [#s0, #s1],
        padding: [#p0, #p1],
        dilation: [#d0, #d1],
        groups: #groups,
        method: rt::Method::#method,
    })
}

fn pool2d(shape: &Pool2dShape) -> TokenStream {
    let Pool2dShape { channels, height, width, .. } = shape;
    let ([k0, k1], [s0, s1], [p0, p1]) = (shape.kernel, shape.stride, shape.padding);
    quote!(rt::Pool2d {
        channels: #channels,
        height: #height,
        width: #width,
        kernel: [#k0, #k1],
        stride: [#s0, #s1],
        padding: [#p0, #p1],
    })
}
