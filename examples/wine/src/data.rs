//! The wines: two gzipped tables enter, distinct rows of measurements and their colours leave.
//!
//! `README.md` says where the tables come from and how they are laid out.

use std::collections::BTreeSet;
use std::io::{self, Read};

use flate2::read::GzDecoder;

/// Fixed acidity, volatile acidity, citric acid, residual sugar, chlorides, free and total sulfur dioxide, density,
/// pH, sulphates, alcohol, in the units of the tables.
pub(crate) type Sample = [f32; 11];

const WHITE: &[u8] = include_bytes!("../data/winequality-white.csv.gz");
const RED: &[u8] = include_bytes!("../data/winequality-red.csv.gz");

/// Each distinct sample and its colour (0 white, 1 red), and how many rows were left out because a row before them
/// holds the same measurements.
pub(crate) fn load() -> io::Result<(Vec<Sample>, Vec<u32>, usize)> {
    let (mut samples, mut colors) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut duplicates = 0;
    for (table, color) in [(RED, 1), (WHITE, 0)] {
        let mut text = String::new();
        GzDecoder::new(table).read_to_string(&mut text)?;
        for line in text.lines().skip(1) {
            let sample = parse(line).ok_or_else(|| {
                let message = format!("expected 11 measurements and a quality, found `{line}`");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?;
            if seen.insert(sample.map(f32::to_bits)) {
                samples.push(sample);
                colors.push(color);
            } else {
                duplicates += 1;
            }
        }
    }
    Ok((samples, colors, duplicates))
}

/// The measurements of a row; the quality, its last column, plays no part here.
fn parse(line: &str) -> Option<Sample> {
    let values: Vec<f32> = line.split(';').map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let (sample, [_quality]) = values.split_first_chunk()? else {
        return None;
    };
    Some(*sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of the source, less its 1,179 repeated rows.
    #[test]
    fn all_distinct_wines_are_there() {
        let (samples, colors, duplicates) = load().unwrap();
        assert_eq!(duplicates, 1179);
        assert_eq!((samples.len(), colors.len()), (1599 + 4898 - 1179, 1599 + 4898 - 1179));
        assert_eq!(colors.iter().sum::<u32>(), 1359);
        assert_eq!(samples[0], [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4]);
    }

    #[test]
    fn broken_rows_are_noticed() {
        assert_eq!(parse("1;2;3;4;5;6;7;8;9;10;11;6"), Some([1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]));
        assert_eq!(parse("1;2;3;4;5;6;7;8;9;10;6"), None);
        assert_eq!(parse("1;2;3;4;5;6;7;8;9;10;11;12;6"), None);
        assert_eq!(parse("1;2;x;4;5;6;7;8;9;10;11;6"), None);
        assert_eq!(parse(""), None);
    }
}
