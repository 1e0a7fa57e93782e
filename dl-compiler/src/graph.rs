//! The Graph: typed, shaped nodes in single assignment form, each knowing where it was written.
//!
//! `resolve` makes it, `differentiate` extends it, the optimizer stages rewrite it, `schedule` consumes it.
//! Operands come before their users, so the order of the nodes is an order of computation.
//! [`Graph::verify`] checks all that later stages rely on; the [`Display`](fmt::Display) text is what snapshots hold.

use std::collections::BTreeMap;
use std::fmt;

use dl_grammar::Span;

use crate::ops::{Op, Violation};

mod region;

pub use region::Regions;

/// Names a node of one graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Its place in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// What one element of a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// A 32-bit floating-point number.
    F32,
    /// An integer from 0 up to, not including, the bound; `u32` in Rust.
    Index(usize),
    /// A truth value, held as 0.0 or 1.0.
    Bool,
}

/// What a value is: its elements, its dimensions, and whether every example has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// What one element is.
    pub element: Element,
    /// Dimensions without the batch axis; empty for a single number.
    pub dims: Vec<usize>,
    /// Whether every example has its own value (otherwise the value is batch-wide).
    pub per_example: bool,
}

impl Type {
    /// One `f32` tensor for every example.
    pub fn per_example(dims: impl Into<Vec<usize>>) -> Type {
        Type { element: Element::F32, dims: dims.into(), per_example: true }
    }

    /// One `f32` tensor for the whole batch.
    pub fn batch_wide(dims: impl Into<Vec<usize>>) -> Type {
        Type { element: Element::F32, dims: dims.into(), per_example: false }
    }

    /// The same with other dimensions.
    pub fn with_dims(&self, dims: impl Into<Vec<usize>>) -> Type {
        Type { dims: dims.into(), ..self.clone() }
    }

    /// How many elements it has (for one example if it is per example).
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Never: dimensions are at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            Element::F32 => {}
            Element::Index(bound) => write!(f, "index({bound})")?,
            Element::Bool => write!(f, "bool")?,
        }
        write!(f, "{:?}", self.dims)?;
        if !self.per_example {
            write!(f, " batch-wide")?;
        }
        Ok(())
    }
}

/// Where a node comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The place in the source: for a node made by a library layer, the user's call.
    pub span: Span,
    /// What the generated code calls it; empty if the source has no name for it.
    pub name: String,
}

/// One value and how it is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its operands, all earlier in the graph.
    pub operands: Vec<NodeId>,
    /// What it yields.
    pub ty: Type,
    /// Where it comes from.
    pub origin: Origin,
}

impl Node {
    /// Whether it is batch-wide and depends on parameters, states and constants alone, as `prepared` says of earlier nodes.
    pub fn is_prepared(&self, prepared: &[bool]) -> bool {
        // How many examples there are is not known before.
        let is_known = !matches!(self.op, Op::BatchShare(_));
        !self.ty.per_example && is_known && self.operands.iter().all(|operand| prepared[operand.index()])
    }
}

/// What a value is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The output of that number.
    Output(usize),
    /// The loss of that number, of an example.
    Loss(usize),
    /// The metric of that number, of an example.
    Metric(usize),
    /// The gradient of the parameter of that number.
    Gradient(usize),
    /// What the state of that number holds after the step.
    Update(usize),
}

/// A loop over the steps of sequences. Which nodes it repeats follows from their operands, see [`Regions`].
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// How many steps it has.
    pub length: usize,
    /// Whether it begins with the last one.
    pub reversed: bool,
    /// The loop it is within, as a place in [`Graph::scans`].
    pub parent: Option<usize>,
    /// Where it is written.
    pub span: Span,
}

/// Nodes and what is wanted of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// All nodes; operands before their users. The nodes that a loop repeats stand in a row.
    pub nodes: Vec<Node>,
    /// The loops; one that is within another comes behind it.
    pub scans: Vec<Scan>,
    /// The values wanted.
    pub roots: Vec<(Role, NodeId)>,
}

