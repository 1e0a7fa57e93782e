//! Operations: everything the compiler knows of each, one file and one line below.
//!
//! An operation is a struct of its attributes that implements [`Operation`]; a missing rule does not compile.
//! What can be written in the language is written in `std/*.dln` instead.

use std::fmt;

use ndarray::ArrayD;

use crate::eval::{Context, Value};
use crate::gradient::Rule;
use crate::graph::{NodeId, Type};
use crate::program::Kernel;

mod array;
pub mod attribute;
mod carried;
pub mod doc;
mod epilogue;
mod pointwise;
mod pool;
mod random;
pub mod shape;
mod window;

pub use attribute::AttributeValue;

/// A constraint that the operands do not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of [`Spec::constraints`], counted from 1.
    pub constraint: usize,
    /// The operand at fault.
    pub operand: usize,
    /// What was expected and found.
    pub message: String,
}

impl Violation {
    /// A violation of constraint number `constraint` by operand number `operand` (from 0).
    pub fn new(constraint: usize, operand: usize, message: impl Into<String>) -> Violation {
        Violation { constraint, operand, message: message.into() }
    }
}

/// What documentation, calls and error messages need to know of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// What it is called in the language and in dumps.
    pub name: &'static str,
    /// One sentence, with the source of the formula (paper, year) where there is one.
    pub summary: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Its operands, in order.
    pub operands: &'static [&'static str],
    /// Its attributes, in order.
    pub attributes: &'static [Attribute],
    /// What the operands must meet, numbered from 1.
    pub constraints: &'static [&'static str],
    /// Whether programs may call it by name; gradients and operators are not called.
    pub callable: bool,
    /// Whether it works place by place, so that calls broadcast its operands.
    pub pointwise: bool,
    /// Calls that infer as stated.
    pub examples: &'static [Example],
}

/// An attribute of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it is if it is left out; `None` if it must be given.
    pub default: Option<Constant>,
    /// One sentence.
    pub doc: &'static str,
}

/// A default value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Whole numbers.
    List(&'static [i64]),
    /// Whatever the attribute at that earlier place is.
    SameAs(usize),
}

/// Operand types, attributes and the type they infer, as written in dumps:
/// `("[1, 28, 28], [6, 1, 5, 5] batch-wide", &[("padding", Constant::Integer(2))], "[6, 28, 28]")`.
pub type Example = (&'static str, &'static [(&'static str, Constant)], &'static str);

/// How an operation becomes code.
#[derive(Debug, Clone, PartialEq)]
pub enum Lowering {
    /// It is there already: an input, a label, a parameter, a state or a constant.
    Leaf,
    /// One number from one number of each operand, at the same place.
    Pointwise(PointwiseFn),
    /// The same floats under other dimensions.
    View,
    /// A kernel of the runtime; its operands are those of the operation.
    Kernel(Kernel),
}

/// A function of the runtime's `Lane`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointwiseFn {
    /// `-x`
    Negate,
    /// `max(x, 0)`
    Relu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// e to the x.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// Absolute value.
    Abs,
    /// Error function.
    Erf,
    /// `log(1 + exp(x))`
    Softplus,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Sum of two.
    Add,
    /// Difference of two.
    Subtract,
    /// Product of two.
    Multiply,
    /// Quotient of two.
    Divide,
    /// The smaller of two.
    Minimum,
    /// The larger of two.
    Maximum,
    /// The first to the power of the second.
    Power,
    /// 1 where the first is greater.
    Greater,
    /// 1 where the first is greater or equal.
    GreaterEqual,
    /// 1 where both are equal.
    Equal,
    /// 1 where both differ.
    NotEqual,
    /// The second where the first is not 0, otherwise the third.
    Select,
}

/// All the compiler knows of an operation.
pub trait Operation: fmt::Debug + Clone + PartialEq + Sized {
    /// Name, documentation, attributes, constraints.
    const SPEC: Spec;

    /// Makes it from its attributes (one value for each of [`Spec::attributes`], defaults filled in),
    /// or says which attribute (its place) is wrong and why.
    fn build(attributes: &[AttributeValue]) -> Result<Self, (usize, String)>;

    /// Its attributes as dumps show them: `stride: [1, 1], padding: [2, 2]`; empty without attributes.
    fn show(&self) -> String;

    /// How many operands it takes; a fused operation may take more than its kind.
    fn arity(&self) -> usize {
        Self::SPEC.operands.len()
    }

    /// Shape rule: the type of the result, or the constraint that is not met.
    fn infer(&self, operands: &[&Type]) -> Result<Type, Violation>;

    /// Gradient rule: for each operand the gradient that `rule.d()`, the gradient of the result, causes; `None` where none flows.
    /// A gradient per example of a batch-wide operand is summed over the batch by the caller.
    fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>>;

    /// Reference semantics in f64. A per-example value has the batch axis first.
    fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64>;

    /// The kernel that computes it.
    fn lower(&self, operands: &[&Type], result: &Type) -> Lowering;

    /// Floating-point operations for one example; one for each element of the result unless it says otherwise.
    fn flops(&self, _operands: &[&Type], result: &Type) -> usize {
        result.len()
    }
}

macro_rules! ops {
    ($($module:ident $variant:ident,)*) => {
        $(#[doc = concat!("`", stringify!($module), "`")] pub mod $module;)*

        /// Any operation.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $(#[doc = concat!("See [`mod@", stringify!($module), "`].")] $variant($module::$variant),)*
        }

        $(impl From<$module::$variant> for Op {
            fn from(op: $module::$variant) -> Op {
                Op::$variant(op)
            }
        })*

        impl Op {
            /// The documentation of every operation, in order.
            pub const SPECS: &[&Spec] = &[$(&<$module::$variant as Operation>::SPEC),*];

            /// Makes the operation of that name from its attributes; `None` if there is none.
            pub fn build(name: &str, attributes: &[AttributeValue]) -> Option<Result<Op, (usize, String)>> {
                $(if name == <$module::$variant as Operation>::SPEC.name {
                    return Some(<$module::$variant as Operation>::build(attributes).map(Op::$variant));
                })*
                None
            }

            /// Its documentation.
            pub fn spec(&self) -> &'static Spec {
                match self { $(Op::$variant(_) => &<$module::$variant as Operation>::SPEC,)* }
            }

            /// See [`Operation::show`].
            pub fn show(&self) -> String {
                match self { $(Op::$variant(op) => op.show(),)* }
            }

            /// See [`Operation::arity`].
            pub fn arity(&self) -> usize {
                match self { $(Op::$variant(op) => op.arity(),)* }
            }

            /// See [`Operation::infer`].
            pub fn infer(&self, operands: &[&Type]) -> Result<Type, Violation> {
                let expected = self.arity();
                if operands.len() != expected {
                    return Err(Violation::new(0, 0, format!("expected {expected} operands, found {}", operands.len())));
                }
                match self { $(Op::$variant(op) => op.infer(operands),)* }
            }

            /// See [`Operation::vjp`].
            pub fn vjp(&self, rule: &mut Rule<'_>) -> Vec<Option<NodeId>> {
                match self { $(Op::$variant(op) => op.vjp(rule),)* }
            }

            /// See [`Operation::eval`].
            pub fn eval(&self, operands: &[&Value], context: &Context<'_>) -> ArrayD<f64> {
                match self { $(Op::$variant(op) => op.eval(operands, context),)* }
            }

            /// See [`Operation::lower`].
            pub fn lower(&self, operands: &[&Type], result: &Type) -> Lowering {
                match self { $(Op::$variant(op) => op.lower(operands, result),)* }
            }

            /// See [`Operation::flops`].
            pub fn flops(&self, operands: &[&Type], result: &Type) -> usize {
                match self { $(Op::$variant(op) => op.flops(operands, result),)* }
            }
        }
    };
}

