//! What the commands print on a program without mistakes, and how they are called.

mod common;

use common::{XOR, dln, file, stderr, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

fn run(command: &[&str], path: &Path) -> std::process::Output {
    let mut arguments: Vec<&std::ffi::OsStr> = command.iter().map(std::ffi::OsStr::new).collect();
    arguments.push(path.as_os_str());
    dln(&arguments)
}

#[test]
fn check_says_that_a_file_is_right() {
    let path = file("check", "xor.dln", XOR);
    let output = run(&["check"], &path);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("{}: ok\n", path.display()));
    assert_eq!(stderr(&output), "");
}

#[test]
fn check_goes_on_after_a_file_with_mistakes() {
    let wrong = file("check_all", "wrong.dln", "network N { input x: [2]; output y = z; }");
    let right = file("check_all", "xor.dln", XOR);
    let output = run(&["check", &wrong.to_string_lossy()], &right);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), format!("{}: ok\n", right.display()));
    assert!(stderr(&output).contains("wrong.dln:1:38"), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("error: 1 mistake in 1 of 2 files\n"), "{}", stderr(&output));
}

#[test]
fn messages_bear_no_colour_where_no_terminal_is() {
    let output = run(&["check"], &file("colour", "wrong.dln", "network N { a = ; }"));
    assert!(!stderr(&output).contains('\u{1b}'), "{:?}", stderr(&output));
}

#[test]
fn expand_prints_rust_of_one_module() {
    let path = file("expand", "xor.dln", XOR);
    let code = stdout(&run(&["expand"], &path));
    assert!(code.contains("mod xor {") && code.contains("::dln::runtime"), "{code}");
    assert!(code.contains("// logit = x"), "the source stands above the steps: {code}");
    assert_eq!(code, stdout(&run(&["expand"], &path)), "the same input, the same output");
    let other = stdout(&run(&["expand", "--runtime=::other::runtime"], &path));
    assert_eq!(other, code.replace("::dln::runtime", "::other::runtime"));
}

#[test]
fn summary_counts_the_parameters() {
    let table = stdout(&run(&["summary"], &file("summary", "xor.dln", XOR)));
    // 2·8 weights and 8 biases, then 8·1 weights and 1 bias.
    let total = table.lines().find(|line| line.starts_with("total")).unwrap_or_default();
    assert_eq!(total.split_whitespace().nth(1), Some("33"), "{table}");
    assert!(table.starts_with("Xor: Exclusive or of two numbers."), "{table}");
    assert!(table.lines().any(|line| line.starts_with("logit") && line.contains("[1]")), "{table}");
    assert!(table.contains("├─ hidden: dense") && table.contains("└─ dense"), "{table}");
}

#[test]
fn expand_prints_every_stage() {
    let path = file("stages", "xor.dln", XOR);
    assert_eq!(stdout(&run(&["expand"], &path)), stdout(&run(&["expand", "--stage=rust"], &path)));
    for stage in dl_compiler::STAGES {
        let output = run(&["expand", &format!("--stage={stage}")], &path);
        assert_eq!(output.status.code(), Some(0), "{stage}: {}", stderr(&output));
        assert!(!stdout(&output).trim().is_empty(), "{stage}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let calls: [&[&str]; 13] = [
        &[],
        &["compile"],
        &["check"],
        &["expand"],
        &["expand", "a.dln", "--runtime=a b"],
        &["expand", "--stage=soup", "a.dln"],
        &["check", "a.dln", "--format=xml"],
        &["summary"],
        &["fmt"],
        &["explain", "E9999"],
        &["graph", "a.dln", "-o", "a.bmp"],
        &["new"],
        &["completions", "soup"],
    ];
    for call in calls {
        let output = dln(call);
        assert_eq!(output.status.code(), Some(2), "{call:?}");
        assert!(stderr(&output).contains("--help"), "{call:?}: {}", stderr(&output));
    }
    assert!(stderr(&dln(["expand", "--stage=soup", "a.dln"])).contains("graph"), "the stages are named");
    assert_eq!(dln(["--help"]).status.code(), Some(0));
    assert_eq!(dln(["--version"]).status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let path = file("pipe", "xor.dln", XOR);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dln"))
        .arg("expand")
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let path = file("full", "xor.dln", XOR);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = Command::new(env!("CARGO_BIN_EXE_dln")).arg("expand").arg(&path).stdout(full).output();
    let output = output.expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
}
