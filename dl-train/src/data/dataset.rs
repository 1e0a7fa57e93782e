//! Sets of examples that mini-batches are drawn from: positions enter, examples leave.
//!
//! The examples of a network are a [`Dataset`] themselves. [`Subset`], [`Augmented`], [`Mixup`] and [`Weighted`]
//! stand before another set and borrow it; [`FromFn`] makes examples on demand, so that a large set need not be in
//! memory. What a set gives depends on epoch and position alone: never on the thread, or on what was drawn before.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use dl_runtime::{Examples, InputError};

use super::{DataError, ExampleRng};

/// A set of examples of one network, drawn by position.
///
/// Threads gather at the same time. The same epoch and position must give the same example, whatever else was
/// gathered before.
pub trait Dataset: Sync {
    /// The examples of the network: one vector for each input and label.
    type Examples: Examples;

    /// How many examples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the examples at `positions`, in that order and as they look in `epoch`, to `into`.
    fn gather(&self, epoch: u64, positions: &[usize], into: &mut Self::Examples) -> Result<(), DataError>;

    /// All examples as they look in `epoch`, in order: borrowed if the set holds them so.
    fn examples(&self, epoch: u64) -> Result<Cow<'_, Self::Examples>, DataError> {
        let positions: Vec<usize> = (0..self.len()).collect();
        let mut all = Self::Examples::default();
        self.gather(epoch, &positions, &mut all)?;
        Ok(Cow::Owned(all))
    }

    /// The weight of each example, or `None` if all count alike.
    fn weights(&self) -> Option<&[f32]> {
        None
    }
}

impl<E: Examples> Dataset for E {
    type Examples = E;

    fn len(&self) -> usize {
        Examples::len(self)
    }

    fn gather(&self, _epoch: u64, positions: &[usize], into: &mut E) -> Result<(), DataError> {
        Ok(into.extend(self, positions)?)
    }

    fn examples(&self, _epoch: u64) -> Result<Cow<'_, E>, DataError> {
        Ok(Cow::Borrowed(self))
    }
}

/// All examples of a set as they look in `epoch`, in order.
pub fn collect<D: Dataset + ?Sized>(data: &D, epoch: u64) -> Result<D::Examples, DataError> {
    Ok(data.examples(epoch)?.into_owned())
}

/// Some examples of another set, in an order of their own; one may occur several times.
pub struct Subset<'a, D: ?Sized> {
    data: &'a D,
    positions: Vec<usize>,
    weights: Option<Vec<f32>>,
}

impl<'a, D: Dataset + ?Sized> Subset<'a, D> {
    /// The examples of `data` at `positions`, such as a part of [`split`](crate::split) or what
    /// [`over_sample`](super::over_sample) chose. A position past the end is an error.
    pub fn new(data: &'a D, positions: Vec<usize>) -> Result<Self, DataError> {
        let len = data.len();
        if let Some(&found) = positions.iter().find(|&&position| position >= len) {
            return Err(InputError::PositionOutOfRange { len, found }.into());
        }
        let weights = data
            .weights()
            .map(|weights| positions.iter().map(|&position| weights.get(position).copied().unwrap_or(1.0)).collect());
        Ok(Self { data, positions, weights })
    }

    /// Where each example stands in the other set.
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }
}

impl<D: Dataset + ?Sized> Dataset for Subset<'_, D> {
    type Examples = D::Examples;

    fn len(&self) -> usize {
        self.positions.len()
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut D::Examples) -> Result<(), DataError> {
        self.data.gather(epoch, &translated(&self.positions, positions)?, into)
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }
}

impl<D: ?Sized> fmt::Debug for Subset<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subset").field("positions", &self.positions).finish_non_exhaustive()
    }
}

fn translated(table: &[usize], positions: &[usize]) -> Result<Vec<usize>, DataError> {
    let one =
        |&found: &usize| table.get(found).copied().ok_or(InputError::PositionOutOfRange { len: table.len(), found });
    Ok(positions.iter().map(one).collect::<Result<_, _>>()?)
}

/// Another set whose examples are changed as they are drawn, at random and anew in each epoch.
pub struct Augmented<'a, D: ?Sized, F> {
    data: &'a D,
    seed: u64,
    change: F,
}

impl<'a, D, F> Augmented<'a, D, F>
where
    D: Dataset + ?Sized,
    F: Fn(&mut D::Examples, usize, &mut ExampleRng) + Sync,
{
    /// `change(examples, at, rng)` changes example `at` of `examples` in its place, and nothing else of them. What
    /// `rng` gives is a function of the seed, the epoch and the position of the example in `data`: two such sets, one
    /// before the other, want two seeds.
    ///
    /// ```text
    /// let augmented = Augmented::new(&train, 1, |batch, at, rng| augmentation.apply(&mut batch.image[at], rng));
    /// ```
    pub fn new(data: &'a D, seed: u64, change: F) -> Self {
        Self { data, seed, change }
    }
}

