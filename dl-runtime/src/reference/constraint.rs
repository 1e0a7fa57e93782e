//! Twins of the constraints.

use crate::Units;

/// Twin of [`crate::max_norm`].
pub fn max_norm(units: &Units, max: f32, x: &mut [f32]) {
    let max = f64::from(max);
    scale(units, |norm| if norm > max { max / norm } else { 1.0 }, x);
}

/// Twin of [`crate::unit_norm`].
pub fn unit_norm(units: &Units, x: &mut [f32]) {
    scale(units, |norm| if norm == 0.0 { 1.0 } else { 1.0 / norm }, x);
}

/// Twin of [`crate::min_max_norm`].
pub fn min_max_norm(units: &Units, min: f32, max: f32, x: &mut [f32]) {
    let [min, max] = [min, max].map(f64::from);
    scale(units, |norm| if norm == 0.0 { 1.0 } else { norm.clamp(min, max) / norm }, x);
}

/// Twin of [`crate::non_negative`].
pub fn non_negative(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.max(0.0));
}

/// Twin of [`crate::clip`].
pub fn clip(low: f32, high: f32, x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.clamp(low, high));
}

fn scale(units: &Units, factor: impl Fn(f64) -> f64, x: &mut [f32]) {
    for unit in 0..units.outer * units.inner {
        let (o, i) = (unit / units.inner, unit % units.inner);
        let places: Vec<usize> = (0..units.incoming).map(|r| (o * units.incoming + r) * units.inner + i).collect();
        let norm = places.iter().map(|&at| f64::from(x[at]).powi(2)).sum::<f64>().sqrt();
        for at in places {
            x[at] = (f64::from(x[at]) * factor(norm)) as f32;
        }
    }
}
