//! Files that are no program, by accident or malice: a numbered error and exit code 1, soon, and never a panic.

mod common;

use common::{XOR, dln, file, stderr, stdout};
use std::path::Path;

/// All commands on one file must fail with one of the codes.
fn assert_fails(path: &Path, codes: &[&str]) {
    let commands: [&[&str]; 5] = [&["check"], &["expand"], &["summary"], &["graph"], &["expand", "--stage=program"]];
    for command in commands {
        let mut arguments: Vec<&std::ffi::OsStr> = command.iter().map(std::ffi::OsStr::new).collect();
        arguments.push(path.as_os_str());
        let output = dln(&arguments);
        let text = stderr(&output);
        let head: String = text.chars().take(2_000).collect();
        assert_eq!(output.status.code(), Some(1), "{command:?} {}: {head}", path.display());
        assert!(!text.contains("panicked") && !text.contains("overflow"), "{head}");
        assert!(codes.iter().any(|code| text.contains(&format!("error[{code}]"))), "{codes:?}: {head}");
        assert!(text.len() < 100_000, "{} bytes of messages", text.len());
        assert!(stdout(&output).is_empty(), "nothing but a program belongs on standard output");
    }
}

fn assert_text_fails(name: &str, text: impl AsRef<[u8]>, codes: &[&str]) {
    assert_fails(&file("bad_input", name, text), codes);
}

/// A network whose only binding is `value`.
fn binding(value: &str) -> String {
    format!("network N {{\n    input x: [2];\n    y = {value};\n    output z = y;\n}}\n")
}

#[test]
fn files_that_cannot_be_read() {
    assert_fails(Path::new("no/such/file.dln"), &["E0006"]);
    let output = dln([Path::new("expand"), Path::new(env!("CARGO_TARGET_TMPDIR"))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("error[E0006]") && stderr(&output).contains("it is a folder"),
        "{}",
        stderr(&output)
    );
}

#[cfg(unix)]
#[test]
fn an_endless_file_ends() {
    assert_fails(Path::new("/dev/zero"), &["E0007"]);
}

#[test]
fn a_file_that_is_too_long() {
    assert_text_fails("long.dln", "// a\n".repeat(300_000), &["E0007"]);
}

#[test]
fn files_without_a_program() {
    for (name, text) in [("empty.dln", ""), ("blank.dln", " \n\t\r\n"), ("comment.dln", "// nothing\n/* here */")] {
        assert_text_fails(name, text, &["E0008"]);
    }
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    let path = file("bad_input", "mark.dln", format!("\u{feff}{XOR}"));
    let output = dln([Path::new("check"), &path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn bytes_that_are_not_utf8_are_shown_at_their_place() {
    let path = file("bad_input", "latin1.dln", b"// caf\xe9 au lait\nnetwork N {}\n");
    assert_fails(&path, &["E0005"]);
    let text = stderr(&dln([Path::new("check"), &path]));
    assert!(text.contains("latin1.dln:1:7") && text.contains("0xe9"), "{text}");
    assert_text_fails("bytes.dln", (0..=255).cycle().take(4096).collect::<Vec<u8>>(), &["E0005"]);
    assert_text_fails("utf16.dln", b"\xff\xfen\0e\0t\0", &["E0005"]);
}

#[test]
fn text_that_is_never_closed() {
    assert_text_fails("comment_open.dln", "network N { /* here", &["E0003"]);
    assert_text_fails("text_open.dln", "network N { assert 1 == 1, \"here; }", &["E0003"]);
}

#[test]
fn deep_nesting() {
    const DEEP: usize = 10_000;
    let nested =
        |left: &str, inner: &str, right: &str| binding(&format!("{}{inner}{}", left.repeat(DEEP), right.repeat(DEEP)));
    for (name, text) in [
        ("parentheses.dln", nested("(", "x", ")")),
        ("lists.dln", nested("[", "x", "]")),
        ("blocks.dln", nested("if true { ", "x", " } else { x }")),
        ("else_if.dln", nested("if true { x } else ", "{ x }", "")),
        ("calls.dln", nested("relu(", "x", ")")),
        ("minus.dln", nested("-", "x", "")),
        ("not.dln", nested("not ", "x", "")),
        ("power.dln", nested("x^", "x", "")),
        ("sum.dln", nested("x+", "x", "")),
        ("open.dln", nested("(", "x", "")),
        ("close.dln", nested("", "x", ")")),
    ] {
        assert_text_fails(name, text, &["E0001", "E0002", "E0502"]);
    }
    assert_text_fails("braces.dln", "network N {".repeat(DEEP), &["E0001", "E0002"]);
}

#[test]
fn many_mistakes_do_not_flood_the_terminal() {
    assert_text_fails("many.dln", format!("network N {{ {} }}", "a = ;\n".repeat(50_000)), &["E0001"]);
}

#[test]
fn numbers_beyond_all_bounds() {
    let digits = "9".repeat(10_000);
    for (name, text) in [
        ("integer.dln", binding(&format!("x |> dense({digits})"))),
        ("just_too_large.dln", binding("x |> dense(9223372036854775808)")),
        ("suffix.dln", binding("x |> dense(9_000_000_000_000_000_000_GiB)")),
        ("input.dln", "network N { input x: [9223372036854775807, 9223372036854775807]; output y = x; }".to_owned()),
        ("dense.dln", binding("x |> dense(9223372036854775807)")),
        ("product.dln", binding("x |> dense(4294967296 * 4294967296)")),
        ("power_of.dln", binding("x |> dense(10 ^ 10 ^ 10)")),
        ("negative.dln", binding("x |> dense(-3)")),
        ("zero.dln", binding("x |> dense(0)")),
        ("zero_division.dln", binding("x |> dense(3 / 0)")),
        ("minimum.dln", binding("x |> dense((0 - 9223372036854775807 - 1) / -1)")),
        ("fraction.dln", binding("x |> dense(2.5)")),
        ("remainder.dln", binding("x |> dense(3 % 0)")),
    ] {
        assert_text_fails(name, text, &["E0001", "E0004", "E0204", "E0205", "E0206", "E0302", "E0306", "E0501"]);
    }
}
