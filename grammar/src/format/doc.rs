//! Documents: what could be broken over lines goes in, lines come out.
//!
//! A [`Doc`] is text with places where a line may end. A group is written on one line if it fits, else all its line ends
//! are taken (Wadler, A prettier printer, 2003). Comments that end a line wait until the line ends; what follows them
//! in a group keeps the group from being one line. Nothing here knows the language.
//!
//! The engine is written here, not taken from a library, because this crate is built with every program that uses the macro.

use super::comment::Comment;

/// Text that can be laid out.
#[derive(Debug, Clone, Default)]
pub(super) struct Doc {
    kind: Kind,
    /// Characters if it is all on one line.
    width: usize,
    /// Whether it holds a line break that is always taken.
    hard: bool,
    /// Whether a comment in it ends a line on which more would follow.
    inner_comment: bool,
    /// Whether it ends with a comment that ends its line.
    last_comment: bool,
    /// Whether it holds neither text nor line ends.
    empty: bool,
}

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Nothing,
    Text(String),
    /// A line end, or this text on one line.
    Line(&'static str),
    Hard,
    Blank,
    /// Text that is written only where lines are broken.
    IfBroken(&'static str),
    Concat(Vec<Doc>),
    Indent(Box<Doc>),
    Group(Box<Doc>),
    Chain(Box<Doc>, Vec<Link>),
    /// A comment that waits for the end of its line.
    Suffix(String),
    Comment(Comment),
}

/// A part of a chain; a line may end before it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Whether the author ended a line before it.
    pub(super) breaks: bool,
    /// Comments before it.
    pub(super) before: Doc,
    pub(super) part: Doc,
}

impl Link {
    /// With a part that follows after a space.
    pub(super) fn followed_by(self, part: Doc) -> Link {
        Link { part: Doc::concat([self.part, Doc::text(" "), part]), ..self }
    }
}

impl Doc {
    /// Plain text.
    pub(super) fn text(text: &str) -> Doc {
        let is_many = text.contains('\n');
        Doc { width: text.chars().count(), hard: is_many, ..Doc::of(Kind::Text(text.to_owned())) }
    }

    /// A line end where the group is broken, else the text.
    pub(super) fn line(flat: &'static str) -> Doc {
        Doc { width: flat.len(), ..Doc::of(Kind::Line(flat)) }
    }

    /// A line end.
    pub(super) fn hard() -> Doc {
        Doc { hard: true, ..Doc::of(Kind::Hard) }
    }

    /// An empty line, after a line end.
    pub(super) fn blank() -> Doc {
        Doc { hard: true, ..Doc::of(Kind::Blank) }
    }

    /// Text that is written if the group is broken.
    pub(super) fn if_broken(text: &'static str) -> Doc {
        Doc { empty: true, ..Doc::of(Kind::IfBroken(text)) }
    }

    /// A comment after which the line ends, written at the end of the line it comes to stand on.
    pub(super) fn suffix(comment: Comment) -> Doc {
        Doc { last_comment: true, ..Doc::of(Kind::Suffix(comment.text)) }
    }

    /// A comment before a token.
    pub(super) fn comment(comment: Comment) -> Doc {
        let hard = comment.ends_line || comment.text.contains('\n');
        Doc { width: comment.text.chars().count() + 2, hard, ..Doc::of(Kind::Comment(comment)) }
    }

    /// One after the other.
    pub(super) fn concat(parts: impl IntoIterator<Item = Doc>) -> Doc {
        let mut whole = Doc { empty: true, ..Doc::default() };
        let mut kept = Vec::new();
        for part in parts {
            if !matches!(part.kind, Kind::Nothing) {
                whole.append(&part);
                kept.push(part);
            }
        }
        whole.kind = Kind::Concat(kept);
        whole
    }

    /// Takes up what is known of a part that follows.
    fn append(&mut self, part: &Doc) {
        self.width = self.width.saturating_add(part.width);
        self.hard |= part.hard;
        self.inner_comment |= part.inner_comment || (self.last_comment && !part.empty);
        self.last_comment = part.last_comment || (self.last_comment && part.empty);
        self.empty &= part.empty;
    }

    /// Its lines begin four characters further to the right.
    pub(super) fn indent(self) -> Doc {
        self.within(Kind::Indent)
    }

    /// On one line if that fits.
    pub(super) fn group(self) -> Doc {
        self.within(Kind::Group)
    }

