//! Balanced accuracy of a whole set, for any number of classes.

use std::collections::BTreeMap;

use crate::TrainError;

/// The mean over classes of the share of their examples that were recognized (mean recall), from 0 to 1.
///
/// Classes without examples do not count. A class that is never recognized pulls it down however rare the class is:
/// guessing one class always gives 1 / classes. Every element of `predictions` and `labels` lies below `classes`.
/// Source: Brodersen et al., The balanced accuracy and its posterior distribution, 2010.
pub fn balanced_accuracy(predictions: &[u32], labels: &[u32], classes: usize) -> Result<f64, TrainError> {
    if predictions.len() != labels.len() {
        return Err(TrainError::Length { name: "predictions", expected: labels.len(), found: predictions.len() });
    }
    for (name, values) in [("predictions", predictions), ("labels", labels)] {
        if let Some(&found) = values.iter().find(|&&value| value as usize >= classes) {
            return Err(TrainError::setting(name, "numbers below `classes`", found));
        }
    }
    // A map rather than an array: its size follows the data, whatever `classes` is.
    let mut recognized = BTreeMap::<u32, (u64, u64)>::new();
    for (&prediction, &label) in predictions.iter().zip(labels) {
        let (right, examples) = recognized.entry(label).or_default();
        *right += u64::from(prediction == label);
        *examples += 1;
    }
    if recognized.is_empty() {
        return Err(TrainError::NoExamples { set: "label" });
    }
    let recalls = recognized.values().map(|&(right, examples)| right as f64 / examples as f64);
    Ok(recalls.sum::<f64>() / recognized.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six of eight right, but only half of the rare class: (1 + ½) / 2.
    #[test]
    fn rare_classes_count_as_much_as_others() {
        let labels = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
        let predictions = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(balanced_accuracy(&predictions, &labels, 2).unwrap(), 0.75);
    }

    #[test]
    fn one_class_for_all_is_chance() {
        let labels: Vec<u32> = (0..40).map(|i| i % 4).collect();
        assert_eq!(balanced_accuracy(&[2; 40], &labels, 4).unwrap(), 0.25);
    }

    #[test]
    fn classes_without_examples_do_not_count() {
        assert_eq!(balanced_accuracy(&[0, 1], &[0, 1], 10).unwrap(), 1.0);
        assert_eq!(balanced_accuracy(&[0, 1], &[0, 1], usize::MAX).unwrap(), 1.0);
    }

    #[test]
    fn errors_say_what_was_expected() {
        let message = |predictions: &[u32], labels: &[u32], classes| {
            balanced_accuracy(predictions, labels, classes).unwrap_err().to_string()
        };
        assert_eq!(message(&[0], &[0, 1], 2), "`predictions` has 1 elements, expected 2");
        assert_eq!(message(&[2], &[0], 2), "`predictions` is 2, expected numbers below `classes`");
        assert_eq!(message(&[0], &[9], 2), "`labels` is 9, expected numbers below `classes`");
        assert_eq!(message(&[], &[], 2), "the label set is empty, expected at least 1 example");
    }
}
