//! A model enters, a drawing in the DOT language leaves: layers as nodes, nested layers as frames, data flow as edges.
//!
//! What is drawn is the inference form. A call that holds no other call is one node, with its parameters; arithmetic
//! between calls is a node for each expression. Constants, metrics, and what nothing is computed from are left out.

use std::collections::BTreeSet;
use std::fmt::Write;

use dl_compiler::graph::{Graph, Node, NodeId, Role, Type};
use dl_compiler::model::{Model, Parameter};
use dl_compiler::ops::Op;
use dl_compiler::outline::{Part, outline};

/// Names a node of the drawing.
type Shape = usize;

/// The network in DOT.
pub(crate) fn draw(model: &Model) -> String {
    let graph = &model.inference;
    let mut drawing = Drawing {
        model,
        graph,
        needed: needed(graph),
        owners: vec![None; graph.nodes.len()],
        notes: BTreeSet::new(),
        shapes: 0,
        text: String::new(),
    };
    let end = graph.nodes.len();
    let name = quoted(&model.name);
    let _ = writeln!(drawing.text, "digraph {name} {{");
    let _ = writeln!(drawing.text, "    label={name}; labelloc=t; fontsize=16; fontname=\"sans-serif\";");
    let _ = writeln!(
        drawing.text,
        "    node [shape=box, style=\"rounded,filled\", fillcolor=white, fontsize=11, fontname=\"sans-serif\"];\n    \
         edge [color=\"#555555\", fontsize=9, fontname=\"sans-serif\"];"
    );
    drawing.within((0, end), &outline(model), 1);
    drawing.edges();
    drawing.results();
    drawing.text.push_str("}\n");
    drawing.text
}

/// The nodes that an output or a loss is computed from.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    for (_, id) in graph.roots.iter().filter(|(role, _)| matches!(role, Role::Output(_) | Role::Loss(_))) {
        mark(&mut needed, *id);
    }
    for (id, node) in graph.iter().rev() {
        if needed.get(id.index()).copied().unwrap_or(false) {
            node.operands.iter().for_each(|operand| mark(&mut needed, *operand));
        }
    }
    needed
}

fn mark(needed: &mut [bool], id: NodeId) {
    if let Some(place) = needed.get_mut(id.index()) {
        *place = true;
    }
}

struct Drawing<'a> {
    model: &'a Model,
    graph: &'a Graph,
    needed: Vec<bool>,
    /// The shape that stands for each node of the graph.
    owners: Vec<Option<Shape>>,
    /// The shapes of inputs, and of parameters that no call holds.
    notes: BTreeSet<Shape>,
    shapes: usize,
    text: String,
}

