//! Any text compiles or has mistakes; the compiler never contradicts itself, and what it emits is Rust.

#![no_main]

use dl_compiler::{Code, Options, Source, compile, render};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match compile(Source::new("fuzz.dln", text), &Options::default()) {
        // Formatting reads the code as Rust does.
        Ok(compiled) => assert!(!compiled.text().is_empty()),
        Err(failure) => {
            let shown = render(&failure.sources, &failure.diagnostics, false);
            assert!(!failure.diagnostics.is_empty());
            assert!(failure.diagnostics.iter().all(|diagnostic| diagnostic.code != Code::Internal), "{shown}");
        }
    }
});
