//! What every compiled network offers, for code that is generic over networks.
//!
//! The generated module of a network implements these traits for its types; the training loop of `dl-train`
//! knows nothing else. It holds no kernels and no storage.

use std::fmt::Debug;
use std::ops::Range;

use crate::optimizer::{Optimizer, Options, Rule, SettingError};
use crate::schedule::Schedule;
use crate::{InputError, LoadError};

/// A compiled network: the type the generated module names after it.
pub trait Network: 'static {
    /// The name written in the source.
    const NAME: &'static str;
    /// The text of the file that declares it, line by line. What the file imports is not in it.
    const SOURCE: &'static [&'static str];
    /// A hash of what the network holds and computes (FNV-1a of its graphs): the same for the same definition, however
    /// it is written down, and another one for another.
    const FINGERPRINT: u64;
    /// Examples with labels, owned, one array for each input and label.
    type Examples: Examples;
    /// All trainable tensors.
    type Parameters: Tensors;
    /// Tensors that training updates without a gradient, such as running statistics.
    type State: Tensors;
    /// Parameters and state in the form inference reads.
    type Prepared: Send + Sync;
    /// Storage of one inference or evaluation call.
    type Workspace: Send;
    /// Storage of one training step.
    type TrainingWorkspace: Send;
    /// The optimizer's rule, with its numbers.
    type Rule: Rule;
    /// One optimizer for each training step, in the order in which the losses are declared.
    type Optimizers: AsMut<[Optimizer<Self::Rule>]> + Send;
    /// Losses and metrics, each the mean over a batch.
    type Report: Report;
    /// Outputs of any number of examples, owned, one vector for each output.
    type Predictions: Clone + Debug + Default + Send;

    /// The numbers of the `train` section.
    fn settings() -> Settings<Self::Rule>;
    /// Freshly initialized parameters and state, a function of the seed alone.
    fn initialize(seed: u64) -> (Self::Parameters, Self::State);
    /// The optimizers of all training steps before their first step; `seed` decides what steps draw at random.
    fn optimizers(rule: Self::Rule, seed: u64) -> Self::Optimizers;
    /// Storage for batches of up to `capacity` examples, computed by `threads` threads.
    fn workspace(capacity: usize, threads: usize) -> Self::Workspace;
    /// Storage for training steps of up to `capacity` examples, computed by `threads` threads.
    fn training_workspace(capacity: usize, threads: usize) -> Self::TrainingWorkspace;
    /// What inference and evaluation read.
    fn prepare(parameters: &Self::Parameters, state: &Self::State) -> Self::Prepared;
    /// One training step for each loss, one after another: forward, backward, update. `weights` holds one weight per
    /// example, or all count alike. On an error nothing has changed.
    fn step(
        parameters: &mut Self::Parameters,
        state: &mut Self::State,
        optimizers: &mut Self::Optimizers,
        workspace: &mut Self::TrainingWorkspace,
        batch: <Self::Examples as Examples>::Batch<'_>,
        weights: Option<&[f32]>,
    ) -> Result<Self::Report, InputError>;
    /// The gradients that the last step left in its workspace: flat, in the layout of the front of the parameters.
    fn gradients(workspace: &Self::TrainingWorkspace) -> &[f32];
    /// Loss and metrics of the inference network over one batch.
    fn evaluate(
        prepared: &Self::Prepared,
        workspace: &mut Self::Workspace,
        batch: <Self::Examples as Examples>::Batch<'_>,
    ) -> Result<Self::Report, InputError>;
    /// The outputs of all examples, computed in batches of the workspace's capacity. Labels are not read and may be
    /// missing. What inference draws at random is drawn with seed 0.
    fn predict(
        prepared: &Self::Prepared,
        workspace: &mut Self::Workspace,
        examples: &Self::Examples,
    ) -> Result<Self::Predictions, InputError>;
}

/// Examples with their labels, owned, one array for each input and label.
pub trait Examples: Clone + Default + Send + Sync {
    /// The same by reference: one slice for each input and label.
    type Batch<'a>: Copy
    where
        Self: 'a;

    /// How many examples there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Removes all examples and keeps the storage.
    fn clear(&mut self);
    /// Appends the examples of `from` at the given positions, in that order; positions past the end are an error.
    fn extend(&mut self, from: &Self, positions: &[usize]) -> Result<(), InputError>;
    /// All examples.
    fn batch(&self) -> Self::Batch<'_>;
    /// Whether all inputs and labels are finite numbers; the error names the first one that is not.
    fn check_finite(&self) -> Result<(), InputError>;
}

