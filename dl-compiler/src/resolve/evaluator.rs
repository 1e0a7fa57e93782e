//! The state of one walk over a network: frames of calls, the graph being made, and how mistakes are reported.
//!
//! The rules of the language are in the sibling files; each adds its methods to [`Evaluator`].

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use dl_grammar::{Code, Diagnostic, Sources, Span, ast};

use super::axes::AxisNames;
use super::catalog::Catalog;
use super::held::{Addend, Held};
use super::limits;
use super::path::Statement;
use super::sharing::{Shared, Sharing};
use super::stage::Round;
use super::value::{Home, Value};
use crate::graph::{Graph, Node, NodeId, Origin, Regions, Type};
use crate::model::CallRow;
use crate::ops::Op;

/// What all walks of one compilation share.
pub(super) struct Program<'a> {
    /// All declarations.
    pub(super) catalog: Catalog<'a>,
    /// All texts.
    pub(super) sources: &'a Sources,
    /// The values of the user's constants evaluated so far.
    pub(super) constants: BTreeMap<&'a str, Value<'a>>,
    /// Functions and layers that reach themselves, about which a diagnostic has been given.
    pub(super) recursive: BTreeSet<(Home, &'a str)>,
    /// Expressions evaluated so far.
    pub(super) steps: Cell<u64>,
}

/// What kind of declaration a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `const`
    Constant,
    /// `fn`
    Function,
    /// `layer`
    Layer,
    /// `network`
    Network,
}

/// A declaration being evaluated.
pub(super) struct Frame<'a> {
    /// What is being evaluated.
    pub(super) kind: Kind,
    /// Where it is declared.
    pub(super) home: Home,
    /// What it is called.
    pub(super) name: &'a str,
    /// Where it is called: the callee's name there.
    pub(super) call: Span,
    /// Values by name; the last scope is the innermost branch.
    pub(super) scopes: Vec<BTreeMap<&'a str, Value<'a>>>,
    /// What names of nodes begin with; `None` leaves them nameless.
    pub(super) prefix: Option<String>,
    /// Statements being evaluated, the innermost last.
    pub(super) statements: Vec<Statement>,
    /// States by name, as places in [`Evaluator::states`].
    pub(super) states: BTreeMap<&'a str, usize>,
    /// How many nodes there were when it began.
    pub(super) first_node: usize,
    /// Names of the axes of values.
    pub(super) axes: BTreeMap<NodeId, AxisNames<'a>>,
    /// Whether a pattern of its operands has `..`, which may stand for no axes.
    pub(super) has_rest: bool,
}

impl<'a> Frame<'a> {
    /// A frame that knows no names yet.
    pub(super) fn new(
        kind: Kind,
        home: Home,
        name: &'a str,
        call: Span,
        prefix: Option<String>,
        first_node: usize,
    ) -> Frame<'a> {
        let scopes = vec![BTreeMap::new()];
        let (statements, states, axes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Frame { kind, home, name, call, scopes, prefix, statements, states, first_node, axes, has_rest: false }
    }
}

/// One walk over a network or constant.
pub(super) struct Evaluator<'p, 'a> {
    pub(super) program: &'p Program<'a>,
    /// What `training` means; `None` where the question is not allowed.
    pub(super) training: Option<bool>,
    pub(super) graph: Graph,
    pub(super) parameters: Vec<Held<'a>>,
    pub(super) states: Vec<Held<'a>>,
    /// Numbers that join the losses.
    pub(super) penalties: Vec<Addend>,
    /// Statements being evaluated, in all frames.
    pub(super) open_statements: usize,
    /// What `shared` statements made, and those being applied.
    pub(super) shared: Vec<Shared<'a>>,
    pub(super) sharing: Vec<Sharing<'a>>,
    /// Rounds being applied, the innermost last.
    pub(super) repeating: Vec<Round>,
    /// Calls in the user's text so far.
    pub(super) calls: Vec<CallRow>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) frames: Vec<Frame<'a>>,
    /// Random operations so far.
    pub(super) draws: u32,
    /// The loops being evaluated, the innermost last, as places in the graph.
    pub(super) scans: Vec<usize>,
    /// Which loop each node is in, as far as a scan has asked.
    pub(super) regions: Regions,
    /// The carries of these loops, which a binding gives their next values.
    pub(super) carried: Vec<&'a str>,
    depth: usize,
    floats: usize,
    exhausted: bool,
    too_deep: bool,
}

