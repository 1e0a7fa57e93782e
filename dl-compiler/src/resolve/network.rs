//! One walk over a network: its statements go in, one graph and the tables of a model come out.
//!
//! A network is walked twice, once for training and once for inference; `check` compares the two.

use dl_grammar::ast::{self, Expr, ExprKind, Measure, Member};
use dl_grammar::{Code, Diagnostic, Span};

use super::check;
use super::evaluator::{Evaluator, Kind, Program};
use super::held::{Mark, numbers};
use super::objective::{self, Term};
use super::value::{Home, Value};
use crate::graph::{Element, Graph, NodeId, Role, Type};
use crate::model::{BindingRow, BudgetLimit, CallRow, Field, Loss, Named, Parameter, Train};
use crate::ops::{Op, input};

/// What one walk found.
pub(super) struct Half {
    /// Nodes and roots.
    pub(super) graph: Graph,
    /// Parameters with their whole paths.
    pub(super) parameters: Vec<Parameter>,
    /// States with their whole paths.
    pub(super) states: Vec<Parameter>,
    /// Inputs, then labels; `None` where the type is wrong.
    pub(super) fields: Vec<Option<Field>>,
    /// Outputs; `None` where the value is wrong.
    pub(super) outputs: Vec<Option<Named>>,
    /// Metrics whose values are sound.
    pub(super) metrics: Vec<Named>,
    /// What training steps make smaller.
    pub(super) losses: Vec<Loss>,
    /// Rows of the layer table.
    pub(super) rows: Vec<BindingRow>,
    /// Calls in the user's text.
    pub(super) calls: Vec<CallRow>,
    /// The limits of its budget.
    pub(super) budget: Vec<BudgetLimit>,
    /// The train section, if there is one.
    pub(super) train: Option<Train>,
    /// All mistakes.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether a value is missing, be it for a mistake reported elsewhere.
    pub(super) is_poisoned: bool,
}

/// A network that code is made for: one with all its attributes in place.
pub(super) struct Target<'a> {
    /// What it is called, and where.
    pub(super) name: &'a ast::Name,
    /// Its documentation.
    pub(super) docs: &'a ast::Docs,
    /// Whether `pub` stands before it.
    pub(super) public: bool,
    /// Whether no training code is made.
    pub(super) inference: bool,
    /// All of the declaration.
    pub(super) span: Span,
    /// What it computes.
    pub(super) network: &'a ast::Network,
    /// The instances that give the network its attributes; none if it is declared as it is.
    pub(super) instances: Vec<&'a ast::Instance>,
}

/// Walks a network.
pub(super) fn half<'a>(program: &Program<'a>, target: &Target<'a>, training: bool) -> Half {
    let network = target.network;
    let mut evaluator =
        Evaluator::new(program, Some(training), Kind::Network, Home::User(network.name.span.file), target.name);
    let is_ready = evaluator.attributes(network, &target.instances);
    let mut walk = Walk {
        evaluator,
        fields: Vec::new(),
        outputs: Vec::new(),
        metrics: Vec::new(),
        losses: Vec::new(),
        rows: Vec::new(),
        budget: Vec::new(),
        train: None,
        is_poisoned: !is_ready,
        has_input: check::has_input(network),
    };
    let inputs = network.members.iter().filter(|member| matches!(member, Member::Input(_))).count();
    let labels =
        network.members.iter().filter(|member| matches!(member, Member::Label(_)) && !target.inference).count();
    walk.fields.resize(inputs + labels, None);
    let (mut input, mut label) = (0, inputs);
    let is_left_behind = |member: &Member| match member {
        Member::Label(_) | Member::Loss(_) | Member::Metric(_) | Member::Train(_) => target.inference || !is_ready,
        _ => !is_ready,
    };
    for member in &network.members {
        match member {
            other if is_left_behind(other) => walk.leave_behind(other),
            Member::Input(field) => {
                walk.field(field, input, false);
                input += 1;
            }
            Member::Label(field) => {
                walk.field(field, label, true);
                label += 1;
            }
            Member::Binding(binding) => {
                let names: Vec<&str> =
                    std::iter::once(&binding.name).chain(&binding.others).map(|name| name.text.as_str()).collect();
                walk.row(&names, binding.name.span, |walk| walk.evaluator.binding(binding));
            }
            Member::Output(binding) => walk.output(binding),
            Member::Loss(measure) => walk.loss(measure),
            Member::Metric(measure) => walk.metric(measure),
            Member::Param(param) => {
                walk.row(&[&param.name.text], param.name.span, |walk| {
                    walk.evaluator.param(param);
                    walk.evaluator.value(&param.name.text).cloned().unwrap_or(Value::Poison)
                });
            }
            Member::Assert(assert) => {
                walk.evaluator.assert(assert);
            }
            Member::State(state) => walk.evaluator.state(state),
            Member::Update(update) => walk.evaluator.update(update),
            Member::Penalty(penalty) => walk.evaluator.penalty(penalty),
            Member::Shared(shared) => walk.evaluator.shared(shared),
            Member::Budget(budget) => walk.budget.extend(walk.evaluator.allowance(budget)),
            Member::Train(train) if walk.train.is_none() => walk.train = walk.evaluator.train(train),
            _ => {}
        }
    }
    walk.finish(target)
}

