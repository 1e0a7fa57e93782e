//! Declarations and how they are found: the file at hand and what it imports first, then the library, then operations
//! and built-ins.
//!
//! Values (`const`) and callables (`fn`, `layer`, `network`) are separate namespaces. The library sees itself only.
//! Of two declarations with one name the first counts; `names` complains about the second.

use std::collections::BTreeMap;

use dl_grammar::ast::{self, Item};
use dl_grammar::{FileId, Span};

use super::builtin::BUILTINS;
use super::limits;
use super::value::{Callee, Home};
use crate::import::Imports;
use crate::ops::Op;

/// All declarations that a program can use.
pub(super) struct Catalog<'a> {
    user: Declarations<'a>,
    library: Declarations<'a>,
    imports: &'a Imports,
}

/// Why an instance is of no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTemplate {
    /// There is none of that name, about which a diagnostic has been given.
    Unknown,
    /// There are too many instances on the way, or one leads back to itself.
    TooFar,
}

#[derive(Default)]
struct Declarations<'a> {
    constants: BTreeMap<&'a str, &'a ast::Const>,
    callables: BTreeMap<&'a str, Callee<'a>>,
}

impl<'a> Catalog<'a> {
    /// The declarations of the user's files, in one tree, and of the library's.
    pub(super) fn new(user: &'a ast::File, imports: &'a Imports, library: &'a [ast::File]) -> Catalog<'a> {
        let mut catalog = Catalog { user: Declarations::default(), library: Declarations::default(), imports };
        catalog.user.add(user, Home::User);
        for file in library {
            catalog.library.add(file, |_| Home::Library);
        }
        catalog
    }

    /// Whether a declaration is known in a file of that home.
    pub(super) fn sees(&self, home: Home, declared: Span) -> bool {
        match home {
            Home::User(file) => self.imports.sees(file, declared.file),
            Home::Library => true,
        }
    }

    /// What a call of `name` in a file of that home means.
    pub(super) fn callable(&self, name: &str, home: Home) -> Option<Callee<'a>> {
        let declared = match home {
            Home::User(file) => {
                let is_seen = |callee: &&Callee<'a>| match callee.home() {
                    Some(Home::User(declared)) => self.imports.sees(file, declared),
                    _ => true,
                };
                self.user.callables.get(name).filter(is_seen).or_else(|| self.library.callables.get(name))
            }
            Home::Library => self.library.callables.get(name),
        };
        let operation = || Op::SPECS.iter().find(|spec| spec.callable && spec.name == name).copied();
        let builtin = || BUILTINS.iter().find(|builtin| builtin.name == name);
        declared.copied().or_else(|| operation().map(Callee::Operation)).or_else(|| builtin().map(Callee::Builtin))
    }

    /// The constant of that name.
    pub(super) fn constant(&self, name: &str, home: Home) -> Option<&'a ast::Const> {
        match home {
            Home::User(file) => {
                let is_seen = |constant: &&ast::Const| self.imports.sees(file, constant.name.span.file);
                self.user.constants.get(name).copied().filter(is_seen)
            }
            Home::Library => self.library.constants.get(name).copied(),
        }
    }

    /// The network that an instance is made of, through further instances.
    pub(super) fn template(&self, instance: &'a ast::Instance) -> Option<&'a ast::Network> {
        self.instances(instance).ok().map(|(network, _)| network)
    }

    /// The same, and all instances on the way, this one first.
    pub(super) fn instances(
        &self,
        instance: &'a ast::Instance,
    ) -> Result<(&'a ast::Network, Vec<&'a ast::Instance>), NoTemplate> {
        let mut chain = vec![instance];
        let mut last = instance;
        loop {
            match self.callable(&last.template.callee.text, Home::User(last.name.span.file)) {
                Some(Callee::Network(network)) => return Ok((network, chain)),
                Some(Callee::Instance(_)) if chain.len() >= limits::MAX_CALLS => return Err(NoTemplate::TooFar),
                Some(Callee::Instance(next)) => {
                    chain.push(next);
                    last = next;
                }
                _ => return Err(NoTemplate::Unknown),
            }
        }
    }

    /// The names of all that a user can call, in a fixed order.
    pub(super) fn callable_names(&self) -> Vec<&'a str> {
        let declared = self.user.callables.keys().chain(self.library.callables.keys()).copied();
        let operations = Op::SPECS.iter().filter(|spec| spec.callable).map(|spec| spec.name);
        declared.chain(operations).chain(BUILTINS.iter().map(|builtin| builtin.name)).collect()
    }

    /// Where a declaration of that name stands that is not known in a file of that home.
    pub(super) fn unseen(&self, name: &str, home: Home) -> Option<Span> {
        let callable = self.user.callables.get(name).map(|callee| match callee {
            Callee::Function(function, _) => function.name.span,
            Callee::Layer(layer, _) => layer.name.span,
            Callee::Network(network) => network.name.span,
            Callee::Instance(instance) => instance.name.span,
            Callee::Operation(_) | Callee::Builtin(_) => Span::default(),
        });
        let constant = self.user.constants.get(name).map(|constant| constant.name.span);
        callable.into_iter().chain(constant).find(|span| home.is_user() && !self.sees(home, *span))
    }

    /// The names of the user's constants, in a fixed order.
    pub(super) fn constant_names(&self) -> Vec<&'a str> {
        self.user.constants.keys().copied().collect()
    }
}

impl<'a> Declarations<'a> {
    fn add(&mut self, file: &'a ast::File, home: impl Fn(FileId) -> Home) {
        for item in &file.items {
            match item {
                Item::Const(constant) => {
                    self.constants.entry(&constant.name.text).or_insert(constant);
                }
                Item::Function(function) => {
                    self.callables
                        .entry(&function.name.text)
                        .or_insert(Callee::Function(function, home(function.name.span.file)));
                }
                Item::Layer(layer) => {
                    self.callables.entry(&layer.name.text).or_insert(Callee::Layer(layer, home(layer.name.span.file)));
                }
                Item::Network(network) => {
                    self.callables.entry(&network.name.text).or_insert(Callee::Network(network));
                }
                Item::Instance(instance) => {
                    self.callables.entry(&instance.name.text).or_insert(Callee::Instance(instance));
                }
                Item::Import(_) => {}
            }
        }
    }
}
