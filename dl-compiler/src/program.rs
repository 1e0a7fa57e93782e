//! The Program: ordered kernel steps over planned buffers.
//!
//! `schedule` makes it from an optimized Graph, `plan` gives every buffer its offset, `emit` writes it down.
//! A step runs either once for each shard of examples or once for the batch; a phase is a run of steps of one kind.
//! [`Program::verify`] checks what emit relies on; the `Display` text is what snapshots hold.

use dl_grammar::Span;

use crate::expression::Expression;
use crate::graph::{Role, Scan};

mod display;
mod verify;

/// How many examples a shard holds at most, and always where they lie in lanes; the runtime's `SHARD`.
pub const SHARD: usize = 16;

/// Every offset and size in an arena is a multiple of this many floats (64 bytes).
pub const ALIGNMENT: usize = 16;

/// What a product or convolution does to each result before it stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epilogue {
    /// Whether an operand is added: one number for each output or filter.
    pub bias: bool,
    /// Whether an operand as large as the result is added.
    pub residual: bool,
    /// What is applied then.
    pub activation: Activation,
    /// Whether what is not positive in an operand as large as the result makes it 0.
    pub mask: bool,
    /// Height and width of the windows, side by side, whose maxima are all that is kept of a convolution's results.
    pub pool: Option<[usize; 2]>,
}

impl Epilogue {
    /// How many operands it has, behind those of the kernel: bias, residual and mask, in this order.
    pub fn operands(&self) -> usize {
        usize::from(self.bias) + usize::from(self.residual) + usize::from(self.mask)
    }
}

/// An activation that a kernel applies as it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

/// The shape of a product: `rows` rows for each example of `[inputs]` by `[inputs, outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatMulShape {
    /// Rows of one example.
    pub rows: usize,
    /// Length of a row of `x`.
    pub inputs: usize,
    /// Length of a row of the result.
    pub outputs: usize,
}

/// The shape of a convolution of `[channels, height, width]` with `[filters, channels / groups, kernel…]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution2dShape {
    /// Channels of the image.
    pub channels: usize,
    /// Height of the image.
    pub height: usize,
    /// Width of the image.
    pub width: usize,
    /// Channels of the result.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps between places, down and right.
    pub stride: [usize; 2],
    /// Zeros on each side, above and below, left and right.
    pub padding: [usize; 2],
    /// Distance between the kernel's taps.
    pub dilation: [usize; 2],
    /// How many groups the channels fall into.
    pub groups: usize,
    /// Whether the channels of the result come last.
    pub last: bool,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Tap by tap.
    Direct,
    /// By the minimal algorithm F(4, 3) of Winograd, with a quarter of the multiplications (Lavin and Gray, 2016).
    Winograd,
}

impl Convolution2dShape {
    /// The faster method for a shape: Winograd's where it can be used and its transforms pay for themselves.
    pub fn method(&self) -> Method {
        let fits =
            self.kernel == [3, 3] && self.stride == [1, 1] && self.dilation == [1, 1] && self.groups == 1 && !self.last;
        let outputs = self.outputs();
        // Tiles of four by four, of which results fill half at least.
        let filled = outputs.map(|outputs| outputs.next_multiple_of(4)).iter().product::<usize>()
            <= 2 * outputs.iter().product::<usize>();
        let pays =
            self.channels.min(self.filters) >= 3 && self.channels.saturating_mul(self.filters) >= WINOGRAD && filled;
        if fits && pays { Method::Winograd } else { Method::Direct }
    }

