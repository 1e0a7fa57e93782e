//! How the weight of a convolution lies for its products: tiles of six and four filters, whose weights are broadcast in
//! sequence.
//!
//! Within a group, filters fall into tiles (16 = 6 + 6 + 4). A tile of MR filters holds for each tap, and for each channel
//! at that tap, the MR weights side by side, so a product reads a tile from front to back, in either form of its
//! operands. Winograd's method has 36 products of transformed weights in place of the taps. Behind the tiles, unless groups
//! have too few filters, the weight lies a second time, for products that have sixteen filters side by side: that of the direct method,
//! and that of small images, whose tiles do not fill the columns of Winograd's. For the gradient of the input, filters and channels change places and the taps are in reverse.

use super::winograd::{PLACES, transform};
use super::{Convolution2d, Form};
use crate::kernels::chunk::{load, store};
use crate::kernels::product::COLUMNS;
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use std::ops::Range;

/// Fewer filters of a group, or channels, leave vectors half empty.
pub(super) const FEWEST: usize = COLUMNS / 2;

/// The weight of a convolution in the order its products read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filters {
    /// The convolution.
    pub shape: Convolution2d,
    /// Whether the panels are those of the gradient of the input.
    pub transposed: bool,
}

impl Filters {
    /// How many floats the panels take.
    pub const fn len(&self) -> usize {
        let Convolution2d { kernel, groups, .. } = self.shape;
        if groups == 0 {
            return 0;
        }
        let (rows, planes) = self.rows_and_planes();
        let abreast = groups * rows.next_multiple_of(COLUMNS) * planes * kernel[0] * kernel[1];
        self.tiles_len() + if self.is_abreast() { abreast } else { 0 }
    }

    /// Whether the weight lies there a second time, sixteen filters side by side.
    pub(super) const fn is_abreast(&self) -> bool {
        let (rows, _) = self.rows_and_planes();
        (self.shape.groups == 1 || rows >= FEWEST) && (!self.shape.is_winograd() || self.is_small())
    }

    /// Whether there are so few results in a plane that few examples do not fill the columns of Winograd's method, or that
    /// reading four times the weights takes longer than four times the products.
    const fn is_small(&self) -> bool {
        let Convolution2d { channels, filters, height, width, .. } = self.shape;
        let results =
            if self.transposed { height * width } else { self.shape.output_height() * self.shape.output_width() };
        results <= 32 || results <= 64 && channels * filters >= 1 << 16
    }

    /// How many floats the tiles take.
    const fn tiles_len(&self) -> usize {
        let Convolution2d { channels, filters, kernel, groups, .. } = self.shape;
        let floats = if self.shape.is_winograd() { PLACES } else { kernel[0] * kernel[1] };
        filters * (channels / groups) * floats
    }

    /// The panels of sixteen filters side by side, of each group: for each tap, and for each channel at that tap, sixteen weights.
    pub(super) fn abreast<'a>(&self, panels: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + Clone {
        let panels = &panels[self.tiles_len()..];
        panels.chunks_exact((panels.len() / self.shape.groups).max(1))
    }

    /// Whether the panels are empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Planes that leave a group, and planes that enter it.
    const fn rows_and_planes(&self) -> (usize, usize) {
        let Convolution2d { channels, filters, groups, .. } = self.shape;
        let (channels, filters) = (channels / groups, filters / groups);
        if self.transposed { (channels, filters) } else { (filters, channels) }
    }
}

/// Packs a weight [filters, channels / groups, kernel] into panels for shards of a form; those for [`Form::Examples`] serve
/// both.
///
/// # Panics
/// If the weight is shorter than the shape says, or `panels` shorter than [`Filters::len`].
pub fn pack_filters(filters: &Filters, form: Form, weight: &[f32], panels: &mut [f32]) {
    pack_filters_on(isa(), filters, form, weight, panels);
}

