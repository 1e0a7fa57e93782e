//! Indices: rows of a table by their numbers and the gradient of the table, one-hot rows, indices as floats, positions.

use super::chunk::{load, store};
use crate::simd::{Kernel, Lane, dispatch, isa};
use crate::{Segments, Team};

/// The shape of a look-up: an example has `count` indices, the table `rows` rows of `width` floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    /// Rows of the table.
    pub rows: usize,
    /// Floats of a row.
    pub width: usize,
    /// Indices of an example.
    pub count: usize,
    /// The steps of a sequence that these are; all examples of a shard have their rows of one step before those of the
    /// next. With 1, all rows of an example come before those of the next.
    pub steps: usize,
}

impl Gather {
    /// The indices of `n` examples in the order in which their rows lie.
    fn in_order(&self, n: usize, indices: &[u32]) -> impl Iterator<Item = u32> {
        let (count, each) = (self.count, self.count / self.steps);
        let of = move |step: usize, example: usize| example * count + step * each;
        let runs = (0..self.steps).flat_map(move |step| (0..n).map(move |example| of(step, example)));
        runs.flat_map(move |start| indices[start..start + each].iter().copied())
    }

    /// # Panics
    /// If the indices do not fall into so many steps.
    fn check(&self) {
        let Gather { count, steps, .. } = *self;
        assert!(steps > 0 && count.is_multiple_of(steps), "{count} indices in {steps} steps");
    }
}

/// `y` = the rows of the table that the indices of `n` examples name, one after another, or step by step.
///
/// # Panics
/// If a slice is shorter than the shape says, an index is not below `rows`, or indices do not fall into the steps.
pub fn gather(shape: &Gather, n: usize, table: &[f32], indices: &[u32], y: &mut [f32]) {
    let &Gather { rows, width, count, .. } = shape;
    shape.check();
    let (table, indices) = (&table[..rows * width], &indices[..n * count]);
    let y = &mut y[..n * count * width];
    if width == 0 {
        return;
    }
    for (index, y) in shape.in_order(n, indices).zip(y.chunks_exact_mut(width)) {
        y.copy_from_slice(&table[index as usize * width..][..width]);
    }
}

/// The gradient of [`gather`] for the table, overwritten: each row is the sum of all rows of `d_y` whose index names it.
///
/// The team shares the rows of the table; a row's sum is in the order in which the rows of `d_y` lie, so the bits do not
/// depend on the number of threads.
///
/// # Panics
/// As [`gather()`].
pub fn gather_gradient(shape: &Gather, n: usize, indices: &[u32], d_y: Segments<'_>, d_table: &mut [f32], team: &Team) {
    let &Gather { rows, width, count, .. } = shape;
    shape.check();
    assert_eq!(d_y.example_len(), count * width, "floats of an example");
    let indices = &indices[..n * count];
    assert!(indices.iter().all(|&index| (index as usize) < rows), "an index is not below {rows}");
    let d_table = &mut d_table[..rows * width];
    if d_table.is_empty() {
        return;
    }
    let body = |start: usize, part: &mut [f32]| {
        dispatch(isa(), Scatter { shape, n, first: start / width, indices, d_y, part });
    };
    if rows * width + n * count * width < WORTH_A_FORK {
        body(0, d_table);
    } else {
        team.split(d_table, width, body);
    }
}

/// `y` = for each of `rows` indices a row of `classes` floats: 1 at the index, 0 elsewhere.
///
/// # Panics
/// If a slice is shorter than that or an index is not below `classes`.
pub fn one_hot(classes: usize, rows: usize, indices: &[u32], y: &mut [f32]) {
    let (indices, y) = (&indices[..rows], &mut y[..rows * classes]);
    y.fill(0.0);
    for (&index, y) in indices.iter().zip(y.chunks_exact_mut(classes.max(1))) {
        y[index as usize] = 1.0;
    }
}

/// `y` = `len` indices as floats.
///
/// # Panics
/// If a slice is shorter than `len`.
pub fn float(len: usize, indices: &[u32], y: &mut [f32]) {
    for (y, &index) in y[..len].iter_mut().zip(&indices[..len]) {
        *y = index as f32;
    }
}

/// `y` = 0, 1, 2, …
pub fn range(y: &mut [f32]) {
    for (place, y) in y.iter_mut().enumerate() {
        *y = place as f32;
    }
}

/// Floats below which a fork and join costs more than it saves.
const WORTH_A_FORK: usize = 1 << 15;

/// The rows of d_table from `first` on that `part` holds.
struct Scatter<'a> {
    shape: &'a Gather,
    n: usize,
    first: usize,
    indices: &'a [u32],
    d_y: Segments<'a>,
    part: &'a mut [f32],
}

