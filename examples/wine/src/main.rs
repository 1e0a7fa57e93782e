//! Red wine or white: trains a perceptron on eleven measurements of 5,318 wines, and tests it.
//!
//! `cargo run --release -p wine` trains once; `-- --seeds 5` trains with the seeds 1 to 5, each with its own split, and
//! prints the average. The network stands in `wine.dln` and is compiled by the build script. The split is stratified:
//! 20 % of each colour for the test, of the rest 15 % for validation, by which early stopping chooses the epoch; the
//! measurements are standardized by the training part alone. There are three white wines to a red one, so the figure
//! is balanced accuracy. It writes the curves and the parameters to a folder beside the program.

mod data;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use dl_train::{Progress, Standardizer, Trainer, metrics, split};
use dln::runtime::{Network, Tensors};

use data::Sample;

dln::include_compiled!("wine");

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let seeds = seeds()?;
    let folder = std::env::current_exe()?.with_file_name("wine-output");
    let (samples, colors, duplicates) = data::load()?;
    println!("{} wines, after {duplicates} duplicates were left out", samples.len());

    let mut sum = 0.0;
    for seed in 1..=seeds {
        let progress = if seeds == 1 { Progress::Auto } else { Progress::Silent };
        let folder = folder.join(format!("seed-{seed}"));
        let accuracy = run(&samples, &colors, seed, progress, &folder)?;
        println!("seed {seed}: balanced accuracy {:.2} %", 100.0 * accuracy);
        sum += accuracy;
    }

    println!("wrote loss.svg, generalization.svg and parameters.safetensors to");
    for seed in 1..=seeds {
        println!("  {}", folder.join(format!("seed-{seed}")).display());
    }
    println!("time {:.1} s", start.elapsed().as_secs_f64());
    println!("balanced accuracy {:.2} %", 100.0 * sum / seeds as f64);
    Ok(())
}

/// Trains with one seed, and tests: the balanced accuracy from 0 to 1.
fn run(
    samples: &[Sample],
    colors: &[u32],
    seed: u64,
    progress: Progress,
    folder: &Path,
) -> Result<f64, Box<dyn Error>> {
    let (rest, test) = split::stratified(colors, 0.2, seed)?;
    let colors_of = |part: &[usize]| part.iter().map(|&i| colors[i]).collect::<Vec<u32>>();
    let (train, validation) = split::stratified(&colors_of(&rest), 0.15, seed)?;
    let train: Vec<usize> = train.iter().map(|&i| rest[i]).collect();
    let validation: Vec<usize> = validation.iter().map(|&i| rest[i]).collect();

    let samples_of = |part: &[usize]| part.iter().map(|&i| samples[i]).collect::<Vec<Sample>>();
    let standardizer = Standardizer::fit(&samples_of(&train))?;
    let examples = |part: &[usize]| {
        let mut sample = samples_of(part);
        standardizer.apply(&mut sample);
        wine::Examples { sample, red: colors_of(part).iter().map(|&color| [color as f32]).collect() }
    };

    let trained = Trainer::<Wine>::new()
        .seed(seed)
        .progress(progress)
        .plots(folder)
        .fit(&examples(&train), &examples(&validation))?;
    std::fs::write(folder.join("parameters.safetensors"), trained.parameters.save()?)?;

    let mut workspace = Wine::workspace(test.len(), 1);
    let probabilities = wine::forward(&trained.prepare(), &mut workspace, &examples(&test).sample)?;
    let predictions: Vec<u32> = probabilities.iter().map(|&[red]| u32::from(red > 0.5)).collect();
    Ok(metrics::balanced_accuracy(&predictions, &colors_of(&test), 2)?)
}

/// The number after `--seeds`, or 1.
fn seeds() -> Result<u64, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(1),
        [flag, count] if flag == "--seeds" => {
            let count = count.parse().ok().filter(|count| (1..=1000).contains(count));
            Ok(count.ok_or("--seeds expects a number from 1 to 1000")?)
        }
        _ => Err("expected no arguments, or --seeds COUNT".into()),
    }
}
