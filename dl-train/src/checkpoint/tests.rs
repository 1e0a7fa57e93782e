//! Tests of checkpoints: what is written comes back, what differs is named, and no bytes do harm.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use dl_runtime::{Block, Network, Tensors};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::testing::{Line, Points};
use crate::{ModelCheckpoint, Progress, TrainError, Trainer};

fn trainer() -> Trainer<Line> {
    Trainer::new().progress(Progress::Silent).learning_rate(1e-3).epochs(3).patience(Some(5))
}

fn points() -> Points {
    Points::new(10, |x| 0.5 * x - 1.0)
}

/// The file of a run in a folder of its own.
fn run() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    trainer().callback(ModelCheckpoint::new(folder.path())).fit(&points(), &points()).unwrap();
    let file = folder.path().join("epoch-000003.safetensors");
    (folder, file)
}

/// The bytes of that file, made once.
fn bytes_of_run() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let (_folder, file) = run();
        fs::read(file).unwrap()
    })
}

/// A file by hand, as the format is described: length of the header, header, numbers.
fn by_hand(path: &Path, header: &str, data: &[f32]) {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data.iter().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_saved_is_loaded_with_its_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.safetensors");
    let (mut parameters, mut state) = Line::initialize(0);
    parameters.as_mut_slice().copy_from_slice(&[f32::MIN_POSITIVE / 3.0, -0.0]);
    state.as_mut_slice().copy_from_slice(&[0.1, -7.5]);
    let mut section = Section::new(r#"{"kind":"standard"}"#);
    section.push("mean", &[1.0, 2.0, 3.0]);
    section.tensors.push(NamedTensor { name: "basis".to_owned(), dims: vec![2, 1], values: vec![4.0, 5.0] });
    save::<Line>(&path, &parameters, &state, &[("columns".to_owned(), section.clone())]).unwrap();

    let checkpoint = Checkpoint::open(&path).unwrap();
    let (read, read_state) = checkpoint.load::<Line>().unwrap();
    let bits = |floats: &[f32]| floats.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(read.as_slice()), bits(parameters.as_slice()));
    assert_eq!(bits(read_state.as_slice()), bits(state.as_slice()));
    assert_eq!(checkpoint.preprocessing("columns").unwrap(), section);
    assert!(matches!(checkpoint.preprocessing("rows"), Err(CheckpointError::Section { .. })));
    assert_eq!((checkpoint.network(), checkpoint.source()), ("Line", "network Line {\n}"));
    assert_eq!(
        (checkpoint.fingerprint(), checkpoint.epoch(), checkpoint.step()),
        (Some(Line::FINGERPRINT), None, None)
    );
    let error = trainer().resume(&path, &points(), &points()).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::NotARun { .. })), "{error}");

    // Equal contents are equal bytes.
    let first = fs::read(&path).unwrap();
    save::<Line>(&path, &parameters, &state, &[("columns".to_owned(), section)]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}

/// What another reader of the format sees: aligned numbers under plain names.
#[test]
fn the_format_s_own_reader_finds_the_tensors_by_name() {
    let (_folder, file) = run();
    let bytes = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort_unstable();
    let expected = ["callback/0/parameters", "callback/0/state", "optimizer/0", "seen", "weights"];
    assert_eq!(names, expected);
    let weights = tensors.tensor("weights").unwrap();
    assert_eq!((weights.dtype(), weights.shape()), (safetensors::Dtype::F32, &[2][..]));
    let (parameters, _) = Checkpoint::open(&file).unwrap().load::<Line>().unwrap();
    let expected: Vec<u8> = parameters.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(weights.data(), expected);
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0, "numbers are aligned");
}

