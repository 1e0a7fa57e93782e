//! Metrics of scores for one class against another: curves over all thresholds, areas below them, and a choice among them.

use super::error::{MetricError, check_finite, check_lengths, check_weights, weight_of};

/// The scores of examples and whether each is of the positive class. Every score is kept: 8 bytes an example.
///
/// An example is taken for positive if its score is at least the threshold. Examples of equal scores are taken together.
///
/// ```
/// use dl_train::metrics::BinaryScores;
///
/// let mut scores = BinaryScores::new();
/// scores.update(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1])?;
/// assert_eq!(scores.auc()?, 0.75);
/// assert_eq!(scores.best_f1()?.threshold, 0.35);
/// # Ok::<(), dl_train::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BinaryScores {
    examples: usize,
    /// The score of each example that counts, and its weight: below 0 if it is of the negative class.
    scores: Vec<(f32, f32)>,
}

/// A label of two classes: a boolean, or a number that is 0 or 1.
pub trait BinaryLabel: Copy {
    /// Whether it is the positive class; `None` for other numbers.
    fn positive(self) -> Option<bool>;
    /// What messages show.
    fn shown(self) -> String;
}

/// A threshold with its place on both curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Scores of at least it are positive; infinite at the first point, where none is.
    pub threshold: f32,
    /// The share of negative examples taken for positive.
    pub false_positive_rate: f64,
    /// The share of positive examples found, which is the recall.
    pub true_positive_rate: f64,
    /// Of what was taken for positive, the share that is; 1 at the first point.
    pub precision: f64,
}

/// A threshold and what it was chosen by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Scores of at least it are positive. It is one of the scores.
    pub threshold: f32,
    /// The F1 or Youden's J that it reaches.
    pub value: f64,
}

impl BinaryScores {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a batch. Labels are booleans, or numbers that are 0 or 1. For outputs of the type `[f32; 1]` there is
    /// `outputs.as_flattened()`.
    ///
    /// # Errors
    /// If the lengths differ, a score is not finite, or a label is neither 0 nor 1.
    pub fn update(&mut self, scores: &[f32], labels: &[impl BinaryLabel]) -> Result<(), MetricError> {
        self.add(scores, labels, None)
    }

    /// Takes a batch whose examples have weights, each finite and at least 0. An example of weight 2 counts as two of
    /// weight 1; one of weight 0 makes no point of the curve.
    ///
    /// # Errors
    /// As [`update`](Self::update), and if a weight is out of range.
    pub fn update_weighted(
        &mut self,
        scores: &[f32],
        labels: &[impl BinaryLabel],
        weights: &[f32],
    ) -> Result<(), MetricError> {
        self.add(scores, labels, Some(weights))
    }

    fn add(&mut self, scores: &[f32], labels: &[impl BinaryLabel], weights: Option<&[f32]>) -> Result<(), MetricError> {
        check_lengths(scores.len(), labels.len())?;
        check_finite("scores", scores)?;
        check_weights(weights, scores.len())?;
        let refused = |(example, label): (usize, _)| MetricError::Label { example, found: BinaryLabel::shown(label) };
        let labels = labels.iter().enumerate();
        let labels: Vec<bool> = labels
            .map(|(at, &label)| label.positive().ok_or_else(|| refused((at, label))))
            .collect::<Result<_, _>>()?;
        self.examples += scores.len();
        for (example, (&score, positive)) in scores.iter().zip(labels).enumerate() {
            let weight = weight_of(weights, example) as f32;
            if weight > 0.0 {
                self.scores.push((score, if positive { weight } else { -weight }));
            }
        }
        Ok(())
    }

    /// How many examples were taken.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// One point for each score that occurs, from the highest threshold down, and before them the point at which nothing
    /// is positive: ROC curve and precision-recall curve in one.
    ///
    /// # Errors
    /// If there are no examples that count of one of the two classes.
    pub fn curve(&self) -> Result<Vec<CurvePoint>, MetricError> {
        self.curve_for("the ROC curve")
    }

    /// The area under the ROC curve: the probability that a positive example scores above a negative one, ties half.
    ///
    /// # Errors
    /// As for [`curve`](Self::curve), and so for all functions below.
    pub fn auc(&self) -> Result<f64, MetricError> {
        let curve = self.curve_for("the area under the ROC curve")?;
        let area = |pair: &[CurvePoint]| {
            let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
            width * (pair[0].true_positive_rate + pair[1].true_positive_rate) / 2.0
        };
        Ok(curve.windows(2).map(area).sum())
    }

    /// The area under the precision-recall curve as a sum of steps, without interpolation.
    pub fn average_precision(&self) -> Result<f64, MetricError> {
        let curve = self.curve_for("the average precision")?;
        let step = |pair: &[CurvePoint]| (pair[1].true_positive_rate - pair[0].true_positive_rate) * pair[1].precision;
        Ok(curve.windows(2).map(step).sum())
    }

    /// The threshold of the highest F1; the highest threshold of equal ones. To be chosen on validation data.
    pub fn best_f1(&self) -> Result<Threshold, MetricError> {
        self.best("the best F1", |point| {
            let sum = point.precision + point.true_positive_rate;
            if sum > 0.0 { 2.0 * point.precision * point.true_positive_rate / sum } else { 0.0 }
        })
    }

    /// The threshold of the highest J, true positive rate − false positive rate (Youden, Index for rating diagnostic tests,
    /// 1950); the highest threshold of equal ones. To be chosen on validation data.
    pub fn youden(&self) -> Result<Threshold, MetricError> {
        self.best("Youden's J", |point| point.true_positive_rate - point.false_positive_rate)
    }

