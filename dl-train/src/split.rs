//! Seeded splits: labels, groups or a count enter, the positions of the training and of the test part leave, each
//! ascending.
//!
//! The examples themselves are not touched; [`select`] copies those at given positions, and
//! [`Subset`](crate::data::Subset) borrows them. [`shuffled`] and [`stratified`] make two parts, [`shuffled_parts`],
//! [`stratified_parts`] and [`grouped_parts`] any number, and [`shuffled_folds`], [`stratified_folds`] and
//! [`grouped_folds`] serve cross-validation.

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
    let mut classes = classes(labels);

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

/// Splits `count` examples at random into parts of these shares of them, such as 0.7, 0.15 and 0.15 for training,
/// validation and test: the positions of each, ascending.
///
/// Shares are above 0 and sum to 1. Each part's size is its share, rounded up or down.
pub fn shuffled_parts<const K: usize>(
    count: usize,
    shares: [f64; K],
    seed: u64,
) -> Result<[Vec<usize>; K], TrainError> {
    stratified_parts(&vec![(); count], shares, seed)
}

/// The same of each class by itself, so that of its examples each part holds its share, rounded up or down; what is
/// rounded in one class is made up for in the next ones where it can be.
pub fn stratified_parts<L: Ord, const K: usize>(
    labels: &[L],
    shares: [f64; K],
    seed: u64,
) -> Result<[Vec<usize>; K], TrainError> {
    check_shares(&shares)?;
    let mut rng = Rng::new(seed);
    let mut rows = Vec::with_capacity(labels.len());
    for mut class in classes(labels) {
        rng.shuffle(&mut class);
        rows.append(&mut class);
    }
    // Classes stand in one row. The ends of parts, measured in every class, are rounded so that what is rounded in
    // one class is made up for in the next.
    let mut parts = std::array::from_fn(|_| Vec::new());
    let mut owed = [0.0; K];
    let mut start = 0;
    for class in classes(labels) {
        let sizes = shared_out(class.len(), &shares, &mut owed);
        for (part, size) in parts.iter_mut().zip(sizes) {
            part.extend_from_slice(&rows[start..start + size]);
            start += size;
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// Splits examples at random into parts of about these shares, no group in two parts: for examples that belong
/// together, such as the recordings of one speaker.
///
/// A part may miss its share by the size of the largest group, for each part there is. Shares are above 0 and sum
/// to 1.
pub fn grouped_parts<G: Ord, const K: usize>(
    groups: &[G],
    shares: [f64; K],
    seed: u64,
) -> Result<[Vec<usize>; K], TrainError> {
    check_shares(&shares)?;
    let mut parts = std::array::from_fn(|_| Vec::new());
    deal_groups(groups, &shares, seed, &mut parts);
    Ok(parts)
}

/// Positions of the training and of the validation part, each ascending.
pub type Fold = (Vec<usize>, Vec<usize>);

/// `folds` pairs of a training and a validation part, for cross-validation: each example is in the validation part of
/// one. From 2 folds up to as many as there are examples; their sizes differ by at most 1.
pub fn shuffled_folds(count: usize, folds: usize, seed: u64) -> Result<Vec<Fold>, TrainError> {
    stratified_folds(&vec![(); count], folds, seed)
}

/// The same, and the examples of each class are spread over the folds: their numbers differ by at most 1.
pub fn stratified_folds<L: Ord>(labels: &[L], folds: usize, seed: u64) -> Result<Vec<Fold>, TrainError> {
    check_folds(folds, labels.len(), "from 2 to the number of examples")?;
    let mut rng = Rng::new(seed);
    let mut parts = vec![Vec::new(); folds];
    let mut next = 0;
    for mut class in classes(labels) {
        rng.shuffle(&mut class);
        for position in class {
            parts[next % folds].push(position);
            next += 1;
        }
    }
    Ok(against_the_rest(parts, labels.len()))
}

/// The same with no group in two validation parts; sizes differ by at most the largest group. From 2 folds up to as
/// many as there are groups.
pub fn grouped_folds<G: Ord>(groups: &[G], folds: usize, seed: u64) -> Result<Vec<Fold>, TrainError> {
    check_folds(folds, classes(groups).len(), "from 2 to the number of groups")?;
    let mut parts = vec![Vec::new(); folds];
    deal_groups(groups, &vec![1.0 / folds as f64; folds], seed, &mut parts);
    Ok(against_the_rest(parts, groups.len()))
}

/// The examples at `positions`, in that order; a position past the end is an error.
pub fn select<E: Examples>(examples: &E, positions: &[usize]) -> Result<E, InputError> {
    let mut selected = E::default();
    selected.extend(examples, positions)?;
    Ok(selected)
}

/// The positions of each class, in the order of the labels.
fn classes<L: Ord>(labels: &[L]) -> Vec<Vec<usize>> {
    let mut classes = BTreeMap::<&L, Vec<usize>>::new();
    for (position, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(position);
    }
    classes.into_values().collect()
}

/// Sizes of parts of `count` examples: each share rounded down, and one more for those to which most is owed. `owed`
/// is what earlier roundings left to each part.
fn shared_out<const K: usize>(count: usize, shares: &[f64; K], owed: &mut [f64; K]) -> [usize; K] {
    let exact = shares.map(|share| share * count as f64);
    let mut sizes = exact.map(|size| size as usize);
    let rest: [f64; K] = std::array::from_fn(|part| exact[part] - sizes[part] as f64);
    let mut by_debt: Vec<usize> = (0..K).filter(|&part| rest[part] > 0.0).collect();
    by_debt.sort_by(|&a, &b| (rest[b] + owed[b]).total_cmp(&(rest[a] + owed[a])));
    let missing = count.saturating_sub(sizes.iter().sum());
    let everyone = by_debt.into_iter().chain((0..K).cycle());
    for part in everyone.take(missing) {
        sizes[part] += 1;
    }
    for part in 0..K {
        owed[part] += exact[part] - sizes[part] as f64;
    }
    sizes
}

/// Deals whole groups, in random order, each to the part that lacks most of its share.
fn deal_groups<G: Ord>(groups: &[G], shares: &[f64], seed: u64, parts: &mut [Vec<usize>]) {
    let mut rows = classes(groups);
    Rng::new(seed).shuffle(&mut rows);
    for group in rows {
        let lacks = |part: usize| shares[part] * groups.len() as f64 - parts[part].len() as f64;
        let most = (0..shares.len()).max_by(|&a, &b| lacks(a).total_cmp(&lacks(b)).then(b.cmp(&a)));
        if let Some(part) = most {
            parts[part].extend(group);
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
}

/// Each part as validation part, all others as training part.
fn against_the_rest(parts: Vec<Vec<usize>>, count: usize) -> Vec<Fold> {
    let fold = |mut validation: Vec<usize>| {
        validation.sort_unstable();
        let train = (0..count).filter(|position| validation.binary_search(position).is_err()).collect();
        (train, validation)
    };
    parts.into_iter().map(fold).collect()
}

fn check_folds(folds: usize, most: usize, expected: &'static str) -> Result<(), TrainError> {
    if (2..=most).contains(&folds) { Ok(()) } else { Err(TrainError::setting("folds", expected, folds)) }
}

fn check_shares(shares: &[f64]) -> Result<(), TrainError> {
    let sum: f64 = shares.iter().sum();
    if shares.iter().all(|&share| share > 0.0) && (sum - 1.0).abs() < 1e-9 {
        Ok(())
    } else {
        Err(TrainError::setting("shares", "numbers above 0 that sum to 1", format!("{shares:?}")))
    }
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

    #[test]
    fn three_parts_of_known_sizes() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i < 20)).collect();
        let [train, validation, test] = stratified_parts(&labels, [0.7, 0.15, 0.15], 3).unwrap();
        let ones = |part: &[usize]| part.iter().filter(|&&i| labels[i] == 1).count();
        assert_eq!([train.len(), validation.len(), test.len()], [70, 15, 15]);
        assert_eq!([ones(&train), ones(&validation), ones(&test)], [14, 3, 3]);
        assert_ne!(shuffled_parts(9, [0.5, 0.5], 1).unwrap(), shuffled_parts(9, [0.5, 0.5], 2).unwrap());
        assert_ne!(shuffled_folds(9, 3, 1).unwrap(), shuffled_folds(9, 3, 2).unwrap());
        assert_ne!(grouped_folds(&labels_of(9), 3, 1).unwrap(), grouped_folds(&labels_of(9), 3, 2).unwrap());
    }

    fn labels_of(count: u32) -> Vec<u32> {
        (0..count).collect()
    }

    #[test]
    fn impossible_parts_are_errors() {
        for shares in [[0.5, 0.6], [1.0, 0.0], [1.5, -0.5], [f64::NAN, 0.5]] {
            let message = format!("`shares` is {shares:?}, expected numbers above 0 that sum to 1");
            assert_eq!(shuffled_parts(9, shares, 0).unwrap_err().to_string(), message);
            assert!(grouped_parts(&[1, 2], shares, 0).is_err());
        }
        let message = "`folds` is 1, expected from 2 to the number of examples";
        assert_eq!(shuffled_folds(9, 1, 0).unwrap_err().to_string(), message);
        assert!(shuffled_folds(9, 10, 0).is_err() && shuffled_folds(0, 2, 0).is_err());
        let message = "`folds` is 3, expected from 2 to the number of groups";
        assert_eq!(grouped_folds(&[1, 1, 2, 2], 3, 0).unwrap_err().to_string(), message);
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

        #[test]
        fn parts_and_folds_are_partitions(
            labels in proptest::collection::vec(0_u32..7, 2..150),
            weights in [0.05_f64..1.0, 0.05_f64..1.0, 0.05_f64..1.0],
            folds in 2_usize..6,
            seed: u64,
        ) {
            let count = labels.len();
            let shares = weights.map(|weight| weight / weights.iter().sum::<f64>());
            let everything = |parts: &[Vec<usize>]| {
                let mut all = parts.concat();
                all.sort_unstable();
                all == (0..count).collect::<Vec<_>>() && parts.iter().all(|part| part.is_sorted())
            };
            let of_class = |part: &[usize], class: u32| part.iter().filter(|&&i| labels[i] == class).count();
            let sizes: Vec<usize> = (0..7).map(|class| of_class(&(0..count).collect::<Vec<_>>(), class)).collect();
            let largest = *sizes.iter().max().unwrap();

            let parts = shuffled_parts(count, shares, seed).unwrap();
            prop_assert!(everything(&parts));
            for (part, share) in parts.iter().zip(shares) {
                prop_assert!((part.len() as f64 - share * count as f64).abs() <= 1.0 + 1e-9);
            }
            let parts = stratified_parts(&labels, shares, seed).unwrap();
            prop_assert!(everything(&parts));
            for (part, share) in parts.iter().zip(shares) {
                prop_assert!((part.len() as f64 - share * count as f64).abs() <= 3.0, "{}", part.len());
                for class in 0..7 {
                    let exact = share * sizes[class as usize] as f64;
                    prop_assert!((of_class(part, class) as f64 - exact).abs() <= 1.0 + 1e-9);
                }
            }
            let parts = grouped_parts(&labels, shares, seed).unwrap();
            prop_assert!(everything(&parts));
            for (part, share) in parts.iter().zip(shares) {
                let off = part.len() as f64 - share * count as f64;
                prop_assert!(off <= largest as f64 && off >= -2.0 * largest as f64, "{off}");
            }
            for group in 0..7 {
                prop_assert!(parts.iter().filter(|part| of_class(part, group) > 0).count() <= 1);
            }

            if folds <= count {
                for (pairs, strata) in [
                    (shuffled_folds(count, folds, seed).unwrap(), false),
                    (stratified_folds(&labels, folds, seed).unwrap(), true),
                ] {
                    let validations: Vec<Vec<usize>> = pairs.iter().map(|(_, part)| part.clone()).collect();
                    prop_assert!(validations.len() == folds && everything(&validations));
                    for (train, validation) in &pairs {
                        prop_assert!(everything(&[train.clone(), validation.clone()]));
                        prop_assert!(validation.len() == count / folds || validation.len() == count.div_ceil(folds));
                        for class in 0..7 {
                            let (found, size) = (of_class(validation, class), sizes[class as usize]);
                            prop_assert!(!strata || found == size / folds || found == size.div_ceil(folds));
                        }
                    }
                }
            }
            if folds <= sizes.iter().filter(|&&size| size > 0).count() {
                let pairs = grouped_folds(&labels, folds, seed).unwrap();
                let validations: Vec<Vec<usize>> = pairs.iter().map(|(_, part)| part.clone()).collect();
                prop_assert!(everything(&validations));
                for (train, validation) in &pairs {
                    prop_assert!((0..7).all(|group| of_class(train, group) == 0 || of_class(validation, group) == 0));
                    prop_assert!(!validation.is_empty() && !train.is_empty());
                }
                let sizes: Vec<usize> = validations.iter().map(Vec::len).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= largest);
            }
        }
    }
}
