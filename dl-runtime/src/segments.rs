//! A per-example buffer seen over all shards of an arena.
//!
//! Kernels that reduce over the batch (weight gradients, batch sums, means) read a buffer that lies in pieces, one
//! piece in each shard. [`Segments`] is that view: read only, and the same whether the examples lie in shards or
//! in one flat slice. It owns nothing and computes nothing.

/// The most examples of a shard: so many lie side by side where a shard is laid out in lanes.
pub const SHARD: usize = 16;

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
}

/// `len` floats for each example; those of the examples of one shard lie in a row.
#[derive(Debug, Clone, Copy)]
pub struct Segments<'a> {
    floats: &'a [f32],
    shard_len: usize,
    len: usize,
    /// Examples of a shard.
    rows: usize,
}

impl<'a> Segments<'a> {
    /// The buffer at `offset` in every shard, `len` floats for an example: with `examples` in a shard of `floats`, example
    /// `e` starts at `(e / examples) * floats + offset + (e % examples) * len`.
    ///
    /// # Panics
    /// If the buffer does not fit a shard, or a shard holds no example.
    pub fn of_shards(arena: &'a [f32], shards: Shards, offset: usize, len: usize) -> Self {
        let Shards { examples, floats } = shards;
        assert!(
            examples > 0
                && len.checked_mul(examples).and_then(|room| room.checked_add(offset)).is_some_and(|end| end <= floats),
            "{examples} × {len} floats at {offset} leave a shard of {floats}"
        );
        Self { floats: arena.get(offset..).unwrap_or(&[]), shard_len: floats, len, rows: examples }
    }

    /// Examples of `len` floats one after another, such as an input or the flat view of a batch.
    pub fn of_examples(flat: &'a [f32], len: usize) -> Self {
        Self { floats: flat, shard_len: SHARD * len, len, rows: SHARD }
    }

    /// The same floats as `count` times as many examples, each of them a part of one: a sequence of images as images.
    ///
    /// # Panics
    /// If an example does not fall into so many parts.
    pub fn parts(self, count: usize) -> Self {
        assert!(count > 0 && self.len.is_multiple_of(count), "{count} parts of {} floats", self.len);
        Self { len: self.len / count, rows: self.rows * count, ..self }
    }

    /// Floats for each example.
    pub fn example_len(&self) -> usize {
        self.len
    }

    /// The floats of one example.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn example(&self, index: usize) -> &'a [f32] {
        let start = self.start(index);
        &self.floats[start..start + self.len]
    }

    fn start(&self, example: usize) -> usize {
        example / self.rows * self.shard_len + example % self.rows * self.len
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
        let start = index * self.shard_len;
        &self.floats[start..start + rows * self.len]
    }

    /// Copies the first `y.len() / len` examples into y, one after another.
    ///
    /// # Panics
    /// If there are fewer examples, or y does not end with one.
    pub fn copy_to(&self, y: &mut [f32]) {
        for (shard, y) in y.chunks_mut(self.rows * self.len).enumerate() {
            y.copy_from_slice(self.shard(shard, y.len() / self.len));
        }
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
            for n in [1, 15, 16, 17, 32, 37] {
                let mut y = vec![f32::NAN; n * len];
                sharded.copy_to(&mut y);
                assert_eq!(y, flat[..n * len], "{n} examples");
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
            let mut y = vec![f32::NAN; 83];
            parts.copy_to(&mut y);
            assert_eq!(y, flat[..83]);
        }
    }

    #[test]
    fn room_is_that_of_whole_shards() {
        let shards = Shards { examples: 4, floats: 10 };
        assert_eq!([0, 1, 4, 5, 8].map(|n| shards.room(n)), [0, 10, 10, 20, 20]);
        assert_eq!(shards.room(usize::MAX), usize::MAX);
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
