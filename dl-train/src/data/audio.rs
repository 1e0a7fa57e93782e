//! Sound: WAV files enter; samples, log-mel frames and cepstral coefficients leave.
//!
//! A frame is a window of samples, multiplied by a Hann window and transformed; its power spectrum is summed by
//! overlapping triangles, equally spaced on the mel scale, and the logarithm taken. The discrete cosine transform of
//! that gives mel-frequency cepstral coefficients (Davis and Mermelstein, "Comparison of parametric representations
//! for monosyllabic word recognition in continuously spoken sentences", 1980).

use std::f64::consts::PI;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hound::{SampleFormat, WavReader};
use realfft::{RealFftPlanner, RealToComplex};

use super::array::Array;
use super::{DataError, Place};

/// More bins than this help no ear; asking for them may exhaust memory.
const MOST: usize = 1 << 16;

/// Energies below this count as this before the logarithm.
const FLOOR: f64 = 1e-10;

/// Reads the samples of a WAV file, from -1 to 1: integers of 8 to 32 bits or floats; channels are averaged. A file
/// of another `rate`, in samples per second, is an error.
pub fn read_wav(path: impl AsRef<Path>, rate: u32) -> Result<Vec<f32>, DataError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
    parse_wav(path, &bytes, rate)
}

/// Reads the bytes of a WAV file; errors name `source`.
pub fn parse_wav(source: impl AsRef<Path>, bytes: &[u8], rate: u32) -> Result<Vec<f32>, DataError> {
    let place = Place::of(source);
    let broken = |error: hound::Error| DataError::format(&place, "a WAV file", error.to_string());
    let mut reader = WavReader::new(bytes).map_err(broken)?;
    let spec = reader.spec();
    if spec.sample_rate != rate {
        let (expected, found) = (format!("{rate} samples a second"), spec.sample_rate.to_string());
        return Err(DataError::format(&place, expected, found));
    }
    if spec.channels == 0 || !(1..=32).contains(&spec.bits_per_sample) {
        let found = format!("{} channels of {} bits", spec.channels, spec.bits_per_sample);
        return Err(DataError::format(&place, "channels of 1 to 32 bits", found));
    }
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().map_err(broken)?,
        SampleFormat::Int => {
            let full = (1_u64 << (spec.bits_per_sample - 1)) as f64;
            let scaled = |sample: Result<i32, _>| sample.map(|sample| (f64::from(sample) / full) as f32);
            reader.samples::<i32>().map(scaled).collect::<Result<_, _>>().map_err(broken)?
        }
    };
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
        let place = place.item(format!("sample {at}")).boxed();
        return Err(DataError::NotFinite { place, found: f64::from(samples[at]) });
    }
    let channels = usize::from(spec.channels);
    let mono: Vec<f32> = if channels == 1 {
        samples
    } else {
        samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect()
    };
    if mono.is_empty() {
        return Err(DataError::Empty { place: place.boxed(), what: "sample" });
    }
    Ok(mono)
}

/// How sound becomes frames. The usual setting for speech: windows of 25 ms every 10 ms, and 40 bands.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameOptions {
    /// Samples per second.
    pub rate: u32,
    /// Samples of a window, at least 2.
    pub window: usize,
    /// Samples from the start of a frame to that of the next, at least 1.
    pub hop: usize,
    /// Points of the Fourier transform, at least as many as the window has samples.
    pub fft: usize,
    /// Bands, at least 1.
    pub bands: usize,
    /// The lower end of the lowest band, in hertz.
    pub low: f64,
    /// The upper end of the highest band, in hertz, at most half the rate.
    pub high: f64,
}

impl FrameOptions {
    /// The usual setting for speech of that rate: 25 ms, 10 ms, the next power of two, 40 bands up to half the rate.
    pub fn speech(rate: u32) -> Self {
        let window = (rate as usize / 40).max(2);
        let hop = (rate as usize / 100).max(1);
        let high = f64::from(rate) / 2.0;
        Self { rate, window, hop, fft: window.next_power_of_two(), bands: 40, low: 0.0, high }
    }
}

