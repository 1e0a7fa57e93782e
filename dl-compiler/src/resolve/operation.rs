//! Calls of operations: attributes are read, operands broadcast where the operation works place by place, and a
//! constraint that is not met becomes a diagnostic with both shapes, their places and the constraint's number.

use dl_grammar::{Code, Diagnostic, Span};

use super::call::{Given, Slot};
use super::evaluator::Evaluator;
use super::value::{Callee, Value};
use crate::graph::{Element, NodeId, Type};
use crate::ops::{AttributeValue, Lowering, Op, Spec, Violation};

/// Operations whose results have the axes of their operand, besides those that work place by place.
const KEEP_AXES: &[&str] = &["softmax", "log_softmax", "causal_softmax", "stop_gradient"];

/// Operations along the last axis that take `over` for others.
pub(super) const TAKE_OVER: &[&str] = &["softmax", "log_softmax"];

impl<'a> Evaluator<'_, 'a> {
    /// `max_pool2d(x, 2)`
    pub(super) fn apply_operation(&mut self, spec: &'static Spec, at: Span, given: Vec<Given<'a>>) -> Value<'a> {
        if let Some(over) = given.iter().find(|given| given.name.is_some_and(|name| name.text == "over"))
            && TAKE_OVER.contains(&spec.name)
        {
            let over = (over.value.clone(), over.span);
            return self.softmax_over(spec, at, given, over);
        }
        let operands = spec.operands.iter().map(|name| Slot { name, is_required: true });
        let attributes = spec
            .attributes
            .iter()
            .map(|attribute| Slot { name: attribute.name, is_required: attribute.default.is_none() });
        let slots: Vec<Slot<'a>> = operands.chain(attributes).collect();
        let Some(mut bound) = self.bind(Callee::Operation(spec), at, &slots, given) else { return Value::Poison };
        let mut attributes = bound.split_off(spec.operands.len().min(bound.len()));
        let operands: Vec<(Value<'a>, Span)> = bound.into_iter().flatten().collect();
        if !self.count_axes(spec, &operands, &mut attributes) {
            return Value::Poison;
        }
        let Some(op) = self.build(spec, at, &attributes) else { return Value::Poison };
        if operands.iter().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        if spec.pointwise {
            return match self.at_compile_time(&op, &operands, at) {
                Some(value) => value,
                None => self.pointwise(spec.name, op, operands, at),
            };
        }
        let mut ids = Vec::with_capacity(operands.len());
        for (value, place) in &operands {
            match value {
                Value::Tensor(id) => ids.push((*id, *place)),
                other => return self.wrong_kind(spec.name, "a tensor", other, *place),
            }
        }
        let value = self.apply(spec.name, op, &ids, at, at);
        if let (true, Some(&(id, _))) = (KEEP_AXES.contains(&spec.name), ids.first()) {
            self.set_axis_names(&value, self.axis_names(id));
        }
        value
    }

    /// Axes become numbers, one for `axis`, a list for `axes`; names are looked for in the first operand.
    fn count_axes(
        &mut self,
        spec: &'static Spec,
        operands: &[(Value<'a>, Span)],
        attributes: &mut [Option<(Value<'a>, Span)>],
    ) -> bool {
        for (attribute, given) in spec.attributes.iter().zip(attributes) {
            let Some((axes @ Value::Axes(_), place)) = given.as_ref() else { continue };
            let (axes, place) = (axes.clone(), *place);
            let id = match operands.first() {
                Some((Value::Tensor(id), _)) => *id,
                Some((Value::Poison, _)) | None => return false,
                Some((other, place)) => {
                    self.wrong_kind(spec.name, "a tensor", other, *place);
                    return false;
                }
            };
            let counted = if attribute.name == "axis" {
                self.chosen_one(spec.name, id, &axes, place).map(|axis| Value::Integer(axis as i64))
            } else {
                self.chosen_order(spec.name, id, &axes, place)
            };
            match counted {
                Some(value) => *given = Some((value, place)),
                None => return false,
            }
        }
        true
    }

    /// The operation with its attributes, defaults filled in.
    fn build(&mut self, spec: &'static Spec, at: Span, given: &[Option<(Value<'a>, Span)>]) -> Option<Op> {
        let mut values: Vec<AttributeValue> = Vec::with_capacity(spec.attributes.len());
        for (attribute, given) in spec.attributes.iter().zip(given) {
            let value = match given {
                Some((Value::Poison, _)) => return None,
                Some((value, place)) => match value.attribute() {
                    Some(value) => value,
                    None => {
                        let shown = format!("{}: {}", spec.name, attribute.name);
                        self.wrong_kind(&shown, "a number, truth value or list", value, *place);
                        return None;
                    }
                },
                None => AttributeValue::default(attribute.default?, &values)?,
            };
            values.push(value);
        }
        match Op::build(spec.name, &values)? {
            Ok(op) => Some(op),
            Err((place, found)) => {
                let name = spec.attributes.get(place).map_or("", |attribute| attribute.name);
                let span = given.get(place).and_then(Option::as_ref).map_or(at, |(_, span)| *span);
                let message = format!("`{}`, attribute `{name}`: {found}", spec.name);
                self.error(Code::BadAttribute, span, message, format!("value of `{name}`"));
                None
            }
        }
    }

    /// The number that a pointwise operation makes of numbers; `None` if there is a tensor among them.
    fn at_compile_time(&mut self, op: &Op, operands: &[(Value<'a>, Span)], at: Span) -> Option<Value<'a>> {
        let numbers: Vec<f64> = operands.iter().map(|(value, _)| value.number()).collect::<Option<_>>()?;
        let number = Type::batch_wide([]);
        let types = vec![&number; operands.len()];
        match op.lower(&types, &number) {
            Lowering::Pointwise(function) => Some(self.finite(function.eval(&numbers), at)),
            _ => None,
        }
    }

    /// A pointwise operation on operands of any shapes that fit each other.
    pub(super) fn pointwise(&mut self, shown: &str, op: Op, operands: Vec<(Value<'a>, Span)>, span: Span) -> Value<'a> {
        self.pointwise_at(shown, op, operands, span, span)
    }

    /// The same; mistakes are reported at the operator.
    pub(super) fn pointwise_at(
        &mut self,
        shown: &str,
        op: Op,
        operands: Vec<(Value<'a>, Span)>,
        at: Span,
        span: Span,
    ) -> Value<'a> {
        if operands.iter().any(|(value, _)| value.is_poison()) {
            return Value::Poison;
        }
        match self.broadcast(shown, operands, at) {
            Some(alike) => {
                let value = self.apply(shown, op, &alike.operands, at, span);
                self.set_axis_names(&value, alike.names);
                value
            }
            None => Value::Poison,
        }
    }

    /// Appends an operation after checking its operands; mistakes are reported at `at`, the node stands for `span`.
    pub(super) fn apply(
        &mut self,
        shown: &str,
        op: Op,
        operands: &[(NodeId, Span)],
        at: Span,
        span: Span,
    ) -> Value<'a> {
        let types: Vec<&Type> = operands.iter().map(|&(id, _)| self.ty(id)).collect();
        match op.infer(&types) {
            Ok(ty) => {
                let ids: Vec<NodeId> = operands.iter().map(|&(id, _)| id).collect();
                self.looked_up(&op, &ids, span).unwrap_or_else(|| self.push(op, &ids, ty, span))
            }
            Err(violation) => {
                let code = code_of(&op, &types, &violation);
                let diagnostic = self.violation(shown, &op, operands, at, span, &violation, code);
                self.report(diagnostic);
                Value::Poison
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one message")]
    fn violation(
        &self,
        shown: &str,
        op: &Op,
        operands: &[(NodeId, Span)],
        at: Span,
        span: Span,
        violation: &Violation,
        code: Code,
    ) -> Diagnostic {
        let types: Vec<String> = operands.iter().map(|&(id, _)| self.shown_type(id, code)).collect();
        let mut diagnostic = Diagnostic::new(code, at, format!("`{shown}`: {}", violation.message));
        diagnostic.label = match (shown, types.as_slice()) {
            ("@", [a, b]) => format!("`{}` cannot multiply {a} by {b}", self.excerpt(span)),
            (_, [one]) => format!("its operand is {one}"),
            _ => format!("its operands are {}", types.join(" and ")),
        };
        for (&(id, place), shown) in operands.iter().zip(&types) {
            let is_apart = place.end <= at.start || at.end <= place.start || place.file != at.file;
            if is_apart && !diagnostic.related.iter().any(|(other, _)| *other == place) {
                diagnostic.related.push((place, self.history(id, shown)));
            }
        }
        if let Some(text) = violation.constraint.checked_sub(1).and_then(|place| op.spec().constraints.get(place)) {
            diagnostic.notes.push(format!("`{}`, constraint C{}: {text}", op.name(), violation.constraint));
        }
        diagnostic
    }

    /// A type as a message shows it: whether it is batch-wide matters to the batch rule only.
    fn shown_type(&self, id: NodeId, code: Code) -> String {
        match code {
            Code::BatchRule => self.ty(id).to_string(),
            _ => Type { per_example: true, ..self.ty(id).clone() }.to_string(),
        }
    }

    /// `[676], from [4, 13, 13]`
    fn history(&self, id: NodeId, shown: &str) -> String {
        let node = self.graph.node(id);
        match node.operands.first().map(|&operand| self.ty(operand)) {
            Some(before) if before.dims != node.ty.dims => format!("{shown}, from {:?}", before.dims),
            _ => shown.to_owned(),
        }
    }
}

/// The code of a violation: whether another element type or a value per example would have met the constraint.
fn code_of(op: &Op, types: &[&Type], violation: &Violation) -> Code {
    let Some(&at_fault) = types.get(violation.operand) else { return Code::ShapeMismatch };
    let is_met_by = |changed: Type| {
        let mut types = types.to_vec();
        types[violation.operand] = &changed;
        match op.infer(&types) {
            Ok(_) => true,
            Err(other) => other.constraint > violation.constraint,
        }
    };
    if is_met_by(Type { per_example: !at_fault.per_example, ..at_fault.clone() }) {
        return Code::BatchRule;
    }
    let bound = types.iter().filter_map(|ty| ty.dims.last().copied());
    let elements = bound.map(Element::Index).chain([Element::F32, Element::Bool]);
    for element in elements.filter(|&element| element != at_fault.element) {
        if is_met_by(Type { element, ..at_fault.clone() }) {
            return Code::ElementMismatch;
        }
    }
    Code::ShapeMismatch
}
