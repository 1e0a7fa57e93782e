//! Every message of reading, as people see it, and what is left of the tree.
//!
//! Each file `errors/*.dln` is a text with mistakes on most of its lines; the snapshot beside it holds all its
//! messages. The tables below say which places must be underlined and which names must survive.

mod common;

use common::{item, rendered};
use dl_grammar::{Code, Diagnostic, FileId, Source, Sources, Span, parse, render};

/// The codes and the underlined text of all diagnostics.
fn marks(text: &str) -> Vec<(&'static str, &str)> {
    let (_, diagnostics) = parse(FileId(0), text);
    diagnostics
        .iter()
        .map(|diagnostic| {
            (diagnostic.code.number(), &text[diagnostic.span.start as usize..diagnostic.span.end as usize])
        })
        .collect()
}

macro_rules! snapshots {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let text = include_str!(concat!("errors/", stringify!($name), ".dln"));
            let (_, diagnostics) = parse(FileId(0), text);
            insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "errors", omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), rendered(text, &diagnostics));
            });
        })*
    };
}

snapshots! { declarations statements expressions loops brackets characters words recovery }

#[test]
fn a_body_left_open_ends_after_the_documentation_that_ends_the_text() {
    assert_eq!(marks("network N { y = 1; /// why"), [("E0001", "{"), ("E0001", "/// why")]);
}

