//! A per-example buffer seen over all shards of an arena.
//!
//! Kernels that reduce over the batch (weight gradients, batch sums, means) read a buffer that lies in pieces, one
//! piece in each shard. [`Segments`] is that view: read only, and the same whether the examples lie in shards or
//! in one flat slice. It owns nothing and computes nothing.

use std::ops::Range;

use crate::{Isa, Team, isa};

/// The most examples of a shard: so many lie side by side where a shard is laid out in lanes.
pub const SHARD: usize = 16;

/// Examples whose products take less time without panels, whatever tiles the registers hold.
const FEW: usize = 64;

/// How a batch lies in an arena: a row of shards, the unit that is dealt to threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    /// Examples in a shard, at most [`SHARD`].
    pub examples: usize,
    /// Floats of a shard.
    pub floats: usize,
}

impl Shards {
    /// Floats of the shards that `n` examples take up; saturates.
    pub const fn room(self, n: usize) -> usize {
        n.div_ceil(self.examples).saturating_mul(self.floats)
    }

    /// Whether the threads of a team have as many shards of `n` examples each, or nearly: then each shard sums by itself what is
    /// asked of all, and no thread waits long for another.
    pub fn are_even(self, n: usize, team: &Team) -> bool {
        let (shards, threads) = (n.div_ceil(self.examples), team.threads());
        shards.is_multiple_of(threads) || shards >= 4 * threads
    }

    /// Whether the examples of each shard, vectors, meet weights where they are rather than in panels made for one step: those
    /// of a full shard do so as fast. Several threads would all have read what one of them writes next, the weight, and that
    /// costs it more than the packing of panels does; so do many rows where registers are few.
    pub fn meet_weights_in_place(self, n: usize, team: &Team) -> bool {
        let alone = team.threads() == 1 || n <= self.examples;
        alone && self.examples == SHARD && (n <= FEW || isa() == Isa::Avx512)
    }

    /// Floats of the shards that so many threads need which take those of `n` examples in turn; saturates.
    pub const fn room_in_turn(self, threads: usize, n: usize) -> usize {
        let (shards, threads) = (n.div_ceil(self.examples), if threads == 0 { 1 } else { threads });
        (if threads < shards { threads } else { shards }).saturating_mul(self.floats)
    }
}

/// Whether `count` times `len` floats from `start` on end within `room`, even if they are more than can be counted.
pub(crate) fn fits(count: usize, len: usize, start: usize, room: usize) -> bool {
    count.checked_mul(len).and_then(|floats| floats.checked_add(start)).is_some_and(|end| end <= room)
}

/// `len` floats for each example; those of the examples of one shard lie in a row.
#[derive(Debug, Clone, Copy)]
pub struct Segments<'a> {
    floats: &'a [f32],
    shard_len: usize,
    len: usize,
    /// Examples of a shard.
    rows: usize,
    /// Floats of each example of a shard that come before all of its rows.
    skip: usize,
    /// Examples in all; what is skipped of the last shard depends on it.
    n: usize,
    /// Rows of each of these.
    parts: usize,
}

impl<'a> Segments<'a> {
    /// The buffer at `offset` in every shard, `len` floats for an example: with `examples` in a shard of `floats`, example
    /// `e` starts at `(e / examples) * floats + offset + (e % examples) * len`.
    ///
    /// # Panics
    /// If the buffer does not fit a shard, or a shard holds no example.
    #[inline]
    pub fn of_shards(arena: &'a [f32], shards: Shards, offset: usize, len: usize) -> Self {
        let Shards { examples, floats } = shards;
        assert!(
            examples > 0 && fits(examples, len, offset, floats),
            "{examples} × {len} floats at {offset} leave a shard of {floats}"
        );
        let arena = arena.get(offset..).unwrap_or(&[]);
        Self { floats: arena, shard_len: floats, len, rows: examples, skip: 0, n: usize::MAX, parts: 1 }
    }

    /// Examples of `len` floats one after another, such as an input or the flat view of a batch.
    #[inline]
    pub fn of_examples(flat: &'a [f32], len: usize) -> Self {
        Self { floats: flat, shard_len: SHARD * len, len, rows: SHARD, skip: 0, n: usize::MAX, parts: 1 }
    }

    /// What every shard has once, at a range of its floats, as an example each.
    ///
    /// # Panics
    /// If the range leaves a shard.
    #[inline]
    pub fn once(arena: &'a [f32], shards: Shards, range: Range<usize>) -> Self {
        Self::of_shards(arena, Shards { examples: 1, ..shards }, range.start, range.len())
    }

