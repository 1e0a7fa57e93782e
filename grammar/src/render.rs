//! Diagnostics as text in the manner of rustc.
//!
//! Diagnostics and the sources they speak of go in; text comes out, one paragraph for each. What a span says beyond
//! the end of its source, or between the bytes of a character, is moved to the nearest place that exists.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::Diagnostic;
use crate::source::{Source, Sources, Span};

/// Places that are farther from each other, in bytes, are shown apart.
const FARTHEST: u32 = 1 << 13;

/// Longer lines, in bytes, are not shown: laying them out takes long, and nobody could read them.
const LONGEST_LINE: usize = 1 << 12;

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
    let title = Level::ERROR.primary_title(diagnostic.message.as_str()).id(diagnostic.code.number());
    let mut group = Group::with_title(title);
    for cluster in clusters(diagnostic) {
        let Some(first) = cluster.first() else { continue };
        let source = sources.get(first.span.file);
        if source.text.is_empty() {
            group = group.element(Origin::path(source.name.as_str()));
            continue;
        }
        let (start, end) = cluster.iter().fold((first.span.start, first.span.end), |(start, end), mark| {
            (start.min(mark.span.start), end.max(mark.span.end))
        });
        let range = range(&source.text, Span { start, end, ..first.span });
        let window = window(&source.text, range.clone());
        if window.end - window.start > range.end - range.start + LONGEST_LINE {
            let (line, column) = sources.line_column(first.span);
            group = group.element(Origin::path(source.name.as_str()).line(line).char_column(column));
            for mark in cluster.iter().filter(|mark| !mark.label.is_empty()) {
                group = group.element(Level::NOTE.message(mark.label));
            }
            continue;
        }
        group = group.element(snippet(source, window, &cluster));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// A marked place.
struct Mark<'a> {
    kind: AnnotationKind,
    span: Span,
    label: &'a str,
}

/// The marks that are shown together: those of one file that are not too far from the first. The offending place comes first.
fn clusters(diagnostic: &Diagnostic) -> Vec<Vec<Mark<'_>>> {
    let mut clusters =
        vec![vec![Mark { kind: AnnotationKind::Primary, span: diagnostic.span, label: &diagnostic.label }]];
    for (span, label) in &diagnostic.related {
        let mark = Mark { kind: AnnotationKind::Context, span: *span, label };
        let near = clusters.iter_mut().find(|cluster| {
            cluster
                .first()
                .is_some_and(|first| first.span.file == span.file && first.span.start.abs_diff(span.start) < FARTHEST)
        });
        match near {
            Some(cluster) => cluster.push(mark),
            None => clusters.push(vec![mark]),
        }
    }
    clusters
}

/// The whole lines around a range.
fn window(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[range.end..].find('\n').map_or(text.len(), |length| range.end + length);
    start..end
}

fn snippet<'a>(source: &'a Source, window: Range<usize>, marks: &[Mark<'a>]) -> Snippet<'a, Annotation<'a>> {
    let line = source.text[..window.start].bytes().filter(|&byte| byte == b'\n').count() + 1;
    let mut snippet = Snippet::source(&source.text[window.clone()]).line_start(line).path(source.name.as_str());
    for mark in marks {
        let range = range(&source.text, mark.span);
        let mut annotation = mark.kind.span(range.start - window.start..range.end - window.start);
        if !mark.label.is_empty() {
            annotation = annotation.label(mark.label);
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
