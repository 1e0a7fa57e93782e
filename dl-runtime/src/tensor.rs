//! Nested arrays seen flat, and flat floats seen as nested arrays.
//!
//! A tensor in a signature is a plain nested array such as `[[[f32; 28]; 28]; 1]`; kernels work on flat slices.
//! These functions turn one into the other without copying. They change no shapes: the caller's types say them.

use std::slice;

/// A nested array of numbers without padding: `f32`, `u32`, and arrays of tensors.
///
/// # Safety
/// An implementor is exactly [`Tensor::LEN`] values of [`Tensor::Element`] one after another, with no padding and
/// the alignment of the element. The trait is sealed, so the implementations below are all there are.
pub unsafe trait Tensor: Copy + sealed::Sealed + 'static {
    /// The number type inside.
    type Element: Copy + 'static;
    /// How many elements there are: the product of the dimensions.
    const LEN: usize;
}

// SAFETY: one `f32` is one `f32`.
unsafe impl Tensor for f32 {
    type Element = f32;
    const LEN: usize = 1;
}

// SAFETY: one `u32` is one `u32`.
unsafe impl Tensor for u32 {
    type Element = u32;
    const LEN: usize = 1;
}

// SAFETY: an array lays its items out one after another without padding, at the alignment of an item; an item
// is `T::LEN` elements.
unsafe impl<T: Tensor, const N: usize> Tensor for [T; N] {
    type Element = T::Element;
    const LEN: usize = N * T::LEN;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
    impl<T: Sealed, const N: usize> Sealed for [T; N] {}
}

/// All elements of some tensors, in row-major order.
#[inline]
pub fn flat<T: Tensor>(tensors: &[T]) -> &[T::Element] {
    // SAFETY: by the contract of `Tensor`, the slice is `tensors.len() * T::LEN` initialized elements in a row,
    // aligned for them, and stays borrowed. The product cannot overflow: the slice fits memory.
    unsafe { slice::from_raw_parts(tensors.as_ptr().cast(), tensors.len() * T::LEN) }
}

/// The floats as one tensor.
///
/// # Panics
/// If there are not exactly `T::LEN` floats.
#[inline]
pub fn view<T: Tensor<Element = f32>>(floats: &[f32]) -> &T {
    assert_eq!(floats.len(), T::LEN, "a view of {} floats", T::LEN);
    // SAFETY: by the contract of `Tensor`, `T` is `T::LEN` floats at the alignment of one, and any floats make a
    // valid `T`. The length was just compared.
    unsafe { &*floats.as_ptr().cast() }
}

/// The floats as one tensor.
///
/// # Panics
/// If there are not exactly `T::LEN` floats.
#[inline]
pub fn view_mut<T: Tensor<Element = f32>>(floats: &mut [f32]) -> &mut T {
    assert_eq!(floats.len(), T::LEN, "a view of {} floats", T::LEN);
    // SAFETY: as in `view`, and the floats are borrowed exclusively.
    unsafe { &mut *floats.as_mut_ptr().cast() }
}

/// The floats as tensors in a row.
///
/// # Panics
/// If the length is no multiple of `T::LEN`, or `T` is empty.
#[inline]
pub fn views<T: Tensor>(floats: &[T::Element]) -> &[T] {
    assert!(
        T::LEN != 0 && floats.len().is_multiple_of(T::LEN),
        "{} floats seen as tensors of {}",
        floats.len(),
        T::LEN
    );
    // SAFETY: as in `view`, for `floats.len() / T::LEN` tensors in a row.
    unsafe { slice::from_raw_parts(floats.as_ptr().cast(), floats.len() / T::LEN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_is_row_major() {
        let images = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0_f32]]];
        assert_eq!(flat(&images), (1..=12).map(|x| x as f32).collect::<Vec<_>>());
        let labels = [[3_u32], [4]];
        assert_eq!(flat(&labels), [3, 4]);
        assert_eq!(flat(&[1.0_f32, 2.0]), [1.0, 2.0]);
        assert_eq!(flat::<[[f32; 3]; 2]>(&[]), [0.0; 0]);
        assert_eq!(flat(&[[0.0_f32; 0]; 5]), [0.0; 0]);
    }

    #[test]
    fn views_invert_flat() {
        let images = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0], [10.0, 11.0, 12.0_f32]]];
        assert_eq!(views::<[[f32; 3]; 2]>(flat(&images)), images);
        assert_eq!(view::<[[[f32; 3]; 2]; 2]>(flat(&images)), &images);
        let mut floats = [0.0; 6];
        view_mut::<[[f32; 3]; 2]>(&mut floats)[1][0] = 5.0;
        assert_eq!(floats, [0.0, 0.0, 0.0, 5.0, 0.0, 0.0]);
        assert_eq!(<[[[f32; 28]; 28]; 3] as Tensor>::LEN, 2352);
    }

    #[test]
    #[should_panic(expected = "a view of 4 floats")]
    fn a_view_of_another_length_is_refused() {
        view::<[f32; 4]>(&[0.0; 5]);
    }

    #[test]
    #[should_panic(expected = "5 floats seen as tensors of 2")]
    fn views_that_leave_a_rest_are_refused() {
        views::<[f32; 2]>(&[0.0; 5]);
    }

    #[test]
    #[should_panic(expected = "seen as tensors of 0")]
    fn views_of_empty_tensors_are_refused() {
        views::<[f32; 0]>(&[]);
    }
}
