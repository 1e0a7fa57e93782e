//! Which loop repeats a node, and the order that keeps the nodes of a loop together.
//!
//! A node is repeated by the innermost loop among those of its operands: nothing says so but the operands themselves, so
//! what does not depend on a step is outside of the loop without further ado. `scan_step`, `carry` and `next` are
//! within their loop, `stack` and `last` are behind it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Graph, Node, NodeId};
use crate::ops::Op;

/// For every node the loop that repeats it, if one does.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    of: Vec<Option<usize>>,
    depths: Vec<usize>,
}

impl Regions {
    /// The regions of all nodes of a graph.
    pub fn new(graph: &Graph) -> Regions {
        let mut regions = Regions::default();
        regions.extend(graph);
        regions
    }

    /// Learns of nodes and scans that were appended to the graph.
    pub fn extend(&mut self, graph: &Graph) {
        for scan in graph.scans.iter().skip(self.depths.len()) {
            self.depths.push(scan.parent.map_or(0, |parent| self.depths[parent]) + 1);
        }
        for node in graph.nodes.iter().skip(self.of.len()) {
            let region = self.region(graph, node);
            self.of.push(region);
        }
    }

    /// The loop that repeats a node.
    pub fn of(&self, id: NodeId) -> Option<usize> {
        self.of.get(id.index()).copied().flatten()
    }

    /// How many loops are around a region, itself included.
    pub fn depth(&self, region: Option<usize>) -> usize {
        region.and_then(|scan| self.depths.get(scan)).copied().unwrap_or(0)
    }

    fn region(&self, graph: &Graph, node: &Node) -> Option<usize> {
        match &node.op {
            Op::ScanStep(op) => Some(op.scan),
            Op::Carry(op) => Some(op.scan),
            Op::Next(op) => Some(op.scan),
            Op::Stack(op) => graph.scans[op.scan].parent,
            Op::Last(op) => graph.scans[op.scan].parent,
            _ => {
                node.operands.iter().map(|&operand| self.of(operand)).max_by_key(|&region| self.depth(region)).flatten()
            }
        }
    }
}

impl Graph {
    /// The loop of `region` that stands directly in `within`, if `region` is in one.
    pub(crate) fn child(&self, mut region: Option<usize>, within: Option<usize>) -> Option<usize> {
        while let Some(scan) = region {
            if self.scans[scan].parent == within {
                return Some(scan);
            }
            region = self.scans[scan].parent;
        }
        None
    }

