//! A part of a checkpoint that belongs to someone else: tensors by name and a text, which is JSON by custom.

use serde_json::Value;

use super::CheckpointError;
use crate::data::{FittedState, FittedTensor};

/// A tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its name within the section.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its numbers, row major; as many as the product of the dimensions.
    pub values: Vec<f32>,
}

/// What fitted preprocessing or a callback stores in a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Section {
    /// Whatever is not a tensor, as JSON text; may be empty.
    pub metadata: String,
    /// The tensors.
    pub tensors: Vec<NamedTensor>,
}

impl From<FittedState> for Section {
    fn from(state: FittedState) -> Self {
        let tensor = |FittedTensor { name, dims, values }| NamedTensor { name, dims, values };
        Self { metadata: state.metadata, tensors: state.tensors.into_iter().map(tensor).collect() }
    }
}

impl From<Section> for FittedState {
    fn from(section: Section) -> Self {
        let tensor = |NamedTensor { name, dims, values }| FittedTensor { name, dims, values };
        Self { metadata: section.metadata, tensors: section.tensors.into_iter().map(tensor).collect() }
    }
}

impl Section {
    /// A section without tensors.
    pub fn new(metadata: impl Into<String>) -> Self {
        Self { metadata: metadata.into(), tensors: Vec::new() }
    }

    /// Adds a tensor of one dimension.
    pub fn push(&mut self, name: impl Into<String>, values: &[f32]) {
        self.tensors.push(NamedTensor { name: name.into(), dims: vec![values.len()], values: values.to_vec() });
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&NamedTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The numbers of the tensor of that name.
    ///
    /// # Errors
    /// If there is no such tensor, or one of another length.
    pub fn floats(&self, name: &str, len: usize) -> Result<&[f32], CheckpointError> {
        let error = |reason| CheckpointError::Section { section: name.to_owned(), reason };
        let tensor = self.tensor(name).ok_or_else(|| error("it is missing".to_owned()))?;
        if tensor.values.len() == len {
            Ok(&tensor.values)
        } else {
            Err(error(format!("it holds {} numbers, expected {len}", tensor.values.len())))
        }
    }

    /// The metadata as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn values(&self) -> Result<Value, CheckpointError> {
        serde_json::from_str(&self.metadata)
            .map_err(|error| CheckpointError::Section { section: "metadata".to_owned(), reason: error.to_string() })
    }
}
