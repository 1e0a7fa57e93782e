//! Arrays of any rank as files hold them: dimensions and elements enter, nested arrays of a network's types leave.

use dl_runtime::{Tensor, views};

use super::{DataError, Place};

/// A nested array whose dimensions are known: `f32`, `u32`, and arrays of such, as inputs and labels of networks are.
pub trait Shaped: Tensor {
    /// The dimensions, outermost first; none for a single number.
    fn dims() -> Vec<usize>;
}

impl Shaped for f32 {
    fn dims() -> Vec<usize> {
        Vec::new()
    }
}

impl Shaped for u32 {
    fn dims() -> Vec<usize> {
        Vec::new()
    }
}

impl<T: Shaped, const N: usize> Shaped for [T; N] {
    fn dims() -> Vec<usize> {
        let mut dims = vec![N];
        dims.extend(T::dims());
        dims
    }
}

/// Elements in row-major order, the first axis counting examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T> {
    dims: Vec<usize>,
    values: Vec<T>,
    place: Place,
}

impl<T: Copy> Array<T> {
    /// As many values as the product of `dims`, in row-major order.
    pub fn new(dims: Vec<usize>, values: Vec<T>) -> Result<Self, DataError> {
        Self::at(Place::default(), dims, values)
    }

    /// The same, with the file it comes from.
    pub(crate) fn at(place: Place, dims: Vec<usize>, values: Vec<T>) -> Result<Self, DataError> {
        let expected = elements(&dims);
        if expected == Some(values.len()) {
            return Ok(Self { dims, values, place });
        }
        let expected = expected.map_or(u64::MAX, |count| count as u64);
        Err(DataError::Count { place: place.boxed(), unit: "elements", expected, found: values.len() as u64 })
    }

