//! Writing: tensors and metadata enter, a complete file stands at its place, or nothing has changed there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use dl_runtime::{Network, TensorInfo, Tensors};
use safetensors::tensor::{Dtype, Metadata, TensorInfo as Header};
use serde_json::{Value, json};

use super::Section;
use crate::TrainError;

/// The only entry of the format's metadata; several would be written in any order.
pub(super) const METADATA: &str = "dln";

/// One tensor to be written.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    pub(super) values: &'a [f32],
}

/// Writes the tensors of a network, and fitted preprocessing by name, without a run: to be loaded, not resumed.
///
/// # Errors
/// If the file cannot be written; what stood at its place is still there.
pub fn save<N: Network>(
    path: impl AsRef<Path>,
    parameters: &N::Parameters,
    state: &N::State,
    preprocessing: &[(String, Section)],
) -> Result<(), TrainError> {
    let mut entries = network::<N>(parameters, state);
    let sections = sections("preprocessing", preprocessing, &mut entries);
    write(path.as_ref(), &metadata::<N>(json!({ "preprocessing": sections })), &entries)
}

/// What every checkpoint says of its network, and more.
pub(super) fn metadata<N: Network>(more: Value) -> Value {
    let mut metadata = json!({
        "version": 1,
        "network": N::NAME,
        "fingerprint": format!("{:016x}", N::FINGERPRINT),
        "source": N::SOURCE.join("\n"),
    });
    if let (Value::Object(metadata), Value::Object(more)) = (&mut metadata, more) {
        metadata.extend(more);
    }
    metadata
}

/// The tensors of a network under their own names.
pub(super) fn network<'a, N: Network>(parameters: &'a N::Parameters, state: &'a N::State) -> Vec<Entry<'a>> {
    let of = |infos: &'static [TensorInfo], block: &'a [f32]| {
        infos.iter().map(move |info| Entry {
            name: info.name.to_owned(),
            dims: info.dims.to_vec(),
            values: block.get(info.offset..info.offset + info.len()).unwrap_or_default(),
        })
    };
    of(N::Parameters::TENSORS, parameters.as_slice()).chain(of(N::State::TENSORS, state.as_slice())).collect()
}

/// Adds the tensors of sections as `kind/number/name`, and gives their names and texts.
pub(super) fn sections<'a>(kind: &str, sections: &'a [(String, Section)], entries: &mut Vec<Entry<'a>>) -> Value {
    let listed = sections.iter().enumerate().map(|(number, (name, section))| {
        let names: Vec<&str> = section.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        entries.extend(section.tensors.iter().map(|tensor| Entry {
            name: format!("{kind}/{number}/{}", tensor.name),
            dims: tensor.dims.clone(),
            values: &tensor.values,
        }));
        json!({ "name": name, "metadata": section.metadata, "tensors": names })
    });
    listed.collect()
}

/// The name under which a file is written before it is renamed.
pub(crate) fn partial(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.partial"))
}

/// Writes a file: all of it, or none.
pub(super) fn write(path: &Path, metadata: &Value, entries: &[Entry<'_>]) -> Result<(), TrainError> {
    let beside = partial(path);
    let written = write_to(&beside, metadata, entries).and_then(|()| fs::rename(&beside, path)).and_then(|()| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The new name is safe once the folder is; not every system opens folders.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    });
    written.map_err(|error| {
        // What is half written takes room that may be just what is missing.
        let _ = fs::remove_file(&beside);
        TrainError::write(path, error)
    })
}

fn write_to(path: &Path, metadata: &Value, entries: &[Entry<'_>]) -> io::Result<()> {
    let mut at = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for entry in entries {
        let end = at + size_of_val(entry.values);
        let info = Header { dtype: Dtype::F32, shape: entry.dims.clone(), data_offsets: (at, end) };
        tensors.push((entry.name.clone(), info));
        at = end;
    }
    let text = HashMap::from([(METADATA.to_owned(), metadata.to_string())]);
    let header = Metadata::new(Some(text), tensors).map_err(io::Error::other)?;
    let mut header = serde_json::to_vec(&header)?;
    // Numbers begin at multiples of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut bytes = Vec::with_capacity(1 << 14);
    for strip in entries.iter().flat_map(|entry| entry.values.chunks(1 << 12)) {
        bytes.clear();
        bytes.extend(strip.iter().flat_map(|x| x.to_le_bytes()));
        file.write_all(&bytes)?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
