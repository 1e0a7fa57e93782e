//! `scan`: a loop over the steps of sequences becomes a region of the graph.
//!
//! The body is evaluated once. What it makes of a step or a carry is repeated by the loop; what depends on neither lies
//! outside of it, and what is drawn at random is drawn for all steps at once, outside.

use std::collections::BTreeMap;
use std::rc::Rc;

use dl_grammar::ast::{Carry, Scan};
use dl_grammar::{Code, Diagnostic, Span};

use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::{self, Element, NodeId, Type};
use crate::ops::{carry, float, greater, last, next, scan_step, select, stack};

/// A carry while the body is evaluated.
struct Carried<'a> {
    declared: &'a Carry,
    node: NodeId,
}

impl<'a> Evaluator<'_, 'a> {
    /// What a loop yields, all steps of it; where more `names` are to be filled, also what its carries are in the end.
    pub(super) fn scan(&mut self, scan: &'a Scan, names: usize) -> Value<'a> {
        let sequences: Option<Vec<(NodeId, Span)>> = {
            let values: Vec<Option<(NodeId, Span)>> =
                scan.sequences.iter().map(|sequence| self.sequence(sequence)).collect();
            values.into_iter().collect()
        };
        let length = sequences.as_ref().and_then(|sequences| self.length(sequences, scan.span));
        let until = match &scan.until {
            Some(until) => self.until(until),
            None => Some(None),
        };
        let (Some(sequences), Some(length)) = (sequences, length) else { return Value::Poison };
        let Some(until) = until else { return Value::Poison };

        let place = self.graph.scans.len();
        let (span, parent) = (scan.span, self.scans.last().copied());
        self.graph.scans.push(graph::Scan { length, reversed: scan.reversed, parent, span });
        let mut is_sound = true;
        let mut carries = Vec::with_capacity(scan.carries.len());
        for (index, declared) in scan.carries.iter().enumerate() {
            match self.carry(declared, place, index) {
                Some(node) => carries.push(Carried { declared, node }),
                None => is_sound = false,
            }
        }
        if !is_sound {
            return Value::Poison;
        }
        let step = self.step_number(place, length, scan.reversed, carries.len(), until.is_some(), span);
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.push(BTreeMap::new());
        }
        for (name, (sequence, at)) in scan.steps.iter().zip(sequences) {
            let value = self.step_of(sequence, place, at);
            self.name_node(&value, &name.text);
            self.declare(&name.text, value);
        }
        let carried_before = self.carried.len();
        for carry in &carries {
            self.name_node(&Value::Tensor(carry.node), &carry.declared.name.text);
            self.declare(&carry.declared.name.text, Value::Tensor(carry.node));
            self.carried.push(&carry.declared.name.text);
        }
        self.scans.push(place);
        let first = self.graph.nodes.len();
        let is_sound = self.members(&scan.members);
        let yields: Vec<(Value<'a>, Span)> = if is_sound {
            scan.yields.iter().map(|value| (self.expr(value), value.span)).collect()
        } else {
            Vec::new()
        };
        let is_within = is_sound && self.is_within(first, place);
        let results = if is_within { self.results(scan, place, &carries, yields, step.zip(until)) } else { None };
        self.scans.pop();
        self.carried.truncate(carried_before);
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.pop();
        }
        let Some((mut values, last)) = results else { return Value::Poison };
        let missing = names.saturating_sub(values.len());
        values.extend(last.into_iter().take(missing));
        match <[Value<'a>; 1]>::try_from(values) {
            Ok([value]) => value,
            Err(values) => Value::Tuple(Rc::from(values)),
        }
    }

    /// A tensor with steps.
    fn sequence(&mut self, expr: &'a dl_grammar::ast::Expr) -> Option<(NodeId, Span)> {
        let value = self.expr(expr);
        let id = match &value {
            Value::Tensor(id) => *id,
            Value::Poison => return None,
            other => {
                self.wrong_kind("scan", "a sequence", other, expr.span);
                return None;
            }
        };
        let ty = self.ty(id).clone();
        if ty.dims.is_empty() {
            let message = format!("`scan` expects a sequence, found {ty}");
            self.error(Code::ShapeMismatch, expr.span, message, "has no steps");
            return None;
        }
        Some((id, expr.span))
    }

    /// The number of steps, which all sequences share.
    fn length(&mut self, sequences: &[(NodeId, Span)], span: Span) -> Option<usize> {
        let steps = |evaluator: &Self, id: NodeId| evaluator.ty(id).dims.first().copied();
        let Some(&(first, place)) = sequences.first() else {
            let diagnostic = Diagnostic::new(Code::MissingArgument, span, "`scan` needs a sequence".to_owned())
                .help("write `scan x_t in x with … { … yield … }`");
            self.report(diagnostic);
            return None;
        };
        let length = steps(self, first)?;
        for &(other, at) in sequences.iter().skip(1) {
            let found = steps(self, other)?;
            if found != length {
                let message = format!("`scan` expects sequences of {length} steps, found one of {found}");
                let diagnostic = Diagnostic::new(Code::ShapeMismatch, at, message)
                    .label(format!("this is {}", self.ty(other)))
                    .related(place, format!("this is {}", self.ty(first)));
                self.report(diagnostic);
                return None;
            }
        }
        Some(length)
    }

    /// The number of steps of an example after which a loop stands still; `None` if it is wrong.
    fn until(&mut self, expr: &'a dl_grammar::ast::Expr) -> Option<Option<(NodeId, Span)>> {
        let value = self.expr(expr);
        let id = match &value {
            Value::Tensor(id) => *id,
            Value::Poison => return None,
            other => {
                self.wrong_kind("until", "the number of steps of each example", other, expr.span);
                return None;
            }
        };
        if self.ty(id).len() != 1 || self.ty(id).element == Element::Bool {
            let message = format!("`until` expects a single number, found {}", self.ty(id));
            self.error(Code::ShapeMismatch, expr.span, message, format!("this is {}", self.ty(id)));
            return None;
        }
        let value = match self.ty(id).element {
            Element::Index(_) => self.apply("until", float::Float.into(), &[(id, expr.span)], expr.span, expr.span),
            _ => value,
        };
        match value {
            Value::Tensor(id) => Some(Some((id, expr.span))),
            _ => None,
        }
    }

    /// `h: [units] = 0`
    fn carry(&mut self, carry: &'a Carry, scan: usize, index: usize) -> Option<NodeId> {
        let dims = match &carry.dims {
            Some(dims) => Some(self.dims(dims)?),
            None => None,
        };
        let value = self.expr(&carry.initial);
        let at = carry.initial.span;
        let initial = match (&value, value.number(), dims) {
            (Value::Poison, ..) => return None,
            (Value::Tensor(id), _, dims) => {
                let found = self.ty(*id).clone();
                let expected = dims.unwrap_or_else(|| found.dims.clone());
                if found.dims != expected || found.element != Element::F32 {
                    let message = format!("`{}` expects a first value of {expected:?}, found {found}", carry.name.text);
                    let diagnostic = Diagnostic::new(Code::ShapeMismatch, at, message)
                        .label(format!("this is {found}"))
                        .related(carry.span, format!("declared as {expected:?}"));
                    self.report(diagnostic);
                    return None;
                }
                *id
            }
            (_, Some(number), dims) => match self.splat(number, dims.unwrap_or_default(), at) {
                Value::Tensor(id) => id,
                _ => return None,
            },
            (other, None, _) => {
                self.wrong_kind(&carry.name.text, "a tensor or a number as its first value", other, at);
                return None;
            }
        };
        let ty = Type::per_example(self.ty(initial).dims.clone());
        match self.push(carry::Carry { scan, index }.into(), &[initial], ty, carry.span) {
            Value::Tensor(id) => Some(id),
            _ => None,
        }
    }

    /// The number of the step that a loop is at: a carry of its own, if it is `wanted`.
    fn step_number(
        &mut self,
        scan: usize,
        length: usize,
        reversed: bool,
        index: usize,
        wanted: bool,
        span: Span,
    ) -> Option<NodeId> {
        if !wanted {
            return None;
        }
        let (first, change) = if reversed { (length as f64 - 1.0, -1.0) } else { (0.0, 1.0) };
        let (Value::Tensor(first), Value::Tensor(change)) =
            (self.splat(first, Vec::new(), span), self.splat(change, Vec::new(), span))
        else {
            return None;
        };
        let ty = Type::per_example([]);
        let value = self.push(carry::Carry { scan, index }.into(), &[first], ty.clone(), span);
        let Value::Tensor(step) = value else { return None };
        let sum = self.push(crate::ops::add::Add.into(), &[step, change], ty.clone(), span);
        let Value::Tensor(sum) = sum else { return None };
        self.push(next::Next { scan, index }.into(), &[sum], ty, span);
        Some(step)
    }

    /// The step of a sequence that a loop is at.
    pub(super) fn step_of(&mut self, sequence: NodeId, scan: usize, span: Span) -> Value<'a> {
        let ty = self.ty(sequence);
        let length = ty.dims.first().copied().unwrap_or(1);
        let dims = ty.dims.iter().skip(1).copied().collect::<Vec<_>>();
        let ty = Type { element: ty.element, ..Type::per_example(dims) };
        self.push(scan_step::ScanStep { scan, length }.into(), &[sequence], ty, span)
    }

    /// Whether all nodes from `first` on may stand in a loop; reports those that may not.
    fn is_within(&mut self, first: usize, scan: usize) -> bool {
        self.regions.extend(&self.graph);
        let is_wrong = |&(id, node): &(NodeId, &graph::Node)| self.regions.of(id).is_some() && !node.ty.per_example;
        let found = self.graph.iter().skip(first).find(is_wrong);
        let Some(span) = found.map(|(_, node)| node.origin.span) else { return true };
        let message = "a step of `scan` sums over the batch, which a loop over steps cannot do";
        let diagnostic = Diagnostic::new(Code::NotInScan, span, message)
            .label("stands within the loop")
            .related(self.graph.scans[scan].span, "this loop")
            .help("reduce over `batch` for all steps, before or after the loop");
        self.report(diagnostic);
        false
    }

    /// What the loop leaves behind: what it yields, and what its carries are in the end.
    fn results(
        &mut self,
        scan: &'a Scan,
        place: usize,
        carries: &[Carried<'a>],
        yields: Vec<(Value<'a>, Span)>,
        until: Option<(NodeId, (NodeId, Span))>,
    ) -> Option<(Vec<Value<'a>>, Vec<Value<'a>>)> {
        let length = self.graph.scans[place].length;
        let alive = match until {
            None => None,
            Some((step, (length, at))) => {
                let operands = vec![(Value::Tensor(length), at), (Value::Tensor(step), at)];
                match self.pointwise("until", greater::Greater.into(), operands, at) {
                    Value::Tensor(alive) => Some((alive, at)),
                    _ => return None,
                }
            }
        };
        let mut last = Vec::with_capacity(carries.len());
        let mut is_sound = true;
        for (index, carry) in carries.iter().enumerate() {
            let value = self.value(&carry.declared.name.text).cloned().unwrap_or(Value::Poison);
            match self.next_value(carry, value, alive) {
                Some(id) => {
                    let ty = self.ty(carry.node).clone();
                    let span = carry.declared.span;
                    self.push(next::Next { scan: place, index }.into(), &[id], ty.clone(), span);
                    last.push(self.push(last::Last { scan: place, index }.into(), &[id], ty, span));
                }
                None => is_sound = false,
            }
        }
        let mut values = Vec::with_capacity(yields.len());
        for (value, at) in yields {
            let value = match (&value, value.number()) {
                (Value::Poison, _) => return None,
                (Value::Tensor(_), _) => value,
                (_, Some(number)) => self.splat(number, Vec::new(), at),
                (other, None) => self.wrong_kind("yield", "a tensor or a number", other, at),
            };
            let Value::Tensor(id) = self.while_alive(value, None, alive, at) else { return None };
            let ty = self.ty(id);
            if let Element::Index(_) = ty.element {
                let message = format!("`yield` expects numbers, found {ty}");
                self.error(Code::ElementMismatch, at, message, "holds indices");
                return None;
            }
            let dims = [&[length], ty.dims.as_slice()].concat();
            let ty = Type { element: ty.element, ..Type::per_example(dims) };
            values.push(self.push(stack::Stack { scan: place, length }.into(), &[id], ty, scan.span));
        }
        is_sound.then_some((values, last))
    }

    /// What a carry is at the next step.
    fn next_value(&mut self, carry: &Carried<'a>, value: Value<'a>, alive: Option<(NodeId, Span)>) -> Option<NodeId> {
        let (name, dims) = (&carry.declared.name.text, self.ty(carry.node).dims.clone());
        let at = carry.declared.name.span;
        let value = match (&value, value.number()) {
            (Value::Poison, _) => return None,
            (Value::Tensor(id), _) if *id == carry.node => {
                let diagnostic = Diagnostic::new(Code::CarryUnassigned, at, format!("`{name}` gets no next value"))
                    .label("stays as it is at every step")
                    .help(format!("give it one in the body: `{name} = …;`"));
                self.report(diagnostic);
                return None;
            }
            (Value::Tensor(_), _) => value,
            (_, Some(number)) => self.splat(number, dims.clone(), at),
            (other, None) => self.wrong_kind(name, "a tensor or a number as its next value", other, at),
        };
        let Value::Tensor(id) = value else { return None };
        let found = self.ty(id).clone();
        if found.dims != dims || found.element != Element::F32 {
            let place = self.graph.node(id).origin.span;
            let message = format!("`{name}` expects a next value of {dims:?}, found {found}");
            let diagnostic = Diagnostic::new(Code::ShapeMismatch, place, message)
                .label(format!("this is {found}"))
                .related(carry.declared.span, format!("declared as {dims:?}"));
            self.report(diagnostic);
            return None;
        }
        match self.while_alive(Value::Tensor(id), Some(carry.node), alive, at) {
            Value::Tensor(id) => Some(id),
            _ => None,
        }
    }

    /// A value of a step that an example still has; of a later one `otherwise`, or 0.
    fn while_alive(
        &mut self,
        value: Value<'a>,
        otherwise: Option<NodeId>,
        alive: Option<(NodeId, Span)>,
        at: Span,
    ) -> Value<'a> {
        let Some((alive, _)) = alive else { return value };
        let otherwise = otherwise.map_or(Value::Integer(0), Value::Tensor);
        let operands = vec![(Value::Tensor(alive), at), (value, at), (otherwise, at)];
        self.pointwise("until", select::Select.into(), operands, at)
    }

    fn name_node(&mut self, value: &Value<'a>, name: &str) {
        let prefix = self.frames.last().and_then(|frame| frame.prefix.as_deref());
        if let (Value::Tensor(id), Some(prefix)) = (value, prefix) {
            let separator = if prefix.is_empty() { "" } else { "_" };
            self.graph.nodes[id.index()].origin.name = format!("{prefix}{separator}{name}");
        }
    }
}
