//! The recordings: a folder of WAV files enters; sounds, the digit of each and who speaks it leave.
//!
//! `README.md` says where the recordings come from and how the files are named.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use dl_train::data::{DataError, Dataset, ExampleRng, Frames, SoundAugmentation, fit_frames, read_wav};

use super::digits;

/// Samples per second.
pub(crate) const RATE: u32 = 8000;
/// Frames of a sound, one every 10 ms; shorter ones are filled up with 0, longer ones are cut.
const TIME: usize = 64;
/// Bands of the mel scale.
const BANDS: usize = 40;

/// One digit, spoken once.
pub(crate) struct Recording {
    /// From 0 to 9.
    pub(crate) digit: u32,
    pub(crate) speaker: String,
    /// Which of the speaker's recordings of that digit.
    pub(crate) take: u32,
    /// The sound, from -1 to 1.
    samples: Vec<f32>,
}

/// Where the recordings are unless an argument says so: the folder that `SPOKEN_DIGITS` names, else one beside the
/// project.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("SPOKEN_DIGITS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fsdd/recordings"),
    }
}

/// All recordings of a folder, in the order of their names.
pub(crate) fn load(folder: &Path) -> Result<Vec<Recording>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| {
        format!("{}: {error} (examples/spoken-digits/README.md says where the recordings come from)", folder.display())
    })?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    paths.sort();
    let mut recordings = Vec::new();
    for path in paths {
        let name = path.file_stem().and_then(|name| name.to_str()).and_then(parse);
        let (digit, speaker, take) =
            name.ok_or_else(|| format!("{}: expected a name such as 7_jackson_12.wav", path.display()))?;
        recordings.push(Recording { digit, speaker, take, samples: read_wav(&path, RATE)? });
    }
    if recordings.is_empty() {
        return Err(format!("{}: expected WAV files, found none", folder.display()).into());
    }
    Ok(recordings)
}

/// Digit, speaker and take of a name such as `7_jackson_12`.
fn parse(name: &str) -> Option<(u32, String, u32)> {
    let mut parts = name.split('_');
    let (digit, speaker, take) = (parts.next()?, parts.next()?, parts.next()?);
    let digit = digit.parse().ok().filter(|&digit| digit < 10)?;
    parts.next().is_none().then_some(())?;
    Some((digit, speaker.to_owned(), take.parse().ok()?))
}

/// Recordings that become frames when they are drawn, in training changed a little before.
pub(crate) struct Spoken<'a> {
    recordings: Vec<&'a Recording>,
    frames: &'a Frames,
    change: Option<(SoundAugmentation, u64)>,
}

impl<'a> Spoken<'a> {
    /// As they are.
    pub(crate) fn new(recordings: Vec<&'a Recording>, frames: &'a Frames) -> Self {
        Self { recordings, frames, change: None }
    }

    /// Changed anew in each epoch.
    pub(crate) fn changed(self, change: SoundAugmentation, seed: u64) -> Self {
        Self { change: Some((change, seed)), ..self }
    }
}

impl Dataset for Spoken<'_> {
    type Examples = digits::Examples;

    fn len(&self) -> usize {
        self.recordings.len()
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut Self::Examples) -> Result<(), DataError> {
        for &position in positions {
            let recording = self.recordings[position];
            let frames = match &self.change {
                Some((change, seed)) => {
                    let mut rng = ExampleRng::new(*seed, epoch, position);
                    let mut samples = recording.samples.clone();
                    change.apply(&mut samples, &mut rng);
                    normalized(self.frames, &samples)?
                }
                None => normalized(self.frames, &recording.samples)?,
            };
            into.frames.push(frames);
            into.digit.push(recording.digit);
        }
        Ok(())
    }
}

/// What lies farther below the loudest band of a recording is silence, whatever noise there is in it: the logarithm of
/// a ratio of energies, 33 dB.
const RANGE: f32 = 7.5;
/// About the deviation of the frames.
const DEVIATION: f32 = 1.5;

/// Log-mel frames without what is not to be heard, with the mean of each band over the recording taken off, so that it
/// does not matter how loud a recording is or what its microphone favours.
fn normalized(frames: &Frames, samples: &[f32]) -> Result<[[f32; BANDS]; TIME], DataError> {
    let log_mel = frames.log_mel(samples)?;
    let loudest = log_mel.values().iter().copied().fold(f32::MIN, f32::max);
    let log_mel = log_mel.map(|energy| energy.max(loudest - RANGE));
    let count = log_mel.dims()[0] as f32;
    let mut mean = [0.0; BANDS];
    for frame in log_mel.values().chunks_exact(BANDS) {
        mean.iter_mut().zip(frame).for_each(|(mean, value)| *mean += value / count);
    }
    let mut bands = mean.iter().cycle();
    let centered = log_mel.map(|value| (value - bands.next().unwrap_or(&0.0)) / DEVIATION);
    fit_frames(&centered, 0.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Ten silent recordings of each of three speakers: takes 0 to 14, some of the digits 0 and 1.
    pub(crate) fn recordings() -> Vec<Recording> {
        let of =
            |speaker: &str, (take, digit)| Recording { digit, speaker: speaker.to_owned(), take, samples: vec![0.0] };
        let takes = || (0..15).map(|take| (take, take % 2)).filter(|(take, _)| take % 3 != 2);
        ["a", "b", "c"].into_iter().flat_map(|speaker| takes().map(move |kind| of(speaker, kind))).collect()
    }

    #[test]
    fn names_are_parsed() {
        assert_eq!(parse("7_jackson_12"), Some((7, "jackson".to_owned(), 12)));
        for name in ["", "7", "7_jackson", "10_jackson_1", "x_jackson_1", "7_jackson_x", "7_jackson_1_2", "-1_j_1"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_folder_without_recordings_is_an_error() {
        assert!(load(Path::new("no such folder")).is_err());
        let error = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).err().unwrap().to_string();
        assert!(error.ends_with("expected WAV files, found none"), "{error}");
    }
}
