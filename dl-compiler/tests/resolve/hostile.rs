//! Programs made to break the compiler: deep, wide, endless or random. Each ends soon, in a small stack, without a panic.

use std::thread;

use proptest::prelude::*;

use crate::support::{mistakes, resolved};

/// Half the stack of a thread that Rust starts by itself.
const STACK: usize = 1 << 20;

fn codes(program: String) -> Vec<&'static str> {
    let run = move || mistakes(&program).0.iter().map(|diagnostic| diagnostic.code.number()).collect();
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap()
}

/// `first` declares `f0`; each of the others calls the one before within many brackets.
fn tower(first: &str, open: &str, close: &str, form: impl Fn(usize, String) -> String) -> String {
    const HEIGHT: usize = 31;
    const DEPTH: usize = 50;
    let mut program = format!("{first}\n");
    for floor in 1..HEIGHT {
        let call = format!("{}f{}(x){}", open.repeat(DEPTH), floor - 1, close.repeat(DEPTH));
        program.push_str(&form(floor, call));
    }
    program + &format!("network N {{ input x: [2]; output y = f{}(x); }}", HEIGHT - 1)
}

#[test]
fn calls_and_brackets_within_each_other_are_bounded() {
    let functions = tower("fn f0(x) = x;", "relu(", ")", |floor, call| format!("fn f{floor}(x) = {call};\n"));
    assert_eq!(codes(functions), ["E0002"]);
    let layers = tower("layer f0(x: [..]) { x }", "relu(", ")", |floor, call| {
        format!("layer f{floor}(x: [..]) {{ y = if true {{ z = {call}; z }} else {{ x }}; y }}\n")
    });
    assert_eq!(codes(layers), ["E0002"]);
    let branches = tower("layer f0(x: [..]) { x }", "if true { ", " } else { x }", |floor, call| {
        format!("layer f{floor}(x: [..]) {{ {call} }}\n")
    });
    assert_eq!(codes(branches), ["E0002"]);
    let chain: String = (1..100).map(|floor| format!("fn f{floor}(x) = f{}(x);\n", floor - 1)).collect();
    assert_eq!(codes(format!("fn f0(x) = x; {chain} network N {{ input x: [2]; output y = f99(x); }}")), ["E0207"]);
}

#[test]
fn shared_layers_within_each_other_are_bounded() {
    let chain: String = (1..5_000).map(|place| format!("shared s{place} = s{} |> relu;", place - 1)).collect();
    let program = format!("network N {{ input x: [2]; shared s0 = dense(2); {chain} output y = x |> s4999; }}");
    assert_eq!(codes(program), ["E0002"]);
    let chain: String = (1..5_000).map(|place| format!("shared s{place} = wrapped(s{});", place - 1)).collect();
    let program = format!(
        "layer wrapped(x: [..], inner) {{ x |> inner }}
        network N {{ input x: [2]; shared s0 = dense(2); {chain} output y = x |> s4999; }}"
    );
    assert_eq!(codes(program), ["E0207"]);
    let instances: String = (1..5_000).map(|place| format!("network I{place} = I{}();", place - 1)).collect();
    let program = format!(
        "network I0(width = 1) {{ input x: [2]; output y = x; }} {instances} network N {{ input x: [2]; output y = I4999(x); }}"
    );
    assert!(codes(program).iter().all(|code| *code == "E0207"));
}

#[test]
fn repetitions_end_at_a_limit() {
    let nested = "network N { input x: [2]; output y = x |> repeat 10_000 { repeat 10_000 { relu } }; }";
    assert_eq!(codes(nested.to_owned()), ["E0502"]);
    let deep = "network N { input x: [4]; h = x |> repeat 2_000 { dense(4) |> tanh }; output y = h; }";
    assert_eq!(codes(deep.to_owned()), [""; 0]);
    let idle = format!("{} relu {}", "repeat 10_000 { ".repeat(5), "}".repeat(5));
    assert_eq!(codes(format!("network N {{ input x: [2]; output y = x |> {idle}; }}")).len(), 1);
    let empty = format!("{} repeat 0 {{ relu }} {}", "repeat 10_000 { ".repeat(5), "}".repeat(5));
    assert_eq!(codes(format!("network N {{ input x: [2]; output y = x |> {empty}; }}")).len(), 1);
}

