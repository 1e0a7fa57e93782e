//! Aligned storage: a length enters, a zeroed run of `f32` on the heap leaves.
//!
//! Parameters, gradients, optimizer slots and arenas are each one [`Block`], cut into tensors by offsets that
//! the compiler planned. The numbers never pass through the stack, so a block may be as large as memory allows.
//! A block does not grow, and knows nothing of the tensors inside it. Large blocks ask the system for huge pages, where it
//! leaves that to programs: with pages of 4 KiB, the tables that find them overflow in every pass.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;

/// Bytes a block starts at a multiple of: one cache line, and one vector of the widest instruction set.
const ALIGNMENT: usize = 64;

/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes from which on a block asks for huge pages.
const WORTH_HUGE_PAGES: usize = 2 * HUGE_PAGE;

/// A heap buffer of `f32`, 64-byte aligned.
pub struct Block {
    start: NonNull<f32>,
    len: usize,
    /// What the allocator gave, of the layout of `len`; `start` is the first aligned place in it.
    memory: NonNull<u8>,
}

// SAFETY: a block owns its memory alone, and `f32` may be sent to another thread.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out shared slices only, and `f32` has no interior mutability.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `len` zeros. Memory that cannot be had ends the process, as it does for `Vec`.
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            // Aligned and dangling, as an empty slice wants it.
            let start = NonNull::<Line>::dangling();
            return Self { start: start.cast(), len, memory: start.cast() };
        }
        let layout = layout(len);
        // SAFETY: the layout has a size other than zero. It asks for no alignment, since then the system's own zeros need
        // not be written: pages that are never touched take no memory.
        let Some(memory) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        let skipped = memory.as_ptr().align_offset(alignment(len));
        // SAFETY: the layout has room for the floats behind as many bytes as any alignment skips.
        let start = unsafe { memory.add(skipped) };
        if alignment(len) == HUGE_PAGE {
            ask_for_huge_pages(start, len * size_of::<f32>());
        }
        Self { start: start.cast(), len, memory }
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
        if self.len != 0 {
            // SAFETY: `zeroed` allocated this memory with the same layout, since `len` never changes.
            unsafe { dealloc(self.memory.as_ptr(), layout(self.len)) }
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
const LARGEST: Layout = match Layout::from_size_align(isize::MAX as usize, 1) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<f32>(),
};

/// Bytes that a block of `len` floats starts at a multiple of.
fn alignment(len: usize) -> usize {
    if len < WORTH_HUGE_PAGES / size_of::<f32>() { ALIGNMENT } else { HUGE_PAGE }
}

/// Memory for `len` floats behind the bytes that are skipped to align them.
fn layout(len: usize) -> Layout {
    let bytes = len.checked_mul(size_of::<f32>()).and_then(|bytes| bytes.checked_add(alignment(len)));
    match bytes.and_then(|bytes| Layout::from_size_align(bytes, align_of::<f32>()).ok()) {
        Some(layout) => layout,
        // No address space holds it: the same end as when the allocator has no memory left.
        None => handle_alloc_error(LARGEST),
    }
}

/// Advises the system to put huge pages behind memory that was not touched yet.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range belongs to the caller and starts at a page; the advice changes nothing that can be read there. What
    // does not fill its last page is left out. A system that declines leaves small pages.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes / HUGE_PAGE * HUGE_PAGE, libc::MADV_HUGEPAGE) };
}

/// Other systems choose their pages themselves.
#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: NonNull<u8>, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_zero_aligned_and_as_long_as_asked() {
        for len in [0, 1, 15, 16, 17, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
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
