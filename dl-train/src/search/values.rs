//! Hyperparameters of one trial: names and values enter, values of the wanted type leave, or an error that names them.

use std::fmt;

use serde_json::json;

use super::SearchError;

/// The value of a hyperparameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number, such as the size of a batch.
    Integer(i64),
    /// A finite number, such as the learning rate.
    Float(f64),
    /// Whether something is so.
    Bool(bool),
    /// A name, such as that of a schedule.
    Text(String),
}

impl Value {
    /// What kind of value it is, in words.
    fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Text(_) => "a text",
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        !matches!(self, Value::Float(value) if !value.is_finite())
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Value::Integer(value) => json!(value),
            Value::Float(value) => json!(value),
            Value::Bool(value) => json!(value),
            Value::Text(value) => json!(value),
        }
    }

    fn of_json(value: &serde_json::Value) -> Option<Self> {
        Some(match value {
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::String(value) => Value::Text(value.clone()),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Value::Integer(value),
                None => Value::Float(number.as_f64()?),
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => value.fmt(f),
            // The shortest text that is the same number, with an exponent where that is shorter.
            Value::Float(value) if *value != 0.0 && !(1e-4..1e7).contains(&value.abs()) => write!(f, "{value:e}"),
            Value::Float(value) => value.fmt(f),
            Value::Bool(value) => value.fmt(f),
            Value::Text(value) => f.write_str(value),
        }
    }
}

macro_rules! integers {
    ($($ty:ty)*) => {$(
        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Value::Integer(value.into())
            }
        }
    )*};
}
integers! { u8 u16 u32 i32 i64 }

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

/// The hyperparameters of one trial, by name, in the order in which the search names them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HyperParameters {
    values: Vec<(String, Value)>,
}

impl HyperParameters {
    pub(super) fn new(values: Vec<(String, Value)>) -> Self {
        Self { values }
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The number of that name, whole or not.
    ///
    /// # Errors
    /// If there is none, or it is no number.
    pub fn float(&self, name: &str) -> Result<f64, SearchError> {
        self.find(name, "a number", |value| match value {
            Value::Float(value) => Some(*value),
            Value::Integer(value) => Some(*value as f64),
            _ => None,
        })
    }

    /// The count of that name: a whole number of at least 0.
    ///
    /// # Errors
    /// If there is none, or it is no such number.
    pub fn count(&self, name: &str) -> Result<usize, SearchError> {
        self.find(name, "a whole number of at least 0", |value| match value {
            Value::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        })
    }

    /// Whether what is named so holds.
    ///
    /// # Errors
    /// If there is no such value, or it is neither true nor false.
    pub fn bool(&self, name: &str) -> Result<bool, SearchError> {
        self.find(name, "true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// The text of that name.
    ///
    /// # Errors
    /// If there is none, or it is no text.
    pub fn text(&self, name: &str) -> Result<&str, SearchError> {
        self.find(name, "a text", |value| match value {
            Value::Text(value) => Some(value.as_str()),
            _ => None,
        })
    }

    fn find<'a, T>(
        &'a self,
        name: &str,
        expected: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, SearchError> {
        let value = self.get(name).ok_or_else(|| SearchError::NoSuchHyperParameter {
            name: name.to_owned(),
            expected: names(self.iter().map(|(name, _)| name)),
        })?;
        take(value).ok_or_else(|| SearchError::Kind {
            name: name.to_owned(),
            expected,
            found: format!("{} ({value})", value.kind()),
        })
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::Value::Object(self.iter().map(|(name, value)| (name.to_owned(), value.json())).collect())
    }

    /// The same in any order of names, for a map of JSON has none.
    pub(super) fn of_json(value: &serde_json::Value) -> Option<Self> {
        let one = |(name, value): (&String, &serde_json::Value)| Some((name.clone(), Value::of_json(value)?));
        value.as_object()?.iter().map(one).collect::<Option<_>>().map(Self::new)
    }

    /// The same text for the same names and values in any order, and another one for others.
    pub(super) fn key(&self) -> String {
        let mut values: Vec<String> =
            self.iter().map(|(name, value)| json!([name, value.json()]).to_string()).collect();
        values.sort_unstable();
        values.concat()
    }
}

impl fmt::Display for HyperParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no hyperparameters");
        }
        for (place, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}: {value}", if place > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Names as a sentence has them.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some() -> HyperParameters {
        let values: [(&str, Value); 5] = [
            ("learning_rate", 1e-5.into()),
            ("batch", 16.into()),
            ("nesterov", true.into()),
            ("schedule", "cosine".into()),
            ("offset", (-1).into()),
        ];
        HyperParameters::new(values.map(|(name, value)| (name.to_owned(), value)).to_vec())
    }

    #[test]
    fn values_are_of_the_type_asked_for() {
        let values = some();
        assert_eq!((values.float("learning_rate").unwrap(), values.float("batch").unwrap()), (1e-5, 16.0));
        assert_eq!(values.count("batch").unwrap(), 16);
        assert!(values.bool("nesterov").unwrap());
        assert_eq!(values.text("schedule").unwrap(), "cosine");
        let text = "learning_rate: 1e-5, batch: 16, nesterov: true, schedule: cosine, offset: -1";
        assert_eq!(values.to_string(), text);
    }

    #[test]
    fn values_of_other_types_are_errors() {
        let values = some();
        for (error, message) in [
            (
                values.count("learning_rate").unwrap_err(),
                "`learning_rate` is a number (1e-5), expected a whole number of at least 0",
            ),
            (
                values.count("offset").unwrap_err(),
                "`offset` is a whole number (-1), expected a whole number of at least 0",
            ),
            (values.bool("batch").unwrap_err(), "`batch` is a whole number (16), expected true or false"),
            (values.float("schedule").unwrap_err(), "`schedule` is a text (cosine), expected a number"),
            (values.text("nesterov").unwrap_err(), "`nesterov` is true or false (true), expected a text"),
            (HyperParameters::default().float("rate").unwrap_err(), "there is no hyperparameter `rate`, expected none"),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn values_come_back_from_json(float in proptest::num::f64::NORMAL, whole: i64, text: String, holds: bool) {
            let values = [("a", Value::Float(float)), ("b", whole.into()), ("c", text.into()), ("d", holds.into())];
            let values = HyperParameters::new(values.map(|(name, value)| (name.to_owned(), value)).to_vec());
            let json: serde_json::Value = serde_json::from_str(&values.json().to_string()).unwrap();
            prop_assert_eq!(HyperParameters::of_json(&json).unwrap().key(), values.key());
        }
    }
}
