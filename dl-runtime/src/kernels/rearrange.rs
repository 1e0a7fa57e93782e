//! Parts of tensors: cut out, put among zeros, put one behind the other. Runs of floats are copied; nothing is computed.

use super::form::Form;

/// A part of each block of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Blocks of an example.
    pub outer: usize,
    /// Floats of a block.
    pub size: usize,
    /// Where the part begins in its block.
    pub start: usize,
    /// Floats of the part.
    pub len: usize,
}

impl Slice {
    /// The same for examples that lie as a form says, all side by side as one.
    pub const fn in_form(self, form: Form) -> Self {
        let lanes = form.lanes();
        Slice { outer: self.outer, size: self.size * lanes, start: self.start * lanes, len: self.len * lanes }
    }

    /// # Panics
    /// If the part leaves its block.
    pub(crate) fn check(&self) {
        let &Slice { size, start, len, .. } = self;
        let end = start.saturating_add(len);
        assert!(end <= size, "floats {start}..{end} of blocks of {size}");
    }
}

/// `y` = the parts of the blocks of `x` for `n` examples, one after another.
///
/// # Panics
/// If a slice is shorter than `n` examples, or the part leaves its block.
pub fn slice(shape: &Slice, n: usize, x: &[f32], y: &mut [f32]) {
    let &Slice { outer, size, start, len } = shape;
    let (x, y) = (&x[..n * outer * size], &mut y[..n * outer * len]);
    if size == 0 || len == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(len)) {
        y.copy_from_slice(&x[start..start + len]);
    }
}

/// The other way round: `y` = blocks of zeros, but for their parts, which `x` holds one after another. Overwrites.
///
/// # Panics
/// As [`slice()`].
pub fn pad(shape: &Slice, n: usize, x: &[f32], y: &mut [f32]) {
    let &Slice { outer, size, start, len } = shape;
    let (x, y) = (&x[..n * outer * len], &mut y[..n * outer * size]);
    if size == 0 || len == 0 {
        return y.fill(0.0);
    }
    for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(size)) {
        y[..start].fill(0.0);
        y[start..start + len].copy_from_slice(x);
        y[start + len..].fill(0.0);
    }
}

/// `y` = in each of `blocks` blocks so many floats of each part in turn. Every part is its floats and how many of them
/// a block takes.
///
/// # Panics
/// If a slice is shorter than its blocks.
pub fn concat<const N: usize>(blocks: usize, parts: [(&[f32], usize); N], y: &mut [f32]) {
    let size: usize = parts.iter().map(|(_, len)| len).sum();
    let mut start = 0;
    for (x, len) in parts {
        let x = &x[..blocks * len];
        if len > 0 {
            for (x, y) in x.chunks_exact(len).zip(y[..blocks * size].chunks_exact_mut(size)) {
                y[start..start + len].copy_from_slice(x);
            }
        }
        start += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn numbers(len: usize, first: usize) -> Vec<f32> {
        (first..first + len).map(|number| number as f32).collect()
    }

    proptest! {
        #[test]
        fn parts_agree_with_their_twins(
            n in 0..4_usize, outer in 0..4_usize, start in 0..20_usize, len in 0..40_usize, after in 0..20_usize,
        ) {
            let shape = Slice { outer, size: start + len + after, start, len };
            let (whole, part) = (numbers(n * outer * shape.size, 1), numbers(n * outer * len, 1));
            let blank = |len: usize| vec![-5.0; len + 3];
            let (mut y, mut expected) = (blank(part.len()), blank(part.len()));
            slice(&shape, n, &whole, &mut y);
            reference::slice(&shape, n, &whole, &mut expected);
            prop_assert_eq!(&y, &expected);
            let (mut y, mut expected) = (blank(whole.len()), blank(whole.len()));
            pad(&shape, n, &part, &mut y);
            reference::pad(&shape, n, &part, &mut expected);
            prop_assert_eq!(&y, &expected);
        }

        #[test]
        fn joining_agrees_with_its_twin(blocks in 0..5_usize, lens in proptest::array::uniform3(0..40_usize)) {
            let [a, b, c] = lens.map(|len| numbers(blocks * len, len * 1000));
            let parts = [(&a[..], lens[0]), (&b[..], lens[1]), (&c[..], lens[2])];
            let len = blocks * lens.iter().sum::<usize>();
            let (mut y, mut expected) = (vec![-5.0; len + 3], vec![-5.0; len + 3]);
            concat(blocks, parts, &mut y);
            reference::concat(blocks, parts, &mut expected);
            prop_assert_eq!(&y, &expected);
        }
    }

    #[test]
    fn parts_of_two_rows() {
        let shape = Slice { outer: 2, size: 4, start: 1, len: 2 };
        let (mut part, mut whole) = ([0.0; 4], [9.0; 8]);
        slice(&shape, 1, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &mut part);
        assert_eq!(part, [2.0, 3.0, 6.0, 7.0]);
        pad(&shape, 1, &part, &mut whole);
        assert_eq!(whole, [0.0, 2.0, 3.0, 0.0, 0.0, 6.0, 7.0, 0.0]);
        concat(2, [(&part, 2), (&[8.0, 9.0], 1)], &mut whole);
        assert_eq!(whole, [2.0, 3.0, 8.0, 6.0, 7.0, 9.0, 7.0, 0.0]);
    }

    #[test]
    #[should_panic]
    fn a_part_outside_of_its_block_is_refused() {
        slice(&Slice { outer: 1, size: 4, start: 3, len: 2 }, 1, &[0.0; 4], &mut [0.0; 2]);
    }
}
