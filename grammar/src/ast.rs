//! The syntax tree: what was written, with spans, nothing resolved.
//!
//! Calls are uniform (`name(operands…, attribute: value…)`), so a new operation never adds a variant here.
//! Names, numbers and shapes are checked later; the tree only promises to be well formed and of bounded depth.

use crate::source::Span;

/// A name where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// The identifier.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// Lines of documentation (`///` or `//!`), without the markers and one leading space.
pub type Docs = Vec<String>;

/// A whole text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct File {
    /// `//!` lines.
    pub docs: Docs,
    /// Declarations in order.
    pub items: Vec<Item>,
}

/// A declaration at the top level.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `const NAME = value;`
    Const(Const),
    /// `fn name(x, y, k = 1) = value;`
    Function(Function),
    /// `layer name(x: [..], attribute = default) { … result }`
    Layer(Layer),
    /// `network Name { … }`
    Network(Network),
}

/// `const NAME = value;`
#[derive(Debug, Clone, PartialEq)]
pub struct Const {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// Its value, known at compile time.
    pub value: Expr,
}

/// `fn name(x, k = 1) = value;`: a formula without parameters of its own; inlined where it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// Operands (without default) and attributes (with one).
    pub arguments: Vec<Argument>,
    /// What it stands for.
    pub value: Expr,
}

/// `layer name(x: [..], units) { … result }`: a reusable piece that may hold parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// Operands (with a shape pattern) and attributes (without).
    pub arguments: Vec<Argument>,
    /// Bindings, parameters and the like.
    pub members: Vec<Member>,
    /// The last expression, the value of the layer.
    pub result: Expr,
}

/// A declared operand or attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// What it is called.
    pub name: Name,
    /// `x: [channels, h, w]`: makes it an operand of a layer.
    pub pattern: Option<Pattern>,
    /// `= value`.
    pub default: Option<Expr>,
}

/// `[.., features]`: what a shape must look like; new names are bound to the dimensions they meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Dimensions in order.
    pub dims: Vec<PatternDim>,
    /// The brackets and what is between them.
    pub span: Span,
}

/// One place of a shape pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum PatternDim {
    /// `..`: any number of dimensions; at most once in a pattern.
    Rest(Span),
    /// A name (bound, or compared if bound already) or an expression (compared).
    Dim(Expr),
}

/// `network Name { … }`: what becomes Rust code.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// `///` lines.
    pub docs: Docs,
    /// Whether `pub` stands before it.
    pub public: bool,
    /// What it is called.
    pub name: Name,
    /// Declarations in order.
    pub members: Vec<Member>,
    /// All of it.
    pub span: Span,
}

/// A statement in a network, a layer or a branch.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// `input name: [dims];` or `input tokens: index(96)[64];`
    Input(Field),
    /// `label name: index(10);`
    Label(Field),
    /// `name = value;` or `name: [..] = value;`
    Binding(Binding),
    /// `output name = value;`
    Output(Binding),
    /// `loss value;` or `loss name = value;`
    Loss(Measure),
    /// `metric value;` or `metric name = value;`
    Metric(Measure),
    /// `param weight: [in, units] = glorot_uniform;`
    Param(Param),
    /// `assert condition, "message with {values}";`
    Assert(Assert),
    /// `train { name: value, … }`
    Train(Train),
}

/// An input or label: a name and what an example holds there.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// The element type.
    pub element: Element,
    /// Dimensions; none for a single value.
    pub dims: Vec<Expr>,
    /// From the name to the last bracket.
    pub span: Span,
}

/// What one element of an input or label is.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// `f32`, the default.
    F32,
    /// `index(bound)`: an integer from 0 up to, not including, the bound.
    Index(Expr),
}

/// `name = value;`
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// `: [dims]`, checked and bound as in a layer's operand.
    pub pattern: Option<Pattern>,
    /// What it stands for.
    pub value: Expr,
}

/// A loss or metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// `///` lines.
    pub docs: Docs,
    /// Its name, where one was written.
    pub name: Option<Name>,
    /// One number per example.
    pub value: Expr,
    /// The keyword and all that follows, up to the semicolon.
    pub span: Span,
}

/// `param weight: [in, units] = glorot_uniform;`
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// Its dimensions.
    pub dims: Vec<Expr>,
    /// The initializer: a name, a call or a number.
    pub initializer: Expr,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `assert condition, "message";`
#[derive(Debug, Clone, PartialEq)]
pub struct Assert {
    /// What must hold.
    pub condition: Expr,
    /// What is said if it does not; `{expr}` prints a value.
    pub message: Option<(String, Span)>,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `train { optimizer: sgd(learning_rate: 0.1), batch: 64 }`
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// Settings in order.
    pub settings: Vec<(Name, Expr)>,
    /// All of it.
    pub span: Span,
}

/// An expression where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `784`, `64_000`, `256_KiB` (already multiplied).
    Integer(i64),
    /// `0.05`, `1e-4`.
    Float(f64),
    /// `true`, `false`.
    Bool(bool),
    /// `"text"`.
    Text(String),
    /// A name: a value, a dimension, a constant, or a callable used as a layer value.
    Name(String),
    /// `-x`, `not x`.
    Unary(UnaryOp, Box<Expr>),
    /// `x + y`; the span is that of the operator.
    Binary(BinaryOp, Span, Box<Expr>, Box<Expr>),
    /// `name(operands…, attribute: value…)`.
    Call(Call),
    /// `x |> f |> head: g(10)`.
    Pipe(Box<Expr>, Vec<Stage>),
    /// `if c { … x } else { … y }`, chosen at compile time.
    If(Box<If>),
    /// `[64, 32]`: a list of values.
    List(Vec<Expr>),
    /// What could not be read; a diagnostic has been given, so nobody says more about it.
    Invalid,
}

/// `name(operands…, attribute: value…)`
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What is called.
    pub callee: Name,
    /// What is handed over, in order.
    pub arguments: Vec<CallArgument>,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallArgument {
    /// `name:` before the value.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// One stage of a pipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// `head:` before the call names the instance.
    pub instance: Option<Name>,
    /// What is applied; a stage written as a bare name is a call without arguments.
    pub call: Call,
    /// All of it.
    pub span: Span,
}

/// `if condition { members… value } else { members… value }`
#[derive(Debug, Clone, PartialEq)]
pub struct If {
    /// Known at compile time.
    pub condition: Expr,
    /// Taken if it holds.
    pub then: Block,
    /// Taken if not; another `if` is a block with nothing but that as its value.
    pub otherwise: Block,
}

/// `{ members… value }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Bindings and parameters that end with the block.
    pub members: Vec<Member>,
    /// What it stands for.
    pub value: Expr,
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Negate,
    /// `not`
    Not,
}

/// An operator between its operands, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `@`
    MatMul,
    /// `^`
    Power,
}