    /// The examples behind those of some shards.
    ///
    /// # Panics
    /// If they are steps of sequences.
    pub(crate) fn behind(self, shards: usize) -> Self {
        assert!(self.skip == 0, "steps of sequences are counted from the first shard");
        Self { floats: self.floats.get(shards * self.shard_len..).unwrap_or(&[]), ..self }
    }

    /// Some steps of sequences that lie step by step in the shards of `n` examples: those behind the first `skip` floats
    /// of each example, `len` floats of it. Their rows come step by step too, not example by example.
    ///
    /// # Panics
    /// If sequences have fewer floats.
    pub fn steps(self, n: usize, skip: usize, len: usize) -> Self {
        let fits = skip.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(fits, "{len} floats behind {skip} of sequences of {}", self.len);
        Self { len, skip, n, ..self }
    }

    /// The same floats as `count` times as many examples, each of them a part of one: a sequence of images as images.
    ///
    /// # Panics
    /// If an example does not fall into so many parts.
    pub fn parts(self, count: usize) -> Self {
        assert!(count > 0 && self.len.is_multiple_of(count), "{count} parts of {} floats", self.len);
        Self { len: self.len / count, rows: self.rows * count, parts: self.parts * count, ..self }
    }

    /// Floats for each example.
    #[inline]
    pub fn example_len(&self) -> usize {
        self.len
    }