impl<D, F> Dataset for Augmented<'_, D, F>
where
    D: Dataset + ?Sized,
    F: Fn(&mut D::Examples, usize, &mut ExampleRng) + Sync,
{
    type Examples = D::Examples;

    fn len(&self) -> usize {
        self.data.len()
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut D::Examples) -> Result<(), DataError> {
        let first = Examples::len(into);
        self.data.gather(epoch, positions, into)?;
        for (at, &position) in (first..).zip(positions) {
            (self.change)(into, at, &mut ExampleRng::new(self.seed, epoch, position));
        }
        Ok(())
    }

    fn weights(&self) -> Option<&[f32]> {
        self.data.weights()
    }
}

impl<D: ?Sized, F> fmt::Debug for Augmented<'_, D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Augmented").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Another set in which each example is mixed with a second one, drawn at random (Zhang, Cisse, Dauphin and
/// Lopez-Paz, "mixup: beyond empirical risk minimization", 2018).
///
/// Labels are mixed too, so they must be tensors of numbers, such as a probability for each class.
pub struct Mixup<'a, D: ?Sized, F> {
    data: &'a D,
    alpha: f64,
    seed: u64,
    mix: F,
}

impl<'a, D, F> Mixup<'a, D, F>
where
    D: Dataset + ?Sized,
    F: Fn(&mut D::Examples, usize, &D::Examples, usize, f32) + Sync,
{
    /// `mix(examples, at, others, other, share)` makes example `at` of `examples` into `share` of itself and
    /// `1 - share` of example `other` of `others`; see [`mix`](super::mix). The share is drawn from the distribution
    /// Beta(`alpha`, `alpha`); `alpha` is finite and above 0.
    pub fn new(data: &'a D, alpha: f64, seed: u64, mix: F) -> Result<Self, DataError> {
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(DataError::setting("alpha", "a finite number above 0", alpha));
        }
        Ok(Self { data, alpha, seed, mix })
    }
}

impl<D, F> Dataset for Mixup<'_, D, F>
where
    D: Dataset + ?Sized,
    F: Fn(&mut D::Examples, usize, &D::Examples, usize, f32) + Sync,
{
    type Examples = D::Examples;

    fn len(&self) -> usize {
        self.data.len()
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut D::Examples) -> Result<(), DataError> {
        let first = Examples::len(into);
        self.data.gather(epoch, positions, into)?;
        let draw = |&position: &usize| {
            let mut rng = ExampleRng::of_mixup(self.seed, epoch, position);
            let other = rng.below(self.data.len());
            (other, rng.beta(self.alpha) as f32)
        };
        let (others, shares): (Vec<usize>, Vec<f32>) = positions.iter().map(draw).unzip();
        let mut partners = D::Examples::default();
        self.data.gather(epoch, &others, &mut partners)?;
        for (other, share) in shares.into_iter().enumerate() {
            (self.mix)(into, first + other, &partners, other, share);
        }
        Ok(())
    }

    fn weights(&self) -> Option<&[f32]> {
        self.data.weights()
    }
}

impl<D: ?Sized, F> fmt::Debug for Mixup<'_, D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mixup").field("alpha", &self.alpha).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Another set with a weight for each example.
pub struct Weighted<'a, D: ?Sized> {
    data: &'a D,
    weights: Vec<f32>,
}

impl<'a, D: Dataset + ?Sized> Weighted<'a, D> {
    /// One weight for each example, each finite and at least 0; [`example_weights`](super::example_weights) makes
    /// them of class weights.
    pub fn new(data: &'a D, weights: Vec<f32>) -> Result<Self, DataError> {
        dl_runtime::check_length("weights", data.len(), weights.len())?;
        if let Some(example) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(InputError::WeightOutOfRange { example, found: weights[example] }.into());
        }
        Ok(Self { data, weights })
    }
}

impl<D: Dataset + ?Sized> Dataset for Weighted<'_, D> {
    type Examples = D::Examples;

    fn len(&self) -> usize {
        self.data.len()
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut D::Examples) -> Result<(), DataError> {
        self.data.gather(epoch, positions, into)
    }

    fn examples(&self, epoch: u64) -> Result<Cow<'_, D::Examples>, DataError> {
        self.data.examples(epoch)
    }

    fn weights(&self) -> Option<&[f32]> {
        Some(&self.weights)
    }
}

impl<D: ?Sized> fmt::Debug for Weighted<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weighted").field("weights", &self.weights).finish_non_exhaustive()
    }
}

/// Examples that a function makes when they are drawn, such as images that are read from their files.
pub struct FromFn<E, F> {
    len: usize,
    make: F,
    examples: PhantomData<fn() -> E>,
}

impl<E, F> FromFn<E, F>
where
    E: Examples,
    F: Fn(usize, &mut E) -> Result<(), DataError> + Sync,
{
    /// `len` examples; `make(position, into)` appends the one at `position` to `into`: one item to each vector.
    pub fn new(len: usize, make: F) -> Self {
        Self { len, make, examples: PhantomData }
    }
}

