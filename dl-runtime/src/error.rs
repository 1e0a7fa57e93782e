//! What can be wrong with a call's input or with a checkpoint, and the checks generated code makes at its entrance.
//!
//! Everything a caller passes is checked once, before any work; after that kernels may rely on it. Errors are
//! values: nothing here panics, and no check looks at the numbers of an input tensor.

use thiserror::Error;

/// A call that cannot be carried out as asked. Nothing was computed and nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// A batch of no examples.
    #[error("the batch is empty, expected at least one example")]
    Empty,
    /// More examples than the workspace was made for.
    #[error("the workspace holds {capacity} examples, found {found}")]
    OverCapacity {
        /// What the workspace was made for.
        capacity: usize,
        /// What the call brought.
        found: usize,
    },
    /// Two arrays of a batch disagree in length.
    #[error("`{name}` has {found} examples, expected {expected}")]
    LengthMismatch {
        /// The input, label or operand.
        name: &'static str,
        /// As many as the batch's first array has.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// An index at or past the bound its type declares.
    #[error("`{name}` of example {example} is {found}, expected an index below {bound}")]
    IndexOutOfRange {
        /// The input or label.
        name: &'static str,
        /// Which example, from 0.
        example: usize,
        /// The number of classes or words.
        bound: usize,
        /// The value.
        found: u32,
    },
    /// A position past the end of the examples.
    #[error("position {found} is past the end of {len} examples")]
    PositionOutOfRange {
        /// How many examples there are.
        len: usize,
        /// The position.
        found: usize,
    },
    /// A weight that is negative, infinite or not a number.
    #[error("the weight of example {example} is {found}, expected a finite number of at least 0")]
    WeightOutOfRange {
        /// Which example, from 0.
        example: usize,
        /// The weight.
        found: f32,
    },
    /// An optimizer that was made for another number of parameters.
    #[error("the optimizer was made for {found} parameters, expected {expected}")]
    OptimizerMismatch {
        /// How many parameters, in floats, are to be updated.
        expected: usize,
        /// How many the optimizer was made for.
        found: usize,
    },
    /// An input or label that is infinite or not a number.
    #[error("`{name}` of example {example} holds {found}, expected finite numbers")]
    NotFinite {
        /// The input or label.
        name: &'static str,
        /// Which example, from 0.
        example: usize,
        /// The first such number.
        found: f32,
    },
    /// A number of the optimizer that it cannot work with.
    #[error(transparent)]
    Setting(#[from] crate::OutOfRange),
    /// Weights that leave nothing to average.
    #[error("the example weights sum to {sum}, expected a finite number above 0")]
    WeightsUnusable {
        /// Their sum.
        sum: f32,
    },
}

impl InputError {
    /// The same error with the number of its example, if it has one, as `place` says: an error of a batch becomes one
    /// of the set that the batch was taken from.
    pub fn with_example(mut self, place: impl FnOnce(usize) -> usize) -> Self {
        if let Self::IndexOutOfRange { example, .. }
        | Self::WeightOutOfRange { example, .. }
        | Self::NotFinite { example, .. } = &mut self
        {
            *example = place(*example);
        }
        self
    }
}

/// A checkpoint that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not in the safetensors format.
    #[error("not a safetensors file: {reason}")]
    Format {
        /// What the format's reader found.
        reason: String,
    },
    /// Tensors the network has and the checkpoint has not.
    #[error("the checkpoint lacks {}", quoted(.names))]
    Missing {
        /// Their names, in the network's order.
        names: Vec<&'static str>,
    },
    /// A tensor the network does not have.
    #[error("the checkpoint holds `{name}`, which the network does not have")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("`{name}` has shape {expected:?} in the network, found {found:?}")]
    Shape {
        /// Its name.
        name: &'static str,
        /// Its shape in the network.
        expected: &'static [usize],
        /// Its shape in the checkpoint.
        found: Vec<usize>,
    },
    /// A tensor of another number type.
    #[error("`{name}` is of type F32 in the network, found {found}")]
    Dtype {
        /// Its name.
        name: &'static str,
        /// Its type in the checkpoint, as the format calls it.
        found: String,
    },
    /// The tensors do not fit the block they are said to lie in.
    #[error("`{name}` ends past the {floats} floats of its block")]
    OutOfBlock {
        /// The first tensor that does not fit.
        name: &'static str,
        /// The block's length.
        floats: usize,
    },
}

/// Checks the number of examples of a call against the capacity of its workspace.
pub fn check_examples(n: usize, capacity: usize) -> Result<(), InputError> {
    if n == 0 {
        Err(InputError::Empty)
    } else if n > capacity {
        Err(InputError::OverCapacity { capacity, found: n })
    } else {
        Ok(())
    }
}

/// Checks that an array of a batch has as many examples as the first one.
pub fn check_length(name: &'static str, expected: usize, found: usize) -> Result<(), InputError> {
    if found == expected { Ok(()) } else { Err(InputError::LengthMismatch { name, expected, found }) }
}

/// Checks that indices, `per_example` of them for each example, lie below `bound`.
pub fn check_indices(name: &'static str, values: &[u32], per_example: usize, bound: usize) -> Result<(), InputError> {
    match values.iter().position(|&value| value as usize >= bound) {
        None => Ok(()),
        Some(at) => {
            Err(InputError::IndexOutOfRange { name, example: at / per_example.max(1), bound, found: values[at] })
        }
    }
}

/// Checks that an array of a batch, with `per_example` numbers for each example, holds finite numbers only.
pub fn check_finite(name: &'static str, values: &[f32], per_example: usize) -> Result<(), InputError> {
    match first_not_finite(values) {
        None => Ok(()),
        Some(at) => Err(InputError::NotFinite { name, example: at / per_example.max(1), found: values[at] }),
    }
}

