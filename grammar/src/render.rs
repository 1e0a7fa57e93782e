//! Diagnostics as text in the manner of rustc.
//!
//! Diagnostics and the sources they speak of go in; text comes out, one paragraph for each. What a span says beyond
//! the end of its source, or between the bytes of a character, is moved to the nearest place that exists.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Sources, Span};

/// Renders diagnostics in their order, with an empty line between two and a line feed at the end; nothing for none.
/// With `color`, ANSI escapes highlight the levels and marks.
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(sources, diagnostic)]));
        text.push('\n');
    }
    text
}

fn group<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Group<'a> {
    // The place itself first, then other files in the order in which they are mentioned.
    let mut files = vec![diagnostic.span.file];
    for (span, _) in &diagnostic.related {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    let title = Level::ERROR.primary_title(diagnostic.message.as_str()).id(diagnostic.code.number());
    let mut group = Group::with_title(title);
    for file in files {
        group = group.element(snippet(sources, file, diagnostic));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

fn snippet<'a>(
    sources: &'a Sources,
    file: FileId,
    diagnostic: &'a Diagnostic,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = sources.get(file);
    let mut snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
    if file == diagnostic.span.file {
        let mut annotation = AnnotationKind::Primary.span(range(&source.text, diagnostic.span));
        if !diagnostic.label.is_empty() {
            annotation = annotation.label(diagnostic.label.as_str());
        }
        snippet = snippet.annotation(annotation);
    }
    for (span, text) in diagnostic.related.iter().filter(|(span, _)| span.file == file) {
        let mut annotation = AnnotationKind::Context.span(range(&source.text, *span));
        if !text.is_empty() {
            annotation = annotation.label(text.as_str());
        }
        snippet = snippet.annotation(annotation);
    }
    snippet
}

/// The bytes of a span, within the text and between characters.
fn range(text: &str, span: Span) -> Range<usize> {
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary(span.end as usize).max(start);
    start..end
}
