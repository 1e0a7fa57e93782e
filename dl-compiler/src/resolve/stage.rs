//! Layer values: what a call without its operands stands for, and how stages, pipelines and repetitions are applied.
//!
//! `dense(64)` is a layer value; so are `dense(64) |> relu` and `repeat 2 { residual(64) }`. A stage of a pipe applies one,
//! `shared` keeps one, an attribute may hold one. Attributes are evaluated where the value is written, a repetition's
//! body with the names known there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use dl_grammar::ast::{self, Apply, Expr, ExprKind, Member, Name, Repeat, Stage};
use dl_grammar::{Code, Diagnostic, Span};

use super::call::Given;
use super::evaluator::{Evaluator, Kind};
use super::limits;
use super::path::count_stages;
use super::value::{Callee, Home, Value};

/// Something that can be applied to operands.
#[derive(Debug)]
pub(super) enum LayerValue<'a> {
    /// `dense(64)`: what is called, where, and its attributes.
    Call(Callee<'a>, Span, Vec<Given<'a>>),
    /// `dense(64) |> relu`
    Chain(Vec<Link<'a>>),
    /// `repeat 2 { residual(64) }`
    Repeat(Repetition<'a>),
    /// What a `shared` statement made, by its place among them.
    Shared(usize, &'a Name),
}

/// One stage of a pipeline.
#[derive(Debug)]
pub(super) struct Link<'a> {
    instance: Option<&'a Name>,
    /// What paths and messages call it, and where.
    kind: &'a str,
    at: Span,
    value: Value<'a>,
}

/// A repetition and the names known where it is written.
#[derive(Debug)]
pub(super) struct Repetition<'a> {
    repeat: &'a Repeat,
    rounds: Range<i64>,
    kind: Kind,
    home: Home,
    scopes: Vec<BTreeMap<&'a str, Value<'a>>>,
}

/// A round being applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Which, from 1.
    number: i64,
    /// How many there are.
    count: i64,
    /// Where `repeat` is written.
    span: Span,
}

impl LayerValue<'_> {
    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        match self {
            LayerValue::Call(callee, ..) => callee.name(),
            LayerValue::Chain(links) => links.first().map_or("layer", |link| link.kind),
            LayerValue::Repeat(_) => "repeat",
            LayerValue::Shared(_, name) => &name.text,
        }
    }
}

impl Round {
    /// Whether nothing was applied before.
    pub(super) fn is_first(&self) -> bool {
        self.number == 1
    }

    /// What a message about it says.
    pub(super) fn note(&self) -> String {
        format!("in round {} of {} of this `repeat`", self.number, self.count)
    }

    /// The word `repeat`.
    pub(super) fn place(&self) -> Span {
        Span { end: self.span.start.saturating_add("repeat".len() as u32).min(self.span.end), ..self.span }
    }
}