    /// Height and width of the result, of a kernel that fits.
    fn outputs(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let len = [self.height, self.width][axis].saturating_add(2 * self.padding[axis]);
            let reach = self.dilation[axis] * self.kernel[axis].saturating_sub(1) + 1;
            len.saturating_sub(reach) / self.stride[axis].max(1) + 1
        })
    }

    /// Whether the runtime can pool results by such windows, side by side, as it computes them: those that lie in a tile of
    /// Winograd's method, or on the stack.
    pub fn pools(&self, window: [usize; 2]) -> bool {
        match self.method() {
            Method::Winograd => window == [2, 2] && self.channels <= WINOGRAD_CHANNELS,
            Method::Direct => {
                let floats =
                    [window[0], self.outputs()[1], SHARD].into_iter().try_fold(self.filters, usize::checked_mul);
                self.groups == 1 && floats.is_some_and(|floats| floats <= POOLED)
            }
        }
    }

    /// Floats of the panels of its filters, or of those for the gradient of the input. Unless groups have fewer than eight, those
    /// of the direct method and of small images are there a second time, sixteen side by side.
    pub fn panels(&self, transposed: bool) -> usize {
        let filters = self.filters * (self.channels / self.groups.max(1));
        let taps = self.kernel[0] * self.kernel[1];
        let (rows, planes) = if transposed { (self.channels, self.filters) } else { (self.filters, self.channels) };
        let results = if transposed { [self.height, self.width] } else { self.outputs() };
        let results = results[0].saturating_mul(results[1]);
        let is_small = results <= 32 || results <= 64 && self.channels.saturating_mul(self.filters) >= 1 << 16;
        let (tiles, is_abreast) = match self.method() {
            Method::Direct => (filters * taps, true),
            Method::Winograd => (filters * 36, is_small),
        };
        let groups = self.groups.max(1);
        let (rows, planes) = (rows / groups, planes / groups);
        let abreast = groups * rows.next_multiple_of(16) * planes * taps;
        tiles + if is_abreast && (groups == 1 || rows >= 8) { abreast } else { 0 }
    }
}

/// Channels that Winograd's method sums without going through memory.
const WINOGRAD_CHANNELS: usize = 64;

/// Floats of results that the direct method keeps on the stack at most, until they are pooled.
const POOLED: usize = 32 * 1024;

/// Floats of an image that a pool computes at a time, at most.
const COMPUTED: usize = 4096;

/// Pairs of a channel and a filter from which Winograd's method is the faster one, as measured.
const WINOGRAD: usize = 64;

/// The shape of a pooling over windows of `[channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dShape {
    /// Channels of the image.
    pub channels: usize,
    /// Height of the image.
    pub height: usize,
    /// Width of the image.
    pub width: usize,
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// How far windows reach over the edge.
    pub padding: [usize; 2],
}

impl Pool2dShape {
    /// Whether the runtime can compute on the way what it pools: windows lie side by side, and a row of them is not too large.
    pub fn takes_prologue(&self) -> bool {
        let floats = [self.width, SHARD].into_iter().try_fold(self.kernel[0], usize::checked_mul);
        self.kernel == self.stride && self.padding == [0, 0] && floats.is_some_and(|floats| floats <= COMPUTED)
    }
}

/// Rows of class scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftmaxShape {
    /// Rows of one example.
    pub rows: usize,
    /// Length of a row.
    pub classes: usize,
}

/// A tensor seen as `[outer, middle, inner]`, of which the middle is summed or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisShape {
    /// All before.
    pub outer: usize,
    /// What is summed, or how many copies are made.
    pub middle: usize,
    /// All behind.
    pub inner: usize,
}

/// A part of each block of a tensor, in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceShape {
    /// How many blocks an example has.
    pub outer: usize,
    /// The length of a block.
    pub size: usize,
    /// Where the part begins in it.
    pub start: usize,
    /// How long the part is.
    pub len: usize,
}

/// A tensor with its axes in another order: the axes of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransposeShape {
    /// How long each is; at least 2.
    pub dims: Vec<usize>,
    /// How far apart its neighbours lie in the operand.
    pub strides: Vec<usize>,
}

/// Which matrix of a product is lower triangular, as it lies in memory: 0 above its diagonal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Triangle {
    /// None is known to be.
    #[default]
    None,
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// The result, of which nobody reads more.
    Result,
}

/// Products of `count` pairs of matrices for each example: `[rows, inner]` by `[inner, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchedMatMulShape {
    /// How many products.
    pub count: usize,
    /// Rows of a result.
    pub rows: usize,
    /// What is summed over.
    pub inner: usize,
    /// Columns of a result.
    pub columns: usize,
    /// Which of the matrices is lower triangular.
    pub triangle: Triangle,
}

