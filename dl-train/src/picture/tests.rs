//! Tests of pictures: what they show is in their text, and in the colours of their pixels.

use super::*;
use crate::metrics::{BinaryScores, ConfusionMatrix};
use crate::{EpochRecord, Evaluation, History};

fn roc() -> Picture {
    let mut scores = BinaryScores::new();
    let noise = |i: usize| (i * 7919 % 101) as f32 / 100.0;
    let (values, labels): (Vec<f32>, Vec<bool>) =
        (0..200).map(|i| (noise(i) + 0.45 * (i % 2) as f32, i % 2 == 1)).unzip();
    scores.update(&values, &labels).unwrap();
    Picture::roc(&scores).unwrap()
}

fn confusion() -> Picture {
    let mut matrix = ConfusionMatrix::new(3).unwrap();
    let labels: Vec<u32> = (0..120).map(|i| i % 3).collect();
    let predictions: Vec<u32> = (0..120).map(|i| if i % 10 == 0 { (i + 1) % 3 } else { i % 3 }).collect();
    matrix.update(&predictions, &labels).unwrap();
    Picture::confusion_matrix(&matrix, &["cat", "dog", "hedgehog"]).unwrap()
}

fn boundary() -> Picture {
    let points: Vec<[f32; 2]> = (0..80)
        .map(|i| {
            let (angle, radius) = (i as f32 * 0.61, 0.4 + (i % 2) as f32 + (i * 37 % 11) as f32 * 0.05);
            [radius * angle.cos(), radius * angle.sin()]
        })
        .collect();
    let inside = |[x, y]: [f32; 2]| u32::from(x * x + y * y > 1.2);
    let labels: Vec<u32> = (0..80).map(|i| i % 2).collect();
    let predict = |grid: &[[f32; 2]]| Ok::<_, TrainError>(grid.iter().map(|&point| inside(point)).collect());
    Picture::decision_boundary(&points, &labels, predict).unwrap()
}

fn filters() -> Picture {
    let mut weights: Vec<f32> =
        (0..9 * 25).map(|i| ((i * i) as f32 * 0.37).sin() * (1.0 - (i % 5) as f32 * 0.15)).collect();
    weights[7] = -1.25;
    Picture::filters(&weights, [9, 1, 5, 5]).unwrap()
}

fn curves() -> Picture {
    let evaluation = |loss| Evaluation { loss, metrics: vec![] };
    let record = |epoch: usize| {
        let x = epoch as f64;
        let (train, validation) = (evaluation(2.0 * (-x / 3.0).exp()), evaluation(0.5 + 0.01 * (x - 6.0).powi(2)));
        EpochRecord { epoch, train, validation, seconds: 0.1 }
    };
    History { epochs: (1..=16).map(record).collect(), stopped_early: false }.generalization_curve()
}

#[test]
fn pictures_say_their_numbers() {
    let roc = roc().svg().unwrap();
    assert!(roc.contains("ROC curve: area 0.8") && roc.contains("false positive rate"), "{roc}");
    let confusion = confusion().svg().unwrap();
    for words in ["hedgehog", "36", "90 %", "10 %", "predicted class"] {
        assert!(confusion.contains(words), "{words}");
    }
    assert!(filters().svg().unwrap().contains("up to 1.250"));
    assert!(curves().svg().unwrap().contains("overfit: since epoch 6 the validation loss rose"));
}

/// Size and pixels.
#[cfg(feature = "png")]
fn decoded(bytes: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    ((reader.info().width, reader.info().height), pixels)
}

/// A circle of radius √1.2 in a square whose sides are 4 and twice 8 % of that.
#[cfg(feature = "png")]
#[test]
fn pixels_show_the_regions_of_classes() {
    let points = [[-2.0, -2.0], [2.0, 2.0]];
    let inside = |&[x, y]: &[f32; 2]| u32::from(x * x + y * y > 1.2);
    let predict = |grid: &[[f32; 2]]| Ok::<_, TrainError>(grid.iter().map(inside).collect());
    let (_, pixels) = decoded(&Picture::decision_boundary(&points, &[1, 1], predict).unwrap().png().unwrap());
    let count = |color: RGBColor| {
        let color = style::shade(color, 0.3);
        pixels.chunks(3).filter(|pixel| **pixel == [color.0, color.1, color.2]).count() as f64
    };
    let [inside, outside] = [style::COLORS[0], style::COLORS[1]].map(count);
    let expected = std::f64::consts::PI * 1.2 / (4.64 * 4.64);
    let found = inside / (inside + outside);
    assert!((found - expected).abs() < 0.003 && inside + outside > 150_000.0, "{found}, expected {expected}");
}

#[cfg(feature = "png")]
#[test]
fn every_picture_is_a_png_of_its_size() {
    for (name, picture) in [
        ("roc", roc()),
        ("confusion", confusion()),
        ("boundary", boundary()),
        ("filters", filters()),
        ("curves", curves()),
    ] {
        let bytes = picture.png().unwrap();
        let (size, pixels) = decoded(&bytes);
        assert_eq!(size, picture.size(), "{name}");
        assert!(pixels.chunks(3).any(|pixel| pixel != [255; 3]), "{name}");
    }
}

#[test]
fn files_are_named_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    roc().save(folder.path().join("made/roc.svg")).unwrap();
    assert!(folder.path().join("made/roc.svg").exists());
    let error = roc().save(folder.path().join("roc.jpg")).unwrap_err();
    assert!(error.to_string().contains("expected a name that ends in .svg or .png"));
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let matrix = ConfusionMatrix::new(51).unwrap();
    assert!(matches!(Picture::confusion_matrix(&matrix, &[]), Err(TrainError::Setting { .. })));
    let matrix = ConfusionMatrix::new(2).unwrap();
    assert!(matches!(Picture::confusion_matrix(&matrix, &["a"]), Err(TrainError::Length { .. })));
    Picture::confusion_matrix(&matrix, &[]).unwrap().svg().unwrap();
    assert!(matches!(Picture::roc(&BinaryScores::new()), Err(TrainError::Metric(_))));
    assert!(matches!(Picture::filters(&[0.0; 3], [1, 1, 2, 2]), Err(TrainError::Length { .. })));
    assert!(matches!(Picture::filters(&[], [usize::MAX; 4]), Err(TrainError::Setting { .. })));
    Picture::filters(&[f32::NAN; 4], [1, 1, 2, 2]).unwrap().svg().unwrap();
    let none = |_: &[[f32; 2]]| Ok::<_, TrainError>(Vec::new());
    assert!(matches!(Picture::decision_boundary(&[], &[], none), Err(TrainError::NoExamples { .. })));
    assert!(matches!(Picture::decision_boundary(&[[0.0; 2]], &[0], none), Err(TrainError::Length { .. })));
    assert!(matches!(Picture::decision_boundary(&[[0.0, f32::NAN]], &[0], none), Err(TrainError::Metric(_))));
    let all = |grid: &[[f32; 2]]| Ok::<_, TrainError>(vec![0; grid.len()]);
    for point in [[f32::MAX, f32::MIN], [0.0; 2], [-1e30, 1e-30]] {
        Picture::decision_boundary(&[point, [0.0, 0.0]], &[0, 1], all).unwrap().svg().unwrap();
    }
}