impl Graph {
    /// The node of that name.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The type of a value.
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.node(id).ty
    }

    /// Appends an operation after checking its operands.
    pub fn add(&mut self, op: Op, operands: &[NodeId], origin: Origin) -> Result<NodeId, Violation> {
        let types: Vec<&Type> = operands.iter().map(|&id| self.ty(id)).collect();
        let ty = op.infer(&types)?;
        Ok(self.push(Node { op, operands: operands.to_vec(), ty, origin }))
    }

    /// Appends a node as it is.
    pub fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        id
    }

    /// All nodes with their names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// The value wanted for `role`.
    pub fn root(&self, role: Role) -> Option<NodeId> {
        self.roots.iter().find(|(r, _)| *r == role).map(|(_, id)| *id)
    }

    /// For every node, the nodes that use it, in order, one entry for each use.
    pub fn users(&self) -> Vec<Vec<NodeId>> {
        let mut users = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for operand in &node.operands {
                users[operand.index()].push(id);
            }
        }
        users
    }

    /// For every node whether one of `roots` is computed from it, be it in an earlier round of a loop.
    pub fn needed(&self, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
        let mut next: BTreeMap<(usize, usize), NodeId> = BTreeMap::new();
        for (id, node) in self.iter() {
            if let Op::Next(op) = &node.op {
                next.insert((op.scan, op.index), id);
            }
        }
        let mut needed = vec![false; self.nodes.len()];
        let mut found: Vec<NodeId> = roots.into_iter().collect();
        while let Some(id) = found.pop() {
            if std::mem::replace(&mut needed[id.index()], true) {
                continue;
            }
            let node = self.node(id);
            found.extend(&node.operands);
            // A carry is needed with what it is at the next step, though that comes behind it.
            if let Op::Carry(op) = &node.op {
                found.extend(next.get(&(op.scan, op.index)));
            }
        }
        needed
    }

    /// The same graph with only some of its roots; nodes are kept.
    pub fn with_roots(&self, keep: impl Fn(Role) -> bool) -> Graph {
        let roots = self.roots.iter().copied().filter(|(role, _)| keep(*role)).collect();
        Graph { nodes: self.nodes.clone(), scans: self.scans.clone(), roots }
    }

    /// Checks that operands come first and every type is what its operation infers.
    pub fn verify(&self) -> Result<(), String> {
        for (id, node) in self.iter() {
            if let Some(late) = node.operands.iter().find(|operand| **operand >= id) {
                return Err(format!("{id:?} uses {late:?}, which does not come before it"));
            }
            let types: Vec<&Type> = node.operands.iter().map(|&operand| self.ty(operand)).collect();
            match node.op.infer(&types) {
                Ok(ty) if ty == node.ty => {}
                Ok(ty) => {
                    return Err(format!("{id:?} says {}, but {} yields {ty}", node.ty, node.op.name()));
                }
                Err(violation) => {
                    return Err(format!("{id:?}, {}: {}", node.op.name(), violation.message));
                }
            }
        }
        if let Some((role, id)) = self.roots.iter().find(|(_, id)| id.index() >= self.nodes.len()) {
            return Err(format!("{role:?} is {id:?}, which does not exist"));
        }
        self.verify_scans()
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scan) in self.scans.iter().enumerate() {
            write!(f, "scan {place}: {} steps", scan.length)?;
            if scan.reversed {
                write!(f, ", reversed")?;
            }
            match scan.parent {
                Some(parent) => writeln!(f, ", within {parent}")?,
                None => writeln!(f)?,
            }
        }
        for (id, node) in self.iter() {
            write!(f, "{id:?}")?;
            if !node.origin.name.is_empty() {
                write!(f, " {}", node.origin.name)?;
            }
            write!(f, " = {}", node.op)?;
            if !node.operands.is_empty() {
                let operands: Vec<String> = node.operands.iter().map(|operand| format!("{operand:?}")).collect();
                write!(f, " ({})", operands.join(", "))?;
            }
            writeln!(f, " : {}", node.ty)?;
        }
        for (role, id) in &self.roots {
            let role = match role {
                Role::Output(index) => format!("output {index}"),
                Role::Loss(0) => "loss".to_owned(),
                Role::Loss(index) => format!("loss {index}"),
                Role::Metric(index) => format!("metric {index}"),
                Role::Gradient(index) => format!("gradient {index}"),
                Role::Update(index) => format!("update {index}"),
            };
            writeln!(f, "{role} is {id:?}")?;
        }
        Ok(())
    }
}
