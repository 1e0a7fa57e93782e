//! Rust names for the source's names: identifiers, types, constants, and unique ones where two would meet.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span};

use crate::reserved::{METHODS, TYPES};

/// The identifier of a variable, field or function: in snake case, raw if it is a keyword.
pub(super) fn ident(name: &str) -> Ident {
    let clean = snake(name);
    // A keyword since edition 2024 that `syn` takes for an identifier.
    let unknown = clean == "gen";
    if !unknown && let Ok(ident) = syn::parse_str::<Ident>(&clean) {
        return ident;
    }
    // `self`, `super` and `crate` cannot be raw.
    syn::parse_str::<Ident>(&format!("r#{clean}"))
        .unwrap_or_else(|_| Ident::new(&format!("{clean}_value"), Span::call_site()))
}

/// The identifier of a type or constant, which no keyword looks like.
pub(super) fn plain(name: &str) -> Ident {
    syn::parse_str::<Ident>(name).unwrap_or_else(|_| Ident::new("Value", Span::call_site()))
}

/// `logits.dense_1` → `logits_dense_1`, `hiddenSize` → `hidden_size`
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        let word = c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        if word {
            snake.push('_');
        }
        if c != '_' || before != '_' {
            snake.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    match snake.chars().next() {
        None => "value".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("value_{snake}"),
        Some(_) => snake,
    }
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
    snake(name).to_ascii_uppercase()
}

/// The module of a network: `LeNet` → `lenet`
pub(super) fn module(name: &str) -> String {
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

    /// The name itself, or `otherwise` if it is taken, or that with a number.
    pub(super) fn unique_or(&mut self, name: &str, otherwise: &str) -> String {
        if self.taken.insert(name.to_owned()) { name.to_owned() } else { self.unique(otherwise) }
    }

    /// The same as [`Names::unique`] for types, whose names have no underscores.
    pub(super) fn unique_type(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        let mut count = 1;
        while !self.taken.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{name}{count}");
        }
        candidate
    }

    /// A name that is free together with the same name followed by `_mut`.
    fn unique_pair(&mut self, name: &str) -> String {
        let mut candidate = name.to_owned();
        let mut count = 1;
        while self.taken.contains(&candidate) || self.taken.contains(&format!("{candidate}_mut")) {
            count += 1;
            candidate = format!("{name}_{count}");
        }
        self.taken.extend([candidate.clone(), format!("{candidate}_mut")]);
        candidate
    }
}

/// What the generated code calls the parts of a model.
pub(super) struct Interface {
    /// The module.
    pub(super) module: Ident,
    /// The unit type that stands for the network.
    pub(super) network: Ident,
    /// For each field its variable and its type.
    pub(super) fields: Vec<(Ident, Ident)>,
    /// For each output its variable and its type.
    pub(super) outputs: Vec<(Ident, Ident)>,
    /// For each metric its field.
    pub(super) metrics: Vec<Ident>,
    /// For each parameter its accessors and its constant.
    pub(super) parameters: Vec<(Ident, Ident, Ident)>,
    /// The types' names so far.
    pub(super) types: Names,
}

impl Interface {
    /// The names of a network with fields, outputs, metrics and parameters of these names.
    pub(super) fn new(
        network: &str,
        fields: &[String],
        outputs: &[String],
        metrics: &[String],
        parameters: &[String],
    ) -> Interface {
        let mut types = Names::new(TYPES.iter().copied());
        let mut variables = Names::new(VARIABLES.iter().copied());
        let mut pairs = |names: &[String]| {
            let pairs = names.iter().map(|name| {
                let variable = ident(&variables.unique(&snake(name)));
                (variable, plain(&types.unique_type(&camel(name))))
            });
            pairs.collect::<Vec<_>>()
        };
        let (fields, outputs) = (pairs(fields), pairs(outputs));
        let mut names = Names::new(["loss"]);
        let metrics = metrics.iter().map(|name| ident(&names.unique(&snake(name)))).collect();
        let (mut accessors, mut constants) = (Names::new(METHODS.iter().copied()), Names::new(["FLOATS"]));
        let parameters = parameters.iter().map(|path| {
            let name = accessors.unique_pair(&snake(path));
            let constant = plain(&constants.unique(&upper(path)));
            (ident(&name), ident(&format!("{name}_mut")), constant)
        });
        let parameters = parameters.collect();
        let (module, network) = (ident(&module(network)), plain(&camel(network)));
        Interface { module, network, fields, outputs, metrics, parameters, types }
    }
}

/// Names of variables in the functions of generated code.
pub(super) const VARIABLES: &[&str] = &[
    "batch",
    "capacity",
    "draw",
    "first",
    "fixed",
    "floats",
    "gradients",
    "layout",
    "n",
    "operands",
    "parameters",
    "prepared",
    "rows",
    "step",
    "rt",
    "seed",
    "segments",
    "shard",
    "shards",
    "state",
    "step",
    "team",
    "total",
    "weights",
    "workspace",
];
