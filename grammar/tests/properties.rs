//! What must hold for any text, and the way from random trees to text and back.

mod common;

use common::sample::sample;
use common::{rendered, tree};
use dl_grammar::{Diagnostic, FileId, Span, parse};
use proptest::prelude::*;

/// Reads a text and checks what is promised of every result.
fn check(text: &str) {
    let (file, diagnostics) = parse(FileId(0), text);
    assert_eq!((&file, &diagnostics), (&parse(FileId(0), text).0, &parse(FileId(0), text).1), "deterministic");
    let shown: Vec<String> = file.items.iter().map(common::item).collect();
    if diagnostics.is_empty() {
        assert!(!format!("{file:?}").contains("Invalid"), "invalid without a word: {shown:?}");
    }
    let places = |diagnostic: &Diagnostic| -> Vec<Span> {
        std::iter::once(diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| *span)).collect()
    };
    for diagnostic in &diagnostics {
        for span in places(diagnostic) {
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "{diagnostic:?}");
        }
        assert!(!diagnostic.message.contains('\u{1}'), "{diagnostic:?}");
        assert!(!diagnostic.message.ends_with('.'), "{diagnostic:?}");
    }
    assert!(diagnostics.is_sorted_by_key(|diagnostic| diagnostic.span.start));
    rendered(text, &diagnostics);
}

/// Pieces of programs, right and wrong.
fn token() -> impl Strategy<Value = String> {
    let tokens = [
        "network",
        "layer",
        "fn",
        "const",
        "pub",
        "input",
        "label",
        "output",
        "loss",
        "metric",
        "param",
        "assert",
        "train",
        "if",
        "else",
        "and",
        "or",
        "not",
        "true",
        "version 1;",
        "import",
        "inference",
        "state",
        "update",
        "shared",
        "penalty",
        "freeze",
        "budget",
        "yield",
        "updates",
        "scan",
        "scan x_t in",
        "reversed",
        "in",
        "with",
        "until",
        "where",
        "repeat",
        "repeat 2 {",
        "a.*",
        "x",
        "y",
        "f32",
        "index",
        "f(",
        "if a {",
        "} else {",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ";",
        ":",
        "=",
        "==",
        "<",
        "+",
        "-",
        "*",
        "/",
        "^",
        "|>",
        "..",
        ".",
        "|",
        "!",
        "&&",
        "1",
        "0.5",
        "1e-4",
        "256_KiB",
        "9e999",
        "12ab",
        "\"text\"",
        "\"",
        "\\",
        "//",
        "/*",
        "*/",
        "/// doc\n",
        "//! doc\n",
        "\n",
        "ü",
        "→",
        "\u{1}",
        "#",
        "'",
        "y = x;",
        "x |> f(a: 1)",
        "[1, 2]",
    ];
    proptest::sample::select(tokens.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_characters_do_no_harm(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_tokens_do_no_harm(tokens in proptest::collection::vec(token(), 0..60), inside in any::<bool>()) {
        let text = tokens.join(" ");
        check(&if inside { format!("network N {{ {text} }}") } else { text });
    }

    #[test]
    fn programs_cut_anywhere_do_no_harm(from in 0usize..2800, length in 0usize..40) {
        let program = include_str!("whole.dln");
        let from = program.floor_char_boundary(from);
        let to = program.floor_char_boundary(from + length);
        check(&format!("{}{}", &program[..from], &program[to..]));
        check(&program[..from]);
    }

    #[test]
    fn spans_of_no_text_are_rendered(text in "[a\u{fc}\n\t]{0,30}", start in 0u32..50, end in 0u32..50) {
        let span = Span { file: FileId(0), start, end };
        let other = Span { file: FileId(7), start, end };
        let diagnostic = Diagnostic::new(dl_grammar::Code::Syntax, span, "message").related(other, "there").related(span, "here");
        prop_assert!(rendered(&text, &[diagnostic]).starts_with("error[E0001]: message\n"));
    }

    #[test]
    fn printed_trees_are_read_as_they_were(sample in sample()) {
        prop_assert_eq!(tree(&sample.written), sample.shown, "{}", sample.written);
    }
}

#[test]
fn the_whole_program_is_right() {
    check(include_str!("whole.dln"));
    common::parse_ok(include_str!("whole.dln"));
}
