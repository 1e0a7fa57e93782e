//! Twins of the convolutions, of the direct method: how products are saved is the kernels' own matter.

use super::epilogue::finish;
use super::form::place;
use super::max_pool2d;
use crate::{Convolution2d, Epilogue, Filters, Form, Pool2d, SHARD, Segments, Sum, Team};

/// Calls `visit` with the places in x, the weight and y of every product that a convolution of one example sums.
fn products(shape: &Convolution2d, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution2d { channels, height, width, filters, kernel, stride, padding, dilation, groups, .. } = *shape;
    let (oh, ow) = (shape.output_height(), shape.output_width());
    let (group_channels, group_filters) = (channels / groups, filters / groups);
    for filter in 0..filters {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for c in 0..group_channels {
                let channel = filter / group_filters * group_channels + c;
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let (iy, ix) = (oy * stride[0] + ky * dilation[0], ox * stride[1] + kx * dilation[1]);
                    let inside = |i: usize, padding: usize, len: usize| i >= padding && i < len + padding;
                    if inside(iy, padding[0], height) && inside(ix, padding[1], width) {
                        visit(
                            (channel * height + iy - padding[0]) * width + ix - padding[1],
                            ((filter * group_channels + c) * kernel[0] + ky) * kernel[1] + kx,
                            (filter * oh + oy) * ow + ox,
                        );
                    }
                }
            }
        }
    }
}

/// Floats of x and y.
fn lens(shape: &Convolution2d) -> (usize, usize) {
    let x = shape.channels * shape.height * shape.width;
    (x, shape.filters * shape.output_height() * shape.output_width())
}

/// Where each weight lies in the panels.
fn places(filters: &Filters) -> Vec<usize> {
    let Convolution2d { channels, filters: all, kernel, groups, .. } = filters.shape;
    let (group_channels, group_filters, taps) = (channels / groups, all / groups, kernel[0] * kernel[1]);
    let (rows, planes) =
        if filters.transposed { (group_channels, group_filters) } else { (group_filters, group_channels) };
    // Tiles: as tall as leaves a rest that needs none of less than four, where that can be.
    let mut heights = Vec::new();
    while heights.iter().sum::<usize>() < rows {
        let rest = rows - heights.iter().sum::<usize>();
        let fits = |height: usize| matches!(rest - height, 4..=6 | 8..);
        heights.push(if rest <= 6 { rest } else { [6, 5, 4].into_iter().find(|height| fits(*height)).unwrap_or(4) });
    }
    (0..all * group_channels * taps)
        .map(|at| {
            let (filter, channel, tap) = (at / taps / group_channels, at / taps % group_channels, at % taps);
            let (group, filter) = (filter / group_filters, filter % group_filters);
            let (row, plane, tap) =
                if filters.transposed { (channel, filter, taps - 1 - tap) } else { (filter, channel, tap) };
            let (mut first, mut tile) = (0, 0);
            while first + heights[tile] <= row {
                first += heights[tile];
                tile += 1;
            }
            (group * rows + first) * planes * taps + (tap * planes + plane) * heights[tile] + row - first
        })
        .collect()
}

/// Twin of [`crate::pack_filters`].
pub fn pack_filters(filters: &Filters, form: Form, weight: &[f32], panels: &mut [f32]) {
    let Convolution2d { channels, filters: all, kernel, groups, .. } = filters.shape;
    let taps = kernel[0] * kernel[1];
    let (channels, all_of_group) = (channels / groups, all / groups);
    let len = all * channels * taps;
    let rows = if filters.transposed { channels } else { all_of_group };
    let is_abreast = (groups == 1 || rows >= 8) && form == Form::Examples;
    if is_abreast {
        panels[len..filters.len()].fill(0.0);
    }
    for (at, (place, weight)) in places(filters).into_iter().zip(weight).enumerate() {
        panels[place] = *weight;
        if is_abreast {
            let (filter, channel, tap) = (at / taps / channels, at / taps % channels, at % taps);
            let (group, filter) = (filter / all_of_group, filter % all_of_group);
            let (row, plane, planes, tap) = if filters.transposed {
                (channel, filter, all_of_group, taps - 1 - tap)
            } else {
                (filter, channel, channels, tap)
            };
            let first = len + group * rows.next_multiple_of(16) * planes * taps;
            panels[first + ((row / 16 * taps + tap) * planes + plane) * 16 + row % 16] = *weight;
        }
    }
}