/// The place of the first number that is infinite or not a number.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    // 0 · x is 0 for every finite x and NaN for all else; strips without a branch become vector instructions.
    const STRIP: usize = 1024;
    let spoiled = |strip: &[f32]| {
        let (lanes, rest) = strip.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for lane in lanes {
            for (sum, x) in sums.iter_mut().zip(lane) {
                *sum += 0.0 * x;
            }
        }
        sums.iter().chain(rest).any(|&x| !(0.0 * x == 0.0))
    };
    let strip = values.chunks(STRIP).position(spoiled)? * STRIP;
    values[strip..].iter().position(|x| !x.is_finite()).map(|at| strip + at)
}

/// What the examples of a batch count in a mean, and the sum of that, by which it is divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExampleWeights<'a> {
    /// The weight of each example; without, each counts 1.
    pub each: Option<&'a [f32]>,
    /// Their sum.
    pub total: f32,
}

impl ExampleWeights<'_> {
    /// `n` examples that count 1 each.
    pub const fn equal(n: usize) -> Self {
        Self { each: None, total: n as f32 }
    }
}

/// Checks that example weights are usable: one per example, finite, not negative, with a sum above 0.
/// Without weights every example counts 1.
pub fn check_weights(weights: Option<&[f32]>, n: usize) -> Result<ExampleWeights<'_>, InputError> {
    let Some(weights) = weights else {
        return Ok(ExampleWeights::equal(n));
    };
    check_length("weights", n, weights.len())?;
    let usable = |weight: f32| weight.is_finite() && weight >= 0.0;
    if let Some(example) = weights.iter().position(|&weight| !usable(weight)) {
        return Err(InputError::WeightOutOfRange { example, found: weights[example] });
    }
    let sum = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() as f32;
    if sum.is_finite() && sum > 0.0 {
        Ok(ExampleWeights { each: Some(weights), total: sum })
    } else {
        Err(InputError::WeightsUnusable { sum })
    }
}

pub(crate) fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_between_one_example_and_the_capacity() {
        assert_eq!(check_examples(0, 8), Err(InputError::Empty));
        assert_eq!(check_examples(1, 8), Ok(()));
        assert_eq!(check_examples(8, 8), Ok(()));
        assert_eq!(check_examples(9, 8), Err(InputError::OverCapacity { capacity: 8, found: 9 }));
    }

    #[test]
    fn an_index_error_names_its_example() {
        assert_eq!(check_indices("digit", &[0, 9, 3], 1, 10), Ok(()));
        let error = check_indices("token", &[0, 1, 2, 3, 4, 96], 2, 96).unwrap_err();
        assert_eq!(error, InputError::IndexOutOfRange { name: "token", example: 2, bound: 96, found: 96 });
        assert_eq!(error.to_string(), "`token` of example 2 is 96, expected an index below 96");
        assert!(check_indices("token", &[1], 0, 1).is_err());
    }

    #[test]
    fn lengths_are_compared() {
        assert_eq!(check_length("digit", 3, 3), Ok(()));
        assert_eq!(check_length("digit", 3, 2).unwrap_err().to_string(), "`digit` has 2 examples, expected 3");
    }

    #[test]
    fn weights_are_finite_and_positive_in_sum() {
        assert_eq!(check_weights(None, 5), Ok(ExampleWeights { each: None, total: 5.0 }));
        let each = Some(&[0.5, 0.0, 2.0][..]);
        assert_eq!(check_weights(each, 3), Ok(ExampleWeights { each, total: 2.5 }));
        assert!(matches!(
            check_weights(Some(&[1.0]), 2),
            Err(InputError::LengthMismatch { name: "weights", expected: 2, found: 1 })
        ));
        for bad in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(
                check_weights(Some(&[1.0, bad]), 2),
                Err(InputError::WeightOutOfRange { example: 1, .. })
            ));
        }
        assert_eq!(check_weights(Some(&[0.0, 0.0]), 2), Err(InputError::WeightsUnusable { sum: 0.0 }));
        assert!(matches!(check_weights(Some(&[f32::MAX, f32::MAX]), 2), Err(InputError::WeightsUnusable { .. })));
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_found_wherever_it_stands() {
        for len in (0..40).chain([1023, 1024, 1025, 1040, 3000]) {
            let mut values = vec![f32::MAX; len];
            assert_eq!(first_not_finite(&values), None);
            for at in (0..len).step_by(if len > 100 { 101 } else { 1 }) {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    values[at] = bad;
                    values[len - 1] = bad;
                    assert_eq!(first_not_finite(&values), Some(at), "{len}");
                    values.fill(-f32::MAX);
                }
            }
        }
        let error = check_finite("pixels", &[0.0, 1.0, 2.0, f32::NAN, 4.0, 5.0], 2).unwrap_err();
        assert_eq!(error.to_string(), "`pixels` of example 1 holds NaN, expected finite numbers");
        assert_eq!(check_finite("pixels", &[1e-40, -0.0], 2), Ok(()));
    }

    #[test]
    fn an_error_of_a_batch_becomes_one_of_the_set() {
        let error = check_indices("digit", &[1, 12], 1, 10).unwrap_err().with_example(|example| [70, 31][example]);
        assert_eq!(error.to_string(), "`digit` of example 31 is 12, expected an index below 10");
        assert_eq!(InputError::Empty.with_example(|_| 9), InputError::Empty);
    }

    #[test]
    fn missing_tensors_are_listed() {
        let error = LoadError::Missing { names: vec!["a.weight", "b.bias"] };
        assert_eq!(error.to_string(), "the checkpoint lacks `a.weight`, `b.bias`");
    }
}
