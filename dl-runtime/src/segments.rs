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
        Self { floats, shard_len, len }
    }

    /// Examples of `len` floats one after another, such as an input or the flat view of a batch.
    pub fn of_examples(flat: &'a [f32], len: usize) -> Self {
        Self { floats: flat, shard_len: SHARD * len, len }
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
        let start = index / SHARD * self.shard_len + index % SHARD * self.len;
        &self.floats[start..start + self.len]
    }

    /// The floats of the first `rows` examples of one shard, one example after another.
    ///
    /// # Panics
    /// If there is no such shard, or it has fewer rows.
    pub fn shard(&self, index: usize, rows: usize) -> &'a [f32] {
        assert!(rows <= SHARD, "{rows} rows of a shard of {SHARD}");
        let start = index * self.shard_len;
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
