//! Augmentation: an image or a sound and random numbers enter; the same with small changes that keep its meaning.
//!
//! Each function changes its first argument in place. [`ImageAugmentation`] and [`SoundAugmentation`] draw how much
//! from an [`ExampleRng`], so in [`Augmented`](super::Augmented) the result depends on seed, epoch and position alone.

use super::{DataError, ExampleRng};

/// Mirrors left and right.
pub fn flip_horizontal<const C: usize, const H: usize, const W: usize>(image: &mut [[[f32; W]; H]; C]) {
    image.as_flattened_mut().iter_mut().for_each(|row| row.reverse());
}

/// Mirrors top and bottom.
pub fn flip_vertical<const C: usize, const H: usize, const W: usize>(image: &mut [[[f32; W]; H]; C]) {
    image.iter_mut().for_each(|rows| rows.reverse());
}

/// Moves by whole pixels, down and to the right, up and to the left if negative; `fill` moves in.
pub fn shift<const C: usize, const H: usize, const W: usize>(
    image: &mut [[[f32; W]; H]; C],
    down: isize,
    right: isize,
    fill: f32,
) {
    let mut before = Vec::with_capacity(H * W);
    for rows in image {
        before.clear();
        before.extend_from_slice(rows.as_flattened());
        for (y, row) in rows.iter_mut().enumerate() {
            for (x, to) in row.iter_mut().enumerate() {
                let y = y.checked_add_signed(down.saturating_neg()).filter(|&y| y < H);
                let x = x.checked_add_signed(right.saturating_neg()).filter(|&x| x < W);
                *to = y.zip(x).map_or(fill, |(y, x)| before[y * W + x]);
            }
        }
    }
}

/// Turns and scales about the middle, then moves: `radians` turn from right to down, `zoom` above 1 enlarges, `down`
/// and `right` are pixels and may be fractions. Pixels are interpolated linearly in both directions; outside is
/// `fill`. A zoom that is not above 0, and numbers that are not finite, leave nothing but `fill`.
pub fn transform<const C: usize, const H: usize, const W: usize>(
    image: &mut [[[f32; W]; H]; C],
    radians: f32,
    zoom: f32,
    down: f32,
    right: f32,
    fill: f32,
) {
    let (sin, cos) = radians.sin_cos();
    let (middle_y, middle_x) = ((H as f32 - 1.0) / 2.0, (W as f32 - 1.0) / 2.0);
    let usable = zoom > 0.0;
    let mut before = Vec::with_capacity(H * W);
    for rows in image {
        before.clear();
        before.extend_from_slice(rows.as_flattened());
        for (y, row) in rows.iter_mut().enumerate() {
            for (x, to) in row.iter_mut().enumerate() {
                let (dy, dx) = (y as f32 - middle_y - down, x as f32 - middle_x - right);
                let from_y = (cos * dy - sin * dx) / zoom + middle_y;
                let from_x = (sin * dy + cos * dx) / zoom + middle_x;
                *to = if usable { interpolated::<H, W>(&before, from_y, from_x, fill) } else { fill };
            }
        }
    }
}

/// The value between four pixels; those outside are `fill`.
fn interpolated<const H: usize, const W: usize>(pixels: &[f32], y: f32, x: f32, fill: f32) -> f32 {
    // One pixel beyond the edge there is nothing but `fill`; this also keeps the conversion in range.
    if !(y > -1.0 && y < H as f32 && x > -1.0 && x < W as f32) {
        return fill;
    }
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let pixel = |row: f32, column: f32| {
        let inside = row >= 0.0 && row < H as f32 && column >= 0.0 && column < W as f32;
        if inside { pixels[row as usize * W + column as usize] } else { fill }
    };
    let upper = pixel(top, left) * (1.0 - right) + pixel(top, left + 1.0) * right;
    let lower = pixel(top + 1.0, left) * (1.0 - right) + pixel(top + 1.0, left + 1.0) * right;
    upper * (1.0 - down) + lower * down
}

