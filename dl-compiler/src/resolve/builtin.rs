//! What resolve itself knows to call: means and sums over a whole tensor, random numbers, initializers, and the two
//! sides of a kernel size. Everything else is an operation or stands in the library.

use dl_grammar::{Code, Diagnostic, Span};

use super::call::{Given, Slot};
use super::evaluator::Evaluator;
use super::limits;
use super::value::{Callee, Value};
use crate::graph::{NodeId, Type};
use crate::model::Initializer;
use crate::ops::{self, AttributeValue};

/// Something built in that is called by name.
#[derive(Debug)]
pub(super) struct Builtin {
    /// What it is called.
    pub(super) name: &'static str,
    /// What it takes, in order; all must be given. A first one that ends in `…` stands for any number.
    pub(super) arguments: &'static [&'static str],
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Mean,
    Sum,
    Bernoulli,
    Concat,
    Side(usize),
    Constant,
    Uniform,
    Normal,
}

/// All that is built in and called.
pub(super) const BUILTINS: &[Builtin] = &[
    Builtin { name: "mean", arguments: &["x"], meaning: Meaning::Mean },
    Builtin { name: "sum", arguments: &["x"], meaning: Meaning::Sum },
    Builtin { name: "bernoulli", arguments: &["probability", "like"], meaning: Meaning::Bernoulli },
    Builtin { name: "concat", arguments: &["x…", "axis"], meaning: Meaning::Concat },
    Builtin { name: "height", arguments: &["size"], meaning: Meaning::Side(0) },
    Builtin { name: "width", arguments: &["size"], meaning: Meaning::Side(1) },
    Builtin { name: "constant", arguments: &["value"], meaning: Meaning::Constant },
    Builtin { name: "uniform", arguments: &["low", "high"], meaning: Meaning::Uniform },
    Builtin { name: "normal", arguments: &["mean", "deviation"], meaning: Meaning::Normal },
];

const INITIALIZERS: &[(&str, Initializer)] = &[
    ("zeros", Initializer::Constant(0.0)),
    ("ones", Initializer::Constant(1.0)),
    ("glorot_uniform", Initializer::GlorotUniform),
    ("glorot_normal", Initializer::GlorotNormal),
    ("he_uniform", Initializer::HeUniform),
    ("he_normal", Initializer::HeNormal),
    ("lecun_uniform", Initializer::LecunUniform),
    ("lecun_normal", Initializer::LecunNormal),
];

/// The initializer that is a plain name.
pub(super) fn initializer(name: &str) -> Option<Initializer> {
    INITIALIZERS.iter().find(|(other, _)| *other == name).map(|(_, initializer)| *initializer)
}

/// The names of all initializers without arguments.
pub(super) fn initializer_names() -> impl Iterator<Item = &'static str> {
    INITIALIZERS.iter().map(|(name, _)| *name)
}