/// Softmax of `count` matrices for each example, of which row i sees the columns up to number i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CausalSoftmaxShape {
    /// How many matrices.
    pub count: usize,
    /// Rows of a matrix.
    pub rows: usize,
    /// Columns of a matrix.
    pub columns: usize,
}

/// A look-up of `count` rows for each example in a table of `rows` rows of `width` numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatherShape {
    /// Rows of the table.
    pub rows: usize,
    /// The length of a row.
    pub width: usize,
    /// Indices of an example.
    pub count: usize,
    /// The steps of a sequence that these are, if their rows lie step by step; else 1.
    pub steps: usize,
}

/// A sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsShape {
    /// How many steps it has.
    pub steps: usize,
    /// Floats of one step of one example.
    pub len: usize,
}

/// A kernel of the runtime with its shape: the one table by which the compiler knows the runtime.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// (weight) → panels of a `[inputs, outputs]` matrix, or of its transpose.
    Pack {
        /// Rows of the matrix.
        inputs: usize,
        /// Columns of the matrix.
        outputs: usize,
        /// Whether it is for products with the transpose.
        transposed: bool,
        /// Whether they are for [`Kernel::MatMulEither`]: made where those want them.
        either: bool,
    },
    /// (x, weight, what the epilogue reads…) → y. In a Program the weight is a buffer of panels. Transposed: `x` has `outputs`,
    /// `y` has `inputs`.
    MatMul(MatMulShape, bool, Epilogue),
    /// The same with the weight as it is, for weights too large to be kept twice.
    MatMulUnpacked(MatMulShape, bool, Epilogue),
    /// (x, panels, what the epilogue reads…, weight) → y, by one or the other, as the runtime decides for each step.
    MatMulEither(MatMulShape, Epilogue),
    /// (x, d_y) → d_weight, summed over the batch.
    MatMulWeights(MatMulShape),
    /// (weight) → panels of filters for a convolution, or for the gradient of its input.
    PackFilters {
        /// The convolution.
        shape: Convolution2dShape,
        /// Whether it is for the gradient of the input.
        transposed: bool,
    },
    /// (x, weight, what the epilogue reads…) → y. In a Program the weight is a buffer of panels, as for the gradient of the
    /// input.
    Convolution2d(Convolution2dShape, Epilogue),
    /// (d_y, weight, residual?, mask?) → d_x
    Convolution2dInput(Convolution2dShape, Epilogue),
    /// (x, weight, what the epilogue reads…) → y, channels last in all: one filter for each channel.
    Depthwise2d(Convolution2dShape, Epilogue),
    /// (x, d_y) → d_weight, summed over the batch and over as many images as each example has.
    Convolution2dWeight(Convolution2dShape, usize),
    /// (x, d_y) → what one shard adds to d_weight. It is there only if the shards are dealt evenly to the threads.
    Convolution2dWeightOfShard(Convolution2dShape),
    /// (x, d_y, addends) → d_weight, the sum of what the shards add to it.
    Convolution2dWeightOfBatch(Convolution2dShape),
    /// (x) → y; with an expression (operands…) → y, the maxima of its results
    MaxPool2d(Pool2dShape, Option<Expression>),
    /// (x, d_y) → d_x; with an expression (operands…, d_y) → d_x, for its results
    MaxPool2dGradient(Pool2dShape, Option<Expression>),
    /// (x) → y
    AvgPool2d(Pool2dShape),
    /// (d_y) → d_x
    AvgPool2dGradient(Pool2dShape),
    /// (x) → y
    Softmax(SoftmaxShape),
    /// (x) → y
    LogSoftmax(SoftmaxShape),
    /// (x) → the place of the greatest of each row
    ArgMax(SoftmaxShape),
    /// (y, d_y) → d_x
    SoftmaxGradient(SoftmaxShape),
    /// (x) → y
    CausalSoftmax(CausalSoftmaxShape),
    /// (y, d_y) → d_x
    CausalSoftmaxGradient(CausalSoftmaxShape),
    /// (logits, labels) → loss of each row
    CrossEntropy(SoftmaxShape),
    /// (logits, labels, d_loss) → d_logits
    CrossEntropyGradient(SoftmaxShape),
    /// (logits, labels) → 1 or 0 for each row
    Accuracy(SoftmaxShape),
    /// (x) → y, summed over the middle
    Sum(AxisShape),
    /// (x) → y, the squared deviations from the mean of the middle, summed
    Deviations(AxisShape),
    /// (x) → y, the greatest of the middle
    MaxReduce(AxisShape),
    /// (x) → y, the middle made of copies
    Expand(AxisShape),
    /// (x) → y, a part of each block
    Slice(SliceShape),
    /// (x) → y, each block zeros but for a part
    Pad(SliceShape),
    /// (operands…) → y: in each of so many blocks the floats of each operand in turn, as many as stated
    Concat(usize, Vec<usize>),
    /// (x) → y, the axes in another order
    Transpose(TransposeShape),
    /// (a, b) → y; whether the matrices of a and of b are transposed. Either may be batch-wide.
    BatchedMatMul(BatchedMatMulShape, [bool; 2]),
    /// (table, indices) → rows of the table
    Gather(GatherShape),
    /// (indices, d_y) → d_table, summed over the batch
    GatherGradient(GatherShape),
    /// (indices) → rows of zeros, 1 at the index
    OneHot(SoftmaxShape),
    /// (indices) → the same numbers as floats, so many for each example
    Float(usize),
    /// () → 0, 1, 2, …
    Range,
    /// () → 1 divided by the number of examples
    BatchShare,
    /// (x) → y, summed over the batch
    SumBatch(usize),
    /// (operands…) → y
    Pointwise(Expression),
    /// (operands…) → y: the expression's results, summed over the middle
    PointwiseSum(Expression, AxisShape),
    /// () → y: each number 1 with probability `keep`, otherwise 0
    Bernoulli {
        /// Which random operation of the network it is.
        instance: u32,
        /// The probability of a 1.
        keep: f64,
    },
    /// () → y: spread evenly over [0, 1)
    Uniform {
        /// Which random operation of the network it is.
        instance: u32,
    },
    /// () → y: normally distributed
    Normal {
        /// Which random operation of the network it is.
        instance: u32,
    },
    /// () → y: the weight of each example divided by the sum of all
    ExampleWeight,
    /// (x) → y, the middle in reverse order
    Reverse(AxisShape),
    /// (x) → y: a sequence for each example, step by step instead, all examples of a shard at each.
    StepsFirst(StepsShape),
    /// (x) → y: the other way round.
    ExamplesFirst(StepsShape),
    /// (x) → y: a value of so many floats for each example, from [`Layout::Pixel`] to [`Layout::Lanes`].
    Interleave(usize),
    /// (x) → y: the other way round.
    Deinterleave(usize),
    /// () → y: in [`Layout::Lanes`] of so many floats, zero where a shard has no example, in place.
    Clear(usize),
    /// (x) → y: the same floats elsewhere
    Copy,
}

