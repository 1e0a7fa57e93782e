//! How the tensors of a file and of a network differ.

use std::fmt;

use dl_runtime::TensorInfo;

/// How a checkpoint differs from a network, tensor by tensor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Tensors of the network that the file lacks: name and dimensions.
    pub missing: Vec<(&'static str, &'static [usize])>,
    /// Tensors of the file that the network lacks: name and dimensions.
    pub extra: Vec<(String, Vec<usize>)>,
    /// Tensors of other dimensions: name, dimensions in the network, dimensions in the file.
    pub shapes: Vec<(&'static str, &'static [usize], Vec<usize>)>,
    /// Tensors that are not F32: name, and type in the file as the format calls it.
    pub types: Vec<(&'static str, String)>,
    /// Whether the tensors are the same, but what is computed from them is another thing.
    pub definition: bool,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let missing = self.missing.iter().map(|(name, dims)| format!("`{name}` {dims:?} is missing"));
        parts.extend(missing);
        let shapes = self.shapes.iter();
        parts.extend(shapes.map(|(name, expected, found)| format!("`{name}` is {found:?}, expected {expected:?}")));
        parts.extend(self.types.iter().map(|(name, found)| format!("`{name}` is of type {found}, expected F32")));
        parts.extend(self.extra.iter().map(|(name, dims)| format!("`{name}` {dims:?} is not in the network")));
        if self.definition {
            parts.push("the tensors are the same, but another definition computes with them".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// What was taken from a checkpoint, and what did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matched {
    /// The names of the tensors that were taken, in the network's order.
    pub taken: Vec<&'static str>,
    /// What did not fit: these tensors of the network are as before.
    pub difference: Difference,
}

/// A tensor of a file, as its header says.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// `None` for numbers that are F32.
    pub(super) other_type: Option<String>,
}

/// Compares the tensors of a network with those of a file; names with a `/` are not tensors of a network.
pub(super) fn compare<'a>(
    network: impl Iterator<Item = &'a TensorInfo> + Clone,
    file: &[Found],
) -> (Vec<&'a TensorInfo>, Difference) {
    let mut difference = Difference::default();
    let mut same = Vec::new();
    for info in network.clone() {
        match file.iter().find(|found| found.name == info.name) {
            None => difference.missing.push((info.name, info.dims)),
            Some(Found { other_type: Some(found), .. }) => difference.types.push((info.name, found.clone())),
            Some(found) if found.dims != info.dims => {
                difference.shapes.push((info.name, info.dims, found.dims.clone()));
            }
            Some(_) => same.push(info),
        }
    }
    for found in file.iter().filter(|found| !found.name.contains('/')) {
        if !network.clone().any(|info| info.name == found.name) {
            difference.extra.push((found.name.clone(), found.dims.clone()));
        }
    }
    (same, difference)
}
