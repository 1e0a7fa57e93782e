//! Tests of event files against bytes put together by hand and a reader that knows only the format.

use super::*;
use crate::testing::{Line, Points};
use crate::{Progress, Trainer};

/// CRC-32C bit by bit, from its polynomial (Castagnoli et al., 1993).
fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// The data of each record, once its checksums were found right.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let checked = |data: &[u8], sum: &[u8]| {
        let expected = crc(data).rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(u32::from_le_bytes(sum.try_into().unwrap()), expected);
    };
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(8);
        let (sum, rest) = rest.split_at(4);
        checked(length, sum);
        let (data, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (sum, rest) = rest.split_at(4);
        checked(data, sum);
        records.push(data.to_vec());
        bytes = rest;
    }
    records
}

#[test]
fn the_checksum_of_this_test_is_that_of_the_standard() {
    assert_eq!(crc(b"123456789"), 0xe306_9283);
    assert_eq!(crc(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
}

#[test]
fn records_are_the_bytes_of_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path()).unwrap();
    writer.start(1).unwrap();
    writer.scalar("a", 300, 1.5).unwrap();
    writer.image("i", 2, (3, 4), b"PNG").unwrap();
    let records = records(&std::fs::read(writer.path()).unwrap());
    // Each begins with the time: field 1, eight bytes.
    let bodies: Vec<&[u8]> = records.iter().map(|record| &record[9..]).collect();
    assert!(records.iter().all(|record| record[0] == 0x09));
    assert_eq!(bodies[0], b"\x1a\x0dbrain.Event:2");
    assert_eq!(bodies[1], b"\x10\x01\x3a\x02\x08\x01");
    assert_eq!(bodies[2], b"\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15\x00\x00\xc0\x3f");
    assert_eq!(bodies[3], b"\x10\x02\x2a\x12\x0a\x10\x0a\x01i\x22\x0b\x08\x04\x10\x03\x18\x03\x22\x03PNG");
    assert_eq!(bodies.len(), 4);
}

#[test]
fn histograms_count_every_finite_number() {
    let doubles = |bytes: &[u8]| -> Vec<f64> {
        bytes.chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let bytes = histogram(&[0.0, 30.0, 1.5, f32::NAN, 29.0]).unwrap().0;
    let head: Vec<f64> = bytes[..45].chunks(9).map(|field| doubles(&field[1..])[0]).collect();
    assert_eq!(head, [0.0, 30.0, 4.0, 60.5, 1743.25]);
    // 240 bytes: f0 01.
    assert_eq!(bytes[45..48], [0x32, 0xf0, 0x01]);
    assert_eq!(doubles(&bytes[48..288]), (1..=30).map(f64::from).collect::<Vec<_>>());
    assert_eq!(bytes[288..291], [0x3a, 0xf0, 0x01]);
    let counts = doubles(&bytes[291..]);
    assert_eq!([counts[0], counts[1], counts[29]], [1.0, 1.0, 2.0]);
    assert_eq!(counts.iter().sum::<f64>(), 4.0);
    assert!(histogram(&[f32::NAN]).is_none());
    assert_eq!(histogram(&[2.0; 3]).unwrap().0[45..47], [0x32, 8]);
    assert!(histogram(&[f32::MAX, f32::MIN]).is_some());
}

#[test]
fn a_run_writes_scalars_and_histograms_of_each_epoch() {
    let (folder, points) = (tempfile::tempdir().unwrap(), Points::new(4, |x| x));
    let board = TensorBoard::new(folder.path()).histograms(2);
    let trainer = Trainer::<Line>::new().progress(Progress::Silent).learning_rate(0.01).epochs(2);
    trainer.callback(board).fit(&points, &points).unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let records = records(&std::fs::read(file).unwrap());
    let with =
        |tag: &str| records.iter().filter(|record| record.windows(tag.len()).any(|w| w == tag.as_bytes())).count();
    assert_eq!([with("train/loss"), with("validation/close"), with("learning_rate")], [2, 2, 2]);
    assert_eq!(with("parameters/weights"), 1);
    let none = Trainer::<Line>::new().progress(Progress::Silent).callback(TensorBoard::new("unused").histograms(0));
    assert!(none.fit(&points, &points).unwrap_err().to_string().contains("expected at least 1 epoch"));
}
