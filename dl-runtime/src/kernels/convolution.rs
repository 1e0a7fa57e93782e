//! Two-dimensional convolutions: forward, gradient of the input, gradient of the weight.
//!
//! All are products without an im2col matrix, by panels of the weight that [`filters`] packs. A shard whose examples lie
//! side by side is computed in [`lanes`] and [`lanes_weight`], one example after another in [`examples`], either if groups
//! have one channel and few filters in [`depthwise`]; [`axis`] knows which pixels meet. This file holds the shape, the
//! checks and the choice between them. Nothing is allocated.
//!
//! In the field's manner, "convolution" is cross-correlation: the kernel is not flipped.

mod axis;
mod depthwise;
mod examples;
mod filters;
mod lanes;
mod lanes_weight;
mod pooled;
#[cfg(test)]
mod tests;
mod weight;
mod winograd;
mod winograd_weight;

use super::epilogue::{Activation, Ending, Epilogue};
use super::form::Form;
use super::moments::{Moments, deviations_on};
use super::pack::places;
use super::product::COLUMNS;
use super::reduce::{Sum, sum_on};
use crate::simd::{Isa, dispatch, isa};
use axis::Axis;
use depthwise::examples::Plan;
pub use depthwise::last::depthwise2d;
use examples::{
    abreast::{self, Abreast},
    correlation::Correlation,
    geometry::Geometry,
    scatter::Scatter,
};
pub use filters::{Filters, pack_filters};
use std::mem::MaybeUninit;
use weight::Gradient;
pub use weight::{convolution2d_weight, convolution2d_weight_of_batch, convolution2d_weight_of_shard};
use winograd::Winograd;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Every tap of every pixel is multiplied.
    Direct,
    /// F(4×4, 3×3) of Winograd's minimal filtering: 36 products for 16 results instead of 144, rounded within 1e-4 of
    /// the largest (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Only 3×3 kernels of
    /// stride 1, dilation 1 and one group have it; others are computed directly.
    Winograd,
}

/// The shape of a convolution: x [channels, height, width] by weight [filters, channels / groups, kernel] to
/// y [filters, output height, output width], for each example. Pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution2d {
    /// Channels of x.
    pub channels: usize,
    /// Height of x.
    pub height: usize,
    /// Width of x.
    pub width: usize,
    /// Channels of y.
    pub filters: usize,
    /// Taps.
    pub kernel: [usize; 2],
    /// Steps from one output to the next, at least 1.
    pub stride: [usize; 2],
    /// Zeros on each of both sides.
    pub padding: [usize; 2],
    /// Steps from one tap to the next, at least 1.
    pub dilation: [usize; 2],
    /// Channels and filters fall into so many groups, and filters see the channels of their own group only. It divides
    /// both.
    pub groups: usize,
    /// How it is computed.
    pub method: Method,
}

impl Convolution2d {
    /// Height of y; 0 if the kernel does not fit the padded input.
    pub const fn output_height(&self) -> usize {
        outputs(self.height, self.kernel[0], self.stride[0], self.padding[0], self.dilation[0])
    }

    /// Width of y; 0 if the kernel does not fit the padded input.
    pub const fn output_width(&self) -> usize {
        outputs(self.width, self.kernel[1], self.stride[1], self.padding[1], self.dilation[1])
    }

    /// Whether it is computed by Winograd's method: that is asked for, and the shape has it.
    pub const fn is_winograd(&self) -> bool {
        matches!(self.method, Method::Winograd)
            && matches!((self.kernel, self.stride, self.dilation, self.groups), ([3, 3], [1, 1], [1, 1], 1))
    }

    /// Floats of x, y and the weight, after a check of what the kernels rely on.
    fn lens(&self) -> [usize; 3] {
        let Self { channels, filters, groups, kernel, stride, dilation, .. } = *self;
        assert!(
            groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups),
            "{groups} groups of {channels} channels and {filters} filters"
        );
        assert!(channels * self.height * self.width > 0, "no pixels in {self:?}");
        let pairs = [kernel, stride, dilation];
        assert!(pairs.as_flattened().iter().all(|value| *value > 0), "kernel, stride, dilation {pairs:?}");
        let x = channels * self.height * self.width;
        let y = filters * self.output_height() * self.output_width();
        [x, y, filters * (channels / groups) * kernel[0] * kernel[1]]
    }

    /// Which pixel of x each pixel of y meets at each tap.
    fn geometry(&self) -> Geometry {
        Geometry {
            source: [self.height, self.width],
            outputs: [self.output_height(), self.output_width()],
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.map(|padding| padding as isize),
            dilation: self.dilation,
        }
    }
}

