//! Checks of names that need no values: each is declared once, known where it is used, and possible in Rust.
//!
//! It sees what evaluation may never reach: branches not taken, layers not called. Unknown names are reported here
//! and nowhere else. It also notes which declaration mentions which, from which `order` finds those that reach themselves.

use std::collections::BTreeMap;

use dl_grammar::ast::{self, Argument, Expr, ExprKind, Item, Member, Name, Pattern, PatternDim};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::builtin;
use super::catalog::Catalog;
use super::limits;
use super::reserved;
use super::value::Home;

/// What the check found.
pub(super) struct Names {
    /// All mistakes.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// For every item of the file, the items that it mentions, in order.
    pub(super) mentions: Vec<Vec<usize>>,
}

/// Checks all names of a file.
pub(super) fn names<'a>(file: &'a ast::File, catalog: &Catalog<'a>, home: Home) -> Names {
    let mut check = Check {
        catalog,
        home,
        values: BTreeMap::new(),
        callables: BTreeMap::new(),
        scopes: Vec::new(),
        later: Vec::new(),
        attributes: Vec::new(),
        item: 0,
        names: Names { diagnostics: Vec::new(), mentions: vec![Vec::new(); file.items.len()] },
    };
    check.declarations(file);
    for (place, item) in file.items.iter().enumerate() {
        check.item = place;
        check.item(item);
    }
    check.names
}

/// Where statements stand.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Network,
    Layer,
    Branch,
    FormulaBranch,
}

struct Check<'c, 'a> {
    catalog: &'c Catalog<'a>,
    home: Home,
    /// Constants: the item and the name's place.
    values: BTreeMap<&'a str, (usize, Span)>,
    /// Functions, layers, networks.
    callables: BTreeMap<&'a str, (usize, Span)>,
    scopes: Vec<BTreeMap<&'a str, Span>>,
    /// Names that the open blocks declare, known or not yet.
    later: Vec<BTreeMap<&'a str, Span>>,
    /// The attributes of the layer at hand, whose names its parameters may bear.
    attributes: Vec<&'a str>,
    item: usize,
    names: Names,
}

