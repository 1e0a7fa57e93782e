//! Checks of names where they are used: values, callables, and the names in messages.
//!
//! The other half of `names`, which knows the scopes.

use std::collections::BTreeMap;

use dl_grammar::ast::{self, Apply, Expr, ExprKind, Repeat, Stage};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::axes::axes_arguments;
use super::builtin;
use super::names::{Check, Place};
use super::value::Callee;

impl<'a> Check<'_, 'a> {
    /// The arguments of an optimizer or schedule, or of several; its own name is judged with the section.
    pub(super) fn setting(&mut self, value: &'a Expr) {
        match &value.kind {
            ExprKind::Call(call) => {
                for argument in &call.arguments {
                    match &argument.name {
                        Some(name) if name.text == "then" => self.setting(&argument.value),
                        _ => self.expr(&argument.value, Place::Network),
                    }
                }
            }
            ExprKind::List(elements) => elements.iter().for_each(|element| self.setting(element)),
            ExprKind::Name(name) if self.find(name).is_none() && self.constant(name).is_none() => {}
            _ => self.expr(value, Place::Network),
        }
    }

    /// The names in braces of an assertion's message.
    pub(super) fn message(&mut self, message: &str, span: Span) {
        let mut rest = message;
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { return };
            let is_known = self.find(name).is_some() || self.constant(name).is_some();
            if !is_known && name != "training" {
                let message = format!("the message shows `{name}`, which is not known here");
                let diagnostic = Diagnostic::new(Code::UnknownName, span, message)
                    .label("no such name")
                    .note("braces in a message hold the name of a value, a dimension or an attribute");
                self.report(diagnostic);
            }
            rest = after;
        }
    }

    /// Checks the names in an expression.
    pub(super) fn expr(&mut self, expr: &'a Expr, place: Place) {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Unary(_, operand) => self.expr(operand, place),
            ExprKind::Binary(_, _, left, right) => {
                self.expr(left, place);
                self.expr(right, place);
            }
            ExprKind::Call(call) => self.call(call, false, place),
            ExprKind::Pipe(first, stages) => {
                self.expr(first, place);
                self.stages(stages, place);
            }
            ExprKind::Repeat(repeat) => self.repeat(repeat, place),
            ExprKind::If(choice) => {
                self.expr(&choice.condition, place);
                let inner = if place == Place::FormulaBranch { place } else { Place::Branch };
                for block in [&choice.then, &choice.otherwise] {
                    self.scopes.push(BTreeMap::new());
                    self.members(&block.members, inner);
                    self.expr(&block.value, inner);
                    self.scopes.pop();
                }
            }
            ExprKind::Scan(scan) => self.scan(scan, place),
            ExprKind::List(elements) => elements.iter().for_each(|element| self.expr(element, place)),
            _ => {}
        }
    }

    fn stages(&mut self, stages: &'a [Stage], place: Place) {
        for stage in stages {
            if let Some(name) = &stage.instance {
                self.is_possible(name);
            }
            match &stage.apply {
                Apply::Call(call) => self.call(call, true, place),
                Apply::Repeat(repeat) => self.repeat(repeat, place),
            }
        }
    }

    fn repeat(&mut self, repeat: &'a Repeat, place: Place) {
        repeat.from.iter().chain([&repeat.to]).for_each(|bound| self.expr(bound, place));
        self.scopes.push(BTreeMap::new());
        repeat.index.iter().for_each(|index| self.declare(index));
        self.stages(&repeat.stages, place);
        self.scopes.pop();
    }

    /// `network Small = Name(width: 64);`
    pub(super) fn instance(&mut self, instance: &'a ast::Instance) {
        self.call(&instance.template, false, Place::Network);
        let callee = &instance.template.callee;
        let found = self.catalog.callable(&callee.text, self.home);
        if let Some(Callee::Network(_) | Callee::Instance(_)) | None = found {
            return;
        }
        let message =
            format!("`{}` is no network, of which `network {}` could be one", callee.text, instance.name.text);
        let diagnostic = Diagnostic::new(Code::WrongKind, callee.span, message)
            .label("not a network")
            .help(format!("declare the template: `network {}(…) {{ … }}`", callee.text));
        self.report(diagnostic);
    }

    /// The names of a loop: its steps and carries are known in its body, which gives each carry its next value once.
    fn scan(&mut self, scan: &'a ast::Scan, place: Place) {
        scan.sequences.iter().chain(&scan.until).for_each(|expr| self.expr(expr, place));
        for carry in &scan.carries {
            carry.dims.iter().flatten().for_each(|dim| self.expr(dim, place));
            self.expr(&carry.initial, place);
        }
        self.scopes.push(BTreeMap::new());
        scan.steps.iter().chain(scan.carries.iter().map(|carry| &carry.name)).for_each(|name| self.declare(name));
        let carries = scan.carries.iter().map(|carry| carry.name.text.as_str()).collect();
        self.unassigned.push((self.scopes.len(), carries));
        let inner = if place == Place::FormulaBranch { place } else { Place::Branch };
        self.members(&scan.members, inner);
        scan.yields.iter().for_each(|expr| self.expr(expr, inner));
        self.unassigned.pop();
        self.scopes.pop();
    }

    fn call(&mut self, call: &'a ast::Call, is_piped: bool, place: Place) {
        let name = call.callee.text.as_str();
        let speaks_of_axes = axes_arguments(self.catalog.callable(name, self.home), call, is_piped);
        for (argument, is_axes) in call.arguments.iter().zip(speaks_of_axes) {
            if is_axes { self.axes(&argument.value, place) } else { self.expr(&argument.value, place) }
        }
        let declared = self.find(name);
        let is_shared = || self.shared.iter().any(|shared| Some(shared.span) == declared);
        if declared.is_some() && (self.attributes.contains(&name) || is_shared()) {
            return;
        }
        if let Some((item, _)) = self.callable(name) {
            self.names.mentions[self.item].push(item);
        }
        if self.catalog.callable(name, self.home).is_some() || self.is_full() {
            return;
        }
        let span = call.callee.span;
        let mut diagnostic =
            Diagnostic::new(Code::UnknownName, span, format!("there is no callable `{name}`")).label("not known");
        if self.find(name).is_some() || self.constant(name).is_some() {
            diagnostic = diagnostic
                .note(format!("`{name}` is a value, which cannot be called"))
                .help(format!("a layer is kept by `shared {name} = …;`"));
        } else if let Some(declared) = self.catalog.unseen(name, self.home) {
            diagnostic = diagnostic.related(declared, "declared in a file that is not imported here");
        } else {
            let shared = self.shared.iter().map(|name| name.text.as_str());
            let known = shared.chain(self.attributes.iter().copied()).chain(self.catalog.callable_names());
            if let Some(near) = closest(name, known) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
        }
        self.report(diagnostic);
    }

    /// Names of axes are those of the value, which only evaluation knows.
    fn axes(&mut self, expr: &'a Expr, place: Place) {
        match &expr.kind {
            ExprKind::Name(_) => {}
            ExprKind::List(elements) => elements.iter().for_each(|element| self.axes(element, place)),
            _ => self.expr(expr, place),
        }
    }

    fn name(&mut self, name: &'a str, span: Span) {
        if self.find(name).is_some() || name == "training" {
            return;
        }
        if let Some((item, _)) = self.constant(name) {
            return self.names.mentions[self.item].push(item);
        }
        if builtin::initializer(name).is_some() {
            return;
        }
        if let Some((item, _)) = self.callable(name) {
            self.names.mentions[self.item].push(item);
        }
        if self.catalog.callable(name, self.home).is_some() || self.is_full() {
            return;
        }
        let later = self.later.iter().rev().find_map(|later| later.get(name)).copied();
        if let Some(declared) = later {
            let diagnostic =
                Diagnostic::new(Code::UnknownName, span, format!("`{name}` is used before its declaration"))
                    .label("not known yet")
                    .related(declared, "declared here");
            return self.report(diagnostic);
        }
        let mut diagnostic =
            Diagnostic::new(Code::UnknownName, span, format!("there is no value `{name}`")).label("not known");
        let mut candidates: Vec<&str> = Vec::new();
        candidates.extend(self.scopes.iter().rev().flat_map(|scope| scope.keys().copied()));
        candidates.extend(self.catalog.constant_names());
        builtin::initializer_names().for_each(|name| candidates.push(name));
        candidates.extend(["true", "false", "training"]);
        if let Some(declared) = self.catalog.unseen(name, self.home) {
            diagnostic = diagnostic.related(declared, "declared in a file that is not imported here");
        } else if name == "batch" {
            diagnostic =
                diagnostic.help("leave it out: a program describes one example, the batch axis is written by nobody");
        } else if let Some(near) = known_as(name).or_else(|| closest(name, candidates)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if let Some(near) = closest(name, self.catalog.callable_names()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }
}

/// What others call by another name.
fn known_as(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "xavier" | "xavier_uniform" | "glorot" => Some("glorot_uniform"),
        "xavier_normal" => Some("glorot_normal"),
        "kaiming" | "kaiming_uniform" | "he" => Some("he_uniform"),
        "kaiming_normal" => Some("he_normal"),
        "lecun" => Some("lecun_uniform"),
        _ => None,
    }
}
