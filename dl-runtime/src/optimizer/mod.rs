//! Optimizers: parameters, gradients and slots enter, the parameters of the next update leave.
//!
//! A [`Rule`] is a formula with its numbers, in a file of its own; [`Options`] can be had with every rule; an
//! [`Optimizer`] is a rule with its options and its memory. An update is one fused pass over flat parameters, split over
//! the threads of a team; every element stands alone, so the bits do not depend on the split. Where frameworks write a
//! formula differently, this is PyTorch's way. Numbers too small to be normal are flushed to zero in the slots by compare
//! and mask: they cost time and mean nothing. The training loop drives a [`Schedule`](crate::Schedule) by setting the
//! learning rate.

use std::fmt::Debug;
use std::ops::Range;
use std::slice;

use crate::block::Block;
use crate::simd::Lane;
use crate::team::Team;
use crate::{InputError, Settings, TensorInfo};

mod adadelta;
mod adagrad;
mod adam;
mod ftrl;
mod lion;
mod nadam;
mod norm;
mod options;
mod pass;
mod pieces;
mod proximal;
mod rmsprop;
pub(crate) mod setting;
mod sgd;
#[cfg(test)]
mod tests;

pub use adadelta::AdaDelta;
pub use adagrad::AdaGrad;
pub use adam::{Adam, AdamW, AmsGrad};
pub use ftrl::Ftrl;
pub use lion::Lion;
pub use nadam::NAdam;
pub use options::{Clip, Decay, Options, path_matches};
pub use pass::{Dealing, Gradients};
pub use proximal::{ProximalAdaGrad, ProximalGradient};
pub use rmsprop::RmsProp;
pub use setting::{OutOfRange, SettingError};
pub use sgd::Sgd;

use pass::{Formula, UNIT};
use pieces::{Piece, pieces};

/// The formula of an optimizer, with its numbers.
pub trait Rule: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// What it is called in a `train` section.
    const NAME: &'static str;
    /// Floats of memory for each parameter, at most [`MAX_SLOTS`].
    const SLOTS: usize;
    /// The names of its numbers, as a `train` section writes them.
    const NUMBERS: &'static [&'static str];

    /// The learning rate.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate.
    fn set_learning_rate(&mut self, learning_rate: f32);

    /// Sets the number of that name, or says that there is none. [`check`](Self::check) says whether it may be so.
    fn set(&mut self, name: &str, value: f32) -> bool;

    /// Multiplies the weight decay, or the penalties that the rule has in its place.
    fn scale_decay(&mut self, factor: f32);

    /// Checks the numbers.
    ///
    /// # Errors
    /// The first one that the formula cannot work with.
    fn check(&self) -> Result<(), OutOfRange>;

    /// One update, of that number (from 1), of some of the parameters.
    ///
    /// # Panics
    /// If the gradients or a slot are not as long as the parameters.
    fn update(&self, update: u64, part: Part<'_>, dealing: Dealing<'_>);
}

/// The most slots that a rule has.
pub const MAX_SLOTS: usize = 3;

/// What one pass updates: some parameters, their gradients and their memory.
#[derive(Debug)]
pub struct Part<'a> {
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// Their gradients.
    pub gradients: Gradients<'a>,
    /// The slots of the rule, each as long as the parameters; 0 before the first update. Those it does not have are empty.
    pub slots: [&'a mut [f32]; MAX_SLOTS],
}

/// What all rules write alike: their name, the ranges of their numbers, and which of these are decay.
macro_rules! settings {
    ($name:literal { $($setting:ident: $range:ident),* } decay: $($decay:ident),*) => {
        const NAME: &'static str = $name;
        const NUMBERS: &'static [&'static str] = &[$(stringify!($setting)),*];

        fn learning_rate(&self) -> f32 {
            self.learning_rate
        }

        fn set_learning_rate(&mut self, learning_rate: f32) {
            self.learning_rate = learning_rate;
        }

        fn set(&mut self, name: &str, value: f32) -> bool {
            match name {
                $(stringify!($setting) => self.$setting = value,)*
                _ => return false,
            }
            true
        }

        fn scale_decay(&mut self, factor: f32) {
            $(self.$decay *= factor;)*
        }

        fn check(&self) -> Result<(), OutOfRange> {
            $(crate::optimizer::setting::$range($name, stringify!($setting), self.$setting)?;)*
            Ok(())
        }
    };
}
use settings;

