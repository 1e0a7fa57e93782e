//! Names of axes: where values get them, how `over:`, `axis:` and `axes:` speak of them, and what they stand for.
//!
//! A plain name in a shape (`x: [channels, h, w]`, `param gamma: [channels]`, `input x: [TIME, 3]`) names an axis of
//! that value. Names are kept for each frame by node: what a caller named is not seen inside a layer, and what a layer
//! names is not seen outside; formulas share the names of their caller. A value that bears other names already is
//! passed on under a node of its own, so that each name of a value keeps its own names of axes.

use std::collections::BTreeSet;
use std::rc::Rc;

use dl_grammar::ast::{Call, Expr, ExprKind, Field, Pattern, PatternDim, UnaryOp};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::evaluator::{Evaluator, Kind};
use super::value::{Callee, Value};
use crate::graph::NodeId;
use crate::ops::AttributeValue;
use crate::ops::reshape::Reshape;

/// How the axis is called that no shape shows.
pub(super) const BATCH: &str = "batch";

/// The names of a value's axes, as many as it has dimensions.
pub(super) type AxisNames<'a> = Vec<Option<&'a str>>;

/// One of the axes that an argument speaks of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Axis<'a> {
    /// `features`
    Name(&'a str),
    /// `0`, the first; `-1`, the last.
    Number(i64),
    /// `..`: alone all axes; in a list those without a name.
    Rest,
}

/// Axes of one value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chosen {
    /// Their places.
    pub(super) places: BTreeSet<usize>,
    /// The same in the order in which they are written.
    pub(super) order: Vec<usize>,
    /// Whether the batch is among them.
    pub(super) batch: bool,
}

/// Whether an argument of that name speaks of axes.
pub(super) fn is_axes(argument: &str) -> bool {
    matches!(argument, "over" | "axis" | "axes")
}

/// For each argument of a call, whether it speaks of axes.
pub(super) fn axes_arguments(callee: Option<Callee<'_>>, call: &Call, is_piped: bool) -> Vec<bool> {
    let slots = callee.map_or_else(Vec::new, |callee| callee.slots());
    let is_named = |slot: &&&str| {
        call.arguments.iter().any(|argument| argument.name.as_ref().is_some_and(|name| name.text == **slot))
    };
    // Where any number of operands may stand, nothing else stands without its name.
    let fixed = if slots.iter().any(|slot| slot.ends_with('…')) { [].as_slice() } else { slots.as_slice() };
    let mut open = fixed.iter().filter(|slot| !is_named(slot)).skip(usize::from(is_piped));
    call.arguments
        .iter()
        .map(|argument| match &argument.name {
            Some(name) => is_axes(&name.text),
            None => open.next().is_some_and(|slot| is_axes(slot)),
        })
        .collect()
}

/// The names that a pattern gives to a value of that rank.
pub(super) fn pattern_names(pattern: &Pattern, rank: usize) -> AxisNames<'_> {
    let skipped = (rank + 1).saturating_sub(pattern.dims.len());
    let names = pattern.dims.iter().flat_map(|dim| match dim {
        PatternDim::Rest(_) => vec![None; skipped],
        PatternDim::Dim(expr) => vec![plain_name(expr)],
    });
    names.take(rank).collect()
}

fn plain_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

