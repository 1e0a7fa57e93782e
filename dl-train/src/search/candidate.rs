//! Candidates: a network, its data and how it is trained enter; scores of single trials leave, whatever the type of the
//! network.

use std::fmt::{self, Debug, Write};
use std::time::Instant;

use dl_runtime::{Clip, Examples, Network, Rule};

use super::values::names;
use super::{HyperParameters, SearchError};
use crate::callback::Monitor;
use crate::data::{Augmented, DataError, Dataset, ExampleRng, Subset, collect};
use crate::evaluate::Set;
use crate::split::Fold;
use crate::{Progress, TrainError, Trainer};

/// Makes the trainer of a trial of what the hyperparameters of all networks have made of it.
type Configure<'a, N> = Box<dyn Fn(Trainer<N>, &HyperParameters) -> Result<Trainer<N>, SearchError> + Send + Sync + 'a>;
/// Changes the training and the validation part of a fold.
type Preprocess<'a, E> = Box<dyn Fn(&mut E, &mut E) -> Result<(), TrainError> + Send + Sync + 'a>;
/// Changes an example of the training part.
type Augment<'a, E> = Box<dyn Fn(&mut E, usize, &mut ExampleRng) + Send + Sync + 'a>;

/// A network to be compared with others, and its data.
///
/// Several sizes of one network are several types, so each candidate has data of its own type; all have the same examples
/// in the same order.
pub struct Candidate<'a, N: Network> {
    name: String,
    data: Set<'a, N>,
    trainer: Trainer<N>,
    configure: Option<Configure<'a, N>>,
    preprocess: Option<Preprocess<'a, N::Examples>>,
    augment: Option<(u64, Augment<'a, N::Examples>)>,
}

impl<'a, N: Network> Candidate<'a, N>
where
    N::Examples: Debug,
{
    /// A network under a name, trained as its own `train` section says. Weights of a set follow their examples into the folds.
    pub fn new(name: impl Into<String>, data: &'a impl Dataset<Examples = N::Examples>) -> Self {
        Self { name: name.into(), data, trainer: Trainer::new(), configure: None, preprocess: None, augment: None }
    }

    /// How it is trained before hyperparameters change that. Seed, threads and progress are those of the search; its
    /// pictures and the checkpoint of an interruption are not written. Callbacks that write files would write the same ones in every trial.
    pub fn trainer(mut self, trainer: Trainer<N>) -> Self {
        self.trainer = trainer;
        self
    }

    /// What becomes of hyperparameters that [`HyperParameters::apply`] does not know, such as the name of a schedule.
    pub fn configure(
        mut self,
        configure: impl Fn(Trainer<N>, &HyperParameters) -> Result<Trainer<N>, SearchError> + Send + Sync + 'a,
    ) -> Self {
        self.configure = Some(Box::new(configure));
        self
    }

    /// Changes the training and the validation part of each fold before training: here preprocessing is fitted, on the
    /// training part alone, and applied to both. Both stay as long as they are, and are held in memory.
    pub fn preprocess(
        mut self,
        preprocess: impl Fn(&mut N::Examples, &mut N::Examples) -> Result<(), TrainError> + Send + Sync + 'a,
    ) -> Self {
        self.preprocess = Some(Box::new(preprocess));
        self
    }

    /// Changes the examples of the training part as they are drawn; see [`Augmented`]. Those of the validation part stay as
    /// they are.
    pub fn augment(
        mut self,
        seed: u64,
        change: impl Fn(&mut N::Examples, usize, &mut ExampleRng) + Send + Sync + 'a,
    ) -> Self {
        self.augment = Some((seed, Box::new(change)));
        self
    }

    /// The trainer for these hyperparameters, such as the best ones.
    ///
    /// # Errors
    /// If the candidate does not know one of them, or it is out of range.
    pub fn trainer_for(&self, values: &HyperParameters) -> Result<Trainer<N>, SearchError> {
        let mut trainer = self.trainer.clone();
        for (name, _) in values.iter() {
            trainer = match set(trainer, values, name)? {
                Ok(changed) => changed,
                Err(unchanged) if self.configure.is_some() => unchanged,
                Err(_) => return Err(unknown::<N>(name)),
            };
        }
        let trainer = match &self.configure {
            Some(configure) => configure(trainer, values)?,
            None => trainer,
        };
        trainer.check()?;
        if trainer.has_example_weights() {
            let expected = "none: weights of a set (`Weighted`) follow their examples into the folds";
            return Err(TrainError::setting("example_weights", expected, "given").into());
        }
        Ok(trainer)
    }
}