/// How many examples are computed.
fn examples(form: Form, n: usize) -> usize {
    if form == Form::Lanes { SHARD } else { n }
}

/// Twin of [`crate::convolution2d`].
pub fn convolution2d(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let (x_len, y_len) = lens(shape);
    if let Some([height, width]) = epilogue.pool {
        let mut whole = vec![0.0; form.floats(n, y_len)];
        convolution2d(shape, form, n, x, panels, Epilogue { pool: None, ..epilogue }, &mut whole);
        let pool = Pool2d {
            channels: shape.filters,
            height: shape.output_height(),
            width: shape.output_width(),
            kernel: [height, width],
            stride: [height, width],
            padding: [0, 0],
        };
        return max_pool2d(&pool, form, n, &whole, y);
    }
    let weights = places(&Filters { shape: *shape, transposed: false });
    for example in 0..examples(form, n) {
        let mut sums = vec![0.0; y_len];
        let x = |i: usize| f64::from(x[place(form, x_len, example, i)]);
        products(shape, |i, w, o| sums[o] += x(i) * f64::from(panels[weights[w]]));
        for (o, sum) in sums.into_iter().enumerate() {
            let at = place(form, y_len, example, o);
            y[at] = finish(&epilogue, o / (y_len / shape.filters), at, sum);
        }
    }
}

/// Twin of [`crate::depthwise2d`].
pub fn depthwise2d(shape: &Convolution2d, n: usize, x: &[f32], weight: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let ((x_len, y_len), channels) = (lens(shape), shape.channels);
    // Where number i of some planes lies if these come last.
    let last = |i: usize, len: usize| i % (len / channels) * channels + i / (len / channels);
    let weight_len = channels * shape.kernel[0] * shape.kernel[1];
    for example in 0..n {
        let mut sums = vec![0.0; y_len];
        products(shape, |i, w, o| {
            let x = x[example * x_len + last(i, x_len)];
            sums[last(o, y_len)] += f64::from(x) * f64::from(weight[last(w, weight_len)]);
        });
        for (o, sum) in sums.into_iter().enumerate() {
            let at = example * y_len + o;
            y[at] = finish(&epilogue, o % channels, at, sum);
        }
    }
}

/// Twin of [`crate::convolution2d_moments`].
#[expect(clippy::too_many_arguments, reason = "those of the kernel")]
pub fn convolution2d_moments(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    [sums, squares]: [&mut [f32]; 2],
) {
    convolution2d(shape, form, n, x, panels, epilogue, y);
    let pixels = shape.output_height() * shape.output_width();
    let planes = Sum { outer: shape.filters, reduced: pixels, inner: 1 }.in_form(form);
    super::sum(&planes, form.blocks(n), y, sums);
    super::deviations(&planes, form.blocks(n), y, squares);
}

/// Twin of [`crate::convolution2d_input`].
pub fn convolution2d_input(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    d_y: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    d_x: &mut [f32],
) {
    let (x_len, y_len) = lens(shape);
    let weights = places(&Filters { shape: *shape, transposed: true });
    for example in 0..examples(form, n) {
        let mut sums = vec![0.0; x_len];
        let d_y = |o: usize| f64::from(d_y[place(form, y_len, example, o)]);
        products(shape, |i, w, o| sums[i] += d_y(o) * f64::from(panels[weights[w]]));
        for (i, sum) in sums.into_iter().enumerate() {
            let at = place(form, x_len, example, i);
            d_x[at] = finish(&epilogue, 0, at, sum);
        }
    }
}

/// Twin of [`crate::convolution2d_weight`].
pub fn convolution2d_weight(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    _team: &Team,
) {
    let (x_len, y_len) = lens(shape);
    let mut sums = vec![0.0; shape.filters * (shape.channels / shape.groups) * shape.kernel[0] * shape.kernel[1]];
    for example in 0..n {
        let (shard, rows) = (example / SHARD, if form == Form::Lanes { SHARD } else { example % SHARD + 1 });
        let (x, d_y) = (x.shard(shard, rows), d_y.shard(shard, rows));
        let at = |floats: &[f32], len, i| f64::from(floats[place(form, len, example % SHARD, i)]);
        products(shape, |i, w, o| sums[w] += at(x, x_len, i) * at(d_y, y_len, o));
    }
    for (d_weight, sum) in d_weight.iter_mut().zip(sums) {
        *d_weight = sum as f32;
    }
}
