//! `dln check`: files and folders enter; all mistakes of all files leave, and a line that counts them.

use std::path::PathBuf;
use std::process::ExitCode;

use dl_compiler::{Code, Failure, FileId};

use super::fail;
use crate::arguments::Format;
use crate::json::{self, Line};
use crate::{files, output};

/// Checks all files, and goes on after those that have mistakes.
pub(crate) fn check(paths: &[PathBuf], format: Format) -> ExitCode {
    let files = files::find(paths);
    if files.is_empty() {
        output::message("there are no .dln files here");
        return ExitCode::FAILURE;
    }
    let (mut failed, mut mistakes) = (0_usize, 0_usize);
    for file in &files {
        let mistaken = files::compile(file).err().filter(|failure| !is_library(failure));
        if let Some(failure) = &mistaken {
            failed += 1;
            mistakes += failure.diagnostics.len();
            fail(failure, format);
        }
        let (file, ok) = (file.display().to_string(), mistaken.is_none());
        let printed = match format {
            Format::Json => output::print(&json::text([Line::File { file, ok }])),
            Format::Text if ok => output::print(&format!("{file}: ok")),
            Format::Text => ExitCode::SUCCESS,
        };
        if printed != ExitCode::SUCCESS {
            return printed;
        }
    }
    match format {
        Format::Json => drop(output::print(&json::text([Line::Total { files: files.len(), failed }]))),
        Format::Text if failed > 0 => {
            let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
            output::message(&format!("{} in {failed} of {}", count(mistakes, "mistake"), count(files.len(), "file")));
        }
        Format::Text if files.len() > 1 => output::note(&format!("all {} files are right", files.len())),
        Format::Text => {}
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether all that a file lacks is a network: it declares layers for others to import.
fn is_library(failure: &Failure) -> bool {
    let is_empty = failure.diagnostics.iter().all(|diagnostic| diagnostic.code == Code::Empty);
    is_empty && !dl_grammar::parse(FileId(0), &failure.sources.get(FileId(0)).text).0.items.is_empty()
}