impl<N: Network> Debug for Candidate<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, trainer, .. } = self;
        f.debug_struct("Candidate").field("name", name).field("trainer", trainer).finish_non_exhaustive()
    }
}

impl HyperParameters {
    /// Trains with these: `learning_rate`, `batch`, `epochs`, `patience`, `accumulate`, `ema`, one of `clip_value`,
    /// `clip_norm` and `clip_global_norm`, and the numbers of the optimizer's rule, such as `momentum` or `weight_decay`.
    ///
    /// # Errors
    /// If there are others, or one is no number.
    pub fn apply<N: Network>(&self, trainer: Trainer<N>) -> Result<Trainer<N>, SearchError> {
        self.iter().try_fold(trainer, |trainer, (name, _)| set(trainer, self, name)?.map_err(|_| unknown::<N>(name)))
    }
}

/// Names that every network knows, apart from the numbers of its rule.
const NAMES: [&str; 8] =
    ["batch", "epochs", "patience", "accumulate", "ema", "clip_value", "clip_norm", "clip_global_norm"];

fn unknown<N: Network>(name: &str) -> SearchError {
    let expected = names(N::Rule::NUMBERS.iter().copied().chain(NAMES));
    SearchError::Unknown { network: N::NAME, name: name.to_owned(), expected }
}

/// The trainer with one more hyperparameter, or as it was if the name is none of those known.
fn set<N: Network>(
    trainer: Trainer<N>,
    values: &HyperParameters,
    name: &str,
) -> Result<Result<Trainer<N>, Trainer<N>>, SearchError> {
    let float = || values.float(name).map(|value| value as f32);
    let count = || values.count(name);
    let mut trainer = trainer;
    let settings = trainer.settings_mut();
    match name {
        "batch" => settings.batch = count()?,
        "epochs" => settings.epochs = count()?,
        "patience" => settings.patience = Some(count()?),
        "accumulate" => settings.options.accumulate = count()?,
        "ema" => settings.options.ema = Some(float()?),
        "clip_value" => settings.options.clip = Clip::Value(float()?),
        "clip_norm" => settings.options.clip = Clip::Norm(float()?),
        "clip_global_norm" => settings.options.clip = Clip::GlobalNorm(float()?),
        _ if N::Rule::NUMBERS.contains(&name) => {
            settings.optimizer.set(name, float()?);
        }
        _ => return Ok(Err(trainer)),
    }
    Ok(Ok(trainer))
}

/// What one trial ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The mean loss over the validation part.
    pub loss: f64,
    /// Each metric's name and mean over the validation part, in the order of the source.
    pub metrics: Vec<(String, f64)>,
    /// How many epochs were trained.
    pub epochs: usize,
    /// How long training and evaluation took, in seconds.
    pub seconds: f64,
}

impl Score {
    /// The number of that name: `loss` or a metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        let metric = self.metrics.iter().find(|(metric, _)| metric == name).map(|(_, value)| *value);
        metric.or((name == "loss").then_some(self.loss))
    }
}

/// What a search shares between its trials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) fold: &'a Fold,
    pub(super) seed: u64,
    pub(super) threads: usize,
}

/// A candidate whose type is not known.
pub(super) trait Trials: Sync {
    fn name(&self) -> &str;
    fn examples(&self) -> usize;
    fn fingerprint(&self) -> u64;
    /// A hash of all examples and their weights.
    fn data_hash(&self) -> Result<u64, TrainError>;
    fn check_monitor(&self, monitor: &Monitor) -> Result<(), TrainError>;
    /// Checks hyperparameters, and gives a hash of all settings that they lead to.
    fn settings_hash(&self, values: &HyperParameters) -> Result<u64, SearchError>;
    /// One trial; or why its numbers were not finite.
    fn run(&self, values: &HyperParameters, plan: Plan<'_>) -> Result<Result<Score, String>, SearchError>;
}

impl<N: Network> Trials for Candidate<'_, N>
where
    N::Examples: Debug,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn examples(&self) -> usize {
        self.data.len()
    }