    fn best(&self, metric: &'static str, value: impl Fn(&CurvePoint) -> f64) -> Result<Threshold, MetricError> {
        let mut best = Threshold { threshold: f32::INFINITY, value: f64::NEG_INFINITY };
        for point in &self.curve_for(metric)?[1..] {
            let value = value(point);
            if value > best.value {
                best = Threshold { threshold: point.threshold, value };
            }
        }
        Ok(best)
    }

    fn curve_for(&self, metric: &'static str) -> Result<Vec<CurvePoint>, MetricError> {
        let positives = self.scores.iter().filter(|(_, weight)| *weight > 0.0).count();
        let negatives = self.scores.len() - positives;
        if positives == 0 || negatives == 0 {
            let found = format!("{positives} positive and {negatives} negative examples");
            return Err(MetricError::undefined(metric, "examples of both classes", found));
        }
        let mut sorted = self.scores.clone();
        sorted.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let first =
            CurvePoint { threshold: f32::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0, precision: 1.0 };
        let (mut curve, mut hits, mut alarms) = (vec![first], 0.0, 0.0);
        // 0 and −0 are equal scores, though not the same bits.
        for tied in sorted.chunk_by(|(a, _), (b, _)| a == b) {
            for &(_, weight) in tied {
                let weight = f64::from(weight);
                *(if weight > 0.0 { &mut hits } else { &mut alarms }) += weight.abs();
            }
            // Sums of weights until all are known.
            curve.push(CurvePoint {
                threshold: tied[0].0,
                false_positive_rate: alarms,
                true_positive_rate: hits,
                precision: hits / (hits + alarms),
            });
        }
        for point in &mut curve {
            point.false_positive_rate /= alarms;
            point.true_positive_rate /= hits;
        }
        Ok(curve)
    }
}

impl BinaryLabel for bool {
    fn positive(self) -> Option<bool> {
        Some(self)
    }

    fn shown(self) -> String {
        self.to_string()
    }
}

impl BinaryLabel for u32 {
    fn positive(self) -> Option<bool> {
        (self < 2).then_some(self == 1)
    }

    fn shown(self) -> String {
        self.to_string()
    }
}

impl BinaryLabel for f32 {
    fn positive(self) -> Option<bool> {
        (self == 0.0 || self == 1.0).then_some(self == 1.0)
    }

    fn shown(self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, close, floats, numbers, words};
    use super::*;

    /// Ties, one score for all, perfect and inverted order included, however the set is cut into batches.
    #[test]
    fn all_agree_with_scikit_learn() {
        for case in cases("binary").into_iter().chain(cases("weighted_binary")) {
            let (scores, labels) = (floats(&case["scores"]), words(&case["labels"]));
            let expected = &case["expected"];
            for batch in [1, 7, 1000] {
                let mut metric = BinaryScores::new();
                for (at, (scores, labels)) in scores.chunks(batch).zip(labels.chunks(batch)).enumerate() {
                    if case["weights"].is_null() {
                        metric.update(scores, labels).unwrap();
                    } else {
                        let weights = &floats(&case["weights"])[at * batch..at * batch + labels.len()];
                        metric.update_weighted(scores, labels, weights).unwrap();
                    }
                }
                close(&expected["auc"], metric.auc().unwrap());
                close(&expected["average_precision"], metric.average_precision().unwrap());
                let curve = metric.curve().unwrap();
                let thresholds: Vec<f64> = curve.iter().map(|point| f64::from(point.threshold)).collect();
                assert_eq!(thresholds, numbers(&expected["thresholds"]));
                let all = |name: &str, value: fn(&CurvePoint) -> f64| {
                    let expected = expected[name].as_array().unwrap();
                    assert_eq!(curve.len(), expected.len());
                    curve.iter().zip(expected).for_each(|(point, expected)| close(expected, value(point)));
                };
                all("fpr", |point| point.false_positive_rate);
                all("tpr", |point| point.true_positive_rate);
                all("precision", |point| point.precision);
                for (name, found) in [("f1", metric.best_f1().unwrap()), ("youden", metric.youden().unwrap())] {
                    close(&expected[name]["value"], found.value);
                    close(&expected[name]["threshold"], f64::from(found.threshold));
                }
            }
        }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut metric = BinaryScores::new();
        assert!(matches!(metric.update(&[1.0], &[true, false]), Err(MetricError::Length { expected: 2, found: 1 })));
        let error = metric.update(&[0.5, f32::NAN], &[0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "`scores` of example 1 of the batch holds NaN, expected finite numbers");
        let error = metric.update(&[0.5, 0.5], &[0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "the label of example 1 of the batch is 2, expected 0 or 1");
        assert!(matches!(metric.update(&[0.5], &[f32::NAN]), Err(MetricError::Label { .. })));
        assert_eq!(metric.examples(), 0);
        metric.update(&[0.5, 0.7], &[true, true]).unwrap();
        assert_eq!(
            metric.auc().unwrap_err().to_string(),
            "the area under the ROC curve is not defined by 2 positive and 0 negative examples, \
             expected examples of both classes"
        );
    }

    #[test]
    fn zeros_of_both_signs_are_one_score() {
        let mut metric = BinaryScores::new();
        metric.update(&[0.0, -0.0], &[1.0, 0.0]).unwrap();
        assert_eq!(metric.auc().unwrap(), 0.5);
    }
}
