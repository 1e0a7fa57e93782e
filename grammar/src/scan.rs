//! Prepares text for the grammar, in one pass over the characters and one over the brackets.
//!
//! Text goes in; text of the same layout comes out (every byte that stays keeps its offset; a closing brace may be
//! added at the end) in which comments are blank, brackets are balanced and nested at most
//! [`MAX_NESTING`] deep. What is wrong with characters, comments, texts and brackets is reported here, and [`MARK`]
//! put in its place, so that the piece it stands in is recovered from in silence. pest recurses where brackets nest: it
//! may see nothing that this has not balanced.
//!
//! `a = (b; // why` becomes `a = ␁b;       `. Words and numbers are not looked into, except for the keywords of
//! declarations, which show where a forgotten `}` belongs.

use crate::diagnostic::{Code, Diagnostic};
use crate::parse::MAX_NESTING;
use crate::report::Reporter;
use crate::source::{FileId, Span};
use crate::syntax::ITEM_KEYWORDS;

/// Stands in prepared text where something has been reported. No rule but those of recovery accepts it.
pub(crate) const MARK: u8 = 1;

/// So many unclosed brackets are reported where one sign shows that all of them are; the others are likely guesses.
const UNCLOSED_AT_ONCE: usize = 3;

/// What people write instead of `"`.
const QUOTES: [char; 7] = ['\'', '`', '“', '”', '„', '‘', '’'];

/// Prepares the text.
pub(crate) fn scan(file: FileId, text: &str, reporter: &mut Reporter) -> String {
    let mut characters = Characters {
        file,
        text,
        out: text.as_bytes().to_vec(),
        at: 0,
        last: 0,
        signs: Vec::new(),
        cut: false,
        reporter,
    };
    characters.run();
    let Characters { mut out, signs, cut, .. } = characters;

    let (mut outcome, balanced) = match_brackets(file, &signs, &out, false, cut);
    if !balanced {
        (outcome, _) = match_brackets(file, &signs, &out, true, cut);
    }
    for diagnostic in outcome.diagnostics {
        reporter.push(diagnostic);
    }
    for (at, byte) in outcome.edits {
        out[at] = byte;
    }
    for (start, end) in outcome.hidden {
        out[start..end].fill(b' ');
        out[start] = MARK;
    }
    if let Some(end) = outcome.truncated {
        out.truncate(end);
    }
    if outcome.missing {
        // On a line of its own: documentation may end the text.
        out.extend_from_slice(b"\n}");
    }
    String::from_utf8(out).unwrap_or_default()
}

/// What the brackets are matched by.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Open,
    Close,
    Semicolon,
    /// The keyword of a declaration, and where the code before it ends.
    Item(usize),
}

/// The pass over the characters.
struct Characters<'a> {
    file: FileId,
    text: &'a str,
    out: Vec<u8>,
    at: usize,
    /// Where the last code before `at` ends.
    last: usize,
    signs: Vec<(usize, Sign)>,
    /// Whether an unclosed comment hides the end of the text.
    cut: bool,
    reporter: &'a mut Reporter,
}