/// The part of an image that begins at row `top` and column `left`: smaller, or with `fill` where the image ends.
pub fn crop<const C: usize, const H: usize, const W: usize, const H2: usize, const W2: usize>(
    image: &[[[f32; W]; H]; C],
    top: usize,
    left: usize,
    fill: f32,
) -> [[[f32; W2]; H2]; C] {
    let mut part = [[[fill; W2]; H2]; C];
    for (rows, from) in part.iter_mut().zip(image) {
        for (row, from) in rows.iter_mut().zip(from.iter().skip(top)) {
            row.iter_mut().zip(from.iter().skip(left)).for_each(|(to, &from)| *to = from);
        }
    }
    part
}

/// Fills a square of `size` pixels whose middle is row `y`, column `x`; what lies outside the image is left out
/// (DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017).
pub fn cutout<const C: usize, const H: usize, const W: usize>(
    image: &mut [[[f32; W]; H]; C],
    y: usize,
    x: usize,
    size: usize,
    fill: f32,
) {
    let inside = |at: usize, middle: usize| {
        let first = middle.saturating_sub(size / 2);
        let end = middle.saturating_add(size.div_ceil(2));
        (first..end).contains(&at)
    };
    for rows in image {
        for (_, row) in rows.iter_mut().enumerate().filter(|(at, _)| inside(*at, y)) {
            row.iter_mut().enumerate().filter(|(at, _)| inside(*at, x)).for_each(|(_, to)| *to = fill);
        }
    }
}

/// Adds a normal number of that deviation to each value.
pub fn add_noise(values: &mut [f32], deviation: f32, rng: &mut ExampleRng) {
    values.iter_mut().for_each(|value| *value += deviation * rng.normal());
}

/// `share` of each value and `1 - share` of the other's, for [`Mixup`](super::Mixup): of inputs and of labels. Where
/// one is longer, the rest stays as it is.
pub fn mix(values: &mut [f32], others: &[f32], share: f32) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
}

/// Moves sound by that many samples, to later if positive; silence moves in.
pub fn shift_samples(samples: &mut [f32], later: isize) {
    let distance = later.unsigned_abs().min(samples.len());
    if later >= 0 {
        samples.rotate_right(distance);
        samples[..distance].fill(0.0);
    } else {
        samples.rotate_left(distance);
        let end = samples.len() - distance;
        samples[end..].fill(0.0);
    }
}

/// Amplifies by that many decibels: 20 are ten times the amplitude.
pub fn gain(samples: &mut [f32], decibels: f32) {
    let factor = 10.0_f32.powf(decibels / 20.0);
    samples.iter_mut().for_each(|sample| *sample *= factor);
}

/// Fills `length` items from `start` on: samples of a sound, or frames of its spectrum (Park and others,
/// "SpecAugment", 2019). What lies past the end is left out.
pub fn time_mask<T: Clone>(items: &mut [T], start: usize, length: usize, fill: T) {
    let end = start.saturating_add(length).min(items.len());
    if let Some(masked) = items.get_mut(start..end) {
        masked.fill(fill);
    }
}

/// Random changes of images, nothing to begin with. They are made in the order of the methods here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImageAugmentation {
    flip_horizontal: bool,
    flip_vertical: bool,
    degrees: f32,
    zoom: f32,
    shift: f32,
    crop: usize,
    noise: f32,
    cutout: usize,
    fill: f32,
}

impl ImageAugmentation {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mirrors left and right in one of two cases.
    pub fn flip_horizontal(self) -> Self {
        Self { flip_horizontal: true, ..self }
    }

    /// Mirrors top and bottom in one of two cases.
    pub fn flip_vertical(self) -> Self {
        Self { flip_vertical: true, ..self }
    }

    /// Turns by at most that many degrees, either way; from 0 to 360.
    pub fn rotate(self, degrees: f32) -> Result<Self, DataError> {
        Ok(Self { degrees: amount("degrees", degrees, 360.0, "from 0 to 360")?, ..self })
    }

    /// Scales by a factor from `1 - share` to `1 + share`; from 0 to 0.9.
    pub fn zoom(self, share: f32) -> Result<Self, DataError> {
        Ok(Self { zoom: amount("zoom", share, 0.9, "from 0 to 0.9")?, ..self })
    }

