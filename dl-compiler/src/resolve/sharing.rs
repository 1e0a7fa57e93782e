//! `shared encode = dense(64);`: one set of weights wherever it is applied.
//!
//! The first application makes parameters and states, under the shared name; every later one walks the same layer
//! again and meets what the first one made, in the same order. Shapes must then be the same.

use std::collections::BTreeMap;
use std::rc::Rc;

use dl_grammar::ast;
use dl_grammar::{Code, Diagnostic, Span};

use super::call::Given;
use super::evaluator::Evaluator;
use super::stage::LayerValue;
use super::value::Value;

/// A `shared` statement.
pub(super) struct Shared<'a> {
    name: &'a ast::Name,
    layer: Value<'a>,
    /// Statements open where it is declared: those add to its paths, others do not.
    anchor: usize,
    /// Applications of shared layers open where it is declared.
    level: usize,
    first: Option<First>,
}

/// What the first application made: parameters and states by place, in order.
#[derive(Debug, Clone)]
struct First {
    at: Span,
    parameters: Rc<[usize]>,
    states: Rc<[usize]>,
}

/// A shared layer being applied.
pub(super) struct Sharing<'a> {
    name: &'a ast::Name,
    level: usize,
    /// The first application, if this is a later one, and how much of it has been met again.
    first: Option<First>,
    met: (usize, usize),
    made: (Vec<usize>, Vec<usize>),
}

/// Where a declared parameter or state comes from.
pub(super) enum Source<'a> {
    /// It is new.
    New,
    /// It is the one at that place.
    Met(usize, Meeting<'a>),
    /// The first application made fewer.
    Unknown(Meeting<'a>),
}

/// What a message about a later application says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meeting<'a> {
    /// What is shared.
    pub(super) name: &'a ast::Name,
    /// Where it was applied first.
    pub(super) first: Span,
}

impl<'a> Evaluator<'_, 'a> {
    /// `shared encode = dense(64);`
    pub(super) fn shared(&mut self, shared: &'a ast::Shared) {
        let mut value = self.expr(&shared.value);
        if !matches!(value, Value::Layer(_) | Value::Callable(_) | Value::Poison) {
            let expected = "a layer without its operand, such as `dense(64)`";
            value = self.wrong_kind(&format!("shared {}", shared.name.text), expected, &value, shared.value.span);
        }
        if !value.is_poison() {
            let layer = LayerValue::Shared(self.shared.len(), &shared.name);
            let (anchor, level) = (self.open_statements, self.sharing.len());
            self.shared.push(Shared { name: &shared.name, layer: value, anchor, level, first: None });
            value = Value::Layer(Rc::new(layer));
        }
        self.declare(&shared.name.text, value);
    }

    /// Applies a shared layer.
    pub(super) fn apply_shared(
        &mut self,
        place: usize,
        at: Span,
        given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        let Some(shared) = self.shared.get(place) else { return Value::Poison };
        let (name, layer, anchor) = (shared.name, shared.layer.clone(), shared.anchor);
        let sharing = Sharing {
            name,
            level: shared.level,
            first: shared.first.clone(),
            met: (0, 0),
            made: (Vec::new(), Vec::new()),
        };
        let before = self.mark();
        self.sharing.push(sharing);
        self.open_statement_with(prefix, BTreeMap::new());
        let value = self.apply_target(&layer, &name.text, at, None, given);
        self.close_statement(Some(&name.text));
        let parameters = self.parameters.iter_mut().skip(before.parameters);
        for held in parameters.chain(self.states.iter_mut().skip(before.states)) {
            held.anchor = held.anchor.min(anchor);
        }
        let Some(sharing) = self.sharing.pop() else { return value };
        match sharing.first {
            None if !value.is_poison() => {
                let (parameters, states) = (Rc::from(sharing.made.0), Rc::from(sharing.made.1));
                if let Some(shared) = self.shared.get_mut(place) {
                    shared.first = Some(First { at, parameters, states });
                }
            }
            Some(first) if !value.is_poison() && sharing.met != (first.parameters.len(), first.states.len()) => {
                let message = format!("`{}` holds fewer parameters here than where it was applied first", name.text);
                let diagnostic = Diagnostic::new(Code::ShapeMismatch, at, message)
                    .label("this operand leads to other parameters")
                    .related(first.at, "applied first here");
                self.report(diagnostic);
                return Value::Poison;
            }
            _ => {}
        }
        value
    }

    /// Whether what is evaluated has been evaluated before, for the same parameters.
    pub(super) fn is_met_again(&self) -> bool {
        self.sharing.iter().any(|sharing| sharing.first.is_some())
    }

    /// Where the next parameter or state comes from; `new` is its place if it is new.
    ///
    /// A shared layer that is declared within another's application makes its parameters for the other as well.
    pub(super) fn source(&mut self, is_state: bool, new: usize) -> Source<'a> {
        let mut level = self.sharing.len();
        let mut recording: Vec<usize> = Vec::new();
        let mut source = Source::New;
        while let Some(place) = level.checked_sub(1) {
            let Some(sharing) = self.sharing.get_mut(place) else { break };
            let Some(first) = &sharing.first else {
                recording.push(place);
                level = sharing.level.min(place);
                continue;
            };
            let meeting = Meeting { name: sharing.name, first: first.at };
            let (made, met) = match is_state {
                true => (&first.states, &mut sharing.met.1),
                false => (&first.parameters, &mut sharing.met.0),
            };
            source = match made.get(*met) {
                Some(&place) => Source::Met(place, meeting),
                None => Source::Unknown(meeting),
            };
            *met += 1;
            break;
        }
        let made = match source {
            Source::New => new,
            Source::Met(place, _) => place,
            Source::Unknown(_) => return source,
        };
        for place in recording {
            if let Some(sharing) = self.sharing.get_mut(place) {
                if is_state { sharing.made.1.push(made) } else { sharing.made.0.push(made) }
            }
        }
        source
    }
}
