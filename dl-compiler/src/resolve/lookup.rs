//! Indices as steps of a sequence: what is looked up by one is looked up for all steps at once, before the loop.
//!
//! `gather(table, step of tokens)` becomes `step of gather(table, tokens)`, so that loops see numbers alone, a look-up is one
//! kernel, and so is the gradient of its table. What compares a row of the loop with an index compares it with the
//! row that `one_hot` makes of it.

use dl_grammar::Span;

use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::{Element, NodeId};
use crate::ops::scan_step::ScanStep;
use crate::ops::{self, Op};

impl<'a> Evaluator<'_, 'a> {
    /// What an operation makes of the index that a loop is at; `None` if no operand is one. Its operands fit it.
    pub(super) fn looked_up(&mut self, op: &Op, operands: &[NodeId], span: Span) -> Option<Value<'a>> {
        let is_step = |id: &NodeId| {
            let node = self.graph.node(*id);
            matches!(node.op, Op::ScanStep(_)) && matches!(node.ty.element, Element::Index(_))
        };
        let place = operands.iter().position(is_step)?;
        let (index, first) = (operands[place], operands[0]);
        let Op::ScanStep(ScanStep { scan, length }) = self.graph.node(index).op else { return None };
        let (sequence, dims) = (self.graph.node(index).operands[0], self.ty(index).dims.clone());
        let all = |dims: &[usize]| [&[length], dims].concat();
        let op: Op = match op {
            Op::Gather(_) | Op::OneHot(_) | Op::Float(_) => op.clone(),
            Op::Reshape(to) => ops::reshape::Reshape { dims: all(&to.dims) }.into(),
            Op::Flatten(_) => ops::reshape::Reshape { dims: all(&[dims.iter().product()]) }.into(),
            Op::CrossEntropy(_) => return Some(self.cross_entropy_of_step(first, index, span)),
            Op::Accuracy(_) => {
                let guess = self.made(ops::argmax::ArgMax.into(), &[first], span);
                let wanted = self.made(ops::float::Float.into(), &[index], span);
                let is_right = self.made_of(ops::equal::Equal.into(), &[guess, wanted], span);
                return Some(self.made_of(ops::float::Float.into(), &[is_right], span));
            }
            _ => return None,
        };
        let mut operands = operands.to_vec();
        operands[place] = sequence;
        match self.made(op, &operands, span) {
            Value::Tensor(all) => Some(self.step_of(all, scan, span)),
            other => Some(other),
        }
    }

    /// `-sum(one_hot(label) * log_softmax(logits))` for each row.
    fn cross_entropy_of_step(&mut self, logits: NodeId, label: NodeId, span: Span) -> Value<'a> {
        let (dims, rows) = (self.ty(logits).dims.clone(), self.ty(label).dims.clone());
        let classes = dims.last().copied().unwrap_or(1);
        let is_class = self.made(ops::one_hot::OneHot { classes }.into(), &[label], span);
        let shares = self.made(ops::log_softmax::LogSoftmax.into(), &[logits], span);
        let terms = self.made_of(ops::multiply::Multiply.into(), &[is_class, shares], span);
        let sum = ops::sum::Sum { axis: dims.len().saturating_sub(1), count: 1 };
        let sum = self.made_of(sum.into(), &[terms], span);
        let sum = self.made_of(ops::reshape::Reshape { dims: rows }.into(), &[sum], span);
        self.made_of(ops::negate::Negate.into(), &[sum], span)
    }

    fn made(&mut self, op: Op, operands: &[NodeId], span: Span) -> Value<'a> {
        let operands: Vec<(NodeId, Span)> = operands.iter().map(|&id| (id, span)).collect();
        self.apply(op.name(), op, &operands, span, span)
    }

    fn made_of(&mut self, op: Op, operands: &[Value<'a>], span: Span) -> Value<'a> {
        let ids = operands.iter().map(|value| if let Value::Tensor(id) = value { Some(*id) } else { None });
        match ids.collect::<Option<Vec<NodeId>>>() {
            Some(ids) => self.made(op, &ids, span),
            None => Value::Poison,
        }
    }
}
