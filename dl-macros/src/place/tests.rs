//! The mapping against the source it came from: layout, tokens and spans must be the source's own.

use super::{Placed, Position, place};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use proptest::prelude::*;

/// Positions as they stand in a Rust file, columns from 1.
fn here(span: Span) -> Option<Position> {
    let start = span.start();
    Some((start.line, start.column + 1))
}

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("the source has Rust's tokens")
}

fn placed(source: &str) -> Placed {
    place(tokens(source), here)
}

/// All tokens in a row, delimiters included, spacing left out.
fn flat(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Group(group) => {
                let mut inner = flat(group.stream());
                inner.insert(0, format!("open {:?}", group.delimiter()));
                inner.push("close".to_owned());
                inner
            }
            tree => vec![tree.to_string()],
        })
        .collect()
}

/// A position in `source`, found in the text, must lead back to the same line and column.
fn assert_leads_back(source: &str, placed: &Placed, needle: &str) {
    let byte = placed.text.find(needle).expect("the text has it");
    let (first, last) = placed.origin(byte, byte + needle.len()).expect("there are tokens");
    let byte = source.find(needle).expect("the source has it");
    let before = &source[..byte];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    assert_eq!((first.start().line, first.start().column), (line, column), "start of {needle}");
    let end = last.end();
    assert_eq!(source.lines().nth(end.line - 1).map(|l| l.chars().take(end.column).collect::<String>()), {
        let byte = byte + needle.len();
        let line_end = source[..byte].rsplit('\n').next().unwrap_or_default();
        Some(line_end.to_owned())
    });
}

const LENET: &str = r#"
    //! Grey images.

    const CLASSES = 10;

    /// LeNet-5 (LeCun et al., 1998), é.
    /// A second line.
    pub network LeNet {
        input image: [1, 28, 28];
        label digit: index(CLASSES)[64];
        /// Features.
        features = image
            |> conv2d(6, kernel: 5, padding: 2)   |> relu |> head: max_pool2d(2);
        y = -x ^ 2 + 1e-4 * 256_KiB;   z = if a == 1 and not b { 0..2 } else { x @ w };
        assert a % 2 == 0, "é {a} \" \\";  w = a.1.2;
        train { optimizer: sgd(learning_rate: 0.05), batch: 64, }
    }
"#;

#[test]
fn the_text_has_the_layout_of_the_source() {
    assert_eq!(placed(LENET).text, LENET.trim_end_matches([' ', '\n']));
}

#[test]
fn comments_become_blanks() {
    let text = placed("a /* one */ = b; // two\n   c /* three\n four */ = d;").text;
    assert_eq!(text, "a           = b;\n   c\n         = d;");
}

#[test]
fn places_in_the_text_lead_back_to_the_tokens() {
    let placed = placed(LENET);
    for needle in [
        "features",
        "conv2d(6, kernel: 5, padding: 2)",
        "|>",
        "256_KiB",
        "1e-4",
        "\"é {a} \\\" \\\\\"",
        "index(CLASSES)[64]",
        "-x ^ 2",
        "/// LeNet-5 (LeCun et al., 1998), é.",
    ] {
        assert_leads_back(LENET, &placed, needle);
    }
}

#[test]
fn a_range_without_tokens_means_the_nearest_token() {
    let placed = placed("a   = b");
    let column = |start, end| placed.origin(start, end).map(|(a, b)| (a.start().column, b.start().column));
    assert_eq!(column(0, 0), Some((0, 0)));
    assert_eq!(column(1, 3), Some((4, 4)), "a blank range means the token behind it");
    assert_eq!(column(7, 7), Some((6, 6)), "the end of the text means its last token");
    assert_eq!(column(99, 120), Some((6, 6)));
    assert_eq!(column(5, 2), Some((6, 6)), "a reversed range means its start");
    assert!(Placed::default().origin(0, 1).is_none());
}

#[test]
fn attributes_that_document_become_comments() {
    let text = |source: &str| placed(source).text;
    assert_eq!(text("#[doc = \"one\\ntwo\"] a"), "///one\n///two\na");
    assert_eq!(text("#![doc = r\" raw\"]\na"), "//! raw\na");
    assert_eq!(text("#[doc = \"\"] a"), "///\na");
    assert_eq!(text("#[doc = \"/ not a comment of four\"] a"), "/// / not a comment of four\na");
    assert_eq!(text("#[doc = \"b\\rc\"] d"), "///b c\nd");
    assert_eq!(text("a\n#[doc = \"b\"] d"), "a\n///b\nd");
    assert_eq!(text("/** block\n two */ a"), "/// block\n/// two \na");
    for other in ["#[doc(hidden)] a", "#[inline] a", "# a", "#!", "#", "#[doc = 1] a", "#[doc = \"a\" + 1] b"] {
        assert_eq!(text(other), other);
    }
}

#[test]
fn invisible_groups_become_parentheses_where_they_hold_more_than_one_token() {
    let invisible = |source: &str| TokenTree::Group(Group::new(Delimiter::None, tokens(source)));
    let mut all = tokens("x * ");
    all.extend([invisible("a + b"), invisible(";"), invisible(""), invisible("relu")]);
    let text = place(all, |_| None).text;
    assert_eq!(flat(tokens(&text)), flat(tokens("x * (a + b); relu")));
}