    /// Moves by at most that share of height and width, in any direction; from 0 to 1.
    pub fn shift(self, share: f32) -> Result<Self, DataError> {
        Ok(Self { shift: amount("shift", share, 1.0, "from 0 to 1")?, ..self })
    }

    /// Adds a border of that many pixels and cuts the size out again at random: moves by at most as many whole pixels
    /// (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016).
    pub fn crop(self, border: usize) -> Self {
        Self { crop: border.min(isize::MAX as usize), ..self }
    }

    /// Adds normal noise of that deviation; from 0 to 1000.
    pub fn noise(self, deviation: f32) -> Result<Self, DataError> {
        Ok(Self { noise: amount("deviation", deviation, 1e3, "from 0 to 1000")?, ..self })
    }

    /// Fills a square of that many pixels, whose middle may be any pixel; see [`cutout`].
    pub fn cutout(self, size: usize) -> Self {
        Self { cutout: size, ..self }
    }

    /// What stands where the image was moved away or cut out; 0 unless set.
    pub fn fill(self, fill: f32) -> Self {
        Self { fill, ..self }
    }

    /// Changes one image at random.
    pub fn apply<const C: usize, const H: usize, const W: usize>(
        &self,
        image: &mut [[[f32; W]; H]; C],
        rng: &mut ExampleRng,
    ) {
        if self.flip_horizontal && rng.chance(0.5) {
            flip_horizontal(image);
        }
        if self.flip_vertical && rng.chance(0.5) {
            flip_vertical(image);
        }
        if self.degrees > 0.0 || self.zoom > 0.0 || self.shift > 0.0 {
            let mut within = |most: f32| rng.uniform(-most, most);
            let radians = within(self.degrees).to_radians();
            let zoom = 1.0 + within(self.zoom);
            let (down, right) = (within(self.shift) * H as f32, within(self.shift) * W as f32);
            transform(image, radians, zoom, down, right, self.fill);
        }
        if self.crop > 0 {
            let most = self.crop as isize;
            let (down, right) = (rng.between(-most, most), rng.between(-most, most));
            shift(image, down, right, self.fill);
        }
        if self.noise > 0.0 {
            add_noise(image.as_flattened_mut().as_flattened_mut(), self.noise, rng);
        }
        if self.cutout > 0 {
            let (y, x) = (rng.below(H), rng.below(W));
            cutout(image, y, x, self.cutout, self.fill);
        }
    }
}

/// Random changes of sound, nothing to begin with. They are made in the order of the methods here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SoundAugmentation {
    shift: usize,
    decibels: f32,
    noise: f32,
    mask: usize,
}

impl SoundAugmentation {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves by at most that many samples, either way.
    pub fn shift(self, samples: usize) -> Self {
        Self { shift: samples.min(isize::MAX as usize), ..self }
    }

    /// Amplifies or dampens by at most that many decibels; from 0 to 100.
    pub fn gain(self, decibels: f32) -> Result<Self, DataError> {
        Ok(Self { decibels: amount("decibels", decibels, 100.0, "from 0 to 100")?, ..self })
    }

    /// Adds normal noise of that deviation; from 0 to 1000.
    pub fn noise(self, deviation: f32) -> Result<Self, DataError> {
        Ok(Self { noise: amount("deviation", deviation, 1e3, "from 0 to 1000")?, ..self })
    }

    /// Silences a stretch of at most that many samples.
    pub fn time_mask(self, samples: usize) -> Self {
        Self { mask: samples, ..self }
    }

    /// Changes one sound at random.
    pub fn apply(&self, samples: &mut [f32], rng: &mut ExampleRng) {
        if self.shift > 0 {
            let most = self.shift as isize;
            shift_samples(samples, rng.between(-most, most));
        }
        if self.decibels > 0.0 {
            gain(samples, rng.uniform(-self.decibels, self.decibels));
        }
        if self.noise > 0.0 {
            add_noise(samples, self.noise, rng);
        }
        if self.mask > 0 {
            let length = rng.below(self.mask.saturating_add(1)).min(samples.len());
            let start = rng.below(samples.len() - length + 1);
            time_mask(samples, start, length, 0.0);
        }
    }
}

