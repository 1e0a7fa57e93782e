//! The loop around the steps of LeNet costs little: batches, checks, means, callbacks and progress together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dl_train::{EarlyStopping, Freeze, LearningRateScheduler, Progress, Trainer};
use dln::runtime::{Examples, InputError, Network, Optimizer, Rng, Settings, Sgd};
use training::{LeNet, lenet};

/// Nanoseconds spent in steps.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// LeNet with a clock around its step.
struct Timed;

type Batch<'a> = <lenet::Examples as Examples>::Batch<'a>;

impl Network for Timed {
    const NAME: &'static str = LeNet::NAME;
    const SOURCE: &'static [&'static str] = LeNet::SOURCE;
    const FINGERPRINT: u64 = LeNet::FINGERPRINT;
    type Examples = lenet::Examples;
    type Parameters = lenet::Parameters;
    type State = lenet::State;
    type Prepared = lenet::Prepared;
    type Workspace = lenet::Workspace;
    type TrainingWorkspace = lenet::TrainingWorkspace;
    type Rule = Sgd;
    type Optimizers = [Optimizer<Sgd>; 1];
    type Report = lenet::Report;
    type Predictions = lenet::OwnedOutputs;

    fn settings() -> Settings<Sgd> {
        LeNet::settings()
    }
    fn initialize(seed: u64) -> (Self::Parameters, Self::State) {
        LeNet::initialize(seed)
    }
    fn optimizers(rule: Sgd, seed: u64) -> Self::Optimizers {
        LeNet::optimizers(rule, seed)
    }
    fn workspace(capacity: usize, threads: usize) -> Self::Workspace {
        LeNet::workspace(capacity, threads)
    }
    fn training_workspace(capacity: usize, threads: usize) -> Self::TrainingWorkspace {
        LeNet::training_workspace(capacity, threads)
    }
    fn prepare(parameters: &Self::Parameters, state: &Self::State) -> Self::Prepared {
        LeNet::prepare(parameters, state)
    }
    fn step(
        parameters: &mut Self::Parameters,
        state: &mut Self::State,
        optimizers: &mut Self::Optimizers,
        workspace: &mut Self::TrainingWorkspace,
        batch: Batch<'_>,
        weights: Option<&[f32]>,
    ) -> Result<Self::Report, InputError> {
        let start = Instant::now();
        let report = LeNet::step(parameters, state, optimizers, workspace, batch, weights);
        STEPS.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        report
    }
    fn gradients(workspace: &Self::TrainingWorkspace) -> &[f32] {
        LeNet::gradients(workspace)
    }
    fn evaluate(
        prepared: &Self::Prepared,
        workspace: &mut Self::Workspace,
        batch: Batch<'_>,
    ) -> Result<Self::Report, InputError> {
        LeNet::evaluate(prepared, workspace, batch)
    }
    fn predict(
        prepared: &Self::Prepared,
        workspace: &mut Self::Workspace,
        examples: &Self::Examples,
    ) -> Result<Self::Predictions, InputError> {
        LeNet::predict(prepared, workspace, examples)
    }
}

/// Steps and all around them in one run, so that a busy machine slows both.
#[test]
fn the_loop_costs_less_than_a_twentieth_of_the_steps() {
    let mut rng = Rng::new(3);
    let count = 64 * 60;
    let pixels: Vec<f32> = (0..count * 784).map(|_| rng.next_u32() as f32 / u32::MAX as f32).collect();
    let image = dln::runtime::views::<lenet::Image>(&pixels).to_vec();
    let train = lenet::Examples { image, digit: (0..count).map(|_| rng.below(10) as u32).collect() };
    let mut validation = lenet::Examples::default();
    validation.extend(&train, &[0]).unwrap();
    let trainer = Trainer::<Timed>::new()
        .epochs(2)
        .patience(None)
        .learning_rate(1e-3)
        .progress(Progress::Bar)
        .example_weights(vec![1.0; count])
        .callback(EarlyStopping::new(5))
        .callback(Freeze::new("logits.*").from_epoch(9))
        .callback(LearningRateScheduler::new(|moment| 1e-3 / (1 + moment.epoch) as f32));
    let trained = trainer.fit(&train, &validation).unwrap();
    let steps = STEPS.load(Ordering::Relaxed) as f64 * 1e-9;
    let all = trained.history.seconds();
    let overhead = (all - steps) / steps;
    println!("{:.3} ms a step, {:.2} % around it", steps * 1e3 / 120.0, 100.0 * overhead);
    assert!(overhead < 0.05, "{:.2} % of the time of the steps", 100.0 * overhead);
}
