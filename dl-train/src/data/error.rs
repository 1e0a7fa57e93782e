//! What can be wrong with data: each case says where, what was expected and what was found.
//!
//! Readers return these and never panic, whatever bytes a file holds.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use dl_runtime::InputError;
use thiserror::Error;

/// Data that cannot be read or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder the system does not give.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing where examples should be.
    #[error("{place} is empty, expected at least 1 {what}")]
    Empty {
        /// Where.
        place: Box<Place>,
        /// What should be there.
        what: &'static str,
    },
    /// An empty field, or a marker of missing values.
    #[error("{place}: expected a value, found none")]
    Missing {
        /// Where.
        place: Box<Place>,
    },
    /// An infinite number, or none at all.
    #[error("{place}: expected a finite number, found {found}")]
    NotFinite {
        /// Where.
        place: Box<Place>,
        /// The number.
        found: f64,
    },
    /// A class that does not exist.
    #[error("{place}: expected a label from 0 to {}, found {found}", bound.saturating_sub(1))]
    Label {
        /// Where.
        place: Box<Place>,
        /// The number of classes.
        bound: usize,
        /// The label.
        found: f64,
    },
    /// An array of other dimensions.
    #[error("{place}: expected the shape {expected:?}, found {found:?}")]
    Shape {
        /// Where.
        place: Box<Place>,
        /// The dimensions asked for.
        expected: Vec<usize>,
        /// The dimensions there are.
        found: Vec<usize>,
    },
    /// Fewer or more bytes, or fields, than were announced.
    #[error("{place}: expected {expected} {unit}, found {found}")]
    Count {
        /// Where.
        place: Box<Place>,
        /// What is counted.
        unit: &'static str,
        /// How many should be there.
        expected: u64,
        /// How many are there.
        found: u64,
    },
    /// Something of another form.
    #[error("{place}: expected {expected}, found {found}")]
    Format {
        /// Where.
        place: Box<Place>,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A setting outside its range.
    #[error("`{name}` is {found}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The examples themselves disagree, or a position lies past their end.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl DataError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn setting(name: &'static str, expected: &'static str, found: impl fmt::Display) -> Self {
        Self::Setting { name, expected, found: found.to_string() }
    }

    pub(crate) fn format(place: &Place, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Format { place: place.boxed(), expected: expected.into(), found: found.into() }
    }
}

/// Where in the data something is; what is unknown is not named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, or the name that was given to bytes from elsewhere.
    pub source: PathBuf,
    /// The line of the file, from 1.
    pub line: Option<u64>,
    /// The column's name, or its number from 1.
    pub column: Option<String>,
    /// The byte of the file, from 0.
    pub byte: Option<u64>,
    /// The sample, tensor or array, in words.
    pub item: Option<String>,
    /// The example, from 0.
    pub example: Option<usize>,
}

impl Place {
    /// Somewhere in that file.
    pub(crate) fn of(source: impl AsRef<Path>) -> Self {
        Self { source: source.as_ref().to_path_buf(), ..Self::default() }
    }

    #[cfg(any(test, feature = "csv"))]
    pub(crate) fn line(&self, line: u64) -> Self {
        Self { line: Some(line), ..self.clone() }
    }

    pub(crate) fn column(&self, column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..self.clone() }
    }

    pub(crate) fn item(&self, item: impl Into<String>) -> Self {
        Self { item: Some(item.into()), ..self.clone() }
    }

    pub(crate) fn byte(&self, byte: u64) -> Self {
        Self { byte: Some(byte), ..self.clone() }
    }

    pub(crate) fn example(&self, example: usize) -> Self {
        Self { example: Some(example), ..self.clone() }
    }

    pub(crate) fn boxed(&self) -> Box<Self> {
        Box::new(self.clone())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.as_os_str().is_empty() {
            f.write_str("the data")?
        } else {
            self.source.display().fmt(f)?
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        if let Some(item) = &self.item {
            write!(f, ", {item}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        if let Some(example) = self.example {
            write!(f, ", example {example}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_what_is_known() {
        let place = Place::of("wine.csv").line(7).column("pH");
        assert_eq!(
            DataError::Missing { place: place.boxed() }.to_string(),
            "wine.csv, line 7, column `pH`: expected a value, found none"
        );
        assert_eq!(Place::default().byte(3).example(2).to_string(), "the data, byte 3, example 2");
    }
}
