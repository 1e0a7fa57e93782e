//! Reading: a file enters; its tensors leave once its header was held against its length and against the network.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use dl_runtime::{Network, TensorInfo, Tensors};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use super::difference::{Found, Matched, compare};
use super::write::METADATA;
use super::{CheckpointError, NamedTensor, Section, json};

/// The longest header, in bytes; the format's own limit.
const MOST_HEADER: u64 = 100_000_000;

/// A checkpoint whose header was read and found to fit its file. Tensors are read when they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// Where the numbers begin.
    start: u64,
    header: Metadata,
    tensors: Vec<Found>,
    pub(super) metadata: Value,
}

impl Checkpoint {
    /// Opens a file of the safetensors format, written by this crate or another program.
    ///
    /// # Errors
    /// If it cannot be read, or is truncated, longer than it says, or otherwise not of the format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let read = |error| CheckpointError::read(path, error);
        let format = |reason: &str| CheckpointError::format(path, reason);
        let mut file = File::open(path).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        let mut size = [0; 8];
        if len < 8 {
            return Err(format("it is shorter than its header's length"));
        }
        file.read_exact(&mut size).map_err(read)?;
        let size = u64::from_le_bytes(size);
        if size > MOST_HEADER || size > len - 8 {
            return Err(format("its header is longer than the file or the format allow"));
        }
        let mut header = Vec::new();
        (&mut file).take(size).read_to_end(&mut header).map_err(read)?;
        let invalid = |error: &dyn ToString| CheckpointError::format(path, error.to_string());
        dl_runtime::checkpoint::check_numbers(&header).map_err(|error| invalid(&error))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| invalid(&error))?;
        let start = 8 + size;
        let end = start + header.data_len() as u64;
        if end != len {
            return Err(CheckpointError::format(path, format!("it is {len} bytes long, expected {end}")));
        }
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
        let metadata = match text {
            Some(text) => serde_json::from_str(text).map_err(|error| invalid(&error))?,
            None => Value::Null,
        };
        let found = header.offset_keys().into_iter().filter_map(|name| {
            let info = header.info(&name)?;
            let other_type = (info.dtype != Dtype::F32).then(|| format!("{:?}", info.dtype));
            Some(Found { dims: info.shape.clone(), other_type, name })
        });
        let tensors = found.collect();
        Ok(Self { path: path.to_path_buf(), start, header, tensors, metadata })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the network, empty if another program wrote the file.
    pub fn network(&self) -> &str {
        self.text("network")
    }

    /// The source text of the network, empty if another program wrote the file.
    pub fn source(&self) -> &str {
        self.text("source")
    }

    /// The fingerprint of the network, if this crate wrote the file.
    pub fn fingerprint(&self) -> Option<u64> {
        u64::from_str_radix(self.text("fingerprint"), 16).ok()
    }

    /// How many epochs of the run were done, if it is the checkpoint of a run.
    pub fn epoch(&self) -> Option<usize> {
        json::count(self.run()?, "epoch").ok()
    }

    /// How many steps of the run were done, if it is the checkpoint of a run.
    pub fn step(&self) -> Option<u64> {
        self.run()?.get("step")?.as_u64()
    }

    /// The names and dimensions of all tensors, in the order of the file.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|found| (found.name.as_str(), found.dims.as_slice()))
    }

    /// Parameters and state of a network: exactly its tensors, computed with by the same definition.
    ///
    /// # Errors
    /// If the file holds another network, with all that differs; or if it cannot be read.
    pub fn load<N: Network>(&self) -> Result<(N::Parameters, N::State), CheckpointError> {
        let (mut parameters, mut state) = (N::Parameters::zeros(), N::State::zeros());
        let (taken, mut difference) = compare(infos::<N>(), &self.tensors);
        let definition = self.fingerprint().is_some_and(|found| found != N::FINGERPRINT);
        difference.definition = definition && difference.is_empty();
        if !difference.is_empty() {
            let difference = Box::new(difference);
            return Err(CheckpointError::Differs { path: self.path.clone(), network: N::NAME, difference });
        }
        self.take::<N>(&taken, &mut parameters, &mut state)?;
        Ok((parameters, state))
    }

    /// Takes every tensor that the network has under the same name and of the same shape, as for fine-tuning, and says
    /// what did not fit.
    ///
    /// # Errors
    /// If the file cannot be read; parameters and state are then as before.
    pub fn load_matching<N: Network>(
        &self,
        parameters: &mut N::Parameters,
        state: &mut N::State,
    ) -> Result<Matched, CheckpointError> {
        let (taken, difference) = compare(infos::<N>(), &self.tensors);
        let (mut new_parameters, mut new_state) = (parameters.clone(), state.clone());
        self.take::<N>(&taken, &mut new_parameters, &mut new_state)?;
        (*parameters, *state) = (new_parameters, new_state);
        Ok(Matched { taken: taken.into_iter().map(|info| info.name).collect(), difference })
    }

    /// Fitted preprocessing of that name.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn preprocessing(&self, name: &str) -> Result<Section, CheckpointError> {
        let found = self.all_preprocessing()?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, section)| section).ok_or_else(|| json::missing(name))
    }

    /// All fitted preprocessing, by name.
    pub(super) fn all_preprocessing(&self) -> Result<Vec<(String, Section)>, CheckpointError> {
        self.sections("preprocessing", &self.metadata)
    }

    /// Reads into a block the tensors that are known to be there.
    fn take<N: Network>(
        &self,
        taken: &[&TensorInfo],
        parameters: &mut N::Parameters,
        state: &mut N::State,
    ) -> Result<(), CheckpointError> {
        let mut numbers = self.numbers()?;
        for info in taken {
            let of_parameters = N::Parameters::TENSORS.iter().any(|parameter| parameter.name == info.name);
            let block = if of_parameters { parameters.as_mut_slice() } else { state.as_mut_slice() };
            let target = block.get_mut(info.offset..info.offset + info.len());
            numbers.read(info.name, target.ok_or_else(|| json::missing(info.name))?)?;
        }
        Ok(())
    }

    /// What the run of the checkpoint says of itself.
    pub(super) fn run(&self) -> Option<&Value> {
        self.metadata.get("run")
    }

    /// The sections of one kind, which `values` lists.
    pub(super) fn sections(&self, kind: &str, values: &Value) -> Result<Vec<(String, Section)>, CheckpointError> {
        let mut numbers = self.numbers()?;
        let listed = values.get(kind).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut sections = Vec::new();
        for (number, listed) in listed.iter().enumerate() {
            let text = |name: &str| listed.get(name).and_then(Value::as_str).ok_or_else(|| json::missing(name));
            let mut section = Section::new(text("metadata")?);
            let names = listed.get("tensors").and_then(Value::as_array).ok_or_else(|| json::missing("tensors"))?;
            for name in names.iter().filter_map(Value::as_str) {
                let path = format!("{kind}/{number}/{name}");
                let info = self.header.info(&path).ok_or_else(|| json::missing(&path))?;
                let mut values = vec![0.0; (info.data_offsets.1 - info.data_offsets.0) / size_of::<f32>()];
                numbers.read(&path, &mut values)?;
                section.tensors.push(NamedTensor { name: name.to_owned(), dims: info.shape.clone(), values });
            }
            sections.push((text("name")?.to_owned(), section));
        }
        Ok(sections)
    }

    /// Access to the numbers of the file.
    pub(super) fn numbers(&self) -> Result<Numbers<'_>, CheckpointError> {
        let file = File::open(&self.path).map_err(|error| CheckpointError::read(&self.path, error))?;
        Ok(Numbers { checkpoint: self, file })
    }

    fn text(&self, name: &str) -> &str {
        self.metadata.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// All tensors of a network.
fn infos<N: Network>() -> impl Iterator<Item = &'static TensorInfo> + Clone {
    N::Parameters::TENSORS.iter().chain(N::State::TENSORS)
}

