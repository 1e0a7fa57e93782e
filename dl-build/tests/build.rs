//! The build script's door on real files.

use dl_build::{Build, BuildError, is_path, read};
use std::path::{Path, PathBuf};

const XOR: &str = "network Xor {
    input x: [2];
    label y: [1];
    logit = x |> dense(8) |> tanh |> dense(1);
    output probability = sigmoid(logit);
    loss binary_cross_entropy(logit, y);
}
";

/// A folder with one file in it.
fn folder(test: &str, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // What an earlier run wrote must not be taken for this one's.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a file");
    folder
}

fn build(folder: &Path, name: &str) -> Build {
    Build::new(name).relative_to(folder).out_dir(folder)
}

fn rendered(result: Result<PathBuf, BuildError>) -> (String, Vec<&'static str>) {
    match result {
        Err(BuildError::Program { rendered, diagnostics }) => {
            (rendered, diagnostics.iter().map(|d| d.code.number()).collect())
        }
        other => panic!("expected mistakes, found {other:?}"),
    }
}

#[test]
fn a_file_becomes_rust_of_its_name() {
    let folder = folder("good", "xor.dln", XOR);
    let written = build(&folder, "xor.dln").compile().expect("a right program");
    assert_eq!(written, folder.join("xor.rs"));
    let code = std::fs::read_to_string(&written).expect("written");
    assert!(code.contains("mod xor {") && code.contains("::dln::runtime"), "{code}");
    let named = build(&folder, "xor.dln").name("other.net").runtime("::renamed::runtime").compile();
    let named = named.expect("a right program");
    assert_eq!(named, folder.join("other.net.rs"));
    let other = std::fs::read_to_string(&named).expect("written");
    assert_eq!(other, code.replace("::dln::runtime", "::renamed::runtime"));
}

#[test]
fn mistakes_are_shown_with_their_line() {
    let folder = folder("wrong", "wrong.dln", XOR.replace("sigmoid", "sigmund"));
    let (text, codes) = rendered(build(&folder, "wrong.dln").compile());
    assert_eq!(codes, ["E0101"]);
    assert!(text.contains("wrong.dln:5:26") && text.contains("output probability = sigmund(logit);"), "{text}");
    assert!(text.contains("^^^^^^^"), "{text}");
    assert!(!folder.join("wrong.rs").exists(), "nothing is written");
}

#[test]
fn unreadable_files_are_numbered() {
    let folder = folder("unreadable", "latin1.dln", b"network N {\n  // caf\xe9\n}");
    let (text, codes) = rendered(build(&folder, "latin1.dln").compile());
    assert_eq!(codes, ["E0005"]);
    assert!(text.contains("latin1.dln:2:9"), "{text}");
    assert_eq!(rendered(build(&folder, "missing.dln").compile()).1, ["E0006"]);
    assert_eq!(rendered(build(&folder, ".").compile()).1, ["E0006"]);
    assert_eq!(rendered(build(&folder, "").compile()).1, ["E0006"]);
    std::fs::write(folder.join("empty.dln"), "").expect("a file");
    assert_eq!(rendered(build(&folder, "empty.dln").compile()).1, ["E0008"]);
    std::fs::write(folder.join("long.dln"), "//\n".repeat(1 << 20)).expect("a file");
    assert_eq!(rendered(build(&folder, "long.dln").compile()).1, ["E0007"]);
}

#[test]
fn a_byte_order_mark_is_left_out() {
    let folder = folder("mark", "mark.dln", "\u{feff}a");
    let source = read(&folder.join("mark.dln"), "mark.dln").expect("readable");
    assert_eq!((source.name.as_str(), source.text.as_str()), ("mark.dln", "a"));
}

#[test]
fn what_cannot_be_written_is_told() {
    let folder = folder("unwritable", "xor.dln", XOR);
    let result = build(&folder, "xor.dln").out_dir(folder.join("xor.dln")).compile();
    assert!(matches!(result, Err(BuildError::Write { .. })), "{result:?}");
}

#[test]
fn a_runtime_must_be_a_path() {
    for right in ["::dln::runtime", "dln", "crate::a::b", "r#try::x", "_a::b1"] {
        assert!(is_path(right), "{right}");
    }
    for wrong in
        ["", "::", "a::", "a b", "a::<b>", "1a", "a:b", "$crate::a", "a;", "_", "a::::b", "fn", "fn::x", "a::fn"]
    {
        assert!(!is_path(wrong), "{wrong}");
    }
    let folder = folder("runtime", "xor.dln", XOR);
    let result = build(&folder, "xor.dln").runtime("a b").compile();
    assert!(matches!(result, Err(BuildError::BadRuntimePath(_))), "{result:?}");
}
