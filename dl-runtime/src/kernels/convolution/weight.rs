//! The gradient of a convolution's weight: of a batch at once, or shard by shard, each of which adds its own part.
//!
//! ```text
//! d_weight = Σ over shards of ( Σ over the shard's examples and pixels of x · d_y )
//! ```
//!
//! A shard's part, its *addend*, can be summed while its values are in the caches of the thread that computed them. Where
//! threads would wait for each other that way, they share the filters instead, when all shards are there: they sum the
//! same addends in the same order, so that both ways lead to the same bits.

use super::super::form::Form;
use super::super::pack::Aligned;
use super::depthwise::{self, examples::Plan};
use super::{Convolution2d, examples, lanes_weight, winograd_weight};
use crate::segments::SHARD;
use crate::simd::{Isa, dispatch, isa};
use crate::{Segments, Team};

/// Fewer channels or filters are too few to fill the products of the transformed gradient.
const WORTH_TRANSFORMS: usize = 16;
/// Floats of addends on the stack.
const ADDENDS: usize = 16 * 1024;

/// The gradient of the weight for some filters.
pub(super) struct Gradient<'a> {
    pub(super) shape: Convolution2d,
    /// Examples.
    pub(super) n: usize,
    pub(super) x: Segments<'a>,
    pub(super) d_y: Segments<'a>,
    /// The first filter.
    pub(super) first: usize,
    /// The floats of d_weight that are theirs.
    pub(super) part: &'a mut [f32],
}

/// `d_weight`, the gradient of the weight of a convolution summed over all `n` examples of the batch, overwritten, in the
/// layout of parameters. In [`Form::Lanes`] d_y must be 0 in the lanes without an example, and x finite. The team shares
/// the filters, or their channels; the order of each sum is fixed by the shape, so the bits do not depend on the number
/// of threads.
///
/// In [`Form::Examples`] zeros between the rows of an image are multiplied by whatever lies there, so an infinity or NaN
/// in x may reach more taps of d_weight than it meets.
///
/// # Panics
/// As [`convolution2d`](super::convolution2d).
pub fn convolution2d_weight(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    convolution2d_weight_on(isa(), shape, form, n, x, d_y, d_weight, team);
}

/// [`convolution2d_weight`] on a given instruction set.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and the instruction set")]
pub(super) fn convolution2d_weight_on(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    let Some(d_weight) = cleared(shape, x, d_y, d_weight) else { return };
    team.split(d_weight, unit(shape, form, team), |start, part| add(isa, shape, form, n, x, d_y, start, part));
}

/// What the `n` examples of one shard add to [`convolution2d_weight_of_batch`], overwritten, in the layout of parameters.
///
/// # Panics
/// As [`convolution2d_weight`].
pub fn convolution2d_weight_of_shard(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    d_y: &[f32],
    addend: &mut [f32],
) {
    convolution2d_weight_of_shard_on(isa(), shape, form, n, x, d_y, addend);
}

/// [`convolution2d_weight_of_shard`] on a given instruction set.
pub(super) fn convolution2d_weight_of_shard_on(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    d_y: &[f32],
    addend: &mut [f32],
) {
    let [x_len, y_len, _] = shape.lens();
    let (x, d_y) = (Segments::of_examples(x, x_len), Segments::of_examples(d_y, y_len));
    let Some(addend) = cleared(shape, x, d_y, addend) else { return };
    add(isa, shape, form, n, x, d_y, 0, addend);
}

/// The gradient of the weight as the sum of what each shard of sixteen examples adds to it: of `addends`, the results of
/// [`convolution2d_weight_of_shard`], if they are there; else they are computed here, and the bits are the same.
///
/// # Panics
/// As [`convolution2d_weight`]; if a filter has more than 16 384 weights; if there are fewer addends than shards.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and the addends")]
pub fn convolution2d_weight_of_batch(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    addends: Option<Segments<'_>>,
    d_weight: &mut [f32],
    team: &Team,
) {
    convolution2d_weight_of_batch_on(isa(), shape, form, n, x, d_y, addends, d_weight, team);
}

