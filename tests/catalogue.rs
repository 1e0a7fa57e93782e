//! The catalogue of errors is true: every page's example leads to its error and to no other, what it is put right to
//! compiles, and `docs/errors.md` is made of the pages. `UPDATE_DOCS=1` writes it anew.

use std::fmt::Write;
use std::fs;

use dl_compiler::{Code, Options, Source, compile, render};

/// Codes whose pages show no program, and why.
const WITHOUT_EXAMPLE: &[(Code, &str)] = &[
    (Code::NotUtf8, "a page is UTF-8"),
    (Code::FileUnreadable, "about files, not about what is in them"),
    (Code::SourceTooLarge, "too long for a page"),
    (Code::Internal, "no program is known that leads to it"),
];

/// The program of the first block marked `fence`.
fn block<'a>(page: &'a str, fence: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("```{fence}\n"))?;
    rest.split_once("```\n").map(|(program, _)| program)
}

/// The codes of all mistakes of a program, and how they are shown.
fn mistakes(name: &str, program: &str) -> (Vec<Code>, String) {
    match compile(Source::new(name, program), &Options::default()) {
        Ok(_) => Default::default(),
        Err(failure) => {
            let codes = failure.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            (codes, render(&failure.sources, &failure.diagnostics, false))
        }
    }
}

#[test]
fn every_example_leads_to_its_error_and_every_fix_compiles() {
    let mut problems = Vec::new();
    for &code in Code::ALL {
        let number = code.number();
        let page = code.explanation();
        if page.is_empty() {
            problems.push(format!("{number} ({}) has no page grammar/src/errors/{number}.md", code.title()));
            continue;
        }
        if let Some((_, reason)) = WITHOUT_EXAMPLE.iter().find(|(other, _)| *other == code) {
            assert!(!page.contains("```dln"), "{number} has an example, although: {reason}");
            continue;
        }
        match block(page, &format!("dln,{number}")) {
            None => problems.push(format!("the page of {number} has no example in a block ```dln,{number}")),
            Some(example) => {
                let (codes, shown) = mistakes("example.dln", example);
                if codes.is_empty() || codes.iter().any(|found| *found != code) {
                    problems.push(format!("the example of {number} leads to {codes:?}\n{shown}"));
                }
            }
        }
        match block(page, "dln") {
            None => problems.push(format!("the page of {number} has no repaired program in a block ```dln")),
            Some(fixed) => {
                let (codes, shown) = mistakes("fixed.dln", fixed);
                if !codes.is_empty() {
                    problems.push(format!("the repaired program of {number} does not compile\n{shown}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// The whole page of documentation.
fn document() -> String {
    let mut text =
        "# Errors\n\nEvery error of the compiler has a number. `dln explain E0301` prints what stands here, without what the \
        compiler says of the example. The pages are the files of `grammar/src/errors`.\n"
            .to_owned();
    for &code in Code::ALL {
        let number = code.number();
        let fence = format!("dln,{number}");
        let mut page = code.explanation().to_owned();
        if let Some(example) = block(code.explanation(), &fence) {
            let (_, shown) = mistakes("example.dln", example);
            let said = format!("{example}```\n\n```text\n{}\n```\n", shown.trim_end());
            page = page.replacen(&format!("{example}```\n"), &said, 1);
        }
        writeln!(text, "\n## {number}: {}\n\n{}", code.title(), page.trim_end()).unwrap();
    }
    text
}

#[test]
fn the_documentation_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, &expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "docs/errors.md is stale: run this test with UPDATE_DOCS=1");
}
