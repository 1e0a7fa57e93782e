//! Every function of a lane, on every instruction set of this machine and in each of its widths, against double precision.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Eight, Isa, Kernel, Lane, Sixteen, available, dispatch, isa};

/// Applies a function of a lane to a slice, masked at its end: into three, over the lane itself, vectors of eight and of
/// sixteen.
struct Apply<'a, F> {
    function: F,
    x: &'a [f32],
    y: [&'a mut [f32]; 3],
}

trait Function {
    fn of<V: Lane>(&self, x: V) -> V;
}

impl<F: Function> Kernel for Apply<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let [y, y_eight, y_sixteen] = self.y;
        over(&self.function, lane, self.x, y);
        over(&self.function, lane.eight(), self.x, y_eight);
        over(&self.function, lane.sixteen(), self.x, y_sixteen);
    }
}

#[inline(always)]
fn over<V: Lane>(function: &impl Function, lane: V, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks(V::LANES).zip(y.chunks_mut(V::LANES)) {
        // SAFETY: both chunks hold x.len() floats.
        unsafe { function.of(lane.load_first(x.as_ptr(), x.len())).store_first(y.as_mut_ptr(), y.len()) }
    }
}

/// What the three widths give, which must be the same bits but for NaN.
fn apply(isa: Isa, function: impl Function, x: &[f32]) -> Vec<f32> {
    let mut y = [(); 3].map(|()| vec![f32::NAN; x.len()]);
    let [a, b, c] = &mut y;
    dispatch(isa, Apply { function, x, y: [a, b, c] });
    for (i, x) in x.iter().enumerate() {
        let of = |y: &[f32]| if y[i].is_nan() { None } else { Some(y[i].to_bits()) };
        assert!(
            of(&y[0]) == of(&y[1]) && of(&y[0]) == of(&y[2]),
            "{isa:?} at {x:e}: {}, {}, {}",
            y[0][i],
            y[1][i],
            y[2][i]
        );
    }
    let [y, ..] = y;
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

#[test]
fn an_element_does_not_depend_on_its_neighbours() {
    // On both sides of where sine and cosine change their method, in every place of a vector.
    let x: Vec<f32> = spread(8150.0, 8230.0, 1001);
    for isa in available() {
        let sin = |x: &[f32]| apply(*isa, function!(|x| x.sin()), x);
        let cos = |x: &[f32]| apply(*isa, function!(|x| x.cos()), x);
        for function in [&sin as &Applied, &cos] {
            let alone: Vec<f32> = x.iter().map(|x| function(&[*x])[0]).collect();
            let mixed: Vec<f32> = x.iter().rev().step_by(3).chain(&x).copied().collect();
            assert_eq!(function(&mixed)[mixed.len() - x.len()..], alone, "{isa:?}");
        }
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

/// What a vector of the first floats of a slice gives: its sum, its greatest, whether any is not 0.
type Summary = (f32, f32, bool);

#[test]
fn sums_and_partial_access() {
    struct Sums<'a>(&'a [f32], [&'a mut [f32]; 3]);
    impl Kernel for Sums<'_> {
        type Output = [Option<Summary>; 3];
        #[inline(always)]
        fn run<V: Lane>(self, lane: V) -> Self::Output {
            let [own, eight, sixteen] = self.1;
            [of(lane, self.0, own), of(lane.eight(), self.0, eight), of(lane.sixteen(), self.0, sixteen)]
        }
    }
    #[inline(always)]
    fn of<V: Lane>(lane: V, x: &[f32], copy: &mut [f32]) -> Option<Summary> {
        if x.len() > V::LANES {
            return None;
        }
        // SAFETY: the slices hold as many floats as are accessed.
        unsafe {
            let x = lane.load_first(x.as_ptr(), x.len());
            x.store_first(copy.as_mut_ptr(), copy.len());
            Some((x.total(), x.greatest(), x.any()))
        }
    }
    let values: Vec<f32> = (1..=16).map(|i| i as f32).collect();
    for isa in available() {
        for count in 0..=16 {
            let mut copies = [[-1.0; 17]; 3];
            let [a, b, c] = &mut copies;
            let found = dispatch(*isa, Sums(&values[..count], [&mut a[..count], &mut b[..count], &mut c[..count]]));
            assert!(found[2].is_some(), "{isa:?}: no vector of sixteen");
            for (found, copy) in found.into_iter().zip(copies) {
                let Some((total, greatest, any)) = found else { continue };
                assert_eq!(total, (count * (count + 1) / 2) as f32);
                assert_eq!(greatest, count as f32);
                assert_eq!(any, count > 0);
                assert_eq!(copy[..count], values[..count]);
                assert!(copy[count..].iter().all(|value| *value == -1.0));
            }
        }
    }
}

#[test]
fn shuffles() {
    /// Checks the shuffles of a vector and of the other widths.
    struct Shuffles;
    impl Kernel for Shuffles {
        type Output = ();
        #[inline(always)]
        fn run<V: Lane>(self, lane: V) {
            check(lane);
            check(lane.eight());
            check(lane.sixteen());
            turn(lane.eight());
        }
    }
    fn check<V: Lane>(lane: V) {
        let number: Vec<f32> = (0..2 * V::LANES).map(|i| i as f32).collect();
        let (mut even_odd, mut back) = (vec![0.0; 2 * V::LANES], vec![0.0; 2 * V::LANES]);
        // SAFETY: the vectors hold twice LANES floats.
        unsafe {
            let (first, second) = (lane.load(number.as_ptr()), lane.load(number.as_ptr().add(V::LANES)));
            let (even, odd) = first.deinterleave(second);
            even.store(even_odd.as_mut_ptr());
            odd.store(even_odd.as_mut_ptr().add(V::LANES));
            let (first, second) = even.interleave(odd);
            first.store(back.as_mut_ptr());
            second.store(back.as_mut_ptr().add(V::LANES));
        }
        for i in 0..V::LANES {
            assert_eq!((even_odd[i], even_odd[V::LANES + i]), (2.0 * i as f32, 2.0 * i as f32 + 1.0));
        }
        assert_eq!(back, number);
    }
    fn turn<V: Eight>(lane: V) {
        let rows: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let mut columns = [0.0; 64];
        let mut block = [lane; 8];
        // SAFETY: both hold eight times eight floats.
        unsafe {
            for (i, row) in block.iter_mut().enumerate() {
                *row = lane.load(rows.as_ptr().add(8 * i));
            }
            for (i, column) in V::transpose(block).into_iter().enumerate() {
                column.store(columns.as_mut_ptr().add(8 * i));
            }
        }
        for i in 0..64 {
            assert_eq!(columns[i], rows[i % 8 * 8 + i / 8]);
        }
    }
    for isa in available() {
        dispatch(*isa, Shuffles);
    }
}

#[test]
fn loads_read_what_lies_between_and_blocks_are_turned() {
    struct Between<'a>(&'a [f32], usize, usize, [&'a mut [f32]; 3]);
    impl Kernel for Between<'_> {
        type Output = ();
        #[inline(always)]
        fn run<V: Lane>(self, lane: V) {
            let [own, eight, sixteen] = self.3;
            between(lane, self.0, self.1, self.2, own);
            between(lane.eight(), self.0, self.1, self.2, eight);
            between(lane.sixteen(), self.0, self.1, self.2, sixteen);
        }
    }
    #[inline(always)]
    fn between<V: Lane>(lane: V, x: &[f32], first: usize, end: usize, y: &mut [f32]) {
        let end = end.min(V::LANES);
        // SAFETY: x holds the floats from `first` to `end`; its other end may lie outside. y holds sixteen.
        unsafe { lane.load_between(x.as_ptr().wrapping_sub(first), first, end.max(first)).store(y.as_mut_ptr()) }
    }
    struct Turn<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Turn<'_> {
        type Output = ();
        #[inline(always)]
        fn run<V: Lane>(self, lane: V) {
            turn(lane.sixteen(), self.0, self.1);
        }
    }
    #[inline(always)]
    fn turn<W: Sixteen>(lane: W, x: &[f32], y: &mut [f32]) {
        let mut block = [lane; 16];
        for (row, x) in block.iter_mut().zip(x.chunks_exact(16)) {
            // SAFETY: a chunk holds sixteen floats.
            *row = unsafe { lane.load(x.as_ptr()) };
        }
        for (row, y) in W::transpose(block).into_iter().zip(y.chunks_exact_mut(16)) {
            // SAFETY: a chunk holds sixteen floats.
            unsafe { row.store(y.as_mut_ptr()) }
        }
    }
    let values: Vec<f32> = (1..=256).map(|i| i as f32).collect();
    for isa in available() {
        for (first, end) in (0..=16).flat_map(|end| (0..=end).map(move |first| (first, end))) {
            let mut found = [[-1.0; 16]; 3];
            let [a, b, c] = &mut found;
            dispatch(*isa, Between(&values[first..end], first, end, [a, b, c]));
            for (found, lanes) in found.iter().zip([0, 8, 16]) {
                let lanes = if lanes == 0 { if found[15] == -1.0 { 8 } else { 16 } } else { lanes };
                for (lane, found) in found[..lanes].iter().enumerate() {
                    let expected = if (first..end).contains(&lane) { values[lane] } else { 0.0 };
                    assert_eq!(*found, expected, "{isa:?}: lane {lane} of {first}..{end}");
                }
            }
        }
        let mut turned = vec![0.0; 256];
        dispatch(*isa, Turn(&values, &mut turned));
        for (i, value) in turned.iter().enumerate() {
            assert_eq!(*value, values[i % 16 * 16 + i / 16], "{isa:?}");
        }
    }
}

/// Applies a function over the lane at hand.
struct Once<'a, F> {
    function: &'a F,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Function> Kernel for Once<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        over(self.function, lane, self.x, self.y);
    }
}