impl Characters<'_> {
    fn run(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.blank(0, 3);
            self.at = 3;
        }
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            let start = self.at;
            let rest = &self.text.as_bytes()[start..];
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    continue;
                }
                b'/' if rest.starts_with(b"//") => {
                    self.line_comment();
                    continue;
                }
                b'/' if rest.starts_with(b"/*") => {
                    self.block_comment();
                    continue;
                }
                b'"' => self.string(),
                b'(' | b'[' | b'{' => self.sign(Sign::Open),
                b')' | b']' | b'}' => self.sign(Sign::Close),
                b';' => self.sign(Sign::Semicolon),
                b',' | b':' | b'=' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'^' | b'<' | b'>' | b'!' | b'&'
                | b'|' | b'.' => self.at += 1,
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => self.word(),
                _ => self.unexpected(),
            }
            self.last = self.at;
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { file: self.file, start: start as u32, end: end as u32 }
    }

    fn blank(&mut self, start: usize, end: usize) {
        self.out[start..end].fill(b' ');
    }

    /// Every byte is marked: a span that left out blanks at its end would end within a character.
    fn mark(&mut self, start: usize, end: usize) {
        self.out[start..end].fill(MARK);
    }

    fn sign(&mut self, sign: Sign) {
        self.signs.push((self.at, sign));
        self.at += 1;
    }

    fn word(&mut self) {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += length;
        if ITEM_KEYWORDS.contains(&&rest[..length]) {
            self.signs.push((start, Sign::Item(self.last)));
        }
    }

    fn line_comment(&mut self) {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find('\n').unwrap_or(rest.len());
        self.at += length;
        let is_doc = rest.starts_with("//!") || (rest.starts_with("///") && !rest.starts_with("////"));
        if is_doc {
            self.control_characters(start, start + length);
        } else {
            self.blank(start, start + length);
        }
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut open = 0usize;
        let mut deepest = 0usize;
        while self.at < bytes.len() {
            if bytes[self.at..].starts_with(b"/*") {
                open += 1;
                deepest = deepest.max(open);
                self.at += 2;
            } else if bytes[self.at..].starts_with(b"*/") {
                open -= 1;
                self.at += 2;
                if open == 0 {
                    break;
                }
            } else {
                self.at += 1;
            }
        }
        let end = self.at;
        self.blank(start, end);
        let opening = self.span(start, start + 2);
        if open > 0 {
            let mut diagnostic = Diagnostic::new(Code::UnterminatedComment, opening, "this comment is never closed")
                .label("opened here");
            if deepest > 1 {
                diagnostic = diagnostic.note("comments nest: each `/*` within a comment needs its own `*/`");
            }
            self.reporter.push(diagnostic.help("close it with `*/`"));
            self.out[start] = MARK;
            self.cut = true;
        } else if deepest > MAX_NESTING {
            let message = format!("comments are nested {deepest} deep, {MAX_NESTING} is the limit");
            self.reporter.push(Diagnostic::new(Code::NestingTooDeep, opening, message).label("opened here"));
        }
    }

    fn string(&mut self) {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    self.control_characters(start, self.at);
                    return;
                }
                b'\n' => break,
                // The grammar lets an escape cover any character but the end of the line.
                b'\\' if bytes.get(self.at + 1).is_some_and(|&next| next != b'\n') => self.at += 2,
                _ => self.at += 1,
            }
        }
        let line = &bytes[start..self.at.min(bytes.len())];
        // What closes the statement at the end of the line was hardly meant as a part of the text.
        let tail = line.iter().rev().take_while(|byte| b")]};, \t\r".contains(byte)).count().min(line.len() - 1);
        let end = start + line.len() - tail;
        self.mark(start, end);
        self.at = end;
        self.reporter.push(
            Diagnostic::new(Code::UnterminatedComment, self.span(start, end), "this text is never closed")
                .label("no `\"` before the end of the line")
                .help("close it with `\"`; a line break within a text is written `\\n`"),
        );
    }

    /// In what the grammar takes as it is, nothing may look like a mark.
    fn control_characters(&mut self, start: usize, end: usize) {
        for at in start..end {
            if self.out[at] == MARK {
                self.out[at] = b' ';
                let message = "unexpected control character U+0001";
                self.reporter.push(Diagnostic::new(Code::Syntax, self.span(at, at + 1), message));
            }
        }
    }

    fn unexpected(&mut self) {
        let start = self.at;
        let rest = &self.text[start..];
        let Some(character) = rest.chars().next() else { return };
        // The rest of a word that begins or goes on with it would only be a second mistake.
        let is_word = character.is_alphanumeric();
        let length = if is_word {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if QUOTES.contains(&character) {
            // What is quoted is as wrong as its quotes.
            let line = rest.lines().next().unwrap_or("");
            let mut others = line.char_indices().skip(1);
            others.find(|(_, c)| QUOTES.contains(c)).map_or(character.len_utf8(), |(at, c)| at + c.len_utf8())
        } else {
            character.len_utf8()
        };
        self.at += length;
        self.mark(start, start + length);
        let shown = if character.is_control() || character.is_whitespace() {
            format!("U+{:04X}", u32::from(character))
        } else {
            format!("`{character}`")
        };
        let diagnostic =
            Diagnostic::new(Code::Syntax, self.span(start, start + length), format!("unexpected character {shown}"))
                .label("not part of the language");
        let help = match character {
            '“' | '”' | '„' | '\'' | '‘' | '’' | '`' => Some("texts stand between `\"`".to_owned()),
            '−' | '–' | '—' => Some("to subtract, write `-`".to_owned()),
            '×' | '·' | '⋅' => Some("to multiply, write `*`; for a matrix product, `@`".to_owned()),
            '÷' => Some("to divide, write `/`".to_owned()),
            '≤' => Some("write `<=`".to_owned()),
            '≥' => Some("write `>=`".to_owned()),
            '≠' => Some("write `!=`".to_owned()),
            '…' => Some("write `..`".to_owned()),
            '#' => Some("a comment begins with `//`".to_owned()),
            _ if is_word => Some("names are written with ASCII letters, digits and `_`".to_owned()),
            _ if character.is_whitespace() => Some("use an ordinary space".to_owned()),
            _ => None,
        };
        self.reporter.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }
}