macro_rules! default_is_new {
    ($($rule:ident)*) => {$(
        impl Default for $rule {
            fn default() -> Self {
                Self::new()
            }
        }
    )*};
}
default_is_new! { Sgd AdaGrad RmsProp AdaDelta Adam AdamW NAdam AmsGrad Lion Ftrl ProximalGradient ProximalAdaGrad }

/// A rule with its options and its memory, for the parameters of one training step.
///
/// Parameters are named by ranges of the block they lie in, which may hold others too. The memory is a row of equal parts,
/// each with one float for each parameter that is trained, the ranges one after another: the slots of the rule, the sum of
/// gradients if they are accumulated, the moving average if there is one.
#[derive(Debug, Clone)]
pub struct Optimizer<R> {
    /// The formula and its numbers, which may change between steps.
    pub rule: R,
    /// Seed of the random numbers drawn in training steps.
    pub seed: u64,
    steps: u64,
    /// Floats of the parameters.
    len: usize,
    /// Where they lie.
    ranges: Vec<Range<usize>>,
    /// The tensors of the block.
    tensors: &'static [TensorInfo],
    options: Options,
    /// What updates leave alone.
    frozen: Vec<Range<usize>>,
    /// The runs of parameters that are updated alike.
    pieces: Vec<Piece>,
    memory: Block,
    /// Parts of the sums of norms.
    norms: Block,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer without options, of a block of `len` parameters, before its first step.
    pub fn new(rule: R, seed: u64, len: usize) -> Self {
        let all = 0..len;
        Self::build(rule, Options::new(), seed, slice::from_ref(&all), &[])
    }

    /// An optimizer with the rule and options of `settings`, of a block of `len` parameters that `tensors` describe, before
    /// its first step. Numbers that are out of range are an error of [`Optimizer::check`]; a pattern of
    /// [`Options::decay`] that matches nothing does nothing, which [`Settings::check`] tells.
    pub fn with_settings(settings: &Settings<R>, seed: u64, len: usize, tensors: &'static [TensorInfo]) -> Self {
        let all = 0..len;
        Self::build(settings.optimizer, settings.options.clone(), seed, slice::from_ref(&all), tensors)
    }

    /// The same optimizer, before its first step, of some ranges of the block alone.
    pub fn with_ranges(self, ranges: &[Range<usize>]) -> Self {
        Self::build(self.rule, self.options, self.seed, ranges, self.tensors)
    }

    fn build(rule: R, options: Options, seed: u64, ranges: &[Range<usize>], tensors: &'static [TensorInfo]) -> Self {
        let empty = Block::zeroed(0);
        let mut optimizer = Self {
            rule,
            seed,
            steps: 0,
            len: ranges.iter().map(Range::len).sum(),
            ranges: ranges.to_vec(),
            tensors,
            options,
            frozen: Vec::new(),
            pieces: Vec::new(),
            memory: empty.clone(),
            norms: empty,
        };
        optimizer.arrange();
        optimizer
    }