/// The greatest error of a function over all 2³² floats, on the instruction set in use, and where it is found.
fn worst_of_all(function: impl Function + Sync, exact: impl Fn(f64) -> f64 + Sync) -> (f64, f32) {
    const CHUNK: u64 = 1 << 16;
    let next = AtomicU64::new(0);
    let search = || {
        let (mut x, mut y) = (vec![0.0; CHUNK as usize], vec![0.0; CHUNK as usize]);
        let mut worst = (0.0, 0.0);
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >> 32 != 0 {
                return worst;
            }
            for (bits, x) in (start as u32..).zip(&mut x) {
                *x = f32::from_bits(bits);
            }
            dispatch(isa(), Once { function: &function, x: &x, y: &mut y });
            for (x, y) in x.iter().zip(&y) {
                let error = ulp(*y, exact(*x as f64));
                if error > worst.0 {
                    worst = (error, *x);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let worst = workers.into_iter().map(|worker| worker.join().unwrap());
        worst.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    })
}

#[test]
#[ignore = "takes minutes: four thousand million values for each of eight functions"]
fn elementary_functions_over_every_float() {
    let mut failed = Vec::new();
    macro_rules! check {
        ($name:literal, $bound:literal, |$x:ident| $function:expr, $exact:expr) => {
            let (error, x) = worst_of_all(function!(|$x| $function), $exact);
            println!("{} {:?}: {error:.3} ulp at {x:e} (bits {:#010x})", $name, isa(), x.to_bits());
            if error > $bound {
                failed.push($name);
            }
        };
    }
    check!("exp", 2.0, |x| x.exp(), f64::exp);
    check!("log", 2.0, |x| x.log(), f64::ln);
    check!("tanh", 2.0, |x| x.tanh(), f64::tanh);
    check!("sigmoid", 2.0, |x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp()));
    check!("softplus", 4.0, |x| x.softplus(), |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
    check!("erf", 2.0, |x| x.erf(), libm::erf);
    check!("sin", 2.0, |x| x.sin(), f64::sin);
    check!("cos", 2.0, |x| x.cos(), f64::cos);
    assert!(failed.is_empty(), "less accurate than documented: {failed:?}");
}
