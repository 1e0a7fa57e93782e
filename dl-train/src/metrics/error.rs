//! What a metric refuses, and what has no value.

use thiserror::Error;

/// A batch that a metric cannot take, or a value that its examples do not define.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Predictions and labels differ in number.
    #[error("there are {found} predictions, expected {expected}: one for each label")]
    Length {
        /// How many labels there are.
        expected: usize,
        /// How many predictions there are.
        found: usize,
    },
    /// Weights that are not one for each example.
    #[error("there are {found} weights, expected {expected}: one for each example")]
    Weights {
        /// How many examples there are.
        expected: usize,
        /// How many weights there are.
        found: usize,
    },
    /// A weight below 0, or one that is not finite.
    #[error("the weight of example {example} of the batch is {found}, expected a finite number of at least 0")]
    Weight {
        /// The example within the batch, from 0.
        example: usize,
        /// The weight.
        found: f32,
    },
    /// A class that does not exist.
    #[error("`{name}` of example {example} of the batch is {found}, expected a class below {classes}")]
    Class {
        /// Predictions or labels.
        name: &'static str,
        /// The example within the batch, from 0.
        example: usize,
        /// How many classes there are.
        classes: usize,
        /// The class.
        found: u64,
    },
    /// A label of two classes that is neither 0 nor 1.
    #[error("the label of example {example} of the batch is {found}, expected 0 or 1")]
    Label {
        /// The example within the batch, from 0.
        example: usize,
        /// The label.
        found: String,
    },
    /// A number that is infinite or not a number.
    #[error("`{name}` of example {example} of the batch holds {found}, expected finite numbers")]
    NotFinite {
        /// Scores, predictions or labels.
        name: &'static str,
        /// The example within the batch, from 0.
        example: usize,
        /// The number.
        found: f32,
    },
    /// A probability below 0 or above 1.
    #[error("a probability of example {example} of the batch is {found}, expected 0 to 1")]
    Probability {
        /// The example within the batch, from 0.
        example: usize,
        /// The number.
        found: f32,
    },
    /// An argument outside its range.
    #[error("`{name}` is {found}, expected {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The examples seen so far do not define the value.
    #[error("{metric} is not defined by {found}, expected {expected}")]
    Undefined {
        /// The metric.
        metric: &'static str,
        /// What it needs.
        expected: &'static str,
        /// What there is.
        found: String,
    },
}

impl MetricError {
    /// No example, or none whose weight is above 0.
    pub(super) fn no_examples(metric: &'static str, found: u64) -> Self {
        let found = if found == 0 { "0 examples".to_owned() } else { format!("{found} examples of weight 0") };
        Self::undefined(metric, "at least 1 example", found)
    }

    pub(super) fn undefined(metric: &'static str, expected: &'static str, found: impl ToString) -> Self {
        Self::Undefined { metric, expected, found: found.to_string() }
    }
}

/// There must be one prediction for each label.
pub(super) fn check_lengths(predictions: usize, labels: usize) -> Result<(), MetricError> {
    if predictions == labels { Ok(()) } else { Err(MetricError::Length { expected: labels, found: predictions }) }
}

/// There must be one weight for each example, finite and not negative.
pub(super) fn check_weights(weights: Option<&[f32]>, examples: usize) -> Result<(), MetricError> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != examples {
        return Err(MetricError::Weights { expected: examples, found: weights.len() });
    }
    match weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        Some(example) => Err(MetricError::Weight { example, found: weights[example] }),
        None => Ok(()),
    }
}

/// The weight of an example; 1 if all count alike.
pub(super) fn weight_of(weights: Option<&[f32]>, example: usize) -> f64 {
    weights.and_then(|weights| weights.get(example)).map_or(1.0, |&weight| f64::from(weight))
}

/// Every class must lie below `classes`.
pub(super) fn check_classes(name: &'static str, values: &[u32], classes: usize) -> Result<(), MetricError> {
    match values.iter().position(|&value| value as usize >= classes) {
        Some(example) => Err(MetricError::Class { name, example, classes, found: u64::from(values[example]) }),
        None => Ok(()),
    }
}

/// Every number must be finite.
pub(super) fn check_finite(name: &'static str, values: &[f32]) -> Result<(), MetricError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(example) => Err(MetricError::NotFinite { name, example, found: values[example] }),
        None => Ok(()),
    }
}
