//! Standardization: rows of numbers enter, each column with mean 0 and deviation 1 leaves.
//!
//! It is fitted on the training part and applied to every part, so that nothing of the test part leaks into training.

use crate::TrainError;
use crate::data::{DataError, Fitted, FittedState};

/// Mean and deviation of each of `N` columns, and the map to (x − mean) / deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standardizer<const N: usize> {
    /// The columns' means.
    pub mean: [f32; N],
    /// The columns' standard deviations over all rows (divided by their count); 1 for a column of one value.
    pub deviation: [f32; N],
}

impl<const N: usize> Standardizer<N> {
    /// Measures the columns of `rows`: at least one row, all numbers finite.
    pub fn fit(rows: &[[f32; N]]) -> Result<Self, TrainError> {
        let Some(first) = rows.first() else {
            return Err(TrainError::NoExamples { set: "training" });
        };
        if let Some(&found) = rows.as_flattened().iter().find(|value| !value.is_finite()) {
            return Err(TrainError::setting("rows", "finite numbers", found));
        }
        let count = rows.len() as f64;
        let mut mean = [0.0; N];
        let mut deviation = [1.0; N];
        for column in 0..N {
            let values = || rows.iter().map(|row| f64::from(row[column]));
            let center = values().sum::<f64>() / count;
            mean[column] = center as f32;
            // Rounding can leave a tiny deviation in a column of one value: that column is told by its values.
            if rows.iter().any(|row| row[column] != first[column]) {
                let variance = values().map(|x| (x - center) * (x - center)).sum::<f64>() / count;
                deviation[column] = (variance.sqrt() as f32).max(f32::MIN_POSITIVE);
            } else {
                mean[column] = first[column];
            }
        }
        Ok(Self { mean, deviation })
    }

    /// Standardizes each row in its place.
    pub fn apply(&self, rows: &mut [[f32; N]]) {
        for row in rows {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                // In f64, since the difference of two large numbers may be no f32.
                *x = ((f64::from(*x) - f64::from(*mean)) / f64::from(*deviation)) as f32;
            }
        }
    }

    /// Maps back what [`Standardizer::apply`] made, such as predictions of a standardized label.
    pub fn invert(&self, rows: &mut [[f32; N]]) {
        for row in rows {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = (f64::from(*x) * f64::from(*deviation) + f64::from(*mean)) as f32;
            }
        }
    }
}

impl<const N: usize> Fitted for Standardizer<N> {
    const KIND: &'static str = "standardizer";

    fn to_state(&self) -> FittedState {
        FittedState::new(Self::KIND, [], [("mean", &self.mean), ("deviation", &self.deviation)])
    }

    fn from_state(state: &FittedState) -> Result<Self, DataError> {
        state.metadata(Self::KIND)?;
        Ok(Self { mean: state.array("mean")?, deviation: state.array("deviation")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mean 5 and deviation 2: the usual textbook sample.
    #[test]
    fn a_known_sample() {
        let mut rows = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(|x| [x]);
        let standardizer = Standardizer::fit(&rows).unwrap();
        assert_eq!(standardizer, Standardizer { mean: [5.0], deviation: [2.0] });
        standardizer.apply(&mut rows);
        assert_eq!(rows[0], [-1.5]);
        assert_eq!(rows[7], [2.0]);
        standardizer.invert(&mut rows);
        assert_eq!(rows.as_flattened(), [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    }

    /// The sum of many 0.1 rounds, and yet the column becomes exactly 0.
    #[test]
    fn a_column_of_one_value_becomes_zero() {
        let mut rows = [[0.1, 1e30]; 1001];
        let standardizer = Standardizer::fit(&rows).unwrap();
        assert_eq!(standardizer.deviation, [1.0, 1.0]);
        standardizer.apply(&mut rows);
        assert!(rows.as_flattened().iter().all(|&x| x == 0.0));
    }

    #[test]
    fn unusable_rows_are_errors() {
        assert_eq!(
            Standardizer::<2>::fit(&[]).unwrap_err().to_string(),
            "the training set is empty, expected at least 1 example"
        );
        assert_eq!(
            Standardizer::fit(&[[1.0, f32::NAN]]).unwrap_err().to_string(),
            "`rows` is NaN, expected finite numbers"
        );
    }

    proptest! {
        #[test]
        fn standardized_columns_have_mean_0_and_deviation_1(
            rows in proptest::collection::vec([-100.0_f32..100.0, 1e3_f32..1e6], 2..50),
        ) {
            prop_assume!((0..2).all(|c| rows.iter().any(|r| (r[c] - rows[0][c]).abs() > 0.01 * rows[0][c].abs())));
            let mut rows = rows;
            Standardizer::fit(&rows).unwrap().apply(&mut rows);
            for column in 0..2 {
                let values: Vec<f64> = rows.iter().map(|row| f64::from(row[column])).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
                prop_assert!(mean.abs() < 1e-3, "mean {mean}");
                prop_assert!((variance - 1.0).abs() < 1e-3, "variance {variance}");
            }
        }
    }
}
