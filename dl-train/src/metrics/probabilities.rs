//! Metrics of predicted probabilities over classes.

use super::error::{MetricError, check_classes, check_finite, check_lengths, check_weights, weight_of};

/// Top-k accuracy, log loss and perplexity of probabilities, or of other scores for top-k alone.
///
/// ```
/// use dl_train::metrics::Probabilities;
///
/// let mut probabilities = Probabilities::new(2);
/// probabilities.update(&[[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]], &[0, 1])?;
/// assert_eq!(probabilities.log_loss()?, (2_f64.ln() + 4_f64.ln()) / 2.0);
/// assert_eq!(probabilities.top_k()?, 1.0); // Of equal ones the last class ranks first.
/// # Ok::<(), dl_train::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    k: usize,
    examples: u64,
    /// The sum of weights, and of those of examples whose label is among the first `k`.
    weight: f64,
    hits: f64,
    /// The sum of negative logarithms.
    nats: f64,
}

impl Probabilities {
    /// Nothing seen yet; `k` is that of top-k accuracy.
    pub fn new(k: usize) -> Self {
        Self { k, examples: 0, weight: 0.0, hits: 0.0, nats: 0.0 }
    }

    /// Takes a batch: for each example the probability of each class, and its label. Rows are taken as they are; that
    /// they sum to 1 is the matter of the softmax they come from.
    ///
    /// # Errors
    /// If the lengths differ, a label is no class, or a number is not from 0 to 1.
    pub fn update<const CLASSES: usize>(
        &mut self,
        probabilities: &[[f32; CLASSES]],
        labels: &[u32],
    ) -> Result<(), MetricError> {
        self.add(probabilities, labels, None)
    }

    /// Takes a batch whose examples have weights, each finite and at least 0: means are weighted ones.
    ///
    /// # Errors
    /// As [`update`](Self::update), and if a weight is out of range.
    pub fn update_weighted<const CLASSES: usize>(
        &mut self,
        probabilities: &[[f32; CLASSES]],
        labels: &[u32],
        weights: &[f32],
    ) -> Result<(), MetricError> {
        self.add(probabilities, labels, Some(weights))
    }

    fn add<const CLASSES: usize>(
        &mut self,
        probabilities: &[[f32; CLASSES]],
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), MetricError> {
        check_lengths(probabilities.len(), labels.len())?;
        check_classes("labels", labels, CLASSES)?;
        for (example, row) in probabilities.iter().enumerate() {
            check_finite("probabilities", row).map_err(|error| match error {
                MetricError::NotFinite { name, found, .. } => MetricError::NotFinite { name, example, found },
                other => other,
            })?;
            if let Some(&found) = row.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return Err(MetricError::Probability { example, found });
            }
        }
        check_weights(weights, labels.len())?;
        for (example, (row, &label)) in probabilities.iter().zip(labels).enumerate() {
            let weight = weight_of(weights, example);
            let label = label as usize;
            let own = row[label];
            let before = |(class, &score): (usize, &f32)| score > own || (score == own && class > label);
            let hit = row.iter().enumerate().filter(|&pair| before(pair)).count() < self.k;
            self.weight += weight;
            self.hits += weight * f64::from(hit);
            // As everywhere: a probability of 0 counts as the smallest that differs from none beside 1.
            self.nats -= weight * f64::from(own).clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
        }
        self.examples += labels.len() as u64;
        Ok(())
    }

    /// The share of examples whose label is among the `k` most probable classes.
    ///
    /// # Errors
    /// If there are no examples that count, as for all functions below.
    pub fn top_k(&self) -> Result<f64, MetricError> {
        Ok(self.hits / self.total("top-k accuracy")?)
    }

    /// The mean negative logarithm of the probability of the label, in nats. Probabilities are clipped to 2⁻⁵² and 1 − 2⁻⁵².
    pub fn log_loss(&self) -> Result<f64, MetricError> {
        Ok(self.nats / self.total("log loss")?)
    }

    /// The exponential of the log loss: among how many equally probable classes the predictions are as uncertain (Jelinek
    /// et al., 1977).
    pub fn perplexity(&self) -> Result<f64, MetricError> {
        Ok((self.nats / self.total("perplexity")?).exp())
    }

    fn total(&self, metric: &'static str) -> Result<f64, MetricError> {
        if self.weight > 0.0 { Ok(self.weight) } else { Err(MetricError::no_examples(metric, self.examples)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, close, floats, words};
    use super::*;

    /// Ties, certainty and certain error included, however the set is cut into batches.
    #[test]
    fn all_agree_with_scikit_learn() {
        for case in cases("probabilities").into_iter().chain(cases("weighted_probabilities")) {
            let rows: Vec<[f32; 4]> = floats(&case["probabilities"]).as_chunks().0.to_vec();
            let labels = words(&case["labels"]);
            for batch in [1, 7, 1000] {
                for k in 1..=4 {
                    let mut metric = Probabilities::new(k);
                    for (at, (rows, labels)) in rows.chunks(batch).zip(labels.chunks(batch)).enumerate() {
                        if case["weights"].is_null() {
                            metric.update(rows, labels).unwrap();
                        } else {
                            let weights = &floats(&case["weights"])[at * batch..at * batch + labels.len()];
                            metric.update_weighted(rows, labels, weights).unwrap();
                        }
                    }
                    close(&case["expected"][format!("top{k}")], metric.top_k().unwrap());
                    close(&case["expected"]["log_loss"], metric.log_loss().unwrap());
                    close(&case["expected"]["perplexity"], metric.perplexity().unwrap());
                }
            }
        }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut metric = Probabilities::new(1);
        let good = [0.5, 0.5];
        assert!(matches!(metric.update(&[good], &[0, 1]), Err(MetricError::Length { expected: 2, found: 1 })));
        assert!(matches!(metric.update(&[good, good], &[0, 2]), Err(MetricError::Class { example: 1, found: 2, .. })));
        let error = metric.update(&[good, [f32::NAN, 0.0]], &[0, 0]).unwrap_err();
        assert_eq!(error.to_string(), "`probabilities` of example 1 of the batch holds NaN, expected finite numbers");
        let error = metric.update(&[good, [1.5, -0.5]], &[0, 0]).unwrap_err();
        assert_eq!(error.to_string(), "a probability of example 1 of the batch is 1.5, expected 0 to 1");
        assert_eq!(metric, Probabilities::new(1));
        assert!(matches!(metric.log_loss(), Err(MetricError::Undefined { .. })));
        assert!(matches!(metric.update::<0>(&[[]], &[0]), Err(MetricError::Class { .. })));
    }
}
