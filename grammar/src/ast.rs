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
    /// `version 1;`, the optional first line.
    pub version: Option<Version>,
    /// Declarations in order.
    pub items: Vec<Item>,
}

/// `version 1;`: the version of the language that the file is written in.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Its number.
    pub number: i64,
    /// All of it, up to the semicolon.
    pub span: Span,
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
    /// `network Name { … }` or, with attributes, a template.
    Network(Network),
    /// `network Small = Name(width: 64);`
    Instance(Instance),
    /// `import "blocks.dln";`
    Import(Import),
}

/// `network Small = Name(width: 64);`: a template with its attributes in place.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `///` lines.
    pub docs: Docs,
    /// Whether `pub` stands before it.
    pub public: bool,
    /// Whether `inference` stands before `network`.
    pub inference: bool,
    /// What it is called.
    pub name: Name,
    /// The template and its attributes.
    pub template: Call,
    /// All of it.
    pub span: Span,
}

/// `import "blocks.dln";`: the declarations of another file.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The path as it is written, relative to the file it stands in.
    pub path: String,
    /// Where the path is written.
    pub path_span: Span,
    /// All of it, up to the semicolon.
    pub span: Span,
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
    /// `inference network`: no training code is made for it.
    pub inference: bool,
    /// What it is called.
    pub name: Name,
    /// Attributes in parentheses; one without a default makes the network a template.
    pub arguments: Vec<Argument>,
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
    /// `state running: [c] = zeros;`
    State(State),
    /// `update running = value;`
    Update(Update),
    /// `shared encode = dense(64);`
    Shared(Shared),
    /// `penalty l2(weight, 1e-4);`
    Penalty(Penalty),
    /// `freeze features.*;`
    Freeze(Freeze),
    /// `budget { parameters < 64_000, memory < 256_KiB }`
    Budget(Budget),
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
    /// `b` of `a, b = split(x, 2);`: further names, for values that have several parts.
    pub others: Vec<Name>,
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
    /// `updates generator.*, shared.weight`: what a named loss trains; empty if it trains all.
    pub updates: Vec<PathPattern>,
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
    /// `where max_norm(3)`: what holds after every step of training.
    pub constraint: Option<Call>,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `state running: [c] = zeros;`: a tensor that training updates without a gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
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

/// `update running = value;`
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The state's name.
    pub name: Name,
    /// What it holds after a step of training.
    pub value: Expr,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `shared encode = dense(64);`: a layer value that is one set of weights wherever it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// `///` lines.
    pub docs: Docs,
    /// What it is called.
    pub name: Name,
    /// The layer value.
    pub value: Expr,
}

/// `penalty l2(weight, 1e-4);`: a number added to the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Penalty {
    /// One number, per example or for the batch.
    pub value: Expr,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `freeze features.*;`: parameters that are never trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// Which, at least one.
    pub patterns: Vec<PathPattern>,
    /// All of it, up to the semicolon.
    pub span: Span,
}

/// `features.*`: parameter paths. `*` stays within one segment, a trailing `.*` takes any depth.
#[derive(Debug, Clone, PartialEq)]
pub struct PathPattern {
    /// As it is written, without blanks.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `budget { parameters < 64_000, memory < 256_KiB }`: what a network may not outgrow.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Limits in order.
    pub limits: Vec<Limit>,
    /// All of it.
    pub span: Span,
}

/// `parameters < 64_000`
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub name: Name,
    /// `<` or `<=`.
    pub inclusive: bool,
    /// The limit, known at compile time.
    pub value: Expr,
    /// All of it.
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
    /// `repeat 2 { residual(64) }`: a layer value that applies its body several times.
    Repeat(Box<Repeat>),
    /// `scan x_t in x with h: [units] = 0 { … yield h }`: a loop over sequences.
    Scan(Box<Scan>),
    /// `[64, 32]`: a list of values.
    List(Vec<Expr>),
    /// `..`: all axes, as the value of `over`; in a list of axes, those without a name.
    Rest,
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
    /// What is applied.
    pub apply: Apply,
    /// All of it.
    pub span: Span,
}

/// What a stage applies.
#[derive(Debug, Clone, PartialEq)]
pub enum Apply {
    /// A call; a stage written as a bare name is a call without arguments.
    Call(Call),
    /// `repeat 2 { … }`
    Repeat(Repeat),
}

impl Apply {
    /// The word that messages and paths name it by: the callee, or `repeat`.
    pub fn name(&self) -> &str {
        match self {
            Apply::Call(call) => &call.callee.text,
            Apply::Repeat(_) => "repeat",
        }
    }
}

/// `repeat 2 { residual(64) }` or `repeat i in 0..2 { … }`: the body piped into itself, new weights each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// `i` of `i in 0..2`.
    pub index: Option<Name>,
    /// `0` of `0..2`; without it the count starts at 0.
    pub from: Option<Expr>,
    /// The number of times, or the `2` of `0..2`, which is not taken.
    pub to: Expr,
    /// The body: a pipeline that begins with a stage; at least one.
    pub stages: Vec<Stage>,
    /// The keyword and all that follows.
    pub span: Span,
}

/// `scan reversed x_t, m_t in x, mask with h: [units] = 0 until length { members… yield h }`
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Whether it begins at the end.
    pub reversed: bool,
    /// What the body calls a step of each sequence.
    pub steps: Vec<Name>,
    /// The sequences, as many as `steps`.
    pub sequences: Vec<Expr>,
    /// What goes from step to step.
    pub carries: Vec<Carry>,
    /// After how many steps carries stay as they are and 0 is yielded.
    pub until: Option<Expr>,
    /// Statements of the body; a binding to a carry's name is its next value.
    pub members: Vec<Member>,
    /// What a step yields.
    pub yields: Vec<Expr>,
    /// The keyword and all that follows.
    pub span: Span,
}

/// `h: [units] = 0`
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    /// What it is called.
    pub name: Name,
    /// Its dimensions; none if they are those of the first value.
    pub dims: Option<Vec<Expr>>,
    /// Its first value: a number or a tensor.
    pub initial: Expr,
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
