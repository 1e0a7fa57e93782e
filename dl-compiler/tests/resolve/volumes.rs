//! Convolution and pooling of volumes yield what their formulas say, whatever their sizes: loops in f64 are the oracle.

use proptest::prelude::*;

use crate::axes::{BATCH, assert_close, output, x};

type Sizes = [usize; 3];

/// A kernel that moves through a volume of `size`.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
}

/// All places of a volume, in order.
fn places([depth, height, width]: Sizes) -> impl Iterator<Item = Sizes> {
    (0..depth * height * width).map(move |at| [at / (height * width), at / width % height, at % width])
}

fn index([i, j, k]: Sizes, [_, height, width]: Sizes) -> usize {
    (i * height + j) * width + k
}

impl Windows {
    /// How many places the kernel has along each axis; `None` if it is larger than the padded volume.
    fn count(&self) -> Option<Sizes> {
        let mut count = [0; 3];
        for (axis, count) in count.iter_mut().enumerate() {
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let free = (self.size[axis] + 2 * self.padding[axis]).checked_sub(reach)?;
            *count = free / self.stride[axis] + 1;
        }
        Some(count)
    }

    /// The taps at a place that lie within the volume, each with where it lies.
    fn within(self, at: Sizes) -> impl Iterator<Item = (usize, usize)> {
        places(self.kernel).filter_map(move |tap| {
            let mut inside = [0; 3];
            for (axis, inside) in inside.iter_mut().enumerate() {
                let padded = at[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                *inside = padded.checked_sub(self.padding[axis]).filter(|&place| place < self.size[axis])?;
            }
            Some((index(tap, self.kernel), index(inside, self.size)))
        })
    }
}

fn volume(size: Sizes) -> usize {
    size.iter().product()
}

/// `y[f, i, j, k] = Σ x · weight + bias[f]`; parameters count from 1.
fn convolved(windows: &Windows, channels: usize, filters: usize, groups: usize, bias: bool) -> Vec<f64> {
    let count = windows.count().unwrap();
    let (in_group, taps) = (channels / groups, volume(windows.kernel));
    let mut y = Vec::new();
    for example in 0..BATCH {
        for filter in 0..filters {
            let first = filter / (filters / groups) * in_group;
            for at in places(count) {
                let mut sum = if bias { filter as f64 + 1.0 } else { 0.0 };
                for channel in 0..in_group {
                    for (tap, place) in windows.within(at) {
                        let weight = (filter * in_group + channel) * taps + tap + 1;
                        sum += x(example, (first + channel) * volume(windows.size) + place) * weight as f64;
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

/// What `of` makes of the pixels of each window.
fn pooled(windows: &Windows, channels: usize, of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let count = windows.count().unwrap();
    let mut y = Vec::new();
    for (example, channel) in (0..BATCH * channels).map(|at| (at / channels, at % channels)) {
        for at in places(count) {
            let pixel = |(_, place)| x(example, channel * volume(windows.size) + place);
            y.push(of(&windows.within(at).map(pixel).collect::<Vec<f64>>()));
        }
    }
    y
}

fn sizes(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Sizes> {
    [range.clone(), range.clone(), range]
}

fn windows() -> impl Strategy<Value = Windows> {
    (sizes(1..=7), sizes(1..=4), sizes(1..=3), sizes(0..=3), sizes(1..=3))
        .prop_map(|(size, kernel, stride, padding, dilation)| Windows { size, kernel, stride, padding, dilation })
        .prop_filter("the kernel fits", |windows| windows.count().is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn volumes_are_convolved(windows in windows(), groups in 1..=3_usize, (each, more) in (1..=2_usize, 1..=2_usize), bias: bool) {
        let Windows { size: [depth, height, width], kernel, stride, padding, dilation } = windows;
        let (channels, filters) = (each * groups, more * groups);
        let text = format!(
            "network N {{ input x: [{channels}, {depth}, {height}, {width}]; output y = x |> conv3d({filters}, \
             kernel: {kernel:?}, stride: {stride:?}, padding: {padding:?}, dilation: {dilation:?}, groups: {groups}, bias: {bias}); }}"
        );
        let found = output(&text, false, &[channels, depth, height, width]);
        assert_close(&found, &convolved(&windows, channels, filters, groups, bias));
    }

    #[test]
    fn volumes_are_pooled(windows in windows(), channels in 1..=2_usize) {
        let windows = Windows { dilation: [1; 3], ..windows };
        let fits = windows.count().is_some() && windows.padding.iter().zip(windows.kernel).all(|(&padding, kernel)| padding < kernel);
        prop_assume!(fits);
        let Windows { size: [depth, height, width], kernel, stride, padding, .. } = windows;
        let call = |name: &str| {
            let text = format!(
                "network N {{ input x: [{channels}, {depth}, {height}, {width}]; \
                 output y = x |> {name}({kernel:?}, stride: {stride:?}, padding: {padding:?}); }}"
            );
            output(&text, false, &[channels, depth, height, width])
        };
        let greatest = pooled(&windows, channels, |pixels| pixels.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        assert_close(&call("max_pool3d"), &greatest);
        let mean = pooled(&windows, channels, |pixels| pixels.iter().sum::<f64>() / pixels.len() as f64);
        assert_close(&call("avg_pool3d"), &mean);
    }
}

/// One number stands for all three axes; windows that nobody spaces stand side by side.
#[test]
fn one_size_is_that_of_every_axis() {
    let windows = Windows { size: [4, 6, 5], kernel: [2; 3], stride: [2; 3], padding: [0; 3], dilation: [1; 3] };
    let network = |layer: &str| format!("network N {{ input x: [2, 4, 6, 5]; output y = x |> {layer}; }}");
    let found = output(&network("max_pool3d(2)"), false, &[2, 4, 6, 5]);
    assert_close(&found, &pooled(&windows, 2, |pixels| pixels.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
    let found = output(&network("conv3d(4, kernel: 2, stride: 2, groups: 2)"), false, &[2, 4, 6, 5]);
    assert_close(&found, &convolved(&windows, 2, 4, 2, true));
    let found = output(&network("global_average_pool"), false, &[2, 4, 6, 5]);
    let mean = |at: usize| (0..120).map(|place| x(at / 2, at % 2 * 120 + place)).sum::<f64>() / 120.0;
    assert_close(&found, &(0..2 * BATCH).map(mean).collect::<Vec<f64>>());
}