/// [`pack_filters`] on a given instruction set.
pub(super) fn pack_filters_on(isa: Isa, filters: &Filters, form: Form, weight: &[f32], panels: &mut [f32]) {
    let [_, _, weight_len] = filters.shape.lens();
    let (weight, panels) = (&weight[..weight_len], &mut panels[..filters.len()]);
    let (transposed, (rows, planes)) = (filters.transposed, filters.rows_and_planes());
    let taps = filters.shape.kernel[0] * filters.shape.kernel[1];
    let (panels, abreast) = panels.split_at_mut(filters.tiles_len());
    let group_len = rows * planes * taps;
    if filters.is_abreast() && form == Form::Examples && group_len > 0 {
        let groups = abreast.chunks_exact_mut(abreast.len() / filters.shape.groups);
        for (weight, abreast) in weight.chunks_exact(group_len).zip(groups) {
            pack_abreast(transposed, rows, planes, taps, weight, abreast);
        }
    }
    if filters.shape.is_winograd() {
        return dispatch(isa, Transformed { transposed, rows, planes, weight, panels });
    }
    if group_len == 0 {
        return;
    }
    for (weight, panels) in weight.chunks_exact(group_len).zip(panels.chunks_exact_mut(group_len)) {
        let mut rest = panels;
        for Tile { first, height } in tiles(0..rows) {
            let (tile, behind) = rest.split_at_mut(height * planes * taps);
            rest = behind;
            for (k, to) in tile.chunks_exact_mut(height).enumerate() {
                let (start, step) = place(transposed, rows, planes, taps, first, k);
                for (to, from) in to.iter_mut().zip(weight[start..].iter().step_by(step)) {
                    *to = *from;
                }
            }
        }
    }
}

/// Where the weight of a filter lies that is number k of its panel, and floats to that of the next filter. Panels have for
/// each tap the weights of all planes.
fn place(transposed: bool, rows: usize, planes: usize, taps: usize, row: usize, k: usize) -> (usize, usize) {
    let (tap, plane) = (k / planes, k % planes);
    if transposed {
        ((plane * rows + row) * taps + taps - 1 - tap, taps)
    } else {
        ((row * planes + plane) * taps + tap, planes * taps)
    }
}

/// Packs panels of sixteen filters side by side, with zeros in place of those that there are not.
fn pack_abreast(transposed: bool, rows: usize, planes: usize, taps: usize, weight: &[f32], panels: &mut [f32]) {
    for (panel, to) in panels.chunks_exact_mut((COLUMNS * planes * taps).max(1)).enumerate() {
        let first = panel * COLUMNS;
        for (k, to) in to.chunks_exact_mut(COLUMNS).enumerate() {
            let (start, step) = place(transposed, rows, planes, taps, first, k);
            let (to, missing) = to.split_at_mut(COLUMNS.min(rows - first));
            to.iter_mut().zip(weight[start..].iter().step_by(step)).for_each(|(to, from)| *to = *from);
            missing.fill(0.0);
        }
    }
}

/// Packs the transformed weights: for each tile of filters, for each of the 36 places, for each channel, the filters.
struct Transformed<'a> {
    transposed: bool,
    rows: usize,
    planes: usize,
    weight: &'a [f32],
    panels: &'a mut [f32],
}

impl Kernel for Transformed<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { transposed, rows, planes, weight, panels } = self;
        let mut rest = panels;
        for Tile { first, height } in tiles(0..rows) {
            let (tile, behind) = rest.split_at_mut(height * planes * PLACES);
            rest = behind;
            // Kernels in the order in which a place has them, as many at a time as a vector has lanes.
            let all = height * planes;
            for start in (0..all).step_by(V::LANES) {
                let some = V::LANES.min(all - start);
                let mut taps = [[0.0; COLUMNS]; 9];
                for (number, at) in (start..start + some).enumerate() {
                    let (plane, row) = (at / height, first + at % height);
                    let kernel = if transposed { plane * rows + row } else { row * planes + plane };
                    for (tap, weight) in weight[kernel * 9..][..9].iter().enumerate() {
                        taps[if transposed { 8 - tap } else { tap }][number] = *weight;
                    }
                }
                let mut kernels = [[lane; 3]; 3];
                for (tap, weights) in taps.iter().enumerate() {
                    kernels[tap / 3][tap % 3] = load(lane, weights);
                }
                for (place, transformed) in transform(kernels).as_flattened().iter().enumerate() {
                    store(*transformed, &mut tile[place * all + start..][..some]);
                }
            }
        }
    }
}

/// Neighbouring rows that are computed together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    /// The first row.
    pub(super) first: usize,
    /// How many.
    pub(super) height: usize,
}

/// The tiles of the rows of a range: of 6 and 4, with a 5 where those do not suffice; 1, 2, 3 and 7 rows need lower ones.
/// A range that starts where a tile of a larger one ends has the rest of its tiles.
#[inline(always)]
pub(super) fn tiles(rows: Range<usize>) -> impl Iterator<Item = Tile> {
    let mut first = rows.start;
    std::iter::from_fn(move || {
        let height = match rows.end - first {
            0 => return None,
            few @ 1..=6 => few,
            7 | 8 => 4,
            9 | 13 => 5,
            _ => 6,
        };
        first += height;
        Some(Tile { first: first - height, height })
    })
}