impl<'a> Evaluator<'_, 'a> {
    /// The names of a value's axes in the code being evaluated.
    pub(super) fn axis_names(&self, id: NodeId) -> AxisNames<'a> {
        let frame = self.frames.iter().rev().find(|frame| frame.kind != Kind::Function);
        let names = frame.and_then(|frame| frame.axes.get(&id)).cloned();
        names.unwrap_or_else(|| vec![None; self.ty(id).dims.len()])
    }

    /// Names the axes of a value that has no other names.
    pub(super) fn set_axis_names(&mut self, value: &Value<'a>, names: AxisNames<'a>) {
        let Value::Tensor(id) = value else { return };
        if names.iter().all(Option::is_none) || names.len() != self.ty(*id).dims.len() {
            return;
        }
        if let Some(frame) = self.frames.iter_mut().rev().find(|frame| frame.kind != Kind::Function) {
            frame.axes.insert(*id, names);
        }
    }

    /// Names the axes of a new value by the expressions of its dimensions.
    pub(super) fn name_dims(&mut self, value: &Value<'a>, dims: &'a [Expr]) {
        self.set_axis_names(value, dims.iter().map(plain_name).collect());
    }

    /// The value of `y: [.., features] = value;` under the pattern's names; axes it does not name keep theirs.
    pub(super) fn with_pattern(&mut self, pattern: &'a Pattern, value: Value<'a>, first_node: usize) -> Value<'a> {
        let Value::Tensor(id) = value else { return value };
        let before = self.axis_names(id);
        let given = pattern_names(pattern, before.len());
        let kept = |old: &Option<&'a str>| old.filter(|name| !given.contains(&Some(name)));
        let names: AxisNames<'a> = given.iter().zip(&before).map(|(new, old)| new.or(kept(old))).collect();
        if names == before {
            return value;
        }
        let value = if id.index() >= first_node { value } else { self.again(id, pattern.span) };
        self.set_axis_names(&value, names);
        value
    }

    /// The operand of a layer under the names of its pattern.
    pub(super) fn operand_with(&mut self, pattern: &'a Pattern, id: NodeId) -> Value<'a> {
        if let Some(frame) = self.frames.last_mut() {
            frame.has_rest |= pattern.dims.iter().any(|dim| matches!(dim, PatternDim::Rest(_)));
        }
        self.operand_named(id, pattern_names(pattern, self.ty(id).dims.len()), pattern.span)
    }

    /// What a network is applied to under the names of its input.
    pub(super) fn operand_of_input(&mut self, field: &'a Field, value: Value<'a>) -> Value<'a> {
        match value {
            Value::Tensor(id) => self.operand_named(id, field.dims.iter().map(plain_name).collect(), field.span),
            other => other,
        }
    }

    fn operand_named(&mut self, id: NodeId, names: AxisNames<'a>, span: Span) -> Value<'a> {
        let before = self.axis_names(id);
        let is_taken = before.iter().any(Option::is_some) && before != names;
        let value = if is_taken { self.again(id, span) } else { Value::Tensor(id) };
        self.set_axis_names(&value, names);
        value
    }

    /// The same value as a node of its own, which later stages leave out again.
    fn again(&mut self, id: NodeId, span: Span) -> Value<'a> {
        let ty = self.ty(id).clone();
        self.push(Reshape { dims: ty.dims.clone() }.into(), &[id], ty, span)
    }

    /// The value of an argument that speaks of axes.
    pub(super) fn axes(&mut self, expr: &'a Expr) -> Value<'a> {
        if !self.enter(expr.span) {
            return Value::Poison;
        }
        let one = |axis: Axis<'a>| Value::Axes(Rc::from([(axis, expr.span)]));
        let value = match &expr.kind {
            ExprKind::Rest => one(Axis::Rest),
            ExprKind::Name(name) => match self.value(name) {
                Some(value @ Value::Axes(_)) => value.clone(),
                _ => one(Axis::Name(name)),
            },
            ExprKind::Integer(number) => one(Axis::Number(*number)),
            ExprKind::Unary(UnaryOp::Negate, inner) if matches!(inner.kind, ExprKind::Integer(_)) => {
                match self.expr(expr) {
                    Value::Integer(number) => one(Axis::Number(number)),
                    _ => Value::Poison,
                }
            }
            ExprKind::List(elements) => {
                let parts: Vec<Value<'a>> = elements.iter().map(|element| self.axes(element)).collect();
                let mut all = Vec::with_capacity(parts.len());
                let mut is_poisoned = false;
                for part in parts {
                    match part {
                        Value::Axes(axes) => all.extend(axes.iter().copied()),
                        _ => is_poisoned = true,
                    }
                }
                if is_poisoned { Value::Poison } else { Value::Axes(Rc::from(all)) }
            }
            _ => match self.expr(expr) {
                Value::Integer(number) => one(Axis::Number(number)),
                value @ (Value::Axes(_) | Value::Poison) => value,
                other => self.wrong_kind("over", "names or numbers of axes", &other, expr.span),
            },
        };
        self.leave();
        value
    }

    /// The axes of a value that an argument speaks of; reports those that it has not.
    pub(super) fn chosen(&mut self, shown: &str, id: NodeId, axes: &[(Axis<'a>, Span)]) -> Option<Chosen> {
        let names = self.axis_names(id);
        let rank = names.len();
        let mut chosen = Chosen::default();
        let mut is_sound = true;
        for &(axis, span) in axes {
            let places: Vec<usize> = match axis {
                Axis::Name(BATCH) => {
                    chosen.batch = true;
                    continue;
                }
                Axis::Rest if axes.len() == 1 => (0..rank).collect(),
                Axis::Rest => (0..rank).filter(|&place| names[place].is_none()).collect(),
                Axis::Name(name) => (0..rank).filter(|&place| names[place] == Some(name)).collect(),
                Axis::Number(number) => self.place(number, rank).into_iter().collect(),
            };
            let is_repeated = matches!(axis, Axis::Name(_)) && places.len() > 1;
            let may_be_none = axis == Axis::Rest && (rank == 0 || self.has_rest());
            if places.is_empty() && !may_be_none || matches!(axis, Axis::Name(_)) && places.len() != 1 {
                self.no_axis(shown, id, axis, is_repeated, span);
                is_sound = false;
            }
            for place in places {
                if chosen.places.insert(place) {
                    chosen.order.push(place);
                }
            }
        }
        is_sound.then_some(chosen)
    }

    /// The place of the only axis that an argument speaks of, which is not the batch.
    pub(super) fn chosen_one(&mut self, shown: &str, id: NodeId, value: &Value<'a>, at: Span) -> Option<usize> {
        let Value::Axes(axes) = value else {
            if !value.is_poison() {
                self.wrong_kind(shown, "the name or number of an axis", value, at);
            }
            return None;
        };
        let chosen = self.chosen(shown, id, axes)?;
        match chosen.order.as_slice() {
            [place] if !chosen.batch => Some(*place),
            _ => {
                let found = if chosen.batch { "the batch".to_owned() } else { format!("{} axes", chosen.order.len()) };
                let message = format!("`{shown}` expects one axis of {}, found {found}", self.shown_axes(id));
                self.error(Code::BadAttribute, at, message, "not one axis");
                None
            }
        }
    }

    /// The places of axes in the order in which they are written, as a list of numbers.
    pub(super) fn chosen_order(&mut self, shown: &str, id: NodeId, value: &Value<'a>, at: Span) -> Option<Value<'a>> {
        let Value::Axes(axes) = value else { return None };
        let chosen = self.chosen(shown, id, axes)?;
        if chosen.batch {
            let message = format!("`{shown}` works within an example, found the batch among the axes");
            self.error(Code::BadAttribute, at, message, "the batch is no axis of a value");
            return None;
        }
        let places = chosen.order.iter().map(|&place| AttributeValue::Integer(place as i64));
        Some(Value::List(places.collect()))
    }

    /// Names of axes as numbers, for a callee that knows the value by other names.
    pub(super) fn as_numbers(&mut self, shown: &str, id: NodeId, axes: &[(Axis<'a>, Span)]) -> Option<Value<'a>> {
        let mut numbers = Vec::with_capacity(axes.len());
        for &(axis, span) in axes {
            match axis {
                Axis::Name(name) if name != BATCH => {
                    let chosen = self.chosen(shown, id, &[(axis, span)])?;
                    numbers.extend(chosen.order.iter().map(|&place| (Axis::Number(place as i64), span)));
                }
                _ => numbers.push((axis, span)),
            }
        }
        Some(Value::Axes(Rc::from(numbers)))
    }

    /// Whether `..` stands in a pattern of the layer at hand.
    fn has_rest(&self) -> bool {
        self.frames.iter().rev().find(|frame| frame.kind != Kind::Function).is_some_and(|frame| frame.has_rest)
    }

    fn place(&self, number: i64, rank: usize) -> Option<usize> {
        let rank = i64::try_from(rank).ok()?;
        let place = if number < 0 { number.checked_add(rank)? } else { number };
        usize::try_from(place).ok().filter(|_| place < rank)
    }

    /// `[channels, 28, 28]`: a shape with the names that its axes bear.
    pub(super) fn shown_axes(&self, id: NodeId) -> String {
        let names = self.axis_names(id);
        let dims = self.ty(id).dims.iter().zip(names);
        let shown: Vec<String> =
            dims.map(|(dim, name)| name.map_or_else(|| dim.to_string(), |name| format!("{name} = {dim}"))).collect();
        format!("[{}]", shown.join(", "))
    }

    fn no_axis(&mut self, shown: &str, id: NodeId, axis: Axis<'a>, is_repeated: bool, span: Span) {
        let shape = self.shown_axes(id);
        let diagnostic = match axis {
            Axis::Name(name) if is_repeated => {
                let message = format!("`{shown}` cannot tell which axis `{name}` is: {shape} has it more than once");
                Diagnostic::new(Code::BadAttribute, span, message)
                    .label("ambiguous")
                    .help("count the axis from the front: `0`, `1`, …")
            }
            Axis::Name(name) => {
                let names = self.axis_names(id);
                let message = format!("`{shown}`: there is no axis `{name}` in {shape}");
                let mut diagnostic = Diagnostic::new(Code::UnknownName, span, message).label("no such axis");
                if names.iter().all(Option::is_none) {
                    diagnostic = diagnostic
                        .note("only elementwise operations and reductions keep the names of axes")
                        .help(format!("name the axes: `y: [.., {name}] = …;`"));
                } else if let Some(near) = closest(name, names.into_iter().flatten().chain([BATCH])) {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                diagnostic
            }
            Axis::Number(number) => {
                let message = format!("`{shown}`: there is no axis {number} in {shape}");
                let rank = self.ty(id).dims.len();
                Diagnostic::new(Code::BadAttribute, span, message)
                    .label(format!("from 0 to {}, or from -{rank} to -1", rank.saturating_sub(1)))
            }
            Axis::Rest => {
                let message = format!("`{shown}`: every axis of {shape} has a name");
                Diagnostic::new(Code::BadAttribute, span, message)
                    .label("in a list, `..` stands for the axes without a name")
                    .help("write `over: ..` for all axes")
            }
        };
        self.report(diagnostic);
    }
}