/// Names a buffer of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// Where a buffer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// The caller's slice for that field of the model.
    Field(usize),
    /// That parameter, in its readable layout.
    Parameter(usize),
    /// The gradient of that parameter.
    Gradient(usize),
    /// That state, as it was when the step began.
    State(usize),
    /// What that state holds after the step.
    Update(usize),
    /// Made once from parameters and states and kept: in `Prepared` for inference, in the fixed part of the training workspace for training.
    Prepared,
    /// The arena, once for each shard.
    Shard,
    /// The step of a sequence that a loop is at: a piece of another buffer, whose layout is [`Layout::Steps`].
    Step {
        /// The sequence.
        of: BufferId,
        /// The loop, as a place in [`Program::scans`].
        scan: usize,
        /// How many steps later it is in the sequence than in the loop: 1 or 0.
        later: usize,
    },
    /// Some steps in a row of a buffer whose layout is [`Layout::Steps`]: as many as its own layout says, or one.
    Steps {
        /// The longer sequence.
        of: BufferId,
        /// The first of the steps.
        first: usize,
    },
    /// A part of each block of another buffer, which pointwise steps read or write there.
    Window {
        /// The buffer.
        of: BufferId,
        /// Where the part begins in its block.
        start: usize,
        /// The length of a block.
        size: usize,
    },
    /// The arena's fixed part, once for the batch.
    Fixed,
}