#[test]
fn one_mistake_is_one_message_at_its_place() {
    let cases: &[(&str, &str, &str)] = &[
        // A missing semicolon shows where it belongs, not where the next statement begins.
        ("network N { y = x\n z = x; }", "E0001", "x"),
        ("network N { y = x }", "E0001", "x"),
        ("const A = 1", "E0001", "1"),
        ("network N { y = f(x) |> g + 1; }", "E0001", "+"),
        ("network N { y = a < b < c < d; }", "E0001", "<"),
        ("network N { y = f(a b); }", "E0001", "b"),
        ("network N { y = f(a, k = 1); }", "E0001", "="),
        ("network N { y = [1, , 2]; }", "E0001", ","),
        ("network N { y = 1.; }", "E0001", "."),
        ("network N { y = 99999999999999999999; }", "E0004", "99999999999999999999"),
        ("network N { y = 1e999; }", "E0004", "1e999"),
        ("network N { y = \"a\\qb\"; }", "E0001", "\\q"),
        ("network N { y = \"abc; }", "E0003", "\"abc"),
        ("network N { /* y = 1; }", "E0003", "/*"),
        ("network N { y = (a; z = 1; }", "E0001", "("),
        ("network N { y = a); z = 1; }", "E0001", ")"),
        ("network N { y = [a); z = 1; }", "E0001", ")"),
        ("network N { y = 1;\nnetwork M { z = 1; }", "E0001", "{"),
        ("network N { y = 1; } }", "E0001", "}"),
        ("network N { scan = 1; }", "E0001", "scan"),
        ("network N { state = 1; y = state * 2; output z = f(state, y); }", "E0001", "state"),
        ("network N { metric metric = f(x); }", "E0001", "metric"),
        ("network N { y = scan x_t in x with state: [2] = 0 { state = x_t + state; yield state }; }", "E0001", "state"),
        ("layer d(x: [.., with], units) { param w: [with, units] = zeros; x @ w }", "E0001", "with"),
        ("layer repeat(x: [..]) { x }", "E0001", "repeat"),
        ("network N { y = where(a, 1, 0); h = ; }", "E0001", ";"),
        ("network N { y = scan x_t in x with s: [] = 0 { s = ; yield s }; }", "E0001", ";"),
        ("network N { for i in 0..3 { h = f(x); } output y = h; }", "E0001", "for"),
        ("network N:\n    input x: [4]\n    output y = x", "E0001", ":"),
        ("fn g(x) { x * 2 } network N { output y = g(1); }", "E0001", "{"),
        ("version 2;\nnetwork N { y = 1; }", "E0009", "2"),
        ("version 1.0;\nnetwork N { y = 1; }", "E0009", "1.0"),
        ("version 1\nnetwork N { y = 1; }", "E0001", "1"),
        ("version;\nnetwork N { y = 1; }", "E0001", ";"),
        ("version = 1;\nnetwork N { y = 1; }", "E0001", "="),
        ("network N { y = 1; }\nversion 1;", "E0001", "version"),
        ("import blocks.dln;\nnetwork N { y = 1; }", "E0001", "blocks"),
        ("import \"a.dln\"\nnetwork N { y = 1; }", "E0001", "\""),
        ("network Small = 3;\nconst A = 1;", "E0001", "3"),
        ("network Small = Net(1) + 2;", "E0001", "+"),
        ("inference layer f(x: [..]) { x }", "E0001", "layer"),
        ("network N { a, b: [2] = f(x); }", "E0001", "[2]"),
        ("network N { y = x\n a, b = f(x); }", "E0001", "x"),
        ("network N { freeze; }", "E0001", ";"),
        ("network N { freeze a..b; }", "E0001", "."),
        ("network N { freeze a.**; }", "E0001", "**"),
        ("network N { freeze a.*\n y = 1; }", "E0001", "*"),
        ("network N { freeze a.*\n b, c = f(x); }", "E0001", "*"),
        ("network N { freeze \"a\"; }", "E0001", "\"a\""),
        ("network N { loss a updates; }", "E0001", ";"),
        ("network N { param w: [2] = 0 where 3; }", "E0001", "3"),
        ("network N { state m: = 3; }", "E0001", "="),
        ("network N { update m 3; }", "E0001", "3"),
        ("network N { update m = 3 }", "E0001", "3"),
        ("network N { shared dense(64); }", "E0001", "("),
        ("network N { penalty = l2(w); }", "E0001", "="),
        ("network N { budget { memory > 3 } }", "E0001", ">"),
        ("network N { budget { memory: 3, parameters < 4 } }", "E0001", ":"),
        ("network N { budget { memory < 3 parameters < 4 } }", "E0001", "3"),
        ("network N { budget { memory < 3; parameters < 4 } }", "E0001", ";"),
        ("network N { budget memory < 3; }", "E0001", "memory"),
        ("network N { y = x |> repeat { f }; }", "E0001", "{"),
        ("network N { y = x |> repeat 2; }", "E0001", ";"),
        ("network N { y = x |> repeat 2 { }; }", "E0001", "}"),
        ("network N { y = x |> repeat 2 { f; }; }", "E0001", ";"),
        ("network N { y = x |> repeat 2 { |> f }; }", "E0001", "|>"),
        ("network N { y = x |> repeat 0..2 { f }; }", "E0001", ".."),
        ("network N { y = x |> repeat i in 2 { f }; }", "E0001", "{"),
        ("network N { y = x |> repeat i of 0..2 { f }; }", "E0001", "of"),
        ("network N { y = x |> repeat 2 ( f ); }", "E0001", "("),
        ("network N { y = x |> repeat 2 { f } + 1; }", "E0001", "+"),
        ("network N { y = scan x_t x { yield x_t }; z = y; }", "E0001", "x"),
        ("network N { y = scan x_t in { yield x_t }; z = y; }", "E0001", "{"),
        ("network N { y = scan x_t in x with h = 0, c = 0; z = y; }", "E0001", ";"),
        ("network N { y = scan x_t in x with h { yield h }; z = y; }", "E0001", "{"),
        ("network N { y = scan x_t in x, h = 0 { yield h }; z = y; }", "E0001", "="),
        ("network N { y = f(scan x_t in x, h = 0 { yield h }, a); z = y; }", "E0001", "="),
        ("network N { scan x_t of x with h = 0 { yield h } }", "E0001", "of"),
        ("network N { y = scan x_t in x { h = x_t; }; }", "E0001", "}"),
        ("network N { y = scan x_t in x { x_t }; }", "E0001", "x_t"),
        ("network N { y = scan x_t in x { yield }; }", "E0001", "}"),
        ("network N { y = scan x_t in x { yield x_t; z = 1; }; }", "E0001", "yield x_t"),
        ("network N { y = scan x_t in x { yield x_t; yield x_t }; }", "E0001", "yield x_t"),
        ("network N { y = scan x_t in x { a = x_t yield x_t }; }", "E0001", "t"),
        ("network N { y = scan a, b in x { yield a }; }", "E0001", "a, b"),
        ("network N { y = scan a in x, z { yield a }; }", "E0001", "a"),
        ("network N { yield x; }", "E0001", "yield x"),
        ("layer f(x: [..]) { yield x }", "E0001", "yield x"),
        ("network N { y = if a { yield b } else { c }; }", "E0001", "yield b"),
        ("network N { y = .. ; }", "E0001", ".."),
        ("network N { x |> f }", "E0001", "x |> f"),
        ("layer f(x: [..]) { y = x; }", "E0001", "}"),
        ("layer f(x: [..]) { x; }", "E0001", ";"),
        ("network N { y = if a { b }; }", "E0001", "}"),
        ("network N { größe = 1; }", "E0001", "öße"),
        ("network N { y = a × b; }", "E0001", "×"),
        ("network N { y = \u{1}; }", "E0001", "\u{1}"),
        ("// \u{1}\n/// \u{1}\nnetwork N { }", "E0001", "\u{1}"),
        ("network N { trian { batch: 1, } y = x; }", "E0001", "trian"),
        ("network N(width) extra { y = 1; }", "E0001", "extra"),
        ("fn f(x, 3) = x;", "E0001", "3"),
        ("layer f(x: [.., a, ..]) { x }", "E0001", ".."),
        ("const A = 1;\n/// nothing follows", "E0001", "/// nothing follows"),
        ("const A = 1;\n//! too late\nconst B = 2;", "E0001", "//! too late"),
    ];
    let wrong = cases.iter().filter(|(text, code, place)| marks(text) != [(*code, *place)]);
    let wrong: Vec<_> = wrong.map(|(text, code, place)| (text, marks(text), code, place)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_mistakes_are_reported_in_order() {
    let text =
        "const A 1;\nfn f(x) = x +;\nnetwork N {\n  input a [3];\n  y = (1 2);\n  z = f(x;\n  output o = \"a;\n}\nfoo";
    assert_eq!(
        marks(text),
        [
            ("E0001", "1"),
            ("E0001", ";"),
            ("E0001", "["),
            ("E0001", "2"),
            ("E0001", "("),
            ("E0003", "\"a"),
            ("E0001", "foo"),
        ]
    );
}

#[test]
fn what_can_be_understood_is_kept() {
    let cases = [
        ("const A 1;", "(const A ?)"),
        ("const A = ;", "(const A ?)"),
        ("fn f(x, k = ) = x $;", "(fn f [x k=?] ?)"),
        ("layer f(x: [.., 3 4]) { y = x $; y }", "(layer f [x:[.. ?]] {(let y ?) y})"),
        ("network N { input x [3]; label y 3; z = x; }", "(network N (let x ?) (let y ?) (let z x))"),
        ("network N { y = f(a b, c, k: 1 2); }", "(network N (let y (f ? c k:?)))"),
        ("network N { y = [1 2, 3]; }", "(network N (let y [? 3]))"),
        ("network N { a, b = f(x $); c = a; }", "(network N (let a,b (f ?)) (let c a))"),
        ("network N { a, b = ; c = a; }", "(network N (let a,b ?) (let c a))"),
        ("network Small = 3;", "(network Small )"),
        ("pub inference network Small 3", "(pub inference network Small (output output ?))"),
        ("network N(width, 3) { y = width; }", "(network N [width] (let y width))"),
        ("version 7; const A = 1;", "(const A 1)"),
        (
            "network N { state m [3] = 0; shared d 3; update m 3; freeze x y; budget { a 3, b < 4 } y = m; }",
            "(network N (let m ?) (shared d ?) (budget (< b 4)) (let y m))",
        ),
        ("network N { param w: [2] = 0 where 3; y = w; }", "(network N (param w [2] ?) (let y w))"),
        ("network N { loss g = a updates 3; y = w; }", "(network N (loss g ?) (let y w))"),
        ("network N { y = scan a, b in x { yield a $, b }; }", "(network N (let y (scan [a b] [x ?] {yield ?})))"),
        ("network N { loss = 3; metric ; output; }", "(network N (loss ?) (metric ?) (output output ?))"),
        ("network N { y = f(x\n z = y; }", "(network N (let y ?) (let z y))"),
        ("network N { y = f(x;\n z = y; }", "(network N (let y ?) (let z y))"),
        ("network N { y = x\n z = y\n output o = z }", "(network N (let y x) (let z y) (output o z))"),
        ("network N { y = a < b < c; z = a |> f + 1; }", "(network N (let y (< ? c)) (let z ?))"),
        (
            "network N { train { batch = 3; epochs: 4 5, stop: early() seed: 1 } }",
            "(network N (train batch:3 epochs:? stop:(early) seed:1))",
        ),
        ("network N { y: [3 = x; z = 1; }", "(network N (let y ?) (let z 1))"),
        ("pub network N extra { y = x; }", "(pub network N (let y x))"),
        ("network N { y = x;\n/// next\nnetwork M { z = x; }", "(network N (let y x))\n\"next\" (network M (let z x))"),
        ("network N { y = x; /* unclosed", "(network N (let y x))"),
        ("network N { y = \"abc; z = 1; }", "(network N (let y ?))"),
        ("network N { scan a of b with h = 0 { yield h } y = x; }", "(network N (let y x))"),
    ];
    for (text, expected) in cases {
        let (file, diagnostics) = parse(FileId(0), text);
        assert!(!diagnostics.is_empty(), "{text}");
        assert_eq!(file.items.iter().map(item).collect::<Vec<_>>().join("\n"), expected, "{text}");
    }
}

#[test]
fn long_texts_have_a_message() {
    let text = " ".repeat((1 << 20) + 1);
    let (_, diagnostics) = parse(FileId(0), &text);
    // The line is too long to be shown.
    let expected = "error[E0007]: the source text has 1048577 bytes, 1048576 are the limit\n--> net.dln:1:1\n";
    assert_eq!(rendered(&text, &diagnostics), expected);
}

#[test]
fn a_diagnostic_of_two_files_is_shown_whole() {
    let mut sources = Sources::default();
    let net = sources
        .add(Source::new("lenet.dln", "network A {\n    x = image\n        |> flatten\n        |> dense(120);\n}\n"));
    let library = sources.add(Source::new("std/dense.dln", "layer dense(x: [.., inputs]) {\n    x @ weight\n}\n"));
    let place = |file, words: &str| {
        let start = sources.get(file).text.find(words).expect("the words") as u32;
        Span { file, start, end: start + words.len() as u32 }
    };
    let diagnostic =
        Diagnostic::new(Code::ShapeMismatch, place(net, "dense"), "`dense` expects 784 features, found 676")
            .label("cannot multiply [676] by [784, 120]")
            .related(place(net, "flatten"), "[676]")
            .related(place(library, "x @ weight"), "here")
            .note("constraint C2")
            .help("leave out `inputs`");
    let expected = "\
error[E0301]: `dense` expects 784 features, found 676
 --> lenet.dln:4:12
  |
3 |         |> flatten
  |            ------- [676]
4 |         |> dense(120);
  |            ^^^^^ cannot multiply [676] by [784, 120]
  |
 ::: std/dense.dln:2:5
  |
2 |     x @ weight
  |     ---------- here
  |
  = note: constraint C2
  = help: leave out `inputs`
";
    assert_eq!(render(&sources, std::slice::from_ref(&diagnostic), false), expected);
    let twice = render(&sources, &[diagnostic.clone(), diagnostic.clone()], false);
    assert_eq!(twice, format!("{expected}\n{expected}"));
    assert_eq!(render(&sources, &[], false), "");
    assert!(render(&sources, &[diagnostic], true).contains("\u{1b}["));
}
