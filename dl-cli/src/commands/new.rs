//! `dln new`: a name enters, a crate leaves that trains a small network on data it makes itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::output;

/// The files of the new crate; `{name}` and `{dln}` stand for what is known only now.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/Cargo.toml.in")),
    (".gitignore", "/target\n"),
    ("spirals.dln", include_str!("../../templates/spirals.dln")),
    ("src/main.rs", include_str!("../../templates/main.rs")),
];

/// Makes a folder with a crate in it.
pub(crate) fn new(folder: &Path, dln: &Path) -> ExitCode {
    let name = match crate_name(folder) {
        Ok(name) => name,
        Err(problem) => {
            output::message(&problem);
            return ExitCode::from(2);
        }
    };
    if let Err((path, error)) = write(folder, &name, dln) {
        output::message(&format!("cannot write {}: {error}", path.display()));
        return ExitCode::FAILURE;
    }
    let shown = folder.display();
    if !folder.join(dln).join("Cargo.toml").is_file() {
        output::note(&format!(
            "note: there is no dln in {}; mend its path in {shown}/Cargo.toml, or name it by --dln",
            folder.join(dln).display()
        ));
    }
    output::print(&format!("made the crate {name}; train its network by\n\n    cd {shown}\n    cargo run --release\n"))
}

/// The last part of a path, if a crate can bear it as its name.
fn crate_name(folder: &Path) -> Result<String, String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let in_rust = name.replace('-', "_");
    let is_taken =
        ["", "self", "super", "crate", "core", "std", "alloc", "test", "dln", "dl_train"].contains(&in_rust.as_str());
    let is_ascii = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    if is_ascii && !is_taken && dl_build::is_path(&in_rust) {
        return Ok(name.to_owned());
    }
    Err(format!("`{name}` cannot be the name of a crate: expected letters, digits, `-` and `_`, and no word of Rust"))
}

fn write(folder: &Path, name: &str, dln: &Path) -> Result<(), (PathBuf, io::Error)> {
    let is_used = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if is_used {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty");
        return Err((folder.to_path_buf(), error));
    }
    // In a string of TOML, a backslash would begin an escape.
    let dln = dln.to_string_lossy().replace('\\', "/").replace('"', "\\\"");
    for (path, text) in FILES {
        let path = folder.join(path);
        let text = text.replace("{name}", name).replace("{dln}", &dln);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        made.map_err(|error| (path, error))?;
    }
    Ok(())
}