#[test]
fn another_network_is_named_tensor_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let header = r#"{"weights":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"optimizer/0":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
    by_hand(&path, header, &[1.0, 2.0, 3.0, 4.0]);
    let error = Checkpoint::open(&path).unwrap().load::<Line>().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{} holds another network than `Line`: `seen` [2] is missing, `weights` is [1, 2], expected [2], \
             `bias` [1] is not in the network",
            path.display()
        )
    );
    let header = r#"{"weights":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"seen":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    by_hand(&path, header, &[1.0, 2.0, 3.0, 4.0]);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let error = checkpoint.load::<Line>().unwrap_err().to_string();
    assert!(error.ends_with("`weights` is of type I32, expected F32"), "{error}");

    // What fits is taken, the rest is as before.
    let (mut parameters, mut state) = Line::initialize(0);
    parameters.as_mut_slice().fill(9.0);
    let matched = checkpoint.load_matching::<Line>(&mut parameters, &mut state).unwrap();
    assert_eq!(matched.taken, ["seen"]);
    assert_eq!(matched.difference.types, [("weights", "I32".to_owned())]);
    assert_eq!((parameters.as_slice(), state.as_slice()), (&[9.0, 9.0][..], &[3.0, 4.0][..]));
}

/// The same tensors, another formula: resuming would go on with something else.
#[test]
fn another_definition_of_the_same_tensors_is_noticed() {
    let (_folder, file) = run();
    let bytes = fs::read(&file).unwrap();
    let (mine, other) = (format!("{:016x}", Line::FINGERPRINT), format!("{:016x}", 1));
    let at = bytes.windows(16).position(|window| window == mine.as_bytes()).unwrap();
    let mut changed = bytes.clone();
    changed[at..at + 16].copy_from_slice(other.as_bytes());
    fs::write(&file, changed).unwrap();
    let checkpoint = Checkpoint::open(&file).unwrap();
    let error = checkpoint.load::<Line>().unwrap_err().to_string();
    assert!(error.ends_with("the tensors are the same, but another definition computes with them"), "{error}");
    let (mut parameters, mut state) = Line::initialize(0);
    let matched = checkpoint.load_matching::<Line>(&mut parameters, &mut state).unwrap();
    assert_eq!(matched.taken, ["weights", "seen"]);
}

#[test]
fn truncated_and_longer_files_are_errors() {
    let (_folder, file) = run();
    let bytes = fs::read(&file).unwrap();
    for len in 0..bytes.len() {
        fs::write(&file, &bytes[..len]).unwrap();
        let error = Checkpoint::open(&file).unwrap_err();
        assert!(matches!(error, CheckpointError::Format { .. }), "{len}: {error}");
    }
    fs::write(&file, [bytes.as_slice(), &[0]].concat()).unwrap();
    let error = Checkpoint::open(&file).unwrap_err().to_string();
    assert!(error.ends_with(&format!("it is {} bytes long, expected {}", bytes.len() + 1, bytes.len())), "{error}");
    let error = Checkpoint::open(file.with_file_name("none")).unwrap_err();
    assert!(matches!(error, CheckpointError::Read { .. }), "{error}");
}

/// Headers that promise much: each is refused for what it says, and without memory for what it promises.
#[test]
fn hostile_headers_are_refused_cheaply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.safetensors");
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"weights":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let headers = [
        one("[99999999999999]", "[0,399999999999996]"),
        one("[4294967296,4294967296]", "[0,4]"),
        one("[1]", "[4,8]"),
        one("[1]", "[4,0]"),
        one("[1]", "[0,18446744073709551615]"),
        "[".repeat(200_000),
        format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000)),
        // Two tensors in one place.
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
            .to_owned(),
    ];
    for header in headers {
        by_hand(&path, &header, &[1.0]);
        let mut refused = false;
        let used = allocation_counter::measure(|| {
            refused = matches!(Checkpoint::open(&path), Err(CheckpointError::Format { .. }));
        });
        assert!(refused, "{}", &header[..header.len().min(90)]);
        assert!(used.bytes_max < 20 * header.len() as u64 + 100_000, "{} bytes", used.bytes_max);
    }
    for len in [u64::MAX, 1 << 63, 100_000_001, 99_999_999] {
        fs::write(&path, [&len.to_le_bytes()[..], &[b'{'; 100]].concat()).unwrap();
        assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Format { .. })), "{len}");
    }
}

