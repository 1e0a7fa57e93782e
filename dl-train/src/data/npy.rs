//! Arrays of NumPy: `.npy` and `.npz` files, and arrays of `ndarray` in memory, enter; an [`Array`] leaves.
//!
//! Elements are little endian, as NumPy writes them on all usual machines. What a header announces is compared with
//! the bytes there are before anything is stored.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};
use ndarray_npy::{ViewElement, ViewNpyError, ViewNpyExt};
use zip::ZipArchive;

use super::array::Array;
use super::idx::MOST_DEFLATION;
use super::{DataError, Place};

/// No header of an array of numbers is longer, and none nests brackets deeper.
const MOST_HEADER: usize = 1 << 14;
const MOST_BRACKETS: usize = 8;

/// Reads a `.npy` file of elements `T`, such as `f32`, `f64`, `u8` or `i64`.
pub fn read_npy<T: ViewElement + Copy>(path: impl AsRef<Path>) -> Result<Array<T>, DataError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
    parse_npy(path, &bytes)
}

/// Reads the bytes of a `.npy` file; errors name `source`.
pub fn parse_npy<T: ViewElement + Copy>(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Array<T>, DataError> {
    parse(&Place::of(source), bytes)
}

/// Reads the array `name` of a `.npz` file, plain or compressed.
pub fn read_npz<T: ViewElement + Copy>(path: impl AsRef<Path>, name: &str) -> Result<Array<T>, DataError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
    parse_npz(path, &bytes, name)
}

/// Reads the array `name` of the bytes of a `.npz` file; errors name `source`.
pub fn parse_npz<T: ViewElement + Copy>(
    source: impl AsRef<Path>,
    bytes: &[u8],
    name: &str,
) -> Result<Array<T>, DataError> {
    let place = Place::of(source);
    let archive = |error: zip::result::ZipError| DataError::format(&place, "an archive of arrays", error.to_string());
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(archive)?;
    let Some(index) = zip.index_for_name(&format!("{name}.npy")).or_else(|| zip.index_for_name(name)) else {
        let names: Vec<String> =
            zip.file_names().flatten().map(|name| format!("`{}`", name.trim_end_matches(".npy"))).collect();
        return Err(DataError::format(&place, format!("an array `{name}`"), names.join(", ")));
    };
    let mut file = zip.by_index(index).map_err(archive)?;
    let place = place.item(format!("array `{name}`"));
    let (size, most) = (file.size(), file.compressed_size().min(bytes.len() as u64).saturating_mul(MOST_DEFLATION));
    if size > most {
        let unit = "bytes at most";
        return Err(DataError::Count { place: place.boxed(), unit, expected: most, found: size });
    }
    let mut array = Vec::new();
    let read = file.by_ref().take(size.saturating_add(1)).read_to_end(&mut array);
    read.map_err(|error| DataError::read(&place.source, error))?;
    parse(&place, &array)
}

/// An array in memory: any layout, its first axis counts examples.
impl<T: Copy, S: Data<Elem = T>, D: Dimension> From<&ArrayBase<S, D>> for Array<T> {
    fn from(array: &ArrayBase<S, D>) -> Self {
        Self::from_iterator(array.shape().to_vec(), array.iter().copied())
    }
}

fn parse<T: ViewElement + Copy>(place: &Place, bytes: &[u8]) -> Result<Array<T>, DataError> {
    check_header(place, bytes)?;
    // The view wants elements at their alignment, which a slice of bytes need not have.
    let start = bytes.as_ptr().align_offset(16);
    let copy: Vec<u8>;
    let bytes = if start == 0 {
        bytes
    } else {
        copy = bytes.to_vec();
        &copy
    };
    let view = ArrayViewD::<T>::view_npy(bytes).map_err(|error| match error {
        ViewNpyError::MissingBytes(missing) => {
            let found = bytes.len() as u64;
            let expected = found.saturating_add(missing as u64);
            DataError::Count { place: place.boxed(), unit: "bytes", expected, found }
        }
        ViewNpyError::ExtraBytes(extra) => {
            let found = bytes.len() as u64;
            let expected = found.saturating_sub(extra as u64);
            DataError::Count { place: place.boxed(), unit: "bytes", expected, found }
        }
        ViewNpyError::WrongDescriptor(found) => {
            let expected = format!("elements of type {}", std::any::type_name::<T>());
            DataError::format(place, expected, format!("the type {found}"))
        }
        error => DataError::format(place, "an array of NumPy", error.to_string()),
    })?;
    let dims = view.shape().to_vec();
    Array::at(place.clone(), dims, view.iter().copied().collect())
}