/// How many positions a kernel has along one axis.
const fn outputs(len: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> usize {
    if kernel == 0 || stride == 0 {
        return 0;
    }
    let extent = dilation * (kernel - 1) + 1;
    match (len + 2 * padding).checked_sub(extent) {
        Some(rest) => rest / stride + 1,
        None => 0,
    }
}

/// `y = activation(x ⋆ weight + bias + residual)` for the `n` examples of a shard, masked or pooled, with the weight packed;
/// one bias for each filter. Pooled, y is [filters, output height / window height, output width / window width].
/// In [`Form::Lanes`] all sixteen are computed.
///
/// # Panics
/// If an operand is shorter than the shape says, or the shape is none: groups that do not divide channels and filters,
/// a kernel, stride or dilation of 0; if results are to be pooled for which [`Convolution2d::pools`] is false, or that
/// have a residual or a mask.
pub fn convolution2d(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    convolution2d_on(isa(), shape, form, n, x, panels, epilogue, y, None);
}

/// [`convolution2d`], and of the results of each example and filter the sum and the sum of squared deviations from their
/// mean, as batch normalization wants them. In lanes they are found while the cache holds the results.
///
/// # Panics
/// As [`convolution2d`]; if results are to be pooled, or a slice of moments has less than a float for each filter.
#[expect(clippy::too_many_arguments, reason = "those of the convolution, and where the moments go")]
pub fn convolution2d_moments(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    moments: [&mut [f32]; 2],
) {
    convolution2d_on(isa(), shape, form, n, x, panels, epilogue, y, Some(moments));
}

/// [`convolution2d`] on a given instruction set, with moments if they are to go anywhere.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and the instruction set")]
fn convolution2d_on(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
    mut moments: Option<[&mut [f32]; 2]>,
) {
    let [x_len, mut y_len, _] = shape.lens();
    if let Some(window) = epilogue.pool {
        assert!(moments.is_none(), "moments of pooled results");
        assert!(shape.pools(window), "results of {shape:?} pooled by {window:?}");
        assert!(epilogue.residual.is_none() && epilogue.mask.is_none(), "pooled results beside a residual or a mask");
        y_len = shape.filters * (shape.output_height() / window[0]) * (shape.output_width() / window[1]);
    }
    let (x, y) = (&x[..form.floats(n, x_len)], &mut y[..form.floats(n, y_len)]);
    let panels = &panels[..Filters { shape: *shape, transposed: false }.len()];
    if y.is_empty() {
        moments.into_iter().flatten().for_each(|moments| moments[..form.floats(n, shape.filters)].fill(0.0));
        return;
    }
    let (planes, rows) = (shape.channels / shape.groups, shape.filters / shape.groups);
    let mut ending = epilogue.ending(shape.filters, y);
    let is_final = !matches!(epilogue.activation, Activation::Sigmoid | Activation::Tanh);
    if form == Form::Lanes
        && is_final
        && let Some(moments) = &mut moments
    {
        ending.moments = Moments::of_planes(shape.filters, moments);
    }
    let are_found = !ending.moments.are_none();
    match form {
        Form::Examples
            if epilogue.pool.is_none()
                && let Some(plan) = shape.small_winograd(false) =>
        {
            // SAFETY: the results are floats.
            shape.filters_abreast(isa, &plan, n, x, panels, ending, unsafe { places(y) });
        }
        _ if shape.is_winograd() => {
            shape.by_winograd(isa, form, n, false, x, panels, ending, epilogue.pool.is_some(), y);
        }
        _ if let Some(window) = epilogue.pool => shape.pooled(isa, form, n, x, panels, ending, window, &mut *y),
        Form::Examples if let Some(axes) = shape.pixels_abreast() => {
            // SAFETY: the results are floats.
            shape.single_pixels(isa, axes, [planes, rows], x, panels, ending, unsafe { places(y) });
        }
        Form::Examples if let Some(lines) = depthwise::channels::lines(shape) => {
            // SAFETY: the results are floats.
            let (shape, source, y) = (*shape, x, unsafe { places(y) });
            dispatch(isa, depthwise::channels::Channels { shape, lines, n, source, panels, ending, y });
        }
        Form::Examples if let Some(plan) = Plan::new(shape, false) => {
            let (shape, source, y) = (*shape, x, &mut *y);
            dispatch(isa, depthwise::examples::Correlation { plan, shape, planes, rows, source, panels, ending, y });
        }
        // SAFETY: the results are floats.
        Form::Examples => unsafe {
            shape.of_examples(isa, shape.axes(), shape.geometry(), n, x, panels, ending, places(y));
        },
        // SAFETY: the results are floats.
        Form::Lanes => unsafe {
            shape.in_lanes(isa, shape.axes(), [planes, rows], x, panels, ending, places(y));
        },
    }
    epilogue.finish(isa, y);
    if let (Some([sums, squares]), false) = (moments, are_found) {
        let pixels = shape.output_height() * shape.output_width();
        let planes = Sum { outer: shape.filters, reduced: pixels, inner: 1 }.in_form(form);
        sum_on(isa, &planes, form.blocks(n), y, sums);
        deviations_on(isa, &planes, form.blocks(n), y, squares);
    }
}

/// [`convolution2d`] of one example after another to y [output height, output width, filters], the channels of the next
/// convolution [last](depthwise2d). Its panels are those of [`Method::Direct`].
///
/// # Panics
/// As [`convolution2d`]; if there are groups, or results are to be pooled, or the stack does not hold what a row of results meets: at
/// least 16384 floats of one channel.
pub fn convolution2d_last(
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    convolution2d_last_on(isa(), shape, n, x, panels, epilogue, y);
}

/// [`convolution2d_last`] on a given instruction set.
fn convolution2d_last_on(
    isa: Isa,
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let [x_len, y_len, _] = shape.lens();
    let (source, y) = (&x[..n * x_len], &mut y[..n * y_len]);
    let filters = Filters { shape: *shape, transposed: false };
    let panels = &panels[..filters.len()];
    if y.is_empty() {
        return;
    }
    let plan = shape.abreast(false, shape.axes(), usize::MAX);
    let (Some(plan), 1, None, Method::Direct) = (&plan, shape.groups, epilogue.pool, shape.method) else {
        panic!("no convolution to channels last: {shape:?}, pooled by {:?}", epilogue.pool)
    };
    let ending = epilogue.ending(shape.filters, y);
    let panels = filters.abreast(panels).next().unwrap_or_default();
    // SAFETY: the results are floats.
    dispatch(isa, Abreast { plan, n, source, panels, ending, last: true, y: unsafe { places(y) } });
    epilogue.finish(isa, y);
}

/// `d_x`, the gradient of the input of a convolution, overwritten: each pixel of d_y goes back through the taps it came
/// by. The panels are the transposed ones. Of the epilogue, residual and mask are heeded.
///
/// # Panics
/// As [`convolution2d`].
pub fn convolution2d_input(
    shape: &Convolution2d,
    form: Form,
    n: usize,
    d_y: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    d_x: &mut [f32],
) {
    convolution2d_input_on(isa(), shape, form, n, d_y, panels, epilogue, d_x);
}

/// [`convolution2d_input`] on a given instruction set.
#[expect(clippy::too_many_arguments, reason = "those of the kernel, and the instruction set")]
fn convolution2d_input_on(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    d_y: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    d_x: &mut [f32],
) {
    let [x_len, y_len, _] = shape.lens();
    let (d_y, d_x) = (&d_y[..form.floats(n, y_len)], &mut d_x[..form.floats(n, x_len)]);
    let panels = &panels[..Filters { shape: *shape, transposed: true }.len()];
    if d_y.is_empty() {
        d_x.fill(0.0);
        epilogue.pass(isa, d_x);
        return;
    }
    let (planes, rows) = (shape.filters / shape.groups, shape.channels / shape.groups);
    let ending = Ending { beside: epilogue.beside(d_x), ..Ending::NONE };
    match form {
        Form::Examples if let Some(plan) = shape.small_winograd(true) => {
            // SAFETY: the results are floats.
            shape.filters_abreast(isa, &plan, n, d_y, panels, ending, unsafe { places(d_x) });
        }
        _ if shape.is_winograd() => {
            shape.by_winograd(isa, form, n, true, d_y, panels, ending, false, d_x);
        }
        Form::Examples if let Some(plan) = Plan::new(shape, true) => {
            let (shape, source, y) = (*shape, d_y, d_x);
            dispatch(isa, depthwise::examples::Correlation { plan, shape, planes, rows, source, panels, ending, y });
        }
        Form::Examples if let Some(axes) = shape.pixels_abreast() => {
            // SAFETY: the results are floats.
            shape.single_pixels(isa, axes, [planes, rows], d_y, panels, ending, unsafe { places(d_x) });
        }
        Form::Examples => {
            // Without a stride it is a convolution of d_y by the flipped kernel.
            let (geometry, groups, source) = (shape.geometry().flipped(), shape.groups, d_y);
            // SAFETY: the results are floats.
            let y = unsafe { places(d_x) };
            let correlation = Correlation { geometry, groups, planes, rows, n, source, panels, ending, y };
            let has_stride = shape.stride != [1, 1];
            let cost = if has_stride { usize::MAX } else { correlation.cost() };
            match shape.abreast(true, shape.axes(), cost) {
                Some(plan) => shape.filters_abreast(isa, &plan, n, d_y, panels, ending, correlation.y),
                None if has_stride => {
                    d_x.fill(0.0);
                    dispatch(isa, Scatter { shape: *shape, d_y, panels, d_x: &mut *d_x });
                    epilogue.pass(isa, d_x);
                }
                None => dispatch(isa, correlation),
            }
        }
        Form::Lanes => {
            let [vertical, horizontal] = shape.axes();
            for down in 0..shape.stride[0].min(shape.height) {
                for right in 0..shape.stride[1].min(shape.width) {
                    let axes = [vertical.backward(down), horizontal.backward(right)];
                    // SAFETY: the results are floats.
                    shape.in_lanes(isa, axes, [planes, rows], d_y, panels, ending, unsafe { places(d_x) });
                }
            }
        }
    }
}

impl Convolution2d {
    /// The axes of a convolution of single pixels, if these are some vectors: as of images of which each such pixel belongs to
    /// another example.
    fn pixels_abreast(&self) -> Option<[Axis; 2]> {
        let pixels = self.height * self.width;
        let is_single = (self.kernel, self.stride, self.padding) == ([1, 1], [1, 1], [0, 0]) && self.groups == 1;
        let fills = pixels.is_multiple_of(COLUMNS) && pixels >= 3 * COLUMNS;
        (is_single && fills).then(|| [1, pixels / COLUMNS].map(|len| Axis::forward(len, len, 1, 1, 0, 1)))
    }

    /// A correlation of single pixels, one example after another, by pixels side by side.
    #[expect(clippy::too_many_arguments, reason = "two directions share it")]
    fn single_pixels(
        &self,
        isa: Isa,
        axes: [Axis; 2],
        [planes, rows]: [usize; 2],
        source: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        y: &mut [MaybeUninit<f32>],
    ) {
        let pixels = self.height * self.width;
        for (source, y) in source.chunks_exact(planes * pixels).zip(y.chunks_exact_mut(rows * pixels)) {
            self.in_lanes(isa, axes, [planes, rows], source, panels, ending, y);
        }
    }

    /// The axes of the forward convolution.
    fn axes(&self) -> [Axis; 2] {
        let (sources, outputs) = ([self.height, self.width], [self.output_height(), self.output_width()]);
        let axis = |i: usize| {
            Axis::forward(sources[i], outputs[i], self.kernel[i], self.stride[i], self.padding[i], self.dilation[i])
        };
        [axis(0), axis(1)]
    }

    /// The results that the axes and the geometry say, of one example after another.
    #[expect(clippy::too_many_arguments, reason = "those of the convolution, and which results")]
    fn of_examples(
        &self,
        isa: Isa,
        axes: [Axis; 2],
        geometry: Geometry,
        n: usize,
        source: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        y: &mut [MaybeUninit<f32>],
    ) {
        let Self { channels, filters, groups, .. } = *self;
        let (planes, rows) = (channels / groups, filters / groups);
        let correlation = Correlation { geometry, groups, planes, rows, n, source, panels, ending, y };
        match self.abreast(false, axes, correlation.cost()) {
            Some(plan) => self.filters_abreast(isa, &plan, n, source, panels, ending, correlation.y),
            None => dispatch(isa, correlation),
        }
    }

    /// Results of one example after another by filters side by side.
    #[expect(clippy::too_many_arguments, reason = "two directions share it")]
    fn filters_abreast(
        &self,
        isa: Isa,
        plan: &abreast::Plan,
        n: usize,
        source: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        y: &mut [MaybeUninit<f32>],
    ) {
        let filters = Filters { shape: *self, transposed: plan.is_backward() };
        let mut panels = filters.abreast(panels);
        if self.groups == 1 {
            let panels = panels.next().unwrap_or_default();
            return dispatch(isa, Abreast { plan, n, source, panels, ending, last: false, y });
        }
        let [source_len, rows, y_len] = plan.lens();
        for (source, y) in
            source.chunks_exact(self.groups * source_len).zip(y.chunks_exact_mut(self.groups * y_len)).take(n)
        {
            let groups = source.chunks_exact(source_len).zip(y.chunks_exact_mut(y_len)).zip(panels.clone());
            for (group, ((source, y), panels)) in groups.enumerate() {
                let ending = ending.from(group * rows);
                dispatch(isa, Abreast { plan, n: 1, source, panels, ending, last: false, y });
            }
        }
    }

    /// How filters side by side compute small images of few examples, which do not fill the columns of Winograd's method.
    fn small_winograd(&self, transposed: bool) -> Option<abreast::Plan> {
        let is_small = self.is_winograd() && Filters { shape: *self, transposed }.is_abreast();
        if is_small { self.abreast(transposed, self.axes(), usize::MAX) } else { None }
    }

    /// How filters side by side compute the results that the axes say, or the gradient of their source, if that costs less
    /// than so many products of vectors.
    fn abreast(&self, backward: bool, axes: [Axis; 2], cost: usize) -> Option<abreast::Plan> {
        if !(Filters { shape: *self, transposed: backward }).is_abreast() {
            return None;
        }
        let taps = [self.kernel[1], self.kernel[0] * self.kernel[1]];
        let planes = if backward { [self.filters, self.channels] } else { [self.channels, self.filters] };
        let planes = planes.map(|planes| planes / self.groups);
        let plan = abreast::Plan::new(axes, backward, taps, planes)?;
        (self.groups * plan.cost() < cost).then_some(plan)
    }

    /// A correlation of planes by Winograd's method, in either direction.
    #[expect(clippy::too_many_arguments, reason = "two directions share it")]
    fn by_winograd(
        &self,
        isa: Isa,
        form: Form,
        n: usize,
        transposed: bool,
        source: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        halves: bool,
        y: &mut [f32],
    ) {
        let n = if form == Form::Lanes { 1 } else { n };
        let mut planes = [self.channels, self.filters];
        let mut sizes = [[self.height, self.width], [self.output_height(), self.output_width()]];
        let mut padding = self.padding.map(|padding| padding as isize);
        if transposed {
            planes.reverse();
            sizes.reverse();
            padding = padding.map(|padding| 2 - padding);
        }
        let ([planes, rows], [source_size, size]) = (planes, sizes);
        dispatch(
            isa,
            Winograd { form, n, planes, rows, source_size, size, padding, source, panels, ending, halves, y },
        );
    }

    /// A correlation of planes in lanes, of this kernel and these groups.
    #[expect(clippy::too_many_arguments, reason = "two directions share it")]
    fn in_lanes(
        &self,
        isa: Isa,
        axes: [Axis; 2],
        [planes, rows]: [usize; 2],
        source: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        y: &mut [MaybeUninit<f32>],
    ) {
        let [height, width] = self.kernel;
        let (kernel_width, taps, groups) = (width, height * width, self.groups);
        let correlation =
            lanes::Correlation { axes, kernel_width, taps, groups, planes, rows, source, panels, ending, y };
        if depthwise::suits(self) {
            dispatch(isa, depthwise::lanes::Correlation(correlation));
        } else {
            dispatch(isa, correlation);
        }
    }
}
