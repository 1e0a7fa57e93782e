//! What the compiler says of wrong programs: each file of `tests/errors` holds one and, under its lines, what is said.
//!
//! ```text
//!     output y = x |> dense(2, bais: false);
//! //~                          ^^^^ E0201: `dense` has no attribute `bais`
//! //~ = label: no such attribute
//! //~ = help: did you mean `bias`?
//! ```
//!
//! Lines that begin with `//~` are taken out before the program is compiled. `^` underlines the offending place, `-` one
//! that explains it; a place further left than the underlining can go is given by its columns, and `…` behind
//! an underline says that the place goes on in the next line. A file named after a code is about this code alone.
//! `UPDATE_ERRORS=1` writes all expectations anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dl_compiler::{Code, Diagnostic, Failure, Options, Source, Sources, Span, compile};

/// What expectations begin with.
const MARK: &str = "//~";

/// Codes that no file of text leads to, and why.
const WITHOUT_FIXTURE: &[(Code, &str)] = &[
    (Code::NotUtf8, "about bytes; a test of the command has it"),
    (Code::FileUnreadable, "about files; a test of the command has it"),
    (Code::SourceTooLarge, "a mebibyte long; a test of the command has it"),
    (Code::Internal, "no program is known that leads to it"),
];

fn fixtures() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/errors");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "dln"));
    paths.sort();
    paths
}

fn stem(path: &std::path::Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The program without expectations.
fn program(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with(MARK)).collect()
}

fn failure(name: &str, program: &str) -> Option<Box<Failure>> {
    compile(Source::new(name, program), &Options::default()).err()
}

/// The program with what is said of it under its lines.
fn annotated(program: &str, failure: &Failure) -> String {
    let mut under: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for diagnostic in &failure.diagnostics {
        expect(diagnostic, &failure.sources, &mut under);
    }
    let mut text = String::new();
    let count = program.lines().count();
    for (index, line) in program.lines().enumerate() {
        text.push_str(&format!("{line}\n"));
        // What stands behind the last line is shown under it.
        let end = if index + 1 == count { usize::MAX } else { index + 1 };
        for (_, expectations) in under.range(index + 1..=end) {
            expectations.iter().for_each(|expectation| text.push_str(&format!("{MARK}{expectation}\n")));
        }
    }
    text
}

/// Adds what a diagnostic says to the lines that it speaks of, which count from 1.
fn expect(diagnostic: &Diagnostic, sources: &Sources, under: &mut BTreeMap<usize, Vec<String>>) {
    let number = diagnostic.code.number();
    let (line, _) = sources.line_column(diagnostic.span);
    let mut said = vec![format!("{} {number}: {}", underline(sources, diagnostic.span, '^'), diagnostic.message)];
    let mut elsewhere = Vec::new();
    if !diagnostic.label.is_empty() {
        said.push(format!(" = label: {}", diagnostic.label));
    }
    for (span, text) in &diagnostic.related {
        let (at, _) = sources.line_column(*span);
        if span.file == diagnostic.span.file {
            elsewhere.push((at, format!("{} {number}: {text}", underline(sources, *span, '-'))));
        } else {
            said.push(format!(" = {}:{at}: {text}", sources.get(span.file).name));
        }
    }
    said.extend(diagnostic.notes.iter().map(|note| format!(" = note: {note}")));
    said.extend(diagnostic.help.iter().map(|help| format!(" = help: {help}")));
    under.entry(line).or_default().extend(said.iter().map(|line| line.replace('\n', "\n//~ ")));
    for (line, text) in elsewhere {
        under.entry(line).or_default().push(text);
    }
}

/// Marks under the columns of a span, for a line that begins with [`MARK`].
fn underline(sources: &Sources, span: Span, mark: char) -> String {
    let text = sources.text(span);
    let first = text.lines().next().unwrap_or("");
    let (_, column) = sources.line_column(span);
    let width = first.chars().count().max(1);
    let more = if first.len() < text.trim_end().len() { "…" } else { "" };
    match (column - 1).checked_sub(MARK.len()) {
        Some(blanks) => format!("{}{}{more}", " ".repeat(blanks), mark.to_string().repeat(width)),
        None => format!(" {mark} {column}–{}{more}", column + width - 1),
    }
}

#[test]
fn every_wrong_program_says_what_stands_under_its_lines() {
    let update = std::env::var_os("UPDATE_ERRORS").is_some();
    let mut problems = Vec::new();
    for path in fixtures() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let program = program(&text);
        let Some(failure) = failure(&name, &program) else {
            problems.push(format!("{name} compiles"));
            continue;
        };
        let number = stem(&path).split('_').next().unwrap_or("").to_owned();
        let is_other = |diagnostic: &&Diagnostic| number.starts_with('E') && diagnostic.code.number() != number;
        if let Some(other) = failure.diagnostics.iter().find(is_other) {
            problems.push(format!("{name} leads to {}: {}", other.code.number(), other.message));
        }
        let expected = annotated(&program, &failure);
        if update {
            fs::write(&path, &expected).unwrap();
        } else if expected != text {
            let line = expected.lines().zip(text.lines()).take_while(|(now, then)| now == then).count();
            let [now, then] = [&expected, &text].map(|text| text.lines().nth(line).unwrap_or("(nothing)").to_owned());
            problems.push(format!("{name}:{}: expected\n{then}\nbut now it is\n{now}", line + 1));
        }
    }
    assert!(problems.is_empty(), "{}\nUPDATE_ERRORS=1 writes expectations anew", problems.join("\n\n"));
}

#[test]
fn every_code_has_a_fixture() {
    let names: Vec<String> = fixtures().iter().map(|path| stem(path)).collect();
    let has_fixture = |code: &Code| names.iter().any(|name| name.starts_with(code.number()));
    let exempt = |code: &Code| WITHOUT_FIXTURE.iter().any(|(other, _)| other == code);
    let missing: Vec<&str> =
        Code::ALL.iter().filter(|code| !has_fixture(code) && !exempt(code)).map(|code| code.number()).collect();
    assert!(missing.is_empty(), "no file of tests/errors is named after {}", missing.join(", "));
}

#[test]
fn underlines_stand_under_what_they_mean() {
    let text = "const é = 1;\nnetwork N {\n    input x: [2];\n    output y = é2;\n}\n";
    let mut sources = Sources::default();
    let file = sources.add(Source::new("a.dln", text));
    let place = |start: usize, end: usize| Span { file, start: start as u32, end: end as u32 };
    let start = text.find("é2").unwrap();
    assert_eq!(underline(&sources, place(start, start + 3), '^'), format!("{}^^", " ".repeat(12)));
    assert_eq!(underline(&sources, place(0, 5), '-'), " - 1–5");
    let start = text.find("N {").unwrap();
    assert_eq!(underline(&sources, place(start, text.len() - 1), '^'), format!("{}^^^…", " ".repeat(5)));
}