/// What the pass over the brackets found, and what must be done to the text.
#[derive(Debug, Default)]
struct Outcome {
    diagnostics: Vec<Diagnostic>,
    /// Single bytes to be replaced.
    edits: Vec<(usize, u8)>,
    /// Ranges that are too deep.
    hidden: Vec<(usize, usize)>,
    /// Where the text ends, if what follows cannot be used.
    truncated: Option<usize>,
    /// Whether a `}` is to be added at the end.
    missing: bool,
}

/// Matches brackets and tells whether the braces are balanced. A `;` or `}` closes what parentheses and square brackets
/// are open, because neither may stand in them. With `items_close`, the keyword of a declaration closes everything.
fn match_brackets(file: FileId, signs: &[(usize, Sign)], out: &[u8], items_close: bool, cut: bool) -> (Outcome, bool) {
    let mut matcher = Matcher {
        file,
        bytes: out,
        stack: Vec::new(),
        braces: 0,
        too_deep: None,
        is_reported: false,
        outcome: Outcome::default(),
    };
    let mut balanced = true;
    for &(at, sign) in signs {
        match sign {
            Sign::Open => matcher.open(at),
            Sign::Semicolon => matcher.unwind_to_brace(at, "before the end of this statement"),
            Sign::Close => balanced &= matcher.close(at),
            Sign::Item(last) if items_close && !matcher.stack.is_empty() => {
                if !matcher.close_before_item(at, last) {
                    return (matcher.outcome, false);
                }
            }
            Sign::Item(_) => {}
        }
    }
    balanced &= matcher.end(out.len(), cut);
    (matcher.outcome, balanced)
}

struct Matcher<'a> {
    file: FileId,
    bytes: &'a [u8],
    stack: Vec<usize>,
    /// How many of them are `{`.
    braces: usize,
    /// The first bracket beyond the limit.
    too_deep: Option<usize>,
    /// Whether this statement has been reported as too deep.
    is_reported: bool,
    outcome: Outcome,
}

