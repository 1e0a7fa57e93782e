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
pub(crate) const ITEM_KEYWORDS: &[&str] = &["const", "fn", "import", "inference", "layer", "network", "pub"];

/// Words that begin a statement.
pub(crate) const STATEMENT_KEYWORDS: &[&str] = &[
    "assert", "budget", "freeze", "input", "label", "loss", "metric", "output", "param", "penalty", "shared", "state",
    "train", "update", "yield",
];

/// Words within expressions and statements.
pub(crate) const EXPRESSION_KEYWORDS: &[&str] =
    &["and", "else", "false", "if", "not", "or", "repeat", "scan", "true", "updates", "where", "with"];

/// Whether the grammar uses the word.
pub(crate) fn is_keyword(word: &str) -> bool {
    [ITEM_KEYWORDS, STATEMENT_KEYWORDS, EXPRESSION_KEYWORDS].iter().any(|words| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use pest::Parser;

    use super::*;

    /// The quoted words of a rule of the grammar.
    fn words(rule: &str) -> Vec<&'static str> {
        let grammar = include_str!("dln.pest");
        let (_, rest) = grammar.split_once(&format!("\n{rule}")).expect("the rule");
        let (body, _) = rest.split_once('}').expect("its end");
        let mut words: Vec<&str> = body.split('"').skip(1).step_by(2).collect();
        words.sort();
        words
    }

    #[test]
    fn the_lists_are_those_of_the_grammar() {
        let lists = [
            ("item_keyword ", ITEM_KEYWORDS),
            ("statement_keyword ", STATEMENT_KEYWORDS),
            ("keyword ", EXPRESSION_KEYWORDS),
        ];
        for (rule, list) in lists {
            assert_eq!(words(rule), list, "{rule}");
        }
    }

    #[test]
    fn keywords_are_no_names() {
        for word in [ITEM_KEYWORDS, STATEMENT_KEYWORDS, EXPRESSION_KEYWORDS].concat() {
            assert!(Syntax::parse(Rule::name, word).is_err(), "{word}");
            // A longer word must not be taken for a shorter one that it begins with.
            assert_eq!(Syntax::parse(Rule::keyword, word).map(|read| read.as_str() == word), Ok(true), "{word}");
            assert!(is_keyword(word), "{word}");
        }
    }

    #[test]
    fn words_of_few_places_are_names_elsewhere() {
        for word in ["in", "reversed", "until", "version", "parameters", "memory", "f32", "index", "training"] {
            assert!(Syntax::parse(Rule::name, word).is_ok(), "{word}");
        }
        assert!(Syntax::parse(Rule::callee, "where(").is_ok());
        assert!(Syntax::parse(Rule::callee, "where").is_err());
    }
}
