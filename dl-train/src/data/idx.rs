//! IDX files, the format of MNIST and its relatives: a file enters, plain or gzipped, an [`Array`] leaves.
//!
//! The format (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"): two zero bytes, a byte for the
//! element type, a byte for the number of dimensions, each dimension as a big-endian `u32`, then the elements, big
//! endian and row major. What the header announces is compared with the size of the file before anything is stored.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::array::{Array, elements};
use super::{DataError, Place};

/// An element type of IDX files: `u8`, `i8`, `i16`, `i32`, `f32`, `f64`.
pub trait IdxElement: Copy {
    /// The byte that stands for it.
    const CODE: u8;
    /// Bytes of one element.
    const SIZE: usize;
    /// One element from that many big-endian bytes.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! idx_elements {
    ($($element:ty: $code:literal)*) => {$(
        impl IdxElement for $element {
            const CODE: u8 = $code;
            const SIZE: usize = size_of::<$element>();
            fn from_bytes(bytes: &[u8]) -> Self {
                let mut element = [0; size_of::<$element>()];
                element.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Self::from_be_bytes(element)
            }
        }
    )*};
}

idx_elements! { u8: 0x08 i8: 0x09 i16: 0x0B i32: 0x0C f32: 0x0D f64: 0x0E }

const CODES: [(u8, &str); 6] = [(0x08, "u8"), (0x09, "i8"), (0x0B, "i16"), (0x0C, "i32"), (0x0D, "f32"), (0x0E, "f64")];

/// A deflated byte holds at most this many bytes (the limit of the method, RFC 1951).
pub(crate) const MOST_DEFLATION: u64 = 1032;

/// Reads a file of elements `T`, such as `read_idx::<u8>("train-images-idx3-ubyte.gz")`.
pub fn read_idx<T: IdxElement>(path: impl AsRef<Path>) -> Result<Array<T>, DataError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
    parse_idx(path, &bytes)
}

/// Reads the bytes of a file of elements `T`; errors name `source`.
pub fn parse_idx<T: IdxElement>(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Array<T>, DataError> {
    let place = Place::of(source);
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let most = (bytes.len() as u64).saturating_mul(MOST_DEFLATION);
        parse(&place, MultiGzDecoder::new(bytes), most)
    } else {
        parse(&place, bytes, bytes.len() as u64)
    }
}

/// Reads from `reader`, which gives at most `most` bytes.
fn parse<T: IdxElement>(place: &Place, mut reader: impl Read, most: u64) -> Result<Array<T>, DataError> {
    let mut magic = [0; 4];
    fill(place, &mut reader, &mut magic, 0)?;
    let [0, 0, code, rank] = magic else {
        return Err(DataError::format(
            &place.byte(0),
            "two zero bytes, as an IDX file begins",
            format!("{:02x} {:02x}", magic[0], magic[1]),
        ));
    };
    let name = |code| CODES.iter().find(|(known, _)| *known == code).map_or("no type", |(_, name)| name);
    if code != T::CODE {
        let expected = format!("elements of type {} (0x{:02x})", name(T::CODE), T::CODE);
        return Err(DataError::format(&place.byte(2), expected, format!("{} (0x{code:02x})", name(code))));
    }
    if rank == 0 {
        return Err(DataError::format(&place.byte(3), "at least 1 dimension", "0"));
    }
    let mut dims = Vec::new();
    for axis in 0..u64::from(rank) {
        let mut dim = [0; 4];
        fill(place, &mut reader, &mut dim, 4 + 4 * axis)?;
        dims.push(u32::from_be_bytes(dim) as usize);
    }
    let header = 4 + 4 * u64::from(rank);
    let size = elements(&dims).and_then(|count| count.checked_mul(T::SIZE)).map(|size| size as u64);
    let Some(size) = size.filter(|&size| size <= most.saturating_sub(header)) else {
        let place = place.byte(4).boxed();
        let (expected, found) = (size.unwrap_or(u64::MAX), most.saturating_sub(header));
        return Err(DataError::Count { place, unit: "bytes of elements", expected, found });
    };
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(size.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| DataError::read(&place.source, error))?;
    if bytes.len() as u64 != size {
        let place = place.byte(header).boxed();
        return Err(DataError::Count { place, unit: "bytes of elements", expected: size, found: bytes.len() as u64 });
    }
    let values = bytes.chunks_exact(T::SIZE).map(T::from_bytes).collect();
    Array::at(place.clone(), dims, values)
}