#[test]
fn constants_may_follow_each_other_in_any_order() {
    let chain: String = (0..20_000).map(|place| format!("const A{place} = A{} + 1;\n", place + 1)).collect();
    assert!(codes(format!("{chain} const A20000 = 1; network N {{ input x: [A0]; output y = x; }}")).is_empty());
    let circle = format!("{chain} const A20000 = A0; network N {{ input x: [A0]; output y = x; }}");
    assert_eq!(codes(circle), ["E0207"]);
}

#[test]
fn doubling_ends_at_a_limit() {
    let doubling = |start: &str| -> String {
        let floors = (1..31).map(|floor| format!("fn f{floor}(x) = f{}(x) + f{0}(x);\n", floor - 1));
        format!(
            "fn f0(x) = x + x; {} network N {{ input x: [2]; output y = f30({start}) + x; }}",
            floors.collect::<String>()
        )
    };
    assert_eq!(codes(doubling("x")), ["E0502"]);
    assert_eq!(codes(doubling("1.0")), ["E0502"]);
}

#[test]
fn many_mistakes_are_cut() {
    let many: String = (0..20_000).map(|place| format!("a{place} = nobody{place};\n")).collect();
    let found = codes(format!("network N {{ input x: [2]; output y = x; {many} }}"));
    assert!((1..=100).contains(&found.len()), "{}", found.len());
}

#[test]
fn long_names_do_not_multiply() {
    let name = "n".repeat(100_000);
    let found = codes(format!("network N {{ input x: [2]; {name} = x |> dense(2); output y = {name}; }}"));
    assert!(!found.is_empty() && found.iter().all(|code| *code == "E0501"), "{found:?}");
}

/// Expressions over everything that can stand in one.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "x",
            "image",
            "digit",
            "K",
            "n",
            "training",
            "true",
            "zeros",
            "dense",
            "relu",
            "0",
            "1",
            "2",
            "-3",
            "7.5",
            "[1, 2]",
            "[]",
            "\"t\"",
            "9223372036854775807",
            "1e300",
            "nobody",
        ])
        .prop_map(str::to_owned)
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let names = prop::sample::select(vec![
            "relu",
            "softmax",
            "dense",
            "conv2d",
            "dropout",
            "max_pool2d",
            "avg_pool2d",
            "flatten",
            "reshape",
            "mean",
            "sum",
            "bernoulli",
            "height",
            "width",
            "uniform",
            "normal",
            "constant",
            "cross_entropy",
            "accuracy",
            "mse",
            "where",
            "max",
            "convolution2d",
            "own",
            "formula",
            "binary_cross_entropy",
            "N",
        ]);
        let attributes = prop::sample::select(vec!["kernel", "stride", "groups", "units", "like", "x", "bias", "rate"]);
        let operators = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "@", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or",
        ]);
        prop_oneof![
            (inner.clone(), operators, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            (names.clone(), prop::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", "))),
            (inner.clone(), names, attributes, inner.clone(), inner.clone())
                .prop_map(|(x, name, attribute, a, b)| format!("({x}) |> {name}({a}, {attribute}: {b}) |> head: relu")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("if {c} {{ v = {a}; v }} else {{ {b} }}")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.prop_map(|a| format!("[{a}, 3]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_never_panic(
        expressions in prop::collection::vec(expression(), 4),
        constant in expression(),
        dims in prop::collection::vec(expression(), 0..3),
        setting in expression(),
    ) {
        let [a, b, c, d] = expressions.as_slice() else { return Ok(()) };
        let program = format!(
            "const K = {constant};
            fn formula(x, k = {a}) = {b};
            layer own(x: [.., n], k = {b}) {{ param w: [{}] = {c}; y: [.., n] = {d}; y }}
            network N {{
                input x: [6]; input image: [2, 5, 5]; label digit: index(3);
                a = {a}; b: [.., n] = {b}; c = {c};
                output y = {d}; loss {a}; loss mean(b); metric m = {c}; assert {d}, \"{{a}} {{n}}\";
                train {{ batch: {setting}, optimizer: sgd({setting}), stop: early(patience: {setting}) }}
            }}",
            dims.join(", "),
        );
        let (_, resolved) = resolved(&program);
        for model in &resolved.models {
            prop_assert_eq!(model.training.verify(), Ok(()));
            prop_assert_eq!(model.inference.verify(), Ok(()));
        }
    }
}
