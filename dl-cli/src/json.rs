//! Results for tools: one JSON object a line.
//!
//! Every object says what it is in `type`: `diagnostic` (one mistake), `file` (a file that was checked), `total` (the end of
//! a check), `network` (a tree of layers), `buffer` (a piece of an arena). Lines and columns count from 1, columns in characters, bytes from 0.

use dl_compiler::pipeline::Network;
use dl_compiler::{Diagnostic, Failure, Sources, Span, Summary, SummaryRow, render};
use serde::Serialize;

/// A line of output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    /// One mistake.
    Diagnostic {
        code: &'a str,
        level: &'a str,
        message: &'a str,
        /// The offending place first, then those that explain it.
        spans: Vec<Place<'a>>,
        notes: &'a [String],
        help: Option<&'a str>,
        /// The whole as text, without colours.
        rendered: String,
    },
    /// A file that was checked.
    File { file: String, ok: bool },
    /// The end of a check.
    Total { files: usize, failed: usize },
    /// The layers of a network.
    Network {
        name: &'a str,
        docs: &'a str,
        parameters: usize,
        flops: usize,
        inference_bytes: usize,
        training_bytes: usize,
        layers: Vec<Layer<'a>>,
    },
    /// A piece of an arena.
    Buffer {
        network: &'a str,
        program: String,
        home: &'a str,
        name: &'a str,
        dims: &'a [usize],
        /// The first byte, the byte behind the last.
        bytes: [usize; 2],
        /// The step that writes it and the last that reads it.
        steps: [usize; 2],
    },
}

/// A place in a source.
#[derive(Serialize)]
pub(crate) struct Place<'a> {
    file: &'a str,
    is_primary: bool,
    label: &'a str,
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    byte: u32,
    line: usize,
    column: usize,
}

/// A binding or a call.
#[derive(Serialize)]
pub(crate) struct Layer<'a> {
    name: &'a str,
    callee: &'a str,
    output: &'a [usize],
    parameters: usize,
    flops: usize,
    bytes: usize,
    place: &'a str,
    layers: Vec<Layer<'a>>,
}

/// All lines as text.
pub(crate) fn text<'a>(lines: impl IntoIterator<Item = Line<'a>>) -> String {
    let mut text = String::new();
    for line in lines {
        // Nothing in a line can fail to be written: no maps, no foreign types.
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// The mistakes of a file.
pub(crate) fn diagnostics(failure: &Failure) -> impl Iterator<Item = Line<'_>> {
    failure.diagnostics.iter().map(|diagnostic| self::diagnostic(&failure.sources, diagnostic))
}

fn diagnostic<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Line<'a> {
    let related = diagnostic.related.iter().map(|(span, label)| place(sources, *span, label, false));
    Line::Diagnostic {
        code: diagnostic.code.number(),
        level: "error",
        message: &diagnostic.message,
        spans: std::iter::once(place(sources, diagnostic.span, &diagnostic.label, true)).chain(related).collect(),
        notes: &diagnostic.notes,
        help: diagnostic.help.as_deref(),
        rendered: render(sources, std::slice::from_ref(diagnostic), false),
    }
}

fn place<'a>(sources: &'a Sources, span: Span, label: &'a str, is_primary: bool) -> Place<'a> {
    let position = |byte: u32| {
        let (line, column) = sources.line_column(Span { start: byte, end: byte, ..span });
        Position { byte, line, column }
    };
    let file = &sources.get(span.file).name;
    Place { file, is_primary, label, start: position(span.start), end: position(span.end) }
}

/// The layers of a network.
pub(crate) fn network(summary: &Summary) -> Line<'_> {
    Line::Network {
        name: &summary.name,
        docs: &summary.docs,
        parameters: summary.parameters,
        flops: summary.flops,
        inference_bytes: summary.inference_bytes,
        training_bytes: summary.training_bytes,
        layers: summary.rows.iter().map(layer).collect(),
    }
}

fn layer(row: &SummaryRow) -> Layer<'_> {
    Layer {
        name: &row.name,
        callee: &row.callee,
        output: &row.dims,
        parameters: row.parameters,
        flops: row.flops,
        bytes: row.bytes,
        place: &row.place,
        layers: row.children.iter().map(layer).collect(),
    }
}

/// The arenas of a network.
pub(crate) fn memory(network: &Network) -> impl Iterator<Item = Line<'_>> {
    crate::memory::pieces(network).into_iter().map(|piece| Line::Buffer {
        network: &network.model.name,
        program: piece.program,
        home: piece.home,
        name: &piece.buffer.name,
        dims: &piece.buffer.dims,
        bytes: piece.bytes,
        steps: piece.steps,
    })
}
