//! Learning-rate schedules: plain data, evaluated in double precision.
//!
//! A [`Schedule`] says what the learning rate is multiplied by at a step; all its lengths are epochs, whole or not, so that
//! it means the same for any batch size. [`Plateau`] is the one shape that depends on what training yields, and has a state
//! of its own. With one step to the epoch each shape is the class of `torch.optim.lr_scheduler` that its documentation names.

use std::f64::consts::PI;

use crate::OutOfRange;
use crate::optimizer::setting;

/// How the learning rate changes in training: a shape, after a warm-up if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What comes before the shape, which then begins at its end.
    pub warm_up: Option<WarmUp>,
    /// What the rate does.
    pub shape: Shape,
}

/// A linear rise of the learning rate to the optimizer's own (Goyal et al., 2017); `LinearLR`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// Its length.
    pub epochs: f64,
    /// The factor at its first step, up to 1.
    pub start: f64,
}

/// What the learning rate does over time. Factors are of the optimizer's learning rate; `e` is the epoch, with fractions.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// It stays.
    Constant,
    /// `factor^⌊e / every⌋`; `StepLR`.
    Step {
        /// Epochs between two falls.
        every: f64,
        /// What each multiplies it by.
        factor: f64,
    },
    /// The factor of the last piece that has begun, 1 before the first.
    Piecewise {
        /// For each piece its first epoch and its factor, in order of epochs.
        pieces: Vec<(f64, f64)>,
    },
    /// `factor^e`; `ExponentialLR`.
    Exponential {
        /// What an epoch multiplies it by.
        factor: f64,
    },
    /// `end + (1 − end)·(1 − e / epochs)^power`, then `end`; `PolynomialLR`.
    Polynomial {
        /// How long it falls.
        epochs: f64,
        /// The factor at the end.
        end: f64,
        /// 1 for a line.
        power: f64,
    },
    /// `end + (1 − end)·(1 + cos(π·e / epochs)) / 2`, then `end` (Loshchilov and Hutter, 2017); `CosineAnnealingLR`.
    Cosine {
        /// How long it falls.
        epochs: f64,
        /// The factor at the end.
        end: f64,
    },
    /// `Cosine` again and again (Loshchilov and Hutter, 2017); `CosineAnnealingWarmRestarts`.
    CosineRestarts {
        /// How long it falls the first time.
        epochs: f64,
        /// What each fall is longer by than the one before, at least 1.
        growth: f64,
        /// The factor at the end of each fall.
        end: f64,
    },
    /// Half a cosine up from `start` to 1, half a cosine down to `end` at the last step (Smith and Topin, 2019);
    /// `OneCycleLR`.
    OneCycle {
        /// Its length.
        epochs: f64,
        /// The share of the steps that it rises.
        rise: f64,
        /// The factor at the first step.
        start: f64,
        /// The factor at the last step and after.
        end: f64,
    },
    /// As [`Plateau`] says; the training loop asks it.
    Plateau {
        /// What a fall multiplies the rate by.
        factor: f64,
        /// Epochs without improvement that lead to a fall, at least 1.
        patience: u32,
        /// How much lower than the lowest a loss must be to improve on it.
        minimum_change: f64,
        /// Epochs after a fall that do not count.
        cooldown: u32,
        /// The least factor.
        end: f64,
    },
}

impl Schedule {
    /// The learning rate stays.
    pub const fn constant() -> Self {
        Self::new(Shape::Constant)
    }

    /// A shape without warm-up.
    pub const fn new(shape: Shape) -> Self {
        Self { warm_up: None, shape }
    }

    /// The same after a warm-up of some epochs, from the factor `start`.
    pub fn after_warm_up(self, epochs: f64, start: f64) -> Self {
        Self { warm_up: Some(WarmUp { epochs, start }), ..self }
    }

    /// The learning rate of a step: `base`, the optimizer's own, times [`Schedule::factor`].
    pub fn rate(&self, base: f64, step: u64, steps_per_epoch: u64) -> f64 {
        base * self.factor(step, steps_per_epoch)
    }