fn amount(name: &'static str, found: f32, most: f32, expected: &'static str) -> Result<f32, DataError> {
    if (0.0..=most).contains(&found) { Ok(found) } else { Err(DataError::setting(name, expected, found)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Image = [[[f32; 3]; 2]; 1];
    const IMAGE: Image = [[[1., 2., 3.], [4., 5., 6.]]];

    fn changed<T: Copy>(mut value: T, change: impl FnOnce(&mut T)) -> T {
        change(&mut value);
        value
    }

    #[test]
    fn images_change_as_drawn_by_hand() {
        assert_eq!(changed(IMAGE, flip_horizontal), [[[3., 2., 1.], [6., 5., 4.]]]);
        assert_eq!(changed(IMAGE, flip_vertical), [[[4., 5., 6.], [1., 2., 3.]]]);
        assert_eq!(changed(IMAGE, |image| shift(image, 1, -1, 9.)), [[[9., 9., 9.], [2., 3., 9.]]]);
        assert_eq!(changed(IMAGE, |image| shift(image, isize::MIN, isize::MAX, 9.)), [[[9.; 3]; 2]]);
        assert_eq!(crop::<1, 2, 3, 1, 2>(&IMAGE, 1, 1, 0.), [[[5., 6.]]]);
        assert_eq!(crop::<1, 2, 3, 2, 2>(&IMAGE, 1, 2, 0.), [[[6., 0.], [0., 0.]]]);
        assert_eq!(changed(IMAGE, |image| cutout(image, 0, 0, 2, 0.)), [[[0., 2., 3.], [4., 5., 6.]]]);
        assert_eq!(changed(IMAGE, |image| cutout(image, 1, 2, 3, 0.)), [[[1., 0., 0.], [4., 0., 0.]]]);
        let mut values = [1.0, 0.0];
        mix(&mut values, &[0.0, 2.0], 0.75);
        assert_eq!(values, [0.75, 0.5]);
    }

    #[test]
    fn a_quarter_turn_moves_pixels_and_a_half_step_averages() {
        let square = [[[1., 2., 3.], [4., 5., 6.], [7., 8., 9.]]];
        let turned = changed(square, |image| transform(image, std::f32::consts::FRAC_PI_2, 1.0, 0.0, 0.0, 0.0));
        // What was on the left, 4, goes to the top.
        let expected = [[[7., 4., 1.], [8., 5., 2.], [9., 6., 3.]]];
        for (x, y) in turned.as_flattened().as_flattened().iter().zip(expected.as_flattened().as_flattened()) {
            assert!((x - y).abs() < 1e-5, "{turned:?}");
        }
        assert_eq!(changed(square, |image| transform(image, 0.0, 1.0, 0.0, 0.5, 0.0))[0][0], [0.5, 1.5, 2.5]);
        assert_eq!(changed(square, |image| transform(image, 0.0, 1.0, 1.0, 0.0, 0.0))[0][2], [4., 5., 6.]);
        // Twice as large: the pixels about the middle halfway to their neighbours.
        assert_eq!(changed(square, |image| transform(image, 0.0, 2.0, 0.0, 0.0, 0.0))[0][1], [4.5, 5., 5.5]);
        assert_eq!(changed(square, |image| transform(image, 0.0, 0.0, 0.0, 0.0, 7.0)), [[[7.; 3]; 3]]);
    }

    #[test]
    fn sounds_change_as_drawn_by_hand() {
        let sound = [1., 2., 3., 4.];
        assert_eq!(changed(sound, |s| shift_samples(s, 1)), [0., 1., 2., 3.]);
        assert_eq!(changed(sound, |s| shift_samples(s, -3)), [4., 0., 0., 0.]);
        assert_eq!(changed(sound, |s| shift_samples(s, isize::MIN)), [0.; 4]);
        assert_eq!(changed(sound, |s| gain(s, 20.0)), [10., 20., 30., 40.]);
        assert_eq!(changed(sound, |s| time_mask(s, 1, 2, 0.)), [1., 0., 0., 4.]);
        assert_eq!(changed(sound, |s| time_mask(s, 3, usize::MAX, 0.)), [1., 2., 3., 0.]);
        assert_eq!(changed(sound, |s| time_mask(s, 9, 2, 0.)), sound);
        let frames = [[1., 2.], [3., 4.]];
        assert_eq!(changed(frames, |f| time_mask(f, 0, 1, [0., 0.])), [[0., 0.], [3., 4.]]);
    }

    /// Each change occurs, keeps its bounds, and half of the images are mirrored.
    #[test]
    fn random_changes_have_their_frequencies_and_bounds() {
        let flip = ImageAugmentation::new().flip_horizontal();
        let crop = ImageAugmentation::new().crop(1).fill(9.0);
        let noise = ImageAugmentation::new().noise(0.5).unwrap();
        let mut mirrored = 0;
        let mut offsets = std::collections::BTreeSet::new();
        let mut squares = 0.0;
        for position in 0..2000 {
            let of = |augmentation: ImageAugmentation| {
                changed(IMAGE, |image| augmentation.apply(image, &mut ExampleRng::new(1, 0, position)))
            };
            mirrored += usize::from(of(flip) != IMAGE);
            offsets.insert(of(crop).as_flattened().as_flattened().iter().map(|x| *x as u8).collect::<Vec<_>>());
            squares += f64::from(of(noise)[0][0][0] - 1.0).powi(2);
        }
        assert!((888..=1112).contains(&mirrored), "{mirrored} of 2000");
        assert_eq!(offsets.len(), 9);
        // Mean ¼, deviation ¼ √(2/2000): five deviations.
        assert!((squares / 2000.0 - 0.25).abs() < 0.04, "{squares}");
    }

    #[test]
    fn amounts_out_of_range_are_errors() {
        let image = ImageAugmentation::new;
        assert_eq!(image().zoom(1.0).unwrap_err().to_string(), "`zoom` is 1, expected from 0 to 0.9");
        assert_eq!(image().shift(-0.1).unwrap_err().to_string(), "`shift` is -0.1, expected from 0 to 1");
        assert!(image().rotate(f32::NAN).is_err() && image().noise(f32::INFINITY).is_err());
        assert!(SoundAugmentation::new().gain(101.0).is_err() && SoundAugmentation::new().noise(-1.0).is_err());
    }

    proptest! {
        #[test]
        fn mirrored_and_shifted_twice_is_as_before(image: [[[f32; 4]; 3]; 2]) {
            prop_assume!(image.as_flattened().as_flattened().iter().all(|x| !x.is_nan()));
            let twice = |change: fn(&mut [[[f32; 4]; 3]; 2])| changed(changed(image, change), change);
            prop_assert_eq!(twice(flip_horizontal), image);
            prop_assert_eq!(twice(flip_vertical), image);
        }

        /// Whole shifts by interpolation are shifts.
        #[test]
        fn transform_agrees_with_shift(
            image in proptest::array::uniform3(proptest::array::uniform4(-9.0_f32..9.0)),
            down in -4_isize..5,
            right in -5_isize..6,
        ) {
            let expected = changed([image], |image| shift(image, down, right, 0.5));
            let found = changed([image], |image| transform(image, 0.0, 1.0, down as f32, right as f32, 0.5));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_amount_panics(
            radians: f32, zoom: f32, down: f32, right: f32, y: usize, x: usize, size: usize, seed: u64,
            length in 0_usize..9,
        ) {
            let mut image = IMAGE;
            transform(&mut image, radians, zoom, down, right, 0.0);
            cutout(&mut image, y, x, size, 0.0);
            let _ = crop::<1, 2, 3, 4, 4>(&image, y, x, 0.0);
            let images = ImageAugmentation::new().flip_vertical().rotate(360.0).unwrap().zoom(0.9).unwrap();
            images.shift(1.0).unwrap().crop(size).cutout(size).apply(&mut image, &mut ExampleRng::new(seed, 0, 0));
            let sounds = SoundAugmentation::new().shift(size).gain(100.0).unwrap().noise(1.0).unwrap().time_mask(size);
            sounds.apply(&mut vec![1.0; length], &mut ExampleRng::new(seed, 0, 0));
        }
    }
}
