//! The dln language: source text, syntax tree, parser, diagnostics and their rendering.
//!
//! Text goes in ([`parse`]); a tree ([`ast::File`]) and what is wrong with the text ([`Diagnostic`]) come out, and
//! [`render`] shows the latter to people. Names, shapes and numbers are judged elsewhere, and nothing here does I/O.
//!
//! ```
//! use dl_grammar::{Source, Sources, parse, render};
//!
//! let mut sources = Sources::default();
//! let id = sources.add(Source::new("xor.dln", "network Xor { input x: [2] }"));
//! let (tree, diagnostics) = parse(id, &sources.get(id).text);
//! assert_eq!(tree.items.len(), 1);
//! assert!(render(&sources, &diagnostics, false).starts_with("error[E0001]: expected `;` after the input"));
//! ```

pub mod ast;
mod build;
pub mod diagnostic;
mod explain;
mod expression;
mod format;
mod literal;
mod loops;
mod member;
mod parse;
mod render;
mod report;
mod scan;
pub mod source;
mod spelling;
mod statement;
mod syntax;

pub use diagnostic::{Code, Diagnostic};
pub use format::{WIDTH, format};
pub use parse::{MAX_DEPTH, MAX_DIAGNOSTICS, MAX_NESTING, MAX_SOURCE_BYTES, parse};
pub use render::render;
pub use source::{FileId, Source, Sources, Span};
pub use spelling::closest;
