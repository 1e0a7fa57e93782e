//! Where text comes from: sources, and spans within them.
//!
//! Every tree node, graph node and diagnostic carries a [`Span`]; a [`Sources`] turns it back into text.
//! It does no I/O: whoever opens a file hands its text over.

/// Names one text of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u16);

/// A range of bytes in one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The text.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from the start of `self` to the end of `other` (both in one file; otherwise `self`).
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One text and the name that messages give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What messages call it, usually a path.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// A source of the given name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        Source { name: name.into(), text: text.into() }
    }
}

/// All texts of one compilation; the first is the program, the others are what it uses.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its name.
    pub fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        self.files.push(source);
        id
    }

    /// The text of `file`; an empty one if there is none of that id.
    pub fn get(&self, file: FileId) -> &Source {
        static EMPTY: Source = Source { name: String::new(), text: String::new() };
        self.files.get(usize::from(file.0)).unwrap_or(&EMPTY)
    }

    /// All texts in order.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        (0u16..).map(FileId).zip(&self.files)
    }

    /// The text of a span; empty if the span is not one of this text.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column of a span's start, both counted from 1, columns in characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let text = &self.get(span.file).text;
        let before = text.get(..span.start as usize).unwrap_or(text);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// The whole trimmed line on which a span starts.
    pub fn line(&self, span: Span) -> &str {
        let text = &self.get(span.file).text;
        let (line, _) = self.line_column(span);
        text.lines().nth(line - 1).unwrap_or("").trim()
    }
}