ops! {
    input Input,
    parameter Parameter,
    state State,
    constant Splat,
    example_weight ExampleWeight,
    fused Fused,
    fused_sum FusedSum,
    negate Negate,
    relu Relu,
    sigmoid Sigmoid,
    tanh Tanh,
    exp Exp,
    log Log,
    sqrt Sqrt,
    abs Abs,
    softplus Softplus,
    erf Erf,
    sin Sin,
    cos Cos,
    add Add,
    subtract Subtract,
    multiply Multiply,
    divide Divide,
    minimum Minimum,
    maximum Maximum,
    power Power,
    greater Greater,
    greater_equal GreaterEqual,
    equal Equal,
    not_equal NotEqual,
    select Select,
    reshape Reshape,
    flatten Flatten,
    expand Expand,
    slice Slice,
    pad Pad,
    concat Concat,
    transpose Transpose,
    gather Gather,
    gather_gradient GatherGradient,
    one_hot OneHot,
    float Float,
    range Range,
    batch_share BatchShare,
    sum Sum,
    max_reduce MaxReduce,
    deviations Deviations,
    sum_batch SumBatch,
    matmul MatMul,
    matmul_weights MatMulWeights,
    batched_matmul BatchedMatMul,
    convolution2d Convolution2d,
    convolution2d_input Convolution2dInput,
    convolution2d_weight Convolution2dWeight,
    convolution2d_transpose Convolution2dTranspose,
    depthwise2d Depthwise2d,
    max_pool2d MaxPool2d,
    max_pool2d_gradient MaxPool2dGradient,
    avg_pool2d AvgPool2d,
    avg_pool2d_gradient AvgPool2dGradient,
    softmax Softmax,
    softmax_gradient SoftmaxGradient,
    causal_softmax CausalSoftmax,
    causal_softmax_gradient CausalSoftmaxGradient,
    log_softmax LogSoftmax,
    cross_entropy CrossEntropy,
    cross_entropy_gradient CrossEntropyGradient,
    accuracy Accuracy,
    argmax ArgMax,
    bernoulli Bernoulli,
    uniform Uniform,
    normal Normal,
    stop_gradient StopGradient,
    reverse Reverse,
    scan_step ScanStep,
    carry Carry,
    next Next,
    stack Stack,
    last Last,
}

impl Op {
    /// What it is called in dumps.
    pub fn name(&self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.show();
        match attributes.as_str() {
            "" => f.write_str(self.name()),
            attributes => write!(f, "{} {attributes}", self.name()),
        }
    }
}
