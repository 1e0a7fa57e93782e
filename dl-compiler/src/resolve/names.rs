//! Checks of names that need no values: each is declared once, known where it is used, and possible in Rust.
//!
//! It sees what evaluation may never reach: branches not taken, layers not called. Unknown names are reported here
//! and nowhere else. It also notes which declaration mentions which, from which `order` finds those that reach themselves.

use std::collections::{BTreeMap, BTreeSet};

use dl_grammar::ast::{self, Argument, Expr, ExprKind, Item, Member, Name, Pattern, PatternDim};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::catalog::Catalog;
use super::limits;
use super::order;
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
        states: Vec::new(),
        shared: Vec::new(),
        unassigned: Vec::new(),
        item: 0,
        names: Names { diagnostics: Vec::new(), mentions: vec![Vec::new(); file.items.len()] },
    };
    check.declarations(file);
    for (place, item) in file.items.iter().enumerate() {
        check.item = place;
        check.home = match (home, order::name(item)) {
            (Home::User(_), Some(name)) => Home::User(name.span.file),
            _ => home,
        };
        check.item(item);
    }
    check.names
}

/// Where statements stand.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Network,
    Layer,
    Branch,
    FormulaBranch,
}

pub(super) struct Check<'c, 'a> {
    pub(super) catalog: &'c Catalog<'a>,
    pub(super) home: Home,
    /// Constants: the item and the name's place.
    pub(super) values: BTreeMap<&'a str, (usize, Span)>,
    /// Functions, layers, networks.
    pub(super) callables: BTreeMap<&'a str, (usize, Span)>,
    pub(super) scopes: Vec<BTreeMap<&'a str, Span>>,
    /// Names that the open blocks declare, known or not yet.
    pub(super) later: Vec<BTreeMap<&'a str, Span>>,
    /// The attributes of the layer or function at hand: they may be callables, and parameters may bear their names.
    pub(super) attributes: Vec<&'a str>,
    /// The states that the item at hand has declared so far.
    states: Vec<&'a Name>,
    /// The shared layers that it has declared so far.
    pub(super) shared: Vec<&'a Name>,
    /// The carries of the open loops that have no next value yet, and how many scopes there are in the loop's body.
    pub(super) unassigned: Vec<(usize, BTreeSet<&'a str>)>,
    pub(super) item: usize,
    pub(super) names: Names,
}

impl<'a> Check<'_, 'a> {
    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.names.diagnostics.push(diagnostic);
    }

    pub(super) fn is_full(&self) -> bool {
        self.names.diagnostics.len() > limits::MAX_DIAGNOSTICS
    }

    fn declarations(&mut self, file: &'a ast::File) {
        for (place, item) in file.items.iter().enumerate() {
            let (name, is_value) = match item {
                Item::Const(item) => (&item.name, true),
                Item::Function(item) => (&item.name, false),
                Item::Layer(item) => (&item.name, false),
                Item::Network(item) => (&item.name, false),
                Item::Instance(item) => (&item.name, false),
                Item::Import(_) => continue,
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
            Item::Instance(instance) => Some(&instance.name),
            _ => None,
        });
        self.names.diagnostics.extend(reserved::networks(networks));
    }

    fn item(&mut self, item: &'a Item) {
        self.scopes = vec![BTreeMap::new()];
        self.later = Vec::new();
        self.attributes = Vec::new();
        self.states = Vec::new();
        self.shared = Vec::new();
        match item {
            Item::Const(constant) => self.expr(&constant.value, Place::FormulaBranch),
            Item::Function(function) => {
                self.arguments(&function.arguments, Place::FormulaBranch);
                self.attributes = function.arguments.iter().map(|argument| argument.name.text.as_str()).collect();
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
                self.arguments(&network.arguments, Place::Network);
                self.attributes = network.arguments.iter().map(|argument| argument.name.text.as_str()).collect();
                for pattern in network.arguments.iter().filter_map(|argument| argument.pattern.as_ref()) {
                    let diagnostic =
                        Diagnostic::new(Code::MisplacedMember, pattern.span, "the attribute of a network has no shape")
                            .label("belongs to an input")
                            .help("declare what an example holds in the body: `input name: [dims];`");
                    self.report(diagnostic);
                }
                self.members(&network.members, Place::Network);
                if network.inference {
                    network.members.iter().for_each(|member| self.is_of_inference(member));
                }
                self.names.diagnostics.extend(reserved::members(network));
            }
            Item::Instance(instance) => self.instance(instance),
            Item::Import(_) => {}
        }
    }

    /// What no code for inference is made of.
    fn is_of_inference(&mut self, member: &Member) {
        let (keyword, span) = match member {
            Member::Label(field) => ("label", field.span),
            Member::Loss(measure) => ("loss", measure.span),
            Member::Metric(measure) => ("metric", measure.span),
            Member::Train(train) => ("train", train.span),
            _ => return,
        };
        let message = format!("an `inference network` holds no `{keyword}`");
        let diagnostic = Diagnostic::new(Code::MisplacedMember, span, message)
            .label("of use in training only")
            .help("leave out `inference`, or this");
        self.report(diagnostic);
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
                    let is_known = self.find(name).is_some() || self.constant(name).is_some();
                    if !is_known && let Some(scope) = self.scopes.last_mut() {
                        scope.insert(name, *span);
                    }
                }
                PatternDim::Dim(expr) => self.expr(expr, place),
            }
        }
    }

    pub(super) fn members(&mut self, members: &'a [Member], place: Place) {
        let others = members.iter().flat_map(|member| match member {
            Member::Binding(binding) | Member::Output(binding) => binding.others.as_slice(),
            _ => &[],
        });
        let declared = members.iter().filter_map(|member| match member {
            Member::Input(field) | Member::Label(field) => Some(&field.name),
            Member::Binding(binding) | Member::Output(binding) => Some(&binding.name),
            Member::Param(param) => Some(&param.name),
            Member::State(state) => Some(&state.name),
            Member::Shared(shared) => Some(&shared.name),
            Member::Loss(measure) | Member::Metric(measure) => measure.name.as_ref(),
            _ => None,
        });
        self.later.push(declared.chain(others).map(|name| (name.text.as_str(), name.span)).collect());
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
                    binding.others.iter().for_each(|name| self.declare(name));
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
                    if let Some(constraint) = &param.constraint {
                        constraint.arguments.iter().for_each(|argument| self.expr(&argument.value, place));
                    }
                    self.declare_param(&param.name);
                }
                Member::State(state) => {
                    state.dims.iter().for_each(|dim| self.expr(dim, place));
                    self.expr(&state.initializer, place);
                    self.declare_param(&state.name);
                    self.states.push(&state.name);
                }
                Member::Update(update) => {
                    self.is_state(&update.name);
                    self.expr(&update.value, place);
                }
                Member::Penalty(penalty) => self.expr(&penalty.value, place),
                Member::Shared(shared) => {
                    self.expr(&shared.value, place);
                    self.declare(&shared.name);
                    self.shared.push(&shared.name);
                }
                Member::Budget(budget) => budget.limits.iter().for_each(|limit| self.expr(&limit.value, place)),
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
                _ => {}
            }
        }
        self.later.pop();
    }

    fn is_placed(&mut self, member: &Member, place: Place) {
        let (keyword, span) = match member {
            Member::Binding(_) | Member::Assert(_) => return,
            Member::Param(param) if place == Place::FormulaBranch => ("param", param.name.span),
            Member::State(state) if place == Place::FormulaBranch => ("state", state.name.span),
            Member::Update(update) if place == Place::FormulaBranch => ("update", update.span),
            Member::Penalty(penalty) if place == Place::FormulaBranch => ("penalty", penalty.span),
            Member::Shared(shared) if place == Place::FormulaBranch => ("shared", shared.name.span),
            Member::Param(_) | Member::State(_) | Member::Update(_) | Member::Penalty(_) | Member::Shared(_) => return,
            Member::Freeze(_) if place == Place::Layer => return,
            _ if place == Place::Network => return,
            Member::Input(field) => ("input", field.span),
            Member::Label(field) => ("label", field.span),
            Member::Output(binding) => ("output", binding.name.span),
            Member::Loss(measure) => ("loss", measure.span),
            Member::Metric(measure) => ("metric", measure.span),
            Member::Train(train) => ("train", train.span),
            Member::Freeze(freeze) => ("freeze", freeze.span),
            Member::Budget(budget) => ("budget", budget.span),
        };
        let (here, there) = match place {
            Place::FormulaBranch => ("a formula", "layers and networks"),
            Place::Branch if keyword == "freeze" => ("a branch", "layers and networks, outside of branches"),
            Place::Layer => ("a layer", "networks"),
            _ => ("a branch", "networks, outside of branches"),
        };
        let message = format!("`{keyword}` does not belong into {here}");
        self.report(Diagnostic::new(Code::MisplacedMember, span, message).label(format!("stands in {there} only")));
    }

    /// The constant of that name, if it is known in the file at hand: the item and the name's place.
    pub(super) fn constant(&self, name: &str) -> Option<(usize, Span)> {
        self.values.get(name).copied().filter(|(_, span)| self.catalog.sees(self.home, *span))
    }

    /// The callable of that name that the user declares, in the same way.
    pub(super) fn callable(&self, name: &str) -> Option<(usize, Span)> {
        self.callables.get(name).copied().filter(|(_, span)| self.catalog.sees(self.home, *span))
    }

    pub(super) fn find(&self, name: &str) -> Option<Span> {
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

    /// What is updated must be a state that is known here.
    fn is_state(&mut self, name: &'a Name) {
        let found = self.find(&name.text);
        if found.is_some() && self.states.iter().any(|state| Some(state.span) == found) {
            return;
        }
        let message = match found {
            Some(_) => format!("`{}` is no state, and nothing else can be updated", name.text),
            None => format!("there is no state `{}`", name.text),
        };
        let code = if found.is_some() { Code::WrongKind } else { Code::UnknownName };
        let mut diagnostic = Diagnostic::new(code, name.span, message).label("not a state");
        if let Some(declared) = found {
            diagnostic = diagnostic.related(declared, "declared here");
        }
        let known = self.states.iter().map(|state| state.text.as_str());
        diagnostic = match closest(&name.text, known) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("declare it before: `state {}: [dims] = zeros;`", name.text)),
        };
        self.report(diagnostic);
    }

    pub(super) fn declare(&mut self, name: &'a Name) {
        if self.is_next_value(name) {
            return;
        }
        self.is_possible(name);
        let before = self.find(&name.text).or_else(|| self.constant(&name.text).map(|(_, span)| span));
        if let Some(before) = before {
            self.twice(name, before);
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(&name.text, name.span);
        }
    }

    /// Whether this is the first binding to a carry in the body of its loop: that gives it its next value.
    fn is_next_value(&mut self, name: &'a Name) -> bool {
        let depth = self.scopes.len();
        let Some((body, carries)) = self.unassigned.last_mut() else { return false };
        if *body != depth || !carries.remove(name.text.as_str()) {
            return false;
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(&name.text, name.span);
        }
        true
    }

    fn twice(&mut self, name: &Name, before: Span) {
        let diagnostic = Diagnostic::new(Code::DuplicateName, name.span, format!("`{}` is declared twice", name.text))
            .label("declared again")
            .related(before, "declared first here")
            .help("give each value a name of its own");
        self.report(diagnostic);
    }

    pub(super) fn is_possible(&mut self, name: &Name) {
        self.names.diagnostics.extend(reserved::name(name));
    }
}

#[cfg(test)]
mod tests {
    use dl_grammar::Sources;

    use super::*;
    use crate::import::Imports;
    use crate::library;

    #[test]
    fn the_library_knows_all_its_names() {
        let mut sources = Sources::default();
        let files = library::load(&mut sources);
        let user = ast::File::default();
        let imports = Imports::default();
        let catalog = Catalog::new(&user, &imports, &files);
        for file in &files {
            let found = names(file, &catalog, Home::Library);
            assert!(found.diagnostics.is_empty(), "{}", dl_grammar::render(&sources, &found.diagnostics, false));
            let order = super::super::order::order(file, &found.mentions);
            assert!(order.diagnostics.is_empty(), "{:?}", order.diagnostics);
        }
    }
}
