//! The outline of a network: its bindings, and in each the calls that the user's text makes, nested as layers are.
//!
//! A [`Model`]'s flat tables go in, a forest of [`Part`]s comes out: what layer tables and drawings are made of.
//!
//! ```text
//! features                 features.*
//! ├─ conv2d_1: conv2d      features.conv2d_1.weight, features.conv2d_1.bias
//! ├─ relu
//! └─ conv2d_2: conv2d      …
//! ```

use dl_grammar::Span;

use crate::model::{CallRow, Model};

/// A binding or a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What the paths of its parameters add to those around it; without parameters the name of the instance, if any.
    pub name: String,
    /// What is called; empty for a binding.
    pub callee: String,
    /// The dimensions of its value.
    pub dims: Vec<usize>,
    /// The parameters made in it, as places in [`Model::parameters`]: from, up to.
    pub parameters: (usize, usize),
    /// The nodes of the inference graph made in it: from, up to.
    pub nodes: (usize, usize),
    /// Where it is written.
    pub span: Span,
    /// The calls in it, in order.
    pub children: Vec<Part>,
}

impl Part {
    /// `conv2d_1: conv2d`, as an instance is named in the language; one name where both are the same.
    pub fn title(&self) -> String {
        match (self.name.as_str(), self.callee.as_str()) {
            ("", callee) => callee.to_owned(),
            (name, "") => name.to_owned(),
            (name, callee) if name == callee => name.to_owned(),
            (name, callee) => format!("{name}: {callee}"),
        }
    }
}

/// The parts of a network, one for each row of its layer table.
pub fn outline(model: &Model) -> Vec<Part> {
    let mut calls = nest(&model.calls).into_iter().peekable();
    let parts = model.bindings.iter().map(|binding| {
        let mut part = Part {
            name: binding.name.clone(),
            callee: String::new(),
            dims: binding.dims.clone(),
            parameters: range(&binding.parameters),
            nodes: binding.nodes,
            span: binding.span,
            children: Vec::new(),
        };
        // Calls of members that have no row, such as metrics, stand before those of the next row.
        while calls.next_if(|call| call.nodes.0 < binding.nodes.0).is_some() {}
        while let Some(call) = calls.next_if(|call| call.nodes.1 <= binding.nodes.1) {
            part.children.push(call);
        }
        name(&mut part.children, &part.name, model);
        simplify(part)
    });
    parts.collect()
}

fn range(places: &[usize]) -> (usize, usize) {
    places.first().zip(places.last()).map_or((0, 0), |(&first, &last)| (first, last + 1))
}

/// The tree of calls that come in order, each before the one it stands in.
fn nest(calls: &[CallRow]) -> Vec<Part> {
    let mut open: Vec<(usize, Part)> = Vec::new();
    for call in calls {
        let first = open.iter().rposition(|(depth, _)| *depth <= call.depth).map_or(0, |place| place + 1);
        let children = open.drain(first..).map(|(_, part)| part).collect();
        let part = Part {
            name: call.instance.clone().unwrap_or_default(),
            callee: call.callee.clone(),
            dims: call.dims.clone(),
            parameters: call.parameters,
            nodes: call.nodes,
            span: call.span,
            children,
        };
        open.push((call.depth, part));
    }
    open.into_iter().map(|(_, part)| part).collect()
}

/// Names parts by what their parameters' paths add to `around`.
fn name(parts: &mut [Part], around: &str, model: &Model) {
    for part in parts {
        let path = common_path(model, part.parameters).unwrap_or_default();
        let mut inner = around.to_owned();
        if let Some(rest) = path.strip_prefix(around) {
            let rest = rest.trim_start_matches('.');
            let own = if part.children.is_empty() { rest } else { own_path(part, rest) };
            part.name = own.to_owned();
            inner = path[..path.len() - (rest.len() - own.len())].trim_end_matches('.').to_owned();
        }
        name(&mut part.children, &inner, model);
    }
}

/// As much of a path as ends with the segment of a call; nothing if the call is left out of paths. What all parameters of
/// the call have in common may go on with names from within it.
fn own_path<'a>(part: &Part, path: &'a str) -> &'a str {
    let is_numbered = |segment: &str| {
        let number = segment.strip_prefix(part.callee.as_str()).and_then(|rest| rest.strip_prefix('_'));
        number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut end = 0;
    for segment in path.split('.') {
        end += segment.len();
        if segment == part.name || is_numbered(segment) {
            return &path[..end];
        }
        end += 1;
    }
    ""
}

/// What the paths of some parameters begin with, without their own names; `None` without parameters.
fn common_path(model: &Model, (from, to): (usize, usize)) -> Option<String> {
    let mut paths = model.parameters.get(from..to)?.iter().map(|parameter| {
        let mut segments: Vec<&str> = parameter.path.split('.').collect();
        segments.pop();
        segments
    });
    let mut common = paths.next()?;
    for path in paths {
        let equal = common.iter().zip(&path).take_while(|(a, b)| a == b).count();
        common.truncate(equal);
    }
    Some(common.join("."))
}

/// A binding whose value is one call without inner calls is one part.
fn simplify(mut part: Part) -> Part {
    if let [only] = part.children.as_slice()
        && only.children.is_empty()
        && only.nodes == part.nodes
    {
        part.callee = only.callee.clone();
        part.children.clear();
    }
    part
}
