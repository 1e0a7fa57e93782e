//! Stored results of scikit-learn, for tests. `fixtures/make.py` made them.

use serde_json::Value;

/// The cases of one family.
pub(super) fn cases(family: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap();
    let cases = all[family].as_array().unwrap().clone();
    assert!(cases.len() >= 4);
    cases
}

pub(super) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::INFINITY)).collect()
}

/// Numbers that were f32 in the beginning.
pub(super) fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|value| value as f32).collect()
}

pub(super) fn words(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|value| value as u32).collect()
}

/// Within 1e-6, relative to numbers above 1.
#[track_caller]
pub(super) fn close(expected: &Value, found: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
}
