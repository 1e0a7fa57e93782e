//! Networks that are applied: a network in another one, templates and their attributes, what is frozen in them.
//!
//! Inputs are the operands, in order; outputs are the results. Losses, metrics, labels and `train` are left behind: a
//! label is unknown, so is what depends on it, and nobody asks for that.

use std::rc::Rc;

use dl_grammar::ast::{self, Argument, Field, Member};
use dl_grammar::{Code, Diagnostic, Span};

use super::call::{Given, Slot};
use super::evaluator::{Evaluator, Frame, Kind};
use super::held::Mark;
use super::select::select;
use super::value::{Callee, Home, Value};
use crate::graph::{Element, Type};

impl<'a> Evaluator<'_, 'a> {
    /// `fake = Generator(noise);`
    pub(super) fn apply_network(
        &mut self,
        network: &'a ast::Network,
        at: Span,
        given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        let place = self.user_place(at);
        let inputs = inputs(network);
        let operands = inputs.iter().map(|field| Slot { name: &field.name.text, is_required: true });
        let slots: Vec<Slot<'a>> = operands.chain(attribute_slots(network)).collect();
        let Some(mut bound) = self.bind(Callee::Network(network), at, &slots, given) else { return Value::Poison };
        if bound.iter().flatten().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        let attributes = bound.split_off(inputs.len().min(bound.len()));
        if !self.enter_call(Kind::Network, Home::User(network.name.span.file), &network.name.text, at, prefix) {
            return Value::Poison;
        }
        let (first, first_penalty) = (self.mark(), self.penalties.len());
        let order: Vec<(&'a Argument, bool)> = network.arguments.iter().map(|argument| (argument, false)).collect();
        let operands = bound.into_iter().flatten().collect();
        let value = match self.declare_all(&order, attributes) {
            true => self.applied_members(network, operands, place),
            false => Value::Poison,
        };
        self.close_penalties(first_penalty, &value);
        self.freeze(&network.members, first);
        self.frames.pop();
        value
    }

    /// The statements of a network that is applied; its outputs.
    fn applied_members(&mut self, network: &'a ast::Network, operands: Vec<(Value<'a>, Span)>, at: Span) -> Value<'a> {
        let mut operands = operands.into_iter();
        let mut outputs = Vec::new();
        for member in &network.members {
            match member {
                Member::Input(field) => {
                    let value = match operands.next() {
                        Some(operand) => self.operand(network, field, operand, at),
                        None => Value::Poison,
                    };
                    if value.is_poison() {
                        return Value::Poison;
                    }
                    let value = self.operand_of_input(field, value);
                    self.declare(&field.name.text, value);
                }
                Member::Label(field) => self.declare(&field.name.text, Value::Poison),
                Member::Output(binding) => outputs.push(self.binding(binding)),
                Member::Loss(measure) | Member::Metric(measure) => {
                    if let Some(name) = &measure.name {
                        self.declare(&name.text, Value::Poison);
                    }
                }
                Member::Train(_) | Member::Budget(_) => {}
                other if !self.members(std::slice::from_ref(other)) => return Value::Poison,
                _ => {}
            }
        }
        match outputs.len() {
            1 => outputs.pop().unwrap_or(Value::Poison),
            0 => {
                let message = format!("`{}` has no output, so that nothing comes of applying it", network.name.text);
                let diagnostic = Diagnostic::new(Code::MissingOutput, at, message)
                    .label("applied here")
                    .related(network.name.span, "add `output name = …;` to it");
                self.report(diagnostic);
                Value::Poison
            }
            _ if outputs.iter().any(Value::is_poison) => Value::Poison,
            _ => Value::Tuple(Rc::from(outputs)),
        }
    }

    /// An operand, if it is what the input holds.
    fn operand(
        &mut self,
        network: &ast::Network,
        field: &'a Field,
        (value, place): (Value<'a>, Span),
        at: Span,
    ) -> Value<'a> {
        let shown = &network.name.text;
        let Value::Tensor(id) = value else {
            let expected = format!("a tensor for `{}`", field.name.text);
            return self.wrong_kind(shown, &expected, &value, place);
        };
        let Some((element, dims)) = self.field_type(field) else { return Value::Poison };
        let found = self.ty(id).clone();
        let fits = match (element, found.element) {
            (Element::Index(bound), Element::Index(found)) => found <= bound,
            (expected, found) => expected == found,
        };
        if fits && dims == found.dims {
            return value;
        }
        let code = if fits { Code::ShapeMismatch } else { Code::ElementMismatch };
        let expected = Type { element, dims, per_example: true };
        let found = Type { per_example: true, ..found };
        let message = format!("`{shown}` expects {expected} for its input `{}`, found {found}", field.name.text);
        let diagnostic = Diagnostic::new(code, place, message)
            .label(format!("this is {found}"))
            .related(field.span, "the input is declared here");
        let diagnostic = if place == at { diagnostic } else { diagnostic.related(at, "applied here") };
        self.report(diagnostic);
        Value::Poison
    }

    /// `Small(x)` where `network Small = Name(width: 64);`
    pub(super) fn apply_instance(
        &mut self,
        instance: &'a ast::Instance,
        at: Span,
        mut given: Vec<Given<'a>>,
        prefix: Option<String>,
    ) -> Value<'a> {
        let home = Home::User(instance.name.span.file);
        let Some(callee) = self.program.catalog.callable(&instance.template.callee.text, home) else {
            return Value::Poison;
        };
        if !matches!(callee, Callee::Network(_) | Callee::Instance(_)) || !self.enter(at) {
            return Value::Poison;
        }
        given.extend(self.preset(instance));
        let value = self.apply_callee(callee, at, given, prefix);
        self.leave();
        value
    }

    /// The attributes that an instance gives its template; they see what every declaration sees.
    fn preset(&mut self, instance: &'a ast::Instance) -> Vec<Given<'a>> {
        let callee = &instance.template.callee;
        let home = Home::User(instance.name.span.file);
        self.frames.push(Frame::new(Kind::Constant, home, &instance.name.text, callee.span, None, 0));
        let arguments = instance.template.arguments.iter();
        let given = arguments.map(|argument| Given {
            name: argument.name.as_ref(),
            value: self.expr(&argument.value),
            span: argument.value.span,
        });
        let given = given.collect();
        self.frames.pop();
        given
    }

    /// Makes the attributes of a network known that is walked itself; `false` if one is wrong.
    pub(super) fn attributes(&mut self, network: &'a ast::Network, instances: &[&'a ast::Instance]) -> bool {
        let given: Vec<Given<'a>> = instances.iter().flat_map(|instance| self.preset(instance)).collect();
        let at = instances.first().map_or(network.name.span, |instance| instance.template.callee.span);
        let slots: Vec<Slot<'a>> = attribute_slots(network).collect();
        let Some(bound) = self.bind(Callee::Network(network), at, &slots, given) else { return false };
        if bound.iter().flatten().any(|(value, _)| value.is_poison()) {
            return false;
        }
        let order: Vec<(&'a Argument, bool)> = network.arguments.iter().map(|argument| (argument, false)).collect();
        self.declare_all(&order, bound)
    }

    /// `freeze features.*;` for the parameters made since `first`, whose paths are as the statements see them.
    pub(super) fn freeze(&mut self, members: &'a [Member], first: Mark) {
        let freezes = members.iter().filter_map(|member| match member {
            Member::Freeze(freeze) => Some(freeze),
            _ => None,
        });
        for freeze in freezes {
            if self.is_met_again() {
                continue;
            }
            let open = self.open_statements;
            let own = self.parameters.iter_mut().skip(first.parameters).filter(|held| held.anchor >= open);
            let mut own: Vec<_> = own.collect();
            let paths: Vec<String> = own.iter().map(|held| held.tensor.path.clone()).collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let (chosen, diagnostics) = select(&freeze.patterns, &paths);
            for place in chosen {
                if let Some(held) = own.get_mut(place) {
                    held.tensor.frozen = true;
                }
            }
            diagnostics.into_iter().for_each(|diagnostic| self.report(diagnostic));
        }
    }
}

/// The inputs of a network in order.
fn inputs(network: &ast::Network) -> Vec<&Field> {
    let inputs = network.members.iter().filter_map(|member| match member {
        Member::Input(field) => Some(field),
        _ => None,
    });
    inputs.collect()
}

/// The attributes of a network in order.
fn attribute_slots(network: &ast::Network) -> impl Iterator<Item = Slot<'_>> {
    let arguments = network.arguments.iter();
    arguments.map(|argument| Slot { name: &argument.name.text, is_required: argument.default.is_none() })
}
