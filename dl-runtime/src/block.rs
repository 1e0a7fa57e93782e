//! Aligned storage: a length enters, a zeroed run of `f32` on the heap leaves.
//!
//! Parameters, gradients, optimizer slots and arenas are each one [`Block`], cut into tensors by offsets that
//! the compiler planned. The numbers never pass through the stack, so a block may be as large as memory allows.
//! A block does not grow, and knows nothing of the tensors inside it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;

/// Bytes a block starts at a multiple of: one cache line, and one vector of the widest instruction set.
const ALIGNMENT: usize = 64;

/// A heap buffer of `f32`, 64-byte aligned.
pub struct Block {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: a block owns its memory alone, and `f32` may be sent to another thread.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out shared slices only, and `f32` has no interior mutability.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `len` zeros. Memory that cannot be had ends the process, as it does for `Vec`.
    pub fn zeroed(len: usize) -> Self {
        let layout = layout(len);
        if layout.size() == 0 {
            // Aligned and dangling, as an empty slice wants it.
            let start = NonNull::<Line>::dangling().cast();
            return Self { start, len };
        }
        // SAFETY: the layout has a size other than zero.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start.cast()) {
            Some(start) => Self { start, len },
            None => handle_alloc_error(layout),
        }
    }

    /// All floats.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: `start` is aligned and, unless `len` is 0, leads `len` initialized floats this block owns;
        // they are borrowed as long as the block is.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// All floats.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`, and the block is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Cuts disjoint pieces out of a buffer, all mutable at once.
///
/// # Panics
/// If two ranges overlap, one is empty inside another, or one leaves the buffer: the plan of a network never does.
pub fn cut<const N: usize>(floats: &mut [f32], ranges: [Range<usize>; N]) -> [&mut [f32]; N] {
    let len = floats.len();
    match floats.get_disjoint_mut(ranges.clone()) {
        Ok(pieces) => pieces,
        Err(error) => panic!("cannot cut {ranges:?} out of {len} floats: {error}"),
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let layout = layout(self.len);
        if layout.size() != 0 {
            // SAFETY: `zeroed` allocated this memory with the same layout, since `len` never changes.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len);
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} floats)", self.len)
    }
}

/// Bears the alignment of an empty block.
#[repr(align(64))]
struct Line;

/// The largest layout there is, to report a length beyond it.
const LARGEST: Layout = match Layout::from_size_align(isize::MAX as usize - (ALIGNMENT - 1), ALIGNMENT) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<f32>(),
};

fn layout(len: usize) -> Layout {
    let layout = len.checked_mul(size_of::<f32>()).and_then(|bytes| Layout::from_size_align(bytes, ALIGNMENT).ok());
    match layout {
        Some(layout) => layout,
        // No address space holds it: the same end as when the allocator has no memory left.
        None => handle_alloc_error(LARGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_zero_aligned_and_as_long_as_asked() {
        for len in [0, 1, 15, 16, 17, 1000, 1 << 20] {
            let mut block = Block::zeroed(len);
            assert_eq!(block.as_slice().len(), len);
            assert_eq!(block.as_slice().as_ptr().addr() % ALIGNMENT, 0);
            assert!(block.as_slice().iter().all(|&x| x.to_bits() == 0));
            block.as_mut_slice().fill(3.0);
            let copy = block.clone();
            block.as_mut_slice().fill(4.0);
            assert!(copy.as_slice().iter().all(|&x| x == 3.0));
            assert_eq!(copy.as_slice().as_ptr().addr() % ALIGNMENT, 0);
            assert_eq!(copy.as_slice().len(), len);
        }
    }

    #[test]
    fn debug_does_not_print_the_numbers() {
        assert_eq!(format!("{:?}", Block::zeroed(1 << 20)), "Block(1048576 floats)");
    }

    #[test]
    fn a_block_moves_between_threads() {
        let mut block = Block::zeroed(100);
        let block = std::thread::spawn(move || {
            block.as_mut_slice()[99] = 7.0;
            block
        })
        .join()
        .unwrap();
        assert_eq!(block.as_slice()[99], 7.0);
    }

    #[test]
    fn pieces_are_where_they_were_asked_for() {
        let mut floats: Vec<f32> = (0..32).map(|i| i as f32).collect();
        let [b, a] = cut(&mut floats, [16..20, 0..16]);
        assert_eq!((a.len(), b[0], b.len()), (16, 16.0, 4));
        b[0] = -1.0;
        assert_eq!(floats[16], -1.0);
    }

    #[test]
    #[should_panic(expected = "cannot cut [0..5, 4..8] out of 10 floats")]
    fn overlapping_pieces_are_refused() {
        cut(&mut [0.0; 10], [0..5, 4..8]);
    }

    #[test]
    #[should_panic(expected = "out of 10 floats")]
    fn pieces_past_the_end_are_refused() {
        cut(&mut [0.0; 10], [0..5, 8..11]);
    }
}
