//! Runs the `dln` binary within a time limit, on files made for the purpose.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A network that is right.
pub(crate) const XOR: &str = r#"//! The smallest network that needs a hidden layer.

/// Exclusive or of two numbers.
network Xor {
    input x: [2];
    label y: [1];
    logit = x |> hidden: dense(8) |> tanh |> dense(1);
    output probability = sigmoid(logit);
    loss binary_cross_entropy(logit, y);
    train { optimizer: adam(learning_rate: 0.05), batch: 4, epochs: 200 }
}
"#;

/// A file of that name and those bytes, in a folder of the test's own.
pub(crate) fn file(test: &str, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// Runs `dln` and fails if it takes longer than anybody would wait.
pub(crate) fn dln<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dln"))
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Read both at once: a full pipe would hold the child up for ever.
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || read(out));
    let err = std::thread::spawn(move || read(err));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().expect("it ends");
            panic!("dln did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: out.join().expect("read"), stderr: err.join().expect("read") }
}

fn read(pipe: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose().expect("readable");
    bytes
}

/// What was written to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What was written to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}
