//! Spoken digits: trains a recurrent network on recordings of the digits from 0 to 9, and tests it.
//!
//! `cargo run --release --example spoken-digits -- FOLDER` reads the WAV files of that folder. As the data set asks, the
//! takes 0 to 4 of each digit and speaker are the test; of the rest a fifth is for validation, by which early stopping
//! chooses the epoch. `--speakers` instead leaves out one speaker after another, and tests how well the network
//! understands somebody it has never heard. `--seeds 3` trains with the seeds 1 to 3 and prints the average.

mod data;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use dl_train::data::{FrameOptions, Frames, SoundAugmentation, collect};
use dl_train::metrics::ConfusionMatrix;
use dl_train::{Picture, Progress, Trainer, split};

use data::{RATE, Recording, Spoken};

dln::network! {
    /// Gated recurrent units read the frames from both ends; the mean of their states decides.
    network Digits {
        /// Log-mel frames, one every 10 ms.
        input frames: [64, 40];
        label digit: index(10);

        states: [time, units] = frames |> bidirectional(gru(64));
        logits = mean(states, over: time) |> flatten |> dropout(0.4) |> dense(10);

        output probabilities = softmax(logits);
        loss   cross_entropy(logits, digit);
        metric accuracy(logits, digit);

        train {
            optimizer: adam(learning_rate: 0.003),
            schedule: cosine(epochs: 60, end: 0.02),
            clip: global_norm(1.0),
            batch: 16,
            epochs: 60,
            stop: early(patience: 20),
        }
    }
}

fn main() -> ExitCode {
    match train_and_test() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Trains as the command line says, and prints how many recordings of the test are told right.
fn train_and_test() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let Arguments { folder, seeds, speakers } = arguments()?;
    let recordings = data::load(&folder)?;
    println!("{} recordings", recordings.len());
    let output = std::env::current_exe()?.with_file_name("spoken-digits-output");
    std::fs::create_dir_all(&output)?;

    let splits = if speakers { by_speaker(&recordings) } else { vec![by_take(&recordings)] };
    let alone = seeds == 1 && splits.len() == 1;
    let progress = if alone { Progress::Auto } else { Progress::Silent };
    let mut all = ConfusionMatrix::new(10)?;
    for seed in 1..=seeds {
        for Split { name, rest, test } in &splits {
            let (predictions, digits) = run(rest, test, seed, progress)?;
            let mut matrix = ConfusionMatrix::new(10)?;
            matrix.update(&predictions, &digits)?;
            println!("seed {seed}, {name}: {:.2} % of {} right", 100.0 * matrix.accuracy()?, matrix.examples());
            all.update(&predictions, &digits)?;
        }
    }
    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let picture = output.join(if speakers { "speakers.svg" } else { "takes.svg" });
    Picture::confusion_matrix(&all, &names)?.save(&picture)?;
    println!("wrote {}", picture.display());
    println!("time {:.1} s", start.elapsed().as_secs_f64());
    println!("test accuracy {:.2} %", 100.0 * all.accuracy()?);
    Ok(())
}

/// A part to train on and another to test, of the same recordings.
struct Split<'a> {
    name: String,
    rest: Vec<&'a Recording>,
    test: Vec<&'a Recording>,
}

impl<'a> Split<'a> {
    fn new(name: impl Into<String>, all: &'a [Recording], is_test: impl Fn(&Recording) -> bool) -> Self {
        let (test, rest) = all.iter().partition(|&recording| is_test(recording));
        Self { name: name.into(), rest, test }
    }
}

/// The split of the data set: the takes 0 to 4 are the test.
fn by_take(all: &[Recording]) -> Split<'_> {
    Split::new("takes 0 to 4", all, |recording| recording.take < 5)
}

/// Each speaker is the test once.
fn by_speaker(all: &[Recording]) -> Vec<Split<'_>> {
    let speakers: BTreeSet<&str> = all.iter().map(|recording| recording.speaker.as_str()).collect();
    speakers.into_iter().map(|speaker| Split::new(speaker, all, |recording| recording.speaker == speaker)).collect()
}

/// Trains with one seed, and tests: for each recording of the test what was heard and what was said.
fn run(
    rest: &[&Recording],
    test: &[&Recording],
    seed: u64,
    progress: Progress,
) -> Result<(Vec<u32>, Vec<u32>), Box<dyn Error>> {
    let frames = Frames::new(FrameOptions::speech(RATE))?;
    let kinds: Vec<(u32, &str)> = rest.iter().map(|recording| (recording.digit, recording.speaker.as_str())).collect();
    let (train, validation) = split::stratified(&kinds, 0.2, seed)?;
    let of = |part: &[usize]| Spoken::new(part.iter().map(|&at| rest[at]).collect(), &frames);
    let change = SoundAugmentation::new().shift(400).noise(0.002)?.time_mask(400);
    let train = of(&train).changed(change, seed);
    let validation = collect(&of(&validation), 0)?;
    let test = collect(&Spoken::new(test.to_vec(), &frames), 0)?;

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let trainer = Trainer::<Digits>::new().seed(seed).threads(threads).workers(1).progress(progress);
    let trained = trainer.fit(&train, &validation)?;
    let best = |probabilities: &[f32; 10]| {
        (0..10).max_by(|&a, &b| probabilities[a as usize].total_cmp(&probabilities[b as usize])).unwrap_or(0)
    };
    let predictions = trained.predict(&test)?.probabilities.iter().map(best).collect();
    Ok((predictions, test.digit))
}

/// What the command line says.
struct Arguments {
    folder: PathBuf,
    seeds: u64,
    speakers: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut found = Arguments { folder: data::folder(), seeds: 1, speakers: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--speakers" => found.speakers = true,
            "--seeds" => {
                let seeds = arguments.next().and_then(|seeds| seeds.parse().ok());
                let seeds = seeds.filter(|seeds| (1..=1000).contains(seeds));
                found.seeds = seeds.ok_or("--seeds expects a number from 1 to 1000")?;
            }
            flag if flag.starts_with('-') => return Err("expected a folder, --speakers or --seeds COUNT".into()),
            folder => found.folder = PathBuf::from(folder),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README states more; this is the least that seed 1 must reach.
    #[test]
    fn the_stated_accuracy_is_reached() {
        let folder = data::folder();
        if !folder.is_dir() {
            println!("skipped: {} is absent", folder.display());
            return;
        }
        let recordings = data::load(&folder).unwrap();
        let Split { rest, test, .. } = by_take(&recordings);
        let (predictions, digits) = run(&rest, &test, 1, Progress::Silent).unwrap();
        let mut matrix = ConfusionMatrix::new(10).unwrap();
        matrix.update(&predictions, &digits).unwrap();
        assert!(matrix.accuracy().unwrap() >= 0.95, "{}", matrix.accuracy().unwrap());
    }

    /// No recording of the test, and with `--speakers` no voice of it, is heard in training.
    #[test]
    fn nothing_of_the_test_is_in_training() {
        let all: Vec<Recording> = data::tests::recordings();
        let Split { rest, test, .. } = by_take(&all);
        assert!(rest.iter().all(|recording| recording.take >= 5) && test.iter().all(|recording| recording.take < 5));
        assert_eq!((rest.len(), test.len()), (18, 12));
        let splits = by_speaker(&all);
        assert_eq!(splits.len(), 3);
        for Split { name, rest, test } in splits {
            assert!(rest.iter().all(|recording| recording.speaker != name));
            assert!(test.iter().all(|recording| recording.speaker == name));
            assert_eq!((rest.len(), test.len()), (20, 10));
        }
    }
}
