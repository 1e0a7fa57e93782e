//! Elementary functions over any lane.
//!
//! Each reduces its argument exactly to a small interval and evaluates a polynomial there. The polynomials are minimax
//! fits (Remez exchange, in 50 digits) of the relative error over the interval, below 2⁻²⁷ before rounding; the accuracy
//! promised in [`Lane`](super::Lane) is what the tests measure over the range of f32.

use super::lane::Lane;

/// c₀ + c₁x + c₂x² + …: even and odd powers by Horner's rule in x², side by side, since long chains wait for each other;
/// up to five coefficients in one chain.
#[inline(always)]
fn polynomial<V: Lane, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    if N <= 5 {
        return horner(x, x, 0, 1, coefficients);
    }
    let square = x * x;
    horner(x, square, 1, 2, coefficients).mul_add(x, horner(x, square, 0, 2, coefficients))
}

/// The coefficients `first`, `first + step`, … by Horner's rule in `power`.
#[inline(always)]
fn horner<V: Lane, const N: usize>(lane: V, power: V, first: usize, step: usize, coefficients: [f32; N]) -> V {
    let mut i = first + (N - 1 - first) / step * step;
    let mut y = lane.splat(coefficients[i]);
    while i > first {
        i -= step;
        y = y.mul_add(power, lane.splat(coefficients[i]));
    }
    y
}

/// ln 2 in 14 bits, so that products with exponents are exact, and the rest.
const LN_2: [f32; 2] = [0.693_115_23, 3.194_618_5e-5];

/// (n, eʳ − 1) with x = n · ln 2 + r and |r| ≤ ln 2 / 2, for |x| below 2¹⁰.
#[inline(always)]
fn reduced_exp<V: Lane>(x: V) -> (V, V) {
    let n = (x * x.splat(std::f32::consts::LOG2_E)).nearest();
    let r = n.mul_add(n.splat(-LN_2[0]), x);
    let r = n.mul_add(n.splat(-LN_2[1]), r);
    let p = polynomial(r, [0.499_999_93, 0.166_665_2, 0.041_668_4, 0.008_368_851, 0.001_381_432_5]);
    (n, (r * r).mul_add(p, r))
}

/// eˣ = 2ⁿ · eʳ; n may leave the range of exponents.
#[inline(always)]
pub(super) fn exp<V: Lane>(x: V) -> V {
    let (n, y) = reduced_exp(x.at_least(x.splat(-105.0)).at_most(x.splat(90.0)));
    (y + y.splat(1.0)).times_power_of_two(n)
}

/// ln x = e · ln 2 + ln m with √½ ≤ m < √2.
#[inline(always)]
pub(super) fn log<V: Lane>(x: V) -> V {
    let (zero, infinity) = (x.splat(0.0), x.splat(f32::INFINITY));
    let subnormal = x.less(x.splat(f32::MIN_POSITIVE));
    let normal = subnormal.select(x * x.splat(8_388_608.0), x);
    let (m, e) = normal.split_exponent();
    let e = e - subnormal * e.splat(23.0);
    let f = m - m.splat(1.0);
    let p = polynomial(
        f,
        [
            0.333_333_3,
            -0.250_008_23,
            0.200_012_3,
            -0.166_232_94,
            0.142_016_44,
            -0.131_607_27,
            0.127_627_2,
            -0.076_344_53,
        ],
    );
    let square = f * f;
    let tail = (square * f).mul_add(p, e * e.splat(LN_2[1]));
    let tail = square.mul_add(square.splat(-0.5), tail);
    let y = e.mul_add(e.splat(LN_2[0]), f + tail);
    let y = x.less(infinity).select(y, x);
    let y = x.equal(zero).select(-infinity, y);
    x.less(zero).select(x.splat(f32::NAN), y)
}

/// x + x³ P(x²) near 0; elsewhere e / (e + 2) with e = e²ˣ − 1 = 2ⁿ (eʳ − 1) + (2ⁿ − 1), which is 1 from 10 on.
#[inline(always)]
pub(super) fn tanh<V: Lane>(x: V) -> V {
    let z = x * x;
    let p = polynomial(z, [-0.333_332_8, 0.133_314_42, -0.053_739_714, 0.020_639_084, -0.005_704_985]);
    let near = (x * z).mul_add(p, x);
    let a = x.abs().at_most(x.splat(10.0));
    let (n, y) = reduced_exp(a + a);
    let power = n.power_of_two();
    let e = power.mul_add(y, power - x.splat(1.0));
    let far = e / (e + x.splat(2.0));
    a.less(x.splat(0.625)).select(near, far.with_sign_of(x))
}

/// q = 1 / (1 + e^−|x|) for positive x, e^−|x| in place of the 1 for negative: no overflow, no cancellation. What the sum
/// of the divisor loses in rounding is given back, q · loss / divisor, where 1 / divisor is 1 − q for negative x.
#[inline(always)]
pub(super) fn sigmoid<V: Lane>(x: V) -> V {
    let one = x.splat(1.0);
    let e = exp(-x.abs());
    let divisor = e + one;
    let q = x.less(x.splat(0.0)).select(e, one) / divisor;
    let loss = e - (divisor - one);
    (q * loss).mul_add(q - one, q)
}

