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

snapshots! { declarations statements expressions brackets characters reserved recovery }

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
        ("network N { x |> f }", "E0001", "x |> f"),
        ("layer f(x: [..]) { y = x; }", "E0001", "}"),
        ("layer f(x: [..]) { x; }", "E0001", ";"),
        ("network N { y = if a { b }; }", "E0001", "}"),
        ("network N { größe = 1; }", "E0001", "öße"),
        ("network N { y = a × b; }", "E0001", "×"),
        ("network N { y = \u{1}; }", "E0001", "\u{1}"),
        ("// \u{1}\n/// \u{1}\nnetwork N { }", "E0001", "\u{1}"),
        ("network N { trian { batch: 1, } y = x; }", "E0001", "trian"),
        ("network N(width) { y = 1; }", "E0001", "(width)"),
        ("fn f(x, 3) = x;", "E0001", "3"),
        ("layer f(x: [.., a, ..]) { x }", "E0001", ".."),
        ("const A = 1;\n/// nothing follows", "E0001", "/// nothing follows"),
        ("const A = 1;\n//! too late\nconst B = 2;", "E0001", "//! too late"),
    ];
    for (text, code, place) in cases {
        assert_eq!(marks(text), [(*code, *place)], "{text}");
    }
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
        ("network N { a, b = f(x); c = a; }", "(network N (let a ?) (let b ?) (let c a))"),
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
        ("network N { scan a in b with h = 0 { yield h } y = x; }", "(network N (let y x))"),
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
