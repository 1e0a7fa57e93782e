//! Metrics of predicted numbers.

use super::error::{MetricError, check_finite, check_lengths, check_weights, weight_of};

/// Mean errors and the coefficient of determination of one output; for several there is [`MultiOutputRegression`].
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
    weight: f64,
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
        self.add(predictions, labels, None)
    }

    /// Takes a batch whose examples have weights, each finite and at least 0: means are weighted ones, that of the labels
    /// in R² too.
    ///
    /// # Errors
    /// As [`update`](Self::update), and if a weight is out of range.
    pub fn update_weighted(&mut self, predictions: &[f32], labels: &[f32], weights: &[f32]) -> Result<(), MetricError> {
        self.add(predictions, labels, Some(weights))
    }

    fn add(&mut self, predictions: &[f32], labels: &[f32], weights: Option<&[f32]>) -> Result<(), MetricError> {
        check_lengths(predictions.len(), labels.len())?;
        check_finite("predictions", predictions)?;
        check_finite("labels", labels)?;
        check_weights(weights, labels.len())?;
        for (example, (&prediction, &label)) in predictions.iter().zip(labels).enumerate() {
            self.one(f64::from(prediction), f64::from(label), weight_of(weights, example));
        }
        Ok(())
    }

    fn one(&mut self, prediction: f64, label: f64, weight: f64) {
        self.examples += 1;
        if weight == 0.0 {
            return;
        }
        let error = prediction - label;
        self.weight += weight;
        self.squares += weight * error * error;
        self.absolutes += weight * error.abs();
        self.shares += weight * error.abs() / label.abs().max(f64::EPSILON);
        // One pass, without the cancellation of a difference of sums (Welford, 1962; with weights West, 1979).
        let step = label - self.mean;
        self.mean += step * weight / self.weight;
        self.spread += weight * step * (label - self.mean);
    }

    /// The mean squared error.
    ///
    /// # Errors
    /// If there are no examples that count, as for all functions below.
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
        if self.weight > 0.0 && self.examples >= least {
            return Ok(self.weight);
        }
        if self.examples >= least {
            return Err(MetricError::no_examples(metric, self.examples));
        }
        let expected = if least == 1 { "at least 1 example" } else { "at least 2 examples" };
        Err(MetricError::undefined(metric, expected, format!("{} examples", self.examples)))
    }
}

/// Mean errors and coefficients of determination of several outputs.
///
/// Each number is the mean of those of the outputs, which all count alike: `multioutput="uniform_average"` of scikit-learn.
///
/// ```
/// use dl_train::metrics::MultiOutputRegression;
///
/// let mut errors = MultiOutputRegression::new();
/// errors.update(&[[1.0, 5.0], [2.0, 5.0]], &[[1.0, 4.0], [2.0, 6.0]])?;
/// assert_eq!((errors.r2()?, errors.output(0).unwrap().r2()?, errors.mse()?), (0.5, 1.0, 0.5));
/// # Ok::<(), dl_train::metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiOutputRegression<const OUTPUTS: usize> {
    outputs: [Regression; OUTPUTS],
}

impl<const OUTPUTS: usize> Default for MultiOutputRegression<OUTPUTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const OUTPUTS: usize> MultiOutputRegression<OUTPUTS> {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { outputs: std::array::from_fn(|_| Regression::new()) }
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// If the lengths differ, or a number is not finite.
    pub fn update(&mut self, predictions: &[[f32; OUTPUTS]], labels: &[[f32; OUTPUTS]]) -> Result<(), MetricError> {
        self.add(predictions, labels, None)
    }

    /// Takes a batch whose examples have weights, each finite and at least 0.
    ///
    /// # Errors
    /// As [`update`](Self::update), and if a weight is out of range.
    pub fn update_weighted(
        &mut self,
        predictions: &[[f32; OUTPUTS]],
        labels: &[[f32; OUTPUTS]],
        weights: &[f32],
    ) -> Result<(), MetricError> {
        self.add(predictions, labels, Some(weights))
    }

    fn add(
        &mut self,
        predictions: &[[f32; OUTPUTS]],
        labels: &[[f32; OUTPUTS]],
        weights: Option<&[f32]>,
    ) -> Result<(), MetricError> {
        check_lengths(predictions.len(), labels.len())?;
        for (name, rows) in [("predictions", predictions), ("labels", labels)] {
            for (example, row) in rows.iter().enumerate() {
                if let Some(&found) = row.iter().find(|value| !value.is_finite()) {
                    return Err(MetricError::NotFinite { name, example, found });
                }
            }
        }
        check_weights(weights, labels.len())?;
        for (example, (predictions, labels)) in predictions.iter().zip(labels).enumerate() {
            let weight = weight_of(weights, example);
            for (output, (&prediction, &label)) in self.outputs.iter_mut().zip(predictions.iter().zip(labels)) {
                output.one(f64::from(prediction), f64::from(label), weight);
            }
        }
        Ok(())
    }

    /// The errors of one output; `None` if there is no such.
    pub fn output(&self, output: usize) -> Option<&Regression> {
        self.outputs.get(output)
    }

    /// The mean squared error.
    ///
    /// # Errors
    /// If there are no examples that count, or no outputs, as for all functions below.
    pub fn mse(&self) -> Result<f64, MetricError> {
        self.mean("the mean squared error", Regression::mse)
    }

