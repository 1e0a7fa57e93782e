//! Calls: finds what is called and gives each argument its slot by one rule.
//!
//! Slots are the declared operands in order, then the attributes in order. The piped value is the first positional
//! argument; positional arguments fill the slots that are not named in the call.

use dl_grammar::ast::{self, Name};
use dl_grammar::{Code, Diagnostic, Span, closest};

use super::axes::axes_arguments;
use super::builtin::extreme;
use super::evaluator::{Evaluator, Kind};
use super::held::Mark;
use super::operation::TAKE_OVER;
use super::stage::LayerValue;
use super::value::{Callee, Value};
use crate::model::CallRow;

/// An argument of a call.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    /// `name:` before it.
    pub(super) name: Option<&'a Name>,
    /// What it is.
    pub(super) value: Value<'a>,
    /// Where it is written; for a piped value, the stage before.
    pub(super) span: Span,
}

/// A place for an argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Whether a call must fill it.
    pub(super) is_required: bool,
}

/// The arguments of a call by slot; `None` where the default is wanted.
pub(super) type Bound<'a> = Vec<Option<(Value<'a>, Span)>>;

impl<'a> Evaluator<'_, 'a> {
    /// The value of a call or stage.
    pub(super) fn call(
        &mut self,
        call: &'a ast::Call,
        instance: Option<&'a Name>,
        piped: Option<Given<'a>>,
    ) -> Value<'a> {
        let is_piped = piped.is_some();
        let (target, given) = self.target_and_arguments(call, piped);
        let Some(target) = target else { return Value::Poison };
        if !is_piped && self.leaves_operands_out(&target, &given) {
            return self.layer_value(target, call.callee.span, given);
        }
        self.apply_target(&target, &call.callee.text, call.callee.span, instance, given)
    }

    /// What is called, unless that is wrong already, and with what.
    pub(super) fn target_and_arguments(
        &mut self,
        call: &'a ast::Call,
        piped: Option<Given<'a>>,
    ) -> (Option<Value<'a>>, Vec<Given<'a>>) {
        let target = self.target(&call.callee.text);
        let callee = match &target {
            Some(Value::Callable(callee)) => Some(*callee),
            _ => None,
        };
        let speaks_of_axes = axes_arguments(callee, call, piped.is_some());
        let mut given: Vec<Given<'a>> = piped.into_iter().collect();
        for (argument, is_axes) in call.arguments.iter().zip(speaks_of_axes) {
            let value = if is_axes { self.axes(&argument.value) } else { self.expr(&argument.value) };
            given.push(Given { name: argument.name.as_ref(), value, span: argument.value.span });
        }
        (target, given)
    }

    /// Applies a callable or layer value, which paths and messages call `kind`, as an instance of the statement at hand.
    pub(super) fn apply_target(
        &mut self,
        target: &Value<'a>,
        kind: &'a str,
        at: Span,
        instance: Option<&'a Name>,
        given: Vec<Given<'a>>,
    ) -> Value<'a> {
        let name = self.call_name(kind, instance);
        let (first_node, first) = (self.graph.nodes.len(), self.mark());
        let value = match target {
            Value::Callable(callee) => self.apply_callee(*callee, at, given, name.clone()),
            Value::Layer(layer) => self.apply_layer_value(layer, at, given, name.clone()),
            _ => Value::Poison,
        };
        if let (Value::Tensor(id), Some(name)) = (&value, name)
            && id.index() >= first_node
        {
            self.graph.nodes[id.index()].origin.name = name;
        }
        if self.mark() != first {
            if self.is_in_function() {
                self.held_in_function(kind, at, first);
                return Value::Poison;
            }
            self.keep_instance(instance, kind, first);
        }
        // Of what consists of calls, these are the rows.
        let is_one_call = match target {
            Value::Layer(layer) => matches!(layer.as_ref(), LayerValue::Call(..)),
            _ => true,
        };
        if let Value::Tensor(id) = value
            && is_one_call
            && self.frames.iter().all(|frame| frame.home.is_user() && frame.kind != Kind::Function)
        {
            self.calls.push(CallRow {
                instance: instance.map(|name| name.text.clone()),
                callee: kind.to_owned(),
                dims: self.ty(id).dims.clone(),
                parameters: (first.parameters, self.parameters.len()),
                nodes: (first_node, self.graph.nodes.len()),
                depth: self.frames.len() - 1,
                span: at,
            });
        }
        value
    }

    /// Applies what is declared or known to the compiler.
    pub(super) fn apply_callee(
        &mut self,
        callee: Callee<'a>,
        at: Span,
        given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        match callee {
            Callee::Function(function, home) => self.apply_function(function, home, at, given),
            Callee::Layer(layer, home) => self.apply_layer(layer, home, at, given, prefix),
            Callee::Operation(spec) => match extreme(spec.name, &given) {
                Some(reduction) => self.apply_builtin(reduction, at, given),
                None => self.apply_operation(spec, at, given),
            },
            Callee::Builtin(builtin) => self.apply_builtin(builtin, at, given),
            Callee::Network(network) => self.apply_network(network, at, given, prefix),
            Callee::Instance(instance) => self.apply_instance(instance, at, given, prefix),
        }
    }

    /// What a name that is called means: a value that can be applied, or a declaration.
    fn target(&self, name: &str) -> Option<Value<'a>> {
        let callee = match self.value(name) {
            Some(value @ Value::Layer(_)) => return Some(value.clone()),
            Some(Value::Callable(callee)) => *callee,
            Some(Value::Poison) => return None,
            _ => self.program.catalog.callable(name, self.home())?,
        };
        let is_recursive = callee.home().is_some_and(|home| self.program.recursive.contains(&(home, callee.name())));
        (!is_recursive).then_some(Value::Callable(callee))
    }

    fn held_in_function(&mut self, callee: &str, at: Span, first: Mark) {
        self.parameters.truncate(first.parameters);
        self.states.truncate(first.states);
        let name = self.frames.last().map_or("", |frame| frame.name);
        let message = format!("`{name}` is a `fn` and holds no parameters, but `{callee}` does");
        let diagnostic = Diagnostic::new(Code::MisplacedMember, at, message)
            .label("holds parameters")
            .help(format!("declare it as `layer {name}(x: [..]) {{ … }}`"));
        self.report(diagnostic);
    }

    /// Gives every argument its slot, or reports all that is wrong with the call.
    pub(super) fn bind(
        &mut self,
        callee: Callee<'a>,
        at: Span,
        slots: &[Slot<'a>],
        given: Vec<Given<'a>>,
    ) -> Option<Bound<'a>> {
        let shown = callee.name();
        let is_named =
            |slot: &Slot<'_>| given.iter().any(|given| given.name.is_some_and(|name| name.text == slot.name));
        let open: Vec<usize> = (0..slots.len()).filter(|&place| !is_named(&slots[place])).collect();
        let mut free = open.iter().copied();
        let mut bound: Bound<'a> = vec![None; slots.len()];
        let mut is_complete = true;
        let mut surplus: Option<Span> = None;
        let positional = given.iter().filter(|given| given.name.is_none()).count();
        let written = self.written(at, &given);
        for Given { name, value, span } in given {
            let place = match name {
                None => free.next(),
                Some(name) => match slots.iter().position(|slot| slot.name == name.text) {
                    Some(place) if bound[place].is_some() => {
                        let message = format!("`{shown}` is given `{}` twice", name.text);
                        self.error(Code::TooManyArguments, name.span, message, "given before");
                        is_complete = false;
                        continue;
                    }
                    Some(place) => Some(place),
                    None => {
                        self.unknown_attribute(callee, slots, name);
                        is_complete = false;
                        continue;
                    }
                },
            };
            match place {
                Some(place) => bound[place] = Some((value, span)),
                None => surplus = surplus.or(Some(span)),
            }
        }
        if let Some(span) = surplus {
            let message = format!("`{shown}` takes {}, found {positional}", count(open.len()));
            let diagnostic = Diagnostic::new(Code::TooManyArguments, span, message)
                .label("one too many")
                .note(format!("it is declared as `{}`", callee.signature()));
            self.report(diagnostic);
            return None;
        }
        if !is_complete {
            return None;
        }
        let missing = slots.iter().zip(&bound).filter(|(slot, bound)| slot.is_required && bound.is_none());
        let missing: Vec<&str> = missing.map(|(slot, _)| slot.name).collect();
        if missing.is_empty() {
            return Some(bound);
        }
        self.missing_arguments(callee, at, &missing, &written);
        None
    }

    /// What is written between the parentheses of a call.
    fn written(&self, at: Span, given: &[Given<'a>]) -> Vec<String> {
        let is_written = |given: &&Given<'a>| given.span.file == at.file && given.span.start >= at.end;
        let shown = |given: &Given<'a>| match given.name {
            Some(name) => format!("{}: {}", name.text, self.excerpt(given.span)),
            None => self.excerpt(given.span),
        };
        given.iter().filter(is_written).map(shown).collect()
    }

    fn unknown_attribute(&mut self, callee: Callee<'a>, slots: &[Slot<'a>], name: &Name) {
        let shown = callee.name();
        let message = format!("`{shown}` has no attribute `{}`", name.text);
        let mut diagnostic = Diagnostic::new(Code::UnknownAttribute, name.span, message)
            .label("no such attribute")
            .note(format!("it is declared as `{}`", callee.signature()));
        let is_axis = matches!(name.text.as_str(), "axis" | "axes" | "dim" | "dims");
        let takes_axes = slots.iter().any(|slot| slot.name == "over") || TAKE_OVER.contains(&shown);
        if is_axis && takes_axes {
            diagnostic = diagnostic.help("did you mean `over`?");
        } else if let Some(near) = closest(&name.text, slots.iter().map(|slot| slot.name)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic);
    }

    /// Reports arguments that a call leaves out.
    fn missing_arguments(&mut self, callee: Callee<'a>, at: Span, missing: &[&str], written: &[String]) {
        let shown = callee.name();
        let list: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let list = list.join(" and ");
        let typed = written.iter().cloned().chain(missing.iter().map(|name| format!("{name}: …")));
        let typed: Vec<String> = typed.collect();
        let diagnostic = Diagnostic::new(Code::MissingArgument, at, format!("`{shown}` needs {list}"))
            .label(format!("{list} {verb} missing"))
            .note(format!("it is declared as `{}`", callee.signature()))
            .help(format!("write `{shown}({})`", typed.join(", ")));
        self.report(diagnostic);
    }
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no further arguments".to_owned(),
        1 => "1 argument".to_owned(),
        _ => format!("{arguments} arguments"),
    }
}