    /// The same optimizer with other numbers.
    pub fn with_rule(self, rule: R) -> Self {
        Self { rule, ..self }
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sets the options, best before the first step: sums and averages begin anew, the slots of the rule stay.
    ///
    /// # Errors
    /// As [`Options::check`]; then nothing has changed.
    pub fn set_options(&mut self, options: Options) -> Result<(), SettingError> {
        options.check(self.tensors)?;
        self.options = options;
        self.arrange();
        Ok(())
    }

    /// The parameters that the next updates leave alone, as ranges of the block that hold whole tensors; none to update all
    /// again. Their slots stay as they are, and their gradients count in no norm.
    pub fn freeze(&mut self, frozen: Vec<Range<usize>>) {
        self.frozen = frozen;
        // Sums and averages do not depend on what is frozen.
        let memory = self.memory.clone();
        self.arrange();
        self.memory = memory;
    }

    /// Lays out the memory and the pieces for the options.
    fn arrange(&mut self) {
        let slots = R::SLOTS.saturating_mul(self.len);
        let sums = if self.options.accumulate > 1 { self.len } else { 0 };
        let average = if self.options.ema.is_some() { self.len } else { 0 };
        let mut memory = Block::zeroed(slots.saturating_add(sums).saturating_add(average));
        let kept = slots.min(self.memory.as_slice().len());
        memory.as_mut_slice()[..kept].copy_from_slice(&self.memory.as_slice()[..kept]);
        // An average that has seen nothing yet.
        memory.as_mut_slice()[slots + sums..].fill(f32::NAN);
        self.memory = memory;
        self.pieces = pieces(&self.ranges, self.tensors, &self.options, &self.frozen);
        let longest = self.pieces.iter().map(|piece| piece.block.len()).max().unwrap_or(0);
        let norms = matches!(self.options.clip, Clip::Norm(_) | Clip::GlobalNorm(_));
        self.norms = Block::zeroed(if norms { longest.div_ceil(UNIT) } else { 0 });
    }

    /// The number of the step about to run, from 1.
    pub fn step(&self) -> u64 {
        self.steps.saturating_add(1)
    }

    /// Steps so far; updates so far are that by [`Options::accumulate`], rounded down.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets how many steps there were so far, as a checkpoint says.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// All that must be kept between steps, besides [`Optimizer::steps`] and what the optimizer was made of. The average
    /// holds NaN before its first update.
    pub fn memory(&self) -> &[f32] {
        self.memory.as_slice()
    }

    /// As [`Optimizer::memory`], to be filled from a checkpoint.
    pub fn memory_mut(&mut self) -> &mut [f32] {
        self.memory.as_mut_slice()
    }

    /// Writes the moving average of the parameters ([`Options::ema`]) in their places of a block, and says whether there is
    /// one. Before the first update, and without averages, the block stays as it is.
    ///
    /// # Panics
    /// If a range of the optimizer leaves the block.
    pub fn write_average(&self, parameters: &mut [f32]) -> bool {
        if self.options.ema.is_none() || self.updates() == 0 {
            return false;
        }
        let memory = self.memory.as_slice();
        let mut average = &memory[memory.len() - self.len..];
        for range in &self.ranges {
            let (own, rest) = average.split_at(range.len());
            parameters[range.clone()].copy_from_slice(own);
            average = rest;
        }
        true
    }

    /// Updates so far.
    fn updates(&self) -> u64 {
        self.steps / self.every()
    }

    /// Steps to an update.
    fn every(&self) -> u64 {
        self.options.accumulate.max(1) as u64
    }

    /// Checks that the optimizer was made for `len` parameters, which its updates rely on, and all of its numbers.
    ///
    /// # Errors
    /// [`InputError::OptimizerMismatch`] if it was made for another number of parameters, [`InputError::Setting`] if a
    /// number is out of range.
    pub fn check(&self, len: usize) -> Result<(), InputError> {
        if self.len != len {
            return Err(InputError::OptimizerMismatch { expected: len, found: self.len });
        }
        self.rule.check()?;
        self.options.check_numbers()?;
        Ok(())
    }

    /// Runs the step and counts it.
    ///
    /// # Panics
    /// If the lengths are not the one the optimizer was made for, which [`Optimizer::check`] tells beforehand.
    pub fn update(&mut self, parameters: &mut [f32], gradients: &[f32], team: &Team) {
        assert_eq!(gradients.len(), parameters.len(), "one gradient for each parameter");
        let all = 0..parameters.len();
        self.update_ranges(parameters, gradients, slice::from_ref(&all), team);
    }

    /// Runs the step on some ranges of the parameters and their gradients, and counts it; all other parameters stay
    /// as they are. The ranges are the same at every step: the memory is theirs, one range after another.
    ///
    /// # Panics
    /// If a range leaves the slices, or the ranges together are not as long as what the optimizer was made for.
    pub fn update_ranges(&mut self, parameters: &mut [f32], gradients: &[f32], ranges: &[Range<usize>], team: &Team) {
        if self.ranges != ranges {
            let floats: usize = ranges.iter().map(Range::len).sum();
            assert_eq!(floats, self.len, "ranges as long as the {} parameters of the optimizer", self.len);
            self.ranges = ranges.to_vec();
            self.pieces = pieces(ranges, self.tensors, &self.options, &self.frozen);
        }
        let (every, before) = (self.every(), self.steps);
        self.steps = self.steps.saturating_add(1);
        let (slots, rest) = self.memory.as_mut_slice().split_at_mut(R::SLOTS * self.len);
        let (sums, average) = rest.split_at_mut(if every > 1 { self.len } else { 0 });
        if every > 1 {
            let formula = Accumulate { first: before.is_multiple_of(every) };
            each(ranges, sums, team, |range, sums, dealing| {
                pass::run(formula, Gradients::new(&gradients[range]), [sums], dealing);
            });
            if !self.steps.is_multiple_of(every) {
                return;
            }
        }
        let (update, scale) = (self.steps / every, 1.0 / every as f32);
        let (sums, norms) = (&*sums, self.norms.as_mut_slice());
        let values = |piece: &Piece| match every {
            1 => &gradients[piece.block.clone()],
            _ => &sums[piece.memory()],
        };
        let mut norm = |piece: &Piece| f64::from(scale) * norm::norm(values(piece), norms, team);
        let mut all = 1.0;
        if let Clip::GlobalNorm(limit) = self.options.clip {
            all = shortened(self.pieces.iter().map(|piece| norm(piece).powi(2)).sum::<f64>().sqrt(), limit);
        }
        for piece in &self.pieces {
            let (factor, limit) = match self.options.clip {
                Clip::None => (1.0, f32::INFINITY),
                Clip::Value(limit) => (1.0, limit),
                Clip::Norm(limit) => (shortened(norm(piece), limit), f32::INFINITY),
                Clip::GlobalNorm(_) => (all, f32::INFINITY),
            };
            let mut rule = self.rule;
            if piece.decay != 1.0 {
                rule.scale_decay(piece.decay);
            }
            let mut slots = slots.chunks_exact_mut(self.len.max(1));
            let part = Part {
                parameters: &mut parameters[piece.block.clone()],
                gradients: Gradients { values: values(piece), scale: scale * factor, limit },
                slots: std::array::from_fn(|_| slots.next().map_or(&mut [][..], |slot| &mut slot[piece.memory()])),
            };
            rule.update(update, part, Dealing { team, blocks: &piece.blocks });
        }
        if let Some(kept) = self.options.ema {
            let parameters = &*parameters;
            let formula = Average { kept };
            each(ranges, average, team, |range, average, dealing| {
                pass::run(formula, Gradients::new(&parameters[range]), [average], dealing);
            });
        }
    }
}

/// What gradients of a norm are multiplied by to keep it below a limit.
fn shortened(norm: f64, limit: f32) -> f32 {
    if norm.is_finite() { (f64::from(limit) / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 }
}

/// Runs `body` with each range and its part of the memory, as a whole.
fn each(
    ranges: &[Range<usize>],
    memory: &mut [f32],
    team: &Team,
    mut body: impl FnMut(Range<usize>, &mut [f32], Dealing<'_>),
) {
    let mut memory = memory;
    for range in ranges {
        let (own, rest) = memory.split_at_mut(range.len());
        let whole = 0..range.len();
        body(range.clone(), own, Dealing { team, blocks: slice::from_ref(&whole) });
        memory = rest;
    }
}

/// Adds gradients up.
#[derive(Debug, Clone, Copy)]
struct Accumulate {
    /// Whether they are the first, and what was there does not count.
    first: bool,
}

impl Formula<1> for Accumulate {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [sum]: [V; 1]) -> [V; 1] {
        [if self.first { g } else { sum + g }]
    }
}

/// The moving average of the parameters, which begins with the first of them.
#[derive(Debug, Clone, Copy)]
struct Average {
    kept: f32,
}

impl Formula<1> for Average {
    #[inline(always)]
    fn apply<V: Lane>(self, p: V, [average]: [V; 1]) -> [V; 1] {
        let next = p.splat(self.kept) * average + p.splat(1.0 - self.kept) * p;
        [average.not_equal(average).select(p, next)]
    }
}