/// Losses and metrics of one batch.
pub trait Report: Copy + Send + 'static {
    /// The names of named losses and of metrics, in order.
    const METRICS: &'static [&'static str];
    /// The mean loss over the batch: the unnamed one, or the sum of all where each has a name.
    fn loss(&self) -> f32;
    /// The mean of the loss or metric at that place of [`Self::METRICS`]; NaN past the end, and for what no training
    /// step computes.
    fn metric(&self, index: usize) -> f32;
}

/// One tensor of a [`Tensors`] block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its path in the source, such as `hidden.weight`.
    pub name: &'static str,
    /// Its dimensions.
    pub dims: &'static [usize],
    /// Where it starts in the flat block, in floats.
    pub offset: usize,
    /// Where the source asks for it, such as `lenet.dln:12`.
    pub place: &'static str,
}

impl TensorInfo {
    /// How many floats it holds.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }
    /// Never: dimensions are at least 1.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Named tensors in one contiguous, 64-byte aligned block.
pub trait Tensors: Clone + Send + Sync + 'static {
    /// All tensors in order of declaration. Frozen parameters lie behind the trainable ones, whatever their order here.
    const TENSORS: &'static [TensorInfo];
    /// All zeros.
    fn zeros() -> Self;
    /// The block; places between tensors are zero.
    fn as_slice(&self) -> &[f32];
    /// The block.
    fn as_mut_slice(&mut self) -> &mut [f32];
    /// The tensor of that name, flat.
    fn tensor(&self, name: &str) -> Option<&[f32]> {
        let info = Self::TENSORS.iter().find(|info| info.name == name)?;
        self.as_slice().get(info.offset..info.offset + info.len())
    }
    /// Where the tensors lie whose names match a pattern, as [`path_matches`](crate::path_matches) understands it.
    fn ranges(pattern: &str) -> Vec<Range<usize>> {
        let chosen = Self::TENSORS.iter().filter(|info| crate::path_matches(pattern, info.name));
        chosen.map(|info| info.offset..info.offset + info.len()).collect()
    }
    /// Bytes in the safetensors format.
    fn save(&self) -> Result<Vec<u8>, LoadError> {
        crate::checkpoint::save(Self::TENSORS, self.as_slice())
    }
    /// Reads bytes of the safetensors format: exactly these tensors with these shapes, or an error that says what differs.
    fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut tensors = Self::zeros();
        crate::checkpoint::load(Self::TENSORS, tensors.as_mut_slice(), bytes)?;
        Ok(tensors)
    }
    /// Copies every tensor of `other` whose name starts with `prefix` and whose name and shape exist here; returns how many.
    fn copy_from<T: Tensors>(&mut self, prefix: &str, other: &T) -> usize {
        crate::checkpoint::copy(Self::TENSORS, self.as_mut_slice(), T::TENSORS, other.as_slice(), prefix)
    }
}

/// The numbers of a `train` section, to be changed at run time.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings<R> {
    /// The optimizer's rule and its numbers.
    pub optimizer: R,
    /// What the optimizer does besides: clipping, accumulation, averages, decay by parameter.
    pub options: Options,
    /// How the learning rate changes in training.
    pub schedule: Schedule,
    /// Examples in a mini-batch.
    pub batch: usize,
    /// Passes over the training set, at most.
    pub epochs: usize,
    /// Stop when the validation loss has not improved for that many epochs.
    pub patience: Option<usize>,
}

impl<R: Rule> Settings<R> {
    /// An optimizer without options, a constant learning rate, batches of 32, 10 epochs, no early stopping.
    pub const fn new(optimizer: R) -> Self {
        Self {
            optimizer,
            options: Options::new(),
            schedule: Schedule::constant(),
            batch: 32,
            epochs: 10,
            patience: None,
        }
    }

    /// Checks the numbers of the optimizer, its options and the schedule, for parameters that are these tensors.
    ///
    /// # Errors
    /// The first number that is out of range, or the first pattern that matches no tensor.
    pub fn check(&self, tensors: &[TensorInfo]) -> Result<(), SettingError> {
        self.optimizer.check()?;
        self.schedule.check()?;
        self.options.check(tensors)
    }
}