impl Drawing<'_> {
    /// Draws the parts of a range of nodes, and what lies between them.
    fn within(&mut self, (from, to): (usize, usize), parts: &[Part], depth: usize) {
        let mut next = from;
        for part in parts {
            self.between(next, part.nodes.0, depth);
            self.part(part, depth);
            next = next.max(part.nodes.1);
        }
        self.between(next, to, depth);
    }

    /// One call or binding: a frame if there are calls in it, otherwise a node.
    fn part(&mut self, part: &Part, depth: usize) {
        let (from, to) = part.nodes;
        if !self.needed.get(from..to).unwrap_or(&[]).contains(&true) {
            return;
        }
        let blanks = "    ".repeat(depth);
        let title = part.title();
        if part.children.is_empty() && !part.callee.is_empty() {
            let label = format!("{title}\n{}{}", dims(&part.dims), self.held(part));
            let shape = self.shape(&label, "", depth);
            self.own(from, to, shape);
            return;
        }
        let frame = self.shapes;
        self.shapes += 1;
        let label = quoted(&format!("{title}  {}", dims(&part.dims)));
        let _ = writeln!(self.text, "{blanks}subgraph cluster_{frame} {{");
        let _ = writeln!(
            self.text,
            "{blanks}    label={label}; labeljust=l; fontsize=11; style=rounded; color=\"#aaaaaa\";"
        );
        self.within(part.nodes, &part.children, depth + 1);
        let _ = writeln!(self.text, "{blanks}}}");
    }

    /// Nodes of the graph that no call made: inputs, parameters and arithmetic, one shape for each expression.
    fn between(&mut self, from: usize, to: usize, depth: usize) {
        let mut at = from;
        while at < to {
            let Some(node) = self.graph.nodes.get(at) else { return };
            let end = match &node.op {
                Op::Input(_) | Op::Parameter(_) | Op::State(_) | Op::Splat(_) => at + 1,
                _ => self.graph.nodes[at..to]
                    .iter()
                    .position(|other| other.origin.span != node.origin.span || is_leaf(other))
                    .map_or(to, |length| at + length),
            };
            if self.needed.get(at..end).unwrap_or(&[]).contains(&true) {
                self.expression(at, end, depth);
            }
            at = end;
        }
    }

    fn expression(&mut self, from: usize, to: usize, depth: usize) {
        let graph = self.graph;
        let Some((node, nodes)) = graph.nodes.get(from..to).and_then(|nodes| Some((nodes.last()?, nodes))) else {
            return;
        };
        if nodes.iter().all(is_plumbing) {
            // Drawn as what it is made of.
            let shape = node.operands.first().and_then(|operand| self.owner(*operand));
            self.owners.iter_mut().take(to).skip(from).for_each(|owner| *owner = shape);
            return;
        }
        let (label, style) = match &node.op {
            Op::Input(input) => {
                let field = self.model.fields.get(input.field);
                let kind = if field.is_some_and(|field| field.label) { "label" } else { "input" };
                let name = field.map_or("", |field| field.name.as_str());
                (format!("{kind} {name}\n{}", shown(&node.ty)), ", shape=ellipse, fillcolor=\"#e8f0fe\"")
            }
            Op::Parameter(op) => (held(self.model.parameters.get(op.parameter)), PARAMETER),
            Op::State(op) => (held(self.model.states.get(op.state)), PARAMETER),
            _ => {
                let mut names: Vec<&str> =
                    nodes.iter().filter(|node| !is_plumbing(node)).map(|node| node.op.name()).collect();
                names.dedup();
                (format!("{}\n{}", names.join(", "), dims(&node.ty.dims)), ", fillcolor=\"#f7f7f7\"")
            }
        };
        let shape = self.shape(&label, style, depth);
        if is_leaf(node) {
            self.notes.insert(shape);
        }
        self.own(from, to, shape);
    }

    fn shape(&mut self, label: &str, style: &str, depth: usize) -> Shape {
        let shape = self.shapes;
        self.shapes += 1;
        let _ = writeln!(self.text, "{}n{shape} [label={}{style}];", "    ".repeat(depth), quoted(label));
        shape
    }

    fn own(&mut self, from: usize, to: usize, shape: Shape) {
        for owner in self.owners.iter_mut().take(to).skip(from) {
            *owner = Some(shape);
        }
    }

    /// What the parameters of a call amount to.
    fn held(&self, part: &Part) -> String {
        let (from, to) = part.parameters;
        let parameters = self.model.parameters.get(from..to).unwrap_or(&[]);
        let floats: usize = parameters.iter().map(|parameter| parameter.dims.iter().product::<usize>()).sum();
        if floats == 0 { String::new() } else { format!("\n{} parameters", dl_compiler::summary::grouped(floats)) }
    }

    fn owner(&self, id: NodeId) -> Option<Shape> {
        self.owners.get(id.index()).copied().flatten()
    }

    fn edges(&mut self) {
        let mut edges: BTreeSet<(Shape, Shape, bool)> = BTreeSet::new();
        for (id, node) in self.graph.iter().filter(|(id, _)| self.needed.get(id.index()).copied().unwrap_or(false)) {
            for &operand in &node.operands {
                if let (Some(from), Some(to)) = (self.owner(operand), self.owner(id))
                    && from != to
                {
                    // What a call holds reaches another call only if both share it.
                    let is_held = matches!(self.graph.node(operand).op, Op::Parameter(_) | Op::State(_));
                    edges.insert((from, to, is_held && !self.notes.contains(&from)));
                }
            }
        }
        for (from, to, is_shared) in edges {
            let style =
                if is_shared { " [style=dashed, arrowhead=none, constraint=false, label=\"shared\"]" } else { "" };
            let _ = writeln!(self.text, "    n{from} -> n{to}{style};");
        }
    }

    /// Outputs and losses, at the end of what they are computed from.
    fn results(&mut self) {
        for (role, id) in &self.graph.roots {
            let Some(from) = self.owner(*id) else { continue };
            let label = match role {
                Role::Output(place) => {
                    let name = self.model.outputs.get(*place).map_or("", |output| output.name.as_str());
                    format!("output {name}\n{}", dims(&self.graph.ty(*id).dims))
                }
                Role::Loss(place) => {
                    let name = self.model.losses.get(*place).and_then(|loss| loss.name.as_deref());
                    name.map_or("loss".to_owned(), |name| format!("loss {name}"))
                }
                _ => continue,
            };
            let shape = self.shape(&label, ", shape=ellipse, fillcolor=\"#e6f4ea\"", 1);
            let _ = writeln!(self.text, "    n{from} -> n{shape};");
        }
    }
}

/// How trainable tensors and states look.
const PARAMETER: &str = ", shape=note, style=filled, fillcolor=\"#fef7e0\"";

fn is_leaf(node: &Node) -> bool {
    matches!(node.op, Op::Input(_) | Op::Parameter(_) | Op::State(_) | Op::Splat(_))
}

/// Whether a node only brings operands to the shape that arithmetic asks for.
fn is_plumbing(node: &Node) -> bool {
    matches!(node.op, Op::Reshape(_) | Op::Expand(_) | Op::Splat(_))
}

fn held(parameter: Option<&Parameter>) -> String {
    parameter.map_or(String::new(), |parameter| format!("{}\n{}", parameter.path, dims(&parameter.dims)))
}

/// `1 × 28 × 28`
fn dims(dims: &[usize]) -> String {
    if dims.is_empty() {
        return "one number".to_owned();
    }
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

fn shown(ty: &Type) -> String {
    match ty.element {
        dl_compiler::graph::Element::F32 => dims(&ty.dims),
        _ => ty.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
