//! Random draws: `bernoulli(0.8, like: x)`, `normal(like: x)`, `uniform([3])`. Every example draws its own numbers.
//!
//! `normal` and `uniform` of two numbers are initializers; with `like`, or with a shape, they draw. `bernoulli(p)` of a
//! tensor of probabilities is 1 where a uniform draw is below.

use dl_grammar::{Code, Span};

use super::builtin::{Builtin, DRAWS};
use super::call::{Given, Slot};
use super::evaluator::Evaluator;
use super::value::{Callee, Value};
use crate::graph::Type;
use crate::ops::{self, AttributeValue, Op};

/// What `bernoulli` takes.
pub(super) const BERNOULLI: &[&str] = &["probability", "like"];

/// What the other draws take.
pub(super) const LIKE: &[&str] = &["like"];

/// Whether a call of something built in draws random numbers.
pub(super) fn is_draw(name: &str, given: &[Given<'_>]) -> bool {
    let is_shape = |given: &Given<'_>| match given.name {
        Some(name) => name.text == "like",
        None => matches!(given.value, Value::Tensor(_) | Value::List(_)),
    };
    match name {
        "bernoulli" => true,
        "normal" | "uniform" => given.iter().any(is_shape),
        _ => false,
    }
}

impl<'a> Evaluator<'_, 'a> {
    /// A draw of one number for each element of a shape and each example.
    pub(super) fn draw(&mut self, builtin: &'static Builtin, at: Span, given: Vec<Given<'a>>) -> Value<'a> {
        let name = builtin.name;
        // A tensor of probabilities has the shape of what is drawn.
        let probabilities = match given.as_slice() {
            [Given { value: Value::Tensor(id), .. }] if name == "bernoulli" => Some(*id),
            _ => None,
        };
        let builtin = match name {
            "bernoulli" if probabilities.is_none() => builtin,
            _ => DRAWS.iter().find(|draw| draw.name == name).unwrap_or(builtin),
        };
        let slots: Vec<Slot<'a>> = builtin.arguments.iter().map(|name| Slot { name, is_required: true }).collect();
        let Some(bound) = self.bind(Callee::Builtin(builtin), at, &slots, given) else { return Value::Poison };
        let mut arguments: Vec<(Value<'a>, Span)> = bound.into_iter().flatten().collect();
        if arguments.iter().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        let Some((like, place)) = arguments.pop() else { return Value::Poison };
        let dims = match &like {
            Value::Tensor(id) => self.ty(*id).dims.clone(),
            Value::List(sizes) => match sizes.iter().map(size).collect() {
                Some(sizes) => sizes,
                None => return self.wrong_kind(name, "a tensor or a list of sizes of at least 1", &like, place),
            },
            other => return self.wrong_kind(name, "a tensor or a list of sizes", other, place),
        };
        // All steps of the loops around a draw are drawn at once, outside.
        let scans = self.scans.clone();
        let mut all: Vec<usize> = scans.iter().map(|&scan| self.graph.scans[scan].length).collect();
        all.extend(dims);
        let (instance, dims) = (self.draws, all);
        let op: Op = match (name, arguments.pop()) {
            ("bernoulli", Some((probability, place))) => {
                let keep = match probability.number() {
                    Some(keep) if (0.0..=1.0).contains(&keep) => keep,
                    Some(keep) => {
                        let message = format!("`bernoulli`: a probability is between 0 and 1, found {keep:?}");
                        self.error(Code::BadAttribute, place, message, "not a probability");
                        return Value::Poison;
                    }
                    None => return self.wrong_kind(name, "a number known at compile time", &probability, place),
                };
                ops::bernoulli::Bernoulli { keep, instance, dims: dims.clone() }.into()
            }
            ("normal", _) => ops::normal::Normal { instance, dims: dims.clone() }.into(),
            _ => ops::uniform::Uniform { instance, dims: dims.clone() }.into(),
        };
        self.draws += 1;
        let mut value = self.push(op, &[], Type::per_example(dims), at);
        for scan in scans {
            let Value::Tensor(id) = value else { return Value::Poison };
            value = self.step_of(id, scan, at);
        }
        if let (Some(probabilities), Value::Tensor(drawn)) = (probabilities, &value) {
            let operands = [(probabilities, place), (*drawn, at)];
            let Value::Tensor(tossed) = self.apply(name, ops::greater::Greater.into(), &operands, at, at) else {
                return Value::Poison;
            };
            value = self.apply(name, ops::float::Float.into(), &[(tossed, at)], at, at);
        }
        value
    }
}

fn size(value: &AttributeValue) -> Option<usize> {
    match value {
        AttributeValue::Integer(size) => usize::try_from(*size).ok().filter(|size| *size > 0),
        _ => None,
    }
}
