//! Finds the words for what the grammar could not read.
//!
//! A swallowed piece and the strict rule that should have read it go in; one diagnostic comes out, at the place where the
//! rule got stuck. Only the failed piece is read again, so the cost is that of the piece.

use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};

use crate::build::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::literal::size;
use crate::scan::MARK;
use crate::spelling::closest;
use crate::syntax::{ITEM_KEYWORDS, Pair, Rule, STATEMENT_KEYWORDS, Syntax, is_keyword};

/// Longer words of the source are not quoted in full.
const QUOTED: usize = 30;

/// So many bytes after a piece are read again with it.
const BEYOND: usize = 200;

/// What could stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Expected {
    /// Something that the piece needs: `;`, a value.
    Needed(&'static str),
    /// Something that could go on; only said if nothing is needed.
    Possible(&'static str),
}

/// Where a rule got stuck.
struct Place<'a> {
    at: usize,
    /// What stands there.
    token: &'a str,
    /// The text before it, without the blanks at its end.
    before: &'a str,
    /// What was expected.
    list: &'a [&'a str],
    rule: Rule,
    /// The word before it.
    previous: &'a str,
    /// The first word of the piece.
    first: &'a str,
    /// Whether a condition of an `if` has just been read.
    is_condition: bool,
}

impl Builder<'_> {
    /// Reports why `rule` cannot read the swallowed piece. `noun` names the piece: "expected `;` after the binding".
    pub(crate) fn explain(&mut self, pair: &Pair<'_>, rule: Rule, noun: &str) {
        if self.is_reported(pair) || self.is_full() {
            return;
        }
        let start = pair.as_span().start();
        // The rule gets stuck within the piece or at a token soon after; errors of pest cost time for all of the line.
        let end = pair.as_span().end();
        let Some(beyond) = self.text.get(end..) else { return };
        let Some(rest) = self.text.get(start..end + whole_pieces(beyond, BEYOND)) else { return };
        match Syntax::parse(rule, rest) {
            Err(error) => self.stuck(&error, start, rule, noun),
            Ok(_) => {
                let span = self.span(pair);
                self.report(Diagnostic::new(Code::Syntax, span, format!("this {noun} cannot be read")));
            }
        }
    }

    /// Reports that the whole text could not be read, which recovery prevents unless the stack is nearly exhausted.
    pub(crate) fn unreadable(&mut self, error: &Error<Rule>) {
        self.stuck(error, 0, Rule::file, "declaration");
    }

    /// Whether something in the piece has been reported before the grammar saw it.
    pub(crate) fn is_reported(&self, pair: &Pair<'_>) -> bool {
        pair.as_str().bytes().any(|byte| byte == MARK)
    }

    /// Whether what stands at this place has been reported.
    pub(crate) fn is_marked(&self, at: usize) -> bool {
        self.text.as_bytes().get(at) == Some(&MARK)
    }

    /// What stands at a place, as a message calls it.
    pub(crate) fn found(&self, at: usize) -> String {
        let word = self.token(at);
        match word.chars().next() {
            None => "the end of the file".to_owned(),
            Some('"') => "a text".to_owned(),
            Some('/') if word.len() > 1 => "a doc comment".to_owned(),
            _ if word.len() > QUOTED => format!("`{}…`", word.chars().take(QUOTED).collect::<String>()),
            _ if is_keyword(word) => format!("the keyword `{word}`"),
            _ => format!("`{word}`"),
        }
    }

    /// The token at a place, empty at the end of the source.
    fn token(&self, at: usize) -> &str {
        let length = self.bytes(0, usize::MAX).end as usize;
        let rest = self.text.get(at.min(length)..length).unwrap_or("");
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if word > 0 {
            return &rest[..word];
        }
        if rest.starts_with('"') || rest.starts_with("//") {
            // Both end with their line at the latest.
            let line = rest.lines().next().unwrap_or("");
            let closed = line[1..].find('"').map_or(line.len(), |end| end + 2);
            return if rest.starts_with('"') { &line[..closed] } else { line };
        }
        let pairs = ["|>", "==", "!=", "<=", ">=", "..", "&&", "||", "**", "=>", "->", "::"];
        match pairs.iter().find(|pair| rest.starts_with(**pair)) {
            Some(pair) => &rest[..pair.len()],
            None => rest.chars().next().map_or("", |c| &rest[..c.len_utf8()]),
        }
    }

    fn stuck(&mut self, error: &Error<Rule>, start: usize, rule: Rule, noun: &str) {
        let at = start
            + match error.location {
                InputLocation::Pos(at) => at,
                InputLocation::Span((at, _)) => at,
            };
        if self.is_marked(at) {
            return;
        }
        let mut expected: Vec<Expected> = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives.iter().filter_map(|&rule| words(rule)).collect(),
            ErrorVariant::CustomError { .. } => {
                // pest stops by itself before the stack ends, if a caller has left very little of it.
                let message = "the text is nested too deeply for the stack";
                self.report(Diagnostic::new(Code::NestingTooDeep, self.bytes(at, at + 1), message));
                return;
            }
        };
        expected.sort();
        expected.dedup();

        let before = self.text.get(..at).unwrap_or("").trim_end();
        let previous = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
        let first_at = start + self.first_word(start);
        let first = self.token(first_at).to_owned();
        let token = self.token(at).to_owned();
        let here = self.bytes(at, at + token.len());

        // What keywords are where they are used as names was said where they were declared.
        let read = self.text.get(start..at + token.len()).unwrap_or("");
        let mut words = read.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if !self.taken.is_empty() && words.any(|word| self.taken.contains(word)) {
            return;
        }

        let is_second = before.len() == first_at + first.len();
        let is_word = first.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !is_keyword(&first);
        let starts_anew = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '{');
        if rule == Rule::statement && is_second && is_word && starts_anew {
            self.not_a_statement(&first, self.bytes(first_at, before.len()));
            return;
        }

        if rule == Rule::item && ["layer", "network"].contains(&&*first) {
            // A body without braces is seen as missing at the end of the file only.
            let head = self.text.get(first_at + first.len()..).unwrap_or("").trim_start();
            let name = head.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let colon = self.text.len() - name.trim_start().len();
            if name.trim_start().starts_with(':') {
                let message = format!("expected `{{` after the head of a {first}, found `:`");
                self.report(
                    Diagnostic::new(Code::Syntax, self.bytes(colon, colon + 1), message)
                        .label("expected `{`")
                        .help("the body stands in braces, and `;` ends a statement"),
                );
                return;
            }
        }

        let needed: Vec<&str> = expected
            .iter()
            .filter_map(|expected| match expected {
                Expected::Needed(words) => Some(*words),
                Expected::Possible(_) => None,
            })
            .collect();
        let all = expected.iter().map(|expected| match expected {
            Expected::Needed(words) | Expected::Possible(words) => *words,
        });
        let mut list: Vec<&str> = if needed.is_empty() { all.collect() } else { needed };
        if before.ends_with("|>") {
            list = vec!["a layer or function"];
        }
        for alone in [TEMPLATE, PATH, VALUE] {
            if list.contains(&alone) {
                list = vec![alone];
            }
        }
        if rule == Rule::template && list == [VALUE] {
            list = vec![TEMPLATE];
        }
        if list.contains(&"`{`") {
            list.retain(|words| *words != "`(`");
        }
        if rule == Rule::strict_version && list == [VALUE] {
            list = vec!["a number"];
        }
        if list.contains(&"`:`") {
            list.retain(|words| *words != "`=`");
        }
        let is_value = token.starts_with(|c: char| c.is_ascii_digit() || c == '"');
        if rule == Rule::statement && is_second && is_word && is_value {
            list = vec!["`=`"];
        }
        list.sort_by_key(|words| *words != "`,`");
        if list.is_empty() && rule == Rule::item {
            list = vec![DECLARATION];
        }
        if list.is_empty() && rule == Rule::statement {
            list = vec!["a statement"];
        }
        let wanted = if list.is_empty() { "something else".to_owned() } else { enumerate(&list) };
        let context = match list.as_slice() {
            ["`;`"] => format!(" after the {noun}"),
            ["a layer or function"] if before.ends_with("|>") => " after `|>`".to_owned(),
            [VALUE] => after_operator(before),
            [NAME] if is_keyword(previous) => format!(" after `{previous}`"),
            _ => String::new(),
        };
        let message = format!("expected {wanted}{context}, found {}", self.found(at));

        // A mistake that shows on a later line belongs to where the line before ends.
        let gap = self.text.get(before.len()..at).unwrap_or("");
        let is_late = before.len() > start && (gap.contains('\n') || token.is_empty());
        let diagnostic = if is_late {
            let span = self.last_of(self.bytes(0, before.len()));
            Diagnostic::new(Code::Syntax, span, message).label(format!("expected {wanted} after this"))
        } else {
            Diagnostic::new(Code::Syntax, here, message).label(format!("expected {wanted}"))
        };
        let is_condition = list == ["`{`"] && expected.contains(&Expected::Possible("an operator"));
        let place = Place { at, token: &token, before, list: &list, rule, previous, first: &first, is_condition };
        let diagnostic = self.with_help(diagnostic, &place);
        self.report(diagnostic);
    }

    /// How far the first word is from the start of a piece: documentation may stand before it.
    fn first_word(&self, start: usize) -> usize {
        let piece = self.text.get(start..).unwrap_or("");
        let mut rest = piece;
        while rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| rest[end..].trim_start());
        }
        piece.len() - rest.len()
    }

    /// Adds what helps against common slips.
    fn with_help(&self, diagnostic: Diagnostic, place: &Place<'_>) -> Diagnostic {
        let &Place { at, token, before, list, rule, previous, first, is_condition } = place;
        let is_adjacent = before.len() == at;
        let next = self.text.as_bytes().get(at + 1);
        if token == "." && is_adjacent && before.ends_with(|c: char| c.is_ascii_digit()) {
            let digits = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("1");
            return diagnostic.help(format!("write `{digits}.0`"));
        }
        if token == "." && next.is_some_and(u8::is_ascii_digit) {
            return diagnostic.help(format!("write `0.{}`", self.token(at + 1)));
        }
        if token.starts_with("//") {
            return diagnostic.help("documentation stands before what it documents; write `//` for a plain comment");
        }
        let follows = self.text.get(at + token.len()..).unwrap_or("").trim_start();
        if token == "." && is_adjacent && follows.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return diagnostic.help(format!("there are no methods: write `|> {}`", self.token(at + 1)));
        }
        if let (true, Some(unit)) = (before.ends_with(|c: char| c.is_ascii_digit()), size(token)) {
            return diagnostic.help(format!("a size is one word: `{previous}_{unit}`"));
        }
        if token == "=" && list == ["`:`"] {
            return diagnostic.help(match (first, follows.starts_with('[')) {
                ("param" | "state", _) => format!("it has dimensions: `{first} {previous}: [dimensions] = …;`"),
                (_, true) => format!("write `{first} {previous}: [dimensions];`"),
                _ => format!("what is computed has no `{first}` before it: `{previous} = …;`"),
            });
        }
        if token == "{" && list == ["`=`"] && first == "fn" {
            return diagnostic.help("a formula is one expression: `fn name(x) = …;`; a `layer` has a body in braces");
        }
        if list == [FIELD] {
            return match token {
                "int" | "integer" | "long" | "usize" | "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => {
                    diagnostic
                        .help("whole numbers from 0 up to a bound are `index(bound)`, many of them `index(bound)[n]`")
                }
                "float" | "f16" | "f64" | "double" | "number" | "tensor" => {
                    diagnostic.help("numbers are `f32`, which goes without saying: write the dimensions, such as `[n]`")
                }
                _ => diagnostic,
            };
        }
        if token == "=" && is_condition {
            return diagnostic.help("to compare, write `==`");
        }
        if token == "=" && ["loss", "metric", "output"].contains(&previous) {
            return diagnostic.help(format!("write `{previous} name = …;`"));
        }
        if token == "=" && previous == "penalty" {
            return diagnostic.help("a penalty has no name: write `penalty …;`");
        }
        if rule == Rule::item && previous == "import" && list == [TEXT] {
            return diagnostic.help(format!("write `import \"{token}.dln\";`"));
        }
        if rule == Rule::item && token == "version" && list == [DECLARATION] {
            return diagnostic.help("`version` stands before all declarations");
        }
        if token == ".." && list == ["`{`"] {
            return diagnostic.help("name what counts: `repeat i in 0..n { … }`");
        }
        if list == ["`..`"] {
            return diagnostic.help("write `repeat i in 0..n { … }`, or `repeat n { … }` without a name");
        }
        if is_keyword(token) && list == [NAME] {
            return diagnostic.note(format!("`{token}` is a word of the language and cannot be a name"));
        }
        if rule == Rule::statement && ITEM_KEYWORDS.contains(&token) && list == ["a statement"] {
            return diagnostic.help("declare it outside of the braces");
        }
        if rule == Rule::item && list == [DECLARATION] {
            if let "def" | "function" | "func" | "class" | "struct" | "model" | "module" = token {
                return diagnostic.help("a formula is a `fn`, what holds parameters a `layer`, the whole a `network`");
            }
            if STATEMENT_KEYWORDS.contains(&token) || follows.starts_with('=') {
                return diagnostic.help("statements stand within the braces of a `network` or `layer`");
            }
            if let Some(meant) = closest(token, ITEM_KEYWORDS.iter().copied()) {
                return diagnostic.help(format!("did you mean `{meant}`?"));
            }
        }
        diagnostic
    }
}

