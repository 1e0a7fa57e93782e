//! Habits of the tree, checked: headers, length, unfinished places, panics out of a user's reach.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file under the workspace with one of the endings, build output and hidden folders left out.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 3, "the walk found only {found:?}");
    found
}

fn complain(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn shown(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string()
}

#[test]
fn source_files_begin_by_saying_what_they_are() {
    // Cases of the user-interface tests and fixtures of other tests show what they show, at fixed places.
    let fixture = |path: &Path| {
        let name = shown(path);
        name.starts_with("tests/ui/")
            || name.starts_with("fuzz/corpus/")
            || name.ends_with(".dln") && name.contains("tests/") && !name.contains("tests/networks/")
    };
    let silent = files(&[".rs", ".dln"]).into_iter().filter(|path| !fixture(path));
    let silent = silent.filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"));
    complain(silent.map(|path| shown(&path)).collect());
}

#[test]
fn source_files_stay_short() {
    let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    let long = files(&[".rs"]).into_iter().filter(|path| lines(path) > 800);
    complain(long.map(|path| format!("{}: {} lines", shown(&path), lines(&path))).collect());
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut problems = Vec::new();
    for path in files(&[".rs", ".dln", ".pest", ".md", ".toml"]) {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                problems.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    complain(problems);
}

#[test]
fn no_user_can_reach_a_panic_of_the_compiler() {
    let calls = [".unwrap()", ".expect(", "panic!(", "unreachable!("];
    let crates = ["grammar/src", "dl-compiler/src", "dl-macros/src", "dl-build/src", "dl-cli/src", "dl-train/src"];
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let name = shown(&path);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_test = stem.ends_with("tests") || stem == "testing" || name.contains("/tests/");
        if is_test || !crates.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate().take_while(|(_, line)| !line.contains("#[cfg(test)]")) {
            let code = line.split("//").next().unwrap_or("");
            if calls.iter().any(|call| code.contains(call)) {
                problems.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    complain(problems);
}
