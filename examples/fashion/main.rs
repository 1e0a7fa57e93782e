//! Clothes: trains a small convolutional network on the 60,000 images of Fashion-MNIST, and tests it on 10,000 more.
//!
//! `cargo run --release --example fashion -- FOLDER` reads the four IDX files of that folder, gzipped or not; without
//! a folder it is that of the Debian package `dataset-fashion-mnist`. `--epochs 3` trains shorter, and the learning rate
//! falls as much sooner; `--seed 2` draws other random numbers. Every epoch shows the training images anew: half of them
//! mirrored, all moved by up to a pixel. Of the training images 5 % of each kind are set aside to watch the training; the
//! test images have no say in it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use dl_train::data::{Augmented, ImageAugmentation, Subset, collect, read_idx};
use dl_train::metrics::{Average, ConfusionMatrix};
use dl_train::{Trainer, split};
use dln::runtime::{Examples, Schedule, Shape};

dln::include_network!("examples/fashion/fashion.dln");

/// Where the Debian package puts the files.
const FOLDER: &str = "/usr/share/datasets/fashion-mnist";

fn main() -> ExitCode {
    match train_and_test() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Trains with the seed that is asked for, and prints how many test images of each kind are told right.
fn train_and_test() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let Arguments { folder, epochs, seed } = arguments()?;
    let (all, test) = (load(&folder, "train")?, load(&folder, "t10k")?);
    println!("{} images for training, {} for the test", all.len(), test.len());

    let (train, validation) = split::stratified(&all.kind, 0.05, seed)?;
    let train = collect(&Subset::new(&all, train)?, 0)?;
    let validation = collect(&Subset::new(&all, validation)?, 0)?;
    let changes = ImageAugmentation::new().flip_horizontal().crop(1);
    let augmented = Augmented::new(&train, seed, |batch: &mut fashion::Examples, at, rng| {
        changes.apply(&mut batch.image[at], rng);
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut trainer = Trainer::<Fashion>::new().seed(seed).threads(threads);
    if let Some(epochs) = epochs {
        trainer = trainer.epochs(epochs).schedule(Schedule::new(Shape::OneCycle {
            epochs: epochs as f64,
            rise: 0.3,
            start: 0.04,
            end: 4e-6,
        }));
    }
    let trained = trainer.fit(&augmented, &validation)?;

    let best = |probabilities: &[f32; 10]| {
        (0..10).max_by(|&a, &b| probabilities[a as usize].total_cmp(&probabilities[b as usize])).unwrap_or(0)
    };
    let predictions: Vec<u32> = trained.predict(&test)?.probabilities.iter().map(best).collect();
    let mut matrix = ConfusionMatrix::new(KINDS.len())?;
    matrix.update(&predictions, &test.kind)?;
    for (name, kind) in KINDS.iter().zip(0..) {
        println!("{name:12} {:5.1} %", 100.0 * matrix.recall(Average::Class(kind))?);
    }
    println!("time {:.0} s", start.elapsed().as_secs_f64());
    println!("test accuracy {:.2} %", 100.0 * matrix.accuracy()?);
    Ok(())
}

/// The kinds, as the data number them.
const KINDS: [&str; 10] =
    ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// The images and labels of one of the two parts.
fn load(folder: &Path, part: &str) -> Result<fashion::Examples, Box<dyn Error>> {
    let image = read_idx::<u8>(file(folder, &format!("{part}-images-idx3-ubyte")))?;
    let kind = read_idx::<u8>(file(folder, &format!("{part}-labels-idx1-ubyte")))?;
    let image = image.map(|grey| f32::from(grey) / 255.0).examples()?;
    Ok(fashion::Examples { image, kind: kind.labels(10)? })
}

/// The gzipped file of that name if there is one, else the plain one.
fn file(folder: &Path, name: &str) -> PathBuf {
    let zipped = folder.join(format!("{name}.gz"));
    if zipped.exists() { zipped } else { folder.join(name) }
}

/// What the command line says.
struct Arguments {
    folder: PathBuf,
    /// As many as `fashion.dln` says, unless set.
    epochs: Option<usize>,
    seed: u64,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments { folder: PathBuf::from(FOLDER), epochs: None, seed: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().and_then(|number| number.parse::<u32>().ok());
            number.ok_or_else(|| format!("{argument} expects a number"))
        };
        match argument.as_str() {
            "--epochs" => found.epochs = Some(number()? as usize),
            "--seed" => found.seed = u64::from(number()?),
            flag if flag.starts_with('-') => return Err("expected a folder, --epochs COUNT or --seed NUMBER".into()),
            folder => found.folder = PathBuf::from(folder),
        }
    }
    Ok(found)
}
