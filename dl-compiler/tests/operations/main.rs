//! The operations of the compiler, each against what it promises: shapes, constraints, values, gradients, documentation.
//!
//! Most tests run over `Op::SPECS`, so a new operation is covered, or found uncovered, by itself.

mod gradients;
mod shapes;
mod text;
mod values;

use dl_compiler::ops::{Op, doc};

/// `docs/operations.md` says what the code says. `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_reference_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let expected = doc::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "docs/operations.md is stale: run this test with UPDATE_DOCS=1");
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = Op::SPECS.iter().map(|spec| spec.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_operation_is_documented() {
    for spec in Op::SPECS {
        assert!(!spec.summary.is_empty() && !spec.formula.is_empty(), "{}", spec.name);
        assert!(!spec.summary.ends_with('.'), "{}: the page adds the full stop", spec.name);
        let exempt = ["input", "parameter", "state", "fused", "fused_sum"].contains(&spec.name);
        assert!(exempt || !spec.examples.is_empty(), "{} has no example", spec.name);
    }
}
