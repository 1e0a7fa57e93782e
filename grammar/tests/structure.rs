//! Every construct of the language, with the tree it must have written by hand.

mod common;

use common::{item, members, parse_ok, tree};

fn items(text: &str) -> String {
    parse_ok(text).items.iter().map(item).collect::<Vec<_>>().join("\n")
}

#[test]
fn precedence_and_associativity() {
    let cases = [
        ("a |> f + b", None),
        ("a + b |> f", Some("(pipe (+ a b) (f))")),
        ("a or b and c", Some("(or a (and b c))")),
        ("a and b or c", Some("(or (and a b) c)")),
        ("not a and b", Some("(and (not a) b)")),
        ("not a == b", Some("(not (== a b))")),
        ("not not a", Some("(not (not a))")),
        ("a and not b", Some("(and a (not b))")),
        ("a == b + c", Some("(== a (+ b c))")),
        ("a < b and c >= d", Some("(and (< a b) (>= c d))")),
        ("a != b or a <= b or a > b", Some("(or (or (!= a b) (<= a b)) (> a b))")),
        ("a - b - c", Some("(- (- a b) c)")),
        ("a + b * c - d", Some("(- (+ a (* b c)) d)")),
        ("a * b / c % d @ e", Some("(@ (% (/ (* a b) c) d) e)")),
        ("-a * b", Some("(* (neg a) b)")),
        ("a * -b", Some("(* a (neg b))")),
        ("a - -b", Some("(- a (neg b))")),
        ("--a", Some("(neg (neg a))")),
        ("-a ^ b", Some("(neg (^ a b))")),
        ("2 ^ -1", Some("(^ 2 (neg 1))")),
        ("2 ^ -1 * 3", Some("(* (^ 2 (neg 1)) 3)")),
        ("a ^ -b ^ c", Some("(^ a (neg (^ b c)))")),
        ("a ^ b ^ c", Some("(^ a (^ b c))")),
        ("(a ^ b) ^ c", Some("(^ (^ a b) c)")),
        ("a * b ^ c", Some("(* a (^ b c))")),
        ("(a + b) * c", Some("(* (+ a b) c)")),
        ("(a |> f) + b", Some("(+ (pipe a (f)) b)")),
        ("(a < b) == c", Some("(== (< a b) c)")),
        ("a == (not b)", Some("(== a (not b))")),
        ("1 - if a { 2 } else { 3 } - 4", Some("(- (- 1 (if a {2} {3})) 4)")),
    ];
    for (text, expected) in cases {
        match expected {
            Some(expected) => assert_eq!(tree(text), expected, "{text}"),
            None => {
                let (_, diagnostics) = dl_grammar::parse(dl_grammar::FileId(0), &format!("const C = {text};"));
                assert_eq!(diagnostics.len(), 1, "{text}");
            }
        }
    }
}