    /// The places of all nodes in the order of [`Graph::arranged`].
    pub(crate) fn order(&self, regions: &Regions) -> Vec<usize> {
        if self.scans.is_empty() {
            return (0..self.nodes.len()).collect();
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        self.arrange(regions, None, (0..self.nodes.len()).collect(), &mut order);
        order
    }

    /// The same graph in an order in which the nodes of every loop stand in a row, behind all that they need and before
    /// all that needs the loop; else nodes keep their order.
    pub fn arranged(&self) -> Graph {
        if self.scans.is_empty() {
            return self.clone();
        }
        let order = self.order(&Regions::new(self));
        let mut now = vec![NodeId(0); self.nodes.len()];
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        for &place in &order {
            now[place] = NodeId(nodes.len() as u32);
            nodes.push(self.nodes[place].clone());
        }
        for operand in nodes.iter_mut().flat_map(|node| &mut node.operands) {
            *operand = now[operand.index()];
        }
        let roots = self.roots.iter().map(|&(role, id)| (role, now[id.index()])).collect();
        Graph { nodes, scans: self.scans.clone(), roots }
    }

    /// Appends the nodes of one region to `order`. Loops nest only as deep as they are written.
    fn arrange(&self, regions: &Regions, within: Option<usize>, places: Vec<usize>, order: &mut Vec<usize>) {
        // What is ordered here: nodes of this region by themselves, and each loop in it as a whole, named by its first node.
        let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut unit_of: BTreeMap<usize, usize> = BTreeMap::new();
        for place in places {
            let unit = match self.child(regions.of(NodeId(place as u32)), within) {
                Some(scan) => *first.entry(scan).or_insert(place),
                None => place,
            };
            units.entry(unit).or_default().push(place);
            unit_of.insert(place, unit);
        }
        let loops: BTreeMap<usize, usize> = first.iter().map(|(&scan, &unit)| (unit, scan)).collect();
        let mut needs: BTreeMap<usize, usize> = units.keys().map(|&unit| (unit, 0)).collect();
        let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (&unit, members) in &units {
            let mut operands: Vec<usize> = members
                .iter()
                .flat_map(|&place| {
                    self.nodes[place].operands.iter().map(|operand| operand.index()).chain(self.scan_of(place, &first))
                })
                .filter_map(|operand| unit_of.get(&operand).copied())
                .filter(|&operand| operand != unit)
                .collect();
            operands.sort_unstable();
            operands.dedup();
            needs.insert(unit, operands.len());
            operands.into_iter().for_each(|operand| users.entry(operand).or_default().push(unit));
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            needs.iter().filter(|(_, needed)| **needed == 0).map(|(&unit, _)| Reverse(unit)).collect();
        while let Some(Reverse(unit)) = ready.pop() {
            let members = units.remove(&unit).unwrap_or_default();
            match loops.get(&unit) {
                Some(&scan) => self.arrange(regions, Some(scan), members, order),
                None => order.extend(members),
            }
            for user in users.remove(&unit).unwrap_or_default() {
                if let Some(needed) = needs.get_mut(&user) {
                    *needed -= 1;
                    if *needed == 0 {
                        ready.push(Reverse(user));
                    }
                }
            }
        }
    }

    /// The first node of the loop that a `stack` or `last` ends: it comes behind the loop even if it needs nothing of it.
    fn scan_of(&self, place: usize, first: &BTreeMap<usize, usize>) -> Option<usize> {
        match &self.nodes[place].op {
            Op::Stack(op) => first.get(&op.scan).copied(),
            Op::Last(op) => first.get(&op.scan).copied(),
            _ => None,
        }
    }

    /// Checks that loops nest, that their nodes stand in a row, and that they are per example.
    pub(super) fn verify_scans(&self) -> Result<(), String> {
        if let Some(place) = (0..self.scans.len()).find(|&place| self.scans[place].parent >= Some(place)) {
            return Err(format!("scan {place} is within one that is not before it"));
        }
        let mut carries: BTreeMap<(usize, usize), (usize, usize)> = BTreeMap::new();
        for node in &self.nodes {
            let (scan, ends) = match &node.op {
                Op::Carry(op) => {
                    carries.entry((op.scan, op.index)).or_default().0 += 1;
                    (op.scan, None)
                }
                Op::Next(op) => {
                    carries.entry((op.scan, op.index)).or_default().1 += 1;
                    (op.scan, None)
                }
                Op::ScanStep(op) => (op.scan, Some(op.length)),
                Op::Stack(op) => (op.scan, Some(op.length)),
                Op::Last(op) => (op.scan, None),
                _ => continue,
            };
            let Some(known) = self.scans.get(scan) else { return Err(format!("scan {scan} does not exist")) };
            if ends.is_some_and(|length| length != known.length) {
                return Err(format!("{} of another number of steps than scan {scan}", node.op));
            }
        }
        if let Some((carry, _)) = carries.iter().find(|(_, count)| **count != (1, 1)) {
            return Err(format!("carry {carry:?} has not one value and one next value"));
        }
        let regions = Regions::new(self);
        let mut closed = vec![false; self.scans.len()];
        let mut open: Vec<usize> = Vec::new();
        for (id, node) in self.iter() {
            let region = regions.of(id);
            while open.last().copied() != region {
                let around = |scan: Option<usize>| self.child(region, scan);
                match around(open.last().copied()) {
                    Some(scan) if closed[scan] => return Err(format!("{id:?} is apart from the rest of scan {scan}")),
                    Some(scan) => open.push(scan),
                    None => match open.pop() {
                        Some(scan) => closed[scan] = true,
                        None => return Err(format!("{id:?} is in no loop that is open")),
                    },
                }
            }
            if region.is_some() && !node.ty.per_example {
                return Err(format!("{id:?} is batch-wide within a scan"));
            }
            for &operand in &node.operands {
                let from = regions.of(operand);
                let ends = match &node.op {
                    Op::Stack(op) => from == Some(op.scan),
                    Op::Last(op) => from == Some(op.scan),
                    _ => false,
                };
                if !ends && from.is_some_and(|scan| !open.contains(&scan)) {
                    return Err(format!("{id:?} uses {operand:?} of a loop it is not in"));
                }
            }
        }
        Ok(())
    }
}