struct Walk<'p, 'a> {
    evaluator: Evaluator<'p, 'a>,
    fields: Vec<Option<Field>>,
    outputs: Vec<Option<Named>>,
    metrics: Vec<Named>,
    losses: Vec<Term<'a>>,
    rows: Vec<BindingRow>,
    budget: Vec<BudgetLimit>,
    train: Option<Train>,
    is_poisoned: bool,
    /// Without one, that nothing depends on an input is no mistake of its own.
    has_input: bool,
}

impl<'a> Walk<'_, 'a> {
    /// What is not evaluated here is unknown to the statements that follow.
    fn leave_behind(&mut self, member: &'a Member) {
        let name = match member {
            Member::Label(field) => Some(&field.name),
            Member::Loss(measure) | Member::Metric(measure) => measure.name.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.evaluator.declare(&name.text, Value::Poison);
        }
    }

    /// `input image: [1, 28, 28];` or `label digit: index(10);`
    fn field(&mut self, field: &'a ast::Field, place: usize, label: bool) {
        let mut value = Value::Poison;
        if let Some((element, dims)) = self.evaluator.field_type(field) {
            let ty = Type { element, dims: dims.clone(), per_example: true };
            let op = input::Input { field: place, ty: ty.clone() };
            value = self.evaluator.push(op.into(), &[], ty, field.span);
            self.evaluator.name_dims(&value, &field.dims);
            if let Value::Tensor(id) = value {
                self.evaluator.graph.nodes[id.index()].origin.name = field.name.text.clone();
                let (name, docs) = (field.name.text.clone(), field.docs.clone());
                if let Some(slot) = self.fields.get_mut(place) {
                    *slot = Some(Field { name, docs, label, element, dims, span: field.name.span });
                }
            }
        }
        self.evaluator.declare(&field.name.text, value);
    }

    /// Evaluates a statement and adds its rows to the layer table, one for each of its names.
    fn row(&mut self, names: &[&str], span: Span, evaluate: impl FnOnce(&mut Self) -> Value<'a>) -> Value<'a> {
        let (node, parameter) = (self.evaluator.graph.nodes.len(), self.evaluator.parameters.len());
        let value = evaluate(self);
        self.is_poisoned |= value.is_poison();
        let mut parameters: Vec<usize> = (parameter..self.evaluator.parameters.len()).collect();
        let end = self.evaluator.graph.nodes.len();
        let mut nodes = (node, end);
        let parts = match &value {
            Value::Tuple(parts) => parts.as_ref(),
            one => std::slice::from_ref(one),
        };
        for (place, part) in parts.iter().enumerate() {
            let Value::Tensor(id) = part else { continue };
            // What several values share is counted with the first of them.
            self.rows.push(BindingRow {
                name: names.get(place).copied().unwrap_or_default().to_owned(),
                dims: self.evaluator.ty(*id).dims.clone(),
                parameters: std::mem::take(&mut parameters),
                nodes: std::mem::replace(&mut nodes, (end, end)),
                span,
            });
        }
        value
    }

    /// `output probabilities = softmax(logits);`
    fn output(&mut self, binding: &'a ast::Binding) {
        let value = self.row(&[&binding.name.text], binding.name.span, |walk| walk.evaluator.binding(binding));
        let place = self.outputs.len();
        self.outputs.push(None);
        let id = match value {
            Value::Poison => return,
            Value::Tensor(id) => id,
            other => {
                let shown = format!("output {}", binding.name.text);
                self.evaluator.wrong_kind(&shown, "a tensor", &other, binding.value.span);
                return;
            }
        };
        let ty = self.evaluator.ty(id).clone();
        let name = &binding.name.text;
        let span = binding.value.span;
        if ty.element != Element::F32 {
            let message = format!("the output `{name}` holds f32, found {ty}");
            self.evaluator.error(Code::ElementMismatch, span, message, "another kind of element");
        } else if !ty.per_example && !self.has_input {
            self.is_poisoned = true;
        } else if !ty.per_example {
            let message = format!("the output `{name}` is the same for every example");
            let label = format!("this is {ty}: it {}", self.why_shared(id));
            self.evaluator.error(Code::BatchRule, span, message, label);
        } else {
            let (name, docs) = (name.clone(), binding.docs.clone());
            let dims = ty.dims;
            self.outputs[place] = Some(Named { name, docs, dims, span: binding.name.span });
            self.evaluator.graph.roots.push((Role::Output(place), id));
        }
    }

    /// `loss cross_entropy(logits, digit);`
    fn loss(&mut self, measure: &'a Measure) {
        let name = measure.name.as_ref().map_or("loss", |name| &name.text);
        let span = measure.name.as_ref().map_or(measure.span, |name| name.span);
        let value = self.row(&[name], span, |walk| walk.measure(measure, name));
        if let Some(id) = self.scalar("loss", measure, &value) {
            self.losses.push(Term { measure, node: id });
        }
    }

    /// `metric accuracy(logits, digit);`
    fn metric(&mut self, measure: &'a Measure) {
        let name = metric_name(measure).to_owned();
        let value = self.measure(measure, &name);
        self.is_poisoned |= value.is_poison();
        if let Some(id) = self.scalar("metric", measure, &value) {
            let role = Role::Metric(self.metrics.len());
            let span = measure.name.as_ref().map_or(measure.value.span, |name| name.span);
            self.metrics.push(Named { name, docs: measure.docs.clone(), dims: Vec::new(), span });
            self.evaluator.graph.roots.push((role, id));
        }
    }

    fn measure(&mut self, measure: &'a Measure, name: &str) -> Value<'a> {
        let first_node = self.evaluator.graph.nodes.len();
        self.evaluator.open_statement(Some(name), &measure.value);
        let value = self.evaluator.expr(&measure.value);
        self.evaluator.close_statement(Some(name));
        let value = self.evaluator.no_layer(value, measure.value.span);
        if let Value::Tensor(id) = value
            && id.index() >= first_node
        {
            self.evaluator.graph.nodes[id.index()].origin.name = name.to_owned();
        }
        if let Some(name) = &measure.name {
            self.evaluator.declare(&name.text, value.clone());
        }
        value
    }

    /// The node of a loss or metric, which must be one number per example.
    fn scalar(&mut self, shown: &str, measure: &Measure, value: &Value<'a>) -> Option<NodeId> {
        let id = match value {
            Value::Poison => return None,
            Value::Tensor(id) => *id,
            other => {
                self.evaluator.wrong_kind(shown, "a number per example", other, measure.value.span);
                return None;
            }
        };
        let ty = self.evaluator.ty(id).clone();
        if ty == Type::per_example([]) {
            return Some(id);
        }
        if !ty.per_example && !self.has_input {
            self.is_poisoned = true;
            return None;
        }
        let message = format!("a {shown} is a single f32 per example, found {ty}");
        let mut diagnostic = Diagnostic::new(Code::LossNotScalar, measure.value.span, message);
        if !ty.dims.is_empty() && ty.element == Element::F32 && ty.per_example {
            let inner = self.evaluator.excerpt(measure.value.span);
            diagnostic = diagnostic.label(numbers(ty.len())).help(format!("write `{shown} mean({inner})`"));
        } else if !ty.per_example {
            diagnostic = diagnostic.label(format!("the same for every example: it {}", self.why_shared(id)));
        } else {
            diagnostic = diagnostic.label("not a number").help("write `where(condition, 1, 0)` to count");
        }
        self.evaluator.report(diagnostic);
        None
    }

    /// Why a value is the same for every example.
    fn why_shared(&self, id: NodeId) -> &'static str {
        let graph = &self.evaluator.graph;
        let needed = graph.needed([id]);
        let mut nodes = graph.nodes.iter().zip(needed).filter(|(_, needed)| *needed);
        match nodes.any(|(node, _)| matches!(node.op, Op::SumBatch(_))) {
            true => "reduces over the batch",
            false => "depends on no input",
        }
    }

    /// Puts the losses together, freezes parameters, and names the nodes of what is held after its path.
    fn finish(mut self, target: &Target<'a>) -> Half {
        self.evaluator.freeze(&target.network.members, Mark::default());
        let Walk { evaluator, fields, outputs, metrics, losses, rows, budget, train, is_poisoned, .. } = self;
        let Evaluator { mut graph, parameters, states, penalties, calls, mut diagnostics, .. } = evaluator;
        let next: Vec<Option<NodeId>> = states.iter().map(|state| state.next).collect();
        let parameters: Vec<Parameter> = parameters.into_iter().map(|held| held.tensor).collect();
        let states: Vec<Parameter> = states.into_iter().map(|held| held.tensor).collect();
        let (losses, found) = objective::losses(&mut graph, &losses, &penalties, &parameters, target.name.span);
        diagnostics.extend(found);
        if let Some(train) = train.as_ref().filter(|_| !is_poisoned) {
            diagnostics.extend(super::train::unmatched(&train.decay, &parameters));
        }
        let next = next.into_iter().enumerate();
        graph.roots.extend(next.filter_map(|(place, next)| Some((Role::Update(place), next?))));
        for node in &mut graph.nodes {
            let held = match &node.op {
                Op::Parameter(op) => parameters.get(op.parameter),
                Op::State(op) => states.get(op.state),
                _ => None,
            };
            if let Some(held) = held {
                node.origin.name = held.path.replace('.', "_");
            }
        }
        graph.roots.sort_by_key(|(role, _)| *role);
        Half {
            graph,
            parameters,
            states,
            fields,
            outputs,
            metrics,
            losses,
            rows,
            calls,
            budget,
            train,
            diagnostics,
            is_poisoned,
        }
    }
}

impl<'a> Evaluator<'_, 'a> {
    /// What an input or label holds.
    pub(super) fn field_type(&mut self, field: &'a ast::Field) -> Option<(Element, Vec<usize>)> {
        let element = match &field.element {
            ast::Element::F32 => Some(Element::F32),
            ast::Element::Index(bound) => self.index_bound(bound).map(Element::Index),
        };
        let dims = self.dims(&field.dims);
        element.zip(dims)
    }

    /// The bound of an index type.
    fn index_bound(&mut self, expr: &'a Expr) -> Option<usize> {
        let bound = self.dim(expr)?;
        if i32::try_from(bound).is_err() {
            let message = format!("an index below {bound} is larger than the limit");
            self.error(Code::TooLarge, expr.span, message, format!("at most {}", i32::MAX));
            return None;
        }
        Some(bound)
    }
}

/// What a metric is called: its name, or what is called last.
pub(super) fn metric_name(measure: &Measure) -> &str {
    match (&measure.name, &measure.value.kind) {
        (Some(name), _) => &name.text,
        (None, ExprKind::Call(call)) => &call.callee.text,
        (None, ExprKind::Pipe(_, stages)) => stages.last().map_or("metric", |stage| stage.apply.name()),
        _ => "metric",
    }
}
