//! Classes of unequal size: labels enter; counts, balanced positions and weights leave.
//!
//! Over-sampling, under-sampling and class weights belong to the training part alone: the figures of a validation or
//! test part are about the data as they are.

use std::collections::BTreeMap;

use dl_runtime::Rng;

use super::{DataError, Place};

/// How many examples each class has, in the order of the labels.
pub fn class_counts<L: Ord + Clone>(labels: &[L]) -> BTreeMap<L, usize> {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(label.clone()).or_default() += 1;
    }
    counts
}

/// Positions that show every class as often as the most frequent one, in random order: each example of a class as
/// often as the others, or once more, chosen at random.
pub fn over_sample<L: Ord>(labels: &[L], seed: u64) -> Vec<usize> {
    resample(labels, seed, |sizes| sizes.max())
}

/// Positions that show every class as often as the least frequent one, in random order: examples of larger classes
/// are left out at random.
pub fn under_sample<L: Ord>(labels: &[L], seed: u64) -> Vec<usize> {
    resample(labels, seed, |sizes| sizes.min())
}

fn resample<L: Ord>(
    labels: &[L],
    seed: u64,
    size: impl Fn(&mut dyn Iterator<Item = usize>) -> Option<usize>,
) -> Vec<usize> {
    let mut classes = BTreeMap::<&L, Vec<usize>>::new();
    for (position, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(position);
    }
    let size = size(&mut classes.values().map(Vec::len)).unwrap_or(0);
    let mut rng = Rng::new(seed);
    let mut chosen = Vec::new();
    for mut class in classes.into_values() {
        rng.shuffle(&mut class);
        chosen.extend(class.iter().cycle().take(size));
    }
    rng.shuffle(&mut chosen);
    chosen
}

/// Weights n / (k nᵢ) of `classes` classes, where nᵢ of n examples are of class i and k classes occur: with them every
/// class counts alike, and the mean weight of an example is 1 (King and Zeng, "Logistic regression in rare events
/// data", 2001). A class without examples weighs 0.
pub fn class_weights(labels: &[u32], classes: usize) -> Result<Vec<f32>, DataError> {
    if labels.is_empty() {
        return Err(DataError::Empty { place: Place::of("labels").boxed(), what: "label" });
    }
    let mut counts = vec![0_usize; classes];
    for (example, &label) in labels.iter().enumerate() {
        *counts.get_mut(label as usize).ok_or_else(|| out_of_range(example, classes, label))? += 1;
    }
    let occurring = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 0.0,
        count => (labels.len() as f64 / (occurring as f64 * count as f64)) as f32,
    };
    Ok(counts.iter().map(weight).collect())
}

/// The weight of each example: that of its class.
pub fn example_weights(labels: &[u32], class_weights: &[f32]) -> Result<Vec<f32>, DataError> {
    let weight = |(example, &label): (usize, &u32)| {
        let weight = class_weights.get(label as usize).copied();
        weight.ok_or_else(|| out_of_range(example, class_weights.len(), label))
    };
    labels.iter().enumerate().map(weight).collect()
}

fn out_of_range(example: usize, bound: usize, found: u32) -> DataError {
    DataError::Label { place: Place::of("labels").example(example).boxed(), bound, found: f64::from(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The weights scikit-learn documents as `balanced`: for 6, 3 and 1 of 10 examples 10/18, 10/9 and 10/3.
    #[test]
    fn balanced_weights_of_known_counts() {
        let labels = [0, 0, 1, 0, 0, 3, 1, 0, 1, 0];
        let weights = class_weights(&labels, 4).unwrap();
        for (weight, expected) in weights.iter().zip([10.0 / 18.0, 10.0 / 9.0, 0.0, 10.0 / 3.0]) {
            assert!((weight - expected).abs() < 1e-6, "{weights:?}");
        }
        let examples = example_weights(&labels, &weights).unwrap();
        assert_eq!((examples[5], examples[2]), (weights[3], weights[1]));
        assert_eq!(class_counts(&labels).into_iter().collect::<Vec<_>>(), [(0, 6), (1, 3), (3, 1)]);
    }

    #[test]
    fn labels_out_of_range_are_errors() {
        let message = "labels, example 1: expected a label from 0 to 2, found 3";
        assert_eq!(class_weights(&[0, 3], 3).unwrap_err().to_string(), message);
        assert_eq!(example_weights(&[0, 3], &[1.0; 3]).unwrap_err().to_string(), message);
        assert_eq!(class_weights(&[], 3).unwrap_err().to_string(), "labels is empty, expected at least 1 label");
        assert!(class_weights(&[0], 0).is_err());
    }

    proptest! {
        #[test]
        fn samples_are_balanced(labels in proptest::collection::vec(0_u8..5, 0..80), seed: u64) {
            let counts = class_counts(&labels);
            let most = counts.values().copied().max().unwrap_or(0);
            let least = counts.values().copied().min().unwrap_or(0);
            for (chosen, size) in [(over_sample(&labels, seed), most), (under_sample(&labels, seed), least)] {
                let shown: Vec<u8> = chosen.iter().map(|&position| labels[position]).collect();
                prop_assert!(class_counts(&shown).values().all(|&count| count == size));
                prop_assert_eq!(class_counts(&shown).len(), counts.len());
                // Within a class no example is shown two times more often than another.
                let times = class_counts(&chosen);
                for (position, label) in labels.iter().enumerate() {
                    let times = times.get(&position).copied().unwrap_or(0);
                    let size_of_class = counts[label];
                    prop_assert!(times == size / size_of_class || times == size.div_ceil(size_of_class));
                }
            }
        }

        #[test]
        fn weighted_classes_count_alike(labels in proptest::collection::vec(0_u32..5, 1..80)) {
            let examples = example_weights(&labels, &class_weights(&labels, 5).unwrap()).unwrap();
            let all: f32 = examples.iter().sum();
            prop_assert!((all - labels.len() as f32).abs() < 1e-3);
            for (label, count) in class_counts(&labels) {
                let sum: f32 = labels.iter().zip(&examples).filter(|pair| *pair.0 == label).map(|pair| pair.1).sum();
                let expected = labels.len() as f32 / class_counts(&labels).len() as f32;
                prop_assert!((sum - expected).abs() < 1e-3, "{count} of class {label}");
            }
        }
    }
}
