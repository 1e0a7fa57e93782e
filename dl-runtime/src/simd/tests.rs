//! Every function of a lane, on every instruction set of this machine, against double precision.

use super::{Isa, Kernel, Lane, available, dispatch};

/// Applies a function of a lane to a slice, masked at its end.
struct Apply<'a, F> {
    function: F,
    x: &'a [f32],
    y: &'a mut [f32],
}

trait Function {
    fn of<V: Lane>(&self, x: V) -> V;
}

impl<F: Function> Kernel for Apply<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        for (x, y) in self.x.chunks(V::LANES).zip(self.y.chunks_mut(V::LANES)) {
            // SAFETY: both chunks hold x.len() floats.
            unsafe { self.function.of(lane.load_first(x.as_ptr(), x.len())).store_first(y.as_mut_ptr(), y.len()) }
        }
    }
}

fn apply(isa: Isa, function: impl Function, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    dispatch(isa, Apply { function, x, y: &mut y });
    y
}

/// Finite values of all magnitudes and signs, and the zeros: every 997th, or as `DLN_TEST_STEP` says; with 1, all.
fn all_magnitudes() -> Vec<f32> {
    let step = std::env::var("DLN_TEST_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(997);
    let positive = (0..f32::INFINITY.to_bits()).step_by(step).map(f32::from_bits);
    positive.flat_map(|x| [x, -x]).collect()
}

/// `count` values evenly spread over an interval.
fn spread(low: f64, high: f64, count: usize) -> Vec<f32> {
    (0..count).map(|i| (low + (high - low) * i as f64 / count as f64) as f32).collect()
}

/// The distance of `found` from `exact` in units in the last place of `exact`.
fn ulp(found: f32, exact: f64) -> f64 {
    if found as f64 == exact || (found.is_nan() && exact.is_nan()) || found == exact as f32 {
        return 0.0;
    }
    let scale = (exact.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    let unit = f32::from_bits(scale.to_bits() & 0x7f80_0000) as f64 * 2f64.powi(-23);
    let distance = (found as f64 - exact).abs() / unit;
    if distance.is_nan() { f64::INFINITY } else { distance }
}

/// Asserts that the greatest error over the values is below a bound.
fn accurate(name: &str, function: impl Function, exact: impl Fn(f64) -> f64, bound: f64, x: &[f32]) {
    for isa in available() {
        let y = apply(*isa, &function, x);
        let worst = x.iter().zip(&y).map(|(x, y)| (ulp(*y, exact(*x as f64)), *x, *y));
        let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        println!("{name} {isa:?}: {:.2} ulp at {}", worst.0, worst.1);
        assert!(worst.0 <= bound, "{name} {isa:?}: {:.2} ulp at {:e}: {:e}", worst.0, worst.1, worst.2);
    }
}

impl<F: Function> Function for &F {
    #[inline(always)]
    fn of<V: Lane>(&self, x: V) -> V {
        (*self).of(x)
    }
}

/// A function of a lane as a value.
macro_rules! function {
    (|$x:ident| $body:expr) => {{
        struct Body;
        impl Function for Body {
            #[inline(always)]
            fn of<V: Lane>(&self, $x: V) -> V {
                $body
            }
        }
        Body
    }};
}

/// The error function by its Taylor series, good to 1e-9 up to 4.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= -x * x / k as f64;
        sum += term / (2 * k + 1) as f64;
        if term.abs() < 1e-18 * sum.abs() {
            break;
        }
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn elementary_functions_are_as_accurate_as_documented() {
    let all = all_magnitudes();
    let with = |low, high| [all.clone(), spread(low, high, 400_000)].concat();
    accurate("exp", function!(|x| x.exp()), f64::exp, 2.0, &with(-105.0, 90.0));
    accurate("log", function!(|x| x.log()), f64::ln, 2.0, &with(0.4, 2.5));
    accurate("tanh", function!(|x| x.tanh()), f64::tanh, 2.0, &with(-10.0, 10.0));
    accurate("sigmoid", function!(|x| x.sigmoid()), |x| 1.0 / (1.0 + (-x).exp()), 2.0, &with(-90.0, 30.0));
    accurate(
        "softplus",
        function!(|x| x.softplus()),
        |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
        4.0,
        &with(-90.0, 30.0),
    );
    accurate("erf", function!(|x| x.erf()), erf, 2.0, &with(-4.5, 4.5));
    accurate("sin", function!(|x| x.sin()), f64::sin, 2.0, &with(-8200.0, 8200.0));
    accurate("cos", function!(|x| x.cos()), f64::cos, 2.0, &with(-8200.0, 8200.0));
    accurate("sin", function!(|x| x.sin()), f64::sin, 2.0, &spread(-7.0, 7.0, 400_000));
    accurate("cos", function!(|x| x.cos()), f64::cos, 2.0, &spread(-7.0, 7.0, 400_000));
    accurate("sqrt", function!(|x| x.sqrt()), f64::sqrt, 0.5, &all);
    accurate("pow", function!(|x| x.abs().pow(x.splat(1.7))), |x| x.abs().powf(1.7f32 as f64), 1.0, &all);
}

#[test]
fn exact_operations_are_exact() {
    let x = all_magnitudes();
    accurate("abs", function!(|x| x.abs()), f64::abs, 0.0, &x);
    accurate("neg", function!(|x| -x), |x| -x, 0.0, &x);
    accurate("floor", function!(|x| x.floor()), f64::floor, 0.0, &x);
    accurate("relu", function!(|x| x.relu()), |x| x.max(0.0), 0.0, &x);
    accurate("min", function!(|x| x.min(x.splat(0.3))), |x| x.min(0.3f32 as f64), 0.0, &x);
    accurate("max", function!(|x| x.max(x.splat(0.3))), |x| x.max(0.3f32 as f64), 0.0, &x);
    accurate("add", function!(|x| x + x.splat(1.5)), |x| (x + 1.5) as f32 as f64, 0.0, &x);
    accurate("sub", function!(|x| x - x.splat(1.5)), |x| (x - 1.5) as f32 as f64, 0.0, &x);
    accurate("mul", function!(|x| x * x.splat(1.7)), |x| (x * 1.7f32 as f64) as f32 as f64, 0.0, &x);
    accurate("div", function!(|x| x / x.splat(1.7)), |x| (x / 1.7f32 as f64) as f32 as f64, 0.0, &x);
}

#[test]
fn comparisons_give_one_or_zero_and_nan_compares_false() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let x = [-1.0, 0.0, -0.0, 0.5, 1.0, infinity, -infinity, nan, 2.0];
    for isa in available() {
        let all = |y: Vec<f32>, exact: fn(f32) -> bool| {
            assert_eq!(y, x.map(|x| if exact(x) { 1.0 } else { 0.0 }), "{isa:?}");
        };
        all(apply(*isa, function!(|x| x.greater(x.splat(0.5))), &x), |x| x > 0.5);
        all(apply(*isa, function!(|x| x.greater_equal(x.splat(0.5))), &x), |x| x >= 0.5);
        all(apply(*isa, function!(|x| x.less(x.splat(0.5))), &x), |x| x < 0.5);
        all(apply(*isa, function!(|x| x.less_equal(x.splat(0.5))), &x), |x| x <= 0.5);
        all(apply(*isa, function!(|x| x.equal(x.splat(0.0))), &x), |x| x == 0.0);
        all(apply(*isa, function!(|x| x.not_equal(x.splat(0.0))), &x), |x| x != 0.0);
        all(apply(*isa, function!(|x| x.select(x.splat(1.0), x.splat(0.0))), &x), |x| x != 0.0);
    }
}

/// A function of a lane, applied to a slice.
type Applied = dyn Fn(&[f32]) -> Vec<f32>;

#[test]
fn special_values() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    for isa in available() {
        let one = |function: &Applied, x: f32| function(&[x])[0];
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.exp()), x), infinity), infinity);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.exp()), x), -infinity), 0.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.exp()), x), 0.0), 1.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.log()), x), infinity), infinity);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.log()), x), 1.0), 0.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.log()), x), 0.0), -infinity);
        assert!(one(&|x| apply(*isa, function!(|x| x.log()), x), -1.0).is_nan());
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.tanh()), x), -infinity), -1.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.sigmoid()), x), -infinity), 0.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.sigmoid()), x), infinity), 1.0);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.softplus()), x), infinity), infinity);
        assert_eq!(one(&|x| apply(*isa, function!(|x| x.erf()), x), infinity), 1.0);
        let kept: [&Applied; 14] = [
            &|x| apply(*isa, function!(|x| x.exp()), x),
            &|x| apply(*isa, function!(|x| x.log()), x),
            &|x| apply(*isa, function!(|x| x.tanh()), x),
            &|x| apply(*isa, function!(|x| x.sigmoid()), x),
            &|x| apply(*isa, function!(|x| x.softplus()), x),
            &|x| apply(*isa, function!(|x| x.erf()), x),
            &|x| apply(*isa, function!(|x| x.sin()), x),
            &|x| apply(*isa, function!(|x| x.cos()), x),
            &|x| apply(*isa, function!(|x| x.relu()), x),
            &|x| apply(*isa, function!(|x| x.sqrt()), x),
            &|x| apply(*isa, function!(|x| x.min(x.splat(1.0))), x),
            &|x| apply(*isa, function!(|x| x.splat(1.0).min(x)), x),
            &|x| apply(*isa, function!(|x| x.max(x.splat(1.0))), x),
            &|x| apply(*isa, function!(|x| x.splat(1.0).max(x)), x),
        ];
        for (i, function) in kept.into_iter().enumerate() {
            assert!(one(function, nan).is_nan(), "{isa:?}: function {i} loses NaN");
        }
    }
}

#[test]
fn sums_and_partial_access() {
    struct Sums<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Sums<'_> {
        type Output = [f32; 2];
        #[inline(always)]
        fn run<V: Lane>(self, lane: V) -> [f32; 2] {
            // SAFETY: the slices hold as many floats as are accessed.
            unsafe {
                let x = lane.load_first(self.0.as_ptr(), self.0.len());
                x.store_first(self.1.as_mut_ptr(), self.1.len());
                [x.total(), x.greatest()]
            }
        }
    }
    let values: Vec<f32> = (1..=8).map(|i| i as f32).collect();
    for isa in available() {
        for count in 0..=8 {
            let mut copy = [-1.0; 9];
            let [total, greatest] = dispatch(*isa, Sums(&values[..count], &mut copy[..count]));
            assert_eq!(total, (count * (count + 1) / 2) as f32);
            assert_eq!(greatest, count as f32);
            assert_eq!(copy[..count], values[..count]);
            assert!(copy[count..].iter().all(|value| *value == -1.0));
        }
    }
}
