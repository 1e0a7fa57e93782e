//! A resolved network: its tables and its two graphs.
//!
//! `resolve` makes one [`Model`] for every network of a program; all later stages read it.

use dl_grammar::Span;

use crate::graph::{Element, Graph};

mod train;

pub use train::{
    CLIPS, Chosen, DecayFactor, Form, Number, OPTIMIZERS, Range, SCHEDULES, STOPS, Setting, Train, WARM_UP,
};

/// A network whose names, shapes and attributes are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What it is called in the source.
    pub name: String,
    /// Its documentation, line by line.
    pub docs: Vec<String>,
    /// Whether `pub` stands before it.
    pub public: bool,
    /// Where it is declared.
    pub span: Span,
    /// What an example holds: first the inputs, then the labels, each in order of declaration.
    pub fields: Vec<Field>,
    /// Whether `inference` stands before `network`: no training code is made.
    pub inference_only: bool,
    /// Trainable tensors in order of declaration.
    pub parameters: Vec<Parameter>,
    /// Tensors that training updates without a gradient, in order of declaration.
    pub states: Vec<Parameter>,
    /// Results of inference in order of declaration.
    pub outputs: Vec<Named>,
    /// Metrics in order of declaration.
    pub metrics: Vec<Named>,
    /// One training step for each: the sum of the unnamed losses is one, every named loss is its own.
    pub losses: Vec<Loss>,
    /// What it may not outgrow.
    pub budget: Vec<BudgetLimit>,
    /// Its `train` section, defaults filled in.
    pub train: Train,
    /// What `training` means: roots are the outputs, the losses, the metrics and the updates of states.
    pub training: Graph,
    /// What inference means: the same roots without updates.
    pub inference: Graph,
    /// One row of the layer table for each binding, output and loss, in order.
    pub bindings: Vec<BindingRow>,
    /// The calls that the user's text makes of the inference graph, a call before the one it stands in.
    pub calls: Vec<CallRow>,
}

/// `memory < 256_KiB`
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetLimit {
    /// What is limited.
    pub measured: Measured,
    /// How much of it there may be.
    pub limit: usize,
    /// Whether it may be just as much.
    pub inclusive: bool,
    /// Where it is written.
    pub span: Span,
}

/// What a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Numbers in all parameters.
    Parameters,
    /// Bytes of parameters, states and the workspace of inference for one example.
    Memory,
}

/// An input or label.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Its documentation.
    pub docs: Vec<String>,
    /// Whether it is a label: asked for in training and evaluation only.
    pub label: bool,
    /// What one element is.
    pub element: Element,
    /// Its dimensions for one example.
    pub dims: Vec<usize>,
    /// Where it is declared.
    pub span: Span,
}

impl Model {
    /// Whether there is something to train by.
    pub fn has_loss(&self) -> bool {
        !self.losses.is_empty()
    }

    /// Whether code for training and evaluation is made.
    pub fn trains(&self) -> bool {
        self.has_loss() && !self.inference_only
    }
}

/// What one training step makes smaller.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// Its name, where one was written.
    pub name: Option<String>,
    /// Its documentation.
    pub docs: Vec<String>,
    /// The parameters it trains, as places in [`Model::parameters`], in order; frozen ones are not among them.
    pub updates: Vec<usize>,
    /// Where it is declared.
    pub span: Span,
}

/// A trainable tensor or a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its path, such as `features.conv2d_1.weight`.
    pub path: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// What it holds before training.
    pub initializer: Initializer,
    /// Whether it is never trained.
    pub frozen: bool,
    /// What holds after every step of training.
    pub constraint: Option<Constraint>,
    /// The user's place that made it.
    pub span: Span,
}

/// What holds for a parameter after every step of training. Norms are those of each unit's incoming weights: of the
/// columns of `[inputs, units]`, of the filters of `[filters, channels, k…]`, otherwise of the whole tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constraint {
    /// The Euclidean norm is at most that (Srebro and Shraibman, 2005).
    MaxNorm(f64),
    /// The Euclidean norm is 1.
    UnitNorm,
    /// The Euclidean norm lies between the two.
    MinMaxNorm {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// No number is negative.
    NonNegative,
    /// Every number lies between the two.
    Clip {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
}

/// What a parameter holds before training.
///
/// Fans follow the usual count: for `[in, out]` they are the two dimensions, for a convolution's
/// `[filters, channels, k…]` they are `channels·k…` and `filters·k…`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// Everywhere the same number.
    Constant(f64),
    /// Evenly between two numbers.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normally distributed.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Glorot and Bengio (2010), uniform.
    GlorotUniform,
    /// Glorot and Bengio (2010), normal.
    GlorotNormal,
    /// He et al. (2015), uniform.
    HeUniform,
    /// He et al. (2015), normal.
    HeNormal,
    /// LeCun et al. (1998), uniform.
    LecunUniform,
    /// LeCun et al. (1998), normal.
    LecunNormal,
    /// A matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2014).
    Orthogonal,
}

/// An output or metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// Its documentation.
    pub docs: Vec<String>,
    /// Its dimensions for one example.
    pub dims: Vec<usize>,
    /// Where it is declared.
    pub span: Span,
}

/// One row of the layer table.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingRow {
    /// The binding's name, or `loss`.
    pub name: String,
    /// The dimensions of its value.
    pub dims: Vec<usize>,
    /// The parameters it holds, as places in [`Model::parameters`].
    pub parameters: Vec<usize>,
    /// The nodes of the inference graph that were made for it: from, up to.
    pub nodes: (usize, usize),
    /// Where it is written.
    pub span: Span,
}

/// A call in the user's text: of a layer, a formula or an operation. Calls within the library and within formulas are
/// part of the call that leads to them.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    /// The name of the instance, where it has one.
    pub instance: Option<String>,
    /// What is called.
    pub callee: String,
    /// The dimensions of its result.
    pub dims: Vec<usize>,
    /// The parameters that were made for it, as places in [`Model::parameters`]: from, up to.
    pub parameters: (usize, usize),
    /// The nodes of the inference graph that were made for it: from, up to.
    pub nodes: (usize, usize),
    /// How many layers it stands in; 0 in a member of the network.
    pub depth: usize,
    /// Where it is written: the callee's name.
    pub span: Span,
}

impl Loss {
    /// What its training step is called.
    pub fn step_name(&self) -> String {
        match &self.name {
            Some(name) => format!("training of {name}"),
            None => "training".to_owned(),
        }
    }
}

/// One of a kind for each thing a network does.
#[derive(Debug, Clone, Default)]
pub struct Three<T> {
    /// Outputs.
    pub inference: T,
    /// Losses and metrics of the inference graph.
    pub evaluation: T,
    /// For each training step its loss, metrics, gradients and updates of states.
    pub training: Vec<T>,
}

impl<T> Three<T> {
    /// Each with its name; `losses` are those of the model.
    pub fn named(&self, losses: &[Loss]) -> Vec<(String, &T)> {
        let mut named = vec![("inference".to_owned(), &self.inference), ("evaluation".to_owned(), &self.evaluation)];
        named.extend(losses.iter().map(Loss::step_name).zip(&self.training));
        named
    }
}
