//! Applying functions and layers, and the statements that layers and networks share: bindings, parameters, assertions.

use std::rc::Rc;

use dl_grammar::ast::{self, Argument, Assert, Binding, ExprKind};
use dl_grammar::{Code, Diagnostic, Span};

use super::axes::is_axes;
use super::call::{Given, Slot};
use super::evaluator::{Evaluator, Frame, Kind};
use super::limits;
use super::value::{Callee, Home, Value};

impl<'a> Evaluator<'_, 'a> {
    /// `swish(x)`: the formula with its arguments in place.
    pub(super) fn apply_function(
        &mut self,
        function: &'a ast::Function,
        home: Home,
        at: Span,
        given: Vec<Given<'a>>,
    ) -> Value<'a> {
        if function.arguments.is_empty() && function.value.kind == ExprKind::Invalid {
            // It could not be read, so nothing is known of its arguments.
            return Value::Poison;
        }
        let order = ordered(&function.arguments, |argument| argument.default.is_none());
        let Some(values) = self.arguments(Callee::Function(function, home), at, &order, given) else {
            return Value::Poison;
        };
        if !self.enter_call(Kind::Function, home, &function.name.text, at, None) {
            return Value::Poison;
        }
        let mut value = Value::Poison;
        if self.declare_all(&order, values) {
            value = self.expr(&function.value);
        }
        self.frames.pop();
        value
    }

    /// `dense(x, 10)`: operands are matched, parameters made, the result evaluated.
    pub(super) fn apply_layer(
        &mut self,
        layer: &'a ast::Layer,
        home: Home,
        at: Span,
        given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        if layer.arguments.is_empty() && layer.result.kind == ExprKind::Invalid {
            return Value::Poison;
        }
        let order = ordered(&layer.arguments, |argument| argument.pattern.is_some());
        let callee = Callee::Layer(layer, home);
        let Some(values) = self.arguments(callee, at, &order, given) else { return Value::Poison };
        let Some(values) = self.with_axes(&layer.name.text, &order, values) else { return Value::Poison };
        let shapes = match self.shapes(&layer.name.text, &order, &values) {
            Some(shapes) => shapes,
            None => return Value::Poison,
        };
        if !self.enter_call(Kind::Layer, home, &layer.name.text, at, prefix) {
            return Value::Poison;
        }
        let (first, first_penalty) = (self.mark(), self.penalties.len());
        let mut misfit = None;
        let mut is_sound = true;
        for (argument, dims, place) in shapes {
            let Some(pattern) = &argument.pattern else { continue };
            match self.match_pattern(pattern, &dims) {
                Ok(fits) => is_sound &= fits,
                Err(found) => {
                    misfit = Some((pattern.span, dims, place, found));
                    break;
                }
            }
        }
        let mut value = Value::Poison;
        let values = self.with_names(&order, values);
        if misfit.is_none() && is_sound && self.declare_all(&order, values) && self.members(&layer.members) {
            self.open_statement(None, &layer.result);
            value = self.expr(&layer.result);
            self.close_statement(None);
            value = self.no_layer(value, layer.result.span);
            self.freeze(&layer.members, first);
        }
        self.close_penalties(first_penalty, &value);
        self.frames.pop();
        if let Some((pattern, dims, place, misfit)) = misfit {
            let expected = self.excerpt(pattern);
            let message = format!("`{}` expects {expected}, found {dims:?}", layer.name.text);
            let mut diagnostic = Diagnostic::new(Code::ShapeMismatch, at, message).label(misfit.label);
            if place.end <= at.start || at.end <= place.start {
                diagnostic = diagnostic.related(place, format!("{dims:?}"));
            }
            let (line, _) = self.program.sources.line_column(misfit.span);
            let file = &self.program.sources.get(misfit.span.file).name;
            let diagnostic = diagnostic.note(format!("{file}:{line} declares `{expected}`"));
            self.report(diagnostic);
        }
        value
    }

    /// The arguments by their place in `order`, unless one is missing or wrong already.
    fn arguments(
        &mut self,
        callee: Callee<'a>,
        at: Span,
        order: &[(&'a Argument, bool)],
        given: Vec<Given<'a>>,
    ) -> Option<Vec<Option<(Value<'a>, Span)>>> {
        let slots: Vec<Slot<'a>> = order
            .iter()
            .map(|(argument, _)| Slot { name: &argument.name.text, is_required: argument.default.is_none() })
            .collect();
        let bound = self.bind(callee, at, &slots, given)?;
        let is_poisoned = bound.iter().flatten().any(|(value, _)| value.is_poison());
        (!is_poisoned).then_some(bound)
    }

    /// The shapes of a layer's operands.
    fn shapes(
        &mut self,
        shown: &str,
        order: &[(&'a Argument, bool)],
        values: &[Option<(Value<'a>, Span)>],
    ) -> Option<Vec<(&'a Argument, Vec<usize>, Span)>> {
        let mut shapes = Vec::new();
        for ((argument, is_operand), value) in order.iter().zip(values) {
            match value {
                Some((Value::Tensor(id), place)) if *is_operand => {
                    shapes.push((*argument, self.ty(*id).dims.clone(), *place));
                }
                Some((other, place)) if *is_operand => {
                    let expected = format!("a tensor for `{}`", argument.name.text);
                    self.wrong_kind(shown, &expected, other, *place);
                    return None;
                }
                _ => {}
            }
        }
        Some(shapes)
    }

    /// Arguments that speak of axes count them, by the first operand: a layer has names of its own.
    fn with_axes(
        &mut self,
        shown: &str,
        order: &[(&'a Argument, bool)],
        mut values: Vec<Option<(Value<'a>, Span)>>,
    ) -> Option<Vec<Option<(Value<'a>, Span)>>> {
        let Some(Some((Value::Tensor(first), _))) = values.first() else { return Some(values) };
        let first = *first;
        for ((_, is_operand), value) in order.iter().zip(&mut values) {
            if let Some((Value::Axes(axes), place)) = value
                && !is_operand
            {
                let axes = Rc::clone(axes);
                *value = Some((self.as_numbers(shown, first, &axes)?, *place));
            }
        }
        Some(values)
    }

    /// Operands bear the names of their patterns.
    fn with_names(
        &mut self,
        order: &[(&'a Argument, bool)],
        mut values: Vec<Option<(Value<'a>, Span)>>,
    ) -> Vec<Option<(Value<'a>, Span)>> {
        for ((argument, _), value) in order.iter().zip(&mut values) {
            if let (Some(pattern), Some((value, _))) = (&argument.pattern, value)
                && let Value::Tensor(id) = value
            {
                *value = self.operand_with(pattern, *id);
            }
        }
        values
    }

    /// Begins the frame of a call, unless calls are nested too deeply.
    pub(super) fn enter_call(
        &mut self,
        kind: Kind,
        home: Home,
        name: &'a str,
        call: Span,
        prefix: Option<String>,
    ) -> bool {
        if self.frames.len() > limits::MAX_CALLS {
            const SHOWN: usize = 4;
            let last: Vec<&str> = self.frames.iter().rev().take(SHOWN).rev().map(|frame| frame.name).collect();
            let message = format!("calls are nested more than {} deep", limits::MAX_CALLS);
            let diagnostic = Diagnostic::new(Code::Recursion, call, message)
                .label("the limit is reached here")
                .note(format!("the last of the chain: `{}` calls `{name}`", last.join("` calls `")));
            self.report(diagnostic);
            return false;
        }
        self.frames.push(Frame::new(kind, home, name, call, prefix, self.graph.nodes.len()));
        true
    }

    /// Makes the arguments known, evaluating defaults in order; `false` if a default is wrong.
    pub(super) fn declare_all(
        &mut self,
        order: &[(&'a Argument, bool)],
        values: Vec<Option<(Value<'a>, Span)>>,
    ) -> bool {
        let mut is_sound = true;
        for ((argument, _), value) in order.iter().zip(values) {
            let value = match (value, &argument.default) {
                (Some((value, _)), _) => value,
                (None, Some(default)) if is_axes(&argument.name.text) => self.axes(default),
                (None, Some(default)) => self.expr(default),
                (None, None) => Value::Poison,
            };
            is_sound &= !value.is_poison();
            self.declare(&argument.name.text, value);
        }
        is_sound
    }

    /// `name = value;`, or `a, b = values;` for a value that has several parts.
    pub(super) fn binding(&mut self, binding: &'a Binding) -> Value<'a> {
        let first_node = self.graph.nodes.len();
        self.open_statement(Some(&binding.name.text), &binding.value);
        let value = match &binding.value.kind {
            // Further names are those of what the carries are in the end.
            ast::ExprKind::Scan(scan) if !binding.others.is_empty() => self.scan(scan, 1 + binding.others.len()),
            _ => self.expr(&binding.value),
        };
        self.close_statement(Some(&binding.name.text));
        let value = self.no_layer(value, binding.value.span);
        if binding.others.is_empty() {
            let value = match value {
                Value::Tuple(_) => self.not_one(binding, &value),
                other => other,
            };
            return self.bound(binding, &binding.name, value, first_node);
        }
        let names: Vec<&'a ast::Name> = std::iter::once(&binding.name).chain(&binding.others).collect();
        let parts = match &value {
            Value::Tuple(parts) if parts.len() == names.len() => parts.to_vec(),
            Value::Poison => vec![Value::Poison; names.len()],
            other => {
                self.wrong_count(binding, names.len(), other);
                vec![Value::Poison; names.len()]
            }
        };
        let parts: Vec<Value<'a>> =
            names.iter().zip(parts).map(|(name, part)| self.bound(binding, name, part, first_node)).collect();
        if parts.iter().any(Value::is_poison) { Value::Poison } else { Value::Tuple(Rc::from(parts)) }
    }

    /// Gives one value of a binding its name, after the binding's pattern has been matched.
    fn bound(
        &mut self,
        binding: &'a Binding,
        name: &'a ast::Name,
        mut value: Value<'a>,
        first_node: usize,
    ) -> Value<'a> {
        if let Some(pattern) = &binding.pattern {
            value = self.checked(name, pattern, value, binding.value.span);
            value = self.with_pattern(pattern, value, first_node);
        }
        if let Value::Tensor(id) = value
            && id.index() >= first_node
            && let Some(prefix) = self.frames.last().and_then(|frame| frame.prefix.as_deref())
        {
            let separator = if prefix.is_empty() { "" } else { "_" };
            self.graph.nodes[id.index()].origin.name = format!("{prefix}{separator}{}", name.text);
        }
        if self.carried.contains(&name.text.as_str()) {
            self.declare_again(&name.text, value.clone());
        } else {
            self.declare(&name.text, value.clone());
        }
        value
    }

    /// Reports several values where one name stands.
    fn not_one(&mut self, binding: &Binding, found: &Value<'a>) -> Value<'a> {
        let message = format!("`{}` names one value, found {}", binding.name.text, found.describe());
        let diagnostic = Diagnostic::new(Code::WrongKind, binding.value.span, message)
            .label(format!("these are {}", found.describe()))
            .help(format!("give each a name: `{}, … = {};`", binding.name.text, self.excerpt(binding.value.span)));
        self.report(diagnostic);
        Value::Poison
    }

    /// Reports more or fewer names than values.
    fn wrong_count(&mut self, binding: &Binding, names: usize, found: &Value<'a>) {
        let last = binding.others.last().unwrap_or(&binding.name);
        let place = Span { end: last.span.end, ..binding.name.span };
        let found = match found {
            Value::Tuple(_) => found.describe(),
            other => format!("one value, {}", self.describe(other)),
        };
        let message = format!("{names} names stand for {found}");
        let diagnostic = Diagnostic::new(Code::WrongKind, place, message)
            .label(format!("{names} names"))
            .related(binding.value.span, format!("this is {found}"));
        self.report(diagnostic);
    }

    /// `name: [..] = value;`
    fn checked(&mut self, name: &ast::Name, pattern: &'a ast::Pattern, value: Value<'a>, place: Span) -> Value<'a> {
        let id = match &value {
            Value::Poison => return value,
            Value::Tensor(id) => *id,
            other => return self.wrong_kind(&name.text, "a tensor", other, place),
        };
        let dims = self.ty(id).dims.clone();
        match self.match_pattern(pattern, &dims) {
            Ok(true) => value,
            Ok(false) => Value::Poison,
            Err(misfit) => {
                let expected = self.excerpt(pattern.span);
                let message = format!("`{}` is declared as {expected}, found {dims:?}", name.text);
                let diagnostic = Diagnostic::new(Code::ShapeMismatch, misfit.span, message)
                    .label(misfit.label)
                    .related(place, format!("this is {dims:?}"));
                self.report(diagnostic);
                Value::Poison
            }
        }
    }

    /// `assert condition, "message";`: whether it holds.
    pub(super) fn assert(&mut self, assert: &'a Assert) -> bool {
        let value = self.expr(&assert.condition);
        match value {
            Value::Bool(true) => return true,
            Value::Poison => {}
            Value::Bool(false) => {
                let shown = self.excerpt(assert.condition.span);
                let message = match &assert.message {
                    Some((message, _)) => self.with_values(message),
                    None => format!("the assertion `{shown}` does not hold"),
                };
                self.error(Code::AssertionFailed, assert.condition.span, message, format!("`{shown}` does not hold"));
            }
            other => {
                self.wrong_kind("assert", "a condition known at compile time", &other, assert.condition.span);
            }
        }
        false
    }

    /// The message with the values of the names in braces.
    fn with_values(&self, message: &str) -> String {
        let mut text = String::with_capacity(message.len());
        let mut rest = message;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                text.push('{');
                rest = after;
                continue;
            };
            let value = self.value(name).or_else(|| self.program.constant(name, self.home()));
            match value {
                Some(value @ Value::Tensor(_)) => text.push_str(&self.describe(value)),
                Some(value) => text.push_str(&value.show()),
                None => text.push_str(name),
            }
            rest = after;
        }
        text + rest
    }
}

/// Arguments in the order in which calls fill them, operands first, each with whether it is one.
fn ordered(arguments: &[Argument], is_operand: impl Fn(&Argument) -> bool) -> Vec<(&Argument, bool)> {
    let operands = arguments.iter().filter(|argument| is_operand(argument)).map(|argument| (argument, true));
    let attributes = arguments.iter().filter(|argument| !is_operand(argument)).map(|argument| (argument, false));
    operands.chain(attributes).collect()
}
