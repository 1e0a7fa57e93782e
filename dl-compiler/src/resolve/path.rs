//! Names of nodes and paths of parameters.
//!
//! A parameter's path is enclosing path . binding . instance . name. An instance is a call of a layer that holds
//! parameters: a named one bears its name, the only unnamed one of a statement is left out, several are numbered by kind.
//! How many there are is known when the statement ends, so paths grow from their end: every statement that ends puts
//! its part before the paths of all parameters made in it. Nodes are named after the calls of a statement by the same manner.

use std::collections::BTreeMap;

use dl_grammar::ast::{Apply, Expr, ExprKind, Name, Repeat, Stage};
use dl_grammar::{Code, Diagnostic};

use super::evaluator::Evaluator;
use super::held::Mark;
use super::limits;

/// A statement being evaluated: a binding, output, loss, metric, the result of a layer, or a layer value being applied.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// What names of nodes begin with; `None` leaves them nameless.
    prefix: Option<String>,
    /// How often each callee stands in it.
    totals: BTreeMap<String, usize>,
    /// How often each has been called so far.
    seen: BTreeMap<String, usize>,
    instances: Vec<Instance>,
    /// What was held when it began.
    first: Mark,
    /// Repetitions being applied; in one, a name stands for several instances and is numbered.
    pub(super) repetitions: usize,
}

/// A call that made parameters or states.
#[derive(Debug)]
struct Instance {
    segment: Segment,
    made: (Mark, Mark),
}

/// What an instance adds to paths.
#[derive(Debug)]
enum Segment {
    /// Its name.
    Name(String),
    /// A name within `repeat`, numbered.
    Numbered(String),
    /// What was called, numbered unless it is the only one of its statement.
    Kind(String),
}

impl<'a> Evaluator<'_, 'a> {
    /// Begins a statement.
    pub(super) fn open_statement(&mut self, name: Option<&str>, value: &Expr) {
        let mut totals = BTreeMap::new();
        count_calls(value, &mut totals);
        let prefix = self.frames.last().and_then(|frame| frame.prefix.as_ref());
        let prefix = prefix.map(|prefix| join(prefix, '_', name.unwrap_or("")));
        self.open_statement_with(prefix, totals);
    }

    /// Begins a statement within another: the names of its nodes begin with `prefix`, each callee stands in it that often.
    pub(super) fn open_statement_with(&mut self, prefix: Option<String>, totals: BTreeMap<String, usize>) {
        let first = self.mark();
        let Some(frame) = self.frames.last_mut() else { return };
        frame.statements.push(Statement { prefix, totals, first, ..Statement::default() });
        self.open_statements += 1;
    }

    /// Ends a statement and puts its part before the paths of what was made in it.
    pub(super) fn close_statement(&mut self, name: Option<&str>) {
        let Some(statement) = self.frames.last_mut().and_then(|frame| frame.statements.pop()) else { return };
        let is_kind = |instance: &&Instance| matches!(instance.segment, Segment::Kind(_));
        let unnamed = statement.instances.iter().filter(is_kind).count();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for instance in &statement.instances {
            let segment = match &instance.segment {
                Segment::Name(name) => name.clone(),
                Segment::Kind(_) if unnamed == 1 => continue,
                Segment::Kind(name) | Segment::Numbered(name) => {
                    let count = counts.entry(name).or_default();
                    *count += 1;
                    format!("{name}_{count}")
                }
            };
            self.prepend(&segment, instance.made);
        }
        if let Some(name) = name {
            self.prepend(name, (statement.first, self.mark()));
        }
        self.open_statements -= 1;
    }

    /// Puts a segment before the paths of what was made between two marks, unless it is shared by other statements.
    fn prepend(&mut self, segment: &str, (from, to): (Mark, Mark)) {
        let open = self.open_statements;
        let mut too_long = None;
        let parameters = self.parameters.iter_mut().take(to.parameters).skip(from.parameters);
        let states = self.states.iter_mut().take(to.states).skip(from.states);
        for held in parameters.chain(states).filter(|held| held.anchor >= open) {
            let tensor = &mut held.tensor;
            if tensor.path.len() + segment.len() < limits::MAX_NAME {
                tensor.path = join(segment, '.', &tensor.path);
            } else {
                too_long = Some(tensor.span);
            }
        }
        if let Some(span) = too_long {
            let message = format!("the path of a parameter has more than {} characters", limits::MAX_NAME);
            self.report(Diagnostic::new(Code::TooLarge, span, message).label("made here"));
        }
    }

    /// Remembers that a call made all that is held from `first` on, if any of that is its own.
    pub(super) fn keep_instance(&mut self, name: Option<&Name>, kind: &str, first: Mark) {
        let made = (first, self.mark());
        let open = self.open_statements;
        let is_own = |anchor: usize| anchor >= open;
        let has_own = self.parameters.iter().skip(first.parameters).any(|held| is_own(held.anchor))
            || self.states.iter().skip(first.states).any(|held| is_own(held.anchor));
        if let Some(statement) = self.frames.last_mut().and_then(|frame| frame.statements.last_mut())
            && has_own
        {
            let segment = match name {
                Some(name) if statement.repetitions > 0 => Segment::Numbered(name.text.clone()),
                Some(name) => Segment::Name(name.text.clone()),
                None => Segment::Kind(kind.to_owned()),
            };
            statement.instances.push(Instance { segment, made });
        }
    }

    /// What the result of a call is named: `features_relu`, numbered where the callee recurs in the statement.
    pub(super) fn call_name(&mut self, callee: &str, instance: Option<&Name>) -> Option<String> {
        let statement = self.frames.last_mut()?.statements.last_mut()?;
        let prefix = statement.prefix.as_ref()?;
        let name = match instance {
            Some(name) if statement.repetitions > 0 => {
                let seen = statement.seen.entry(name.text.clone()).or_default();
                *seen += 1;
                join(prefix, '_', &format!("{}_{seen}", name.text))
            }
            Some(name) => join(prefix, '_', &name.text),
            None if statement.totals.get(callee).is_some_and(|&total| total > 1) => {
                let seen = statement.seen.entry(callee.to_owned()).or_default();
                *seen += 1;
                join(prefix, '_', &format!("{callee}_{seen}"))
            }
            None => join(prefix, '_', callee),
        };
        Some(if name.len() > limits::MAX_NAME { callee.to_owned() } else { name })
    }
}