#[test]
fn literals() {
    let cases = [
        ("64_000", "64000"),
        ("256_KiB", "262144"),
        ("2MiB", "2097152"),
        ("1_GiB", "1073741824"),
        ("0.5", "0.5"),
        ("1e-4", "0.0001"),
        ("1.5E+2", "150.0"),
        ("true", "true"),
        ("false", "false"),
        (r#""a \"b\"\\\n{x}""#, r#""a \"b\"\\\n{x}""#),
        ("\"ü /* no comment */ // none\"", "\"ü /* no comment */ // none\""),
        ("truely", "truely"),
        ("android", "android"),
        ("_a1", "_a1"),
        ("f32", "f32"),
        ("index", "index"),
    ];
    for (text, expected) in cases {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn calls_pipes_and_lists() {
    let cases = [
        ("f()", "(f)"),
        ("f(a, b: 1, c: -2,)", "(f a b:1 c:(neg 2))"),
        ("f(g(a), [1, 2], \"t\")", "(f (g a) [1 2] \"t\")"),
        ("f(a == b, c: d == e)", "(f (== a b) c:(== d e))"),
        ("where(a < b, c, d)", "(where (< a b) c d)"),
        ("f(rnn: lstm(64))", "(f rnn:(lstm 64))"),
        ("x |> f", "(pipe x (f))"),
        ("x |> f |> g(1, k: 2) |> head: h(3) |> tail: i", "(pipe x (f) (g 1 k:2) head:(h 3) tail:(i))"),
        ("x\n  |> f // first\n  /* then */ |> g", "(pipe x (f) (g))"),
        ("f(x |> g, h)", "(f (pipe x (g)) h)"),
        ("[]", "[]"),
        ("[1, [2, x |> f,],]", "[1 [2 (pipe x (f))]]"),
        ("if a { b } else { c }", "(if a {b} {c})"),
        ("if a { b } else if c { d } else { e }", "(if a {b} {(if c {d} {e})})"),
        ("if (if a { b } else { c }) { d } else { e }", "(if (if a {b} {c}) {d} {e})"),
        ("if x |> f(if a { b } else { c }) { d } else { e }", "(if (pipe x (f (if a {b} {c}))) {d} {e})"),
        (
            "if a == 1 and b { y = f(x); param w: [2] = 0; y @ w } else { x }",
            "(if (and (== a 1) b) {(let y (f x)) (param w [2] 0) (@ y w)} {x})",
        ),
        ("if a { b } else { c } |> f", "(pipe (if a {b} {c}) (f))"),
    ];
    for (text, expected) in cases {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn repetitions() {
    let cases = [
        ("x |> repeat 2 { f }", "(pipe x (repeat 2 (f)))"),
        ("x |> repeat n + 1 { f(64) |> head: g } |> h", "(pipe x (repeat (+ n 1) (f 64) head:(g)) (h))"),
        ("x |> blocks: repeat i in 0..n - 1 { f(i) }", "(pipe x blocks:(repeat i 0..(- n 1) (f i)))"),
        ("repeat 2 { repeat j in 1..3 { f(j) } |> g }", "(repeat 2 (repeat j 1..3 (f j)) (g))"),
        ("f(repeat 2 { g }, 3)", "(f (repeat 2 (g)) 3)"),
        (
            "x |> repeat i in 0..2 { f(if i == 0 { 2 } else { 1 }) }",
            "(pipe x (repeat i 0..2 (f (if (== i 0) {2} {1}))))",
        ),
        ("mean(x, over: ..)", "(mean x over:..)"),
        ("x |> mean(..)", "(pipe x (mean ..))"),
        ("x |> where(a, b)", "(pipe x (where a b))"),
        ("if a |> repeat 2 { f } { b } else { c }", "(if (pipe a (repeat 2 (f))) {b} {c})"),
    ];
    for (text, expected) in cases {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn scans() {
    let cases = [
        ("scan x_t in x { yield x_t }", "(scan [x_t] [x] {yield x_t})"),
        ("scan x_t in x { yield x_t; }", "(scan [x_t] [x] {yield x_t})"),
        (
            "scan x_t, m_t in x, mask with h: [units] = 0, c = start { c = c + x_t; h = c; yield h, c }",
            "(scan [x_t m_t] [x mask] h:[units]=0 c=start {(let c (+ c x_t)) (let h c) yield h c})",
        ),
        ("scan reversed x_t in x |> f(2) { yield x_t }", "(scan reversed [x_t] [(pipe x (f 2))] {yield x_t})"),
        (
            "scan reversed in reversed until until { yield reversed }",
            "(scan [reversed] [reversed] until until {yield reversed})",
        ),
        ("scan x_t in x with h = 0 until length - 1 { yield h }", "(scan [x_t] [x] h=0 until (- length 1) {yield h})"),
        (
            "scan x_t in x { y = scan z in x_t { yield z }; yield y }",
            "(scan [x_t] [x] {(let y (scan [z] [x_t] {yield z})) yield y})",
        ),
        ("scan x_t in x { yield x_t } |> f", "(pipe (scan [x_t] [x] {yield x_t}) (f))"),
        ("(scan x_t in x { yield x_t }) + 1", "(+ (scan [x_t] [x] {yield x_t}) 1)"),
        ("scan x_t in in { yield in }", "(scan [x_t] [in] {yield in})"),
    ];
    for (text, expected) in cases {
        assert_eq!(tree(text), expected, "{text}");
    }
    let layer = "layer f(x: [time, in]) { scan x_t in x { yield x_t } }";
    assert_eq!(items(layer), "(layer f [x:[time in]] {(scan [x_t] [x] {yield x_t})})");
}

#[test]
fn statements() {
    let cases = [
        ("input image: [1, 28, 28];", "(input image f32 [1 28 28])"),
        ("input tokens: index(96)[64];", "(input tokens index(96) [64])"),
        ("input x: f32;", "(input x f32 [])"),
        ("input x: f32[3];", "(input x f32 [3])"),
        ("label digit: index(CLASSES);", "(label digit index(CLASSES) [])"),
        ("label y: [1];", "(label y f32 [1])"),
        ("label y: f32;", "(label y f32 [])"),
        ("y = x;", "(let y x)"),
        ("y: [.., features] = x;", "(let y:[.. features] x)"),
        ("y: [2 * n, ..,] = x;", "(let y:[(* 2 n) ..] x)"),
        ("output p = softmax(x);", "(output p (softmax x))"),
        ("output p: [10] = x;", "(output p:[10] x)"),
        ("loss mse(x, y);", "(loss (mse x y))"),
        ("loss total = mse(x, y);", "(loss total (mse x y))"),
        ("loss a == b;", "(loss (== a b))"),
        ("metric accuracy(x, y);", "(metric (accuracy x y))"),
        ("metric top = accuracy(x, y, k: 5);", "(metric top (accuracy x y k:5))"),
        ("param w: [n, units] = glorot_uniform;", "(param w [n units] glorot_uniform)"),
        ("param w: [n] = normal(0.1);", "(param w [n] (normal 0.1))"),
        ("param w: [n] = 0 where max_norm(3, axis: 0);", "(param w [n] 0 where (max_norm 3 axis:0))"),
        ("param w: [n] = where(a, b, c) where unit_norm;", "(param w [n] (where a b c) where (unit_norm))"),
        ("a, b = split(x, 2);", "(let a,b (split x 2))"),
        ("/// halves\na, b, c = split(x, 3);", "(let \"halves\" a,b,c (split x 3))"),
        ("loss g = mse(a, b) updates generator.*, x;", "(loss g (mse a b) updates generator.* x)"),
        ("loss mse(a, b) updates *;", "(loss (mse a b) updates *)"),
        ("state running: [c] = zeros;", "(state running [c] zeros)"),
        ("/// mean\nstate m: [] = 0;", "(state \"mean\" m [] 0)"),
        ("update running = 0.9 * running + 0.1 * x;", "(update running (+ (* 0.9 running) (* 0.1 x)))"),
        ("shared encode = dense(64);", "(shared encode (dense 64))"),
        ("shared twice = repeat 2 { dense(8) |> relu };", "(shared twice (repeat 2 (dense 8) (relu)))"),
        ("penalty l2(weight, 1e-4);", "(penalty (l2 weight 0.0001))"),
        ("freeze features.*;", "(freeze features.*)"),
        ("freeze a.*, b.weight, *.bias, conv_*.*, *_1, a*b*;", "(freeze a.* b.weight *.bias conv_*.* *_1 a*b*)"),
        // Macros may put blanks anywhere.
        ("freeze a . b_ * . * , * . c ;", "(freeze a.b_*.* *.c)"),
        ("budget {}", "(budget )"),
        ("budget { parameters < 64_000, memory <= 256_KiB, };", "(budget (< parameters 64000) (<= memory 262144))"),
        (
            "ys, h_end = scan x_t in x with h = 0 { h = h + x_t; yield h };",
            "(let ys,h_end (scan [x_t] [x] h=0 {(let h (+ h x_t)) yield h}))",
        ),
        ("assert a % b == 0;", "(assert (== (% a b) 0))"),
        ("assert a, \"{a}\";", "(assert a \"{a}\")"),
        ("train {}", "(train )"),
        (
            "train { optimizer: sgd(learning_rate: 0.1), batch: 64 }",
            "(train optimizer:(sgd learning_rate:0.1) batch:64)",
        ),
        ("train { batch: 64, epochs: 1, };", "(train batch:64 epochs:1)"),
        ("/// one\n///  two\r\n ///\n y = x;", "(let \"one\" \" two\" \"\" y x)"),
        ("/// pixels\ninput x: [3];", "(input \"pixels\" x f32 [3])"),
        ("//// plain\n/** plain */ y = x;", "(let y x)"),
    ];
    for (text, expected) in cases {
        assert_eq!(members(text), expected, "{text}");
    }
}

#[test]
fn declarations() {
    let cases = [
        ("", ""),
        (" // nothing\n /* /* at */ all */ ", ""),
        ("const N = 3 * 4;", "(const N (* 3 4))"),
        ("/// ten\nconst N = 10;", "\"ten\" (const N 10)"),
        ("fn f() = 1;", "(fn f [] 1)"),
        ("fn f(x, y, k = 1,) = x * k;", "(fn f [x y k=1] (* x k))"),
        ("layer id(x: [..]) { x }", "(layer id [x:[..]] {x})"),
        (
            "/// d\nlayer dense(x: [.., inputs], units, bias = true) { param w: [inputs, units] = zeros; x @ w }",
            "\"d\" (layer dense [x:[.. inputs] units bias=true] {(param w [inputs units] zeros) (@ x w)})",
        ),
        ("network A {}", "(network A )"),
        ("/// a\n/// b\npub network A { x = 1; y = 2; }", "\"a\" \"b\" (pub network A (let x 1) (let y 2))"),
        ("import \"a/b.dln\";\nconst A = 1;", "(import \"a/b.dln\")\n(const A 1)"),
        ("inference network A {}", "(inference network A )"),
        (
            "pub inference network A(width, depth = 2) { x = width; }",
            "(pub inference network A [width depth=2] (let x width))",
        ),
        ("network A() {}", "(network A )"),
        ("/// s\npub network Small = Net(width: 64);", "\"s\" (pub network Small (Net width:64))"),
        ("inference network Small = Net;", "(inference network Small (Net))"),
        ("const A=1;const B=2;", "(const A 1)\n(const B 2)"),
        ("\u{feff}const A = 1;", "(const A 1)"),
    ];
    for (text, expected) in cases {
        assert_eq!(items(text), expected, "{text}");
    }
    for text in ["version 1;", "//! Docs.\nversion 1;\n//! More.\nconst A = 1;", "version\n1 ;"] {
        let version = parse_ok(text).version.expect("a version");
        assert_eq!((version.number, &text[version.span.start as usize..][..7]), (1, "version"));
    }
    assert_eq!(parse_ok("const version = 1;").version, None);
    let file = parse_ok("//! One.\n//!   Two.\n\n// not this\nconst A = 1;");
    assert_eq!(file.docs, ["One.", "  Two."]);
}

#[test]
fn spans_cover_what_they_name() {
    let text = "pub network N {\n  y: [2] = (a + bc) * f(d)  |> h: g(1) ;\n  loss  mse(y, z) ;\n}\n";
    let file = parse_ok(text);
    let cut = |span: dl_grammar::Span| &text[span.start as usize..span.end as usize];
    use dl_grammar::ast::{ExprKind, Item, Member};
    let [Item::Network(network)] = file.items.as_slice() else { panic!("{file:?}") };
    assert_eq!(cut(network.span), text.trim_end());
    let [Member::Binding(binding), Member::Loss(loss)] = network.members.as_slice() else { panic!("{network:?}") };
    assert_eq!(cut(loss.span), "loss  mse(y, z)");
    assert_eq!(cut(binding.name.span), "y");
    assert_eq!(binding.pattern.as_ref().map(|pattern| cut(pattern.span)), Some("[2]"));
    assert_eq!(cut(binding.value.span), "(a + bc) * f(d)  |> h: g(1)");
    let ExprKind::Pipe(first, stages) = &binding.value.kind else { panic!("{binding:?}") };
    assert_eq!(cut(stages[0].span), "h: g(1)");
    assert_eq!(stages[0].apply.name(), "g");
    let ExprKind::Binary(_, operator, left, right) = &first.kind else { panic!("{first:?}") };
    assert_eq!((cut(first.span), cut(*operator)), ("(a + bc) * f(d)", "*"));
    assert_eq!((cut(left.span), cut(right.span)), ("(a + bc)", "f(d)"));
}
