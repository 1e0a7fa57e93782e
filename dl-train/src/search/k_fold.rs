//! Folds of a cross-validation: how to deal examples out enters, a training and a validation part for each fold leave.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::SearchError;
use crate::split::{self, Fold};

/// How examples are dealt out to folds. Each example is in the validation part of one fold, and in the training part of
/// all others.
#[derive(Debug, Clone, PartialEq)]
pub struct KFold {
    folds: usize,
    seed: u64,
    by: By,
}

#[derive(Debug, Clone, PartialEq)]
enum By {
    Chance,
    /// The class of each example, and the names of classes.
    Class(Vec<usize>, Vec<String>),
    Group(Vec<usize>),
}

impl KFold {
    /// From 2 folds to as many as there are examples, at random, with seed 0.
    pub fn new(folds: usize) -> Self {
        Self { folds, seed: 0, by: By::Chance }
    }

    /// Each class spread over the folds: its numbers in two of them differ by at most 1. Every class needs an example for
    /// each fold.
    pub fn stratified<L: Ord + Debug>(folds: usize, labels: &[L]) -> Self {
        let (classes, names) = numbered(labels);
        let names = names.into_iter().map(|name| format!("{name:?}")).collect();
        Self { folds, seed: 0, by: By::Class(classes, names) }
    }

    /// All examples of a group in one validation part, such as those of one speaker; up to as many folds as there are groups.
    pub fn grouped<G: Ord>(folds: usize, groups: &[G]) -> Self {
        Self { folds, seed: 0, by: By::Group(numbered(groups).0) }
    }

    /// What decides the draw.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The training and the validation part of each fold of so many examples.
    ///
    /// # Errors
    /// If there are fewer than 2 folds, or more than there are examples, groups, or examples of a class; or if there are
    /// labels or groups for another number of examples.
    pub fn split(&self, examples: usize) -> Result<Vec<Fold>, SearchError> {
        let Self { folds, seed, by } = self;
        let (folds, seed) = (*folds, *seed);
        let check_length = |what: &str, found: usize| {
            let what = what.to_owned();
            if found == examples { Ok(()) } else { Err(SearchError::Length { what, expected: examples, found }) }
        };
        let check = |of: &'static str, most: usize| {
            if (2..=most).contains(&folds) { Ok(()) } else { Err(SearchError::Folds { found: folds, of, most }) }
        };
        let split = match by {
            By::Chance => {
                check("examples", examples)?;
                split::shuffled_folds(examples, folds, seed)
            }
            By::Class(classes, names) => {
                check_length("the list of labels", classes.len())?;
                check("examples", examples)?;
                for (class, name) in names.iter().enumerate() {
                    let found = classes.iter().filter(|&&found| found == class).count();
                    if found < folds {
                        return Err(SearchError::SmallClass { class: name.clone(), found, folds });
                    }
                }
                split::stratified_folds(classes, folds, seed)
            }
            By::Group(groups) => {
                check_length("the list of groups", groups.len())?;
                check("groups", groups.iter().max().map_or(0, |last| last + 1))?;
                split::grouped_folds(groups, folds, seed)
            }
        };
        Ok(split?)
    }
}

/// The places of items among the different ones of them, and these, ascending.
fn numbered<T: Ord>(items: &[T]) -> (Vec<usize>, Vec<&T>) {
    let mut places: BTreeMap<&T, usize> = items.iter().map(|item| (item, 0)).collect();
    places.values_mut().enumerate().for_each(|(place, number)| *number = place);
    (items.iter().map(|item| places[item]).collect(), places.into_keys().collect())
}