    /// What gives as many values as the product of `dims`.
    #[cfg(feature = "npy")]
    pub(crate) fn from_iterator(dims: Vec<usize>, values: impl Iterator<Item = T>) -> Self {
        Self { dims, values: values.collect(), place: Place::default() }
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// All elements in row-major order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// `f` of each element, such as `|grey: u8| f32::from(grey) / 255.0`.
    pub fn map<U: Copy>(&self, f: impl FnMut(T) -> U) -> Array<U> {
        let values = self.values.iter().copied().map(f).collect();
        Array { dims: self.dims.clone(), values, place: self.place.clone() }
    }

    /// The same elements with other dimensions, such as with an axis of one channel.
    pub fn reshape(mut self, dims: Vec<usize>) -> Result<Self, DataError> {
        if elements(&dims) != Some(self.values.len()) {
            let place = self.place.boxed();
            return Err(DataError::Shape { place, expected: dims, found: self.dims });
        }
        self.dims = dims;
        Ok(self)
    }

    /// One tensor for each example, such as `[[[f32; 28]; 28]; 1]`: the dimensions after the first must be those of
    /// `A`, save axes of length 1. There is at least one example.
    pub fn examples<A: Shaped<Element = T>>(&self) -> Result<Vec<A>, DataError> {
        let [count, dims @ ..] = self.dims.as_slice() else {
            let (expected, found) = (vec![1], Vec::new());
            return Err(DataError::Shape { place: self.place.boxed(), expected, found });
        };
        let expected = A::dims();
        let long = |dims: &[usize]| dims.iter().copied().filter(|&dim| dim != 1).collect::<Vec<_>>();
        if long(dims) != long(&expected) {
            return Err(DataError::Shape { place: self.place.boxed(), expected, found: dims.to_vec() });
        }
        if *count == 0 || A::LEN == 0 {
            return Err(DataError::Empty { place: self.place.boxed(), what: "example" });
        }
        Ok(views::<A>(&self.values).to_vec())
    }
}

impl Array<f32> {
    /// The same array, or an error that names the first number that is not finite.
    pub fn finite(self) -> Result<Self, DataError> {
        let Some(at) = self.values.iter().position(|value| !value.is_finite()) else {
            return Ok(self);
        };
        let each: usize = self.dims.iter().skip(1).product();
        let place = self.place.example(at / each.max(1));
        Err(DataError::NotFinite { place: place.boxed(), found: f64::from(self.values[at]) })
    }
}

impl<T: Copy + Into<f64>> Array<T> {
    /// One label for each example, whole numbers from 0 to `classes - 1`.
    pub fn labels(&self, classes: usize) -> Result<Vec<u32>, DataError> {
        if self.dims.first() == Some(&0) {
            return Err(DataError::Empty { place: self.place.boxed(), what: "label" });
        }
        if self.dims.iter().skip(1).any(|&dim| dim != 1) || self.dims.is_empty() {
            let (expected, found) = (vec![self.dims.first().copied().unwrap_or(1)], self.dims.clone());
            return Err(DataError::Shape { place: self.place.boxed(), expected, found });
        }
        labels(&self.place, self.values.iter().map(|&value| value.into()), classes)
    }
}

/// Checked labels; examples are counted from 0.
pub(crate) fn labels(place: &Place, values: impl Iterator<Item = f64>, classes: usize) -> Result<Vec<u32>, DataError> {
    let bound = classes.min(1 << 32);
    let one = |(example, found): (usize, f64)| {
        if found >= 0.0 && found < bound as f64 && found.fract() == 0.0 {
            Ok(found as u32)
        } else {
            Err(DataError::Label { place: place.example(example).boxed(), bound: classes, found })
        }
    };
    values.enumerate().map(one).collect()
}

/// The product of dimensions, if it can be counted.
pub(crate) fn elements(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_the_first_axis() {
        let array = Array::new(vec![2, 2, 3], (0..12_u8).collect()).unwrap();
        let images = array.map(f32::from).examples::<[[[f32; 3]; 2]; 1]>().unwrap();
        assert_eq!(images, [[[[0., 1., 2.], [3., 4., 5.]]], [[[6., 7., 8.], [9., 10., 11.]]]]);
        assert_eq!(<[[[f32; 3]; 2]; 1]>::dims(), [1, 2, 3]);
        let error = array.map(f32::from).examples::<[[f32; 2]; 3]>().unwrap_err();
        assert_eq!(error.to_string(), "the data: expected the shape [3, 2], found [2, 3]");
        let flat = array.reshape(vec![2, 6]).unwrap();
        assert_eq!(flat.map(u32::from).examples::<[u32; 6]>().unwrap()[1], [6, 7, 8, 9, 10, 11]);
        let error = flat.reshape(vec![5]).unwrap_err();
        assert_eq!(error.to_string(), "the data: expected the shape [5], found [2, 6]");
    }

    #[test]
    fn wrong_arrays_are_errors() {
        let error = Array::new(vec![2, 3], vec![0_u8; 5]).unwrap_err();
        assert_eq!(error.to_string(), "the data: expected 6 elements, found 5");
        assert!(Array::new(vec![usize::MAX, 2], vec![0_u8; 5]).is_err());
        let empty = Array::new(vec![0, 3], Vec::<f32>::new()).unwrap();
        assert_eq!(
            empty.examples::<[f32; 3]>().unwrap_err().to_string(),
            "the data is empty, expected at least 1 example"
        );
        let array = Array::new(vec![2, 2], vec![0.0, 1.0, f32::NAN, 2.0]).unwrap();
        let error = array.finite().unwrap_err();
        assert_eq!(error.to_string(), "the data, example 1: expected a finite number, found NaN");
        assert!(Array::new(vec![], vec![1.0_f32]).unwrap().examples::<f32>().is_err());
    }

    #[test]
    fn labels_lie_below_their_bound() {
        let labels = |values: Vec<f64>, classes| Array::new(vec![values.len(), 1], values).unwrap().labels(classes);
        assert_eq!(labels(vec![0.0, 2.0, 1.0], 3).unwrap(), [0, 2, 1]);
        for (found, shown) in [(3.0, "3"), (-1.0, "-1"), (0.5, "0.5"), (f64::NAN, "NaN")] {
            let error = labels(vec![0.0, found], 3).unwrap_err();
            assert_eq!(error.to_string(), format!("the data, example 1: expected a label from 0 to 2, found {shown}"));
        }
        assert_eq!(labels(vec![], 3).unwrap_err().to_string(), "the data is empty, expected at least 1 label");
        assert!(Array::new(vec![1, 2], vec![0_u8, 1]).unwrap().labels(3).is_err());
    }
}