impl<'a> Check<'_, 'a> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.names.diagnostics.push(diagnostic);
    }

    fn is_full(&self) -> bool {
        self.names.diagnostics.len() > limits::MAX_DIAGNOSTICS
    }

    fn declarations(&mut self, file: &'a ast::File) {
        for (place, item) in file.items.iter().enumerate() {
            let (name, is_value) = match item {
                Item::Const(item) => (&item.name, true),
                Item::Function(item) => (&item.name, false),
                Item::Layer(item) => (&item.name, false),
                Item::Network(item) => (&item.name, false),
            };
            self.is_possible(name);
            let table = if is_value { &mut self.values } else { &mut self.callables };
            let before = table.get(name.text.as_str()).map(|(_, span)| *span);
            match before {
                Some(before) => self.twice(name, before),
                None => {
                    table.insert(&name.text, (place, name.span));
                }
            }
        }
        let networks = file.items.iter().filter_map(|item| match item {
            Item::Network(network) => Some(&network.name),
            _ => None,
        });
        self.names.diagnostics.extend(reserved::networks(networks));
    }

    fn item(&mut self, item: &'a Item) {
        self.scopes = vec![BTreeMap::new()];
        self.later = Vec::new();
        self.attributes = Vec::new();
        match item {
            Item::Const(constant) => self.expr(&constant.value, Place::FormulaBranch),
            Item::Function(function) => {
                self.arguments(&function.arguments, Place::FormulaBranch);
                self.expr(&function.value, Place::FormulaBranch);
            }
            Item::Layer(layer) => {
                self.arguments(&layer.arguments, Place::Layer);
                let is_attribute = |argument: &&Argument| argument.pattern.is_none();
                self.attributes =
                    layer.arguments.iter().filter(is_attribute).map(|argument| argument.name.text.as_str()).collect();
                self.members(&layer.members, Place::Layer);
                self.expr(&layer.result, Place::Branch);
            }
            Item::Network(network) => {
                self.members(&network.members, Place::Network);
                self.names.diagnostics.extend(reserved::members(network));
            }
        }
    }

    /// Dimensions of the operands first, then each argument after its default.
    fn arguments(&mut self, arguments: &'a [Argument], place: Place) {
        for pattern in arguments.iter().filter_map(|argument| argument.pattern.as_ref()) {
            self.pattern(pattern, place);
        }
        for argument in arguments {
            if let Some(default) = &argument.default {
                self.expr(default, place);
            }
            self.declare(&argument.name);
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern, place: Place) {
        let mut rests = 0;
        for dim in &pattern.dims {
            match dim {
                PatternDim::Rest(span) => {
                    rests += 1;
                    if rests == 2 {
                        let message = "a shape pattern holds `..` twice";
                        self.report(Diagnostic::new(Code::BadDimension, *span, message).label("once is enough"));
                    }
                }
                PatternDim::Dim(Expr { kind: ExprKind::Name(name), span }) => {
                    let is_known = self.find(name).is_some() || self.values.contains_key(name.as_str());
                    if !is_known && let Some(scope) = self.scopes.last_mut() {
                        scope.insert(name, *span);
                    }
                }
                PatternDim::Dim(expr) => self.expr(expr, place),
            }
        }
    }

    fn members(&mut self, members: &'a [Member], place: Place) {
        let declared = members.iter().filter_map(|member| match member {
            Member::Input(field) | Member::Label(field) => Some(&field.name),
            Member::Binding(binding) | Member::Output(binding) => Some(&binding.name),
            Member::Param(param) => Some(&param.name),
            Member::Loss(measure) | Member::Metric(measure) => measure.name.as_ref(),
            Member::Assert(_) | Member::Train(_) => None,
        });
        self.later.push(declared.map(|name| (name.text.as_str(), name.span)).collect());
        let mut train = None;
        for member in members {
            self.is_placed(member, place);
            match member {
                Member::Input(field) | Member::Label(field) => {
                    if let ast::Element::Index(bound) = &field.element {
                        self.expr(bound, place);
                    }
                    field.dims.iter().for_each(|dim| self.expr(dim, place));
                    self.declare(&field.name);
                }
                Member::Binding(binding) | Member::Output(binding) => {
                    self.expr(&binding.value, place);
                    if let Some(pattern) = &binding.pattern {
                        self.pattern(pattern, place);
                    }
                    self.declare(&binding.name);
                }
                Member::Loss(measure) | Member::Metric(measure) => {
                    self.expr(&measure.value, place);
                    if let Some(name) = &measure.name {
                        self.declare(name);
                    }
                }
                Member::Param(param) => {
                    param.dims.iter().for_each(|dim| self.expr(dim, place));
                    self.expr(&param.initializer, place);
                    self.declare_param(&param.name);
                }
                Member::Assert(assert) => {
                    self.expr(&assert.condition, place);
                    if let Some((message, span)) = &assert.message {
                        self.message(message, *span);
                    }
                }
                Member::Train(section) => {
                    if let Some(before) = train.replace(section.span) {
                        let diagnostic =
                            Diagnostic::new(Code::DuplicateName, section.span, "a network has one `train` section")
                                .label("a second one")
                                .related(before, "the first one");
                        self.report(diagnostic);
                    }
                    section.settings.iter().for_each(|(_, value)| self.setting(value));
                }
            }
        }
        self.later.pop();
    }

    fn is_placed(&mut self, member: &Member, place: Place) {
        let (keyword, span) = match member {
            Member::Binding(_) | Member::Assert(_) => return,
            Member::Param(param) if place == Place::FormulaBranch => ("param", param.name.span),
            Member::Param(_) => return,
            _ if place == Place::Network => return,
            Member::Input(field) => ("input", field.span),
            Member::Label(field) => ("label", field.span),
            Member::Output(binding) => ("output", binding.name.span),
            Member::Loss(measure) => ("loss", measure.span),
            Member::Metric(measure) => ("metric", measure.span),
            Member::Train(train) => ("train", train.span),
        };
        let (here, there) = match place {
            Place::FormulaBranch => ("a formula", "layers and networks"),
            Place::Layer => ("a layer", "networks"),
            _ => ("a branch", "networks, outside of branches"),
        };
        let message = format!("`{keyword}` does not belong into {here}");
        self.report(Diagnostic::new(Code::MisplacedMember, span, message).label(format!("stands in {there} only")));
    }

    /// The arguments of an optimizer; its own name is judged with the section.
    fn setting(&mut self, value: &'a Expr) {
        match &value.kind {
            ExprKind::Call(call) => {
                call.arguments.iter().for_each(|argument| self.expr(&argument.value, Place::Network));
            }
            ExprKind::Name(name) if self.find(name).is_none() && !self.values.contains_key(name.as_str()) => {}
            _ => self.expr(value, Place::Network),
        }
    }

    /// The names in braces of an assertion's message.
    fn message(&mut self, message: &str, span: Span) {
        let mut rest = message;
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { return };
            let is_known = self.find(name).is_some() || self.values.contains_key(name);
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

    fn expr(&mut self, expr: &'a Expr, place: Place) {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Unary(_, operand) => self.expr(operand, place),
            ExprKind::Binary(_, _, left, right) => {
                self.expr(left, place);
                self.expr(right, place);
            }
            ExprKind::Call(call) => self.call(call, place),
            ExprKind::Pipe(first, stages) => {
                self.expr(first, place);
                for stage in stages {
                    if let Some(name) = &stage.instance {
                        self.is_possible(name);
                    }
                    self.call(&stage.call, place);
                }
            }
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
            ExprKind::List(elements) => elements.iter().for_each(|element| self.expr(element, place)),
            _ => {}
        }
    }

    fn call(&mut self, call: &'a ast::Call, place: Place) {
        call.arguments.iter().for_each(|argument| self.expr(&argument.value, place));
        let name = call.callee.text.as_str();
        if self.find(name).is_some_and(|_| self.attributes.contains(&name)) {
            return;
        }
        if let Some(&(item, _)) = self.callables.get(name) {
            self.names.mentions[self.item].push(item);
        }
        if self.catalog.callable(name, self.home).is_some() || self.is_full() {
            return;
        }
        let span = call.callee.span;
        if self.catalog.network(name).is_some() {
            let message = format!("`{name}` is a network, which cannot be called");
            let diagnostic = Diagnostic::new(Code::WrongKind, span, message)
                .label("not a layer")
                .help("declare what several networks share as a `layer`");
            return self.report(diagnostic);
        }
        let mut diagnostic =
            Diagnostic::new(Code::UnknownName, span, format!("there is no callable `{name}`")).label("not known");
        if self.find(name).is_some() || self.values.contains_key(name) {
            diagnostic = diagnostic.note(format!("`{name}` is a value, which cannot be called"));
        } else if let Some(near) = closest(name, self.catalog.callable_names()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }

    fn name(&mut self, name: &'a str, span: Span) {
        if self.find(name).is_some() || name == "training" {
            return;
        }
        if let Some(&(item, _)) = self.values.get(name) {
            return self.names.mentions[self.item].push(item);
        }
        if builtin::initializer(name).is_some() {
            return;
        }
        if let Some(&(item, _)) = self.callables.get(name) {
            self.names.mentions[self.item].push(item);
        }
        if self.catalog.callable(name, self.home).is_some() || self.is_full() {
            return;
        }
        let later = self.later.iter().rev().find_map(|later| later.get(name)).copied();
        if let Some(declared) = later {
            let diagnostic = Diagnostic::new(Code::UnknownName, span, format!("`{name}` is used before its declaration"))
                .label("not known yet")
                .related(declared, "declared here");
            return self.report(diagnostic);
        }
        let mut diagnostic =
            Diagnostic::new(Code::UnknownName, span, format!("there is no value `{name}`")).label("not known");
        let mut candidates: Vec<&str> = self.scopes.iter().rev().flat_map(|scope| scope.keys().copied()).collect();
        candidates.extend(self.catalog.constant_names());
        builtin::initializer_names().for_each(|name| candidates.push(name));
        if self.catalog.network(name).is_some() {
            diagnostic = diagnostic.note(format!("`{name}` is a network"));
        } else if let Some(near) = closest(name, candidates) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }

    fn find(&self, name: &str) -> Option<Span> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    /// A parameter may bear the name of the attribute that asks for it (`bias`).
    fn declare_param(&mut self, name: &'a Name) {
        if let Some(place) = self.attributes.iter().position(|attribute| *attribute == name.text) {
            let is_argument = self.scopes.first().is_some_and(|scope| scope.contains_key(name.text.as_str()));
            let is_taken = self.scopes.iter().skip(1).any(|scope| scope.contains_key(name.text.as_str()));
            if is_argument && !is_taken && self.scopes.len() > 1 {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.insert(self.attributes[place], name.span);
                }
                return;
            }
        }
        self.declare(name);
    }

    fn declare(&mut self, name: &'a Name) {
        self.is_possible(name);
        let before = self.find(&name.text).or_else(|| self.values.get(name.text.as_str()).map(|(_, span)| *span));
        if let Some(before) = before {
            self.twice(name, before);
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(&name.text, name.span);
        }
    }

    fn twice(&mut self, name: &Name, before: Span) {
        let diagnostic = Diagnostic::new(Code::DuplicateName, name.span, format!("`{}` is declared twice", name.text))
            .label("declared again")
            .related(before, "declared first here");
        self.report(diagnostic);
    }

    fn is_possible(&mut self, name: &Name) {
        self.names.diagnostics.extend(reserved::name(name));
    }
}
