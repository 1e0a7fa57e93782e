//! Red wine or white: trains a perceptron on eleven measurements of 5,318 wines, and tests it.
//!
//! `cargo run --release -p wine` trains once; `-- --seeds 5` trains with the seeds 1 to 5, each with its own split, and
//! prints the average. The network stands in `wine.dln` and is compiled by the build script. The split is stratified:
//! 20 % of each colour for the test, of the rest 15 % for validation, by which early stopping chooses the epoch; the
//! measurements are standardized by the training part alone. There are three white wines to a red one, so the figure
//! is balanced accuracy. It writes the curves and the parameters to a folder beside the program.
//!
//! `-- --balancing --seeds 5` compares what can be done about classes of unequal size, with all red wines and with few.

mod data;

use std::error::Error;
use std::fmt;
use std::time::Instant;

use dl_train::data::{Subset, Weighted, class_weights, example_weights, over_sample};
use dl_train::{Progress, Standardizer, Trained, Trainer, metrics, split};
use dln::runtime::Tensors;

use data::Sample;

dln::include_compiled!("wine");

/// Measurements and colours.
struct Wines {
    samples: Vec<Sample>,
    /// 1 for red, 0 for white.
    colors: Vec<u32>,
}

/// What is done about there being more wines of one colour, in training alone.
#[derive(Clone, Copy, PartialEq)]
enum Balancing {
    /// Nothing.
    None,
    /// A red wine weighs as much more as there are more white ones.
    Weights,
    /// Red wines are shown several times.
    OverSampling,
}

impl fmt::Display for Balancing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "no balancing",
            Self::Weights => "class weights",
            Self::OverSampling => "over-sampling",
        })
    }
}

