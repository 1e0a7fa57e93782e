//! A layer whose weight is too large to be prepared for each step: its values and gradients against double precision.

use dln::runtime::Network;

dln::network! {
    network Huge {
        input x: [3];
        label y: [2];
        output estimate = x |> narrow: dense(4_100) |> tanh |> wide: dense(4_100) |> tanh |> last: dense(2);
        loss mse(estimate, y);
        train { optimizer: sgd(learning_rate: 0.1), batch: 2, epochs: 1 }
    }
}

const WIDTH: usize = 4_100;

/// x · W + b in double precision.
fn dense<const O: usize>(x: &[f64], weight: &[[f32; O]], bias: &[f32; O]) -> Vec<f64> {
    let mut y: Vec<f64> = bias.iter().map(|bias| f64::from(*bias)).collect();
    for (x, row) in x.iter().zip(weight) {
        for (y, weight) in y.iter_mut().zip(row) {
            *y += x * f64::from(*weight);
        }
    }
    y
}

/// d_y · Wᵀ, times the derivative of the hyperbolic tangent whose value is x.
fn back<const O: usize>(d_y: &[f64], weight: &[[f32; O]], x: &[f64]) -> Vec<f64> {
    let d_x = weight.iter().map(|row| row.iter().zip(d_y).map(|(weight, d_y)| f64::from(*weight) * d_y).sum::<f64>());
    d_x.zip(x).map(|(d_x, x)| d_x * (1.0 - x * x)).collect()
}

fn close(found: f32, expected: f64) {
    assert!((f64::from(found) - expected).abs() <= 2e-5 * expected.abs().max(0.1), "{found} for {expected}");
}

#[test]
fn values_and_gradients() {
    let (parameters, state) = Huge::initialize(5);
    let (x, y) = ([[0.5, -1.0, 0.25], [-0.75, 0.125, 1.0]], [[1.0, -1.0], [0.5, 2.0]]);
    let mut workspace = Huge::training_workspace(2, 1);
    let batch = huge::Batch { x: &x, y: &y };
    let (report, gradients) = huge::gradients(&parameters, &state, &mut workspace, batch, None).unwrap();

    let (mut loss, mut d_wide, mut d_narrow) = (0.0, vec![vec![0.0; WIDTH]; 3], vec![vec![0.0; WIDTH]; 3]);
    for (x, y) in x.iter().zip(&y) {
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let tanh = |values: Vec<f64>| -> Vec<f64> { values.into_iter().map(f64::tanh).collect() };
        let narrow = tanh(dense(&x, parameters.estimate_narrow_weight(), parameters.estimate_narrow_bias()));
        let wide = tanh(dense(&narrow, parameters.estimate_wide_weight(), parameters.estimate_wide_bias()));
        let estimate = dense(&wide, parameters.estimate_last_weight(), parameters.estimate_last_bias());
        let differences: Vec<f64> = estimate.iter().zip(y).map(|(estimate, y)| estimate - f64::from(*y)).collect();
        // The mean over two outputs and two examples.
        loss += differences.iter().map(|difference| difference * difference).sum::<f64>() / 4.0;
        let d_estimate: Vec<f64> = differences.iter().map(|difference| difference / 2.0).collect();
        let d_wide_sum = back(&d_estimate, parameters.estimate_last_weight(), &wide);
        let d_narrow_sum = back(&d_wide_sum, parameters.estimate_wide_weight(), &narrow);
        for (place, row) in [0, 2_000, 4_099].into_iter().zip(&mut d_wide) {
            row.iter_mut().zip(&d_wide_sum).for_each(|(sum, d)| *sum += narrow[place] * d);
        }
        for (x, row) in x.iter().zip(&mut d_narrow) {
            row.iter_mut().zip(&d_narrow_sum).for_each(|(sum, d)| *sum += x * d);
        }
    }
    close(report.loss, loss);
    for (place, expected) in [0, 2_000, 4_099].into_iter().zip(&d_wide) {
        let found = &gradients.estimate_wide_weight()[place];
        found.iter().zip(expected).for_each(|(found, expected)| close(*found, *expected));
    }
    for (found, expected) in gradients.estimate_narrow_weight().iter().zip(&d_narrow) {
        found.iter().zip(expected).for_each(|(found, expected)| close(*found, *expected));
    }
}
