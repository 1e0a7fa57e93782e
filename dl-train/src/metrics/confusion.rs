//! The confusion matrix, and what is computed from it.

use super::error::{MetricError, check_classes, check_lengths, check_weights, weight_of};

/// How often each class was predicted for each label.
///
/// ```
/// use dl_train::metrics::{Average, ConfusionMatrix};
///
/// let mut matrix = ConfusionMatrix::new(2)?;
/// matrix.update(&[1, 0, 1], &[1, 0, 0])?;
/// matrix.update(&[1], &[1])?;
/// assert_eq!(matrix.accuracy()?, 0.75);
/// assert_eq!(matrix.precision(Average::Class(1))?, 2.0 / 3.0);
/// # Ok::<(), dl_train::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// A row for each label, a column for each prediction.
    counts: Vec<u64>,
    /// Sums of weights in their place, once there were any.
    weights: Option<Vec<f64>>,
}

/// Over which classes a metric is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// Of this class against all others: with two classes, `Class(1)` is the metric of the positive class.
    Class(u32),
    /// The mean over the classes that are among the labels or predictions.
    Macro,
    /// The mean over classes, each weighted by its number of labels.
    Weighted,
    /// Of the sums over classes: all decisions count alike.
    Micro,
}

/// One class against all others: how many of each kind.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    true_positive: f64,
    false_positive: f64,
    false_negative: f64,
    true_negative: f64,
}

impl ConfusionMatrix {
    /// The largest number of classes.
    pub const MOST_CLASSES: usize = 4096;

    /// Nothing seen yet.
    ///
    /// # Errors
    /// If `classes` is not from 2 to [`MOST_CLASSES`](Self::MOST_CLASSES).
    pub fn new(classes: usize) -> Result<Self, MetricError> {
        if !(2..=Self::MOST_CLASSES).contains(&classes) {
            return Err(MetricError::Argument { name: "classes", expected: "2 to 4096", found: classes.to_string() });
        }
        Ok(Self { classes, counts: vec![0; classes * classes], weights: None })
    }

    /// Counts a batch.
    ///
    /// # Errors
    /// If the lengths differ, or a class does not exist.
    pub fn update(&mut self, predictions: &[u32], labels: &[u32]) -> Result<(), MetricError> {
        self.add(predictions, labels, None)
    }

    /// Counts a batch whose examples have weights, each finite and at least 0. An example of weight 2 counts as two of
    /// weight 1, in all metrics.
    ///
    /// # Errors
    /// If the lengths differ, a class does not exist, or a weight is out of range.
    pub fn update_weighted(&mut self, predictions: &[u32], labels: &[u32], weights: &[f32]) -> Result<(), MetricError> {
        self.add(predictions, labels, Some(weights))
    }

    fn add(&mut self, predictions: &[u32], labels: &[u32], weights: Option<&[f32]>) -> Result<(), MetricError> {
        check_lengths(predictions.len(), labels.len())?;
        check_classes("predictions", predictions, self.classes)?;
        check_classes("labels", labels, self.classes)?;
        check_weights(weights, labels.len())?;
        if weights.is_some() && self.weights.is_none() {
            self.weights = Some(self.counts.iter().map(|&count| count as f64).collect());
        }
        for (example, (&prediction, &label)) in predictions.iter().zip(labels).enumerate() {
            let at = label as usize * self.classes + prediction as usize;
            self.counts[at] += 1;
            if let Some(sums) = &mut self.weights {
                sums[at] += weight_of(weights, example);
            }
        }
        Ok(())
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many examples of class `label` were taken for class `prediction`; 0 if there is no such class.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        if label >= self.classes || prediction >= self.classes {
            return 0;
        }
        self.counts[label * self.classes + prediction]
    }

    /// The sum of the weights of these examples; their number if there were no weights.
    pub fn weight(&self, label: usize, prediction: usize) -> f64 {
        if label >= self.classes || prediction >= self.classes {
            return 0.0;
        }
        let at = label * self.classes + prediction;
        self.weights.as_ref().map_or(self.counts[at] as f64, |weights| weights[at])
    }

    /// How many examples were counted.
    pub fn examples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of examples that were recognized.
    ///
    /// # Errors
    /// If there are no examples that count, as for all functions below.
    pub fn accuracy(&self) -> Result<f64, MetricError> {
        let total = self.total("accuracy")?;
        Ok((0..self.classes).map(|class| self.weight(class, class)).sum::<f64>() / total)
    }