impl<E, F> Dataset for FromFn<E, F>
where
    E: Examples,
    F: Fn(usize, &mut E) -> Result<(), DataError> + Sync,
{
    type Examples = E;

    fn len(&self) -> usize {
        self.len
    }

    fn gather(&self, _epoch: u64, positions: &[usize], into: &mut E) -> Result<(), DataError> {
        for &found in positions {
            if found >= self.len {
                return Err(InputError::PositionOutOfRange { len: self.len, found }.into());
            }
            let before = Examples::len(into);
            (self.make)(found, into)?;
            dl_runtime::check_length("examples", before + 1, Examples::len(into))?;
        }
        Ok(())
    }
}

impl<E, F> fmt::Debug for FromFn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Points;

    #[test]
    fn subsets_of_subsets_are_positions_of_positions() {
        let all = Points::new(10, |x| -x);
        let even = Subset::new(&all, vec![0, 2, 4, 6, 8]).unwrap();
        let some = Subset::new(&even, vec![4, 0, 4]).unwrap();
        assert_eq!(collect(&some, 0).unwrap(), Points { x: vec![8.0, 0.0, 8.0], y: vec![-8.0, 0.0, -8.0] });
        let mut into = Points::new(1, |x| x);
        some.gather(0, &[1], &mut into).unwrap();
        assert_eq!(into.x, [0.0, 0.0]);
    }

    #[test]
    fn positions_past_the_end_are_errors() {
        let all = Points::new(3, |x| x);
        let message = "position 3 is past the end of 3 examples";
        assert_eq!(Subset::new(&all, vec![0, 3]).unwrap_err().to_string(), message);
        let made = FromFn::new(3, |at, into: &mut Points| Ok(into.extend(&all, &[at])?));
        for error in [
            Subset::new(&all, vec![0, 1, 2]).unwrap().gather(0, &[3], &mut Points::default()).unwrap_err(),
            made.gather(0, &[3], &mut Points::default()).unwrap_err(),
            Dataset::gather(&all, 0, &[3], &mut Points::default()).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn augmentation_is_a_function_of_seed_epoch_and_position() {
        let all = Points::new(20, |x| x);
        let noisy = |seed| Augmented::new(&all, seed, |points: &mut Points, at, rng| points.x[at] += rng.normal());
        let set = noisy(1);
        let first = collect(&set, 0).unwrap();
        let mut piecewise = Points::default();
        for position in (0..20).rev() {
            set.gather(0, &[position], &mut piecewise).unwrap();
        }
        piecewise.x.reverse();
        assert_eq!(first.x, piecewise.x);
        assert_eq!(first.y, all.y);
        assert_ne!(first.x, collect(&set, 1).unwrap().x);
        assert_ne!(first.x, collect(&noisy(2), 0).unwrap().x);
        assert!(first.x.windows(2).all(|pair| (pair[1] - pair[0]) != 1.0), "two examples drew the same");
    }

    #[test]
    fn mixup_mixes_inputs_and_labels_alike() {
        let all = Points::new(50, |x| 3.0 * x + 1.0);
        let mixed = Mixup::new(&all, 0.5, 7, |a: &mut Points, at, b: &Points, other, share| {
            a.x[at] = share * a.x[at] + (1.0 - share) * b.x[other];
            a.y[at] = share * a.y[at] + (1.0 - share) * b.y[other];
        })
        .unwrap();
        let points = collect(&mixed, 3).unwrap();
        assert_ne!(points.x, all.x);
        // Mixing keeps what is linear.
        assert!(points.x.iter().zip(&points.y).all(|(x, y)| (3.0 * x + 1.0 - y).abs() < 1e-3));
        assert!(points.x.iter().all(|x| (0.0..=49.0).contains(x)));
        let error = Mixup::new(&all, f64::NAN, 7, |_: &mut Points, _, _: &Points, _, _| {}).unwrap_err();
        assert_eq!(error.to_string(), "`alpha` is NaN, expected a finite number above 0");
    }

    #[test]
    fn weights_follow_their_examples() {
        let all = Points::new(4, |x| x);
        let weighted = Weighted::new(&all, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let part = Subset::new(&weighted, vec![3, 1]).unwrap();
        assert_eq!(part.weights(), Some(&[3.0, 1.0][..]));
        assert!(Subset::new(&all, vec![3]).unwrap().weights().is_none());
        assert_eq!(Weighted::new(&all, vec![1.0]).unwrap_err().to_string(), "`weights` has 1 examples, expected 4");
        assert_eq!(
            Weighted::new(&all, vec![1.0, 1.0, -1.0, 0.0]).unwrap_err().to_string(),
            "the weight of example 2 is -1, expected a finite number of at least 0"
        );
    }

    #[test]
    fn a_function_that_appends_nothing_is_an_error() {
        let lazy = FromFn::new(3, |_, _: &mut Points| Ok(()));
        assert!(collect(&lazy, 0).unwrap_err().to_string().contains("expected 1"));
    }
}
