//! Values of attributes, and the readers that operations share.

use std::fmt;

use super::Constant;

/// The value of an attribute, known at compile time.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// `[3, 5]`
    List(Vec<AttributeValue>),
}

impl AttributeValue {
    /// A default, given the values of the attributes before it.
    pub fn default(constant: Constant, earlier: &[AttributeValue]) -> Option<AttributeValue> {
        match constant {
            Constant::Integer(value) => Some(AttributeValue::Integer(value)),
            Constant::Float(value) => Some(AttributeValue::Float(value)),
            Constant::Bool(value) => Some(AttributeValue::Bool(value)),
            Constant::List(values) => {
                Some(AttributeValue::List(values.iter().map(|value| AttributeValue::Integer(*value)).collect()))
            }
            Constant::SameAs(place) => earlier.get(place).cloned(),
        }
    }
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttributeValue::Integer(value) => write!(f, "{value}"),
            AttributeValue::Float(value) => write!(f, "{value:?}"),
            AttributeValue::Bool(value) => write!(f, "{value}"),
            AttributeValue::List(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

/// Attribute number `place` as a whole number of at least `least`.
pub fn integer(values: &[AttributeValue], place: usize, least: i64) -> Result<usize, (usize, String)> {
    match values.get(place) {
        Some(AttributeValue::Integer(value)) => at_least(*value, place, least),
        Some(other) => Err((place, format!("expected an integer, found {other}"))),
        None => Err((place, "expected an integer".to_owned())),
    }
}

/// Attribute number `place` as one whole number for both axes (`5`) or one for each (`[3, 5]`: height, width).
pub fn pair(values: &[AttributeValue], place: usize, least: i64) -> Result<[usize; 2], (usize, String)> {
    match values.get(place) {
        Some(AttributeValue::List(list)) => match list.as_slice() {
            [AttributeValue::Integer(a), AttributeValue::Integer(b)] => {
                Ok([at_least(*a, place, least)?, at_least(*b, place, least)?])
            }
            _ => Err((
                place,
                format!("expected an integer or a list of two, found {}", AttributeValue::List(list.clone())),
            )),
        },
        _ => integer(values, place, least).map(|value| [value, value]),
    }
}

/// Attribute number `place` as a list of whole numbers of at least `least` (a single one counts as a list of one).
pub fn integers(values: &[AttributeValue], place: usize, least: i64) -> Result<Vec<usize>, (usize, String)> {
    match values.get(place) {
        Some(AttributeValue::List(list)) => list
            .iter()
            .map(|value| match value {
                AttributeValue::Integer(value) => at_least(*value, place, least),
                other => Err((place, format!("expected a list of integers, found {other} in it"))),
            })
            .collect(),
        _ => integer(values, place, least).map(|value| vec![value]),
    }
}

/// Attribute number `place` as a finite number; whole numbers count.
pub fn float(values: &[AttributeValue], place: usize) -> Result<f64, (usize, String)> {
    match values.get(place) {
        Some(AttributeValue::Float(value)) if value.is_finite() => Ok(*value),
        Some(AttributeValue::Integer(value)) => Ok(*value as f64),
        Some(other) => Err((place, format!("expected a number, found {other}"))),
        None => Err((place, "expected a number".to_owned())),
    }
}

fn at_least(value: i64, place: usize, least: i64) -> Result<usize, (usize, String)> {
    match usize::try_from(value) {
        Ok(found) if value >= least && value <= i64::from(i32::MAX) => Ok(found),
        _ if value < least => Err((place, format!("expected an integer of at least {least}, found {value}"))),
        _ => Err((place, format!("expected an integer of at most {}, found {value}", i32::MAX))),
    }
}
