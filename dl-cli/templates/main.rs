//! Learns to tell two spirals apart, and says how well that went on points it has not seen.

use std::error::Error;

use dl_train::{Trainer, metrics};

dln::include_network!("spirals.dln");

fn main() -> Result<(), Box<dyn Error>> {
    let (train, validation, test) = (points(0, 3), points(1, 3), points(2, 3));
    let trained = Trainer::<Spirals>::new().fit(&train, &validation)?;

    let mut workspace = spirals::Workspace::new(test.point.len());
    let probabilities = spirals::forward(&trained.prepare(), &mut workspace, &test.point)?;
    let predictions: Vec<u32> = probabilities.iter().map(|[first, second]| u32::from(second > first)).collect();
    let accuracy = metrics::balanced_accuracy(&predictions, &test.spiral, 2)?;
    println!("accuracy on {} points not seen before: {:.1} %", test.point.len(), 100.0 * accuracy);
    Ok(())
}

/// Every `step`-th point of both spirals, from the `first` one on.
fn points(first: usize, step: usize) -> spirals::Examples {
    const POINTS: usize = 900;
    let mut examples = spirals::Examples { point: Vec::new(), spiral: Vec::new() };
    for index in (first..POINTS).step_by(step) {
        let spiral = (index / step) % 2;
        let radius = 0.2 + 1.8 * index as f32 / POINTS as f32;
        let angle = std::f32::consts::PI * (1.2 * radius + spiral as f32);
        examples.point.push([radius * angle.cos(), radius * angle.sin()]);
        examples.spiral.push(spiral as u32);
    }
    examples
}