fn fill(place: &Place, reader: &mut impl Read, buffer: &mut [u8; 4], at: u64) -> Result<(), DataError> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(4).read_to_end(&mut bytes);
    read.map_err(|error| DataError::read(&place.source, error))?;
    match bytes.first_chunk() {
        Some(four) => {
            *buffer = *four;
            Ok(())
        }
        None => {
            let place = place.byte(at).boxed();
            Err(DataError::Count { place, unit: "bytes of the header", expected: 4, found: bytes.len() as u64 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::shared;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(code: u8, dims: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn message<T: IdxElement>(bytes: &[u8]) -> String {
        parse_idx::<T>("some.idx", bytes).map(|array| array.dims().to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn all_element_types_are_read() {
        let plain = file(0x08, &[2, 3], &[1, 2, 3, 4, 5, 255]);
        for bytes in [gzip(&plain), plain] {
            let array = parse_idx::<u8>("x", &bytes).unwrap();
            assert_eq!((array.dims(), array.values()), (&[2, 3][..], &[1, 2, 3, 4, 5, 255][..]));
        }
        assert_eq!(parse_idx::<i8>("x", &file(0x09, &[1], &[0xff])).unwrap().values(), [-1]);
        assert_eq!(parse_idx::<i16>("x", &file(0x0B, &[1], &[0xff, 0xfe])).unwrap().values(), [-2]);
        assert_eq!(parse_idx::<i32>("x", &file(0x0C, &[1], &[0, 0, 1, 2])).unwrap().values(), [258]);
        let half = 0.5_f32.to_be_bytes();
        assert_eq!(parse_idx::<f32>("x", &file(0x0D, &[1], &half)).unwrap().values(), [0.5]);
        let half = 0.5_f64.to_be_bytes();
        assert_eq!(parse_idx::<f64>("x", &file(0x0E, &[1], &half)).unwrap().values(), [0.5]);
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        assert_eq!(message::<u8>(b"\0\0"), "some.idx, byte 0: expected 4 bytes of the header, found 2");
        assert_eq!(
            message::<u8>(b"PK\x08\x01rest"),
            "some.idx, byte 0: expected two zero bytes, as an IDX file begins, found 50 4b"
        );
        assert_eq!(
            message::<u8>(&file(0x0D, &[1], &[0; 4])),
            "some.idx, byte 2: expected elements of type u8 (0x08), found f32 (0x0d)"
        );
        assert_eq!(
            message::<u8>(&file(0x08, &[5], &[0; 4])),
            "some.idx, byte 4: expected 5 bytes of elements, found 4"
        );
        assert_eq!(
            message::<u8>(&file(0x08, &[3], &[0; 4])),
            "some.idx, byte 8: expected 3 bytes of elements, found 4"
        );
        assert_eq!(message::<u8>(&file(0x08, &[], &[])), "some.idx, byte 3: expected at least 1 dimension, found 0");
    }

    /// Nothing is allocated for dimensions that the file cannot hold.
    #[test]
    fn hostile_dimensions_are_refused_at_once() {
        for dims in [vec![u32::MAX; 3], vec![u32::MAX], vec![u32::MAX; 255], vec![1 << 16, 1 << 16, 1 << 16, 1 << 16]] {
            for bytes in [file(0x0E, &dims, &[0; 100]), gzip(&file(0x0E, &dims, &[0; 100]))] {
                let measured = allocation_counter::measure(|| {
                    assert!(message::<f64>(&bytes).contains("bytes of elements"));
                });
                assert!(measured.bytes_max < 200_000, "{} bytes", measured.bytes_max);
            }
        }
    }

    #[test]
    fn a_truncated_gzip_file_is_an_error() {
        let whole = gzip(&file(0x08, &[4000], &(0..4000_u32).map(|i| (i * i) as u8).collect::<Vec<_>>()));
        assert!(parse_idx::<u8>("x", &whole).is_ok());
        for end in [3, 12, 40, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            assert!(parse_idx::<u8>("x", &whole[..end]).is_err(), "cut at {end} of {}", whole.len());
        }
        assert_eq!(
            read_idx::<u8>("no/such/file").unwrap_err().to_string(),
            "no/such/file could not be read: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn mnist_is_what_it_is() {
        let Some(folder) = shared("mnist") else { return };
        let images = read_idx::<u8>(folder.join("t10k-images-idx3-ubyte.gz")).unwrap();
        assert_eq!(images.dims(), [10_000, 28, 28]);
        // The mean grey of the test images, as widely published for normalization: 0.1325.
        let mean = images.values().iter().map(|&grey| f64::from(grey)).sum::<f64>() / (255.0 * 7_840_000.0);
        assert!((mean - 0.1325).abs() < 0.0001, "{mean}");
        let labels = read_idx::<u8>(folder.join("t10k-labels-idx1-ubyte.gz")).unwrap();
        // The published first labels and class counts of the test set.
        assert_eq!(labels.values()[..5], [7, 2, 1, 0, 4]);
        let digits = labels.labels(10).unwrap();
        assert_eq!(digits.iter().filter(|&&digit| digit == 1).count(), 1135);
        assert!(labels.labels(9).unwrap_err().to_string().ends_with("expected a label from 0 to 8, found 9"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), code in 8_u8..15, rank in 0_u8..5, zip: bool,
        ) {
            let _ = parse_idx::<u8>("x", &bytes);
            let mut bytes = [&[0, 0, code, rank][..], &bytes].concat();
            if zip {
                bytes = gzip(&bytes);
            }
            let _ = parse_idx::<u8>("x", &bytes);
            let _ = parse_idx::<i16>("x", &bytes);
            let _ = parse_idx::<f64>("x", &bytes);
        }
    }
}