/// Checks folds made elsewhere: their positions lie within the examples, and no part is empty or overlaps the other.
pub(super) fn check_folds(folds: &[Fold], examples: usize) -> Result<(), SearchError> {
    if folds.is_empty() {
        return Err(SearchError::Empty { what: "the list of folds".to_owned(), expected: "fold" });
    }
    for (number, (train, validation)) in (1..).zip(folds) {
        let fail = |reason: String| Err(SearchError::Fold { fold: number, reason });
        for (name, part) in [("training", train), ("validation", validation)] {
            if part.is_empty() {
                return fail(format!("the {name} part is empty, expected at least 1 example"));
            }
            if let Some(found) = part.iter().find(|&&position| position >= examples) {
                return fail(format!("position {found} of the {name} part is past the end of {examples} examples"));
            }
        }
        let mut taught = vec![false; examples];
        train.iter().for_each(|&position| taught[position] = true);
        if let Some(both) = validation.iter().find(|&&position| taught[position]) {
            return fail(format!("example {both} is in both parts, expected it in one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn impossible_folds_are_errors() {
        let message = |folds: KFold, examples| folds.split(examples).unwrap_err().to_string();
        let expected =
            |found, most| format!("there are {found} folds, expected from 2 to the number of examples, {most}");
        for found in [0, 1, 6, usize::MAX] {
            assert_eq!(message(KFold::new(found), 5), expected(found, 5));
            let labels = ["a"; 5];
            assert_eq!(message(KFold::stratified(found, &labels), 5), expected(found, 5));
        }
        assert_eq!(message(KFold::new(2), 0), expected(2, 0));
        assert_eq!(
            message(KFold::stratified(3, &["a", "a", "a", "b", "b"]), 5),
            "class \"b\" has 2 examples, expected at least 1 for each of 3 folds"
        );
        assert_eq!(
            message(KFold::grouped(3, &[7, 7, 9, 9]), 4),
            "there are 3 folds, expected from 2 to the number of groups, 2"
        );
        assert_eq!(message(KFold::grouped(2, &[7, 9]), 4), "the list of groups has 2 examples, expected 4");
        assert_eq!(message(KFold::stratified(2, &[7, 9]), 4), "the list of labels has 2 examples, expected 4");
    }

    #[test]
    fn folds_made_elsewhere_are_checked() {
        let message = |folds: &[Fold]| check_folds(folds, 4).unwrap_err().to_string();
        assert_eq!(message(&[]), "the list of folds is empty, expected at least 1 fold");
        let good = (vec![0, 1], vec![2, 3]);
        check_folds(std::slice::from_ref(&good), 4).unwrap();
        assert_eq!(
            message(&[good.clone(), (vec![0], vec![])]),
            "fold 2: the validation part is empty, expected at least 1 example"
        );
        assert_eq!(
            message(&[(vec![4], vec![0])]),
            "fold 1: position 4 of the training part is past the end of 4 examples"
        );
        assert_eq!(message(&[(vec![0, 1], vec![2, 1])]), "fold 1: example 1 is in both parts, expected it in one");
    }

    proptest! {
        #[test]
        fn each_example_is_validated_once(
            labels in proptest::collection::vec(0_u8..4, 8..120), folds in 2_usize..5, seed: u64,
        ) {
            // Every class fills every fold.
            let labels: Vec<u8> = labels.into_iter().chain((0..4).flat_map(|class| [class; 5])).collect();
            for by in [KFold::new(folds), KFold::stratified(folds, &labels), KFold::grouped(folds.min(4), &labels)] {
                let split = by.seed(seed).split(labels.len()).unwrap();
                let mut validated: Vec<usize> = split.iter().flat_map(|(_, validation)| validation.clone()).collect();
                validated.sort_unstable();
                prop_assert_eq!(validated, (0..labels.len()).collect::<Vec<_>>());
                for (train, validation) in &split {
                    prop_assert_eq!(train.len() + validation.len(), labels.len());
                    prop_assert!(train.iter().all(|position| !validation.contains(position)));
                }
                prop_assert!(check_folds(&split, labels.len()).is_ok());
            }
            // Of each class, the floor or the ceiling of its share.
            for (_, validation) in KFold::stratified(folds, &labels).seed(seed).split(labels.len()).unwrap() {
                for class in 0..4 {
                    let all = labels.iter().filter(|&&label| label == class).count();
                    let here = validation.iter().filter(|&&position| labels[position] == class).count();
                    prop_assert!(here == all / folds || here == all.div_ceil(folds), "{here} of {all}");
                }
            }
            for (train, validation) in KFold::grouped(folds.min(4), &labels).seed(seed).split(labels.len()).unwrap() {
                let torn = validation.iter().any(|&here| train.iter().any(|&there| labels[here] == labels[there]));
                prop_assert!(!torn);
            }
        }
    }
}
