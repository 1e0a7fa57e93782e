//! Tensors by name: a block and its table enter, bytes of the safetensors format leave, and back.
//!
//! The format is the one of <https://github.com/huggingface/safetensors>: readable by every framework, without code
//! in it. All numbers are F32, little endian. A file is checked whole before anything is written; hostile bytes are
//! an error, never a panic. Nothing here opens files.

use std::borrow::Cow;
use std::ops::Range;

use safetensors::{Dtype, SafeTensors, View};

use crate::LoadError;
use crate::network::TensorInfo;

/// The tensors of a block as bytes of the safetensors format. Equal tensors give equal bytes.
pub fn save(infos: &[TensorInfo], floats: &[f32]) -> Result<Vec<u8>, LoadError> {
    let mut tensors = Vec::with_capacity(infos.len());
    for info in infos {
        tensors.push((info.name, Stored { dims: info.dims, floats: &floats[range(info, floats)?] }));
    }
    safetensors::serialize(tensors, None).map_err(format_error)
}

/// Reads bytes of the safetensors format into a block: exactly these tensors with these shapes. On an error the
/// block is as before.
pub fn load(infos: &[TensorInfo], floats: &mut [f32], bytes: &[u8]) -> Result<(), LoadError> {
    if let Some((len, rest)) = bytes.split_first_chunk() {
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        // A header longer than the file is the reader's to report.
        check_numbers(&rest[..len.min(rest.len())])?;
    }
    let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
    let mut names = file.names();
    names.sort_unstable();

    let missing: Vec<_> =
        infos.iter().map(|info| info.name).filter(|name| names.binary_search(name).is_err()).collect();
    if !missing.is_empty() {
        return Err(LoadError::Missing { names: missing });
    }
    if let Some(name) = names.iter().find(|name| infos.iter().all(|info| info.name != **name)) {
        return Err(LoadError::Unexpected { name: name.to_string() });
    }

    let mut places = Vec::with_capacity(infos.len());
    for info in infos {
        let found = file.tensor(info.name).map_err(format_error)?;
        if found.dtype() != Dtype::F32 {
            return Err(LoadError::Dtype { name: info.name, found: format!("{:?}", found.dtype()) });
        }
        if found.shape() != info.dims {
            return Err(LoadError::Shape { name: info.name, expected: info.dims, found: found.shape().to_vec() });
        }
        places.push((range(info, floats)?, found));
    }
    for (range, found) in places {
        let (numbers, _) = found.data().as_chunks();
        for (float, bytes) in floats[range].iter_mut().zip(numbers) {
            *float = f32::from_le_bytes(*bytes);
        }
    }
    Ok(())
}

/// Copies every tensor whose name starts with `prefix` and that has the same name and shape on both sides. Returns
/// how many were copied; all others stay as they are.
pub fn copy(to_infos: &[TensorInfo], to: &mut [f32], from_infos: &[TensorInfo], from: &[f32], prefix: &str) -> usize {
    let mut copied = 0;
    for target in to_infos.iter().filter(|target| target.name.starts_with(prefix)) {
        let same = |source: &&TensorInfo| source.name == target.name && source.dims == target.dims;
        let Some(source) = from_infos.iter().find(same) else { continue };
        if let (Ok(target), Ok(source)) = (range(target, to), range(source, from)) {
            to[target].copy_from_slice(&from[source]);
            copied += 1;
        }
    }
    copied
}

/// Where a tensor lies in its block.
fn range(info: &TensorInfo, floats: &[f32]) -> Result<Range<usize>, LoadError> {
    let len = info.dims.iter().try_fold(1_usize, |len, &dim| len.checked_mul(dim));
    len.and_then(|len| info.offset.checked_add(len))
        .filter(|&end| end <= floats.len())
        .map(|end| info.offset..end)
        .ok_or(LoadError::OutOfBlock { name: info.name, floats: floats.len() })
}

