//! Compiles every fixture network.

use std::path::Path;

fn main() {
    let folder = Path::new("../../networks");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures lie beside this crate")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "dln"))
        .collect();
    files.sort();
    for file in files {
        dl_build::compile(file);
    }
}
