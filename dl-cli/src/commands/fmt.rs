//! `dln fmt`: files and folders enter, and leave in the one form that programs are written in.
//!
//! A file that does not parse stays as it is. A formatted text is written beside the old one and then put into its place,
//! so that no file is ever half written.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dl_compiler::{Failure, Source, Sources};

use crate::{files, output};

/// What stands for standard input among the paths.
const STANDARD_INPUT: &str = "-";

/// Formats all files; with `check`, names those that formatting would change instead.
pub(crate) fn fmt(paths: &[PathBuf], check: bool) -> ExitCode {
    if let [path] = paths
        && path == Path::new(STANDARD_INPUT)
    {
        return filter(check);
    }
    let files = files::find(paths);
    if files.is_empty() {
        output::message("there are no .dln files here");
        return ExitCode::FAILURE;
    }
    let (mut different, mut failed) = (String::new(), false);
    for file in &files {
        let result = files::read(file).and_then(|source| Ok((formatted(&source)?, source)));
        match result {
            Ok((text, source)) if text == source.text => {}
            Ok(_) if check => different.push_str(&format!("{}\n", file.display())),
            Ok((text, _)) => failed |= !replace(file, &text),
            Err(failure) => {
                output::failure(&failure);
                failed = true;
            }
        }
    }
    let printed = output::print(&different);
    if !different.is_empty() {
        let count = different.lines().count();
        output::message(&format!("{count} of {} files would be formatted", files.len()));
    }
    if failed || !different.is_empty() { ExitCode::FAILURE } else { printed }
}

/// Formats standard input to standard output.
fn filter(check: bool) -> ExitCode {
    let limit = u64::try_from(dl_grammar::MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    if let Err(error) = std::io::stdin().lock().take(limit).read_to_string(&mut text) {
        output::message(&format!("cannot read standard input: {error}"));
        return ExitCode::FAILURE;
    }
    let source = Source::new("<stdin>", text);
    match formatted(&source) {
        Ok(text) if !check => output::print(&text),
        Ok(text) if text == source.text => ExitCode::SUCCESS,
        Ok(_) => {
            output::message("standard input would be formatted");
            ExitCode::FAILURE
        }
        Err(failure) => output::failure(&failure),
    }
}

fn formatted(source: &Source) -> Result<String, Box<Failure>> {
    dl_grammar::format(&source.text).map_err(|diagnostics| {
        let mut sources = Sources::default();
        sources.add(source.clone());
        Box::new(Failure { sources, imports: Default::default(), diagnostics, tokens: Default::default() })
    })
}

/// Puts a text into the place of a file; whether that went well.
fn replace(file: &Path, text: &str) -> bool {
    let mut beside = file.to_path_buf();
    beside.as_mut_os_string().push(".formatted");
    let written = std::fs::write(&beside, text).and_then(|()| {
        std::fs::set_permissions(&beside, std::fs::metadata(file)?.permissions())?;
        std::fs::rename(&beside, std::fs::canonicalize(file)?)
    });
    if let Err(error) = written {
        // What was half written is of no use; that it cannot be removed is no news.
        let _ = std::fs::remove_file(&beside);
        output::message(&format!("cannot write {}: {error}", file.display()));
        return false;
    }
    true
}