    /// The floats of one example.
    ///
    /// # Panics
    /// If there is no such example.
    #[inline]
    pub fn example(&self, index: usize) -> &'a [f32] {
        let start = self.start(index);
        &self.floats[start..start + self.len]
    }

    #[inline]
    fn start(&self, example: usize) -> usize {
        let shard = example / self.rows;
        self.shard_start(shard) + example % self.rows * self.len
    }

    /// Where the rows of a shard start.
    #[inline]
    fn shard_start(&self, shard: usize) -> usize {
        let skipped = match self.skip {
            0 => 0,
            skip => {
                let examples = self.rows / self.parts;
                skip * self.n.saturating_sub(shard * examples).min(examples)
            }
        };
        shard * self.shard_len + skipped
    }

    /// Examples in a shard.
    pub fn shard_rows(&self) -> usize {
        self.rows
    }

    /// The floats of the first `rows` examples of a shard, one example after another.
    ///
    /// # Panics
    /// If there is no such shard, or it has fewer rows.
    pub fn shard(&self, index: usize, rows: usize) -> &'a [f32] {
        assert!(rows <= self.rows, "{rows} rows of a shard of {}", self.rows);
        let start = self.shard_start(index);
        &self.floats[start..start + rows * self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_examples_read_the_same() {
        let (offset, len, n) = (32, 5, 37);
        let flat: Vec<f32> = (0..n * len).map(|i| i as f32).collect();
        for examples in [1, 3, 16] {
            let shards = Shards { examples, floats: 32 + examples * len + 7 };
            let mut arena = vec![f32::NAN; shards.room(n)];
            for (i, &x) in flat.iter().enumerate() {
                let (example, element) = (i / len, i % len);
                arena[example / examples * shards.floats + offset + example % examples * len + element] = x;
            }
            let sharded = Segments::of_shards(&arena, shards, offset, len);
            let whole = Segments::of_examples(&flat, len);
            for example in 0..n {
                assert_eq!(sharded.example(example), &flat[example * len..][..len]);
                assert_eq!(whole.example(example), sharded.example(example));
            }
            assert_eq!((sharded.shard_rows(), sharded.example_len()), (examples, 5));
            for (shard, flat) in flat.chunks(examples * len).enumerate() {
                assert_eq!(sharded.shard(shard, flat.len() / len), flat);
            }
            let parts = sharded.parts(5);
            assert_eq!((parts.shard_rows(), parts.example_len()), (5 * examples, 1));
            for part in 0..n * len {
                assert_eq!(parts.example(part), [part as f32]);
                assert_eq!(whole.parts(5).example(part), [part as f32]);
            }
            for (shard, flat) in flat.chunks(examples * len).enumerate() {
                assert_eq!(parts.shard(shard, flat.len()), flat);
            }
        }
    }

    #[test]
    fn steps_lie_behind_those_of_all_examples_of_their_shard() {
        // Sequences of three steps of two floats: step s of example e holds 100 e + 10 s and the next number.
        let (n, shards) = (5, Shards { examples: 3, floats: 25 });
        let mut arena = vec![f32::NAN; shards.room(n)];
        for example in 0..n {
            let (shard, row) = (example / 3, example % 3);
            let rows = 3.min(n - shard * 3);
            for (step, float) in (0..6).map(|i| (i / 2, i % 2)) {
                let at = shard * 25 + 4 + (step * rows + row) * 2 + float;
                arena[at] = (100 * example + 10 * step + float) as f32;
            }
        }
        let all = Segments::of_shards(&arena, shards, 4, 6);
        let later = all.steps(n, 2, 4);
        assert_eq!(later.shard(0, 3), [10., 11., 110., 111., 210., 211., 20., 21., 120., 121., 220., 221.]);
        assert_eq!(later.shard(1, 2), [310., 311., 410., 411., 320., 321., 420., 421.]);
        assert_eq!(later.example(3), [310., 311., 410., 411.]);
        assert_eq!(later.example(4), [320., 321., 420., 421.]);
        let parts = later.parts(2);
        assert_eq!([0, 1, 5, 6, 9].map(|part| parts.example(part)[0]), [10., 110., 220., 310., 420.]);
        assert_eq!(all.steps(n, 0, 4).shard(1, 2), [300., 301., 400., 401., 310., 311., 410., 411.]);
    }

    #[test]
    #[should_panic = "4 floats behind 3 of sequences of 6"]
    fn steps_past_the_end_are_refused() {
        let _ = Segments::of_examples(&[0.0; 96], 6).steps(16, 3, 4);
    }

    #[test]
    fn what_a_shard_has_once_is_an_example() {
        let shards = Shards { examples: 3, floats: 10 };
        let arena: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let once = Segments::once(&arena, shards, 7..10);
        assert_eq!([0, 1, 2].map(|shard| once.example(shard)[2]), [9., 19., 29.]);
        assert_eq!(once.behind(1).example(1), [27., 28., 29.]);
        let examples = Segments::of_shards(&arena, shards, 1, 2).behind(2);
        assert_eq!((examples.example(1), examples.shard(0, 2)), (&[23., 24.][..], &[21., 22., 23., 24.][..]));
    }

    #[test]
    #[should_panic = "leave a shard of 10"]
    fn what_a_shard_has_once_lies_within_it() {
        Segments::once(&[0.0; 20], Shards { examples: 3, floats: 10 }, 7..11);
    }

    #[test]
    fn shards_are_even_if_no_thread_waits_long() {
        let shards = Shards { examples: 16, floats: 1 };
        let are_even = |n, threads| shards.are_even(n, &Team::new(threads));
        assert!(are_even(1, 1) && are_even(64, 2) && are_even(17, 2) && are_even(48, 3) && are_even(16 * 9, 2));
        assert!(!are_even(16, 2) && !are_even(48, 2) && !are_even(16 * 7, 2) && !are_even(64, 8));
    }

    #[test]
    fn one_thread_meets_weights_in_place() {
        let shards = Shards { examples: 16, floats: 1 };
        let in_place = |n, threads| shards.meet_weights_in_place(n, &Team::new(threads));
        assert!(in_place(1, 1) && in_place(FEW, 1) && in_place(16, 2));
        assert!(!in_place(17, 2) && !in_place(1000, 3));
        assert!(!Shards { examples: 2, ..shards }.meet_weights_in_place(16, &Team::serial()));
        assert_eq!(in_place(FEW + 1, 1), isa() == Isa::Avx512);
    }

    #[test]
    fn room_is_that_of_whole_shards() {
        let shards = Shards { examples: 4, floats: 10 };
        assert_eq!([0, 1, 4, 5, 8].map(|n| shards.room(n)), [0, 10, 10, 20, 20]);
        assert_eq!(shards.room(usize::MAX), usize::MAX);
        assert_eq!(
            [(1, 0), (0, 5), (1, 5), (2, 5), (3, 5)].map(|(t, n)| shards.room_in_turn(t, n)),
            [0, 10, 10, 20, 20]
        );
        assert_eq!(shards.room_in_turn(usize::MAX, usize::MAX), usize::MAX);
    }

    #[test]
    #[should_panic = "3 parts of 5 floats"]
    fn an_example_that_does_not_fall_into_parts_is_refused() {
        let _ = Segments::of_examples(&[0.0; 5], 5).parts(3);
    }

    #[test]
    #[should_panic(expected = "16 × 5 floats at 32 leave a shard of 100")]
    fn a_buffer_that_leaves_its_shard_is_refused() {
        Segments::of_shards(&[0.0; 200], Shards { examples: 16, floats: 100 }, 32, 5);
    }

    #[test]
    #[should_panic]
    fn a_missing_example_is_refused() {
        Segments::of_examples(&[0.0; 10], 5).example(2);
    }
}