impl<'a> Program<'a> {
    /// The value of a constant that is known in a file of that home.
    pub(super) fn constant(&self, name: &str, home: Home) -> Option<&Value<'a>> {
        self.constants.get(self.catalog.constant(name, home)?.name.text.as_str())
    }
}

impl<'p, 'a> Evaluator<'p, 'a> {
    /// A walk that begins with a frame of that kind.
    pub(super) fn new(
        program: &'p Program<'a>,
        training: Option<bool>,
        kind: Kind,
        home: Home,
        name: &'a ast::Name,
    ) -> Evaluator<'p, 'a> {
        let frame = Frame::new(kind, home, &name.text, name.span, Some(String::new()), 0);
        Evaluator {
            program,
            training,
            graph: Graph::default(),
            parameters: Vec::new(),
            states: Vec::new(),
            penalties: Vec::new(),
            open_statements: 0,
            shared: Vec::new(),
            sharing: Vec::new(),
            repeating: Vec::new(),
            calls: Vec::new(),
            diagnostics: Vec::new(),
            frames: vec![frame],
            draws: 0,
            scans: Vec::new(),
            regions: Regions::default(),
            carried: Vec::new(),
            depth: 0,
            floats: 0,
            exhausted: false,
            too_deep: false,
        }
    }

    /// Whether the code being evaluated is the library's.
    pub(super) fn home(&self) -> Home {
        self.frames.last().map_or(Home::Library, |frame| frame.home)
    }

    /// The value of a name in the innermost frame.
    pub(super) fn value(&self, name: &str) -> Option<&Value<'a>> {
        self.frames.last()?.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Makes a name known until its scope ends. A name that is known already has been reported by `names`; what it
    /// means is then doubtful, so that nobody says more about it.
    pub(super) fn declare(&mut self, name: &'a str, value: Value<'a>) {
        let value = if self.value(name).is_some() { Value::Poison } else { value };
        self.declare_again(name, value);
    }

    /// The same where the name may replace another.
    pub(super) fn declare_again(&mut self, name: &'a str, value: Value<'a>) {
        if let Some(scope) = self.frames.last_mut().and_then(|frame| frame.scopes.last_mut()) {
            scope.insert(name, value);
        }
    }

    /// Enters an expression; `false` if that is too deep or the program unfolds to too much.
    pub(super) fn enter(&mut self, span: Span) -> bool {
        let steps = self.program.steps.get() + 1;
        self.program.steps.set(steps);
        if self.exhausted {
            return false;
        }
        if steps > limits::MAX_STEPS {
            self.exhausted = true;
            if steps == limits::MAX_STEPS + 1 {
                let message = format!("the program unfolds to more than {} expressions", limits::MAX_STEPS);
                self.report(Diagnostic::new(Code::TooManyNodes, span, message).label("the limit is reached here"));
            }
            return false;
        }
        if self.depth >= limits::MAX_DEPTH {
            if !std::mem::replace(&mut self.too_deep, true) {
                let message = format!("expressions are nested more than {} deep through calls", limits::MAX_DEPTH);
                self.report(Diagnostic::new(Code::NestingTooDeep, span, message).label("the limit is reached here"));
            }
            return false;
        }
        self.depth += 1;
        true
    }