/// [`convolution2d_weight_of_batch`] on a given instruction set.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and the instruction set")]
pub(super) fn convolution2d_weight_of_batch_on(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    addends: Option<Segments<'_>>,
    d_weight: &mut [f32],
    team: &Team,
) {
    let Some(d_weight) = cleared(shape, x, d_y, d_weight) else { return };
    let shards = n.div_ceil(SHARD);
    let unit = unit(shape, form, team);
    if let Some(addends) = addends {
        return team.split(d_weight, unit, |start, part| {
            for shard in 0..shards {
                accumulate(part, &addends.example(shard)[start..]);
            }
        });
    }
    assert!(unit <= ADDENDS, "{unit} weights of a filter, of at most {ADDENDS}");
    let most = ADDENDS / unit * unit;
    team.split(d_weight, unit, |start, part| {
        let mut addend = Aligned::<ADDENDS>::uninit();
        for (start, part) in (start..).step_by(most).zip(part.chunks_mut(most)) {
            for shard in 0..shards {
                let addend = addend.zeros(part.len());
                let rows = SHARD.min(n - shard * SHARD);
                add(isa, shape, form, rows, x.behind(shard), d_y.behind(shard), start, addend);
                accumulate(part, addend);
            }
        }
    });
}

fn accumulate(sums: &mut [f32], addend: &[f32]) {
    sums.iter_mut().zip(addend).for_each(|(sum, addend)| *sum += addend);
}

/// The floats of d_weight, all 0; none if nothing is added to them.
///
/// # Panics
/// If an example has fewer floats than the shape says, or d_weight has.
fn cleared<'a>(
    shape: &Convolution2d,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &'a mut [f32],
) -> Option<&'a mut [f32]> {
    let [x_len, y_len, weight_len] = shape.lens();
    assert!(x.example_len() >= x_len, "x has {} floats of {x_len}", x.example_len());
    assert!(d_y.example_len() >= y_len, "d_y has {} floats of {y_len}", d_y.example_len());
    let d_weight = &mut d_weight[..weight_len];
    d_weight.fill(0.0);
    (weight_len > 0 && y_len > 0).then_some(d_weight)
}

/// Floats of d_weight that one thread computes: those of a filter, or where there are few of these, of one of its channels.
fn unit(shape: &Convolution2d, form: Form, team: &Team) -> usize {
    let few = shape.filters < 4 * team.threads();
    if form == Form::Lanes && !is_transformed(shape) && !depthwise::suits(shape) && few {
        shape.kernel[0] * shape.kernel[1]
    } else {
        shape.lens()[2] / shape.filters
    }
}

/// Whether images in lanes go by Winograd's method.
fn is_transformed(shape: &Convolution2d) -> bool {
    shape.is_winograd() && shape.channels >= WORTH_TRANSFORMS && shape.filters >= WORTH_TRANSFORMS
}

/// Adds the gradient of some floats of the weight from `start` on.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and which part")]
fn add(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    start: usize,
    part: &mut [f32],
) {
    let shape = *shape;
    let first = start / (shape.lens()[2] / shape.filters);
    match form {
        Form::Examples if let Some(plan) = Plan::new(&shape, false) => {
            let of = Gradient { shape, n, x, d_y, first, part };
            dispatch(isa, depthwise::examples::Weight { plan, of });
        }
        Form::Examples => dispatch(isa, examples::weight::Weight(Gradient { shape, n, x, d_y, first, part })),
        Form::Lanes if is_transformed(&shape) => {
            dispatch(isa, winograd_weight::Weight(Gradient { shape, n, x, d_y, first, part }));
        }
        Form::Lanes if depthwise::suits(&shape) => {
            dispatch(isa, depthwise::lanes::Weight(Gradient { shape, n, x, d_y, first, part }));
        }
        Form::Lanes => dispatch(isa, lanes_weight::Weight { shape, n, x, d_y, start, part }),
    }
}
