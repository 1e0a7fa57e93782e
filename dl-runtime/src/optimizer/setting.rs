//! What the numbers of a rule may be.

use thiserror::Error;

/// A number of an optimizer or schedule that it cannot work with.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("`{setting}` of `{of}` is {expected}, found {found}")]
pub struct OutOfRange {
    /// The rule, option or schedule.
    pub of: &'static str,
    /// Which of its numbers.
    pub setting: &'static str,
    /// What it may be.
    pub expected: &'static str,
    /// What it is.
    pub found: f64,
}

/// Settings that do not fit each other or the network.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A number out of its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A pattern of parameters that matches none.
    #[error("no parameter has a path that matches `{pattern}`; the paths are {}", crate::error::quoted(.paths))]
    NoSuchPath {
        /// The pattern.
        pattern: String,
        /// The paths of the network's tensors.
        paths: Vec<&'static str>,
    },
}

type Checked = Result<(), OutOfRange>;

pub(crate) fn expect(
    holds: bool,
    of: &'static str,
    setting: &'static str,
    expected: &'static str,
    found: impl Into<f64>,
) -> Checked {
    if holds { Ok(()) } else { Err(OutOfRange { of, setting, expected, found: found.into() }) }
}

pub(crate) fn positive(of: &'static str, setting: &'static str, value: impl Into<f64>) -> Checked {
    let value = value.into();
    expect(value > 0.0 && value.is_finite(), of, setting, "a finite number above 0", value)
}

pub(crate) fn not_negative(of: &'static str, setting: &'static str, value: impl Into<f64>) -> Checked {
    let value = value.into();
    expect(value >= 0.0 && value.is_finite(), of, setting, "a finite number of at least 0", value)
}

pub(crate) fn below_one(of: &'static str, setting: &'static str, value: impl Into<f64>) -> Checked {
    let value = value.into();
    expect((0.0..1.0).contains(&value), of, setting, "a number from 0 up to, not including, 1", value)
}