    /// A group that is never on one line.
    pub(super) fn broken_group(self) -> Doc {
        Doc { hard: true, ..self }.within(Kind::Group)
    }

    /// Parts that follow a first one on one line, or on lines as the author had it, or each on a line of its own.
    pub(super) fn chain(first: Doc, rest: Vec<Link>) -> Doc {
        let mut whole = Doc { empty: true, ..Doc::default() };
        whole.append(&first);
        for link in &rest {
            whole.append(&Doc::line(" "));
            whole.append(&link.before);
            whole.append(&link.part);
        }
        whole.kind = Kind::Chain(Box::new(first), rest);
        whole
    }

    /// Whether it holds a line break that is always taken.
    pub(super) fn is_hard(&self) -> bool {
        self.hard
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    /// Whether it ends with a comment that ends its line.
    pub(super) fn ends_line(&self) -> bool {
        self.last_comment
    }

    fn of(kind: Kind) -> Doc {
        Doc { kind, ..Doc::default() }
    }

    fn within(self, kind: impl FnOnce(Box<Doc>) -> Kind) -> Doc {
        let facts = Doc { kind: Kind::Nothing, ..self };
        Doc { kind: kind(Box::new(self)), ..facts }
    }

    /// Whether it could be on one line.
    fn is_flat(&self) -> bool {
        !self.hard && !self.inner_comment
    }

    /// Characters up to the first place where a line may end, and whether there is one.
    fn head(&self, is_flat: bool) -> (usize, bool) {
        match &self.kind {
            _ if is_flat && self.is_flat() => (self.width, false),
            Kind::Line(_) if !is_flat => (0, true),
            Kind::Hard | Kind::Blank => (0, true),
            Kind::IfBroken(text) if !is_flat => (text.len(), false),
            Kind::Concat(parts) => {
                let mut width = 0;
                for part in parts {
                    let (more, ends) = part.head(is_flat);
                    width += more;
                    if ends || width > 2 * super::WIDTH {
                        return (width, ends);
                    }
                }
                (width, false)
            }
            Kind::Indent(inner) => inner.head(is_flat),
            Kind::Group(inner) => inner.head(is_flat && inner.is_flat()),
            Kind::Chain(first, _) if !is_flat => (first.head(false).0, true),
            _ => (self.width, false),
        }
    }
}

/// How a part is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Flat,
    Broken,
}

/// Lays the document out; the last line ends with a line break.
pub(super) fn print(doc: &Doc, width: usize) -> String {
    let mut printer = Printer::default();
    let mut stack = vec![(0, Mode::Broken, doc)];
    let space = Doc::line(" ");
    while let Some((indent, mode, doc)) = stack.pop() {
        match &doc.kind {
            Kind::Nothing => {}
            Kind::Text(text) => printer.text(text),
            Kind::IfBroken(text) if mode == Mode::Broken => printer.text(text),
            Kind::IfBroken(_) => {}
            Kind::Line(flat) if mode == Mode::Flat => printer.text(flat),
            Kind::Line(_) | Kind::Hard => printer.line(indent),
            Kind::Blank => printer.blank(indent),
            Kind::Concat(parts) => stack.extend(parts.iter().rev().map(|part| (indent, mode, part))),
            Kind::Indent(inner) => stack.push((indent + 4, mode, inner)),
            Kind::Group(inner) => {
                let fits = mode == Mode::Flat || (inner.is_flat() && printer.fits(inner.width, &stack, width));
                stack.push((indent, if fits { Mode::Flat } else { Mode::Broken }, inner));
            }
            Kind::Chain(first, rest) => {
                let is_flat = mode == Mode::Flat || (doc.is_flat() && printer.fits(doc.width, &stack, width));
                let keeps = !is_flat && printer.keeps(first, rest, indent + 4, &stack, width);
                let inner = if is_flat { Mode::Flat } else { Mode::Broken };
                for Link { breaks, before, part } in rest.iter().rev() {
                    let is_broken = !is_flat && (*breaks || !keeps);
                    stack.push((indent + 4, inner, part));
                    stack.push((indent + 4, inner, before));
                    stack.push((indent + 4, if is_broken { Mode::Broken } else { Mode::Flat }, &space));
                }
                stack.push((indent, inner, first));
            }
            Kind::Suffix(text) => printer.suffixes.push(text.clone()),
            Kind::Comment(comment) => printer.comment(comment, indent),
        }
    }
    printer.finish()
}

