//! Texts that are made to exhaust the stack, the memory or the patience. Each is read in a thread with a stack of half a
//! mebibyte; work that grew exponentially with the depth would never end.

mod common;

use dl_grammar::ast::File;
use dl_grammar::{Code, FileId, MAX_DEPTH, MAX_DIAGNOSTICS, MAX_NESTING, MAX_SOURCE_BYTES, parse};

const STACK: usize = 512 * 1024;

/// Reads, shows, copies and drops the tree, and returns the codes.
fn codes(text: String) -> Vec<Code> {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let (file, diagnostics): (File, _) = parse(FileId(0), &text);
        assert!(file.clone() == file);
        drop(file);
        assert!(common::rendered(&text, &diagnostics).len() < 1 << 20);
        diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect()
    });
    thread.expect("a thread").join().expect("no panic")
}

fn value(text: &str) -> String {
    format!("network N {{ x = {text}; y = x; }}")
}

#[test]
fn deep_brackets_are_refused() {
    let cases = [
        ("(", ")"),
        ("[", "]"),
        ("f(", ")"),
        ("if a { ", "} else { b }"),
        ("repeat 2 { y |> ", "}"),
        ("scan a in b { yield ", "}"),
        ("scan a in b { q = ", "; yield q }"),
    ];
    for (open, close) in cases {
        let inside = MAX_NESTING - 1;
        let fits = value(&format!("{}x{}", open.repeat(inside), close.repeat(inside)));
        assert_eq!(codes(fits), [], "{open}");
        for depth in [MAX_NESTING, 10_000] {
            let deep = value(&format!("{}x{}", open.repeat(depth), close.repeat(depth)));
            assert_eq!(codes(deep), [Code::NestingTooDeep], "{open} {depth}");
        }
    }
    assert_eq!(codes("/*".repeat(10_000) + &"*/".repeat(10_000)), [Code::NestingTooDeep]);
    assert_eq!(codes("/*".repeat(10_000)), [Code::UnterminatedComment]);
}

#[test]
fn brackets_in_unreadable_pieces_are_read_once() {
    // The brace that is missing at the end is added, but not to the documentation that ends the text.
    let open = "(".repeat(MAX_NESTING - 3);
    for after in [0, 100, 150, 190, 1000] {
        let text = format!("layer L(x) {{ = assert \"q\" \"q {open}{}\" ///", ";".repeat(after));
        assert!(codes(text).contains(&Code::Syntax));
    }
    // What stands after an unreadable piece is read with it up to some length, which may end in the middle of brackets.
    let close = ")".repeat(MAX_NESTING - 3);
    for between in [0, 100, 150, 190, 1000] {
        let text = format!("fn f(x) = x y layer L(x) {open}{}{close}", "; ".repeat(between));
        assert!(codes(text).contains(&Code::Syntax));
    }
}

#[test]
fn long_chains_are_read_or_refused() {
    let cases = [
        ("-".repeat(10_000) + "x", Code::NestingTooDeep),
        ("not ".repeat(10_000) + "x", Code::NestingTooDeep),
        ("a^".repeat(10_000) + "a", Code::NestingTooDeep),
        ("x+".repeat(100_000) + "x", Code::NestingTooDeep),
        ("if a {x} else ".repeat(10_000) + "{y}", Code::NestingTooDeep),
        ("if ".repeat(10_000) + "a {x} else {y}", Code::Syntax),
        ("x < ".repeat(10_000) + "x", Code::Syntax),
    ];
    for (text, expected) in cases {
        assert_eq!(codes(value(&text)), [expected], "{}", &text[..20]);
    }
    assert_eq!(codes(value(&("x".to_owned() + &" |> f".repeat(100_000)))), []);
    assert_eq!(codes(value(&format!("repeat 2 {{ f{} }}", " |> f".repeat(100_000)))), []);
    assert_eq!(codes(format!("network N {{ freeze a{}; }}", ".a*".repeat(100_000))), []);
    assert_eq!(codes(format!("network N {{ freeze a{}; }}", ", a".repeat(100_000))), []);
    assert_eq!(codes(format!("network N {{ a{} = x; }}", ", a".repeat(100_000))), []);
    assert_eq!(
        codes(value(&format!(
            "scan a{} in b{} {{ yield c{} }}",
            ", a".repeat(9_999),
            ", b".repeat(9_999),
            ", c".repeat(9_999)
        ))),
        []
    );
    assert_eq!(codes(value(&("repeat ".repeat(10_000) + "2 { f }"))), [Code::Syntax]);
    assert_eq!(codes(value(&("scan a in ".repeat(10_000) + "x { yield a }"))), [Code::Syntax]);
    assert_eq!(codes(value(&format!("[{}]", "x,".repeat(100_000)))), []);
    assert_eq!(codes("const A = 1;\n".repeat(50_000)), []);
}

