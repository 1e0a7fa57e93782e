//! The formatter: what its style is, and that it changes nothing else.

mod common;

use std::fs;
use std::path::Path;

use common::sample::sample;
use dl_grammar::{FileId, WIDTH, format, parse};
use proptest::prelude::*;

/// A token or a comment of a text, found without the parser.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Token(String),
    /// Documentation takes the rest of its line.
    Doc(String),
    Comment(String),
}

/// Cuts a right text into pieces.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let line = rest.find('\n').unwrap_or(rest.len());
        let is_doc = rest.starts_with("//!") || (rest.starts_with("///") && !rest.starts_with("////"));
        let length = if rest.starts_with("//") {
            line
        } else if rest.starts_with("/*") {
            block(rest)
        } else if first == '"' {
            let mut escaped = false;
            let closing = |c: char| {
                let is_end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                is_end
            };
            rest[1..].find(closing).expect("a closed text") + 2
        } else if first.is_ascii_digit() {
            number(rest)
        } else if first.is_ascii_alphabetic() || first == '_' {
            word(rest)
        } else if ["|>", "==", "!=", "<=", ">=", ".."].iter().any(|sign| rest.starts_with(sign)) {
            2
        } else {
            1
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(match piece {
            _ if is_doc => Piece::Doc(piece.trim_end_matches('\r').to_owned()),
            _ if piece.starts_with("//") || piece.starts_with("/*") => Piece::Comment(piece.trim_end().to_owned()),
            _ => Piece::Token(piece.to_owned()),
        });
        rest = after.trim_start();
    }
    pieces
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let mut length = word(text);
    if text[length..].starts_with('.') && text[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        length += 1 + word(&text[length + 1..]);
    }
    if text[..length].ends_with(['e', 'E']) && text[length..].starts_with(['+', '-']) {
        length += 1 + word(&text[length + 1..]);
    }
    length
}

fn block(text: &str) -> usize {
    let (mut open, mut at) = (0, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
            open += 1;
            2
        } else if text[at..].starts_with("*/") {
            open -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if open == 0 {
            break;
        }
    }
    at
}

fn comments(text: &str) -> Vec<Piece> {
    pieces(text).into_iter().filter(|piece| matches!(piece, Piece::Comment(_))).collect()
}

/// The tree without its spans.
fn tree(text: &str) -> String {
    let (file, diagnostics) = parse(FileId(0), text);
    assert!(diagnostics.is_empty(), "{text}\n{}", common::rendered(text, &diagnostics));
    let shown = format!("{file:?}");
    shown.split("Span { ").map(|piece| piece.split_once(" }").map_or(piece, |(_, rest)| rest)).collect()
}

/// Formats a right text and checks what is promised.
fn check(text: &str) -> String {
    let formatted = format(text).unwrap_or_else(|wrong| panic!("{text}\n{}", common::rendered(text, &wrong)));
    assert_eq!(tree(&formatted), tree(text), "the tree of\n{text}\nand of\n{formatted}");
    assert_eq!(comments(&formatted), comments(text), "the comments of\n{text}\nand of\n{formatted}");
    assert_eq!(format(&formatted).as_deref(), Ok(formatted.as_str()), "again, from\n{text}");
    assert!(!formatted.contains("\n\n\n"), "{formatted}");
    assert!(formatted.is_empty() || formatted.ends_with('\n') && !formatted.ends_with("\n\n"), "{formatted:?}");
    assert!(!formatted.starts_with('\n'), "{formatted:?}");
    if comments(text).is_empty() {
        let is_doc = |line: &str| line.trim_start().starts_with("//");
        assert!(formatted.lines().all(|line| is_doc(line) || !line.ends_with(' ')), "{formatted}");
    }
    formatted
}

/// All `.dln` files of folders of the workspace, and the blocks of the language reference.
fn corpus() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for folder in ["dl-compiler/std", "tests/networks", "examples"] {
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<_> =
                fs::read_dir(&folder).expect("a folder").map(|e| e.expect("a file").path()).collect();
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "dln") {
                    texts.push((path.display().to_string(), fs::read_to_string(&path).expect("a text")));
                }
            }
        }
    }
    texts.push(("whole.dln".to_owned(), include_str!("whole.dln").to_owned()));
    let reference = fs::read_to_string(root.join("docs/language.md")).expect("the reference");
    for (number, block) in reference.split("```dln\n").skip(1).enumerate() {
        let (block, _) = block.split_once("```").expect("the end of a block");
        let is_right = parse(FileId(0), block).1.is_empty();
        // Some blocks show what stands within a network.
        let block = if is_right { block.to_owned() } else { format!("network N {{\n{block}\n}}\n") };
        texts.push((format!("language.md, block {number}"), block));
    }
    texts
}