    /// The mean over outputs of the root of the mean squared error.
    pub fn rmse(&self) -> Result<f64, MetricError> {
        self.mean("the root of the mean squared error", Regression::rmse)
    }

    /// The mean absolute error.
    pub fn mae(&self) -> Result<f64, MetricError> {
        self.mean("the mean absolute error", Regression::mae)
    }

    /// The mean of errors as shares of the label; see [`Regression::mape`].
    pub fn mape(&self) -> Result<f64, MetricError> {
        self.mean("the mean absolute percentage error", Regression::mape)
    }

    /// The mean of the coefficients of determination; see [`Regression::r2`].
    ///
    /// # Errors
    /// If there are fewer than two examples.
    pub fn r2(&self) -> Result<f64, MetricError> {
        self.mean("R²", Regression::r2)
    }

    fn mean(
        &self,
        metric: &'static str,
        value: fn(&Regression) -> Result<f64, MetricError>,
    ) -> Result<f64, MetricError> {
        if OUTPUTS == 0 {
            return Err(MetricError::undefined(metric, "at least 1 output", "0 outputs"));
        }
        let sum: f64 = self.outputs.iter().map(value).sum::<Result<f64, MetricError>>()?;
        Ok(sum / OUTPUTS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, close, floats};
    use super::*;
    use serde_json::Value;

    /// The mean errors and R², in this order, are those that scikit-learn found.
    fn agrees(expected: &Value, found: [Result<f64, MetricError>; 5]) {
        for (name, found) in ["mse", "rmse", "mae", "mape", "r2"].into_iter().zip(found) {
            close(&expected[name], found.unwrap());
        }
    }

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
                agrees(&case["expected"], [metric.mse(), metric.rmse(), metric.mae(), metric.mape(), metric.r2()]);
            }
        }
    }

    #[test]
    fn weighted_ones_agree_with_scikit_learn() {
        for case in cases("weighted_regression") {
            let (labels, predictions) = (floats(&case["labels"]), floats(&case["predictions"]));
            let weights = floats(&case["weights"]);
            for batch in [1, 7, 1000] {
                let mut metric = Regression::new();
                let rows = predictions.chunks(batch).zip(labels.chunks(batch)).zip(weights.chunks(batch));
                rows.for_each(|((p, l), w)| metric.update_weighted(p, l, w).unwrap());
                agrees(&case["expected"], [metric.mse(), metric.rmse(), metric.mae(), metric.mape(), metric.r2()]);
            }
        }
    }

    /// Three outputs, the last one with equal labels; with weights where the case has such.
    #[test]
    fn several_outputs_agree_with_scikit_learn() {
        for case in cases("outputs") {
            let rows = |name: &str| floats(&case[name]).as_chunks::<3>().0.to_vec();
            let (labels, predictions) = (rows("labels"), rows("predictions"));
            for batch in [1, 7, 1000] {
                let mut metric = MultiOutputRegression::new();
                for (at, (p, l)) in predictions.chunks(batch).zip(labels.chunks(batch)).enumerate() {
                    if case["weights"].is_null() {
                        metric.update(p, l).unwrap();
                    } else {
                        let weights = floats(&case["weights"]);
                        metric.update_weighted(p, l, &weights[at * batch..at * batch + p.len()]).unwrap();
                    }
                }
                let expected = &case["expected"];
                agrees(expected, [metric.mse(), metric.rmse(), metric.mae(), metric.mape(), metric.r2()]);
                for (output, expected) in expected["each_r2"].as_array().unwrap().iter().enumerate() {
                    close(expected, metric.output(output).unwrap().r2().unwrap());
                }
                assert!(metric.output(3).is_none());
            }
        }
        let mut metric = MultiOutputRegression::new();
        let error = metric.update(&[[0.0, 1.0], [0.0, f32::NAN]], &[[0.0; 2]; 2]).unwrap_err();
        assert_eq!(error.to_string(), "`predictions` of example 1 of the batch holds NaN, expected finite numbers");
        assert_eq!(metric, MultiOutputRegression::new());
        assert!(metric.r2().is_err() && MultiOutputRegression::<0>::new().mse().is_err());
    }

    #[test]
    fn weights_out_of_range_change_nothing() {
        let mut metric = Regression::new();
        let error = metric.update_weighted(&[1.0, 2.0], &[1.0, 2.0], &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), "there are 1 weights, expected 2: one for each example");
        for weight in [-1.0, f32::NAN, f32::INFINITY] {
            let error = metric.update_weighted(&[1.0, 2.0], &[1.0, 2.0], &[1.0, weight]).unwrap_err().to_string();
            let expected = "expected a finite number of at least 0";
            assert_eq!(error, format!("the weight of example 1 of the batch is {weight}, {expected}"));
        }
        assert_eq!(metric, Regression::new());
        metric.update_weighted(&[1.0, 2.0], &[1.0, 2.0], &[0.0, 0.0]).unwrap();
        let error = metric.mse().unwrap_err().to_string();
        assert_eq!(
            error,
            "the mean squared error is not defined by 2 examples of weight 0, expected at least 1 example"
        );
        assert!(metric.r2().is_err());
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
