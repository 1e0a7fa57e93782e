//! What a network holds between its calls: parameters and states, and the statements about them.
//!
//! `param` and `state` make them, `where` constrains a parameter, `update` says what a state holds next, `penalty` adds a
//! number to the losses that reach its layer. Paths are given by `path`, losses put together by `objective`.

use dl_grammar::ast::{self, Expr, Param, Penalty, State, Update};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::evaluator::Evaluator;
use super::sharing::{Meeting, Source};
use super::value::Value;
use crate::graph::{Element, NodeId, Type};
use crate::model::{Constraint, Initializer, Parameter};
use crate::ops::{parameter, state};

/// A parameter or state that was made.
pub(super) struct Held<'a> {
    /// What the model will say of it; its path grows from the end.
    pub(super) tensor: Parameter,
    /// Its node; poison if it is wrong.
    value: Value<'a>,
    /// Statements beyond this number of open ones do not add to its path: those that stand inside of what shares it.
    pub(super) anchor: usize,
    /// What a state holds after the step.
    pub(super) next: Option<NodeId>,
    /// Where that was said; once for each time that it is declared.
    updated: Option<Span>,
}

/// How many parameters and states there are at some point of a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) parameters: usize,
    pub(super) states: usize,
}

/// A number that joins the losses that reach its layer.
pub(super) struct Addend {
    /// The number.
    pub(super) node: NodeId,
    /// Where it is written, or the user's call that leads there.
    pub(super) span: Span,
    /// The nodes that the layer made, from, up to, and what it yields; `None` in the network itself.
    pub(super) layer: Option<(usize, usize, Option<NodeId>)>,
}

/// A `param` or `state` statement.
struct Declared<'a> {
    keyword: &'static str,
    name: &'a ast::Name,
    dims: &'a [Expr],
    initializer: &'a Expr,
    constraint: Option<Constraint>,
    span: Span,
}

/// The constraints by name, each with its arguments.
const CONSTRAINTS: &[(&str, &[&str])] = &[
    ("max_norm", &["limit"]),
    ("min_max_norm", &["low", "high"]),
    ("unit_norm", &[]),
    ("non_negative", &[]),
    ("clip", &["low", "high"]),
];

