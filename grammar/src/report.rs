//! Collects diagnostics, up to a limit, and puts them in the order of their places.

use crate::diagnostic::Diagnostic;
use crate::parse::MAX_DIAGNOSTICS;

/// What has been reported so far.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    kept: Vec<Diagnostic>,
    dropped: usize,
}

impl Reporter {
    /// Keeps the diagnostic, or counts it if there are enough.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            self.dropped += 1;
        } else {
            self.kept.push(diagnostic);
        }
    }

    /// Whether more would only be counted; spares the work of finding the words.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= MAX_DIAGNOSTICS
    }

    /// Counts a mistake without words.
    pub(crate) fn count(&mut self) {
        self.dropped += 1;
    }

    /// All diagnostics in order.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        if self.dropped > 0
            && let Some(last) = self.kept.last_mut()
        {
            last.notes.push(format!("{} further mistakes of this file are not shown", self.dropped));
        }
        self.kept
    }
}