/// How the floats of a value lie within a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Channels first, pixels innermost: what the language and the outside see.
    #[default]
    Pixel,
    /// Sixteen examples side by side: the first float of each, then the second of each. A batch of a few examples lies as
    /// [`Layout::Pixel`] says instead; which it is, the runtime decides once for a call (its `Form`).
    Lanes,
    /// Step by step: the first step of all examples at hand, then the second one of all. As many steps as that.
    Steps(usize),
}

/// A planned piece of storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// What the generated code calls it; unique within the program.
    pub name: String,
    /// The dimensions of what it holds (for one example if it is per example).
    pub dims: Vec<usize>,
    /// How many floats it takes (for one example if it is per example).
    pub floats: usize,
    /// Whether every example has its own.
    pub per_example: bool,
    /// Where it lives.
    pub home: Home,
    /// How its floats lie.
    pub layout: Layout,
    /// Where it starts in its home, in floats: in a shard, in the fixed part, in the prepared block, or in the block of
    /// parameters or states.
    pub offset: usize,
    /// The source line that made it.
    pub span: Span,
}

/// One call of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is called.
    pub kernel: Kernel,
    /// What it reads.
    pub operands: Vec<BufferId>,
    /// What it writes.
    pub result: BufferId,
    /// What a convolution writes besides: for each filter the sum of the results, and that of their squared deviations.
    pub moments: Option<[BufferId; 2]>,
    /// The loop that repeats it, as a place in [`Program::scans`]. The steps of a loop stand in a row.
    pub within: Option<usize>,
    /// Whether it is a loop within the function that calls it rather than a call of a kernel; see [`mod@crate::small`].
    pub small: bool,
    /// The source line it stands for.
    pub span: Span,
}

/// A run of steps of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Once for the whole batch.
    Batch(Vec<Step>),
    /// Once for each shard, in parallel.
    Shards(Vec<Step>),
}

/// Steps over buffers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    /// All storage.
    pub buffers: Vec<Buffer>,
    /// Steps that turn parameters into prepared buffers.
    pub prepare: Vec<Step>,
    /// The loops; one that is within another comes behind it.
    pub scans: Vec<Scan>,
    /// What runs, in order.
    pub phases: Vec<Phase>,
    /// Where results are when all has run.
    pub results: Vec<(Role, BufferId)>,
    /// Examples of one shard.
    pub shard_examples: usize,
    /// Floats of one shard.
    pub shard_floats: usize,
    /// Floats of the arena's fixed part.
    pub fixed_floats: usize,
    /// Floats of the prepared block.
    pub prepared_floats: usize,
}

impl Kernel {
    /// The pointwise expression that it computes, and for how many places if there are `floats` of its result.
    pub fn expression(&self, floats: usize) -> Option<(&Expression, usize)> {
        match self {
            Kernel::Pointwise(expression) => Some((expression, floats)),
            Kernel::PointwiseSum(expression, axes) => Some((expression, axes.outer * axes.middle * axes.inner)),
            Kernel::MaxPool2d(shape, Some(expression)) | Kernel::MaxPool2dGradient(shape, Some(expression)) => {
                Some((expression, shape.channels * shape.height * shape.width))
            }
            _ => None,
        }
    }