/// A training: which split and how.
#[derive(Clone, Copy)]
struct Task {
    seed: u64,
    balancing: Balancing,
    /// Of that many red wines that are not for the test, one is used.
    one_red_in: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (balancing, seeds) = arguments()?;
    let (samples, colors, duplicates) = data::load()?;
    println!("{} wines, after {duplicates} duplicates were left out", samples.len());
    let wines = Wines { samples, colors };
    if balancing {
        compare(&wines, seeds)?
    } else {
        train(&wines, seeds)?
    }
    println!("time {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Trains with each seed and writes curves and parameters.
fn train(wines: &Wines, seeds: u64) -> Result<(), Box<dyn Error>> {
    let folder = std::env::current_exe()?.with_file_name("wine-output");
    let mut sum = 0.0;
    for seed in 1..=seeds {
        let progress = if seeds == 1 { Progress::Auto } else { Progress::Silent };
        let folder = folder.join(format!("seed-{seed}"));
        let task = Task { seed, balancing: Balancing::None, one_red_in: 1 };
        let (accuracy, trained) = run(wines, task, Trainer::new().progress(progress).plots(&folder))?;
        std::fs::write(folder.join("parameters.safetensors"), trained.parameters.save()?)?;
        println!("seed {seed}: balanced accuracy {:.2} %", 100.0 * accuracy);
        sum += accuracy;
    }
    println!("wrote loss.svg, generalization.svg and parameters.safetensors to");
    for seed in 1..=seeds {
        println!("  {}", folder.join(format!("seed-{seed}")).display());
    }
    println!("balanced accuracy {:.2} %", 100.0 * sum / seeds as f64);
    Ok(())
}

/// Few red wines: of that many, one.
const FEW: usize = 40;

/// Prints mean and standard deviation over the seeds of the balanced accuracy, for each balancing.
fn compare(wines: &Wines, seeds: u64) -> Result<(), Box<dyn Error>> {
    println!("balanced accuracy in %, mean and deviation of {seeds} seeds");
    println!("{:15} {:>15} {:>15}", "", "all red wines", format!("one in {FEW}"));
    for balancing in [Balancing::None, Balancing::Weights, Balancing::OverSampling] {
        print!("{balancing:15}");
        for one_red_in in [1, FEW] {
            let (mean, deviation) = accuracy(wines, seeds, balancing, one_red_in)?;
            print!(" {:>15}", format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation));
        }
        println!();
    }
    Ok(())
}

/// Mean and standard deviation over the seeds of the balanced accuracy.
fn accuracy(wines: &Wines, seeds: u64, balancing: Balancing, one_red_in: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let one = |seed| {
        let task = Task { seed, balancing, one_red_in };
        Ok::<f64, Box<dyn Error>>(run(wines, task, Trainer::new().progress(Progress::Silent))?.0)
    };
    let accuracies = (1..=seeds).map(one).collect::<Result<Vec<f64>, _>>()?;
    let mean = accuracies.iter().sum::<f64>() / seeds as f64;
    let variance = accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum::<f64>() / seeds as f64;
    Ok((mean, variance.sqrt()))
}

/// Trains, and tests: the balanced accuracy from 0 to 1, and what was trained.
fn run(wines: &Wines, task: Task, trainer: Trainer<Wine>) -> Result<(f64, Trained<Wine>), Box<dyn Error>> {
    let Task { seed, balancing, one_red_in } = task;
    let colors_of = |part: &[usize]| part.iter().map(|&i| wines.colors[i]).collect::<Vec<u32>>();
    let (mut rest, test) = split::stratified(&wines.colors, 0.2, seed)?;
    let mut reds = 0;
    rest.retain(|&i| {
        reds += wines.colors[i] as usize;
        wines.colors[i] == 0 || reds % one_red_in == 0
    });
    let (train, validation) = split::stratified(&colors_of(&rest), 0.15, seed)?;
    let train: Vec<usize> = train.iter().map(|&i| rest[i]).collect();
    let validation: Vec<usize> = validation.iter().map(|&i| rest[i]).collect();

    let samples_of = |part: &[usize]| part.iter().map(|&i| wines.samples[i]).collect::<Vec<Sample>>();
    let standardizer = Standardizer::fit(&samples_of(&train))?;
    let examples = |part: &[usize]| {
        let mut sample = samples_of(part);
        standardizer.apply(&mut sample);
        wine::Examples { sample, red: colors_of(part).iter().map(|&color| [color as f32]).collect() }
    };

    let colors = colors_of(&train);
    let (train, validation) = (examples(&train), examples(&validation));
    let trainer = trainer.seed(seed);
    let trained = match balancing {
        Balancing::None => trainer.fit(&train, &validation)?,
        Balancing::Weights => {
            let weights = example_weights(&colors, &class_weights(&colors, 2)?)?;
            trainer.fit(&Weighted::new(&train, weights)?, &validation)?
        }
        Balancing::OverSampling => trainer.fit(&Subset::new(&train, over_sample(&colors, seed))?, &validation)?,
    };

    let probabilities = trained.predict(&examples(&test))?.probability;
    let predictions: Vec<u32> = probabilities.iter().map(|&[red]| u32::from(red > 0.5)).collect();
    Ok((metrics::balanced_accuracy(&predictions, &colors_of(&test), 2)?, trained))
}

/// Whether `--balancing` is there, and the number after `--seeds`, or 1.
fn arguments() -> Result<(bool, u64), Box<dyn Error>> {
    let (mut balancing, mut seeds) = (false, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--balancing" => balancing = true,
            "--seeds" => {
                let count = arguments.next().and_then(|count| count.parse().ok());
                let count = count.filter(|count| (1..=1000).contains(count));
                seeds = count.ok_or("--seeds expects a number from 1 to 1000")?;
            }
            _ => return Err("expected --balancing or --seeds COUNT".into()),
        }
    }
    Ok((balancing, seeds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the README says below its table.
    #[test]
    fn balancing_helps_where_red_wines_are_few() {
        let (samples, colors, _) = data::load().unwrap();
        let wines = Wines { samples, colors };
        let accuracy = |balancing, one_red_in, seeds| accuracy(&wines, seeds, balancing, one_red_in).unwrap().0;
        let plain = accuracy(Balancing::None, FEW, 20);
        for balancing in [Balancing::Weights, Balancing::OverSampling] {
            let balanced = accuracy(balancing, FEW, 20);
            println!("{balancing}: {balanced:.4}, {plain:.4} without");
            assert!(balanced > plain + 0.01 && balanced > 0.94, "{balancing}: {balanced:.4}, {plain:.4} without");
            assert!(accuracy(balancing, 1, 5) > 0.985);
        }
    }
}
