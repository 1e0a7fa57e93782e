//! Takes parts of operands in place of parts of what is computed from them place by place, within loops.
//!
//! Before: `%2 = add (%0, %1), %3 = slice (%2)`. After: `%3 = slice (%0), %4 = slice (%1), %5 = add (%3, %4)`. So each gate of a
//! recurrent cell is computed from products and biases by one loop, which reads its part of them where they are. Only values
//! of which nothing but parts along one axis is wanted, no place twice, are computed so.

use std::collections::{BTreeMap, BTreeSet};

use super::{function, rewrite};
use crate::graph::{Element, Graph, Node, NodeId, Origin, Regions};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::slice::Slice;

/// How many values are computed by parts, one from the other.
const DEPTH: usize = 16;

/// The same graph, with no value of a loop computed as a whole of which only parts are wanted.
pub(super) fn parts(graph: &Graph) -> Graph {
    let cut = cut(graph);
    let mut known = Known::default();
    rewrite(graph, |new, id, node| {
        if let Op::Slice(slice) = &node.op
            && known.by_parts.contains(&node.operands[0])
        {
            return known.part(new, node.operands[0], slice, &node.origin, true);
        }
        let now = new.push(node);
        if cut[id.index()].is_some() {
            known.by_parts.insert(now);
        }
        now
    })
}

/// What is wanted of a value that is to be computed by parts.
#[derive(Debug, Clone)]
struct Parts {
    axis: usize,
    /// Where each part starts and how long it is.
    parts: BTreeSet<(usize, usize)>,
    /// How many values are computed from it by parts, one from the other.
    depth: usize,
}

/// For every value that is to be computed by parts, which.
fn cut(graph: &Graph) -> Vec<Option<Parts>> {
    let mut cut: Vec<Option<Parts>> = vec![None; graph.nodes.len()];
    let (users, regions) = (graph.users(), Regions::new(graph));
    let is_root: BTreeSet<NodeId> = graph.roots.iter().map(|(_, id)| *id).collect();
    for (id, _) in graph.iter().rev() {
        if regions.of(id).is_none() || is_root.contains(&id) || !is_cuttable(graph, id) {
            continue;
        }
        let mut wanted: Option<Parts> = None;
        let agree = users[id.index()].iter().all(|user| {
            let of_user = match &graph.node(*user).op {
                Op::Slice(Slice { axis, start, len }) => {
                    Some(Parts { axis: *axis, parts: BTreeSet::from([(*start, *len)]), depth: 0 })
                }
                _ => cut[user.index()].clone().filter(|parts| parts.depth < DEPTH),
            };
            let Some(of_user) = of_user else { return false };
            let all = wanted.get_or_insert(Parts { parts: BTreeSet::new(), ..of_user });
            all.parts.extend(of_user.parts);
            all.depth = all.depth.max(of_user.depth + 1);
            all.axis == of_user.axis
        });
        let apart = |Parts { parts, .. }: &Parts| {
            let ends = parts.iter().map(|(start, len)| start + len);
            ends.zip(parts.iter().skip(1)).all(|(end, (start, _))| end <= *start)
        };
        cut[id.index()] = wanted.filter(|wanted| agree && apart(wanted));
    }
    cut
}

/// Whether a value is computed place by place from values whose parts can be taken.
fn is_cuttable(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    // What repeats its operand is read where that is, which a part of it would not be.
    let is_plain = |id: &NodeId| {
        let repeats = matches!(graph.node(*id).op, Op::Expand(_) | Op::Reshape(_) | Op::Flatten(_));
        graph.ty(*id).element == Element::F32 && !repeats
    };
    function(graph, id).is_some() && node.ty.element == Element::F32 && node.operands.iter().all(is_plain)
}

/// What is known of the new graph.
#[derive(Default)]
struct Known {
    /// The values that are to be computed by parts.
    by_parts: BTreeSet<NodeId>,
    /// Parts of values: of which, from where on, and how long.
    parts: BTreeMap<(NodeId, usize, usize), NodeId>,
}

impl Known {
    /// A part of a value, computed from parts if that is to be. What is computed is called as the part is if it is the
    /// last, and all parts are. Recursion is bounded by [`DEPTH`].
    fn part(&mut self, graph: &mut Graph, id: NodeId, slice: &Slice, origin: &Origin, last: bool) -> NodeId {
        let key = (id, slice.start, slice.len);
        if let Some(&known) = self.parts.get(&key) {
            return known;
        }
        let Node { op, operands, ty, .. } = graph.node(id).clone();
        let mut dims = ty.dims.clone();
        if let Some(along) = dims.get_mut(slice.axis) {
            *along = slice.len;
        }
        let ty = ty.with_dims(dims.clone());
        let unnamed = Origin { name: String::new(), ..origin.clone() };
        let part = if let Op::Splat(splat) = op {
            Node { op: Splat { value: splat.value, dims }.into(), operands, ty, origin: unnamed }
        } else if self.by_parts.contains(&id) {
            let operands = operands.iter().map(|&operand| self.part(graph, operand, slice, origin, false)).collect();
            Node { op, operands, ty, origin: if last { origin.clone() } else { unnamed } }
        } else {
            Node { op: slice.clone().into(), operands: vec![id], ty, origin: origin.clone() }
        };
        let part = graph.push(part);
        self.parts.insert(key, part);
        part
    }
}