impl<'a> Evaluator<'_, 'a> {
    /// How many parameters and states there are.
    pub(super) fn mark(&self) -> Mark {
        Mark { parameters: self.parameters.len(), states: self.states.len() }
    }

    /// `param weight: [in, units] = glorot_uniform where max_norm(3);`
    pub(super) fn param(&mut self, param: &'a Param) {
        let constraint = param.constraint.as_ref().and_then(|constraint| self.constraint(constraint));
        let Param { name, dims, initializer, span, .. } = param;
        self.held(&Declared { keyword: "param", name, dims, initializer, constraint, span: *span });
    }

    /// `state running: [c] = zeros;`
    pub(super) fn state(&mut self, state: &'a State) {
        let State { name, dims, initializer, span, .. } = state;
        let place = self.held(&Declared { keyword: "state", name, dims, initializer, constraint: None, span: *span });
        if let (Some(place), Some(frame)) = (place, self.frames.last_mut()) {
            frame.states.insert(&name.text, place);
        }
    }

    /// Makes a parameter or state, or finds the one that a shared layer made before; its place.
    fn held(&mut self, declared: &Declared<'a>) -> Option<usize> {
        let is_state = declared.keyword == "state";
        let dims = self.dims(declared.dims);
        let initializer = self.initializer(declared);
        let mut place = None;
        let mut value = Value::Poison;
        if let (Some(dims), Some(initializer)) = (dims, initializer) {
            let list = if is_state { &self.states } else { &self.parameters };
            let new = list.len();
            match self.source(is_state, new) {
                Source::New => {}
                Source::Met(place, meeting) => {
                    value = self.met(declared, place, &dims, initializer, meeting);
                    self.declare_held(declared.name, value);
                    return Some(place);
                }
                Source::Unknown(meeting) => {
                    self.unknown(declared, meeting);
                    self.declare_held(declared.name, Value::Poison);
                    return None;
                }
            }
            let op = match is_state {
                true => state::State { state: new, dims: dims.clone() }.into(),
                false => parameter::Parameter { parameter: new, dims: dims.clone() }.into(),
            };
            value = self.push(op, &[], Type::batch_wide(dims.clone()), declared.span);
            self.name_dims(&value, declared.dims);
            if !value.is_poison() && !self.count_floats(&dims, declared.span) {
                value = Value::Poison;
            }
            let (span, path) = (self.origin(declared.span), declared.name.text.clone());
            let constraint = declared.constraint;
            let tensor = Parameter { path, dims, initializer, frozen: false, constraint, span };
            let held = Held { tensor, value: value.clone(), anchor: usize::MAX, next: None, updated: None };
            if is_state {
                self.states.push(held)
            } else {
                self.parameters.push(held)
            }
            place = Some(new);
        }
        self.declare_held(declared.name, value);
        place
    }

    fn declare_held(&mut self, name: &'a ast::Name, value: Value<'a>) {
        // In a branch it may bear the name of the attribute that asks for it.
        let is_in_branch = self.frames.last().is_some_and(|frame| frame.scopes.len() > 1);
        if is_in_branch {
            self.declare_again(&name.text, value);
        } else {
            self.declare(&name.text, value);
        }
    }

    /// What a shared layer made before. A state is what the application before leaves behind.
    fn met(
        &mut self,
        declared: &Declared<'a>,
        place: usize,
        dims: &[usize],
        initializer: Initializer,
        meeting: Meeting<'a>,
    ) -> Value<'a> {
        let list = if declared.keyword == "state" { &mut self.states } else { &mut self.parameters };
        let Some(held) = list.get_mut(place) else { return Value::Poison };
        held.updated = None;
        if held.tensor.dims == dims && held.tensor.initializer == initializer {
            return held.next.map_or(held.value.clone(), Value::Tensor);
        }
        let before = held.tensor.dims.clone();
        let (shared, name) = (&meeting.name.text, &declared.name.text);
        let message = match before == dims {
            true => {
                format!("`{name}` of the shared `{shared}` begins with other numbers than where it was applied first")
            }
            false => {
                format!(
                    "`{name}` of the shared `{shared}` is {before:?} since it was applied first, here it would be {dims:?}"
                )
            }
        };
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, declared.span, message)
            .label("the operand leads to other weights")
            .related(meeting.first, "applied first here");
        self.report_shared(diagnostic, meeting);
        Value::Poison
    }

    fn unknown(&mut self, declared: &Declared<'a>, meeting: Meeting<'a>) {
        let (shared, name) = (&meeting.name.text, &declared.name.text);
        let message = format!("`{name}` of the shared `{shared}` is not among what its first application made");
        let diagnostic = Diagnostic::new(Code::ShapeMismatch, declared.span, message)
            .label("the operand leads to other parameters")
            .related(meeting.first, "applied first here");
        self.report_shared(diagnostic, meeting);
    }

    /// Reports at the call of the layer, keeping where it was applied first.
    fn report_shared(&mut self, diagnostic: Diagnostic, meeting: Meeting<'a>) {
        let first = self.user_place(meeting.first);
        self.report(diagnostic);
        if let Some(last) = self.diagnostics.last_mut()
            && last.related.iter().all(|(span, _)| *span != first)
            && first != last.span
        {
            last.related.push((first, "applied first here".to_owned()));
        }
    }

    fn initializer(&mut self, declared: &Declared<'a>) -> Option<Initializer> {
        let expr = declared.initializer;
        match self.expr(expr) {
            Value::Initializer(initializer) => Some(initializer),
            Value::Integer(value) => Some(Initializer::Constant(value as f64)),
            Value::Float(value) => Some(Initializer::Constant(value)),
            Value::Poison => None,
            other => {
                let expected = "an initializer such as `glorot_uniform` or a number";
                self.wrong_kind(&format!("{} {}", declared.keyword, declared.name.text), expected, &other, expr.span);
                None
            }
        }
    }

    /// `max_norm(3)`, `unit_norm`, `non_negative`, `clip(-1, 1)`
    fn constraint(&mut self, call: &'a ast::Call) -> Option<Constraint> {
        let name = call.callee.text.as_str();
        let Some((_, arguments)) = CONSTRAINTS.iter().find(|(known, _)| *known == name) else {
            let message = format!("there is no constraint `{name}`");
            let list: Vec<String> = CONSTRAINTS.iter().map(|(name, _)| format!("`{name}`")).collect();
            let mut diagnostic = Diagnostic::new(Code::UnknownName, call.callee.span, message)
                .label("not known")
                .note(format!("the constraints are {}", list.join(", ")));
            if let Some(near) = closest(name, CONSTRAINTS.iter().map(|(name, _)| *name)) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            self.report(diagnostic);
            return None;
        };
        let shown = format!("{name}({})", arguments.join(", "));
        let mut numbers: Vec<(f64, Span)> = Vec::new();
        for argument in &call.arguments {
            let is_expected = match (&argument.name, arguments.get(numbers.len())) {
                (Some(name), Some(expected)) => name.text == *expected,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let value = self.expr(&argument.value);
            match value.number() {
                _ if value.is_poison() => return None,
                _ if !is_expected => {
                    let span = argument.name.as_ref().map_or(argument.value.span, |name| name.span);
                    let message = format!("`{name}` takes {} numbers, as in `{shown}`", arguments.len());
                    self.error(Code::TooManyArguments, span, message, "not one of them");
                    return None;
                }
                Some(number) => numbers.push((number, argument.value.span)),
                None => {
                    self.wrong_kind(name, "a number known at compile time", &value, argument.value.span);
                    return None;
                }
            }
        }
        let constraint = match (name, numbers.as_slice()) {
            ("max_norm", &[(limit, span)]) if limit <= 0.0 => {
                let message = format!("`max_norm`: a norm is at most a number greater than 0, found {limit:?}");
                self.error(Code::BadAttribute, span, message, "no weights but zeros");
                return None;
            }
            ("min_max_norm", &[(low, span), _]) if low < 0.0 => {
                let message = format!("`min_max_norm`: a norm is at least 0, found {low:?}");
                self.error(Code::BadAttribute, span, message, "the lower end");
                return None;
            }
            ("min_max_norm", &[_, (high, span)]) if high <= 0.0 => {
                let message = format!("`min_max_norm`: a norm is at most a number greater than 0, found {high:?}");
                self.error(Code::BadAttribute, span, message, "no weights but zeros");
                return None;
            }
            ("clip" | "min_max_norm", &[(low, _), (high, span)]) if low > high => {
                let message = format!("`{name}`: the lower end {low:?} is greater than the upper end {high:?}");
                self.error(Code::BadAttribute, span, message, "the upper end");
                return None;
            }
            ("max_norm", &[(limit, _)]) => Constraint::MaxNorm(limit),
            ("min_max_norm", &[(low, _), (high, _)]) => Constraint::MinMaxNorm { low, high },
            ("unit_norm", []) => Constraint::UnitNorm,
            ("non_negative", []) => Constraint::NonNegative,
            ("clip", &[(low, _), (high, _)]) => Constraint::Clip { low, high },
            _ => {
                let missing = arguments.get(numbers.len()).copied().unwrap_or_default();
                let diagnostic =
                    Diagnostic::new(Code::MissingArgument, call.callee.span, format!("`{name}` needs `{missing}`"))
                        .label(format!("`{missing}` is missing"))
                        .help(format!("write `where {shown}` with numbers"));
                self.report(diagnostic);
                return None;
            }
        };
        Some(constraint)
    }

    /// `update running = 0.9 * running + 0.1 * mean(x, over: [batch, h, w]);`
    ///
    /// Inference does not look at it: what it says may reduce over the batch.
    pub(super) fn update(&mut self, update: &'a Update) {
        let name = update.name.text.as_str();
        let place = self.frames.last().and_then(|frame| frame.states.get(name)).copied();
        let (Some(place), true) = (place, self.training == Some(true)) else { return };
        if let Some(before) = self.states.get(place).and_then(|state| state.updated) {
            let diagnostic =
                Diagnostic::new(Code::DuplicateName, update.name.span, format!("`{name}` is updated twice"))
                    .label("updated again")
                    .related(before, "updated first here");
            return self.report(diagnostic);
        }
        self.open_statement(Some(name), &update.value);
        let value = self.expr(&update.value);
        self.close_statement(Some(name));
        let next = self.next_of(place, update, value);
        if let Some(state) = self.states.get_mut(place) {
            state.updated = Some(update.name.span);
            state.next = next;
        }
    }

    /// The node of a state's next value, which must be as the state is.
    fn next_of(&mut self, place: usize, update: &Update, value: Value<'a>) -> Option<NodeId> {
        let dims = self.states.get(place)?.tensor.dims.clone();
        let name = update.name.text.as_str();
        let span = update.value.span;
        let value = match (value.number(), value) {
            (Some(number), _) => self.splat(number, dims.clone(), span),
            (None, other) => other,
        };
        let id = match value {
            Value::Poison => return None,
            Value::Tensor(id) => id,
            other => {
                self.wrong_kind(&format!("update {name}"), "a tensor or number", &other, span);
                return None;
            }
        };
        let ty = self.ty(id).clone();
        if ty.dims != dims || ty.element != Element::F32 {
            let found = Type { per_example: true, ..ty }.to_string();
            let message = format!("the state `{name}` holds {dims:?}, found {found}");
            let declared = self.states.get(place).map_or(span, |state| state.tensor.span);
            let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, span, message).label(format!("this is {found}"));
            if declared.end <= span.start || span.end <= declared.start || declared.file != span.file {
                diagnostic = diagnostic.related(declared, format!("{dims:?}"));
            }
            self.report(diagnostic);
            return None;
        }
        if ty.per_example {
            let inner = self.excerpt(span);
            let message = format!("the state `{name}` is one for the whole batch, found a value per example");
            let diagnostic = Diagnostic::new(Code::BatchRule, span, message)
                .label("every example has its own")
                .help(format!("write `mean({inner}, over: batch)`"));
            self.report(diagnostic);
            return None;
        }
        Some(id)
    }

    /// `penalty l2(weight, 1e-4);`
    pub(super) fn penalty(&mut self, penalty: &'a Penalty) {
        self.open_statement(Some("penalty"), &penalty.value);
        let value = self.expr(&penalty.value);
        self.close_statement(Some("penalty"));
        let span = penalty.value.span;
        let id = match value {
            Value::Poison => return,
            Value::Tensor(id) => id,
            other => {
                self.wrong_kind("penalty", "a number that depends on a tensor", &other, span);
                return;
            }
        };
        let ty = self.ty(id).clone();
        if !ty.dims.is_empty() || ty.element != Element::F32 {
            let inner = self.excerpt(span);
            let message = format!("a penalty is a single number, found {ty}");
            let mut diagnostic = Diagnostic::new(Code::LossNotScalar, span, message);
            diagnostic = match ty.element {
                Element::F32 => diagnostic.label(numbers(ty.len())).help(format!("write `penalty sum({inner})`")),
                _ => diagnostic.label("not a number").help("write `where(condition, 1, 0)` to count"),
            };
            return self.report(diagnostic);
        }
        // What depends on weights alone counts once, however often they are applied.
        if self.is_met_again() && !ty.per_example {
            return;
        }
        let span = self.origin(penalty.span);
        let first = self.frames.last().map_or(0, |frame| frame.first_node);
        let layer = (self.frames.len() > 1).then_some((first, usize::MAX, None));
        self.penalties.push(Addend { node: id, span, layer });
    }

    /// Tells the penalties made since `from` which nodes their layer made, and what it yields.
    pub(super) fn close_penalties(&mut self, from: usize, value: &Value<'a>) {
        let end = self.graph.nodes.len();
        let id = match value {
            Value::Tensor(id) => Some(*id),
            _ => None,
        };
        for penalty in self.penalties.iter_mut().skip(from) {
            if let Some((_, open @ usize::MAX, result)) = &mut penalty.layer {
                (*open, *result) = (end, id);
            }
        }
    }
}

/// So many numbers where one is expected.
pub(super) fn numbers(count: usize) -> String {
    match count {
        1 => "one number, but within dimensions".to_owned(),
        _ => format!("{count} numbers"),
    }
}
