//! Preprocessing that learns from data: what is fitted on the training part is applied to every part, and kept with
//! the parameters, since a network is of no use without it.

use serde_json::{Value, json};

use super::{DataError, Place};

/// What a fitted preprocessing holds, in a form for checkpoints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FittedState {
    /// A JSON object; its `kind` names the preprocessing.
    pub metadata: String,
    /// Numbers, by name.
    pub tensors: Vec<FittedTensor>,
}

/// Named numbers of a [`FittedState`].
#[derive(Debug, Clone, PartialEq)]
pub struct FittedTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// As many numbers as the product of the dimensions.
    pub values: Vec<f32>,
}

/// Preprocessing that can be stored and restored, to the same bits.
pub trait Fitted: Sized {
    /// Its `kind` in the metadata.
    const KIND: &'static str;
    /// All it holds.
    fn to_state(&self) -> FittedState;
    /// Restores it; a state of another kind or with other tensors is an error.
    fn from_state(state: &FittedState) -> Result<Self, DataError>;
}

impl FittedState {
    /// A state of that kind; `fields` are further fields of the metadata.
    pub(crate) fn new<const K: usize, const T: usize>(
        kind: &str,
        fields: [(&str, Value); K],
        tensors: [(&str, &[f32]); T],
    ) -> Self {
        let mut metadata = json!({ "kind": kind });
        for (name, value) in fields {
            metadata[name] = value;
        }
        let tensor = |(name, values): (&str, &[f32])| FittedTensor {
            name: name.to_owned(),
            dims: vec![values.len()],
            values: values.to_vec(),
        };
        Self { metadata: metadata.to_string(), tensors: tensors.map(tensor).to_vec() }
    }

    /// The metadata, if they are of that kind.
    pub(crate) fn metadata(&self, kind: &str) -> Result<Value, DataError> {
        let wrong = |found: String| DataError::format(&place(), format!("metadata of kind `{kind}`"), found);
        let metadata: Value = serde_json::from_str(&self.metadata).map_err(|error| wrong(error.to_string()))?;
        match metadata.get("kind").and_then(Value::as_str) {
            Some(found) if found == kind => Ok(metadata),
            Some(found) => Err(wrong(format!("`{found}`"))),
            None => Err(wrong("none".to_owned())),
        }
    }

    /// The numbers of that name, all finite.
    pub(crate) fn tensor(&self, name: &str) -> Result<&[f32], DataError> {
        let place = place().item(format!("tensor `{name}`"));
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name);
        let values = tensor.ok_or(DataError::Missing { place: place.boxed() })?.values.as_slice();
        match values.iter().find(|value| !value.is_finite()) {
            Some(&found) => Err(DataError::NotFinite { place: place.boxed(), found: f64::from(found) }),
            None => Ok(values),
        }
    }

    /// The numbers of that name, if there are `N`.
    pub(crate) fn array<const N: usize>(&self, name: &str) -> Result<[f32; N], DataError> {
        let values = self.tensor(name)?;
        values.try_into().map_err(|_| {
            let place = place().item(format!("tensor `{name}`")).boxed();
            DataError::Shape { place, expected: vec![N], found: vec![values.len()] }
        })
    }
}

pub(crate) fn place() -> Place {
    Place::of("the fitted preprocessing")
}

/// Least and greatest value of each of `N` columns, and the map to (x - least) / (greatest - least).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinMax<const N: usize> {
    /// The columns' least values.
    pub least: [f32; N],
    /// The columns' greatest values.
    pub greatest: [f32; N],
}

impl<const N: usize> MinMax<N> {
    /// Measures the columns of `rows`: at least one row, all numbers finite.
    pub fn fit(rows: &[[f32; N]]) -> Result<Self, DataError> {
        let Some(first) = rows.first() else {
            return Err(DataError::Empty { place: Place::of("the training part").boxed(), what: "row" });
        };
        let mut fitted = Self { least: *first, greatest: *first };
        for (example, row) in rows.iter().enumerate() {
            for (column, &x) in row.iter().enumerate() {
                if !x.is_finite() {
                    let place = Place::of("rows").column(&(column + 1).to_string()).example(example);
                    return Err(DataError::NotFinite { place: place.boxed(), found: f64::from(x) });
                }
                fitted.least[column] = fitted.least[column].min(x);
                fitted.greatest[column] = fitted.greatest[column].max(x);
            }
        }
        Ok(fitted)
    }

    /// Maps each row in its place: training rows to numbers from 0 to 1, a column of one value to 0.
    pub fn apply(&self, rows: &mut [[f32; N]]) {
        self.each(rows, |x, least, span| (x - least) / span);
    }

    /// Maps back what [`MinMax::apply`] made.
    pub fn invert(&self, rows: &mut [[f32; N]]) {
        self.each(rows, |x, least, span| x * span + least);
    }