#[test]
fn programs_of_the_project_keep_their_meaning() {
    let texts = corpus();
    assert!(texts.len() > 20, "{}", texts.len());
    for (name, text) in texts {
        if parse(FileId(0), &text).1.is_empty() {
            let formatted = check(&text);
            let is_long = |line: &str| line.chars().count() > WIDTH && !line.contains(['"', '/']);
            assert!(!formatted.lines().any(is_long), "{name}\n{formatted}");
        }
    }
}

/// With `DLN_UPDATE=1` in the environment, they are formatted instead.
#[test]
fn the_library_and_the_networks_are_formatted() {
    let mut others = Vec::new();
    for (name, text) in corpus() {
        if name.contains("dl-compiler/std") || name.contains("tests/networks") {
            let formatted = format(&text).unwrap_or_else(|wrong| panic!("{}", common::rendered(&text, &wrong)));
            if formatted == text {
                continue;
            }
            if std::env::var_os("DLN_UPDATE").is_some() {
                fs::write(&name, formatted).expect("a writable file");
            } else {
                others.push(name);
            }
        }
    }
    assert!(others.is_empty(), "not formatted, which DLN_UPDATE=1 does: {others:#?}");
}

#[test]
fn every_construct_has_its_layout() {
    let text = include_str!("format/input.dln");
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "format", omit_expression => true }, {
        insta::assert_snapshot!("output", check(text));
    });
}

#[test]
fn what_does_not_parse_is_not_formatted() {
    assert_eq!(format("network N {").map_err(|wrong| wrong.len()), Err(1));
    assert_eq!(format(""), Ok(String::new()));
    assert_eq!(format("\u{feff}\r\n // a \r\n\r\n\r\n// b"), Ok("// a\n\n// b\n".to_owned()));
}

#[test]
fn deep_and_long_texts_are_formatted() {
    let cases = [
        format!("const C = {}x{};", "(".repeat(63), ")".repeat(63)),
        format!("const C = {}x{};", "f(1, ".repeat(63), ")".repeat(63)),
        format!("const C = {}x{};", "if a { q = ".repeat(30), "; q } else { b }".repeat(30)),
        format!("const C = {}x{};", "scan a in b { yield ".repeat(30), "}".repeat(30)),
        format!("const C = x{};", " |> f(1)".repeat(20_000)),
        format!("const C = x{};", " |> f(1)\n".repeat(20_000)),
        format!("const C = x{};", " + f(1)".repeat(150)),
        format!("const C = [{}];", "f(1), ".repeat(20_000)),
        format!("network N {{ {} }}", "y = f(1);".repeat(20_000)),
        "// c\n".repeat(20_000),
        format!("const C = {} 1;", "/* c */".repeat(20_000)),
        format!("const C = {} 1;", "// c\n".repeat(20_000)),
    ];
    for text in cases {
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            let formatted = format(&text).expect("a right text");
            assert_eq!(format(&formatted).as_deref(), Ok(formatted.as_str()));
        });
        thread.expect("a thread").join().expect("no panic");
    }
}

/// What may stand between two tokens.
fn separator() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => Just(" "),
        2 => Just("\n"),
        1 => Just("\n\n\n"),
        1 => Just(" // line\n"),
        1 => Just("\n // own line\n"),
        1 => Just("\n\n // first\n // second\n\n"),
        1 => Just(" /* block */ "),
        1 => Just("\n/* own block */\n"),
        1 => Just(" /* two\n   lines */ "),
    ]
}

/// The tokens of a text with other blanks and comments between them.
fn respaced(text: &str, separators: &[&str]) -> String {
    let mut out = String::new();
    for (place, piece) in pieces(text).into_iter().enumerate() {
        let (Piece::Token(text) | Piece::Doc(text) | Piece::Comment(text)) = &piece;
        // Comments are numbered, so that a change of their order shows.
        let separator = separators[place % separators.len()].replace("*/", &format!("{place} */"));
        out += &separator.replace("line\n", &format!("line {place}\n"));
        if !matches!(piece, Piece::Comment(_)) {
            out += text;
        }
        if matches!(piece, Piece::Doc(_)) {
            out += "\n";
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn random_expressions_keep_their_meaning(sample in sample()) {
        check(&format!("layer f(x: [..]) {{ y={}; {} }}", sample.written, sample.written));
    }

    #[test]
    fn comments_stay_wherever_they_are(
        separators in proptest::collection::vec(separator(), 1..200),
        which in any::<proptest::sample::Index>(),
    ) {
        let texts = corpus();
        let text = &texts[which.index(texts.len())].1;
        if parse(FileId(0), text).1.is_empty() {
            check(&respaced(text, &separators));
        }
    }
}