    /// The mean over classes of the recall; classes without labels do not count (Brodersen et al., 2010).
    pub fn balanced_accuracy(&self) -> Result<f64, MetricError> {
        self.total("balanced accuracy")?;
        let labelled = self.each_class().filter(|counts| counts.labels() > 0.0);
        let (sum, classes) = labelled.fold((0.0, 0.0), |(sum, classes), counts| (sum + counts.recall(), classes + 1.0));
        Ok(sum / classes)
    }

    /// Of what was predicted as a class, the share that is of it: TP / (TP + FP); 0 where nothing was predicted.
    pub fn precision(&self, average: Average) -> Result<f64, MetricError> {
        self.averaged("precision", average, |c| ratio(c.true_positive, c.true_positive + c.false_positive))
    }

    /// Of what is of a class, the share that was found, also called true positive rate or sensitivity: TP / (TP + FN);
    /// 0 where there is nothing to find.
    pub fn recall(&self, average: Average) -> Result<f64, MetricError> {
        self.averaged("recall", average, |c| c.recall())
    }

    /// Of what is not of a class, the share that was taken for it: FP / (FP + TN); 0 where everything is of the class.
    pub fn false_positive_rate(&self, average: Average) -> Result<f64, MetricError> {
        self.averaged("false positive rate", average, |c| ratio(c.false_positive, c.false_positive + c.true_negative))
    }

    /// Of what is not of a class, the share that was not taken for it, also called true negative rate: TN / (TN + FP); 0
    /// where everything is of the class.
    pub fn specificity(&self, average: Average) -> Result<f64, MetricError> {
        self.averaged("specificity", average, |c| ratio(c.true_negative, c.true_negative + c.false_positive))
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self, average: Average) -> Result<f64, MetricError> {
        self.f_beta(1.0, average)
    }

    /// The weighted harmonic mean of precision and recall, in which recall counts `beta` times as much; 0 where neither is
    /// defined (van Rijsbergen, Information retrieval, 1979).
    ///
    /// # Errors
    /// If `beta` is not a finite number above 0.
    pub fn f_beta(&self, beta: f64, average: Average) -> Result<f64, MetricError> {
        // Its square must be finite too.
        if !(beta > 0.0 && beta <= 1e150) {
            let expected = "a number above 0, at most 1e150";
            return Err(MetricError::Argument { name: "beta", expected, found: beta.to_string() });
        }
        let square = beta * beta;
        self.averaged("F-beta", average, |c| {
            let hits = (1.0 + square) * c.true_positive;
            ratio(hits, hits + square * c.false_negative + c.false_positive)
        })
    }

    /// Intersection over union, the Jaccard index: TP / (TP + FP + FN); 0 for a class that is nowhere. For segmentation,
    /// every pixel is an example.
    pub fn iou(&self, average: Average) -> Result<f64, MetricError> {
        let union = |c: Counts| c.true_positive + c.false_positive + c.false_negative;
        self.averaged("IoU", average, |c| ratio(c.true_positive, union(c)))
    }

    /// The correlation of predictions and labels, from -1 to 1; 0 if either is all one class (Matthews, 1975; for several
    /// classes Gorodkin, 2004).
    pub fn matthews(&self) -> Result<f64, MetricError> {
        let total = self.total("the Matthews coefficient")?;
        let (mut right, mut both, mut predicted, mut labelled) = (0.0, 0.0, 0.0, 0.0);
        for counts in self.each_class() {
            let (labels, predictions) = (counts.labels(), counts.predictions());
            right += counts.true_positive;
            both += labels * predictions;
            predicted += predictions * predictions;
            labelled += labels * labels;
        }
        let spread = (total * total - predicted).sqrt() * (total * total - labelled).sqrt();
        Ok(ratio(right * total - both, spread))
    }

    /// Agreement beyond chance, at most 1 (Cohen, 1960).
    ///
    /// # Errors
    /// If predictions and labels are all of one and the same class.
    pub fn kappa(&self) -> Result<f64, MetricError> {
        let total = self.total("kappa")?;
        let chance: f64 = self.each_class().map(|c| c.labels() * c.predictions()).sum::<f64>() / (total * total);
        if chance >= 1.0 {
            return Err(MetricError::undefined("kappa", "two classes", "examples of one class"));
        }
        Ok((self.accuracy()? - chance) / (1.0 - chance))
    }

