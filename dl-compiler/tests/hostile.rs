//! Broken networks through the whole compiler: fixtures with characters deleted and tokens moved, doubled and replaced go
//! in; code or mistakes that lie within their texts must come out, soon and without a panic.
//!
//! It does not look at what the mistakes say; `tests/resolve` does.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dl_compiler::{Options, Source, Sources, Span, compile};
use proptest::prelude::*;
use proptest::sample::Index;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/networks");

/// Long enough for a slow machine; a network that unfolds without bound takes minutes.
const LIMIT: Duration = Duration::from_secs(2);

/// Tokens that mean something in a network: numbers at the limits, operations, layers, keywords and brackets.
const VOCABULARY: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "64",
    "3000000000",
    "0.5",
    "1e39",
    "true",
    "softmax",
    "causal_softmax",
    "dense",
    "dense(3)",
    "conv2d",
    "flatten",
    "max_pool2d(2)",
    "dropout(0.5)",
    "relu",
    "sum",
    "mean",
    "mse",
    "cross_entropy",
    "accuracy",
    "sqrt",
    "log",
    "where",
    "index(3)",
    "index",
    "ones",
    "zeros",
    "input",
    "label",
    "output",
    "loss",
    "metric",
    "param",
    "layer",
    "network",
    "fn",
    "const",
    "train",
    "if",
    "else",
    "training",
    "assert",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|>",
    ",",
    ";",
    ":",
    "=",
    "==",
    "+",
    "-",
    "*",
    "/",
    "@",
    "^",
    "..",
    "é",
    "\"",
];

/// The fixtures as tokens and the space between them; the two largest are left out to save time.
static FIXTURES: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let mut files: Vec<_> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|file| !file.ends_with("cnn.dln") && !file.ends_with("mlp.dln"));
    assert!(files.len() >= 6, "{files:?}");
    files.iter().map(|file| tokens(&fs::read_to_string(file).unwrap())).collect()
});

/// Words, numbers, `|>`, single marks and runs of space.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let kind = |c: char| {
        if c.is_alphanumeric() || c == '_' || c == '.' {
            'a'
        } else if c.is_whitespace() {
            ' '
        } else {
            c
        }
    };
    for c in text.chars() {
        match tokens.last_mut() {
            Some(last)
                if last.ends_with(|before| kind(before) == kind(c) && "a /".contains(kind(c)))
                    || c == '>' && last == "|" =>
            {
                last.push(c);
            }
            _ => tokens.push(c.to_string()),
        }
    }
    tokens
}

#[derive(Debug, Clone)]
enum Change {
    Delete(Index),
    Swap(Index, Index),
    Double(Index),
    Copy(Index, Index),
    Replace(Index, &'static str),
    Insert(Index, &'static str),
    Character(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let word = || proptest::sample::select(VOCABULARY);
    prop_oneof![
        at().prop_map(Change::Delete),
        (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        at().prop_map(Change::Double),
        (at(), at()).prop_map(|(a, b)| Change::Copy(a, b)),
        (at(), word()).prop_map(|(a, word)| Change::Replace(a, word)),
        (at(), word()).prop_map(|(a, word)| Change::Insert(a, word)),
        at().prop_map(Change::Character),
    ]
}

/// The places of the tokens that are not space.
fn places(tokens: &[String]) -> Vec<usize> {
    (0..tokens.len()).filter(|&place| !tokens[place].trim().is_empty()).collect()
}

fn apply(tokens: &mut Vec<String>, change: &Change) {
    let places = places(tokens);
    if places.is_empty() {
        return;
    }
    let at = |index: &Index| places[index.index(places.len())];
    match change {
        Change::Delete(a) => drop(tokens.remove(at(a))),
        Change::Swap(a, b) => tokens.swap(at(a), at(b)),
        Change::Double(a) => tokens.insert(at(a), format!("{} ", tokens[at(a)])),
        Change::Copy(a, b) => tokens[at(a)] = tokens[at(b)].clone(),
        Change::Replace(a, word) => tokens[at(a)] = (*word).to_owned(),
        Change::Insert(a, word) => tokens.insert(at(a), format!(" {word} ")),
        Change::Character(a) => drop(tokens[at(a)].pop()),
    }
}

fn lies_within(sources: &Sources, span: Span) -> bool {
    sources.get(span.file).text.get(span.start as usize..span.end as usize).is_some()
}

/// Compiles a text and holds what comes out against what every front door relies on.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let start = Instant::now();
    let result = compile(Source::new("hostile.dln", text), &Options::default());
    prop_assert!(start.elapsed() < LIMIT, "{:?} for\n{text}", start.elapsed());
    match result {
        Ok(compiled) => {
            let code = compiled.text();
            prop_assert!(syn::parse2::<syn::File>(compiled.tokens).is_ok(), "no Rust from\n{text}");
            prop_assert!(syn::parse_file(&code).is_ok(), "no Rust text from\n{text}");
        }
        Err(failure) => {
            prop_assert!(!failure.diagnostics.is_empty(), "no reason for\n{text}");
            for diagnostic in &failure.diagnostics {
                let related = diagnostic.related.iter().map(|(span, _)| *span);
                for span in related.chain([diagnostic.span]) {
                    prop_assert!(lies_within(&failure.sources, span), "{diagnostic:?} for\n{text}");
                }
                prop_assert!(diagnostic.code != dl_compiler::Code::Internal, "{diagnostic:?} for\n{text}");
            }
            prop_assert!(!dl_compiler::render(&failure.sources, &failure.diagnostics, false).is_empty());
            prop_assert!(syn::parse2::<syn::File>(failure.tokens).is_ok(), "no skeleton in Rust from\n{text}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn mutated_fixtures_give_code_or_mistakes(
        fixture in any::<Index>(),
        changes in proptest::collection::vec(change(), 1..6),
    ) {
        let mut tokens = fixture.get(&FIXTURES).clone();
        for change in &changes {
            apply(&mut tokens, change);
        }
        survives(&tokens.concat())?;
    }

    /// A single changed word mostly still parses: these reach shapes, gradients and code.
    #[test]
    fn a_changed_word_gives_code_or_mistakes(
        fixture in any::<Index>(),
        at in any::<Index>(),
        by in prop_oneof![any::<Index>().prop_map(Ok), proptest::sample::select(VOCABULARY).prop_map(Err)],
    ) {
        let mut tokens = fixture.get(&FIXTURES).clone();
        let words: Vec<usize> =
            places(&tokens).into_iter().filter(|&place| tokens[place].starts_with(|c: char| c.is_alphanumeric())).collect();
        tokens[words[at.index(words.len())]] = match by {
            Ok(other) => tokens[words[other.index(words.len())]].clone(),
            Err(word) => word.to_owned(),
        };
        survives(&tokens.concat())?;
    }
}