impl<'a> Evaluator<'_, 'a> {
    /// A call of something built in.
    pub(super) fn apply_builtin(&mut self, builtin: &'static Builtin, at: Span, given: Vec<Given<'a>>) -> Value<'a> {
        let positional = given.iter().filter(|given| given.name.is_none()).count();
        let slots: Vec<Slot<'a>> = builtin
            .arguments
            .iter()
            .flat_map(|name| {
                let times = if name.ends_with('…') { positional.max(1) } else { 1 };
                std::iter::repeat_n(Slot { name, is_required: true }, times)
            })
            .collect();
        let Some(bound) = self.bind(Callee::Builtin(builtin), at, &slots, given) else { return Value::Poison };
        let arguments: Vec<(Value<'a>, Span)> = bound.into_iter().flatten().collect();
        if arguments.iter().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        match (builtin.meaning, arguments.as_slice()) {
            (Meaning::Mean | Meaning::Sum, [x]) => self.reduce(builtin, x, at),
            (Meaning::Bernoulli, [probability, like]) => self.bernoulli(probability, like, at),
            (Meaning::Concat, [parts @ .., axis]) => self.concat(parts, axis, at),
            (Meaning::Side(side), [size]) => self.side(builtin.name, side, size),
            (Meaning::Constant, [value]) => match self.number(builtin.name, value) {
                Some(value) => Value::Initializer(Initializer::Constant(value)),
                None => Value::Poison,
            },
            (meaning, [first, second]) => self.distribution(builtin.name, meaning, first, second),
            _ => Value::Poison,
        }
    }

    fn number(&mut self, shown: &str, (value, place): &(Value<'a>, Span)) -> Option<f64> {
        let number = value.number();
        if number.is_none() {
            self.wrong_kind(shown, "a number known at compile time", value, *place);
        }
        number
    }

    fn distribution(
        &mut self,
        shown: &str,
        meaning: Meaning,
        first: &(Value<'a>, Span),
        second: &(Value<'a>, Span),
    ) -> Value<'a> {
        let (Some(a), Some(b)) = (self.number(shown, first), self.number(shown, second)) else { return Value::Poison };
        let wrong = match meaning {
            Meaning::Uniform if a > b => format!("the lower end {a:?} is greater than the upper end {b:?}"),
            Meaning::Normal if b < 0.0 => format!("the deviation {b:?} is negative"),
            Meaning::Uniform => return Value::Initializer(Initializer::Uniform { low: a, high: b }),
            _ => return Value::Initializer(Initializer::Normal { mean: a, deviation: b }),
        };
        self.error(Code::BadAttribute, second.1, format!("`{shown}`: {wrong}"), "");
        Value::Poison
    }

    /// `concat(a, b, axis: 0)`
    fn concat(&mut self, parts: &[(Value<'a>, Span)], axis: &(Value<'a>, Span), at: Span) -> Value<'a> {
        let axis = match axis.0 {
            Value::Integer(number) if (0..=limits::MAX_RANK as i64).contains(&number) => number as usize,
            ref other => return self.wrong_kind("concat", "the number of an axis, counted from 0", other, axis.1),
        };
        let mut operands = Vec::with_capacity(parts.len());
        for (part, place) in parts {
            match part {
                Value::Tensor(id) => operands.push((*id, *place)),
                other => return self.wrong_kind("concat", "a tensor", other, *place),
            }
        }
        let op = ops::concat::Concat { axis, count: operands.len() };
        self.apply("concat", op.into(), &operands, at, at)
    }

    /// `height(5)` is 5, `height([3, 5])` is 3, `width([3, 5])` is 5.
    fn side(&mut self, shown: &str, side: usize, (value, place): &(Value<'a>, Span)) -> Value<'a> {
        match value {
            Value::Integer(number) => Value::Integer(*number),
            Value::List(values) => match (values.len(), values.get(side)) {
                (2, Some(AttributeValue::Integer(number))) => Value::Integer(*number),
                _ => self.wrong_kind(shown, "an integer or a list of two", value, *place),
            },
            other => self.wrong_kind(shown, "an integer or a list of two", other, *place),
        }
    }

    /// The sum or mean of all elements.
    fn reduce(&mut self, builtin: &'static Builtin, (value, place): &(Value<'a>, Span), at: Span) -> Value<'a> {
        let id = match value {
            Value::Tensor(id) => *id,
            other => return self.wrong_kind(builtin.name, "a tensor", other, *place),
        };
        let rank = self.ty(id).dims.len();
        let len = self.ty(id).len();
        if rank == 0 {
            return Value::Tensor(id);
        }
        let sum = self.apply(builtin.name, ops::sum::Sum { axis: 0, count: rank }.into(), &[(id, *place)], at, at);
        let scalar = self.then(builtin.name, ops::reshape::Reshape { dims: Vec::new() }, sum, at);
        if builtin.meaning == Meaning::Sum {
            return scalar;
        }
        let operands = vec![(scalar, at), (Value::Float(len as f64), at)];
        self.pointwise(builtin.name, ops::divide::Divide.into(), operands, at)
    }

    fn then(&mut self, shown: &str, op: impl Into<ops::Op>, value: Value<'a>, at: Span) -> Value<'a> {
        match value {
            Value::Tensor(id) => self.apply(shown, op.into(), &[(id, at)], at, at),
            other => other,
        }
    }

    /// `bernoulli(0.8, like: x)`: 1 with that probability, otherwise 0, in the shape of `x`.
    fn bernoulli(&mut self, probability: &(Value<'a>, Span), like: &(Value<'a>, Span), at: Span) -> Value<'a> {
        let Some(keep) = self.number("bernoulli", probability) else { return Value::Poison };
        if !(0.0..=1.0).contains(&keep) {
            let message = format!("`bernoulli`: a probability is between 0 and 1, found {keep:?}");
            self.error(Code::BadAttribute, probability.1, message, "not a probability");
            return Value::Poison;
        }
        let like: NodeId = match &like.0 {
            Value::Tensor(id) => *id,
            other => return self.wrong_kind("bernoulli", "a tensor", other, like.1),
        };
        if self.training != Some(true) {
            let message = "`bernoulli` draws in inference, but random numbers are drawn in training only";
            let diagnostic = Diagnostic::new(Code::MisplacedMember, at, message)
                .label("not in `if training`")
                .help("choose by `if training { … } else { … }`");
            self.report(diagnostic);
            return Value::Poison;
        }
        let instance = self.draws;
        self.draws += 1;
        let dims = self.ty(like).dims.clone();
        let op = ops::bernoulli::Bernoulli { keep, instance, dims: dims.clone() };
        self.push(op.into(), &[], Type::per_example(dims), at)
    }
}