impl Matcher<'_> {
    fn byte(&self, at: usize) -> char {
        self.bytes.get(at).map_or(' ', |&byte| char::from(byte))
    }

    fn span(&self, at: usize) -> Span {
        Span { file: self.file, start: at as u32, end: at as u32 + 1 }
    }

    fn mark(&mut self, at: usize) {
        self.outcome.edits.push((at, MARK));
    }

    fn open(&mut self, at: usize) {
        self.stack.push(at);
        self.braces += usize::from(self.byte(at) == '{');
        if self.stack.len() <= MAX_NESTING || self.too_deep.is_some() {
            return;
        }
        self.too_deep = Some(at);
        if !std::mem::replace(&mut self.is_reported, true) {
            let message = format!("brackets are nested more than {MAX_NESTING} deep");
            self.outcome.diagnostics.push(
                Diagnostic::new(Code::NestingTooDeep, self.span(at), message)
                    .label("this one is too deep")
                    .help("give inner expressions names of their own: `name = …;`"),
            );
        }
    }

    /// Takes the innermost bracket away; what was too deep ends before `end`.
    fn pop(&mut self, end: usize) -> Option<usize> {
        let opened = self.stack.pop()?;
        self.braces -= usize::from(self.byte(opened) == '{');
        if self.stack.len() == MAX_NESTING
            && let Some(start) = self.too_deep.take()
        {
            self.outcome.hidden.push((start, end));
        }
        self.is_reported &= self.stack.len() > 1;
        Some(opened)
    }

    /// Takes away what is open above the innermost `{`, and says so.
    fn unwind_to_brace(&mut self, at: usize, sign: &str) {
        let mut reported = 0;
        while let Some(&opened) = self.stack.last()
            && self.byte(opened) != '{'
        {
            self.pop(at);
            self.mark(opened);
            // Within what is too deep, that it is too deep is enough to say.
            if reported < UNCLOSED_AT_ONCE && self.stack.len() < MAX_NESTING {
                reported += 1;
                let diagnostic = self.unclosed(opened).related(self.span(at), sign);
                self.outcome.diagnostics.push(diagnostic);
            }
        }
    }

    fn unclosed(&self, opened: usize) -> Diagnostic {
        let bracket = self.byte(opened);
        Diagnostic::new(Code::Syntax, self.span(opened), format!("this `{bracket}` is never closed"))
            .label(format!("no matching `{}`", closing(bracket)))
    }

    /// Handles a closing bracket; false if it is a brace that closes nothing.
    fn close(&mut self, at: usize) -> bool {
        let bracket = self.byte(at);
        if bracket == '}' {
            if self.braces > 0 {
                self.unwind_to_brace(at, "before the end of this block");
                self.pop(at + 1);
                return true;
            }
            self.nothing_to_close(at);
            return false;
        }
        match self.stack.last() {
            Some(&opened) if closing(self.byte(opened)) == bracket => {
                self.pop(at + 1);
            }
            Some(&opened) if self.byte(opened) != '{' => self.mismatched(opened, at),
            _ => self.nothing_to_close(at),
        }
        true
    }

    fn nothing_to_close(&mut self, at: usize) {
        let bracket = self.byte(at);
        self.mark(at);
        self.outcome.diagnostics.push(
            Diagnostic::new(Code::Syntax, self.span(at), format!("this `{bracket}` closes nothing"))
                .label(format!("no matching `{}`", opening(bracket))),
        );
    }

    /// `[ … )`: the closing bracket belongs to the next one further out if that one fits.
    fn mismatched(&mut self, opened: usize, at: usize) {
        let (found, bracket) = (self.byte(at), self.byte(opened));
        self.pop(at + 1);
        self.mark(opened);
        if self.stack.len() < MAX_NESTING {
            let message = format!("expected `{}`, found `{found}`", closing(bracket));
            let diagnostic = Diagnostic::new(Code::Syntax, self.span(at), message)
                .label("the wrong closing bracket")
                .related(self.span(opened), format!("this `{bracket}` is still open"));
            self.outcome.diagnostics.push(diagnostic);
        }
        match self.stack.last() {
            Some(&outer) if closing(self.byte(outer)) == found => {
                self.pop(at + 1);
            }
            _ => self.mark(at),
        }
    }

    /// Closes what is open before a declaration, by writing over a blank byte between it and the code before it.
    /// False if there is none: then the text ends there.
    fn close_before_item(&mut self, at: usize, last: usize) -> bool {
        self.outcome.missing = self.unwind_all(last, Some(at), false);
        if !self.outcome.missing {
            return true;
        }
        if last == at {
            self.outcome.truncated = Some(last);
            return false;
        }
        self.outcome.missing = false;
        self.outcome.edits.push((last, b'}'));
        true
    }

    /// Closes everything at the end of the text; true if no brace was open.
    fn end(&mut self, length: usize, cut: bool) -> bool {
        let is_balanced = self.braces == 0;
        self.outcome.missing = self.unwind_all(length, None, cut);
        is_balanced
    }

    /// Takes everything away and tells whether the outermost is a brace: that one is closed, because it holds
    /// statements that can be read. The others only spoil their statement.
    fn unwind_all(&mut self, end: usize, item: Option<usize>, silent: bool) -> bool {
        let mut missing = false;
        let mut reported = 0;
        while let Some(opened) = self.pop(end) {
            if self.stack.len() >= MAX_NESTING {
                continue;
            }
            missing = self.stack.is_empty() && self.byte(opened) == '{';
            if !missing {
                self.mark(opened);
            }
            if !silent && reported < UNCLOSED_AT_ONCE {
                reported += 1;
                let diagnostic = self.unclosed(opened);
                self.outcome.diagnostics.push(match item {
                    Some(at) => diagnostic.related(self.span(at), "before this declaration"),
                    None => diagnostic,
                });
            }
        }
        missing
    }
}

fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn opening(bracket: char) -> char {
    match bracket {
        ')' => '(',
        ']' => '[',
        _ => '{',
    }
}
