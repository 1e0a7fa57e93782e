//! Paths enter, the `.dln` files behind them leave, and what is in one.

use std::path::{Path, PathBuf};

use dl_compiler::{Compiled, Failure, Options, Source};
use walkdir::{DirEntry, WalkDir};

/// The marker of folders that hold what programs made, such as Cargo's `target`.
const CACHE_MARKER: &str = "CACHEDIR.TAG";

/// The files themselves, and all `.dln` files under the folders, in order of their names. Hidden folders and caches are
/// left out; a folder that cannot be read stands in the list itself, so that reading it says why.
pub(crate) fn find(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(is_source) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if entry.path().extension().is_some_and(|extension| extension == "dln") => {
                    files.push(entry.into_path());
                }
                Ok(_) => {}
                Err(error) => files.extend(error.path().map(Path::to_path_buf)),
            }
        }
    }
    files
}

fn is_source(entry: &DirEntry) -> bool {
    let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
    entry.depth() == 0 || !entry.file_type().is_dir() || !is_hidden && !entry.path().join(CACHE_MARKER).exists()
}

/// Reads and compiles a file with those it imports.
pub(crate) fn compile(file: &Path) -> Result<Compiled, Box<Failure>> {
    dl_compiler::compile(read(file)?, &options(file))
}

/// The options for a file, which imports others from disk.
pub(crate) fn options(file: &Path) -> Options {
    Options { loader: Some(dl_build::loader("", file.to_string_lossy())), ..Options::default() }
}

/// Reads a file, or says why that cannot be.
pub(crate) fn read(file: &Path) -> Result<Source, Box<Failure>> {
    dl_build::read(file, &file.to_string_lossy())
}