/// max(x, 0) + log(1 + e), e = e^−|x|; the logarithm is 2 artanh s with s = e / (2 + e) ≤ ⅓, by a polynomial in s².
#[inline(always)]
pub(super) fn softplus<V: Lane>(x: V) -> V {
    let e = exp(-x.abs());
    let s = e / (e + e.splat(2.0));
    let z = s * s;
    let p = polynomial(z, ARTANH);
    let half = (s * z).mul_add(p, s);
    x.at_least(x.splat(0.0)) + (half + half)
}

/// (artanh s / s − 1) / s² as a polynomial in s² ≤ 1/9.
const ARTANH: [f32; 5] = [0.333_333_34, 0.199_998_53, 0.142_961_79, 0.108_532_876, 0.116_121_65];

/// x + x P(x²) up to 1; then 1 − 2^Q(|x|), which is 1 from 3.93 on, with 2^Q = 2ⁿ · 2^f and |f| ≤ ½.
#[inline(always)]
pub(super) fn erf<V: Lane>(x: V) -> V {
    let one = x.splat(1.0);
    let a = x.abs().at_most(x.splat(4.0));
    let p = polynomial(
        x * x,
        [0.128_379_17, -0.376_126_26, 0.112_835_85, -0.026_853_81, 0.005_188_326_3, -0.000_801_018_24, 7.853_827e-5],
    );
    let near = x.mul_add(p, x);
    let q = polynomial(
        a,
        [-0.000_510_306_7, -1.625_975_1, -0.920_765, -0.148_651_52, 0.031_458_43, -0.004_240_958_4, 0.000_267_726_86],
    );
    let n = q.nearest();
    let f = q - n;
    // −2^f, to be added to 1.
    let ln_2 = std::f32::consts::LN_2;
    let p = polynomial(
        f,
        [-1.0, -ln_2, -0.240_226_48, -0.055_503_596, -0.009_618_518, -0.001_339_095_9, -0.000_153_243_15],
    );
    let far = p.mul_add(n.power_of_two(), one);
    a.less(one).select(near, far.with_sign_of(x))
}

/// π/2 in pieces of 10, 11 and 11 bits, whose products with integers up to 8191 are exact, and the rest.
const HALF_PI: [f32; 4] = [1.570_312_5, 0.000_483_751_3, 7.549_533_6e-8, 2.563_344e-12];
/// Up to here the pieces suffice; beyond, the standard library reduces the argument.
const REDUCIBLE: f32 = 8192.0;

/// (r, n mod 4 as 0..=3) with x = n · π/2 + r.
#[inline(always)]
fn quadrant<V: Lane>(x: V) -> (V, V) {
    let n = (x * x.splat(std::f32::consts::FRAC_2_PI)).nearest();
    let r = n.mul_add(n.splat(-HALF_PI[0]), x);
    let r = n.mul_add(n.splat(-HALF_PI[1]), r);
    // What the third difference loses in rounding joins the last piece, so that r is rounded once.
    let third = n * n.splat(HALF_PI[2]);
    let difference = r - third;
    let r = difference + n.mul_add(n.splat(-HALF_PI[3]), (r - difference) - third);
    let quarter = (n * n.splat(0.25)).floor();
    (r, n - quarter * quarter.splat(4.0))
}

/// The sine of r, |r| ≤ π/4.
#[inline(always)]
fn small_sin<V: Lane>(r: V) -> V {
    let z = r * r;
    (r * z).mul_add(polynomial(z, [-0.166_666_55, 0.008_332_156, -0.000_195_146_32]), r)
}

/// The cosine of r, |r| ≤ π/4.
#[inline(always)]
fn small_cos<V: Lane>(r: V) -> V {
    let z = r * r;
    let p = polynomial(z, [0.041_666_646, -0.001_388_736_1, 2.443_773e-5]);
    (z * z).mul_add(p, z.mul_add(z.splat(-0.5), z.splat(1.0)))
}

/// Sine and cosine of r change places and signs with the quadrant.
#[inline(always)]
pub(super) fn sin<V: Lane>(x: V) -> V {
    let (r, n) = quadrant(x);
    let odd = n.equal(n.splat(1.0)) + n.equal(n.splat(3.0));
    let y = odd.select(small_cos(r), small_sin(r));
    far(x, f32::sin, n.greater(n.splat(1.5)).select(-y, y))
}

/// As [`sin`], one quadrant on.
#[inline(always)]
pub(super) fn cos<V: Lane>(x: V) -> V {
    let (r, n) = quadrant(x);
    let odd = n.equal(n.splat(1.0)) + n.equal(n.splat(3.0));
    let y = odd.select(small_sin(r), small_cos(r));
    let negative = n.equal(n.splat(1.0)) + n.equal(n.splat(2.0));
    far(x, f32::cos, negative.select(-y, y))
}

/// y where the argument is reducible, else the function of the standard library, and NaN: what one element becomes does not
/// depend on the others.
#[inline(always)]
fn far<V: Lane>(x: V, function: fn(f32) -> f32, y: V) -> V {
    let far = x.abs().less(x.splat(REDUCIBLE)).equal(x.splat(0.0));
    if far.any() { far.select(x.map(function), y) } else { y }
}
