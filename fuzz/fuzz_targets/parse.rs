//! Any text has a tree and diagnostics whose places are in it, and every diagnostic can be shown.

#![no_main]

use dl_grammar::{Source, Sources, parse, render};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    let file = sources.add(Source::new("fuzz.dln", text));
    let (_, diagnostics) = parse(file, text);
    for diagnostic in &diagnostics {
        for span in std::iter::once(diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| *span)) {
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{diagnostic:?}");
        }
    }
    let shown = render(&sources, &diagnostics, false);
    assert_eq!(shown.is_empty(), diagnostics.is_empty());
});