    fn total(&self, metric: &'static str) -> Result<f64, MetricError> {
        let total = match &self.weights {
            Some(weights) => weights.iter().sum(),
            None => self.examples() as f64,
        };
        if total > 0.0 { Ok(total) } else { Err(MetricError::no_examples(metric, self.examples())) }
    }

    fn each_class(&self) -> impl Iterator<Item = Counts> {
        // Sums of what stands beside the diagonal: differences of sums of weights would not be 0 where nothing is.
        let (mut missed, mut false_alarms) = (vec![0.0; self.classes], vec![0.0; self.classes]);
        let (mut wrong, mut right) = (0.0, 0.0);
        for (label, missed) in missed.iter_mut().enumerate() {
            for (prediction, false_alarms) in false_alarms.iter_mut().enumerate() {
                let weight = self.weight(label, prediction);
                if label == prediction {
                    right += weight;
                } else {
                    *missed += weight;
                    *false_alarms += weight;
                    wrong += weight;
                }
            }
        }
        missed.into_iter().zip(false_alarms).enumerate().map(move |(class, (false_negative, false_positive))| {
            let true_positive = self.weight(class, class);
            let others = (right - true_positive) + (wrong - false_negative - false_positive);
            Counts { true_positive, false_positive, false_negative, true_negative: others.max(0.0) }
        })
    }

    fn averaged(
        &self,
        metric: &'static str,
        average: Average,
        value: impl Fn(Counts) -> f64,
    ) -> Result<f64, MetricError> {
        self.total(metric)?;
        Ok(match average {
            Average::Class(class) => {
                check_classes("average", &[class], self.classes)?;
                self.each_class().nth(class as usize).map_or(0.0, value)
            }
            Average::Micro => value(self.each_class().fold(Counts::default(), |a, b| Counts {
                true_positive: a.true_positive + b.true_positive,
                false_positive: a.false_positive + b.false_positive,
                false_negative: a.false_negative + b.false_negative,
                true_negative: a.true_negative + b.true_negative,
            })),
            Average::Macro => {
                mean(self.each_class().map(|c| (value(c), f64::from(c.labels() + c.predictions() > 0.0))))
            }
            Average::Weighted => mean(self.each_class().map(|c| (value(c), c.labels()))),
        })
    }
}

impl Counts {
    fn labels(self) -> f64 {
        self.true_positive + self.false_negative
    }

    fn predictions(self) -> f64 {
        self.true_positive + self.false_positive
    }

    fn recall(self) -> f64 {
        ratio(self.true_positive, self.labels())
    }
}