    /// The factor of the learning rate at step number `step`, from 0, counted from the beginning of training, where an epoch
    /// has `steps_per_epoch` steps (0 counts as 1). That of a [`Shape::Plateau`] is 1.
    pub fn factor(&self, step: u64, steps_per_epoch: u64) -> f64 {
        let per_epoch = steps_per_epoch.max(1) as f64;
        let epoch = step as f64 / per_epoch;
        match self.warm_up {
            Some(WarmUp { epochs, start }) if epoch < epochs => start + (1.0 - start) * (epoch / epochs),
            Some(WarmUp { epochs, .. }) => self.shape.factor(epoch - epochs, per_epoch),
            None => self.shape.factor(epoch, per_epoch),
        }
    }

    /// The state of a [`Shape::Plateau`] before the first epoch; `None` for other shapes.
    pub fn plateau(&self) -> Option<Plateau> {
        match self.shape {
            Shape::Plateau { factor, patience, minimum_change, cooldown, end } => {
                Some(Plateau { by: factor, patience, minimum_change, cooldown, end, state: PlateauState::new() })
            }
            _ => None,
        }
    }

    /// Checks all numbers.
    ///
    /// # Errors
    /// The first one that is out of range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        use setting::{not_negative, positive};
        const SHARE: &str = "a number from 0 to 1";
        const ORDER: &str = "after the epoch before it";
        let share = |of, name, value: f64| setting::expect((0.0..=1.0).contains(&value), of, name, SHARE, value);
        if let Some(WarmUp { epochs, start }) = self.warm_up {
            positive("warm_up", "epochs", epochs)?;
            share("warm_up", "start", start)?;
        }
        match &self.shape {
            Shape::Constant => Ok(()),
            &Shape::Step { every, factor } => {
                positive("step", "every", every)?;
                positive("step", "factor", factor)
            }
            Shape::Piecewise { pieces } => {
                let mut before = f64::NEG_INFINITY;
                for &(epoch, factor) in pieces {
                    not_negative("piecewise", "epoch", epoch)?;
                    setting::expect(epoch > before, "piecewise", "epoch", ORDER, epoch)?;
                    not_negative("piecewise", "factor", factor)?;
                    before = epoch;
                }
                Ok(())
            }
            &Shape::Exponential { factor } => positive("exponential", "factor", factor),
            &Shape::Polynomial { epochs, end, power } => {
                positive("polynomial", "epochs", epochs)?;
                share("polynomial", "end", end)?;
                positive("polynomial", "power", power)
            }
            &Shape::Cosine { epochs, end } => {
                positive("cosine", "epochs", epochs)?;
                share("cosine", "end", end)
            }
            &Shape::CosineRestarts { epochs, growth, end } => {
                positive("cosine_restarts", "epochs", epochs)?;
                let holds = growth >= 1.0 && growth.is_finite();
                setting::expect(holds, "cosine_restarts", "growth", "a finite number of at least 1", growth)?;
                share("cosine_restarts", "end", end)
            }
            &Shape::OneCycle { epochs, rise, start, end } => {
                positive("one_cycle", "epochs", epochs)?;
                share("one_cycle", "rise", rise)?;
                share("one_cycle", "start", start)?;
                share("one_cycle", "end", end)
            }
            &Shape::Plateau { factor, patience, minimum_change, end, .. } => {
                setting::below_one("plateau", "factor", factor)?;
                setting::expect(patience >= 1, "plateau", "patience", "at least 1", patience)?;
                not_negative("plateau", "minimum_change", minimum_change)?;
                share("plateau", "end", end)
            }
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::constant()
    }
}

