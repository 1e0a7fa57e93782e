//! What fuzzing found, compiled again: each file of `fuzz/corpus/findings` once made the compiler panic, hang, contradict
//! itself, emit what is not Rust, or point between the bytes of a letter. The programs that fuzzing begins with are here
//! too, each cut off at many places.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dl_compiler::{Code, Options, Source, compile, render};

/// Far more than any of these needs, be the machine busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Half the stack of a thread that Rust starts by itself.
const STACK: usize = 1 << 20;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// Compiles a text in a small stack.
fn check(name: &str, text: String) {
    let shown_name = name.to_owned();
    let start = Instant::now();
    let run = move || match compile(Source::new("corpus.dln", text), &Options::default()) {
        Ok(compiled) => assert!(!compiled.text().is_empty()),
        Err(failure) => {
            let shown = render(&failure.sources, &failure.diagnostics, false);
            for diagnostic in &failure.diagnostics {
                assert!(diagnostic.code != Code::Internal, "{shown}");
                for span in std::iter::once(diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| *span)) {
                    let text = &failure.sources.get(span.file).text;
                    assert!(
                        text.get(span.start as usize..span.end as usize).is_some(),
                        "{span:?} cuts a letter\n{shown}"
                    );
                }
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    assert!(thread.join().is_ok(), "{shown_name} makes the compiler panic");
    assert!(start.elapsed() < LIMIT, "{shown_name} takes {:?}", start.elapsed());
}

#[test]
fn findings_stay_mended() {
    for path in files("fuzz/corpus/findings") {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        check(&path.display().to_string(), text);
    }
}

#[test]
fn programs_may_end_anywhere() {
    const CUTS: usize = 12;
    for path in ["tests/networks", "tests/errors", "dl-compiler/std"].into_iter().flat_map(files) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for cut in 0..CUTS {
            let end = text.floor_char_boundary(text.len() * cut / CUTS);
            check(&format!("{} up to byte {end}", path.display()), text[..end].to_owned());
        }
    }
}