#[derive(Default)]
struct Printer {
    out: String,
    /// Characters on the line so far, its indentation included.
    column: usize,
    /// Indentation that is written before the next text; the line is empty so far.
    pending: Option<usize>,
    /// Comments that wait for the end of the line.
    suffixes: Vec<String>,
    /// The next text stands on a new line of this indentation, because a comment was written.
    after_comment: Option<usize>,
    /// A space stands before the next text unless it closes something, because a comment was written.
    space: bool,
}

impl Printer {
    fn is_at_start(&self) -> bool {
        self.column == 0 || self.pending.is_some()
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(indent) = self.after_comment.take() {
            self.line(indent);
        }
        if self.is_at_start() && text.trim().is_empty() {
            return;
        }
        if std::mem::take(&mut self.space) && !text.starts_with([',', ';', ')', ']', '}', ' ']) {
            self.put(" ");
        }
        self.put(text);
    }

    fn put(&mut self, text: &str) {
        if let Some(indent) = self.pending.take() {
            self.out.extend(std::iter::repeat_n(' ', indent));
        }
        self.out.push_str(text);
        self.column = match text.rsplit_once('\n') {
            Some((_, last)) => last.chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    /// Ends the line.
    fn line(&mut self, indent: usize) {
        (self.after_comment, self.space) = (None, false);
        let suffixes = std::mem::take(&mut self.suffixes);
        // The second comment of a line stands on one of its own, or it would become a part of the first.
        let mut is_first = true;
        for suffix in suffixes {
            if !is_first && !self.out.ends_with("*/") {
                self.break_line(indent);
            }
            if !self.is_at_start() {
                self.put(" ");
            }
            self.put(&suffix);
            is_first = false;
        }
        self.break_line(indent);
    }

    fn break_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.column = indent;
        self.pending = Some(indent);
    }

    /// An empty line, if the last line is not one.
    fn blank(&mut self, indent: usize) {
        if self.after_comment.is_some() || !self.is_at_start() {
            self.line(indent);
        }
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.line(indent);
        }
    }

    fn comment(&mut self, comment: &Comment, indent: usize) {
        if let Some(indent) = self.after_comment.take() {
            self.line(indent);
        }
        if self.is_at_start() {
            self.put(&comment.text);
            if comment.ends_line {
                self.after_comment = Some(indent);
            } else {
                self.space = true;
            }
        } else if comment.ends_line || !self.suffixes.is_empty() {
            self.suffixes.push(comment.text.clone());
        } else {
            self.space = false;
            if !self.out.ends_with([' ', '(', '[']) {
                self.put(" ");
            }
            self.put(&comment.text);
            self.space = true;
        }
    }

    /// Whether so many characters and what follows them up to the next line end fit on the line.
    fn fits(&self, width: usize, stack: &[(usize, Mode, &Doc)], limit: usize) -> bool {
        fits(self.column + width, stack, limit)
    }

    /// Whether a chain that is broken where its author broke it has lines that fit.
    fn keeps(&self, first: &Doc, rest: &[Link], indent: usize, stack: &[(usize, Mode, &Doc)], limit: usize) -> bool {
        if !rest.iter().any(|link| link.breaks) {
            return false;
        }
        let mut line = first.clone_facts();
        let mut start = self.column;
        for Link { breaks, part, .. } in rest {
            if *breaks {
                if !line.is_flat() || start + line.width > limit {
                    return false;
                }
                line = Doc { empty: true, ..Doc::default() };
                start = indent;
            } else {
                line.append(&Doc::line(" "));
            }
            line.append(part);
        }
        line.is_flat() && fits(start + line.width, stack, limit)
    }

    fn finish(mut self) -> String {
        if !self.out.is_empty() || !self.suffixes.is_empty() {
            self.line(0);
        }
        let end = self.out.trim_end_matches('\n').len();
        self.out.truncate(end);
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

fn fits(column: usize, stack: &[(usize, Mode, &Doc)], limit: usize) -> bool {
    let mut column = column;
    for (_, mode, doc) in stack.iter().rev() {
        if column > limit {
            return false;
        }
        let (more, ends) = doc.head(*mode == Mode::Flat);
        column += more;
        if ends {
            break;
        }
    }
    column <= limit
}

impl Doc {
    /// What is known of it, without what it holds.
    fn clone_facts(&self) -> Doc {
        Doc { kind: Kind::Nothing, ..*self }
    }
}
