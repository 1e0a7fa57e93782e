//! Evaluation: parameters and examples enter, the mean loss and metrics of the inference network leave, or its outputs.
//!
//! The means weigh every example alike, or by its weight if the set has weights, whatever batches they were computed in,
//! and are summed in f64 in the order of the examples. A network's own evaluation weighs the examples of a batch alike, so
//! with weights a batch is made of examples of one weight: few different ones, as of classes, cost nothing.

use dl_runtime::{Examples, InputError, Network, Report, check_weights};

use crate::data::Dataset;
use crate::error::{Spoiled, TrainError};
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

/// Loss and metrics of `examples`, in batches of the network's own size, on one thread. Of a set with weights, such as
/// [`Weighted`](crate::data::Weighted), they are weighted means; examples of weight 0 are not looked at.
///
/// [`Trainer::evaluate`] does the same with another batch size or number of threads.
pub fn evaluate<N: Network>(
    parameters: &N::Parameters,
    state: &N::State,
    examples: &impl Dataset<Examples = N::Examples>,
) -> Result<Evaluation, TrainError> {
    Trainer::<N>::new().evaluate(parameters, state, examples)
}

/// The outputs of the inference network for `examples`, in batches of the network's own size, on one thread. Labels are
/// not read and may be missing. Sets that make their examples are held in memory, as they look in epoch 0.
///
/// [`Trainer::predict`] does the same with another batch size or number of threads.
pub fn predict<N: Network>(
    parameters: &N::Parameters,
    state: &N::State,
    examples: &impl Dataset<Examples = N::Examples>,
) -> Result<N::Predictions, TrainError> {
    Trainer::<N>::new().predict(parameters, state, examples)
}

/// A set of examples of a network.
pub(crate) type Set<'a, N> = &'a dyn Dataset<Examples = <N as Network>::Examples>;

/// The first number of a batch that is not finite; `positions` are those of its examples in the set.
pub(crate) fn spoiled<E: Examples>(batch: &E, positions: &[usize]) -> Option<Spoiled> {
    let error = batch.check_finite().err()?;
    Some(Spoiled::Input(error.with_example(|example| positions.get(example).copied().unwrap_or(example))))
}

/// Sums of reports, each weighted by its number of examples or by the sum of their weights.
pub(crate) struct Totals {
    weight: f64,
    loss: f64,
    metrics: Vec<f64>,
}

impl Totals {
    pub(crate) fn new<R: Report>() -> Self {
        Self { weight: 0.0, loss: 0.0, metrics: vec![0.0; R::METRICS.len()] }
    }

    pub(crate) fn clear(&mut self) {
        self.weight = 0.0;
        self.loss = 0.0;
        self.metrics.fill(0.0);
    }

    pub(crate) fn add<R: Report>(&mut self, report: &R, weight: f64) {
        self.weight += weight;
        self.loss += weight * f64::from(report.loss());
        for (index, metric) in self.metrics.iter_mut().enumerate() {
            *metric += weight * f64::from(report.metric(index));
        }
    }

    /// The mean loss so far.
    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.weight
    }

    /// The mean of each metric so far.
    pub(crate) fn metrics<R: Report>(&self) -> impl Iterator<Item = (&'static str, f64)> {
        R::METRICS.iter().copied().zip(self.metrics.iter().map(|sum| sum / self.weight))
    }

    pub(crate) fn evaluation<R: Report>(&self) -> Evaluation {
        Evaluation { loss: self.loss(), metrics: self.metrics::<R>().collect() }
    }

    /// All sums, for a checkpoint.
    pub(crate) fn sums(&self) -> impl Iterator<Item = f64> {
        [self.weight, self.loss].into_iter().chain(self.metrics.iter().copied())
    }

    /// The totals of [`sums`](Self::sums), if there are as many as it takes.
    pub(crate) fn from_sums<R: Report>(sums: &[f64]) -> Option<Self> {
        let [weight, loss, metrics @ ..] = sums else { return None };
        (metrics.len() == R::METRICS.len()).then(|| Self { weight: *weight, loss: *loss, metrics: metrics.to_vec() })
    }
}

/// Evaluates `examples` batch by batch; `epoch` is named in an error, 0 outside training.
pub(crate) fn evaluate_batches<N: Network>(
    prepared: &N::Prepared,
    workspace: &mut N::Workspace,
    buffer: &mut N::Examples,
    examples: Set<'_, N>,
    batch: usize,
    set: &'static str,
    epoch: usize,
) -> Result<Evaluation, TrainError> {
    let mut totals = Totals::new::<N::Report>();
    let weights = examples.weights();
    let mut positions: Vec<usize> = (0..examples.len()).collect();
    if let Some(weights) = weights {
        check_example_weights(set, weights, examples.len())?;
        positions.retain(|&position| weights[position] > 0.0);
        positions.sort_by(|&a, &b| weights[a].total_cmp(&weights[b]));
    }
    let weight = |position: usize| weights.map_or(1.0, |weights| weights[position]);
    let alike = positions.chunk_by(|&a, &b| weight(a) == weight(b));
    for (number, positions) in alike.flat_map(|alike| alike.chunks(batch)).enumerate() {
        buffer.clear();
        examples.gather(0, positions, buffer)?;
        let report =
            N::evaluate(prepared, workspace, buffer.batch()).map_err(|error| refused(set, error, positions))?;
        let loss = report.loss();
        if !loss.is_finite() {
            let first = spoiled(buffer, positions).unwrap_or(Spoiled::Loss);
            return Err(TrainError::NotFinite { set, epoch, batch: number + 1, loss, first });
        }
        totals.add(&report, positions.len() as f64 * f64::from(weight(positions[0])));
    }
    Ok(totals.evaluation::<N::Report>())
}

/// Checks weights of examples: one for each, finite, at least 0 and not all of them 0.
pub(crate) fn check_example_weights(set: &'static str, weights: &[f32], examples: usize) -> Result<(), TrainError> {
    if weights.len() != examples {
        return Err(TrainError::Length { name: "example weights", expected: examples, found: weights.len() });
    }
    check_weights(Some(weights), examples).map(drop).map_err(|source| TrainError::Example { set, source })
}

/// The error of a batch as one of the set it was taken from.
pub(crate) fn refused(set: &'static str, error: InputError, positions: &[usize]) -> TrainError {
    let source = error.with_example(|example| positions.get(example).copied().unwrap_or(example));
    TrainError::Example { set, source }
}