#[test]
fn tokens_that_stand_behind_the_text_follow_after_a_blank() {
    // What `macro_rules!` does: a captured token stands below the tokens around it.
    let below = tokens("\n\n\n\n        Captured").into_iter().next().expect("one token");
    let around: Vec<TokenTree> = tokens("network    X { a |> b >= c; }").into_iter().collect();
    let all: TokenStream = around.into_iter().map(|t| if t.to_string() == "X" { below.clone() } else { t }).collect();
    assert_eq!(place(all, here).text, "network\n\n\n\n        Captured { a |> b >= c; }");
}

#[test]
fn operators_stay_together_where_no_position_is_known() {
    let text = place(tokens("a |> b..c >= -d"), |_| None).text;
    assert!(text.contains("|>") && text.contains("..") && text.contains(">="), "{text}");
}

#[test]
fn operators_stay_together_wherever_their_parts_come_from() {
    // `12.` alone would be a number.
    let apart = |span: Span| match span.start().column {
        0 => Some((1, 1)),
        3 => Some((1, 3)),
        4 => Some((4, 2)),
        _ => Some((4, 9)),
    };
    assert_eq!(place(tokens("12 .. 3"), apart).text, "12..\n\n\n        3");
}

#[test]
fn deep_nesting_takes_no_stack() {
    let depth = 50_000;
    let source = format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    let run = move || placed(&source).text == source;
    let small = std::thread::Builder::new().stack_size(256 << 10).spawn(run).expect("a thread");
    assert!(small.join().expect("no overflow"));
}

/// Tokens with blanks, line ends or nothing between them, in balanced brackets.
fn soup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("name"),
        Just("é1"),
        Just("_x"),
        Just("12"),
        Just("0.5"),
        Just("1e-4"),
        Just("256_KiB"),
        Just("\"text é\""),
        Just("\"two\nlines\""),
        Just("r\"raw\""),
        Just("'c'"),
        Just("|>"),
        Just(".."),
        Just("="),
        Just("-"),
        Just(";"),
        Just(":"),
        Just(","),
        Just("@"),
    ];
    let blank = prop_oneof![Just(" "), Just("\n"), Just("  \n\t ")];
    let leaf = (token, blank).prop_map(|(token, blank)| format!("{token}{blank}"));
    let tree = leaf.prop_recursive(4, 64, 6, |inner| {
        let wrap = |left: &'static str, right: &'static str| {
            prop::collection::vec(inner.clone(), 0..6).prop_map(move |i| format!("{left}{}{right}", i.concat()))
        };
        prop_oneof![wrap("(", ")"), wrap("[", "] "), wrap("{\n", "}")]
    });
    prop::collection::vec(tree, 0..12).prop_map(|trees| trees.concat())
}

proptest! {
    #[test]
    fn any_layout_is_kept(source in soup()) {
        let expected = source.replace('\t', " ");
        prop_assert_eq!(placed(&source).text, strip_line_ends(&expected));
    }

    #[test]
    fn any_positions_keep_the_tokens(source in soup(), seed in any::<u64>()) {
        let scatter = |span: Span| {
            let mixed = (span.start().line as u64 * 31 + span.start().column as u64 + 1).wrapping_mul(seed | 1) >> 40;
            (!mixed.is_multiple_of(7)).then_some(((mixed % 11) as usize, (mixed / 11 % 13) as usize))
        };
        let text = place(tokens(&source), scatter).text;
        prop_assert_eq!(flat(tokens(&text)), flat(tokens(&source)), "{}", text);
    }
}

/// Blanks before a line's end hold no token, so the text need not have them.
fn strip_line_ends(source: &str) -> String {
    let mut text = source.to_owned();
    while let Some(at) = text.find(" \n") {
        text.remove(at);
    }
    text.trim_end().to_owned()
}

/// Every fixture, read as Rust tokens, becomes the same code as the file itself; spaces and comments are all that is lost.
#[test]
fn the_macro_and_the_file_yield_the_same_code() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/networks");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    let options = dl_compiler::Options { comments: false, ..dl_compiler::Options::default() };
    for file in files {
        let code = |text: &str| {
            let source = dl_compiler::Source::new("fixture", text);
            dl_compiler::compile(source, &options).unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics)).text()
        };
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(code(&placed(&text).text), code(&text), "{}", file.display());
    }
}

#[test]
fn every_construct_is_read_from_tokens_with_and_without_places() {
    let source = include_str!("../../../grammar/tests/whole.dln");
    let without_spans = |text: &str| {
        let (file, diagnostics) = dl_grammar::parse(dl_grammar::FileId(0), text);
        assert_eq!(diagnostics, [], "{text}");
        let shown = format!("{file:?}");
        let pieces = shown.split("Span { ").map(|piece| piece.split_once(" }").map_or(piece, |(_, rest)| rest));
        pieces.collect::<String>()
    };
    let expected = without_spans(source);
    assert_eq!(without_spans(&placed(source).text), expected);
    assert_eq!(without_spans(&place(tokens(source), |_| None).text), expected);
}
