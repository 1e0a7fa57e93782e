//! Data, disks and numbers that are spoiled: each is named, and nothing that was saved is lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use dl_train::{Checkpoint, ModelCheckpoint, Progress, Spoiled, TrainError, Trainer};
use dln::runtime::{InputError, Network, Tensors};
use training::{Blobs, LeNet, Root, blobs, lenet, root};

fn trainer() -> Trainer<Blobs> {
    Trainer::<Blobs>::new().epochs(2).progress(Progress::Silent)
}

#[test]
fn a_label_out_of_range_is_named_with_its_example() {
    let (good, mut bad) = (blobs(1, 50), blobs(1, 50));
    bad.class[33] = 7;
    for (train, validation, set) in [(&bad, &good, "training"), (&good, &bad, "validation")] {
        let error = trainer().fit(train, validation).unwrap_err();
        assert_eq!(error.to_string(), format!("{set} set: `class` of example 33 is 7, expected an index below 3"));
    }
    let (parameters, state) = Blobs::initialize(0);
    let error = dl_train::evaluate::<Blobs>(&parameters, &state, &bad).unwrap_err();
    let InputError::IndexOutOfRange { example: 33, .. } = (match error {
        TrainError::Example { source, .. } => source,
        other => panic!("{other}"),
    }) else {
        panic!("another example")
    };
}

#[test]
fn a_number_that_is_none_is_named_with_its_example() {
    let (good, mut bad) = (blobs(1, 50), blobs(1, 50));
    bad.point[21][2] = f32::NAN;
    for (train, validation, set) in [(&bad, &good, "training"), (&good, &bad, "validation")] {
        let error = trainer().fit(train, validation).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`point` of example 21 holds NaN, expected finite numbers: "), "{text}");
        assert!(text.contains(&format!("{set} set, epoch 1, batch")), "{text}");
    }
}

#[test]
fn sets_that_are_empty_or_small_are_handled() {
    let (some, none) = (blobs(1, 5), blobs(1, 0));
    let message = |result: Result<_, TrainError>| result.map(|_: dl_train::Trained<Blobs>| ()).unwrap_err().to_string();
    assert_eq!(message(trainer().fit(&none, &some)), "the training set is empty, expected at least 1 example");
    assert_eq!(message(trainer().fit(&some, &none)), "the validation set is empty, expected at least 1 example");
    trainer().batch(usize::MAX).fit(&some, &some).unwrap();
}

/// The loss is finite, but the slope of a root at 0 is not: the tensor before the root is to blame, with its line.
#[test]
fn the_first_tensor_to_go_bad_is_named_with_its_place() {
    let examples = root::Examples { x: vec![[0.0, 0.0]; 8], y: vec![[1.0, 1.0]; 8] };
    let fit =
        |check| Trainer::<Root>::new().terminate_on_nan(check).progress(Progress::Silent).fit(&examples, &examples);
    let error = fit(true).unwrap_err();
    let TrainError::NotFinite { first: Spoiled::Gradient(info), epoch: 1, batch: 1, loss, .. } = &error else {
        panic!("{error}")
    };
    assert!(info.name == "before.first.weight" && loss.is_finite(), "{error}");
    let text = error.to_string();
    let start = format!("the gradient of `before.first.weight` overflowed ({})", info.place);
    assert!(text.starts_with(&start) && info.place.starts_with("lib.rs:"), "{text}");
    let line: usize = info.place.rsplit(':').next().unwrap().parse().unwrap();
    let source = include_str!("../src/lib.rs").lines().nth(line - 1).unwrap();
    assert!(source.contains("first: dense(2"), "{source}");
    // Without the search the loss tells, one step later.
    let error = fit(false).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { first: Spoiled::Loss, batch: 2, .. }), "{error}");
}

dln::network! {
    /// The slope of a root at 0 spoils what the second loss reads.
    network Chained {
        input x: [2];
        param early: [2] = ones;
        param late: [2] = ones;
        output y = x * early * late;
        loss first = mean(x * sqrt(early - 1)) updates early;
        loss second = mean(x * early * late) updates late;
        train { optimizer: sgd(learning_rate: 0.1), batch: 4, epochs: 1 }
    }
}

