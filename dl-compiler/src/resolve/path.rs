//! Names of nodes and paths of parameters.
//!
//! A parameter's path is enclosing path . binding . instance . name. An instance is a call of a layer that holds
//! parameters: a named one bears its name, the only unnamed one of a statement is left out, several are numbered by kind.
//! How many there are is known when the statement ends, so paths grow from their end: every statement that ends puts
//! its part before the paths of all parameters made in it. Nodes are named after the calls of a statement by the same manner.

use std::collections::BTreeMap;
use std::ops::Range;

use dl_grammar::ast::{Apply, Expr, ExprKind, Name};
use dl_grammar::{Code, Diagnostic};

use super::evaluator::Evaluator;
use super::limits;

/// A statement being evaluated: a binding, output, loss, metric, or the result of a layer.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// What names of nodes begin with; `None` leaves them nameless.
    prefix: Option<String>,
    /// How often each callee stands in it.
    totals: BTreeMap<String, usize>,
    /// How often each has been called so far.
    seen: BTreeMap<String, usize>,
    instances: Vec<Instance>,
    first_parameter: usize,
}

/// A call that made parameters.
#[derive(Debug)]
struct Instance {
    name: Option<String>,
    kind: String,
    parameters: Range<usize>,
}

impl<'a> Evaluator<'_, 'a> {
    /// Begins a statement.
    pub(super) fn open_statement(&mut self, name: Option<&str>, value: &Expr) {
        let first_parameter = self.parameters.len();
        let Some(frame) = self.frames.last_mut() else { return };
        let prefix = frame.prefix.as_ref().map(|prefix| join(prefix, '_', name.unwrap_or("")));
        let mut totals = BTreeMap::new();
        count_calls(value, &mut totals);
        frame.statements.push(Statement { prefix, totals, first_parameter, ..Statement::default() });
    }

    /// Ends a statement and puts its part before the paths of the parameters made in it.
    pub(super) fn close_statement(&mut self, name: Option<&str>) {
        let Some(statement) = self.frames.last_mut().and_then(|frame| frame.statements.pop()) else { return };
        let unnamed = statement.instances.iter().filter(|instance| instance.name.is_none()).count();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for instance in &statement.instances {
            let segment = match &instance.name {
                Some(name) => name.clone(),
                None if unnamed == 1 => continue,
                None => {
                    let count = counts.entry(&instance.kind).or_default();
                    *count += 1;
                    format!("{}_{count}", instance.kind)
                }
            };
            self.prepend(&segment, instance.parameters.clone());
        }
        if let Some(name) = name {
            self.prepend(name, statement.first_parameter..self.parameters.len());
        }
    }

    fn prepend(&mut self, segment: &str, parameters: Range<usize>) {
        let mut too_long = None;
        for parameter in self.parameters.iter_mut().take(parameters.end).skip(parameters.start) {
            if parameter.path.len() + segment.len() < limits::MAX_NAME {
                parameter.path = join(segment, '.', &parameter.path);
            } else {
                too_long = Some(parameter.span);
            }
        }
        if let Some(span) = too_long {
            let message = format!("the path of a parameter has more than {} characters", limits::MAX_NAME);
            self.report(Diagnostic::new(Code::TooLarge, span, message).label("made here"));
        }
    }

    /// Remembers that a call made all parameters from `first` on.
    pub(super) fn keep_instance(&mut self, name: Option<&Name>, kind: &str, first: usize) {
        let parameters = first..self.parameters.len();
        if let Some(statement) = self.frames.last_mut().and_then(|frame| frame.statements.last_mut()) {
            let name = name.map(|name| name.text.clone());
            statement.instances.push(Instance { name, kind: kind.to_owned(), parameters });
        }
    }

    /// What the result of a call is named: `features_relu`, numbered where the callee recurs in the statement.
    pub(super) fn call_name(&mut self, callee: &str, instance: Option<&Name>) -> Option<String> {
        let statement = self.frames.last_mut()?.statements.last_mut()?;
        let prefix = statement.prefix.as_ref()?;
        let name = match instance {
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
            for stage in stages {
                if stage.instance.is_none() {
                    *totals.entry(stage.apply.name().to_owned()).or_default() += 1;
                }
                if let Apply::Call(call) = &stage.apply {
                    call.arguments.iter().for_each(|argument| count_calls(&argument.value, totals));
                }
            }
        }
        ExprKind::If(choice) => {
            count_calls(&choice.then.value, totals);
            count_calls(&choice.otherwise.value, totals);
        }
        ExprKind::List(elements) => elements.iter().for_each(|element| count_calls(element, totals)),
        _ => {}
    }
}