fn join(before: &str, separator: char, after: &str) -> String {
    match (before, after) {
        ("", _) => after.to_owned(),
        (_, "") => before.to_owned(),
        _ => format!("{before}{separator}{after}"),
    }
}

/// Counts the calls and stages of an expression by callee; statements within its branches count for themselves.
fn count_calls(expr: &Expr, totals: &mut BTreeMap<String, usize>) {
    match &expr.kind {
        ExprKind::Unary(_, operand) => count_calls(operand, totals),
        ExprKind::Binary(_, _, left, right) => {
            count_calls(left, totals);
            count_calls(right, totals);
        }
        ExprKind::Call(call) => {
            *totals.entry(call.callee.text.clone()).or_default() += 1;
            call.arguments.iter().for_each(|argument| count_calls(&argument.value, totals));
        }
        ExprKind::Pipe(first, stages) => {
            count_calls(first, totals);
            count_stages(stages, totals);
        }
        ExprKind::Repeat(repeat) => count_repeated(repeat, totals),
        ExprKind::If(choice) => {
            count_calls(&choice.then.value, totals);
            count_calls(&choice.otherwise.value, totals);
        }
        ExprKind::List(elements) => elements.iter().for_each(|element| count_calls(element, totals)),
        _ => {}
    }
}

/// Counts the stages of a pipe.
pub(super) fn count_stages(stages: &[Stage], totals: &mut BTreeMap<String, usize>) {
    for stage in stages {
        match &stage.apply {
            Apply::Call(call) => {
                if stage.instance.is_none() {
                    *totals.entry(call.callee.text.clone()).or_default() += 1;
                }
                call.arguments.iter().for_each(|argument| count_calls(&argument.value, totals));
            }
            Apply::Repeat(repeat) => count_repeated(repeat, totals),
        }
    }
}

/// What is repeated stands more than once.
fn count_repeated(repeat: &Repeat, totals: &mut BTreeMap<String, usize>) {
    let mut inner = BTreeMap::new();
    count_stages(&repeat.stages, &mut inner);
    inner.into_iter().for_each(|(name, count)| *totals.entry(name).or_default() += 2 * count);
}
