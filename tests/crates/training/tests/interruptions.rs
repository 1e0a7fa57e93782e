//! Processes that train are ended at random moments; what they leave behind is always enough to go on to the same bits.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use dl_train::checkpoint::{Checkpoint, newest};
use dln::runtime::Rng;
use training::Blobs;

const RUN: &str = env!("CARGO_BIN_EXE_run");

fn finished(folder: &Path, epochs: &str) -> String {
    let output = Command::new(RUN).arg(folder).arg(epochs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// 200 processes, each killed within milliseconds of work. After every one of them each file under a final name is
/// complete and the newest one loads; the last process ends with the bits of one that was never killed.
#[test]
fn a_run_killed_200_times_ends_with_the_same_bits() {
    const EPOCHS: &str = "900";
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = finished(whole.path(), EPOCHS);
    let mut rng = Rng::new(2024);
    let (mut kills, mut in_the_middle, mut last) = (0, 0, 0);
    for _ in 0..200 {
        let mut child = Command::new(RUN)
            .arg(killed.path())
            .arg(EPOCHS)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(1_000 + rng.below(40_000) as u64));
        // On Unix this is SIGKILL: nothing of the process runs after it.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        assert_eq!(complaint, "", "a process complained");
        kills += usize::from(!status.success());

        for entry in fs::read_dir(killed.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                Checkpoint::open(&path).unwrap().load::<Blobs>().unwrap();
            } else {
                in_the_middle += 1;
            }
        }
        if let Some(path) = newest(killed.path()).unwrap() {
            let step = Checkpoint::open(path).unwrap().step().unwrap();
            assert!(step >= last, "from step {last} back to step {step}");
            last = step;
        }
    }
    println!("{kills} of 200 killed at work, {in_the_middle} of them while writing; step {last} of 6300 reached");
    assert!(kills > 100 && last > 0, "{kills} killed, step {last}: the moments are badly chosen");
    assert_eq!(finished(killed.path(), EPOCHS), expected);
    let names = fs::read_dir(killed.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept = names.filter(|name| name.starts_with("step-")).count();
    assert_eq!(kept, 2, "what killed processes left behind is cleared away");
}

/// Ctrl-C finishes the step and saves; resuming from there gives the same bits.
#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_goes_on() {
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let epochs = "400";
    let checkpoints = folder.path().join("run");
    let file = folder.path().join("interrupted.safetensors");
    let mut child = Command::new(RUN)
        .arg(&checkpoints)
        .args([epochs, "interrupt"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    while newest(&checkpoints).unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let end = lines.next().unwrap().unwrap();
    assert!(child.wait().unwrap().success() && end.starts_with("Interrupted"), "{end}");
    let saved = Checkpoint::open(&file).unwrap();
    assert!(saved.step().unwrap() > 0);
    let more = (saved.epoch().unwrap() + 3).to_string();
    assert_eq!(finished(&checkpoints, &more), finished(whole.path(), &more));
}