/// Of several losses the first one leaves behind what the second one is not finite by: that is named, not the second loss.
#[test]
fn what_an_earlier_loss_spoiled_is_named() {
    let examples = chained::Examples { x: vec![[1.0, 1.0]; 4] };
    let fit = |check| {
        let trainer = Trainer::<Chained>::new().terminate_on_nan(check).progress(Progress::Silent);
        trainer.fit(&examples, &examples).unwrap_err()
    };
    let error = fit(true);
    let TrainError::NotFinite { first: Spoiled::Parameter(info), epoch: 1, batch: 1, .. } = &error else {
        panic!("{error}")
    };
    assert!(info.name == "early" && info.place.starts_with("spoiled.rs:"), "{error}");
    let error = fit(false);
    assert!(matches!(error, TrainError::NotFinite { first: Spoiled::Loss, batch: 1, .. }), "{error}");
}

/// A step so long that parameters overflow.
#[test]
fn a_parameter_that_overflows_is_named() {
    let examples = blobs(1, 32);
    let error = trainer().learning_rate(f32::MAX).fit(&examples, &examples).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { set: "training", epoch: 1, .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_before_training() {
    let examples = blobs(1, 32);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    // A file where a folder should be, and a folder that the system itself keeps.
    for path in [file.join("run"), Path::new("/proc/run").to_path_buf()] {
        if path.starts_with("/proc") && !Path::new("/proc/self").exists() {
            continue;
        }
        let error = trainer().callback(ModelCheckpoint::new(&path)).fit(&examples, &examples).unwrap_err();
        assert!(matches!(&error, TrainError::Write { path: at, .. } if *at == path), "{error}");
    }
    let error = dl_train::checkpoint::save::<Blobs>(
        file.join("x.safetensors"),
        &Blobs::initialize(0).0,
        &Blobs::initialize(0).1,
        &[],
    );
    assert!(matches!(error, Err(TrainError::Write { .. })));
}

/// A folder of a file system that is unmounted at the end.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None` where this process may not mount.
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                println!("skipped: this process may not mount a file system");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// A disk of 400 KB holds one checkpoint of a run, then is full.
#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let Some(disk) = Mounted::new("size=400k") else { return };
    let folder = disk.0.path();
    let image = vec![[[[0.5; 28]; 28]; 1]; 64];
    let examples = lenet::Examples { image, digit: (0..64).map(|i| i % 10).collect() };
    let (parameters, state) = LeNet::initialize(1);
    let good = folder.join("good.safetensors");
    dl_train::checkpoint::save::<LeNet>(&good, &parameters, &state, &[]).unwrap();
    let run = Trainer::<LeNet>::new().epochs(1).patience(None).progress(Progress::Silent);
    let error = run.callback(ModelCheckpoint::new(folder)).fit(&examples, &examples).unwrap_err();
    let TrainError::Write { path, source } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
    assert_eq!(path.parent(), Some(folder));
    // Overwriting fails as well, and what stood there still does; nothing half written takes room.
    dl_train::checkpoint::save::<LeNet>(&good, &parameters, &state, &[]).unwrap_err();
    let (read, _) = Checkpoint::open(&good).unwrap().load::<LeNet>().unwrap();
    assert_eq!(read.as_slice(), parameters.as_slice());
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["good.safetensors"]);
}

#[test]
fn a_read_only_disk_is_an_error() {
    let Some(disk) = Mounted::new("ro") else { return };
    let examples = blobs(1, 32);
    let error = trainer().callback(ModelCheckpoint::new(disk.0.path())).fit(&examples, &examples).unwrap_err();
    let TrainError::Write { path, source } = &error else { panic!("{error}") };
    assert_eq!((source.kind(), path.as_path()), (std::io::ErrorKind::ReadOnlyFilesystem, disk.0.path()));
}
