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
        let lists =
            [("item_keyword ", ITEM_KEYWORDS), ("statement_keyword ", STATEMENT_KEYWORDS), ("reserved ", RESERVED)];
        for (rule, list) in lists {
            let mut list = list.to_vec();
            list.sort();
            assert_eq!(words(rule), list, "{rule}");
        }
        let mut list = EXPRESSION_KEYWORDS.to_vec();
        list.sort();
        assert_eq!(words("keyword "), list);
    }

    #[test]
    fn keywords_are_no_names_and_reserved_words_are() {
        for word in [ITEM_KEYWORDS, STATEMENT_KEYWORDS, EXPRESSION_KEYWORDS].concat() {
            assert!(Syntax::parse(Rule::name, word).is_err(), "{word}");
            assert!(Syntax::parse(Rule::keyword, word).is_ok(), "{word}");
            assert!(is_keyword(word), "{word}");
        }
        for word in RESERVED {
            assert!(Syntax::parse(Rule::name, word).is_ok(), "{word}");
            // A longer word must not be taken for a shorter one that it begins with.
            let read = Syntax::parse(Rule::reserved, word).expect(word);
            assert_eq!(read.as_str(), *word);
            assert!(!is_keyword(word), "{word}");
        }
    }
}
