//! The standard library: layers and formulas written in the language itself, embedded as texts.
//!
//! [`load`] adds them to the sources of a compilation and parses them. A user's file may replace any of them; they see
//! each other only.

use dl_grammar::{Source, Sources, ast, parse};

/// The files of the library: the name that messages give each, and its text.
pub const FILES: &[(&str, &str)] = &[
    ("std/dense.dln", include_str!("../std/dense.dln")),
    ("std/convolution.dln", include_str!("../std/convolution.dln")),
    ("std/dropout.dln", include_str!("../std/dropout.dln")),
    ("std/recurrent.dln", include_str!("../std/recurrent.dln")),
    ("std/activation.dln", include_str!("../std/activation.dln")),
    ("std/normalization.dln", include_str!("../std/normalization.dln")),
    ("std/pooling.dln", include_str!("../std/pooling.dln")),
    ("std/embedding.dln", include_str!("../std/embedding.dln")),
    ("std/attention.dln", include_str!("../std/attention.dln")),
    ("std/losses.dln", include_str!("../std/losses.dln")),
    ("std/math.dln", include_str!("../std/math.dln")),
    ("std/penalties.dln", include_str!("../std/penalties.dln")),
];

/// Adds the library to the sources and returns its trees. It has no mistakes (a test sees to that).
pub fn load(sources: &mut Sources) -> Vec<ast::File> {
    FILES
        .iter()
        .map(|(name, text)| {
            let id = sources.add(Source::new(*name, *text));
            parse(id, text).0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_reads_without_mistakes() {
        let mut sources = Sources::default();
        for (name, text) in FILES {
            let id = sources.add(Source::new(*name, *text));
            let (tree, diagnostics) = parse(id, text);
            assert!(diagnostics.is_empty(), "{}", dl_grammar::render(&sources, &diagnostics, false));
            assert!(!tree.docs.is_empty() && !tree.items.is_empty(), "{name}");
            for item in &tree.items {
                let docs = match item {
                    ast::Item::Function(item) => &item.docs,
                    ast::Item::Layer(item) => &item.docs,
                    other => panic!("{other:?} in {name}"),
                };
                assert!(docs.iter().any(|line| line.contains('`')), "{name}: no formula in {docs:?}");
            }
        }
    }
}