/// A file with other values in its JSON: resuming is refused or runs, and nothing panics.
#[test]
fn hostile_runs_are_refused() {
    let (_folder, file) = run();
    let checkpoint = Checkpoint::open(&file).unwrap();
    let good = checkpoint.metadata.to_string();
    let (parameters, state) = checkpoint.load::<Line>().unwrap();
    let resume = |text: &str| {
        let metadata = serde_json::from_str(text).unwrap();
        let kept: Vec<f32> = [parameters.as_slice(), state.as_slice()].concat();
        let mut entries = write::network::<Line>(&parameters, &state);
        for (name, values) in
            [("optimizer/0", &kept[..2]), ("callback/0/parameters", &kept[..2]), ("callback/0/state", &kept[2..])]
        {
            entries.push(write::Entry { name: name.to_owned(), dims: vec![2], values });
        }
        write::write(&file, &metadata, &entries).unwrap();
        trainer().epochs(4).resume(&file, &points(), &points())
    };
    resume(&good).unwrap();
    let numbers = ["18446744073709551615", "9007199254740993", "-1", "1e300", "null", "\"x\"", "[]"];
    let mut refused = 0;
    for key in ["epoch", "batch", "step", "examples", "batch_size", "seconds", "steps", "floats", "learning_rate"] {
        let start = good.find(&format!("\"{key}\":")).unwrap() + key.len() + 3;
        let end = start + good[start..].find([',', '}']).unwrap();
        for number in numbers {
            let text = format!("{}{number}{}", &good[..start], &good[end..]);
            refused += usize::from(resume(&text).is_err());
        }
    }
    assert!(refused >= 50, "only {refused} of 63");
    for (from, to) in [("\"history\":[", "\"history\":[{},"), ("\"totals\":[", "\"totals\":[1,"), ("callback", "x/y")] {
        let _ = resume(&good.replacen(from, to, 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_are_errors_or_numbers(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        digit in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("changed.safetensors");
        let mut bytes = bytes_of_run().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // One change among the header's digits, where it hurts.
        let digits: Vec<usize> = (8..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
        bytes[digits[digit.index(digits.len())]] = b'9';
        fs::write(&file, bytes).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(&file) {
            let _ = checkpoint.load::<Line>();
            let (mut parameters, mut state) = Line::initialize(0);
            let _ = checkpoint.load_matching::<Line>(&mut parameters, &mut state);
        }
        let _ = trainer().epochs(4).resume(&file, &points(), &points());
    }

    #[test]
    fn random_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("random.safetensors");
        fs::write(&file, bytes).unwrap();
        prop_assert!(Checkpoint::open(&file).is_err());
        prop_assert_eq!(newest(folder.path()).unwrap(), None);
    }
}

#[test]
fn the_newest_is_the_one_farthest_on() {
    let (folder, _) = run();
    let newest = |folder: &Path| newest(folder).unwrap().map(|path| path.file_name().unwrap().to_owned());
    // The best epoch is the last one as well; of two files at one step any will do.
    let found = newest(folder.path()).unwrap();
    assert!(found == "epoch-000003.safetensors" || found == "best.safetensors", "{found:?}");
    fs::write(folder.path().join("zzz.safetensors"), b"half written").unwrap();
    assert_eq!(newest(folder.path()).unwrap(), found);
    assert_eq!(newest(&folder.path().join("nothing")), None);
}

/// A block whose tensors are not where a file's are is no matter of checkpoints: names and shapes decide.
#[test]
fn sections_are_checked_by_who_reads_them() {
    let mut section = Section::new("no json");
    section.push("mean", Block::zeroed(2).as_slice());
    assert!(section.values().is_err());
    assert_eq!(section.floats("mean", 2).unwrap(), [0.0, 0.0]);
    assert_eq!(
        section.floats("mean", 3).unwrap_err().to_string(),
        "section `mean` of the checkpoint is not readable: it holds 2 numbers, expected 3"
    );
}
