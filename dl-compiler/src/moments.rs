//! Lets convolutions find the sums and the deviations of their results while they hold them.
//!
//! Before: `y = convolution2d (x, weight)`, `sum = sum (y)`, `deviations = deviations (y)`. After: `convolution2d` writes `sum`
//! and `deviations` too ([`Step::moments`]), and the steps that read all of `y` again are gone. It stays as it is where only
//! one of them is wanted, or not of whole planes. It moves no other step and knows no offsets.

use crate::program::{AxisShape, BufferId, Kernel, Phase, Program, Step};

/// Lets every convolution of a shard write the moments that are asked for.
pub fn moments(program: &mut Program) {
    for phase in &mut program.phases {
        let Phase::Shards(steps) = phase else { continue };
        let found: Vec<(usize, [usize; 2])> =
            (0..steps.len()).filter_map(|at| Some((at, readers(steps, at)?))).collect();
        for &(at, readers) in &found {
            steps[at].moments = Some(readers.map(|reader| steps[reader].result));
        }
        let needless: Vec<usize> = found.into_iter().flat_map(|(_, readers)| readers).collect();
        let mut place = 0..;
        steps.retain(|_| place.next().is_none_or(|place| !needless.contains(&place)));
    }
}

/// The steps that sum the results of a convolution, and their deviations, over all pixels.
fn readers(steps: &[Step], at: usize) -> Option<[usize; 2]> {
    let step = &steps[at];
    let Kernel::Convolution2d(shape, epilogue) = &step.kernel else { return None };
    if epilogue.pool.is_some() || step.within.is_some() {
        return None;
    }
    let is_whole = |axes: &AxisShape| (axes.outer, axes.inner) == (shape.filters, 1);
    let reads = |other: &Step, result: BufferId| other.operands == [result] && other.within.is_none();
    let find = |is: fn(&Kernel) -> Option<&AxisShape>| {
        let mut others = steps.iter().enumerate().skip(at + 1);
        let other = others.find(|(_, other)| is(&other.kernel).is_some_and(is_whole) && reads(other, step.result));
        other.map(|(place, _)| place)
    };
    let sum = find(|kernel| if let Kernel::Sum(axes) = kernel { Some(axes) } else { None })?;
    let deviations = find(|kernel| if let Kernel::Deviations(axes) = kernel { Some(axes) } else { None })?;
    Some([sum, deviations])
}