/// The quotient; 0 where nothing is divided.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The mean of values with weights.
fn mean(values: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, weight) = values.fold((0.0, 0.0), |(sum, all), (value, weight)| (sum + value * weight, all + weight));
    ratio(sum, weight)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, close, floats, words};
    use super::*;

    fn averages(classes: usize) -> Vec<(String, Average)> {
        let each = (0..classes as u32).map(|class| (format!("class{class}"), Average::Class(class)));
        let means = [("macro", Average::Macro), ("weighted", Average::Weighted), ("micro", Average::Micro)];
        each.chain(means.map(|(name, average)| (name.to_owned(), average))).collect()
    }

    /// Stored results of scikit-learn, for balanced, skewed and degenerate sets, however they are cut into batches.
    #[test]
    fn all_agree_with_scikit_learn() {
        for case in cases("classification").into_iter().chain(cases("weighted_classification")) {
            let classes = case["classes"].as_u64().unwrap() as usize;
            let (labels, predictions) = (words(&case["labels"]), words(&case["predictions"]));
            for batch in [1, 3, 1000] {
                let mut matrix = ConfusionMatrix::new(classes).unwrap();
                for (at, (predictions, labels)) in predictions.chunks(batch).zip(labels.chunks(batch)).enumerate() {
                    if case["weights"].is_null() {
                        matrix.update(predictions, labels).unwrap();
                    } else {
                        let weights = &floats(&case["weights"])[at * batch..at * batch + labels.len()];
                        matrix.update_weighted(predictions, labels, weights).unwrap();
                    }
                }
                let expected = &case["expected"];
                assert_eq!(matrix.examples(), labels.len() as u64);
                for (at, expected) in expected["matrix"].as_array().unwrap().iter().enumerate() {
                    close(expected, matrix.weight(at / classes, at % classes));
                }
                close(&expected["accuracy"], matrix.accuracy().unwrap());
                close(&expected["balanced"], matrix.balanced_accuracy().unwrap());
                close(&expected["matthews"], matrix.matthews().unwrap());
                match matrix.kappa() {
                    Ok(kappa) => close(&expected["kappa"], kappa),
                    Err(_) => assert!(expected["kappa"].is_null()),
                }
                for (name, average) in averages(classes) {
                    let expected = &expected[&name];
                    close(&expected["precision"], matrix.precision(average).unwrap());
                    close(&expected["recall"], matrix.recall(average).unwrap());
                    close(&expected["f1"], matrix.f1(average).unwrap());
                    close(&expected["f2"], matrix.f_beta(2.0, average).unwrap());
                    close(&expected["f_half"], matrix.f_beta(0.5, average).unwrap());
                    close(&expected["iou"], matrix.iou(average).unwrap());
                    if matches!(average, Average::Class(_)) {
                        close(&expected["specificity"], matrix.specificity(average).unwrap());
                        close(&expected["fpr"], matrix.false_positive_rate(average).unwrap());
                    }
                }
            }
        }
    }

    /// Batches without weights count as ones of weight 1, before others and after them.
    #[test]
    fn weights_of_one_change_nothing() {
        let (predictions, labels) = ([0, 1, 2, 2, 1], [0, 1, 1, 2, 0]);
        let mut plain = ConfusionMatrix::new(3).unwrap();
        plain.update(&predictions, &labels).unwrap();
        let mut mixed = ConfusionMatrix::new(3).unwrap();
        mixed.update(&predictions[..2], &labels[..2]).unwrap();
        mixed.update_weighted(&predictions[2..4], &labels[2..4], &[1.0; 2]).unwrap();
        mixed.update(&predictions[4..], &labels[4..]).unwrap();
        assert_eq!(plain.f1(Average::Macro), mixed.f1(Average::Macro));
        assert_eq!((plain.weight(1, 2), mixed.weight(1, 2), mixed.count(1, 2)), (1.0, 1.0, 1));
        let before = mixed.clone();
        assert!(matches!(mixed.update_weighted(&[0], &[0], &[]), Err(MetricError::Weights { expected: 1, found: 0 })));
        assert!(matches!(mixed.update_weighted(&[0], &[0], &[-0.5]), Err(MetricError::Weight { example: 0, .. })));
        assert_eq!(mixed, before);
        let mut nothing = ConfusionMatrix::new(3).unwrap();
        nothing.update_weighted(&[0], &[0], &[0.0]).unwrap();
        assert!(nothing.accuracy().is_err());
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut matrix = ConfusionMatrix::new(3).unwrap();
        let message = |error: MetricError| error.to_string();
        assert_eq!(
            message(matrix.update(&[0, 3], &[0, 0]).unwrap_err()),
            "`predictions` of example 1 of the batch is 3, expected a class below 3"
        );
        assert_eq!(
            message(matrix.update(&[0, 1], &[0, 7]).unwrap_err()),
            "`labels` of example 1 of the batch is 7, expected a class below 3"
        );
        assert_eq!(
            message(matrix.update(&[0], &[0, 7]).unwrap_err()),
            "there are 1 predictions, expected 2: one for each label"
        );
        assert_eq!(matrix.examples(), 0);
        assert_eq!(
            message(matrix.accuracy().unwrap_err()),
            "accuracy is not defined by 0 examples, expected at least 1 example"
        );
        matrix.update(&[0], &[0]).unwrap();
        assert!(matches!(matrix.recall(Average::Class(3)), Err(MetricError::Class { .. })));
        assert!(matches!(matrix.kappa(), Err(MetricError::Undefined { .. })));
        for beta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(matrix.f_beta(beta, Average::Macro), Err(MetricError::Argument { .. })));
        }
        for classes in [0, 1, usize::MAX] {
            assert!(matches!(ConfusionMatrix::new(classes), Err(MetricError::Argument { .. })));
        }
    }
}