impl Kernel for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { shape, n, first, indices, d_y, part } = self;
        let &Gather { width, count, .. } = shape;
        part.fill(0.0);
        let rows = part.len() / width;
        for (shard, start) in (0..n).step_by(d_y.shard_rows()).enumerate() {
            let examples = d_y.shard_rows().min(n - start);
            let indices = shape.in_order(examples, &indices[start * count..]);
            for (index, d_y) in indices.zip(d_y.shard(shard, examples).chunks_exact(width)) {
                let Some(row) = (index as usize).checked_sub(first).filter(|row| *row < rows) else { continue };
                let sums = part[row * width..][..width].chunks_mut(V::LANES);
                for (sum, d_y) in sums.zip(d_y.chunks(V::LANES)) {
                    store(load(lane, sum) + load(lane, d_y), sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rng, reference};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 - 0.5).collect()
    }

    fn indices(len: usize, bound: usize, seed: u64) -> Vec<u32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.below(bound) as u32).collect()
    }

    proptest! {
        #[test]
        fn look_ups_agree_with_their_twins(
            rows in 1..12_usize, width in 1..40_usize, each in 0..4_usize, steps in 1..5_usize, n in 0..40_usize, seed: u64,
        ) {
            let count = each * steps;
            let shape = Gather { rows, width, count, steps };
            let (table, index) = (numbers(rows * width, seed), indices(n * count, rows, seed));
            let len = n * count * width;
            let (mut y, mut expected) = (vec![5.0; len + 3], vec![5.0; len + 3]);
            gather(&shape, n, &table, &index, &mut y);
            reference::gather(&shape, n, &table, &index, &mut expected);
            prop_assert_eq!(&y, &expected);

            let d_y = Segments::of_examples(&y, count * width);
            let (mut found, mut expected) = (vec![5.0; rows * width + 3], vec![5.0; rows * width + 3]);
            gather_gradient(&shape, n, &index, d_y, &mut found, &Team::serial());
            reference::gather_gradient(&shape, n, &index, d_y, &mut expected, &Team::serial());
            for (found, expected) in found.iter().zip(&expected) {
                // Every addition rounds a partial sum.
                let tolerance = 1e-7 * (1.0 + (n * count) as f32) * (1.0 + expected.abs());
                prop_assert!((found - expected).abs() <= tolerance, "{} {}", found, expected);
            }
        }

        #[test]
        fn rows_of_one_agree_with_their_twins(classes in 1..20_usize, rows in 0..20_usize, seed: u64) {
            let index = indices(rows, classes, seed);
            let (mut y, mut expected) = (vec![5.0; rows * classes + 3], vec![5.0; rows * classes + 3]);
            one_hot(classes, rows, &index, &mut y);
            reference::one_hot(classes, rows, &index, &mut expected);
            prop_assert_eq!(&y, &expected);
            let (mut y, mut expected) = (vec![5.0; rows + 3], vec![5.0; rows + 3]);
            float(rows, &index, &mut y);
            reference::float(rows, &index, &mut expected);
            prop_assert_eq!(&y, &expected);
        }
    }

    #[test]
    fn the_gradient_of_a_table_has_the_same_bits_for_any_threads() {
        let (shape, n) = (Gather { rows: 37, width: 60, count: 5, steps: 5 }, 170);
        let (index, d_y) = (indices(n * 5, 37, 1), numbers(n * 300, 2));
        let run = |threads| {
            let mut d_table = vec![f32::NAN; 37 * 60];
            gather_gradient(&shape, n, &index, Segments::of_examples(&d_y, 300), &mut d_table, &Team::new(threads));
            d_table
        };
        assert!(n * 300 >= WORTH_A_FORK);
        for threads in [2, 3, 8] {
            assert!(run(threads) == run(1), "{threads} threads");
        }
    }

    #[test]
    fn by_hand() {
        let (shape, table) = (Gather { rows: 3, width: 2, count: 2, steps: 1 }, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let (mut y, mut d_table) = ([0.0; 4], [9.0; 6]);
        gather(&shape, 1, &table, &[2, 2], &mut y);
        assert_eq!(y, [5.0, 6.0, 5.0, 6.0]);
        gather_gradient(&shape, 1, &[2, 2], Segments::of_examples(&y, 4), &mut d_table, &Team::serial());
        assert_eq!(d_table, [0.0, 0.0, 0.0, 0.0, 10.0, 12.0]);
        let mut y = [9.0; 4];
        range(&mut y);
        assert_eq!(y, [0.0, 1.0, 2.0, 3.0]);
        let mut twin = [9.0; 4];
        reference::range(&mut twin);
        assert_eq!(y, twin);
    }

    #[test]
    fn rows_of_sequences_lie_step_by_step() {
        let (shape, table) = (Gather { rows: 3, width: 1, count: 4, steps: 2 }, [10.0, 20.0, 30.0]);
        let mut y = [0.0; 8];
        gather(&shape, 2, &table, &[0, 1, 2, 2, 1, 1, 0, 2], &mut y);
        assert_eq!(y, [10.0, 20.0, 20.0, 20.0, 30.0, 30.0, 10.0, 30.0]);
    }

    #[test]
    #[should_panic = "3 indices in 2 steps"]
    fn indices_that_do_not_fall_into_steps_are_refused() {
        gather(&Gather { rows: 2, width: 1, count: 3, steps: 2 }, 1, &[0.0; 2], &[0; 3], &mut [0.0; 3]);
    }

    #[test]
    #[should_panic]
    fn an_index_past_the_table_is_refused() {
        gather(&Gather { rows: 2, width: 1, count: 1, steps: 1 }, 1, &[0.0; 3], &[2], &mut [0.0]);
    }
}