/// The length of the longest beginning of at most `limit` bytes that cuts neither brackets nor texts nor documentation
/// apart. What opens must close: recovery is made for balanced text, and would try every bracket left open twice.
fn whole_pieces(text: &str, limit: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut open, mut whole) = (0, 0usize, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        at += match rest[0] {
            b'"' => {
                let mut length = 1;
                while rest.get(length).is_some_and(|byte| !matches!(byte, b'"' | b'\n')) {
                    length += if rest[length] == b'\\' { 2 } else { 1 };
                }
                length + 1
            }
            b'/' if rest.starts_with(b"//") => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
            _ => 1,
        };
        match rest[0] {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if at > limit {
            break;
        }
        if open == 0 && text.is_char_boundary(at) {
            whole = at;
        }
    }
    whole
}

const VALUE: &str = "a value";
const NAME: &str = "a name";
const FIELD: &str = "`[dimensions]`, `f32` or `index(bound)`";
const TEXT: &str = "a text in quotes";
const TEMPLATE: &str = "a network template";
const PATH: &str = "a parameter path such as `features.*`";

/// What may stand at the top level.
const DECLARATION: &str = "a declaration (`const`, `fn`, `import`, `layer` or `network`)";

/// `a`, `a or b`, `a, b or c`
fn enumerate(list: &[&str]) -> String {
    match list {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// Says after which operator a value is missing.
fn after_operator(before: &str) -> String {
    let operators =
        ["==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "@", "^", "<", ">", "=", "(", "[", ",", "and", "or", "not"];
    match operators.iter().find(|operator| before.ends_with(**operator)) {
        Some(operator) => format!(" after `{operator}`"),
        None => String::new(),
    }
}

/// What a rule that failed would have read; nothing for rules that recover.
fn words(rule: Rule) -> Option<Expected> {
    use Expected::{Needed, Possible};
    Some(match rule {
        Rule::expr
        | Rule::header
        | Rule::sequences
        | Rule::operation
        | Rule::plain_operation
        | Rule::strict_value
        | Rule::value
        | Rule::number
        | Rule::boolean
        | Rule::conditional
        | Rule::paren
        | Rule::call
        | Rule::callee
        | Rule::prefix
        | Rule::argument
        | Rule::element
        | Rule::pattern_dim
        | Rule::repeat
        | Rule::scan
        | Rule::strict_loss
        | Rule::strict_param
        | Rule::strict_yield
        | Rule::bare => Needed(VALUE),
        Rule::name
        | Rule::declared
        | Rule::declared_here
        | Rule::step
        | Rule::bound
        | Rule::parameter
        | Rule::setting
        | Rule::carry
        | Rule::limit => Needed(NAME),
        Rule::template => Needed(TEMPLATE),
        Rule::constraint => Needed("a constraint"),
        Rule::path | Rule::paths => Needed(PATH),
        Rule::kw_in => Needed("`in`"),
        Rule::kw_with => Possible("`with`"),
        Rule::kw_until => Possible("`until`"),
        Rule::kw_updates => Possible("`updates`"),
        Rule::kw_where => Possible("`where`"),
        Rule::rest => Needed("`..`"),
        Rule::limit_sign => Needed("`<`"),
        Rule::dot => Possible("`.`"),
        Rule::star => Possible("`*`"),
        Rule::stage => Needed("a layer or function"),
        Rule::text => Needed(TEXT),
        Rule::end | Rule::semicolon => Needed("`;`"),
        Rule::comma => Needed("`,`"),
        Rule::close_paren => Needed("`)`"),
        Rule::close_bracket => Needed("`]`"),
        Rule::close_brace => Needed("`}`"),
        Rule::block | Rule::stages | Rule::open_brace => Needed("`{`"),
        Rule::parameters => Needed("`(`"),
        Rule::list | Rule::pattern | Rule::open_bracket => Possible("`[`"),
        Rule::field => Needed(FIELD),
        Rule::statement => Needed("a statement"),
        Rule::item => Needed(DECLARATION),
        Rule::kw_network => Needed("`network`"),
        Rule::equals | Rule::instance => Possible("`=`"),
        Rule::colon => Possible("`:`"),
        Rule::arguments | Rule::open_paren => Possible("`(`"),
        Rule::infix => Possible("an operator"),
        Rule::pipe => Possible("`|>`"),
        _ => return None,
    })
}