    fn each(&self, rows: &mut [[f32; N]], f: impl Fn(f64, f64, f64) -> f64) {
        for row in rows {
            for ((x, &least), &greatest) in row.iter_mut().zip(&self.least).zip(&self.greatest) {
                let span = f64::from(greatest) - f64::from(least);
                *x = f(f64::from(*x), f64::from(least), if span > 0.0 { span } else { 1.0 }) as f32;
            }
        }
    }
}

impl<const N: usize> Fitted for MinMax<N> {
    const KIND: &'static str = "min_max";

    fn to_state(&self) -> FittedState {
        FittedState::new(Self::KIND, [], [("least", &self.least), ("greatest", &self.greatest)])
    }

    fn from_state(state: &FittedState) -> Result<Self, DataError> {
        state.metadata(Self::KIND)?;
        Ok(Self { least: state.array("least")?, greatest: state.array("greatest")? })
    }
}

/// Intervals of one column of numbers: a number becomes the index of the one it lies in.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    edges: Vec<f32>,
}

impl Buckets {
    /// `count` intervals of equal length from the least to the greatest value; from 1 to 65,536 of them. What lies
    /// outside belongs to the first or the last one.
    pub fn even(values: &[f32], count: usize) -> Result<Self, DataError> {
        let sorted = sorted(values, count)?;
        let (least, greatest) = (f64::from(sorted[0]), f64::from(sorted[sorted.len() - 1]));
        let edge = |number: usize| (least + (greatest - least) * number as f64 / count as f64) as f32;
        Ok(Self::of((1..count).map(edge)))
    }

    /// At most `count` intervals that hold equally many of the values; from 1 to 65,536 of them. Edges are quantiles,
    /// interpolated linearly between neighbouring values (Hyndman and Fan, "Sample quantiles in statistical packages",
    /// 1996, definition 7); where some are equal there are fewer intervals.
    pub fn quantile(values: &[f32], count: usize) -> Result<Self, DataError> {
        let sorted = sorted(values, count)?;
        let edge = |number: usize| {
            let at = (sorted.len() - 1) as f64 * number as f64 / count as f64;
            let (low, high) = (f64::from(sorted[at.floor() as usize]), f64::from(sorted[at.ceil() as usize]));
            (low + (high - low) * at.fract()) as f32
        };
        Ok(Self::of((1..count).map(edge)))
    }

    fn of(edges: impl Iterator<Item = f32>) -> Self {
        let mut edges: Vec<f32> = edges.collect();
        edges.dedup();
        Self { edges }
    }

    /// How many intervals there are; at least 1.
    pub fn count(&self) -> usize {
        self.edges.len() + 1
    }

    /// The lower edges of all intervals but the first, ascending.
    pub fn edges(&self) -> &[f32] {
        &self.edges
    }

    /// The interval `x` lies in, from 0; an edge belongs to the interval above. What is no number belongs to the first.
    pub fn index(&self, x: f32) -> u32 {
        self.edges.partition_point(|&edge| edge <= x) as u32
    }
}

impl Fitted for Buckets {
    const KIND: &'static str = "buckets";

    fn to_state(&self) -> FittedState {
        FittedState::new(Self::KIND, [], [("edges", &self.edges)])
    }

    fn from_state(state: &FittedState) -> Result<Self, DataError> {
        state.metadata(Self::KIND)?;
        let edges = state.tensor("edges")?.to_vec();
        if edges.is_sorted() {
            return Ok(Self { edges });
        }
        Err(DataError::format(&place().item("tensor `edges`"), "ascending numbers", "others"))
    }
}

