//! A per-example buffer seen over all shards of an arena.
//!
//! Kernels that reduce over the batch (weight gradients, batch sums, means) read a buffer that lies in pieces, one
//! piece in each shard. [`Segments`] is that view: read only, and the same whether the examples lie in shards or
//! in one flat slice. It owns nothing and computes nothing.

/// Examples in a shard: the unit in which a batch is laid out in an arena and dealt to threads.
pub const SHARD: usize = 16;

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
    /// The buffer at `offset` in every shard of `shard_len` floats, `len` floats for an example:
    /// example `e` starts at `(e / SHARD) * shard_len + offset + (e % SHARD) * len`.
    ///
    /// # Panics
    /// If the buffer does not fit a shard.
    pub fn of_shards(arena: &'a [f32], shard_len: usize, offset: usize, len: usize) -> Self {
        assert!(
            len.checked_mul(SHARD).and_then(|room| room.checked_add(offset)).is_some_and(|end| end <= shard_len),
            "{SHARD} × {len} floats at {offset} leave a shard of {shard_len}"
        );
        let floats = arena.get(offset..).unwrap_or(&[]);
        Self { floats, shard_len, len, rows: SHARD }
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

    /// The floats of the first `rows` of the examples from `SHARD * index` on, one example after another.
    ///
    /// # Panics
    /// If there is no such shard, or it has fewer rows.
    pub fn shard(&self, index: usize, rows: usize) -> &'a [f32] {
        assert!(rows <= SHARD, "{rows} rows of a shard of {SHARD}");
        let start = self.start(index * SHARD);
        &self.floats[start..start + rows * self.len]
    }

    /// Copies the first `y.len() / len` examples into y, one after another.
    ///
    /// # Panics
    /// If there are fewer examples, or y does not end with one.
    pub fn copy_to(&self, y: &mut [f32]) {
        for (shard, y) in y.chunks_mut(SHARD * self.len).enumerate() {
            y.copy_from_slice(self.shard(shard, y.len() / self.len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_examples_read_the_same() {
        let (shard_len, offset, len, n) = (200, 32, 5, 37);
        let flat: Vec<f32> = (0..n * len).map(|i| i as f32).collect();
        let mut arena = vec![f32::NAN; 3 * shard_len];
        for (i, &x) in flat.iter().enumerate() {
            let (example, element) = (i / len, i % len);
            arena[example / 16 * shard_len + offset + example % 16 * len + element] = x;
        }
        let sharded = Segments::of_shards(&arena, shard_len, offset, len);
        let whole = Segments::of_examples(&flat, len);
        for example in 0..n {
            assert_eq!(sharded.example(example), &flat[example * len..][..len]);
            assert_eq!(whole.example(example), sharded.example(example));
        }
        for (shard, rows) in [(0, 16), (1, 16), (2, 5)] {
            assert_eq!(sharded.shard(shard, rows), &flat[shard * 80..][..rows * len]);
            assert_eq!(whole.shard(shard, rows), sharded.shard(shard, rows));
        }
        assert_eq!(sharded.example_len(), 5);
        for n in [1, 15, 16, 17, 32, 37] {
            let mut y = vec![f32::NAN; n * len];
            sharded.copy_to(&mut y);
            assert_eq!(y, flat[..n * len], "{n} examples");
        }
        let (sharded, whole) = (sharded.parts(5), whole.parts(5));
        assert_eq!(sharded.example_len(), 1);
        for part in 0..n * len {
            assert_eq!(sharded.example(part), [part as f32]);
            assert_eq!(whole.example(part), sharded.example(part));
        }
        for shard in 0..n * len / 16 {
            assert_eq!(sharded.shard(shard, 16), whole.shard(shard, 16));
        }
        let mut y = vec![f32::NAN; 83];
        sharded.copy_to(&mut y);
        assert_eq!(y, flat[..83]);
    }

    #[test]
    #[should_panic = "3 parts of 5 floats"]
    fn an_example_that_does_not_fall_into_parts_is_refused() {
        let _ = Segments::of_examples(&[0.0; 5], 5).parts(3);
    }

    #[test]
    #[should_panic(expected = "16 × 5 floats at 32 leave a shard of 100")]
    fn a_buffer_that_leaves_its_shard_is_refused() {
        Segments::of_shards(&[0.0; 200], 100, 32, 5);
    }

    #[test]
    #[should_panic]
    fn a_missing_example_is_refused() {
        Segments::of_examples(&[0.0; 10], 5).example(2);
    }
}
