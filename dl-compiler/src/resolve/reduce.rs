//! Reductions: `mean(x, over: [h, w])` and its like become sums along neighbouring axes and over the batch.
//!
//! With `over:` every axis that is reduced stays with size 1, and the names stay; without it the result is one number,
//! `[]`, of all elements of an example. What is reduced over the batch is batch-wide.

use dl_grammar::{Code, Diagnostic, Span};

use super::axes::Chosen;
use super::evaluator::Evaluator;
use super::value::Value;
use crate::graph::NodeId;
use crate::ops::sum::Sum;
use crate::ops::{self, Op};

/// What becomes of the elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reduction {
    /// Their sum divided by their number.
    Mean,
    /// Their sum.
    Sum,
    /// The greatest of them.
    Max,
    /// The least of them.
    Min,
    /// The mean of the squares of their distances from their mean, `mean((x - mean(x))²)`.
    Variance,
}

/// What is reduced.
struct Over {
    chosen: Chosen,
    /// Whether one number is left, without axes.
    whole: bool,
}

impl<'a> Evaluator<'_, 'a> {
    /// `mean(x)` or `mean(x, over: …)`.
    pub(super) fn reduce(
        &mut self,
        shown: &str,
        reduction: Reduction,
        (x, place): &(Value<'a>, Span),
        over: Option<&(Value<'a>, Span)>,
        at: Span,
    ) -> Value<'a> {
        let id = match x {
            Value::Tensor(id) => *id,
            other => return self.wrong_kind(shown, "a tensor", other, *place),
        };
        let rank = self.ty(id).dims.len();
        let chosen = match over {
            None => Chosen { places: (0..rank).collect(), order: Vec::new(), batch: false },
            Some((Value::Axes(axes), _)) => match self.chosen(shown, id, axes) {
                Some(chosen) => chosen,
                None => return Value::Poison,
            },
            Some((other, place)) => return self.wrong_kind(shown, "names or numbers of axes", other, *place),
        };
        if chosen.batch && !self.ty(id).per_example {
            self.no_batch(shown, (id, *place), over.map_or(at, |(_, place)| *place));
            return Value::Poison;
        }
        let over = Over { chosen, whole: over.is_none() };
        match reduction {
            Reduction::Sum => self.total(shown, id, &over, at),
            Reduction::Mean => self.average(shown, id, &over, at),
            Reduction::Variance => self.spread(shown, id, &over, at),
            Reduction::Max => self.greatest(shown, id, &over, at),
            // The least is the greatest of the opposites.
            Reduction::Min => match self.opposite(shown, Value::Tensor(id), at) {
                Value::Tensor(opposite) => {
                    let greatest = self.greatest(shown, opposite, &over, at);
                    self.opposite(shown, greatest, at)
                }
                other => other,
            },
        }
    }

    /// The sum, first within the example, then over the batch.
    fn total(&mut self, shown: &str, x: NodeId, over: &Over, at: Span) -> Value<'a> {
        let names = self.axis_names(x);
        let mut value = Value::Tensor(x);
        let sums = runs(&over.chosen).into_iter().map(Op::from);
        let over_batch = over.chosen.batch.then(|| ops::sum_batch::SumBatch.into());
        let number = (over.whole && !names.is_empty()).then(|| ops::reshape::Reshape { dims: Vec::new() }.into());
        for op in sums.chain(over_batch).chain(number) {
            let Value::Tensor(id) = value else { return value };
            value = self.apply(shown, op, &[(id, at)], at, at);
        }
        self.set_axis_names(&value, names);
        value
    }

    /// The greatest number, within the example only.
    fn greatest(&mut self, shown: &str, x: NodeId, over: &Over, at: Span) -> Value<'a> {
        if over.chosen.batch {
            let message = format!("`{shown}` does not reduce over the batch");
            let diagnostic = Diagnostic::new(Code::BatchRule, at, message)
                .label("`over:` names the batch")
                .help("`mean`, `sum` and `variance` reduce over the batch");
            self.report(diagnostic);
            return Value::Poison;
        }
        let names = self.axis_names(x);
        let mut value = Value::Tensor(x);
        let runs = runs(&over.chosen).into_iter();
        let runs = runs.map(|Sum { axis, count }| ops::max_reduce::MaxReduce { axis, count }.into());
        let number = (over.whole && !names.is_empty()).then(|| ops::reshape::Reshape { dims: Vec::new() }.into());
        for op in runs.chain(number) {
            let Value::Tensor(id) = value else { return value };
            value = self.apply(shown, op, &[(id, at)], at, at);
        }
        self.set_axis_names(&value, names);
        value
    }

    fn opposite(&mut self, shown: &str, x: Value<'a>, at: Span) -> Value<'a> {
        self.pointwise(shown, ops::negate::Negate.into(), vec![(x, at)], at)
    }

    fn average(&mut self, shown: &str, x: NodeId, over: &Over, at: Span) -> Value<'a> {
        let places = over.chosen.places.iter().filter_map(|&place| self.ty(x).dims.get(place));
        let count: f64 = places.map(|&size| size as f64).product();
        let mut value = self.total(shown, x, over, at);
        if !over.chosen.places.is_empty() {
            let operands = vec![(value, at), (Value::Float(count), at)];
            value = self.pointwise(shown, ops::divide::Divide.into(), operands, at);
        }
        if !over.chosen.batch {
            return value;
        }
        let share = self.apply(shown, ops::batch_share::BatchShare.into(), &[], at, at);
        self.pointwise(shown, ops::multiply::Multiply.into(), vec![(value, at), (share, at)], at)
    }

    fn spread(&mut self, shown: &str, x: NodeId, over: &Over, at: Span) -> Value<'a> {
        let mean = self.average(shown, x, over, at);
        let operands = vec![(Value::Tensor(x), at), (mean, at)];
        let distance = self.pointwise(shown, ops::subtract::Subtract.into(), operands, at);
        let operands = vec![(distance.clone(), at), (distance, at)];
        match self.pointwise(shown, ops::multiply::Multiply.into(), operands, at) {
            Value::Tensor(square) => self.average(shown, square, over, at),
            other => other,
        }
    }

    fn no_batch(&mut self, shown: &str, (id, place): (NodeId, Span), at: Span) {
        let ty = self.ty(id).to_string();
        let message = format!("`{shown}` reduces over the batch, but its operand is the same for every example");
        let diagnostic = Diagnostic::new(Code::BatchRule, at, message)
            .label("expects a value for each example")
            .related(place, format!("this is {ty}"));
        self.report(diagnostic);
    }
}

/// One sum for each run of neighbouring axes, the last run first.
fn runs(chosen: &Chosen) -> Vec<Sum> {
    let mut runs: Vec<Sum> = Vec::new();
    for &axis in chosen.places.iter().rev() {
        match runs.last_mut() {
            Some(run) if axis + 1 == run.axis => {
                run.axis = axis;
                run.count += 1;
            }
            _ => runs.push(Sum { axis, count: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::{Chosen, runs};

    #[test]
    fn neighbouring_axes_are_one_sum() {
        let chosen = |places: &[usize]| Chosen { places: places.iter().copied().collect(), ..Chosen::default() };
        let runs = |places: &[usize]| runs(&chosen(places)).iter().map(|run| (run.axis, run.count)).collect::<Vec<_>>();
        assert_eq!(runs(&[0, 1, 3]), [(3, 1), (0, 2)]);
        assert_eq!(runs(&[2]), [(2, 1)]);
        assert_eq!(runs(&[]), []);
    }
}
