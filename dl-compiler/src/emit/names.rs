//! Rust names for the source's names: identifiers, types, constants, and unique ones where two would meet.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span};

/// The identifier of a name: raw if it is a keyword, with dots and anything else that cannot stand in one as `_`.
pub(super) fn ident(name: &str) -> Ident {
    let mut clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if clean.chars().all(|c| c == '_') || clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert_str(0, "value_");
    }
    if let Ok(ident) = syn::parse_str::<Ident>(&clean) {
        return ident;
    }
    // `self`, `super`, `crate` and `Self` cannot be raw.
    syn::parse_str::<Ident>(&format!("r#{clean}"))
        .unwrap_or_else(|_| Ident::new(&format!("{clean}_"), Span::call_site()))
}

/// `hidden_weight` → `HiddenWeight`
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = true;
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => {
                camel.push(if upper { c.to_ascii_uppercase() } else { c });
                upper = false;
            }
            _ => upper = true,
        }
    }
    camel
}

/// `hidden.weight` → `HIDDEN_WEIGHT`
pub(super) fn upper(name: &str) -> String {
    name.replace('.', "_").to_ascii_uppercase()
}

/// `LeNet` → `le_net`, but one run of lower-case letters for names that are one word: `Tiny` → `tiny`
pub(super) fn snake(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Names that are taken, and free ones like them.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// With these names taken from the start.
    pub(super) fn new<'a>(taken: impl IntoIterator<Item = &'a str>) -> Names {
        Names { taken: taken.into_iter().map(str::to_owned).collect() }
    }

    /// The name itself, or with the least number behind it that makes it new.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        let mut count = 1;
        while !self.taken.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{name}_{count}");
        }
        candidate
    }
}

/// Names of types and functions that every module of generated code has or relies on.
pub(super) const TYPES: &[&str] = &[
    "Batch", "Examples", "Gradients", "None", "Ok", "Err", "Option", "Optimizer", "Outputs", "Parameters", "Prepared",
    "Range", "Report", "Result", "Self", "Some", "State", "TrainingWorkspace", "Vec", "Workspace",
];

/// Names of variables in the functions of generated code.
pub(super) const VARIABLES: &[&str] = &[
    "batch", "draw", "first", "fixed", "floats", "gradients", "layout", "n", "parameters", "prepared", "rows", "rt",
    "seed", "shard", "shards", "state", "step", "team", "total", "weights", "workspace",
];