/// The numbers of a file.
pub(super) struct Numbers<'a> {
    checkpoint: &'a Checkpoint,
    file: File,
}

impl Numbers<'_> {
    /// Reads a tensor of F32 and of just as many numbers.
    pub(super) fn read(&mut self, name: &str, target: &mut [f32]) -> Result<(), CheckpointError> {
        let Checkpoint { path, start, header, .. } = self.checkpoint;
        let format = |reason: String| CheckpointError::format(path, reason);
        let read = |error| CheckpointError::read(path, error);
        let info = header.info(name).ok_or_else(|| format(format!("`{name}` is missing")))?;
        let (from, to) = info.data_offsets;
        if info.dtype != Dtype::F32 || to - from != size_of_val(target) {
            let found = to - from;
            return Err(format(format!(
                "`{name}` is {found} bytes of {:?}, expected {} numbers of F32",
                info.dtype,
                target.len()
            )));
        }
        self.file.seek(SeekFrom::Start(start + from as u64)).map_err(read)?;
        let mut bytes = vec![0; 1 << 16];
        for strip in target.chunks_mut(1 << 14) {
            let bytes = &mut bytes[..size_of_val(strip)];
            self.file.read_exact(bytes).map_err(read)?;
            for (x, bytes) in strip.iter_mut().zip(bytes.as_chunks().0) {
                *x = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }
}

/// The checkpoint of a run in a folder that is farthest on; `None` if there is none, or no folder.
///
/// Files that are not complete, or not checkpoints of a run, are passed over.
///
/// # Errors
/// If the folder cannot be read.
pub fn newest(folder: impl AsRef<Path>) -> Result<Option<PathBuf>, CheckpointError> {
    let folder = folder.as_ref();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CheckpointError::read(folder, error)),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(|error| CheckpointError::read(folder, error))?.path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        if let Ok(checkpoint) = Checkpoint::open(&path)
            && let (Some(step), Some(epoch)) = (checkpoint.step(), checkpoint.epoch())
        {
            found.insert((step, epoch, path));
        }
    }
    Ok(found.pop_last().map(|(_, _, path)| path))
}