    fn fingerprint(&self) -> u64 {
        N::FINGERPRINT
    }

    fn data_hash(&self) -> Result<u64, TrainError> {
        let (mut hash, mut strip) = (Hash::default(), N::Examples::default());
        let positions: Vec<usize> = (0..self.data.len()).collect();
        for positions in positions.chunks(256) {
            strip.clear();
            self.data.gather(0, positions, &mut strip)?;
            hash.add(format_args!("{strip:?}"));
        }
        hash.add(format_args!("{:?}", self.data.weights()));
        Ok(hash.0)
    }

    fn check_monitor(&self, monitor: &Monitor) -> Result<(), TrainError> {
        monitor.check::<N>()
    }

    fn settings_hash(&self, values: &HyperParameters) -> Result<u64, SearchError> {
        let mut trainer = self.trainer_for(values)?;
        let mut hash = Hash::default();
        hash.add(format_args!("{:?}", trainer.settings_mut()));
        Ok(hash.0)
    }

    fn run(&self, values: &HyperParameters, plan: Plan<'_>) -> Result<Result<Score, String>, SearchError> {
        let start = Instant::now();
        let trainer = self.trainer_for(values)?.without_files().progress(Progress::Silent);
        let trainer = trainer.seed(plan.seed).threads(plan.threads);
        match self.train(&trainer, plan.fold) {
            Ok(score) => Ok(Ok(Score { seconds: start.elapsed().as_secs_f64(), ..score })),
            Err(error @ TrainError::NotFinite { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

impl<N: Network> Candidate<'_, N> {
    /// Trains on one part of a fold and evaluates on the other.
    fn train(&self, trainer: &Trainer<N>, (train, validation): &Fold) -> Result<Score, TrainError> {
        let [train, validation] = [train, validation].map(|part| Subset::new(self.data, part.clone()));
        let (train, validation) = (train?, validation?);
        let Some(preprocess) = &self.preprocess else {
            return self.train_on(trainer, &train, &validation);
        };
        let (mut taught, mut held) = (collect(&train, 0)?, collect(&validation, 0)?);
        preprocess(&mut taught, &mut held)?;
        let [taught, held] = [(&taught, &train), (&held, &validation)].map(|(examples, set)| {
            let (expected, found) = (set.len(), Dataset::len(examples));
            dl_runtime::check_length("the part made by preprocessing", expected, found)?;
            Ok::<_, TrainError>(Part { examples, weights: set.weights() })
        });
        self.train_on(trainer, &taught?, &held?)
    }

    fn train_on(&self, trainer: &Trainer<N>, train: Set<'_, N>, validation: Set<'_, N>) -> Result<Score, TrainError> {
        let trained = match &self.augment {
            Some((seed, change)) => trainer.fit_sets(
                &Augmented::new(train, *seed, |examples: &mut N::Examples, at, rng: &mut ExampleRng| {
                    change(examples, at, rng)
                }),
                validation,
            )?,
            None => trainer.fit_sets(train, validation)?,
        };
        let evaluation = trainer.evaluate_set(&trained.parameters, &trained.state, validation)?;
        Ok(Score {
            loss: evaluation.loss,
            metrics: evaluation.metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            epochs: trained.history.epochs.len(),
            seconds: 0.0,
        })
    }
}

/// Preprocessed examples, and the weights they had before.
struct Part<'a, E> {
    examples: &'a E,
    weights: Option<&'a [f32]>,
}

impl<E: Examples> Dataset for Part<'_, E> {
    type Examples = E;

    fn len(&self) -> usize {
        Dataset::len(self.examples)
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut E) -> Result<(), DataError> {
        self.examples.gather(epoch, positions, into)
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights
    }
}

/// FNV-1a (Fowler, Noll and Vo, 1991) of a text that is written to it.
pub(super) struct Hash(pub(super) u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub(super) fn add(&mut self, text: fmt::Arguments<'_>) {
        // It takes everything.
        let _ = self.write_fmt(text);
    }
}

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
