//! Evaluation: parameters and examples enter, the mean loss and metrics of the inference network leave.
//!
//! The means weigh every example alike, whatever batches they were computed in, and are summed in f64 in the order
//! of the examples.

use dl_runtime::{Examples, InputError, Network, Report};

use crate::TrainError;
use crate::trainer::Trainer;

/// Mean loss and metrics over a set of examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The mean loss.
    pub loss: f64,
    /// Each metric's name and mean, in the order of the source.
    pub metrics: Vec<(&'static str, f64)>,
}

impl Evaluation {
    /// The mean of the metric of that name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(metric, _)| *metric == name).map(|&(_, value)| value)
    }
}

/// Loss and metrics of `examples`, in batches of the network's own size, on one thread.
///
/// [`Trainer::evaluate`] does the same with another batch size or number of threads.
pub fn evaluate<N: Network>(
    parameters: &N::Parameters,
    state: &N::State,
    examples: &N::Examples,
) -> Result<Evaluation, TrainError> {
    Trainer::<N>::new().evaluate(parameters, state, examples)
}

/// Copies examples batch by batch into storage that is reused.
pub(crate) struct Batches<N: Network> {
    buffer: N::Examples,
}

impl<N: Network> Batches<N> {
    pub(crate) fn new() -> Self {
        Self { buffer: N::Examples::default() }
    }

    /// The examples at `positions`, in that order.
    pub(crate) fn gather(
        &mut self,
        from: &N::Examples,
        positions: &[usize],
    ) -> Result<<N::Examples as Examples>::Batch<'_>, InputError> {
        self.buffer.clear();
        self.buffer.extend(from, positions)?;
        Ok(self.buffer.batch())
    }
}

/// Sums of reports, each weighted by its number of examples.
pub(crate) struct Totals {
    examples: f64,
    loss: f64,
    metrics: Vec<f64>,
}

impl Totals {
    pub(crate) fn new<R: Report>() -> Self {
        Self { examples: 0.0, loss: 0.0, metrics: vec![0.0; R::METRICS.len()] }
    }

    pub(crate) fn clear(&mut self) {
        self.examples = 0.0;
        self.loss = 0.0;
        self.metrics.fill(0.0);
    }

    pub(crate) fn add<R: Report>(&mut self, report: &R, examples: usize) {
        let weight = examples as f64;
        self.examples += weight;
        self.loss += weight * f64::from(report.loss());
        for (index, metric) in self.metrics.iter_mut().enumerate() {
            *metric += weight * f64::from(report.metric(index));
        }
    }

    /// The mean loss so far.
    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.examples
    }

    /// The mean of each metric so far.
    pub(crate) fn metrics<R: Report>(&self) -> impl Iterator<Item = (&'static str, f64)> {
        R::METRICS.iter().copied().zip(self.metrics.iter().map(|sum| sum / self.examples))
    }

    pub(crate) fn evaluation<R: Report>(&self) -> Evaluation {
        Evaluation { loss: self.loss(), metrics: self.metrics::<R>().collect() }
    }
}

/// Evaluates `examples` batch by batch; `epoch` is named in an error, 0 outside training.
pub(crate) fn evaluate_batches<N: Network>(
    prepared: &N::Prepared,
    workspace: &mut N::Workspace,
    batches: &mut Batches<N>,
    examples: &N::Examples,
    batch: usize,
    set: &'static str,
    epoch: usize,
) -> Result<Evaluation, TrainError> {
    let mut totals = Totals::new::<N::Report>();
    let positions: Vec<usize> = (0..examples.len()).collect();
    for (number, positions) in positions.chunks(batch).enumerate() {
        let report = N::evaluate(prepared, workspace, batches.gather(examples, positions)?)?;
        check_finite(&report, set, epoch, number + 1)?;
        totals.add(&report, positions.len());
    }
    Ok(totals.evaluation::<N::Report>())
}

pub(crate) fn check_finite<R: Report>(
    report: &R,
    set: &'static str,
    epoch: usize,
    batch: usize,
) -> Result<(), TrainError> {
    let loss = report.loss();
    if loss.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { set, epoch, batch, loss }) }
}
