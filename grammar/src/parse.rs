//! From text to tree: the one function that runs the stages of reading.
//!
//! Text goes in; a tree of bounded depth and all that is wrong with the text come out. The stages: `scan` prepares the
//! text so that the grammar can recover everywhere, `dln.pest` cuts it into pieces, `build` makes the tree of them.
//! It never panics, never stops at the first mistake and needs a bounded stack, whatever the text.

use pest::Parser;

use crate::ast::File;
use crate::build::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::report::Reporter;
use crate::scan::scan;
use crate::source::{FileId, Span};
use crate::syntax::{Rule, Syntax};

/// The longest text that is read, in bytes (1 MiB).
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// How many brackets of all kinds may be open at once; also how deeply comments may nest. Text at this limit is read
/// within a stack of 512 KiB by optimized code (level 1 is enough), within 1 MiB by code that is not.
pub const MAX_NESTING: usize = 64;

/// The greatest depth of an expression in the tree: every operator, call, list, pipe and `if` on the way from the
/// root to a leaf counts. `a + b + c` has depth 3, so a sum of more than this many terms is refused.
pub const MAX_DEPTH: usize = 200;

/// So many mistakes of one text are reported; the last says how many more there are.
pub const MAX_DIAGNOSTICS: usize = 100;

/// Reads a text. The tree holds what could be understood, [`Invalid`](crate::ast::ExprKind::Invalid) stands for
/// expressions that could not. The diagnostics are in the order of their places, at most [`MAX_DIAGNOSTICS`];
/// if there are none, the tree holds nothing invalid.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!("the source text has {} bytes, {MAX_SOURCE_BYTES} are the limit", text.len());
        let start = Span { file, start: 0, end: 0 };
        return (File::default(), vec![Diagnostic::new(Code::SourceTooLarge, start, message)]);
    }
    let mut reporter = Reporter::default();
    let prepared = scan(file, text, &mut reporter);
    let mut builder = Builder::new(file, &prepared, text.len(), reporter);
    let tree = match Syntax::parse(Rule::file, &prepared) {
        Ok(mut pairs) => pairs.next().map(|pair| builder.file(pair)).unwrap_or_default(),
        Err(error) => {
            builder.unreadable(&error);
            File::default()
        }
    };
    let mut diagnostics = builder.finish();
    for diagnostic in &mut diagnostics {
        let related = diagnostic.related.iter_mut().map(|(span, _)| span);
        related.chain([&mut diagnostic.span]).for_each(|span| widen(text, span));
    }
    (tree, diagnostics)
}

/// Makes a span end between letters: what was read has a blank or a mark for each byte of a letter in a comment, or of one
/// that is not of the language.
fn widen(text: &str, span: &mut Span) {
    span.start = text.floor_char_boundary(span.start as usize) as u32;
    span.end = text.ceil_char_boundary(span.end as usize) as u32;
}
