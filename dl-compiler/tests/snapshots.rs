//! What each fixture network becomes at every stage, as text. A change is read before it is accepted.

use std::fs;
use std::path::{Path, PathBuf};

use dl_compiler::{Options, Source, dump};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/networks");

fn text(file: &Path, stage: &str) -> String {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let source = Source::new(name, fs::read_to_string(file).unwrap());
    match dump(source, &Options::default(), stage) {
        Ok(Some(text)) => text,
        Ok(None) => panic!("there is no stage `{stage}`"),
        Err(failure) => panic!("{}", dl_compiler::render(&failure.sources, &failure.diagnostics, false)),
    }
}

/// Fixtures whose generated code is too long to be read, some ten thousand lines; their programs are.
const LONG: &[&str] = &["resnet"];

fn fixtures() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn snapshot(stage: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let files = fixtures();
        assert!(files.len() >= 8, "{files:?}");
        for file in files {
            let stem = file.file_stem().unwrap().to_string_lossy();
            if stage == "rust" && LONG.contains(&&*stem) {
                continue;
            }
            let name = format!("{stem}.{stage}");
            insta::assert_snapshot!(name, text(&file, stage));
        }
    });
}

#[test]
fn graphs() {
    snapshot("graph");
}

#[test]
fn optimized_graphs() {
    snapshot("optimized");
}

#[test]
fn programs() {
    snapshot("program");
}

#[test]
fn rust() {
    snapshot("rust");
}

#[test]
fn the_same_source_gives_the_same_text() {
    for file in fixtures() {
        for stage in dl_compiler::STAGES {
            assert_eq!(text(&file, stage), text(&file, stage), "{stage} of {}", file.display());
        }
    }
}