/// The header is a literal of Python, whose reader follows brackets by recursion and stores it as long as it says.
fn check_header(place: &Place, bytes: &[u8]) -> Result<(), DataError> {
    let (at, length) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => (10, usize::from(*low) | usize::from(*high) << 8),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2..=3, _, a, b, c, d, ..] => {
            (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize)
        }
        _ => return Err(DataError::format(&place.byte(0), "`\\x93NUMPY` and a version from 1 to 3", "other bytes")),
    };
    let expected = length as u64;
    let Some(header) = bytes[at..].get(..length) else {
        let found = (bytes.len() - at) as u64;
        return Err(DataError::Count {
            place: place.byte(at as u64).boxed(),
            unit: "bytes of header",
            expected,
            found,
        });
    };
    let brackets = header.iter().filter(|byte| matches!(byte, b'(' | b'[' | b'{')).count();
    if length > MOST_HEADER || brackets > MOST_BRACKETS {
        let found = format!("{length} bytes with {brackets} brackets");
        return Err(DataError::format(&place.byte(at as u64), "the header of an array of numbers", found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
        let header = format!("{header:<117}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    const MATRIX: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

    /// Written by NumPy 2.4: `np.savez_compressed("arrays.npz", x=np.arange(6, dtype="f4").reshape(2, 3).T,
    /// y=np.array([3, 0, 2]))`.
    const NPZ: &[u8] = include_bytes!("fixtures/arrays.npz");

    #[test]
    fn numpy_files_are_read() {
        let bytes = npy(MATRIX, &floats(&[0., 1., 2., 3., 4., 5.]));
        let array = parse_npy::<f32>("m.npy", &bytes).unwrap();
        assert_eq!(array.examples::<[f32; 3]>().unwrap(), [[0., 1., 2.], [3., 4., 5.]]);
        // The elements of a column-major array are brought into rows.
        let bytes = npy(&MATRIX.replace("False", "True"), &floats(&[0., 3., 1., 4., 2., 5.]));
        assert_eq!(parse_npy::<f32>("m.npy", &bytes).unwrap(), array);
        let unaligned = [&[0][..], &bytes].concat();
        assert_eq!(parse_npy::<f32>("m.npy", &unaligned[1..]).unwrap(), array);
        let memory = ndarray::array![[0.0_f32, 3.0], [1.0, 4.0], [2.0, 5.0]];
        assert_eq!(Array::from(&memory.t()).values(), array.values());
        assert_eq!(Array::from(&memory.t()).dims(), [2, 3]);
    }

    #[test]
    fn archives_hold_arrays_by_name() {
        let x = parse_npz::<f32>("a.npz", NPZ, "x").unwrap();
        assert_eq!(x.examples::<[f32; 2]>().unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);
        let labels = parse_npz::<i64>("a.npz", NPZ, "y").unwrap().map(|label| label as f64).labels(4);
        assert_eq!(labels.unwrap(), [3, 0, 2]);
        assert_eq!(
            parse_npz::<f32>("a.npz", NPZ, "z").unwrap_err().to_string(),
            "a.npz: expected an array `z`, found `x`, `y`"
        );
        assert!(parse_npz::<f32>("a.npz", b"no archive", "z").unwrap_err().to_string().starts_with("a.npz: expected"));
    }

    #[test]
    fn broken_arrays_are_errors() {
        let wrong = |bytes: &[u8]| parse_npy::<f32>("m.npy", bytes).unwrap_err().to_string();
        assert!(wrong(b"").starts_with("m.npy, byte 0: expected `\\x93NUMPY`"));
        assert_eq!(wrong(b"\x93NUMPY\x01\x00\xff\x00{"), "m.npy, byte 10: expected 255 bytes of header, found 1");
        let bytes = npy(MATRIX, &floats(&[0., 1.]));
        assert_eq!(wrong(&bytes), "m.npy: expected 152 bytes, found 136");
        let bytes = npy(&MATRIX.replace("f4", "f8"), &floats(&[0.; 12]));
        assert_eq!(wrong(&bytes), "m.npy: expected elements of type f32, found the type '<f8'");
    }

    #[test]
    fn hostile_headers_are_refused() {
        let nested = format!("{{'shape': {}", "(".repeat(110));
        assert!(parse_npy::<f32>("m", &npy(&nested, &[])).unwrap_err().to_string().contains("brackets"));
        for shape in ["4294967296, 4294967296", "0, 4294967296, 4294967296", "9999999999999999999999", "1099511627776,"]
        {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
            let bytes = npy(&header, &[0; 8]);
            let measured = allocation_counter::measure(|| assert!(parse_npy::<f32>("m", &bytes).is_err(), "{shape}"));
            assert!(measured.bytes_max < 100_000, "{} bytes", measured.bytes_max);
        }
        let long = [b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &[b' '; 100][..]].concat();
        assert!(parse_npy::<f32>("m", &long).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes: Vec<u8>, header in "[{}()<>'a-z0-9_,: ]{0,60}", shape in "[0-9, ]{0,20}",
        ) {
            let _ = parse_npy::<f32>("x", &bytes);
            let _ = parse_npz::<f32>("x", &bytes, "x");
            let _ = parse_npy::<f32>("x", &npy(&header, &bytes));
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
            let _ = parse_npy::<f32>("x", &npy(&header, &bytes));
        }

        #[test]
        fn damaged_archives_never_panic(at in 0..NPZ.len(), byte: u8, end in 0..NPZ.len()) {
            let mut bytes = NPZ.to_vec();
            bytes[at] = byte;
            let _ = parse_npz::<f32>("x", &bytes, "x");
            let _ = parse_npz::<f32>("x", &bytes[..end], "x");
        }
    }
}
