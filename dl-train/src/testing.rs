//! A hand-written network for tests: a line y = weight · x + bias, squared error, its steps logged on request.
//!
//! It implements the traits by hand and in plain loops, so that the training loop is tested against sums that can be
//! written down; its parameters begin at 0.

use std::cell::RefCell;

use dl_runtime::{Block, Examples, InputError, Network, Optimizer, Report, Settings, Sgd, Team, TensorInfo, Tensors};

thread_local! {
    /// The inputs of each step's batch, if someone listens.
    static LOG: RefCell<Option<Vec<Vec<f32>>>> = const { RefCell::new(None) };
}

/// The inputs of each step's batch while `run` runs.
pub(crate) fn logged(run: impl FnOnce()) -> Vec<Vec<f32>> {
    LOG.set(Some(Vec::new()));
    run();
    LOG.take().unwrap_or_default()
}

/// The network.
#[derive(Debug)]
pub(crate) struct Line;

/// Inputs and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Points {
    pub(crate) x: Vec<f32>,
    pub(crate) y: Vec<f32>,
}

impl Points {
    /// `count` points x = 0, 1, … with y = f(x).
    pub(crate) fn new(count: usize, f: impl Fn(f32) -> f32) -> Self {
        let x: Vec<f32> = (0..count).map(|i| i as f32).collect();
        Self { y: x.iter().map(|&x| f(x)).collect(), x }
    }
}

impl Examples for Points {
    type Batch<'a> = (&'a [f32], &'a [f32]);

    fn len(&self) -> usize {
        self.x.len()
    }

    fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
    }

    fn extend(&mut self, from: &Self, positions: &[usize]) -> Result<(), InputError> {
        for &found in positions {
            let (Some(&x), Some(&y)) = (from.x.get(found), from.y.get(found)) else {
                return Err(InputError::PositionOutOfRange { len: from.len(), found });
            };
            self.x.push(x);
            self.y.push(y);
        }
        Ok(())
    }

    fn batch(&self) -> Self::Batch<'_> {
        (&self.x, &self.y)
    }

    fn check_finite(&self) -> Result<(), InputError> {
        dl_runtime::check_finite("x", &self.x, 1)?;
        dl_runtime::check_finite("y", &self.y, 1)
    }
}

/// Two floats: weight and bias, or the sum and count of the inputs that steps have seen.
#[derive(Debug, Clone)]
pub(crate) struct Pair<const STATE: bool>(Block);

pub(crate) type Weights = Pair<false>;
pub(crate) type Seen = Pair<true>;

impl<const STATE: bool> Tensors for Pair<STATE> {
    const TENSORS: &'static [TensorInfo] = &[if STATE {
        TensorInfo { name: "seen", dims: &[2], offset: 0, place: "line.dln:4" }
    } else {
        TensorInfo { name: "weights", dims: &[2], offset: 0, place: "line.dln:3" }
    }];

    fn zeros() -> Self {
        Self(Block::zeroed(2))
    }

    fn as_slice(&self) -> &[f32] {
        self.0.as_slice()
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        self.0.as_mut_slice()
    }
}

/// What a step needs and leaves.
#[derive(Debug)]
pub(crate) struct Training {
    capacity: usize,
    gradients: [f32; 2],
}

/// Squared error, and the share of predictions within ½ of the label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineReport {
    loss: f32,
    close: f32,
}

impl Report for LineReport {
    const METRICS: &'static [&'static str] = &["close"];

    fn loss(&self) -> f32 {
        self.loss
    }

    fn metric(&self, index: usize) -> f32 {
        if index == 0 { self.close } else { f32::NAN }
    }
}

fn report(
    parameters: &[f32],
    (x, y): (&[f32], &[f32]),
    capacity: usize,
    weights: Option<&[f32]>,
) -> Result<LineReport, InputError> {
    dl_runtime::check_examples(x.len(), capacity)?;
    let total = dl_runtime::check_weights(weights, x.len())?.total;
    let errors = || x.iter().zip(y).map(|(x, y)| parameters[0] * x + parameters[1] - y);
    let weighted = || errors().enumerate().map(|(place, e)| (e, weights.map_or(1.0, |weights| weights[place])));
    Ok(LineReport {
        loss: weighted().map(|(e, weight)| weight * e * e).sum::<f32>() / total,
        close: weighted().filter(|(e, _)| e.abs() < 0.5).map(|(_, weight)| weight).sum::<f32>() / total,
    })
}

impl Network for Line {
    const NAME: &'static str = "Line";
    const SOURCE: &'static [&'static str] = &["network Line {", "}"];
    const FINGERPRINT: u64 = 0x4c69_6e65;
    type Examples = Points;
    type Parameters = Weights;
    type State = Seen;
    type Prepared = Weights;
    type Workspace = usize;
    type TrainingWorkspace = Training;
    type Rule = Sgd;
    type Optimizers = [Optimizer<Sgd>; 1];
    type Report = LineReport;
    type Predictions = Vec<f32>;

    fn settings() -> Settings<Sgd> {
        let optimizer = Sgd { learning_rate: 0.01, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        Settings { batch: 4, epochs: 3, ..Settings::new(optimizer) }
    }

    fn initialize(_seed: u64) -> (Weights, Seen) {
        (Pair::zeros(), Pair::zeros())
    }

    fn optimizers(rule: Sgd, seed: u64) -> [Optimizer<Sgd>; 1] {
        [Optimizer::new(rule, seed, 2)]
    }

    fn workspace(capacity: usize, _threads: usize) -> usize {
        capacity
    }

    fn training_workspace(capacity: usize, _threads: usize) -> Training {
        Training { capacity, gradients: [0.0; 2] }
    }

    fn prepare(parameters: &Weights, _state: &Seen) -> Weights {
        parameters.clone()
    }

    fn step(
        parameters: &mut Weights,
        state: &mut Seen,
        [optimizer]: &mut [Optimizer<Sgd>; 1],
        workspace: &mut Training,
        batch: (&[f32], &[f32]),
        weights: Option<&[f32]>,
    ) -> Result<LineReport, InputError> {
        let report = report(parameters.as_slice(), batch, workspace.capacity, weights)?;
        LOG.with_borrow_mut(|log| {
            if let Some(log) = log {
                log.push(batch.0.to_vec());
            }
        });
        let mut gradients = [0.0; 2];
        let total = dl_runtime::check_weights(weights, batch.0.len())?.total;
        for (place, (x, y)) in batch.0.iter().zip(batch.1).enumerate() {
            let [weight, bias] = [parameters.as_slice()[0], parameters.as_slice()[1]];
            let error = 2.0 * (weight * x + bias - y) * weights.map_or(1.0, |weights| weights[place]) / total;
            gradients[0] += error * x;
            gradients[1] += error;
        }
        workspace.gradients = gradients;
        optimizer.update(parameters.as_mut_slice(), &gradients, &Team::serial());
        let seen = state.as_mut_slice();
        seen[0] += batch.0.iter().sum::<f32>();
        seen[1] += batch.0.len() as f32;
        Ok(report)
    }

    fn evaluate(prepared: &Weights, workspace: &mut usize, batch: (&[f32], &[f32])) -> Result<LineReport, InputError> {
        report(prepared.as_slice(), batch, *workspace, None)
    }

    fn gradients(workspace: &Training) -> &[f32] {
        &workspace.gradients
    }

    fn predict(prepared: &Weights, _workspace: &mut usize, examples: &Points) -> Result<Vec<f32>, InputError> {
        let line = prepared.as_slice();
        Ok(examples.x.iter().map(|x| line[0] * x + line[1]).collect())
    }
}