impl<'a> Evaluator<'_, 'a> {
    /// `first |> stages…`: the value of the last stage, or a pipeline if the first is a layer value itself.
    pub(super) fn pipe(&mut self, first: &'a Expr, stages: &'a [Stage]) -> Value<'a> {
        match self.expr(first) {
            value @ (Value::Layer(_) | Value::Callable(_)) => self.chain(first, value, stages),
            value => self.stages(Given { name: None, value, span: first.span }, stages),
        }
    }

    /// Applies one stage after the other.
    fn stages(&mut self, piped: Given<'a>, stages: &'a [Stage]) -> Value<'a> {
        let Given { mut value, span: mut place, .. } = piped;
        for stage in stages {
            let piped = Given { name: None, value, span: place };
            value = match &stage.apply {
                Apply::Call(call) => self.call(call, stage.instance.as_ref(), Some(piped)),
                Apply::Repeat(repeat) => match self.rounds(repeat) {
                    Some(rounds) => self.repeat(repeat, rounds, stage.instance.as_ref(), piped),
                    None => Value::Poison,
                },
            };
            place = stage.span;
        }
        value
    }

    /// `dense(64) |> relu`, a pipeline without a value to begin with.
    fn chain(&mut self, first: &'a Expr, value: Value<'a>, stages: &'a [Stage]) -> Value<'a> {
        let (kind, at) = match &first.kind {
            ExprKind::Call(call) => (call.callee.text.as_str(), call.callee.span),
            ExprKind::Name(name) => (name.as_str(), first.span),
            _ => ("layer", first.span),
        };
        let mut links = vec![Link { instance: None, kind, at, value }];
        for stage in stages {
            let instance = stage.instance.as_ref();
            let (kind, at, value) = match &stage.apply {
                Apply::Call(call) => (call.callee.text.as_str(), call.callee.span, self.call_value(call)),
                Apply::Repeat(repeat) => ("repeat", stage.span, self.repeat_value(repeat)),
            };
            if value.is_poison() {
                return Value::Poison;
            }
            links.push(Link { instance, kind, at, value });
        }
        Value::Layer(Rc::new(LayerValue::Chain(links)))
    }

    /// The layer value of a stage that nothing is piped into yet.
    fn call_value(&mut self, call: &'a ast::Call) -> Value<'a> {
        let (target, given) = self.target_and_arguments(call, None);
        match target {
            Some(target) => self.layer_value(target, call.callee.span, given),
            None => Value::Poison,
        }
    }

    /// What is called with attributes that were given.
    pub(super) fn layer_value(&mut self, target: Value<'a>, at: Span, given: Vec<Given<'a>>) -> Value<'a> {
        match target {
            Value::Callable(callee) => Value::Layer(Rc::new(LayerValue::Call(callee, at, given))),
            Value::Layer(layer) => match (layer.as_ref(), given.first()) {
                (_, None) => Value::Layer(layer),
                (LayerValue::Call(callee, _, before), Some(_)) => {
                    let given = given.into_iter().chain(before.iter().cloned()).collect();
                    Value::Layer(Rc::new(LayerValue::Call(*callee, at, given)))
                }
                (other, Some(first)) => self.no_attributes(other, first),
            },
            other => other,
        }
    }

    /// `repeat 2 { … }` as a value.
    pub(super) fn repeat_value(&mut self, repeat: &'a Repeat) -> Value<'a> {
        let (Some(rounds), Some(frame)) = (self.rounds(repeat), self.frames.last()) else { return Value::Poison };
        let (kind, home, scopes) = (frame.kind, frame.home, frame.scopes.clone());
        Value::Layer(Rc::new(LayerValue::Repeat(Repetition { repeat, rounds, kind, home, scopes })))
    }

    /// The numbers that the index of a repetition takes.
    fn rounds(&mut self, repeat: &'a Repeat) -> Option<Range<i64>> {
        let from = match &repeat.from {
            Some(from) => self.bound_of("repeat", from),
            None => Some(0),
        };
        let to = self.bound_of("repeat", &repeat.to);
        let (from, to) = (from?, to?);
        let count = to.checked_sub(from);
        if count.is_none_or(|count| count < 0) {
            let message = match &repeat.from {
                Some(_) => format!("`repeat` counts up, found {from}..{to}"),
                None => format!("`repeat` takes a number of times, found {to}"),
            };
            self.error(Code::BadAttribute, repeat.to.span, message, "less than none");
            return None;
        }
        if count.is_none_or(|count| count > limits::MAX_ROUNDS) {
            let message = format!("`repeat` applies its body at most {} times", limits::MAX_ROUNDS);
            self.error(Code::TooLarge, repeat.to.span, message, "more than that");
            return None;
        }
        Some(from..to)
    }

    fn bound_of(&mut self, shown: &str, expr: &'a Expr) -> Option<i64> {
        match self.expr(expr) {
            Value::Integer(number) => Some(number),
            Value::Poison => None,
            other => {
                self.wrong_kind(shown, "an integer known at compile time", &other, expr.span);
                None
            }
        }
    }

    /// Applies a repetition that is a stage. Without a name of its own its instances are those of the statement.
    fn repeat(
        &mut self,
        repeat: &'a Repeat,
        rounds: Range<i64>,
        instance: Option<&'a Name>,
        piped: Given<'a>,
    ) -> Value<'a> {
        match instance {
            None => self.all_rounds(repeat, rounds, piped),
            Some(_) => {
                let mut totals = BTreeMap::new();
                count_stages(&repeat.stages, &mut totals);
                totals.values_mut().for_each(|count| *count *= 2);
                self.within("repeat", instance, totals, |this| this.all_rounds(repeat, rounds, piped))
            }
        }
    }

    /// Applies what has instances of its own: they are named within one instance of the statement.
    fn within(
        &mut self,
        kind: &str,
        instance: Option<&'a Name>,
        totals: BTreeMap<String, usize>,
        apply: impl FnOnce(&mut Self) -> Value<'a>,
    ) -> Value<'a> {
        let prefix = self.call_name(kind, instance);
        let first = self.mark();
        self.open_statement_with(prefix, totals);
        let value = apply(self);
        self.close_statement(None);
        self.keep_instance(instance, kind, first);
        value
    }

    /// The body once for each number, each time with new weights.
    fn all_rounds(&mut self, repeat: &'a Repeat, rounds: Range<i64>, piped: Given<'a>) -> Value<'a> {
        let Given { mut value, span: mut place, .. } = piped;
        let (start, count) = (rounds.start, rounds.end - rounds.start);
        self.count_repetition(1);
        for index in rounds {
            if value.is_poison() {
                break;
            }
            let scope = repeat.index.iter().map(|name| (name.text.as_str(), Value::Integer(index))).collect();
            if let Some(frame) = self.frames.last_mut() {
                frame.scopes.push(scope);
            }
            self.repeating.push(Round { number: index - start + 1, count, span: repeat.span });
            value = self.stages(Given { name: None, value, span: place }, &repeat.stages);
            self.repeating.pop();
            if let Some(frame) = self.frames.last_mut() {
                frame.scopes.pop();
            }
            place = repeat.stages.last().map_or(repeat.span, |stage| stage.span);
        }
        self.count_repetition(-1);
        value
    }

    fn count_repetition(&mut self, change: isize) {
        if let Some(statement) = self.frames.last_mut().and_then(|frame| frame.statements.last_mut()) {
            statement.repetitions = statement.repetitions.saturating_add_signed(change);
        }
    }

    /// The same for a repetition written elsewhere, with the names known there.
    fn all_rounds_of(&mut self, repetition: &Repetition<'a>, piped: Given<'a>) -> Value<'a> {
        let Repetition { repeat, rounds, kind, home, scopes } = repetition;
        let mut there = (*kind, *home, scopes.clone());
        self.swap_frame(&mut there);
        let value = self.all_rounds(repeat, rounds.clone(), piped);
        self.swap_frame(&mut there);
        value
    }

    fn swap_frame(&mut self, (kind, home, scopes): &mut (Kind, Home, Vec<BTreeMap<&'a str, Value<'a>>>)) {
        if let Some(frame) = self.frames.last_mut() {
            std::mem::swap(&mut frame.kind, kind);
            std::mem::swap(&mut frame.home, home);
            std::mem::swap(&mut frame.scopes, scopes);
        }
    }

    /// Applies a layer value other than a call; such values take one operand and nothing else.
    pub(super) fn apply_layer_value(
        &mut self,
        layer: &Rc<LayerValue<'a>>,
        at: Span,
        given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        if !self.enter(at) {
            return Value::Poison;
        }
        let value = match layer.as_ref() {
            LayerValue::Call(callee, _, before) => {
                let given = given.into_iter().chain(before.iter().cloned()).collect();
                self.apply_callee(*callee, at, given, prefix)
            }
            LayerValue::Shared(shared, _) => self.apply_shared(*shared, at, given, prefix),
            LayerValue::Chain(_) | LayerValue::Repeat(_) => match self.one_operand(layer, at, given) {
                Some(piped) => {
                    self.open_statement_with(prefix, BTreeMap::new());
                    let value = self.apply_in_statement(layer, piped);
                    self.close_statement(None);
                    value
                }
                None => Value::Poison,
            },
        };
        self.leave();
        value
    }

    /// Applies a pipeline or repetition whose instances are those of the statement.
    fn apply_in_statement(&mut self, layer: &LayerValue<'a>, piped: Given<'a>) -> Value<'a> {
        let links = match layer {
            LayerValue::Repeat(repetition) => return self.all_rounds_of(repetition, piped),
            LayerValue::Chain(links) => links,
            LayerValue::Call(..) | LayerValue::Shared(..) => return Value::Poison,
        };
        let Given { mut value, span: mut place, .. } = piped;
        for Link { instance, kind, at, value: target } in links {
            let piped = Given { name: None, value, span: place };
            value = match target {
                Value::Layer(layer) if matches!(layer.as_ref(), LayerValue::Repeat(_)) => match instance {
                    None => self.apply_in_statement(layer, piped),
                    Some(_) => {
                        self.within(kind, *instance, BTreeMap::new(), |this| this.apply_in_statement(layer, piped))
                    }
                },
                target => self.apply_target(target, kind, *at, *instance, vec![piped]),
            };
            place = *at;
        }
        value
    }

    /// The only argument, which is the operand.
    fn one_operand(&mut self, layer: &LayerValue<'a>, at: Span, given: Vec<Given<'a>>) -> Option<Given<'a>> {
        let mut given = given.into_iter();
        match (given.next(), given.next()) {
            (Some(operand), None) if operand.name.is_none() => Some(operand),
            (Some(operand), None) => {
                self.no_attributes(layer, &operand);
                None
            }
            (_, Some(second)) => {
                self.no_attributes(layer, &second);
                None
            }
            (None, _) => {
                self.error(Code::MissingArgument, at, format!("`{}` needs its operand", layer.name()), "");
                None
            }
        }
    }

    fn no_attributes(&mut self, layer: &LayerValue<'a>, found: &Given<'a>) -> Value<'a> {
        let span = found.name.map_or(found.span, |name| name.span);
        let message = format!("`{}` is a whole layer and takes an operand only", layer.name());
        self.error(Code::TooManyArguments, span, message, "its attributes are given already");
        Value::Poison
    }

    /// The value, unless it is a layer value, which only stages, attributes and `shared` can do something with.
    pub(super) fn no_layer(&mut self, value: Value<'a>, span: Span) -> Value<'a> {
        match value {
            Value::Layer(layer) => self.unapplied(&layer, span),
            other => other,
        }
    }

    /// Reports a layer value that stands where a tensor is needed.
    pub(super) fn unapplied(&mut self, layer: &LayerValue<'a>, span: Span) -> Value<'a> {
        let name = layer.name();
        let diagnostic = match layer {
            LayerValue::Call(callee, at, _) => {
                let operand = self.operand_of(*callee).unwrap_or("x");
                Diagnostic::new(Code::MissingArgument, *at, format!("`{name}` needs its operand `{operand}`"))
                    .label("nothing is piped into this call")
                    .note(format!("it is declared as `{}`", callee.signature()))
                    .help(format!("write `{operand} |> {name}(…)` or `{name}({operand}, …)`"))
            }
            _ => Diagnostic::new(Code::MissingArgument, span, format!("`{name}` needs an operand"))
                .label("nothing is piped into it")
                .help(format!("write `x |> ` before it, or keep it as a layer: `shared name = {name} …;`")),
        };
        self.report(diagnostic);
        Value::Poison
    }

    /// The first operand of what is called.
    fn operand_of(&self, callee: Callee<'a>) -> Option<&'a str> {
        match callee {
            Callee::Function(function, _) => {
                let operand = function.arguments.iter().find(|argument| argument.default.is_none());
                operand.map(|argument| argument.name.text.as_str())
            }
            Callee::Layer(layer, _) => {
                let operand = layer.arguments.iter().find(|argument| argument.pattern.is_some());
                operand.map(|argument| argument.name.text.as_str())
            }
            Callee::Operation(spec) => spec.operands.first().copied(),
            Callee::Builtin(builtin) => builtin.arguments.first().copied().filter(|name| *name == "x"),
            Callee::Network(network) => network.members.iter().find_map(|member| match member {
                Member::Input(field) => Some(field.name.text.as_str()),
                _ => None,
            }),
            Callee::Instance(instance) => self.operand_of(Callee::Network(self.program.catalog.template(instance)?)),
        }
    }

    /// How many attributes it has.
    fn attributes_of(&self, callee: Callee<'a>) -> usize {
        match callee {
            Callee::Function(function, _) => function.arguments.iter().filter(|one| one.default.is_some()).count(),
            Callee::Layer(layer, _) => layer.arguments.iter().filter(|one| one.pattern.is_none()).count(),
            Callee::Operation(spec) => spec.attributes.len(),
            Callee::Builtin(builtin) => builtin.arguments.len(),
            Callee::Network(network) => network.arguments.len(),
            Callee::Instance(instance) => {
                self.program.catalog.template(instance).map_or(0, |network| network.arguments.len())
            }
        }
    }

    /// Whether a call that nothing is piped into leaves its operands out, and so is a layer value.
    ///
    /// What takes numbers as well, formulas and pointwise operations, must leave out all that has no name.
    pub(super) fn leaves_operands_out(&self, target: &Value<'a>, given: &[Given<'a>]) -> bool {
        let mut positional = given.iter().filter(|given| given.name.is_none());
        let callee = match target {
            Value::Callable(callee) => *callee,
            Value::Layer(layer) => match layer.as_ref() {
                LayerValue::Call(callee, ..) => *callee,
                _ => return positional.next().is_none(),
            },
            _ => return false,
        };
        let Some(operand) = self.operand_of(callee) else { return false };
        if given.iter().any(|given| given.name.is_some_and(|name| name.text == operand)) {
            return false;
        }
        match callee {
            Callee::Function(..) | Callee::Builtin(_) => positional.next().is_none(),
            Callee::Operation(spec) if spec.pointwise => positional.next().is_none(),
            // More than there are attributes: one is meant for an operand, and that is for the call to say.
            _ if positional.clone().count() > self.attributes_of(callee) => false,
            _ => !positional.any(|given| matches!(given.value, Value::Tensor(_) | Value::Poison)),
        }
    }
}
