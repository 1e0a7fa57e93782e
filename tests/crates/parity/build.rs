//! Compiles every fixture network, and the random programs of some seeds.

use std::path::Path;

use dl_compiler::{Options, Source};

/// The random programs are those of the seeds below.
const RANDOM: u64 = 12;

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
    let folder = std::env::var("OUT_DIR").expect("Cargo names a folder");
    for seed in 0..RANDOM {
        let text = samples::program(&format!("Random{seed}"), &samples::choices(seed));
        let compiled = match dl_compiler::compile(Source::new(format!("random{seed}.dln"), text), &Options::default()) {
            Ok(compiled) => compiled,
            Err(failure) => panic!("{}", dl_compiler::render(&failure.sources, &failure.diagnostics, false)),
        };
        let file = Path::new(&folder).join(format!("random{seed}.rs"));
        std::fs::write(file, compiled.text()).expect("the folder can be written");
    }
}