    /// Leaves an expression that was entered.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// A short piece of source for messages.
    pub(super) fn excerpt(&self, span: Span) -> String {
        const SHOWN: usize = 40;
        let text: Vec<&str> = self.program.sources.text(span).split_whitespace().collect();
        let text = text.join(" ");
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    /// Where the user wrote what leads to `span`: a place in the library becomes the user's call.
    pub(super) fn user_place(&self, span: Span) -> Span {
        let library = self.frames.iter().rev().take_while(|frame| frame.home == Home::Library);
        library.last().map_or(span, |frame| frame.call)
    }

    /// The place that a node at `span` names as its origin: formulas and library layers count as their call.
    pub(super) fn origin(&self, span: Span) -> Span {
        let inlined = |frame: &&Frame<'a>| frame.home == Home::Library || frame.kind == Kind::Function;
        self.frames.iter().rev().take_while(inlined).last().map_or(span, |frame| frame.call)
    }

    /// Takes a diagnostic. One that stands in the library moves to the user's call and names its place in a note.
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        let place = self.user_place(diagnostic.span);
        let in_library = self.home() == Home::Library;
        if in_library {
            let outer = self.frames.iter().rev().take_while(|frame| frame.home == Home::Library).last();
            let name = outer.map_or("", |frame| frame.name);
            diagnostic.message = format!("`{name}`: {}", without_subject(&diagnostic.message));
            let (line, _) = self.program.sources.line_column(diagnostic.span);
            let file = &self.program.sources.get(diagnostic.span.file).name;
            diagnostic.notes.insert(0, format!("{file}:{line}: `{}`", self.program.sources.line(diagnostic.span)));
            diagnostic.related.retain(|(span, _)| span.file == place.file && *span != place);
            diagnostic.span = place;
        }
        // That of the first round is that of all.
        if let Some(round) = self.repeating.last().filter(|round| !round.is_first()) {
            match round.place().file == diagnostic.span.file {
                true => diagnostic.related.push((round.place(), round.note())),
                false => diagnostic.notes.push(round.note()),
            }
        }
        const CALLS: usize = 3;
        let calls = self.frames.iter().skip(1).filter(|frame| frame.home.is_user()).rev();
        let is_new = |frame: &&Frame<'a>, known: &[(Span, String)]| known.iter().all(|(span, _)| *span != frame.call);
        for frame in calls.take(CALLS) {
            if frame.call == diagnostic.span || !is_new(&frame, &diagnostic.related) {
                continue;
            }
            diagnostic.related.push((frame.call, format!("in this call of `{}`", frame.name)));
        }
        self.diagnostics.push(diagnostic);
    }

    /// Reports a mistake without further explanation.
    pub(super) fn error(&mut self, code: Code, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.report(Diagnostic::new(code, span, message).label(label));
    }

    /// Appends a node whose type is known, if the limits allow.
    pub(super) fn push(&mut self, op: Op, operands: &[NodeId], ty: Type, span: Span) -> Value<'a> {
        if !self.is_within_limits(&ty, span) {
            return Value::Poison;
        }
        let origin = Origin { span: self.origin(span), name: String::new() };
        Value::Tensor(self.graph.push(Node { op, operands: operands.to_vec(), ty, origin }))
    }

    /// Checks the size of a tensor and of the graph; reports what is too large.
    fn is_within_limits(&mut self, ty: &Type, span: Span) -> bool {
        if ty.dims.len() > limits::MAX_RANK {
            let message = format!("a tensor of {} dimensions, {} are the limit", ty.dims.len(), limits::MAX_RANK);
            self.error(Code::TooLarge, span, message, "too many dimensions");
            return false;
        }
        if limits::floats(&ty.dims).is_none() {
            let message = format!("a tensor of {:?} is larger than the limit", ty.dims);
            let label = format!("at most {} elements", limits::MAX_FLOATS);
            self.error(Code::TooLarge, span, message, label);
            return false;
        }
        if self.exhausted {
            return false;
        }
        if self.graph.nodes.len() >= limits::MAX_NODES {
            self.exhausted = true;
            let message = format!("the network unfolds to more than {} operations", limits::MAX_NODES);
            self.error(Code::TooManyNodes, span, message, "the limit is reached here");
            return false;
        }
        true
    }

    /// Counts the floats of one more parameter; reports if all together are too many.
    pub(super) fn count_floats(&mut self, dims: &[usize], span: Span) -> bool {
        let before = self.floats;
        self.floats = self.floats.saturating_add(limits::floats(dims).unwrap_or(usize::MAX));
        if self.floats > limits::MAX_FLOATS && before <= limits::MAX_FLOATS {
            let message = format!("the parameters have more than {} floats together", limits::MAX_FLOATS);
            self.error(Code::TooLarge, span, message, "the limit is exceeded here");
        }
        self.floats <= limits::MAX_FLOATS
    }

    /// The type of a value.
    pub(super) fn ty(&self, id: NodeId) -> &Type {
        self.graph.ty(id)
    }

    /// What messages call a value, with the type of a tensor.
    pub(super) fn describe(&self, value: &Value<'a>) -> String {
        match value {
            Value::Tensor(id) => self.ty(*id).to_string(),
            other => other.describe(),
        }
    }
}

/// A message without the name of the inner operation that it begins with.
fn without_subject(message: &str) -> &str {
    match message.strip_prefix('`').and_then(|rest| rest.split_once("`: ")) {
        Some((subject, rest)) if !subject.contains('`') => rest,
        _ => message,
    }
}