    /// What the runtime calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Pack { .. } => "pack",
            Kernel::MatMul(..) => "matmul",
            Kernel::MatMulUnpacked(..) => "matmul_unpacked",
            Kernel::MatMulEither(..) => "matmul_either",
            Kernel::PackFilters { .. } => "pack_filters",
            Kernel::MatMulWeights(_) => "matmul_weights",
            Kernel::Convolution2d(..) => "convolution2d",
            Kernel::Convolution2dInput(..) => "convolution2d_input",
            Kernel::Convolution2dWeight(..) => "convolution2d_weight",
            Kernel::Convolution2dWeightOfShard(_) => "convolution2d_weight_of_shard",
            Kernel::Convolution2dWeightOfBatch(_) => "convolution2d_weight_of_batch",
            Kernel::Depthwise2d(..) => "depthwise2d",
            Kernel::MaxPool2d(_, None) => "max_pool2d",
            Kernel::MaxPool2d(_, Some(_)) => "pointwise_max_pool2d",
            Kernel::MaxPool2dGradient(_, None) => "max_pool2d_gradient",
            Kernel::MaxPool2dGradient(_, Some(_)) => "pointwise_max_pool2d_gradient",
            Kernel::AvgPool2d(_) => "avg_pool2d",
            Kernel::AvgPool2dGradient(_) => "avg_pool2d_gradient",
            Kernel::Softmax(_) => "softmax",
            Kernel::SoftmaxGradient(_) => "softmax_gradient",
            Kernel::CausalSoftmax(_) => "causal_softmax",
            Kernel::CausalSoftmaxGradient(_) => "causal_softmax_gradient",
            Kernel::CrossEntropy(_) => "cross_entropy",
            Kernel::CrossEntropyGradient(_) => "cross_entropy_gradient",
            Kernel::Accuracy(_) => "accuracy",
            Kernel::Sum(_) => "sum",
            Kernel::Expand(_) => "broadcast",
            Kernel::Slice(_) => "slice",
            Kernel::Pad(_) => "pad",
            Kernel::Concat(..) => "concat",
            Kernel::Transpose(_) => "transpose",
            Kernel::BatchedMatMul(..) => "batched_matmul",
            Kernel::Gather(_) => "gather",
            Kernel::GatherGradient(_) => "gather_gradient",
            Kernel::OneHot(_) => "one_hot",
            Kernel::Float(_) => "float",
            Kernel::Range => "range",
            Kernel::BatchShare => "batch_share",
            Kernel::SumBatch(_) => "sum_batch",
            Kernel::Pointwise(_) => "pointwise",
            Kernel::PointwiseSum(..) => "pointwise_sum",
            Kernel::Bernoulli { .. } => "bernoulli",
            Kernel::Uniform { .. } => "uniform",
            Kernel::Normal { .. } => "normal",
            Kernel::Deviations(_) => "deviations",
            Kernel::MaxReduce(_) => "max_reduce",
            Kernel::LogSoftmax(_) => "log_softmax",
            Kernel::ArgMax(_) => "argmax",
            Kernel::ExampleWeight => "example_weights",
            Kernel::Reverse(_) => "reverse",
            Kernel::StepsFirst(_) => "steps_first",
            Kernel::ExamplesFirst(_) => "examples_first",
            Kernel::Interleave(_) => "interleave",
            Kernel::Deinterleave(_) => "deinterleave",
            Kernel::Clear(_) => "clear",
            Kernel::Copy => "copy",
        }
    }

    /// Whether it draws random numbers.
    pub fn draws(&self) -> bool {
        matches!(self, Kernel::Bernoulli { .. } | Kernel::Uniform { .. } | Kernel::Normal { .. })
    }

    /// Whether it sums over the batch: it reads examples and writes what the batch has once.
    pub fn sums_over_batch(&self) -> bool {
        matches!(
            self,
            Kernel::SumBatch(_)
                | Kernel::MatMulWeights(_)
                | Kernel::Convolution2dWeight(..)
                | Kernel::Convolution2dWeightOfBatch(_)
                | Kernel::GatherGradient(_)
        )
    }

    /// Whether operand number `place` has to be one for each example, for a result that is per example or not.
    /// The others may be batch-wide: weights, biases, and what is repeated as it is read.
    pub fn wants_per_example(&self, place: usize, result_per_example: bool) -> bool {
        match self {
            Kernel::Pack { .. }
            | Kernel::PackFilters { .. }
            | Kernel::Pointwise(_)
            | Kernel::PointwiseSum(..)
            | Kernel::Expand(_)
            | Kernel::BatchedMatMul(..) => false,
            Kernel::MaxPool2d(_, Some(_)) => false,
            Kernel::MaxPool2dGradient(_, Some(expression)) => place == expression.views.len(),
            Kernel::Gather(_) => place == 1,
            Kernel::Convolution2dWeightOfShard(_) => true,
            Kernel::Convolution2dWeightOfBatch(_) => place < 2,
            Kernel::MatMul(_, _, epilogue)
            | Kernel::MatMulUnpacked(_, _, epilogue)
            | Kernel::MatMulEither(_, epilogue)
            | Kernel::Convolution2d(_, epilogue)
            | Kernel::Convolution2dInput(_, epilogue)
            | Kernel::Depthwise2d(_, epilogue) => {
                place == 0 || (2 + usize::from(epilogue.bias)..2 + epilogue.operands()).contains(&place)
            }
            _ if self.sums_over_batch() => true,
            _ => result_per_example,
        }
    }
}

