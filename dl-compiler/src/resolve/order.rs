//! The order in which declarations can be evaluated, and those that reach themselves.

use dl_grammar::ast::{self, Item, Name};
use dl_grammar::{Code, Diagnostic};

/// What the walk over the mentions found.
pub(super) struct Order {
    /// All items, each after those that it mentions (except on a cycle).
    pub(super) items: Vec<usize>,
    /// Items that stand on a cycle. Without them no cycle is left.
    pub(super) cyclic: Vec<bool>,
    /// One mistake for each cycle found.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Orders the items of a file by what they mention, depth first, with a stack of its own.
pub(super) fn order(file: &ast::File, mentions: &[Vec<usize>]) -> Order {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let count = file.items.len();
    let mut found = Order { items: Vec::with_capacity(count), cyclic: vec![false; count], diagnostics: Vec::new() };
    let mut states = vec![State::New; count];
    for start in 0..count {
        if states[start] != State::New {
            continue;
        }
        states[start] = State::Open;
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((item, next)) = path.last_mut() {
            let Some(&target) = mentions.get(*item).and_then(|mentions| mentions.get(*next)) else {
                states[*item] = State::Done;
                found.items.push(*item);
                path.pop();
                continue;
            };
            *next += 1;
            match states[target] {
                State::New => {
                    states[target] = State::Open;
                    path.push((target, 0));
                }
                State::Open => {
                    let from = path.iter().position(|(item, _)| *item == target).unwrap_or(0);
                    let chain: Vec<usize> = path[from..].iter().map(|(item, _)| *item).collect();
                    if !found.cyclic[target] || chain.iter().any(|&item| !found.cyclic[item]) {
                        found.diagnostics.push(cycle(file, &chain));
                    }
                    chain.iter().for_each(|&item| found.cyclic[item] = true);
                }
                State::Done => {}
            }
        }
    }
    found
}

fn cycle(file: &ast::File, chain: &[usize]) -> Diagnostic {
    const SHOWN: usize = 6;
    let names: Vec<&Name> = chain.iter().filter_map(|&item| file.items.get(item)).filter_map(name).collect();
    let Some(first) = names.first() else {
        return Diagnostic::new(Code::Recursion, Default::default(), "a declaration reaches itself");
    };
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.text)).collect();
    if names.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.push(format!("`{}`", first.text));
    let mut diagnostic = Diagnostic::new(Code::Recursion, first.span, format!("`{}` reaches itself", first.text))
        .label("needs itself")
        .note(format!("the chain: {}", shown.join(" needs ")));
    for name in names.iter().skip(1).take(SHOWN - 1) {
        diagnostic = diagnostic.related(name.span, "is part of the chain");
    }
    diagnostic
}

/// What an item is called.
pub(super) fn name(item: &Item) -> Option<&Name> {
    match item {
        Item::Const(item) => Some(&item.name),
        Item::Function(item) => Some(&item.name),
        Item::Layer(item) => Some(&item.name),
        Item::Network(item) => Some(&item.name),
        Item::Instance(item) => Some(&item.name),
        Item::Import(_) => None,
    }
}
