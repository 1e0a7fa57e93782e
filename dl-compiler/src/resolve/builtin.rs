//! What resolve itself knows to call: reductions, parts of tensors, random numbers, initializers, quotients that are
//! rounded, and the sides of a kernel size. Everything else is an operation or stands in the library.

use std::rc::Rc;

use dl_grammar::{Code, Span};

use super::call::{Given, Slot};
use super::draw;
use super::evaluator::Evaluator;
use super::limits;
use super::reduce::Reduction;
use super::value::{Callee, Value};
use crate::graph::Element;
use crate::model::Initializer;
use crate::ops::AttributeValue;

/// Something built in that is called by name.
#[derive(Debug)]
pub(super) struct Builtin {
    /// What it is called.
    pub(super) name: &'static str,
    /// What it takes, in order. A first one that ends in `…` stands for any number, a last one that ends in `?` may be
    /// left out.
    pub(super) arguments: &'static [&'static str],
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Reduce(Reduction),
    Split,
    Bernoulli,
    Concat,
    Side(usize),
    Sizes,
    Bound,
    FloorDiv,
    CeilDiv,
    Constant,
    Uniform,
    Normal,
}

/// All that is built in and called.
pub(super) const BUILTINS: &[Builtin] = &[
    Builtin { name: "mean", arguments: &["x", "over?"], meaning: Meaning::Reduce(Reduction::Mean) },
    Builtin { name: "sum", arguments: &["x", "over?"], meaning: Meaning::Reduce(Reduction::Sum) },
    Builtin { name: "variance", arguments: &["x", "over?"], meaning: Meaning::Reduce(Reduction::Variance) },
    Builtin { name: "split", arguments: &["x", "parts", "axis?"], meaning: Meaning::Split },
    Builtin { name: "bernoulli", arguments: draw::BERNOULLI, meaning: Meaning::Bernoulli },
    Builtin { name: "concat", arguments: &["x…", "axis"], meaning: Meaning::Concat },
    Builtin { name: "height", arguments: &["size"], meaning: Meaning::Side(0) },
    Builtin { name: "width", arguments: &["size"], meaning: Meaning::Side(1) },
    Builtin { name: "sizes", arguments: &["size", "count"], meaning: Meaning::Sizes },
    Builtin { name: "bound", arguments: &["index"], meaning: Meaning::Bound },
    Builtin { name: "floor_div", arguments: &["a", "b"], meaning: Meaning::FloorDiv },
    Builtin { name: "ceil_div", arguments: &["a", "b"], meaning: Meaning::CeilDiv },
    Builtin { name: "constant", arguments: &["value"], meaning: Meaning::Constant },
    Builtin { name: "uniform", arguments: &["low", "high"], meaning: Meaning::Uniform },
    Builtin { name: "normal", arguments: &["mean", "deviation"], meaning: Meaning::Normal },
];

/// The draws that share their names with initializers, or with a draw of other arguments.
pub(super) const DRAWS: &[Builtin] = &[
    Builtin { name: "bernoulli", arguments: &["probability"], meaning: Meaning::Bernoulli },
    Builtin { name: "uniform", arguments: draw::LIKE, meaning: Meaning::Uniform },
    Builtin { name: "normal", arguments: draw::LIKE, meaning: Meaning::Normal },
];

/// The reductions that share their names with functions of two values.
const EXTREMES: &[Builtin] = &[
    Builtin { name: "max", arguments: &["x", "over?"], meaning: Meaning::Reduce(Reduction::Max) },
    Builtin { name: "min", arguments: &["x", "over?"], meaning: Meaning::Reduce(Reduction::Min) },
];