#[test]
fn depth_counts_along_the_whole_path() {
    let sum = |terms: usize, inner: &str| format!("({inner}{})", "+x".repeat(terms - 1));
    assert_eq!(codes(value(&sum(MAX_DEPTH, "x"))), []);
    assert_eq!(codes(value(&sum(MAX_DEPTH + 1, "x"))), [Code::NestingTooDeep]);
    let half = sum(MAX_DEPTH / 2, "x");
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2 + 1, &half))), []);
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2 + 2, &half))), [Code::NestingTooDeep]);
    // The statements of a branch count as well.
    let branch = format!("if a {{ y: [{half}] = x; z = x; z }} else {{ x }}");
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2, &branch))), []);
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2 + 1, &branch))), [Code::NestingTooDeep]);
    let loops = [
        format!("repeat {half} {{ f }}"),
        format!("repeat i in {half}..2 {{ f }}"),
        format!("repeat i in 0..{half} {{ f }}"),
        format!("scan a in {half} {{ yield a }}"),
        format!("scan a in b with h = {half} {{ yield a }}"),
        format!("scan a in b with h: [{half}] = 0 {{ yield a }}"),
        format!("scan a in b until {half} {{ yield a }}"),
        format!("scan a in b {{ y = {half}; yield y }}"),
        format!("scan a in b {{ yield a, {half} }}"),
    ];
    for text in loops {
        let most = MAX_DEPTH / 2;
        assert_eq!(codes(value(&sum(most, &text))), [], "{}", &text[..20]);
        assert_eq!(codes(value(&sum(most + 1, &text))), [Code::NestingTooDeep], "{}", &text[..20]);
    }
    let body = format!("repeat 2 {{ f({half}) }}");
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2 - 1, &body))), []);
    assert_eq!(codes(value(&sum(MAX_DEPTH / 2, &body))), [Code::NestingTooDeep]);
}

#[test]
fn mistakes_at_the_deepest_place_are_found_once() {
    let cases = [
        ("(", ")"),
        ("[1, ", "]"),
        ("f(a, ", ")"),
        ("if a { q = ", "; q } else { b }"),
        ("if a { ", "} else { b }"),
        ("repeat 2 { y |> ", "}"),
        ("scan a in b { yield ", "}"),
        ("scan a in b { q = ", "; yield q }"),
        ("scan a in (", ") { yield q }"),
    ];
    for (open, close) in cases {
        let inside = MAX_NESTING - 1;
        let text = format!("{}x x{}", open.repeat(inside), close.repeat(inside));
        assert_eq!(codes(value(&text)), [Code::Syntax], "{open}");
        let text = format!("{}x{}", (open.to_owned() + "x x ").repeat(inside), close.repeat(inside));
        assert!(!codes(value(&text)).is_empty(), "{open}");
    }
}

#[test]
fn unbalanced_brackets_are_cheap() {
    for piece in [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "{(",
        "([",
        "(}",
        "[)",
        "(;",
        "\"",
        "\"\n",
        "`",
        "ü ",
        ";",
        "a ",
        "a =",
        "if ",
        "scan ",
        "repeat ",
        "yield ",
        "freeze *",
        "freeze a.",
        "a, ",
        "scan a in b {",
        "repeat 2 {",
        "budget {",
        "network ",
        "input ",
        "///\n",
        "x//!\n",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        assert!(!codes(format!("network N {{ {text}")).is_empty(), "{piece}");
        let count = codes(text).len();
        assert!((1..=MAX_DIAGNOSTICS).contains(&count), "{piece} {count}");
    }
}

#[test]
fn long_texts_are_refused() {
    assert_eq!(codes(" ".repeat(MAX_SOURCE_BYTES)), []);
    assert_eq!(codes(" ".repeat(MAX_SOURCE_BYTES + 1)), [Code::SourceTooLarge]);
    let long = "1".repeat(MAX_SOURCE_BYTES - 100);
    assert_eq!(codes(value(&long)), [Code::NumberOutOfRange]);
    assert_eq!(codes(value(&long.replace('1', "a"))), []);
}

#[test]
fn what_is_not_shown_is_counted() {
    let (_, diagnostics) = parse(FileId(0), &format!("network N {{ {} }}", "x = ;\n".repeat(MAX_DIAGNOSTICS + 7)));
    assert_eq!(diagnostics.len(), MAX_DIAGNOSTICS);
    let notes: Vec<&str> = diagnostics.iter().flat_map(|diagnostic| &diagnostic.notes).map(String::as_str).collect();
    assert_eq!(notes, ["7 further mistakes of this file are not shown"]);
}
