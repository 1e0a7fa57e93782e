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

/// The names that a network declares, in order.
#[derive(Default)]
pub(super) struct Declared {
    /// The network's own.
    pub(super) network: String,
    /// Inputs, then labels.
    pub(super) fields: Vec<String>,
    /// Outputs.
    pub(super) outputs: Vec<String>,
    /// Metrics.
    pub(super) metrics: Vec<String>,
    /// Paths of parameters.
    pub(super) parameters: Vec<String>,
    /// Paths of states.
    pub(super) states: Vec<String>,
    /// Losses, where they have names.
    pub(super) losses: Vec<Option<String>>,
}

/// What the generated code calls a training step.
pub(super) struct StepNames {
    /// What its public functions end with: nothing, or `_generator`.
    pub(super) suffix: String,
    /// Its type of examples, if it takes fewer fields than there are.
    pub(super) batch: Ident,
}

impl StepNames {
    /// A public function of the step, such as `step_generator`.
    pub(super) fn function(&self, name: &str) -> Ident {
        ident(&format!("{name}{}", self.suffix))
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
    /// For each loss its field of the report.
    pub(super) losses: Vec<Ident>,
    /// For each metric its field of the report.
    pub(super) metrics: Vec<Ident>,
    /// For each parameter its accessors and its constant.
    pub(super) parameters: Vec<(Ident, Ident, Ident)>,
    /// For each state the same.
    pub(super) states: Vec<(Ident, Ident, Ident)>,
    /// For each loss its training step.
    pub(super) steps: Vec<StepNames>,
    /// The types' names so far.
    pub(super) types: Names,
    /// The functions' names so far.
    pub(super) functions: Names,
}

impl Interface {
    /// The names of a network that declares these.
    pub(super) fn new(declared: &Declared) -> Interface {
        let mut types = Names::new(TYPES.iter().copied());
        let mut variables = Names::new(VARIABLES.iter().copied());
        let mut pairs = |names: &[String]| {
            let pairs = names.iter().map(|name| {
                let variable = ident(&variables.unique(&snake(name)));
                (variable, plain(&types.unique_type(&camel(name))))
            });
            pairs.collect::<Vec<_>>()
        };
        let (fields, outputs) = (pairs(&declared.fields), pairs(&declared.outputs));
        let mut names = Names::new(["loss"]);
        let mut field = |name: &str| ident(&names.unique(&snake(name)));
        let losses = declared.losses.iter().map(|name| name.as_ref().map_or_else(|| ident("loss"), |name| field(name)));
        let losses = losses.collect();
        let metrics = declared.metrics.iter().map(|name| field(name)).collect();
        let mut functions = Names::new(FUNCTIONS.iter().copied());
        let steps = declared.losses.iter().map(|name| step(name.as_deref(), &mut types, &mut functions)).collect();
        Interface {
            module: ident(&module(&declared.network)),
            network: plain(&camel(&declared.network)),
            fields,
            outputs,
            losses,
            metrics,
            parameters: tensors(&declared.parameters),
            states: tensors(&declared.states),
            steps,
            types,
            functions,
        }
    }
}

/// The accessors and constants of a block's tensors.
fn tensors(paths: &[String]) -> Vec<(Ident, Ident, Ident)> {
    let mut accessors = Names::new(METHODS.iter().copied());
    let mut constants = Names::new(["FLOATS", "TRAINABLE"]);
    let names = paths.iter().map(|path| {
        let name = accessors.unique_pair(&snake(path));
        let constant = plain(&constants.unique(&upper(path)));
        (ident(&name), ident(&format!("{name}_mut")), constant)
    });
    names.collect()
}

/// The names of the training step of a loss.
fn step(loss: Option<&str>, types: &mut Names, functions: &mut Names) -> StepNames {
    let Some(loss) = loss else {
        return StepNames { suffix: String::new(), batch: plain(&types.unique_type("BatchLoss")) };
    };
    let (mut suffix, mut count) = (format!("_{}", snake(loss)), 1);
    while STEP_FUNCTIONS.iter().any(|name| functions.taken.contains(&format!("{name}{suffix}"))) {
        count += 1;
        suffix = format!("_{}_{count}", snake(loss));
    }
    functions.taken.extend(STEP_FUNCTIONS.iter().map(|name| format!("{name}{suffix}")));
    StepNames { suffix, batch: plain(&types.unique_type(&format!("Batch{}", camel(loss)))) }
}

/// The public functions of a training step, whose names end with that of its loss.
const STEP_FUNCTIONS: &[&str] = &["gradients", "optimizer", "step"];

/// The public functions of a module.
const FUNCTIONS: &[&str] = &["evaluate", "forward", "gradients", "optimizer", "settings", "step"];

/// Names of variables in the functions of generated code.
pub(super) const VARIABLES: &[&str] = &[
    "addends",
    "batch",
    "by_shards",
    "capacity",
    "copies",
    "draw",
    "first",
    "fixed",
    "floats",
    "form",
    "gradients",
    "in_place",
    "layout",
    "measures",
    "n",
    "one",
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
    "updates",
    "weights",
    "workspace",
];