impl Step {
    /// A call that stands by itself: in no loop, and writing nothing besides.
    pub fn new(kernel: Kernel, operands: Vec<BufferId>, result: BufferId, span: Span) -> Step {
        Step { kernel, operands, result, moments: None, within: None, small: false, span }
    }

    /// All that it writes.
    pub fn results(&self) -> impl Iterator<Item = BufferId> + use<> {
        [self.result].into_iter().chain(self.moments.into_iter().flatten())
    }

    /// All that it touches: what it reads, then what it writes.
    pub fn touched(&self) -> impl Iterator<Item = BufferId> {
        self.operands.iter().copied().chain(self.results())
    }
}

impl Phase {
    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        match self {
            Phase::Batch(steps) | Phase::Shards(steps) => steps,
        }
    }
}

impl Buffer {
    /// How many floats of its home it takes up: those of all the examples of a shard if it is per example.
    pub fn extent(&self, examples: usize) -> usize {
        if self.per_example { self.floats * examples } else { self.floats }
    }
}

impl Program {
    /// The buffer of that name.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// A name that no buffer has: this one, or the first like it with a number.
    pub fn free_name(&self, name: &str) -> String {
        let numbered = (2_usize..).map(|count| format!("{name}_{count}"));
        let is_free = |name: &String| self.buffers.iter().all(|buffer| buffer.name != *name);
        std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
    }

    /// Where the value wanted for `role` is.
    pub fn result(&self, role: Role) -> Option<BufferId> {
        self.results.iter().find(|(r, _)| *r == role).map(|(_, id)| *id)
    }

    /// The buffer that a step of a sequence or a window is a piece of; a buffer of its own otherwise.
    pub fn whole(&self, mut id: BufferId) -> BufferId {
        while let Home::Step { of, .. } | Home::Steps { of, .. } | Home::Window { of, .. } = self.buffer(id).home {
            id = of;
        }
        id
    }

    /// The buffer that a window is of, and which part of its blocks it is; nothing for other buffers.
    pub fn window(&self, id: BufferId) -> Option<(BufferId, SliceShape)> {
        let Home::Window { of, start, size } = self.buffer(id).home else { return None };
        let outer = self.buffer(of).floats.checked_div(size)?;
        let len = self.buffer(id).floats.checked_div(outer)?;
        Some((of, SliceShape { outer, size, start, len }))
    }

    /// The outermost loop around a loop.
    pub fn outermost(&self, mut scan: usize) -> usize {
        while let Some(parent) = self.scans.get(scan).and_then(|scan| scan.parent) {
            scan = parent;
        }
        scan
    }

    /// All steps that run, in order, without those that prepare.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.phases.iter().flat_map(Phase::steps)
    }

    /// Whether shards are computed once and last, so that nothing of one is asked afterwards but its results.
    pub fn goes_by_shards(&self) -> bool {
        let once = |before: &[Phase]| before.iter().all(|phase| matches!(phase, Phase::Batch(_)));
        matches!(self.phases.split_last(), Some((Phase::Shards(_), before)) if once(before))
    }

    /// Whether the channels of some images come last, so that these are computed one after another and not side by side.
    pub fn has_channels_last(&self) -> bool {
        self.steps().any(|step| matches!(step.kernel, Kernel::Depthwise2d(..)))
    }
}
