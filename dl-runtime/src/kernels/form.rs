//! How the values of a shard lie: one example after another, or sixteen examples side by side.
//!
//! ```text
//! examples   a₀ a₁ a₂ … b₀ b₁ b₂ …
//! lanes      a₀ b₀ c₀ … p₀ a₁ b₁ c₁ … p₁ …
//! ```
//!
//! In lanes every float has its fifteen counterparts beside it, so whatever a kernel does to one example it does to whole
//! vectors, whatever the shape. Sixteen lanes are computed always: it pays from some examples on ([`Form::of`]).
//! [`interleave`] and [`deinterleave`] lead from one form to the other.

use crate::segments::SHARD;
use crate::simd::{Eight, Isa, Kernel, Lane, Vector, dispatch, isa};

/// How the values of a shard lie. A value has `len` floats for each example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One example after another.
    Examples,
    /// Sixteen examples side by side: float i of example e lies at 16·i + e.
    Lanes,
}

/// The least number of examples for which sixteen lanes are faster than one example after another.
const FEWEST: usize = 9;

impl Form {
    /// What suits a batch of `n` examples.
    pub const fn of(n: usize) -> Self {
        if n < FEWEST { Form::Examples } else { Form::Lanes }
    }

    /// How many examples lie side by side.
    pub const fn lanes(self) -> usize {
        match self {
            Form::Examples => 1,
            Form::Lanes => SHARD,
        }
    }

    /// How many rows of examples side by side hold `n` examples of a shard.
    pub const fn blocks(self, n: usize) -> usize {
        match self {
            Form::Examples => n,
            Form::Lanes => 1,
        }
    }

    /// Floats that a value of `len` floats takes for `n` examples of a shard.
    pub const fn floats(self, n: usize, len: usize) -> usize {
        match self {
            Form::Examples => n * len,
            Form::Lanes => SHARD * len,
        }
    }
}

/// Brings `n` examples of `len` floats into a form; in [`Form::Examples`] it is a copy. Lanes that have no example repeat
/// the first one, so that functions of them stay finite where those of the examples do.
///
/// # Panics
/// If there are more than 16 examples, none in [`Form::Lanes`] to take the first of, or a slice is too short.
pub fn interleave(form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    interleave_on(isa(), form, n, len, x, y);
}

/// [`interleave`] on a given instruction set.
fn interleave_on(isa: Isa, form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    let x = &x[..n * len];
    match form {
        Form::Examples => y[..n * len].copy_from_slice(x),
        Form::Lanes => {
            check(n);
            assert!(n > 0, "no example to fill the lanes with");
            dispatch(isa, Interleave { n, len, x, y: &mut y[..SHARD * len] });
        }
    }
}

/// Zeroes the lanes that have no example, so that sums over all lanes are sums over `n` examples.
///
/// # Panics
/// If there are more than 16 examples, or a slice is too short.
pub fn clear(form: Form, n: usize, len: usize, y: &mut [f32]) {
    if form == Form::Lanes {
        check(n);
        y[..SHARD * len].chunks_exact_mut(SHARD).for_each(|lanes| lanes[n..].fill(0.0));
    }
}

/// Brings `n` examples of `len` floats out of a form, the inverse of [`interleave`].
///
/// # Panics
/// If there are more than 16 examples, or a slice is too short.
pub fn deinterleave(form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    deinterleave_on(isa(), form, n, len, x, y);
}

/// [`deinterleave`] on a given instruction set.
fn deinterleave_on(isa: Isa, form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    let y = &mut y[..n * len];
    match form {
        Form::Examples => y.copy_from_slice(&x[..n * len]),
        Form::Lanes => {
            check(n);
            dispatch(isa, Deinterleave { n, len, x: &x[..SHARD * len], y });
        }
    }
}

fn check(n: usize) {
    assert!(n <= SHARD, "{n} examples in {SHARD} lanes");
}

/// Floats of an example at a time: a cache line, of which eight at a time are transposed.
const BLOCK: usize = 16;
/// Floats of the vectors that are transposed.
const EIGHT: usize = 8;

