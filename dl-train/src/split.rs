//! Seeded splits: labels or a count enter, the positions of the training and of the test part leave, each ascending.
//!
//! The examples themselves are not touched; [`select`] copies those at given positions.

use std::collections::BTreeMap;

use dl_runtime::{Examples, InputError, Rng};

use crate::TrainError;

/// Splits `count` examples at random: positions of the training and of the test part, each ascending.
///
/// The test part holds `fraction` of them, rounded to the nearest whole number. `fraction` lies above 0 and below 1.
pub fn shuffled(count: usize, fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>), TrainError> {
    check_fraction(fraction)?;
    let mut train: Vec<usize> = (0..count).collect();
    Rng::new(seed).shuffle(&mut train);
    let mut test = train.split_off(count - part(count, fraction));
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

/// Splits examples at random so that every class has the same share in both parts: positions of the training and of
/// the test part, each ascending.
///
/// The test part holds `fraction` of all examples, rounded, and of each class `fraction` of its examples rounded up
/// or down (largest remainders first, ties to the smaller label). `fraction` lies above 0 and below 1.
pub fn stratified<L: Ord>(labels: &[L], fraction: f64, seed: u64) -> Result<(Vec<usize>, Vec<usize>), TrainError> {
    check_fraction(fraction)?;
    let mut classes = BTreeMap::<&L, Vec<usize>>::new();
    for (position, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(position);
    }
    let mut classes: Vec<Vec<usize>> = classes.into_values().collect();

    let exact = |class: &Vec<usize>| class.len() as f64 * fraction;
    let mut quotas: Vec<usize> = classes.iter().map(|class| exact(class) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..classes.len()).collect();
    by_remainder.sort_by(|&a, &b| exact(&classes[b]).fract().total_cmp(&exact(&classes[a]).fract()));
    let missing = part(labels.len(), fraction).saturating_sub(quotas.iter().sum());
    for &class in by_remainder.iter().take(missing) {
        quotas[class] += 1;
    }

    let mut rng = Rng::new(seed);
    let mut train = Vec::with_capacity(labels.len());
    let mut test = Vec::new();
    for (class, quota) in classes.iter_mut().zip(quotas) {
        rng.shuffle(class);
        let (test_part, train_part) = class.split_at(quota.min(class.len()));
        test.extend_from_slice(test_part);
        train.extend_from_slice(train_part);
    }
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

/// The examples at `positions`, in that order; a position past the end is an error.
pub fn select<E: Examples>(examples: &E, positions: &[usize]) -> Result<E, InputError> {
    let mut selected = E::default();
    selected.extend(examples, positions)?;
    Ok(selected)
}

/// `fraction` of `count`, rounded to the nearest whole number.
fn part(count: usize, fraction: f64) -> usize {
    ((count as f64 * fraction).round() as usize).min(count)
}

fn check_fraction(fraction: f64) -> Result<(), TrainError> {
    if fraction > 0.0 && fraction < 1.0 {
        Ok(())
    } else {
        Err(TrainError::setting("fraction", "a number above 0 and below 1", fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_stratified_split() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i < 25)).collect();
        let (train, test) = stratified(&labels, 0.2, 7).unwrap();
        let ones = |part: &[usize]| part.iter().filter(|&&i| labels[i] == 1).count();
        assert_eq!((train.len(), test.len()), (80, 20));
        assert_eq!((ones(&train), ones(&test)), (20, 5));
    }

    #[test]
    fn seeds_matter_and_repeat() {
        let labels = [0_u32, 1].repeat(50);
        assert_eq!(stratified(&labels, 0.3, 1).unwrap(), stratified(&labels, 0.3, 1).unwrap());
        assert_ne!(stratified(&labels, 0.3, 1).unwrap(), stratified(&labels, 0.3, 2).unwrap());
        assert_ne!(shuffled(100, 0.3, 1).unwrap(), shuffled(100, 0.3, 2).unwrap());
    }

    #[test]
    fn a_fraction_outside_its_range_is_an_error() {
        for fraction in [0.0, 1.0, -0.5, 2.0, f64::NAN, f64::INFINITY] {
            let error = shuffled(10, fraction, 0).unwrap_err();
            assert_eq!(error.to_string(), format!("`fraction` is {fraction}, expected a number above 0 and below 1"));
            assert!(stratified(&[1_u32, 2], fraction, 0).is_err());
        }
    }

    #[test]
    fn nothing_splits_into_nothing() {
        assert_eq!(shuffled(0, 0.5, 0).unwrap(), (vec![], vec![]));
        assert_eq!(stratified::<u32>(&[], 0.5, 0).unwrap(), (vec![], vec![]));
    }

    /// Every third of four examples is chosen about equally often, over many seeds.
    #[test]
    fn every_example_reaches_the_test_part() {
        let mut count = [0_u32; 4];
        for seed in 0..4000 {
            for position in shuffled(4, 0.25, seed).unwrap().1 {
                count[position] += 1;
            }
        }
        // Mean 1000, deviation √(4000·¼·¾) ≈ 27: five deviations.
        assert!(count.iter().all(|&n| (865..=1135).contains(&n)), "{count:?}");
    }

    proptest! {
        #[test]
        fn parts_are_a_partition_with_the_right_shares(
            labels in proptest::collection::vec(0_u32..5, 0..200),
            fraction in 0.01_f64..0.99,
            seed: u64,
        ) {
            for (train, test) in [
                stratified(&labels, fraction, seed).unwrap(),
                shuffled(labels.len(), fraction, seed).unwrap(),
            ] {
                let mut all = [train, test.clone()].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
                prop_assert_eq!(test.len(), (labels.len() as f64 * fraction).round() as usize);
            }
            let (_, test) = stratified(&labels, fraction, seed).unwrap();
            for class in 0..5 {
                let all = labels.iter().filter(|&&label| label == class).count() as f64;
                let chosen = test.iter().filter(|&&i| labels[i] == class).count() as f64;
                prop_assert!((chosen - all * fraction).abs() <= 1.0);
            }
        }
    }
}