impl Shape {
    /// The factor at an epoch of at least 0, with `per_epoch` steps in each.
    fn factor(&self, epoch: f64, per_epoch: f64) -> f64 {
        match *self {
            Shape::Constant | Shape::Plateau { .. } => 1.0,
            Shape::Step { every, factor } => factor.powf((epoch / every).floor()),
            Shape::Piecewise { ref pieces } => {
                pieces.iter().take_while(|(start, _)| *start <= epoch).last().map_or(1.0, |(_, factor)| *factor)
            }
            Shape::Exponential { factor } => factor.powf(epoch),
            Shape::Polynomial { epochs, end, power } => {
                end + (1.0 - end) * (1.0 - (epoch / epochs).min(1.0)).powf(power)
            }
            Shape::Cosine { epochs, end } => falling(epoch / epochs, end),
            Shape::CosineRestarts { epochs, growth, end } => falling(restarted(epoch / epochs, growth), end),
            Shape::OneCycle { epochs, rise, start, end } => {
                let last = (epochs * per_epoch - 1.0).max(0.0);
                let (step, top) = (epoch * per_epoch, (rise * epochs * per_epoch - 1.0).clamp(0.0, last));
                if step < top {
                    // A fall read backwards.
                    falling(1.0 - step / top, start)
                } else {
                    falling(if last > top { (step - top) / (last - top) } else { 1.0 }, end)
                }
            }
        }
    }
}

/// Half a cosine from 1 at 0 down to `end` at 1 and after.
fn falling(at: f64, end: f64) -> f64 {
    end + (1.0 - end) * (1.0 + (PI * at.min(1.0)).cos()) / 2.0
}

/// How far a run has come, of runs each `growth` times as long as the one before; `at` is in lengths of the first.
fn restarted(at: f64, growth: f64) -> f64 {
    // Where run number `run` begins.
    let start = |run: f64| if growth == 1.0 { run } else { (growth.powf(run) - 1.0) / (growth - 1.0) };
    let mut run = match growth {
        1.0 => at.floor(),
        _ => (at * (growth - 1.0) + 1.0).ln().div_euclid(growth.ln()).max(0.0),
    };
    // The logarithm may miss a run by rounding.
    if start(run + 1.0) <= at {
        run += 1.0;
    }
    ((at - start(run)) / growth.powf(run)).max(0.0)
}

/// A learning rate that falls when the loss of the validation set no longer does; `ReduceLROnPlateau` with an absolute
/// threshold. Like early stopping, and unlike PyTorch, it counts an epoch without improvement less: with a patience of 3
/// the third one leads to the fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    by: f64,
    patience: u32,
    minimum_change: f64,
    cooldown: u32,
    end: f64,
    state: PlateauState,
}

/// What a [`Plateau`] remembers between epochs, to be kept in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateauState {
    /// The factor of the learning rate now.
    pub factor: f64,
    /// The lowest loss so far; infinite before the first.
    pub lowest: f64,
    /// Epochs without improvement that count.
    pub waited: u32,
    /// Epochs still to come that do not count.
    pub resting: u32,
}

impl PlateauState {
    const fn new() -> Self {
        Self { factor: 1.0, lowest: f64::INFINITY, waited: 0, resting: 0 }
    }
}

impl Plateau {
    /// Takes the validation loss of an epoch; NaN does not improve on anything. Returns the factor of the learning rate
    /// from now on.
    pub fn observe(&mut self, loss: f64) -> f64 {
        let state = &mut self.state;
        if loss < state.lowest - self.minimum_change || state.lowest == f64::INFINITY && loss < state.lowest {
            state.lowest = loss;
            state.waited = 0;
        } else {
            state.waited = state.waited.saturating_add(1);
        }
        if state.resting > 0 {
            state.resting -= 1;
            state.waited = 0;
        }
        if state.waited >= self.patience {
            state.factor = (state.factor * self.by).max(self.end);
            state.resting = self.cooldown;
            state.waited = 0;
        }
        state.factor
    }

    /// The factor of the learning rate now.
    pub fn factor(&self) -> f64 {
        self.state.factor
    }

    /// What it remembers.
    pub fn state(&self) -> PlateauState {
        self.state
    }

    /// Goes on from what a checkpoint says.
    pub fn set_state(&mut self, state: PlateauState) {
        self.state = state;
    }
}