/// Refuses numbers of more than 15 digits in the header of a file, which is JSON: the reader adds offsets without asking
/// whether the sum overflows, and no file is that long.
pub fn check_numbers(header: &[u8]) -> Result<(), LoadError> {
    let (mut in_string, mut escaped, mut digits) = (false, false, 0);
    for &byte in header {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        digits = if byte.is_ascii_digit() && !in_string { digits + 1 } else { 0 };
        if digits > 15 {
            return Err(LoadError::Format { reason: "a size or offset has more than 15 digits".to_owned() });
        }
    }
    Ok(())
}

fn format_error(error: safetensors::SafeTensorError) -> LoadError {
    LoadError::Format { reason: error.to_string() }
}

/// A tensor as the writer wants it.
struct Stored<'a> {
    dims: &'a [usize],
    floats: &'a [f32],
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.dims
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.floats.iter().flat_map(|float| float.to_le_bytes()).collect()
    }
    fn data_len(&self) -> usize {
        size_of_val(self.floats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INFOS: &[TensorInfo] = &[
        TensorInfo { name: "hidden.weight", dims: &[2, 3], offset: 0, place: "" },
        TensorInfo { name: "hidden.bias", dims: &[3], offset: 16, place: "" },
        TensorInfo { name: "scale", dims: &[], offset: 32, place: "" },
    ];
    const LEN: usize = 48;

    fn block() -> Vec<f32> {
        let mut floats = vec![0.0; LEN];
        for info in INFOS {
            for (i, x) in floats[info.offset..][..info.len()].iter_mut().enumerate() {
                *x = (info.offset + i) as f32 + 0.25;
            }
        }
        floats
    }

    /// A file by hand: header text, then data.
    fn file(header: &str, data: &[f32]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data.iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    fn reading(infos: &[TensorInfo], bytes: &[u8]) -> Result<Vec<f32>, LoadError> {
        let mut floats = vec![-1.0; LEN];
        let result = load(infos, &mut floats, bytes);
        if result.is_err() {
            assert!(floats.iter().all(|&x| x == -1.0), "a failed load wrote something");
        }
        result.map(|()| floats)
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let mut floats = block();
        floats[1] = f32::NAN;
        floats[2] = -0.0;
        floats[3] = 1e-42;
        let bytes = save(INFOS, &floats).unwrap();
        assert_eq!(bytes, save(INFOS, &floats).unwrap());
        let read = reading(INFOS, &bytes).unwrap();
        for info in INFOS {
            for at in info.offset..info.offset + info.len() {
                assert_eq!(read[at].to_bits(), floats[at].to_bits());
            }
        }
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        const ONE: &[TensorInfo] = &[TensorInfo { name: "w", dims: &[2], offset: 3, place: "" }];
        let header =
            r#"{"__metadata__":{"hash":"01234567890123456789"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let read = reading(ONE, &file(header, &[1.5, -2.0])).unwrap();
        assert_eq!(read[2..6], [-1.0, 1.5, -2.0, -1.0]);
    }

    #[test]
    fn an_error_says_what_differs() {
        let bytes = save(INFOS, &block()).unwrap();
        assert_eq!(reading(&INFOS[..2], &bytes), Err(LoadError::Unexpected { name: "scale".to_owned() }));
        let two = save(&INFOS[..1], &block()).unwrap();
        assert_eq!(reading(INFOS, &two).unwrap_err().to_string(), "the checkpoint lacks `hidden.bias`, `scale`");
        let mut infos = INFOS.to_vec();
        infos[0].dims = &[3, 2];
        assert_eq!(
            reading(&infos, &bytes).unwrap_err().to_string(),
            "`hidden.weight` has shape [3, 2] in the network, found [2, 3]"
        );
        let header = r#"{"w":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#;
        const ONE: &[TensorInfo] = &[TensorInfo { name: "w", dims: &[1], offset: 0, place: "" }];
        assert_eq!(
            reading(ONE, &file(header, &[0.0])).unwrap_err().to_string(),
            "`w` is of type F32 in the network, found I32"
        );
    }

    #[test]
    fn a_table_that_leaves_its_block_is_an_error() {
        let infos = [TensorInfo { name: "w", dims: &[usize::MAX, 2], offset: 0, place: "" }];
        assert!(matches!(save(&infos, &[0.0]), Err(LoadError::OutOfBlock { name: "w", .. })));
        let infos = [TensorInfo { name: "w", dims: &[4], offset: usize::MAX, place: "" }];
        assert!(matches!(save(&infos, &[0.0]), Err(LoadError::OutOfBlock { .. })));
        assert_eq!(copy(&infos, &mut [0.0], &infos, &[1.0], ""), 0);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = save(INFOS, &block()).unwrap();
        for len in 0..bytes.len() {
            assert!(matches!(reading(INFOS, &bytes[..len]), Err(LoadError::Format { .. })), "{len}");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(reading(INFOS, &longer).is_err());
    }

    #[test]
    fn hostile_headers_are_errors() {
        let w = |shape: &str, offsets: &str| {
            format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let eighth = 1_u64 << 61;
        let overflowing: Vec<_> = (0..8)
            .map(|i| {
                let (start, end) = (i * eighth, (i + 1).wrapping_mul(eighth).wrapping_sub(u64::from(i == 7)));
                format!(
                    r#""t{i}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#,
                    end.wrapping_sub(start)
                )
            })
            .collect();
        let headers = [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            "\0\0\0".to_owned(),
            "[".repeat(100_000),
            format!("{{\"w\":{}", "{\"a\":".repeat(100_000)),
            w("[1]", "[0,8]"),
            w("[1]", "[4,0]"),
            w("[1]", "[4,8]"),
            w("[1]", "[0,-4]"),
            w("[18446744073709551615,2]", "[0,4]"),
            w("[4294967296,4294967296,4294967296]", "[0,4]"),
            w("[99999999999999]", "[0,399999999999996]"),
            w("[1e9]", "[0,4]"),
            format!("{{{}}}", overflowing.join(",")),
            r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_owned(),
        ];
        const ONE: &[TensorInfo] = &[TensorInfo { name: "w", dims: &[1], offset: 0, place: "" }];
        for header in headers {
            let bytes = file(&header, &[1.0]);
            let shown: String = header.chars().take(80).collect();
            assert!(matches!(reading(ONE, &bytes), Err(LoadError::Format { .. })), "{shown}");
        }
        for len in [u64::MAX, u64::MAX - 7, 1 << 63, 100_000_001, 99_999_999] {
            let mut bytes = len.to_le_bytes().to_vec();
            bytes.extend([b'{'; 100]);
            assert!(matches!(reading(ONE, &bytes), Err(LoadError::Format { .. })), "{len}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(reading(INFOS, &bytes).is_err());
        }

        #[test]
        fn random_headers_do_not_panic(header in "[{}\\[\\]:,\"a-z0-9_\\\\ -]{0,120}") {
            let _ = reading(INFOS, &file(&header, &[0.0; 4]));
        }

        #[test]
        fn changed_bytes_do_not_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = save(INFOS, &block()).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = reading(INFOS, &bytes);
        }
    }

    #[test]
    fn copying_takes_equal_names_and_shapes() {
        let from = [
            TensorInfo { name: "hidden.bias", dims: &[3], offset: 0, place: "" },
            TensorInfo { name: "hidden.weight", dims: &[3, 2], offset: 3, place: "" },
            TensorInfo { name: "scale", dims: &[], offset: 9, place: "" },
        ];
        let values: Vec<f32> = (100..110).map(|x| x as f32).collect();
        let mut to = block();
        assert_eq!(copy(INFOS, &mut to, &from, &values, "hidden"), 1);
        assert_eq!(to[16..19], [100.0, 101.0, 102.0]);
        assert_eq!((to[0], to[32]), (0.25, 32.25));
        assert_eq!(copy(INFOS, &mut to, &from, &values, ""), 2);
        assert_eq!(to[32], 109.0);
        assert_eq!(copy(INFOS, &mut to, &from, &values, "nothing"), 0);
    }
}
