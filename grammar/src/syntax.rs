//! The parser that pest derives from `dln.pest`, and what is known of its words.
//!
//! In: prepared text; out: pairs. Nothing is judged here.
#![allow(missing_docs, unreachable_pub)]

use pest_derive::Parser;

/// The derived parser.
#[derive(Parser)]
#[grammar = "dln.pest"]
pub(crate) struct Syntax;

/// A piece of the parse.
pub(crate) type Pair<'a> = pest::iterators::Pair<'a, Rule>;

/// Words that begin a declaration.
pub(crate) const ITEM_KEYWORDS: &[&str] = &["const", "fn", "layer", "network", "pub"];

/// Words that begin a statement.
pub(crate) const STATEMENT_KEYWORDS: &[&str] =
    &["input", "label", "output", "loss", "metric", "param", "assert", "train"];

/// Words within expressions.
pub(crate) const EXPRESSION_KEYWORDS: &[&str] = &["if", "else", "and", "or", "not", "true", "false"];

/// Words that later constructs need. They are names to the grammar, so that the place where one is used as a name
/// is still understood.
pub(crate) const RESERVED: &[&str] = &[
    "budget",
    "freeze",
    "import",
    "in",
    "inference",
    "penalty",
    "repeat",
    "scan",
    "shared",
    "state",
    "update",
    "updates",
    "where",
    "with",
    "yield",
];

/// Whether the grammar uses the word.
pub(crate) fn is_keyword(word: &str) -> bool {
    [ITEM_KEYWORDS, STATEMENT_KEYWORDS, EXPRESSION_KEYWORDS].iter().any(|words| words.contains(&word))
}