struct Interleave<'a> {
    n: usize,
    len: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Interleave<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let lane = lane.eight();
        let Self { n, len, x, y } = self;
        let blocks = len / BLOCK;
        for block in 0..blocks {
            for half in 0..2 {
                let first = half * EIGHT;
                for part in 0..2 {
                    let at = block * BLOCK + part * EIGHT;
                    let mut rows = [lane.splat(0.0); EIGHT];
                    for (i, row) in rows.iter_mut().enumerate() {
                        let example = if first + i < n { first + i } else { 0 };
                        // SAFETY: x holds `len` floats of each example below n, and at + 8 ≤ len.
                        *row = unsafe { lane.load(x.as_ptr().add(example * len + at)) };
                    }
                    for (i, row) in Eight::transpose(rows).into_iter().enumerate() {
                        // SAFETY: y holds sixteen floats for each of `len`; `first` is 0 or 8.
                        unsafe { row.store(y.as_mut_ptr().add((at + i) * SHARD + first)) }
                    }
                }
            }
        }
        for i in blocks * BLOCK..len {
            for (example, y) in y[i * SHARD..][..SHARD].iter_mut().enumerate() {
                *y = x[if example < n { example * len + i } else { i }];
            }
        }
    }
}

struct Deinterleave<'a> {
    n: usize,
    len: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Deinterleave<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let lane = lane.eight();
        let Self { n, len, x, y } = self;
        let blocks = len / BLOCK;
        for block in 0..blocks {
            for half in 0..2 {
                let first = half * EIGHT;
                for part in 0..2 {
                    let at = block * BLOCK + part * EIGHT;
                    let mut rows = [lane.splat(0.0); EIGHT];
                    for (i, row) in rows.iter_mut().enumerate() {
                        // SAFETY: x holds sixteen floats for each of `len`; at + i < len, and `first` is 0 or 8.
                        *row = unsafe { lane.load(x.as_ptr().add((at + i) * SHARD + first)) };
                    }
                    for (i, row) in Eight::transpose(rows).into_iter().enumerate() {
                        if first + i < n {
                            // SAFETY: y holds `len` floats of each example below n, and at + 8 ≤ len.
                            unsafe { row.store(y.as_mut_ptr().add((first + i) * len + at)) }
                        }
                    }
                }
            }
        }
        for (example, y) in y.chunks_exact_mut(len.max(1)).enumerate() {
            for (i, y) in y.iter_mut().enumerate().skip(blocks * BLOCK) {
                *y = x[i * SHARD + example];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::simd::available;
    use proptest::prelude::*;

    #[test]
    fn two_examples_side_by_side() {
        let mut y = [f32::NAN; 32];
        interleave(Form::Lanes, 2, 2, &[1.0, 2.0, 3.0, 4.0], &mut y);
        assert_eq!((&y[..3], &y[29..]), (&[1.0, 3.0, 1.0][..], &[2.0, 2.0, 2.0][..]));
        clear(Form::Lanes, 2, 2, &mut y);
        assert_eq!((&y[..3], &y[16..19]), (&[1.0, 3.0, 0.0][..], &[2.0, 4.0, 0.0][..]));
        assert!(y[2..16].iter().chain(&y[18..]).all(|y| *y == 0.0));
        clear(Form::Examples, 2, 2, &mut y);
        assert_eq!(y[..2], [1.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "17 examples in 16 lanes")]
    fn more_examples_than_lanes_are_refused() {
        deinterleave(Form::Lanes, 17, 1, &[0.0; 32], &mut [0.0; 17]);
    }

    #[test]
    #[should_panic]
    fn a_short_slice_is_refused() {
        interleave(Form::Lanes, 3, 2, &[0.0; 6], &mut [0.0; 31]);
    }

    proptest! {
        #[test]
        fn agree_with_their_twins(n in 1..=16_usize, len in 0..70_usize, lanes: bool) {
            let form = if lanes { Form::Lanes } else { Form::Examples };
            let x: Vec<f32> = (0..n * len).map(|number| number as f32 + 1.0).collect();
            let floats = form.floats(n, len);
            let mut expected = vec![-1.0; floats + 3];
            reference::interleave(form, n, len, &x, &mut expected);
            for &isa in available() {
                let (mut y, mut back) = (vec![-1.0; floats + 3], vec![-1.0; n * len + 3]);
                interleave_on(isa, form, n, len, &x, &mut y);
                prop_assert_eq!(&y, &expected);
                deinterleave_on(isa, form, n, len, &y, &mut back);
                prop_assert_eq!(&back[..n * len], &x);
                prop_assert_eq!(&back[n * len..], &[-1.0; 3]);
            }
        }
    }
}