/// Turns samples into frames; made once, used for many sounds, by many threads.
#[derive(Clone)]
pub struct Frames {
    options: FrameOptions,
    window: Vec<f64>,
    /// For each band the first bin and the weights from there on.
    filters: Vec<(usize, Vec<f64>)>,
    transform: Arc<dyn RealToComplex<f64>>,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Frames {
    /// Checks the options and computes window and bands.
    pub fn new(options: FrameOptions) -> Result<Self, DataError> {
        let FrameOptions { rate, window, hop, fft, bands, low, high } = options;
        if !(2..=MOST).contains(&window) {
            return Err(DataError::setting("window", "from 2 to 65536", window));
        }
        if !(1..=MOST).contains(&hop) {
            return Err(DataError::setting("hop", "from 1 to 65536", hop));
        }
        if !(window..=MOST).contains(&fft) {
            return Err(DataError::setting("fft", "from the length of the window to 65536", fft));
        }
        if !(1..=4096).contains(&bands) {
            return Err(DataError::setting("bands", "from 1 to 4096", bands));
        }
        if !(low >= 0.0 && low < high && high <= f64::from(rate) / 2.0) {
            let found = format!("{low} to {high}");
            return Err(DataError::setting("low to high", "an interval from 0 to half the rate", found));
        }
        let hann = |n: usize| 0.5 - 0.5 * (2.0 * PI * n as f64 / window as f64).cos();
        let filters = filters(&options);
        Ok(Self {
            window: (0..window).map(hann).collect(),
            filters,
            transform: RealFftPlanner::new().plan_fft_forward(fft),
            options,
        })
    }

    /// How many frames a sound of that many samples has: windows that lie within it.
    pub fn count(&self, samples: usize) -> usize {
        samples.checked_sub(self.options.window).map_or(0, |rest| rest / self.options.hop + 1)
    }

    /// Log-mel energies, `[frames, bands]`: ln(max(e, 10⁻¹⁰)), with e the power spectrum |X|² weighted by triangles
    /// of height 1 whose corners are equally spaced in mel(f) = 2595 log₁₀(1 + f / 700) (O'Shaughnessy, 1987). The
    /// window is the periodic Hann window. Sounds shorter than a window are errors.
    pub fn log_mel(&self, samples: &[f32]) -> Result<Array<f32>, DataError> {
        let energies = self.energies(samples)?;
        let count = energies.len() / self.options.bands;
        Array::new(vec![count, self.options.bands], energies.into_iter().map(|energy| energy as f32).collect())
    }

    /// The first `coefficients` of the cepstrum of each frame, `[frames, coefficients]`: the orthonormal discrete
    /// cosine transform (of type II) of the log-mel energies. At most as many as there are bands.
    pub fn mfcc(&self, samples: &[f32], coefficients: usize) -> Result<Array<f32>, DataError> {
        let bands = self.options.bands;
        if !(1..=bands).contains(&coefficients) {
            return Err(DataError::setting("coefficients", "from 1 to the number of bands", coefficients));
        }
        let basis: Vec<f64> = (0..coefficients)
            .flat_map(|k| {
                let scale = (if k == 0 { 1.0 } else { 2.0 } / bands as f64).sqrt();
                (0..bands).map(move |n| scale * (PI * k as f64 * (2 * n + 1) as f64 / (2 * bands) as f64).cos())
            })
            .collect();
        let energies = self.energies(samples)?;
        let frames = energies.chunks_exact(bands);
        let dot = |frame: &[f64], row: &[f64]| frame.iter().zip(row).map(|(x, y)| x * y).sum::<f64>() as f32;
        let cepstrum = frames.flat_map(|frame| basis.chunks_exact(bands).map(move |row| dot(frame, row)));
        Array::new(vec![energies.len() / bands, coefficients], cepstrum.collect())
    }

    fn energies(&self, samples: &[f32]) -> Result<Vec<f64>, DataError> {
        let count = self.count(samples.len());
        if count == 0 {
            let (place, expected) = (Box::default(), self.options.window as u64);
            return Err(DataError::Count { place, unit: "samples at least", expected, found: samples.len() as u64 });
        }
        if let Some(&found) = samples.iter().find(|sample| !sample.is_finite()) {
            return Err(DataError::NotFinite { place: Box::default(), found: f64::from(found) });
        }
        let mut energies = Vec::with_capacity(count * self.options.bands);
        let mut frame = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        for first in (0..count).map(|number| number * self.options.hop) {
            frame.fill(0.0);
            for ((to, &sample), weight) in frame.iter_mut().zip(&samples[first..]).zip(&self.window) {
                *to = f64::from(sample) * weight;
            }
            self.transform
                .process(&mut frame, &mut spectrum)
                .map_err(|error| DataError::setting("fft", "a length the transform takes", error))?;
            for (first, weights) in &self.filters {
                let power = spectrum.iter().skip(*first).map(|x| x.norm_sqr());
                let energy: f64 = power.zip(weights).map(|(power, weight)| power * weight).sum();
                energies.push(energy.max(FLOOR).ln());
            }
        }
        Ok(energies)
    }
}

/// The frames of an array cut or filled up to `T` frames of `N` numbers; `fill` stands behind the end of short sounds.
pub fn fit_frames<const T: usize, const N: usize>(frames: &Array<f32>, fill: f32) -> Result<[[f32; N]; T], DataError> {
    if frames.dims().len() != 2 || frames.dims().last() != Some(&N) {
        return Err(DataError::Shape { place: Box::default(), expected: vec![T, N], found: frames.dims().to_vec() });
    }
    let mut fitted = [[fill; N]; T];
    for (to, &from) in fitted.as_flattened_mut().iter_mut().zip(frames.values()) {
        *to = from;
    }
    Ok(fitted)
}

fn filters(options: &FrameOptions) -> Vec<(usize, Vec<f64>)> {
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0);
    let (low, high) = (mel(options.low), mel(options.high));
    let corner = |number: usize| hertz(low + (high - low) * number as f64 / (options.bands + 1) as f64);
    let step = f64::from(options.rate) / options.fft as f64;
    let band = |number: usize| {
        let [left, center, right] = [corner(number), corner(number + 1), corner(number + 2)];
        let weight = |bin: usize| {
            let f = bin as f64 * step;
            ((f - left) / (center - left)).min((right - f) / (right - center)).max(0.0)
        };
        let first = (left / step).ceil() as usize;
        let end = ((right / step).floor() as usize + 1).min(options.fft / 2 + 1);
        (first, (first..end).map(weight).collect())
    };
    (0..options.bands).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::shared;
    use hound::{WavSpec, WavWriter};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn wav(channels: u16, bits: u16, format: SampleFormat, samples: &[i32]) -> Vec<u8> {
        let spec = WavSpec { channels, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
        for &sample in samples {
            match format {
                SampleFormat::Int => writer.write_sample(sample).unwrap(),
                SampleFormat::Float => writer.write_sample(sample as f32 / 4.0).unwrap(),
            }
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn samples_lie_between_minus_1_and_1() {
        let read = |bytes: &[u8]| parse_wav("x.wav", bytes, 8000).unwrap();
        let int = SampleFormat::Int;
        assert_eq!(read(&wav(1, 16, int, &[-32768, 0, 16384])), [-1.0, 0.0, 0.5]);
        assert_eq!(read(&wav(1, 8, int, &[-128, 64])), [-1.0, 0.5]);
        assert_eq!(read(&wav(1, 24, int, &[-8_388_608, 4_194_304])), [-1.0, 0.5]);
        assert_eq!(read(&wav(1, 32, SampleFormat::Float, &[-3, 2])), [-0.75, 0.5]);
        assert_eq!(read(&wav(2, 16, int, &[16384, 0, -32768, -16384])), [0.25, -0.75]);
    }

    #[test]
    fn wrong_files_are_errors() {
        let bytes = wav(1, 16, SampleFormat::Int, &[1, 2, 3]);
        let message = |bytes: &[u8], rate| parse_wav("x.wav", bytes, rate).unwrap_err().to_string();
        assert_eq!(message(&bytes, 16_000), "x.wav: expected 16000 samples a second, found 8000");
        assert!(message(b"RIFX", 8000).starts_with("x.wav: expected a WAV file, found "));
        assert!(message(&bytes[..bytes.len() - 1], 8000).starts_with("x.wav: expected a WAV file, found "));
        assert_eq!(message(&wav(1, 16, SampleFormat::Int, &[]), 8000), "x.wav is empty, expected at least 1 sample");
        let mut nan = wav(1, 32, SampleFormat::Float, &[1, 2]);
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(message(&nan, 8000), "x.wav, sample 1: expected a finite number, found NaN");
    }

    /// Frames of librosa and scipy, from `fixtures/make.py`; the numbers are stored to 7 places.
    #[test]
    fn frames_agree_with_librosa() {
        let fixture: serde_json::Value = serde_json::from_str(include_str!("fixtures/speech.json")).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let samples: Vec<f32> = numbers(&fixture["samples"]).iter().map(|&step| (step / 32768.0) as f32).collect();
        let options = FrameOptions { rate: 8000, window: 200, hop: 80, fft: 256, bands: 20, low: 50.0, high: 3800.0 };
        // librosa puts a window shorter than the transform in its middle: (256 - 200) / 2 samples in, and the last
        // frame ends with the transform, not with the window. The power spectrum does not depend on the place.
        let frames = Frames::new(options).unwrap();
        for (name, found) in [("log_mel", frames.log_mel(&samples[28..])), ("mfcc", frames.mfcc(&samples[28..], 13))] {
            let found = found.unwrap();
            let expected = fixture[name].as_array().unwrap();
            assert!(expected.len() == 22 && found.dims()[0] >= 22);
            for (number, (row, expected)) in found.values().chunks(found.dims()[1]).zip(expected).enumerate() {
                for (x, y) in row.iter().zip(numbers(expected)) {
                    assert!((f64::from(*x) - y).abs() < 1e-5, "{name}, frame {number}: {x}, expected {y}");
                }
            }
        }
    }

    #[test]
    fn options_are_checked() {
        let wrong = |change: fn(&mut FrameOptions)| {
            let mut options = FrameOptions::speech(8000);
            change(&mut options);
            Frames::new(options).unwrap_err().to_string()
        };
        assert_eq!(wrong(|o| o.window = 0), "`window` is 0, expected from 2 to 65536");
        assert_eq!(wrong(|o| o.hop = 0), "`hop` is 0, expected from 1 to 65536");
        assert_eq!(wrong(|o| o.fft = 199), "`fft` is 199, expected from the length of the window to 65536");
        assert_eq!(wrong(|o| o.bands = 0), "`bands` is 0, expected from 1 to 4096");
        assert!(wrong(|o| o.high = 4001.0).contains("half the rate"));
        assert!(wrong(|o| o.low = f64::NAN).contains("half the rate"));
        let frames = Frames::new(FrameOptions::speech(8000)).unwrap();
        let error = frames.log_mel(&[0.0; 199]).unwrap_err().to_string();
        assert_eq!(error, "the data: expected 200 samples at least, found 199");
        assert!(frames.log_mel(&[f32::INFINITY; 300]).is_err());
        assert!(frames.mfcc(&[0.0; 300], 41).is_err());
    }

    #[test]
    fn frames_are_cut_or_filled() {
        let frames = Array::new(vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(fit_frames::<3, 2>(&frames, 9.0).unwrap(), [[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]);
        assert_eq!(fit_frames::<1, 2>(&frames, 9.0).unwrap(), [[1.0, 2.0]]);
        assert!(fit_frames::<3, 4>(&frames, 9.0).is_err());
    }

    #[test]
    fn spoken_digits_are_read() {
        let Some(folder) = shared("fsdd") else { return };
        let samples = read_wav(folder.join("recordings/0_jackson_0.wav"), 8000).unwrap();
        assert!((1_148..=10_504).contains(&samples.len()));
        let frames = Frames::new(FrameOptions::speech(8000)).unwrap();
        let log_mel = frames.log_mel(&samples).unwrap();
        assert_eq!(log_mel.dims(), [(samples.len() - 200) / 80 + 1, 40]);
        assert!(log_mel.finite().is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_and_damaged_bytes_never_panic(
            bytes: Vec<u8>, at in 0_usize..60, byte: u8, other in 0_usize..60, second: u8, end in 0_usize..70,
            float: bool,
        ) {
            let _ = parse_wav("x", &bytes, 8000);
            let (bits, format) = if float { (32, SampleFormat::Float) } else { (16, SampleFormat::Int) };
            let mut whole = wav(1, bits, format, &[1, 2, 3, 4, 5, 6]);
            for (at, byte) in [(at, byte), (other, second)] {
                let at = at % whole.len();
                whole[at] = byte;
            }
            let _ = parse_wav("x", &whole, 8000);
            let _ = parse_wav("x", &whole[..end.min(whole.len())], 8000);
        }

        #[test]
        fn any_sound_has_finite_frames(
            samples in proptest::collection::vec(-1.0_f32..1.0, 16..200), fft in 16_usize..40,
        ) {
            let options = FrameOptions { rate: 1000, window: 16, hop: 7, fft, bands: 9, low: 0.0, high: 500.0 };
            let frames = Frames::new(options).unwrap();
            let log_mel = frames.log_mel(&samples).unwrap();
            prop_assert_eq!(log_mel.dims(), [frames.count(samples.len()), 9]);
            prop_assert!(log_mel.finite().is_ok());
        }
    }
}