/// The reduction that a call of `max` or `min` means: that of one value, or over axes.
pub(super) fn extreme(name: &str, given: &[Given<'_>]) -> Option<&'static Builtin> {
    let is_over = |given: &Given<'_>| given.name.is_some_and(|name| name.text == "over");
    let extreme = EXTREMES.iter().find(|builtin| builtin.name == name)?;
    (given.len() == 1 || given.iter().any(is_over)).then_some(extreme)
}

const INITIALIZERS: &[(&str, Initializer)] = &[
    ("zeros", Initializer::Constant(0.0)),
    ("ones", Initializer::Constant(1.0)),
    ("glorot_uniform", Initializer::GlorotUniform),
    ("glorot_normal", Initializer::GlorotNormal),
    ("he_uniform", Initializer::HeUniform),
    ("he_normal", Initializer::HeNormal),
    ("lecun_uniform", Initializer::LecunUniform),
    ("lecun_normal", Initializer::LecunNormal),
    ("orthogonal", Initializer::Orthogonal),
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
        if draw::is_draw(builtin.name, &given) {
            return self.draw(builtin, at, given);
        }
        let positional = given.iter().filter(|given| given.name.is_none()).count();
        let slots: Vec<Slot<'a>> = builtin
            .arguments
            .iter()
            .flat_map(|name| {
                let times = if name.ends_with('…') { positional.max(1) } else { 1 };
                let slot = Slot { name: name.trim_end_matches('?'), is_required: !name.ends_with('?') };
                std::iter::repeat_n(slot, times)
            })
            .collect();
        let Some(bound) = self.bind(Callee::Builtin(builtin), at, &slots, given) else { return Value::Poison };
        let arguments: Vec<(Value<'a>, Span)> = bound.into_iter().flatten().collect();
        if arguments.iter().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        match (builtin.meaning, arguments.as_slice()) {
            (Meaning::Reduce(reduction), [x, over @ ..]) => self.reduce(builtin.name, reduction, x, over.first(), at),
            (Meaning::Split, [x, parts, axis @ ..]) => self.split(x, parts, axis.first(), at),
            (Meaning::Concat, [parts @ .., axis]) => self.concat(parts, axis, at),
            (Meaning::Bound, [index]) => self.bound_of_index(index),
            (Meaning::Side(side), [size]) => self.side(builtin.name, side, size),
            (Meaning::Sizes, [size, count]) => self.sizes_of(size, count),
            (Meaning::FloorDiv, [a, b]) => self.rounded(builtin.name, a, b, at, i128::div_euclid),
            (Meaning::CeilDiv, [a, b]) => self.rounded(builtin.name, a, b, at, |a, b| -(-a).div_euclid(b)),
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

    /// `bound(tokens)`: how many values an index can have.
    fn bound_of_index(&mut self, (value, place): &(Value<'a>, Span)) -> Value<'a> {
        match value {
            Value::Tensor(id) => match self.ty(*id).element {
                Element::Index(bound) => i64::try_from(bound).map_or(Value::Poison, Value::Integer),
                _ => self.wrong_kind("bound", "a tensor of indices", value, *place),
            },
            other => self.wrong_kind("bound", "a tensor of indices", other, *place),
        }
    }

    /// `floor_div(5, 2)` is 2, `ceil_div(5, 2)` is 3.
    fn rounded(
        &mut self,
        shown: &str,
        (a, a_place): &(Value<'a>, Span),
        (b, b_place): &(Value<'a>, Span),
        at: Span,
        quotient: fn(i128, i128) -> i128,
    ) -> Value<'a> {
        match (a, b) {
            (Value::Integer(_), Value::Integer(b)) if *b <= 0 => {
                let message = format!("`{shown}` expects a divisor of at least 1, found {b}");
                self.error(Code::NotDivisible, *b_place, message, "the divisor");
                Value::Poison
            }
            (Value::Integer(a), Value::Integer(b)) => match i64::try_from(quotient(i128::from(*a), i128::from(*b))) {
                Ok(quotient) => Value::Integer(quotient),
                Err(_) => self.overflow(at),
            },
            (Value::Integer(_), other) => self.wrong_kind(shown, "an integer known at compile time", other, *b_place),
            (other, _) => self.wrong_kind(shown, "an integer known at compile time", other, *a_place),
        }
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
    /// `sizes([2, 3, 5], 3)` is 2, 3 and 5; `sizes(5, 3)` is 5 three times.
    fn sizes_of(&mut self, (size, place): &(Value<'a>, Span), (count, count_place): &(Value<'a>, Span)) -> Value<'a> {
        let axes = 2..=limits::MAX_RANK;
        let wanted = match count {
            Value::Integer(count) => usize::try_from(*count).ok().filter(|count| axes.contains(count)),
            _ => None,
        };
        let Some(wanted) = wanted else {
            let expected = format!("a number of axes from 2 to {}", limits::MAX_RANK);
            return self.wrong_kind("sizes", &expected, count, *count_place);
        };
        let sizes: Option<Vec<Value<'a>>> = match size {
            Value::Integer(number) => Some(vec![Value::Integer(*number); wanted]),
            Value::List(values) if values.len() == wanted => values.iter().map(integer).collect(),
            _ => None,
        };
        match sizes {
            Some(sizes) => Value::Tuple(Rc::from(sizes)),
            None => self.wrong_kind("sizes", &format!("an integer or a list of {wanted}"), size, *place),
        }
    }
}

/// The element of a list, if it is an integer.
fn integer<'a>(value: &AttributeValue) -> Option<Value<'a>> {
    match value {
        AttributeValue::Integer(number) => Some(Value::Integer(*number)),
        _ => None,
    }
}