/// Ascending values: at least one, all finite; and a number of intervals in range.
fn sorted(values: &[f32], count: usize) -> Result<Vec<f32>, DataError> {
    if !(1..=1 << 16).contains(&count) {
        return Err(DataError::setting("count", "from 1 to 65536", count));
    }
    if values.is_empty() {
        return Err(DataError::Empty { place: Place::of("the training part").boxed(), what: "number" });
    }
    if let Some(example) = values.iter().position(|value| !value.is_finite()) {
        let place = Place::of("values").example(example).boxed();
        return Err(DataError::NotFinite { place, found: f64::from(values[example]) });
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    Ok(sorted)
}

/// `N` numbers of which the one at `index` is 1 and all others are 0.
pub fn one_hot<const N: usize>(index: u32) -> Result<[f32; N], DataError> {
    let mut numbers = [0.0; N];
    match numbers.get_mut(index as usize) {
        Some(number) => *number = 1.0,
        None => {
            let place = Place::of("the index").boxed();
            return Err(DataError::Label { place, bound: N, found: f64::from(index) });
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Standardizer;
    use proptest::prelude::*;

    fn restored<F: Fitted>(fitted: &F) -> F {
        F::from_state(&fitted.to_state()).unwrap()
    }

    #[test]
    fn a_known_range() {
        let mut rows = [[1.0, 7.0], [5.0, 7.0], [3.0, 7.0]];
        let fitted = MinMax::fit(&rows).unwrap();
        fitted.apply(&mut rows);
        assert_eq!(rows, [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]);
        fitted.invert(&mut rows);
        assert_eq!(rows, [[1.0, 7.0], [5.0, 7.0], [3.0, 7.0]]);
        let error = MinMax::fit(&[[1.0, 2.0], [3.0, f32::NAN]]).unwrap_err();
        assert_eq!(error.to_string(), "rows, column `2`, example 1: expected a finite number, found NaN");
        assert!(MinMax::<1>::fit(&[]).unwrap_err().to_string().starts_with("the training part is empty"));
    }

    /// `numpy.quantile([1, 2, 4, 8, 16, 32], [0.25, 0.5, 0.75])` is 2.5, 6, 14.
    #[test]
    fn known_buckets() {
        let values = [32.0, 1.0, 16.0, 2.0, 8.0, 4.0];
        let buckets = Buckets::quantile(&values, 4).unwrap();
        assert_eq!((buckets.edges(), buckets.count()), (&[2.5, 6.0, 14.0][..], 4));
        assert_eq!([-9.0, 2.4, 2.5, 6.1, 99.0, f32::NAN].map(|x| buckets.index(x)), [0, 0, 1, 2, 3, 0]);
        assert_eq!(Buckets::even(&[0.0, 10.0, 4.0], 5).unwrap().edges(), [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Buckets::quantile(&[3.0; 9], 4).unwrap().count(), 2);
        assert_eq!(Buckets::even(&values, 0).unwrap_err().to_string(), "`count` is 0, expected from 1 to 65536");
        assert!(Buckets::even(&[], 2).is_err() && Buckets::quantile(&[f32::INFINITY], 2).is_err());
    }

    #[test]
    fn one_hot_is_one_at_its_index() {
        assert_eq!(one_hot::<3>(1).unwrap(), [0.0, 1.0, 0.0]);
        assert_eq!(one_hot::<3>(3).unwrap_err().to_string(), "the index: expected a label from 0 to 2, found 3");
    }

    #[test]
    fn states_of_another_kind_or_shape_are_errors() {
        let state = MinMax { least: [0.0, 1.0], greatest: [2.0, 3.0] }.to_state();
        assert_eq!(state.metadata, r#"{"kind":"min_max"}"#);
        let message = |error: DataError| error.to_string();
        assert_eq!(
            message(Buckets::from_state(&state).unwrap_err()),
            "the fitted preprocessing: expected metadata of kind `buckets`, found `min_max`"
        );
        assert_eq!(
            message(MinMax::<3>::from_state(&state).unwrap_err()),
            "the fitted preprocessing, tensor `least`: expected the shape [3], found [2]"
        );
        let mut broken = state.clone();
        broken.tensors.remove(1);
        assert!(message(MinMax::<2>::from_state(&broken).unwrap_err()).contains("`greatest`"));
        broken.metadata = "[".to_owned();
        assert!(MinMax::<2>::from_state(&broken).is_err());
        let mut broken = state;
        broken.tensors[0].values[1] = f32::NAN;
        assert!(message(MinMax::<2>::from_state(&broken).unwrap_err()).ends_with("found NaN"));
    }

    proptest! {
        #[test]
        fn what_is_stored_is_restored(
            rows in proptest::collection::vec([-1e30_f32..1e30, -1.0_f32..1.0], 1..30), count in 1_usize..9,
        ) {
            let fitted = MinMax::fit(&rows).unwrap();
            prop_assert_eq!(restored(&fitted), fitted);
            let fitted = Standardizer::fit(&rows).unwrap();
            prop_assert_eq!(restored(&fitted), fitted);
            let column: Vec<f32> = rows.iter().map(|row| row[0]).collect();
            for fitted in [Buckets::even(&column, count).unwrap(), Buckets::quantile(&column, count).unwrap()] {
                prop_assert_eq!(restored(&fitted), fitted.clone());
                prop_assert!(column.iter().all(|&x| (fitted.index(x) as usize) < fitted.count()));
            }
        }

        #[test]
        fn distinct_values_fill_quantiles_evenly(
            values in proptest::collection::btree_set(-10_000_i32..10_000, 8..80), count in 1_usize..8,
        ) {
            let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
            let buckets = Buckets::quantile(&values, count).unwrap();
            let mut sizes = vec![0_usize; count];
            values.iter().for_each(|&x| sizes[buckets.index(x) as usize] += 1);
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 2, "{sizes:?}");
        }

        #[test]
        fn arbitrary_states_never_panic(metadata: String, name: String, values: Vec<f32>) {
            for metadata in [metadata, r#"{"kind":"min_max"}"#.to_owned(), r#"{"kind":"buckets"}"#.to_owned()] {
                let tensor = FittedTensor { name: name.clone(), dims: vec![], values: values.clone() };
                let state = FittedState { metadata, tensors: vec![tensor] };
                let _ = MinMax::<2>::from_state(&state);
                let _ = Buckets::from_state(&state);
                let _ = Standardizer::<2>::from_state(&state);
            }
        }
    }
}
