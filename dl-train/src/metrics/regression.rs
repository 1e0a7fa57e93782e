//! Metrics of predicted numbers.

use super::error::{MetricError, check_finite, check_lengths};

/// Mean errors and the coefficient of determination of one output; several outputs are counted as one if they are given
/// flat (`predictions.as_flattened()`).
///
/// ```
/// use dl_train::metrics::Regression;
///
/// let mut errors = Regression::new();
/// errors.update(&[1.0, 2.0], &[1.0, 4.0])?;
/// assert_eq!((errors.mse()?, errors.mae()?), (2.0, 1.0));
/// # Ok::<(), dl_train::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Regression {
    examples: u64,
    squares: f64,
    absolutes: f64,
    shares: f64,
    /// The mean of the labels, and the sum of their squared distances from it.
    mean: f64,
    spread: f64,
}

impl Regression {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// If the lengths differ, or a number is not finite.
    pub fn update(&mut self, predictions: &[f32], labels: &[f32]) -> Result<(), MetricError> {
        check_lengths(predictions.len(), labels.len())?;
        check_finite("predictions", predictions)?;
        check_finite("labels", labels)?;
        for (&prediction, &label) in predictions.iter().zip(labels) {
            let label = f64::from(label);
            let error = f64::from(prediction) - label;
            self.examples += 1;
            self.squares += error * error;
            self.absolutes += error.abs();
            self.shares += error.abs() / label.abs().max(f64::EPSILON);
            // One pass, without the cancellation of a difference of sums (Welford, 1962).
            let step = label - self.mean;
            self.mean += step / self.examples as f64;
            self.spread += step * (label - self.mean);
        }
        Ok(())
    }

    /// The mean squared error.
    ///
    /// # Errors
    /// If there are no examples, as for all functions below.
    pub fn mse(&self) -> Result<f64, MetricError> {
        Ok(self.squares / self.total("the mean squared error", 1)?)
    }

    /// The root of the mean squared error, in units of the label.
    pub fn rmse(&self) -> Result<f64, MetricError> {
        Ok(self.mse()?.sqrt())
    }

    /// The mean absolute error, in units of the label.
    pub fn mae(&self) -> Result<f64, MetricError> {
        Ok(self.absolutes / self.total("the mean absolute error", 1)?)
    }

    /// The mean of errors as shares of the label, 0.1 for ten percent. A label of 0 counts as 2⁻⁵²: such labels make it huge.
    pub fn mape(&self) -> Result<f64, MetricError> {
        Ok(self.shares / self.total("the mean absolute percentage error", 1)?)
    }

    /// The share of the labels' variance that the predictions explain: 1 is perfect, 0 is as good as the mean label. If all
    /// labels are equal it is 1 without an error, otherwise 0.
    ///
    /// # Errors
    /// If there are fewer than two examples.
    pub fn r2(&self) -> Result<f64, MetricError> {
        self.total("R²", 2)?;
        Ok(match (self.spread > 0.0, self.squares > 0.0) {
            (true, _) => 1.0 - self.squares / self.spread,
            (false, errors) => f64::from(!errors),
        })
    }

    fn total(&self, metric: &'static str, least: u64) -> Result<f64, MetricError> {
        if self.examples >= least {
            return Ok(self.examples as f64);
        }
        let expected = if least == 1 { "at least 1 example" } else { "at least 2 examples" };
        Err(MetricError::undefined(metric, expected, format!("{} examples", self.examples)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, close, floats};
    use super::*;

    /// Labels of 0, equal labels and labels far from 0 included, however the set is cut into batches.
    #[test]
    fn all_agree_with_scikit_learn() {
        for case in cases("regression") {
            let (labels, predictions) = (floats(&case["labels"]), floats(&case["predictions"]));
            for batch in [1, 7, 1000] {
                let mut metric = Regression::new();
                for (predictions, labels) in predictions.chunks(batch).zip(labels.chunks(batch)) {
                    metric.update(predictions, labels).unwrap();
                }
                close(&case["expected"]["mse"], metric.mse().unwrap());
                close(&case["expected"]["rmse"], metric.rmse().unwrap());
                close(&case["expected"]["mae"], metric.mae().unwrap());
                close(&case["expected"]["mape"], metric.mape().unwrap());
                close(&case["expected"]["r2"], metric.r2().unwrap());
            }
        }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut metric = Regression::new();
        assert!(matches!(metric.update(&[1.0], &[]), Err(MetricError::Length { expected: 0, found: 1 })));
        let error = metric.update(&[1.0, f32::INFINITY], &[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), "`predictions` of example 1 of the batch holds inf, expected finite numbers");
        assert!(matches!(metric.update(&[1.0], &[f32::NAN]), Err(MetricError::NotFinite { name: "labels", .. })));
        assert_eq!(metric, Regression::new());
        assert!(matches!(metric.mse(), Err(MetricError::Undefined { .. })));
        metric.update(&[1.0], &[1.0]).unwrap();
        let error = metric.r2().unwrap_err().to_string();
        assert_eq!(error, "R² is not defined by 1 examples, expected at least 2 examples");
    }
}
