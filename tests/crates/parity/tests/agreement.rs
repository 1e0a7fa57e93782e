//! What compiler and runtime each know of the shapes of kernels, compared: sizes of panels, and what can be fused.

use dl_compiler::program::{Convolution2dShape, Method, Pool2dShape};
use dln::runtime as rt;

/// One of some numbers.
fn draw(rng: &mut rt::Rng, from: &[usize]) -> usize {
    from[rng.below(from.len())]
}

#[test]
fn sizes_of_panels_and_pooled_convolutions_agree() {
    let mut rng = rt::Rng::new(1);
    let mut pooled = 0;
    for _ in 0..20_000 {
        let mut pair = |from: &[usize]| [draw(&mut rng, from), draw(&mut rng, from)];
        let [height, width] = pair(&[3, 4, 7, 8, 9, 16, 31, 64]);
        let (kernel, stride) = (pair(&[1, 3, 3, 3]), pair(&[1, 1, 1, 2]));
        let (padding, dilation, window) = (pair(&[0, 1]), pair(&[1, 1, 1, 2]), pair(&[1, 2, 2, 3]));
        let [groups, parts] = pair(&[1, 1, 1, 2, 8]);
        let [channels, filters] = [parts, draw(&mut rng, &[1, 3, 4, 16, 40, 64, 128])].map(|count| count * groups);
        let size = [height, width];
        if (0..2).any(|axis| size[axis] + 2 * padding[axis] <= dilation[axis] * (kernel[axis] - 1)) {
            continue;
        }
        let shape = Convolution2dShape {
            channels,
            height,
            width,
            filters,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            last: false,
        };
        let method = match shape.method() {
            Method::Direct => rt::Method::Direct,
            Method::Winograd => rt::Method::Winograd,
        };
        let runtime =
            rt::Convolution2d { channels, height, width, filters, kernel, stride, padding, dilation, groups, method };
        for transposed in [false, true] {
            let floats = rt::Filters { shape: runtime, transposed }.len();
            assert_eq!(shape.panels(transposed), floats, "{runtime:?} {transposed}");
        }
        // The compiler asks only for windows that are not larger than the results.
        if runtime.output_height() >= window[0] && runtime.output_width() >= window[1] {
            assert_eq!(shape.pools(window), runtime.pools(window), "{runtime:?} {window:?}");
            pooled += usize::from(runtime.pools(window));
        }
    }
    assert!(pooled > 1000, "{pooled}");
}

#[test]
fn what_pools_compute_on_the_way_agrees() {
    let mut rng = rt::Rng::new(2);
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut pair = |from: &[usize]| [draw(&mut rng, from), draw(&mut rng, from)];
        let ([height, width], kernel) = (pair(&[1, 8, 84, 85, 86, 127, 128, 129, 300]), pair(&[1, 2, 3]));
        let (other, padding) = (pair(&[1, 2, 3]), pair(&[0, 0, 0, 1]));
        let stride = if draw(&mut rng, &[0, 1, 2]) == 0 { other } else { kernel };
        let shape = Pool2dShape { channels: 2, height, width, kernel, stride, padding };
        let runtime = rt::Pool2d { channels: 2, height, width, kernel, stride, padding };
        assert_eq!(shape.takes_prologue(), runtime.takes_prologue(), "{runtime:?}");
        taken += usize::from(runtime.takes_prologue());
    }
    assert!(taken > 1000, "{taken}");
}
