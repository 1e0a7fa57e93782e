//! What each command does: paths enter, printed text and an exit code leave. What is printed is made elsewhere.

use crate::{output, table};
use dl_compiler::{Compiled, Failure, Options, Source};
use std::path::Path;
use std::process::ExitCode;

/// `dln check`: all mistakes of all files, and a line for each file without any.
pub(crate) fn check(files: &[std::path::PathBuf]) -> ExitCode {
    let mut report = String::new();
    let mut broken = 0_usize;
    for file in files {
        match compile(file, &Options::default()) {
            Ok(_) => report.push_str(&format!("{}: ok\n", file.display())),
            Err(failure) => {
                output::failure(&failure);
                broken += 1;
            }
        }
    }
    let printed = output::print(&report);
    if broken == 0 {
        return printed;
    }
    if files.len() > 1 {
        output::message(&format!("{broken} of {} files have errors", files.len()));
    }
    ExitCode::FAILURE
}

/// `dln expand`: the generated Rust.
pub(crate) fn expand(file: &Path, runtime: String) -> ExitCode {
    show(compile(file, &Options { runtime, ..Options::default() }), |compiled| compiled.text())
}

/// `dln summary`: the layer table of every network.
pub(crate) fn summary(file: &Path) -> ExitCode {
    show(compile(file, &Options::default()), |compiled| table::tables(&compiled.summary()))
}

/// `dln dump`: the text of one stage.
pub(crate) fn dump(file: &Path, stage: &str) -> ExitCode {
    let dumped = read(file).and_then(|source| dl_compiler::dump(source, &Options::default(), stage));
    match dumped {
        Ok(Some(text)) => output::print(&text),
        Ok(None) => {
            output::message(&format!("no stage is named `{stage}`; there are {}", dl_compiler::STAGES.join(", ")));
            ExitCode::from(2)
        }
        Err(failure) => output::failure(&failure),
    }
}

fn show<T>(result: Result<T, Box<Failure>>, text: impl FnOnce(T) -> String) -> ExitCode {
    match result {
        Ok(value) => output::print(&text(value)),
        Err(failure) => output::failure(&failure),
    }
}

fn compile(file: &Path, options: &Options) -> Result<Compiled, Box<Failure>> {
    dl_compiler::compile(read(file)?, options)
}

fn read(file: &Path) -> Result<Source, Box<Failure>> {
    dl_build::read(file, &file.to_string_lossy())
}
