//! The digits: the gzipped records beside this file enter, images and labels leave.
//!
//! `README.md` says where the records come from and how they are laid out.

use std::io::{self, Read};

use flate2::read::GzDecoder;

/// One channel of 8 rows of 8 grey values, from 0 (paper) to 1 (ink).
pub(crate) type Image = [[[f32; 8]; 8]; 1];

const RECORDS: &[u8] = include_bytes!("digits.bin.gz");
const PIXELS: usize = 64;
const INK: u8 = 16;

/// All images, and the digit that each shows.
pub(crate) fn load() -> io::Result<(Vec<Image>, Vec<u32>)> {
    let mut bytes = Vec::new();
    GzDecoder::new(RECORDS).read_to_end(&mut bytes)?;
    let (records, rest) = bytes.as_chunks::<{ PIXELS + 1 }>();
    if !rest.is_empty() || records.iter().any(|record| record.iter().any(|&value| value > INK)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "expected records of 64 values from 0 to 16 and a digit",
        ));
    }
    let grey = |value: u8| f32::from(value) / f32::from(INK);
    let image = |record: &[u8; PIXELS + 1]| {
        [std::array::from_fn(|row| std::array::from_fn(|column| grey(record[8 * row + column])))]
    };
    Ok((records.iter().map(image).collect(), records.iter().map(|record| u32::from(record[PIXELS])).collect()))
}
