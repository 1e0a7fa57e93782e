//! Numbers in JSON, to the same bits and back. (JSON itself has no infinities.)

use serde_json::{Value, json};

use super::CheckpointError;

/// A number as JSON: itself, or its name if it is not finite.
pub(crate) fn float(x: f64) -> Value {
    if x.is_finite() {
        json!(x)
    } else if x.is_nan() {
        json!("nan")
    } else {
        json!(if x > 0.0 { "inf" } else { "-inf" })
    }
}

/// The number of [`float`].
pub(crate) fn to_float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(name) if name == "nan" => Some(f64::NAN),
        Value::String(name) if name == "inf" => Some(f64::INFINITY),
        Value::String(name) if name == "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The count of that name.
pub(crate) fn count(values: &Value, name: &str) -> Result<usize, CheckpointError> {
    let found = values.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    found.ok_or_else(|| missing(name))
}

/// An error that says which value is missing.
pub(crate) fn missing(name: &str) -> CheckpointError {
    CheckpointError::Section { section: name.to_owned(), reason: "it is missing or of another type".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_to_the_bit(bits: u64) {
            let x = f64::from_bits(bits);
            let text = float(x).to_string();
            let read = to_float(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert!(read.to_bits() == bits || x.is_nan() && read.is_nan(), "{text}");
        }
    }

    #[test]
    fn infinities_have_names() {
        for x in [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 0.1, f64::MIN_POSITIVE / 3.0] {
            assert_eq!(to_float(&float(x)).unwrap().to_bits(), x.to_bits());
        }
        assert!(to_float(&float(f64::NAN)).unwrap().is_nan());
        assert_eq!(to_float(&json!("one")), None);
    }
}
