//! The documentation is true: every block of the language in it compiles. (Blocks of Rust are documentation tests.)

use std::fs;

/// The fenced blocks of a Markdown text marked with `language`, each with the line it begins on.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.strip_prefix("```") == Some(language) {
            let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push((number + 2, body.join("\n")));
        }
    }
    blocks
}

#[test]
fn every_block_of_the_language_compiles() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/language.md");
    let blocks = blocks(&fs::read_to_string(path).unwrap(), "dln");
    assert!(blocks.len() > 5, "only {} blocks", blocks.len());
    for (line, text) in blocks {
        let source = dl_compiler::Source::new(format!("docs/language.md, from line {line}"), text);
        if let Err(failure) = dl_compiler::compile(source, &dl_compiler::Options::default()) {
            panic!("{}", dl_compiler::render(&failure.sources, &failure.diagnostics, false));
        }
    }
}
