//! Bodies in braces: pairs of the grammar go in, [`Member`]s and results come out.
//!
//! A body that needs a result, or a `yield`, is told from one that has none. What single statements hold is the
//! business of `member.rs`; whether they may stand where they stand (`input` in a layer) is judged later.

use crate::ast::{Binding, Block, Docs, Expr, ExprKind, Measure, Member, Name, Pattern, Shared, Train};
use crate::build::{Builder, doc_line};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Built, invalid};
use crate::source::Span;
use crate::spelling::closest;
use crate::syntax::{Pair, Rule, STATEMENT_KEYWORDS};

/// An output of which nothing is known; no program can have its name, so it meets no other.
pub(crate) fn unknown_output(span: Span) -> Member {
    let name = Name { text: "output".to_owned(), span };
    Member::Output(Binding { docs: Docs::new(), name, others: Vec::new(), pattern: None, value: invalid(span) })
}

/// What a pair of braces held.
pub(crate) struct Body {
    pub(crate) members: Vec<Member>,
    /// The last expression, and whether a `;` follows it.
    last: Option<(Expr, bool)>,
    /// The first `yield`.
    yields: Option<Yields>,
    /// Whether a part of it has been complained about, so that a missing result may be due to that.
    is_broken: bool,
    pub(crate) depth: usize,
    span: Span,
}

/// `yield a, b`
struct Yields {
    values: Vec<Expr>,
    /// From the keyword to the last value.
    span: Span,
    is_last: bool,
}

impl Builder<'_> {
    /// The body of a network: there is no result.
    pub(crate) fn network_body(&mut self, pair: Pair<'_>) -> Vec<Member> {
        let body = self.body(pair);
        if let Some(yields) = &body.yields {
            self.misplaced_yield(yields);
        }
        if let Some((expr, _)) = body.last {
            self.nameless(&expr);
        }
        body.members
    }

    /// The body of a layer.
    pub(crate) fn layer_body(&mut self, pair: Pair<'_>) -> Block {
        self.block(pair, "layer").tree
    }

    /// A branch of an `if`.
    pub(crate) fn branch(&mut self, pair: Pair<'_>) -> Built<Block> {
        self.block(pair, "branch")
    }

    /// A body that ends with its result.
    fn block(&mut self, pair: Pair<'_>, noun: &str) -> Built<Block> {
        let body = self.body(pair);
        self.with_result(body, noun)
    }

    /// The body of a `scan`, and what it yields: at least one value.
    pub(crate) fn scan_body(&mut self, pair: Pair<'_>) -> Built<(Vec<Member>, Vec<Expr>)> {
        let body = self.body(pair);
        let close = self.last_of(body.span);
        let yields = match (body.yields, body.last) {
            (Some(yields), last) => {
                if !yields.is_last && !body.is_broken {
                    self.report(
                        Diagnostic::new(Code::Syntax, yields.span, "`yield` is the last statement of a scan")
                            .label("statements follow it"),
                    );
                }
                if let Some((expr, _)) = last {
                    self.nameless(&expr);
                }
                yields.values
            }
            (None, Some((expr, _))) => {
                let shown = self.excerpt(expr.span);
                self.report(
                    Diagnostic::new(Code::Syntax, expr.span, "expected `yield` before what a step of the scan yields")
                        .label("expected `yield` before this")
                        .help(format!("write `yield {shown}`")),
                );
                vec![expr]
            }
            (None, None) => {
                if !body.is_broken {
                    self.report(
                        Diagnostic::new(Code::Syntax, close, "expected the `yield` of the scan before `}`")
                            .label("expected `yield …` before this")
                            .note("the body of a scan ends with what a step yields: `yield h`"),
                    );
                }
                vec![invalid(close)]
            }
        };
        Built { tree: (body.members, yields), depth: body.depth }
    }

    /// `yield` where no `scan` is.
    fn misplaced_yield(&mut self, yields: &Yields) {
        self.report(
            Diagnostic::new(Code::Syntax, yields.span, "`yield` stands in the body of a `scan`")
                .label("not in the body of a scan"),
        );
    }

    fn with_result(&mut self, mut body: Body, noun: &str) -> Built<Block> {
        if let Some(yields) = body.yields.take() {
            let result = yields.values.first().map_or(yields.span, |value| value.span);
            let shown = self.excerpt(result);
            self.report(
                Diagnostic::new(Code::Syntax, yields.span, "`yield` stands in the body of a `scan`")
                    .label("not in the body of a scan")
                    .help(format!("the result of a {noun} is written without `yield`: `{shown}`")),
            );
            body.is_broken = true;
        }
        let value = match body.last {
            Some((expr, false)) => expr,
            Some((expr, true)) => {
                let semicolon = self.semicolon_after(expr.span);
                self.report(
                    Diagnostic::new(Code::Syntax, semicolon, format!("the result of a {noun} has no `;` after it"))
                        .label("unexpected `;`")
                        .related(expr.span, "this is the result")
                        .help("remove the `;`"),
                );
                expr
            }
            None => {
                let close = self.last_of(body.span);
                if !body.is_broken {
                    let message = format!("expected the result of the {noun} before `}}`");
                    self.report(
                        Diagnostic::new(Code::Syntax, close, message)
                            .label("expected an expression before this")
                            .note(format!("a {noun} ends with its result: an expression without `;`")),
                    );
                }
                invalid(close)
            }
        };
        Built { tree: Block { members: body.members, value }, depth: body.depth }
    }

    /// The place of the semicolon that ends a statement.
    fn semicolon_after(&self, span: Span) -> Span {
        let end = span.end as usize;
        let blanks = self.text.get(end..).map_or(0, |rest| rest.len() - rest.trim_start().len());
        self.bytes(end + blanks, end + blanks + 1)
    }

    fn body(&mut self, pair: Pair<'_>) -> Body {
        let span = self.span(&pair);
        let mut body = Body { members: Vec::new(), last: None, yields: None, is_broken: false, depth: 1, span };
        for piece in pair.into_inner().filter(|piece| !matches!(piece.as_rule(), Rule::open_brace | Rule::close_brace))
        {
            if let Some((expr, _)) = body.last.take() {
                self.nameless(&expr);
            }
            if let Some(yields) = &mut body.yields {
                yields.is_last = false;
            }
            match piece.as_rule() {
                Rule::statement => self.statement(piece, &mut body),
                Rule::stray_doc => self.stray_doc(&piece),
                Rule::broken_statement => {
                    self.explain(&piece, Rule::statement, "statement");
                    body.is_broken = true;
                    let named = self.named_within(&piece, &body.members);
                    body.members.extend(self.broken_statement(piece));
                    body.members.extend(named);
                }
                _ => {}
            }
        }
        body
    }

    /// An expression where only statements may stand.
    fn nameless(&mut self, expr: &Expr) {
        if expr.kind == ExprKind::Invalid {
            return;
        }
        if let ExprKind::Name(word) = &expr.kind
            && self.is_followed_by_name(expr.span)
        {
            self.not_a_statement(word, expr.span);
            return;
        }
        let shown = self.excerpt(expr.span);
        self.report(
            Diagnostic::new(Code::Syntax, expr.span, "the expression is not used")
                .label("its value has no name")
                .help(format!("give it a name: `name = {shown};`")),
        );
    }

    fn is_followed_by_name(&self, span: Span) -> bool {
        let rest = self.text.get(span.end as usize..).unwrap_or("").trim_start_matches([' ', '\t']);
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    /// `ouput y = …`
    pub(crate) fn not_a_statement(&mut self, word: &str, span: Span) {
        let diagnostic = Diagnostic::new(Code::Syntax, span, format!("`{word}` does not begin a statement"))
            .label("not a keyword of the language");
        self.report(match (word, closest(word, STATEMENT_KEYWORDS.iter().copied())) {
            ("let" | "var" | "val" | "mut" | "auto", _) => diagnostic.help("a binding is written `name = …;`"),
            ("return", _) => diagnostic.help("a layer ends with its result: an expression without `return` and `;`"),
            ("for" | "while" | "loop", _) => diagnostic.help(
                "layers upon each other are `x |> repeat 3 { … }`, the steps of a sequence `scan x_t in x with … { … }`",
            ),
            (_, Some(meant)) => diagnostic.help(format!("did you mean `{meant}`?")),
            _ => diagnostic,
        });
    }

    fn statement(&mut self, pair: Pair<'_>, body: &mut Body) {
        let mut docs = Docs::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::doc => docs.push(doc_line(&piece)),
                Rule::binding => self.binding(piece, &mut docs, body),
                Rule::bare => self.bare(piece, body),
                _ => self.keyword_statement(piece, &mut docs, body),
            }
        }
    }

    /// `yield a, b`
    pub(crate) fn yields(&mut self, pair: Pair<'_>, body: &mut Body) {
        let whole = self.span(&pair);
        let mut values = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::strict_yield => {
                    let parts = piece.into_inner().filter(|part| part.as_rule() == Rule::expr);
                    for part in parts {
                        values.push(self.expr_of(part, body));
                    }
                }
                Rule::broken_value => {
                    self.explain(&piece, Rule::strict_yield, "yield");
                    values.push(invalid(self.span(&piece)));
                }
                _ => {}
            }
        }
        let yields = Yields { values, span: self.without_semicolon(whole), is_last: true };
        body.yields.get_or_insert(yields);
    }

    /// `strict_value` or what was swallowed in its place.
    pub(crate) fn value(&mut self, pair: Pair<'_>, noun: &str) -> Built<Expr> {
        let span = self.span(&pair);
        let mut built = Built { tree: invalid(span), depth: 1 };
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::strict_value => {
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::expr => built = self.expr(part),
                            Rule::end => self.end(part, built.tree.span, noun),
                            _ => {}
                        }
                    }
                }
                Rule::broken_value => self.explain(&piece, Rule::strict_value, noun),
                _ => {}
            }
        }
        built
    }

    pub(crate) fn value_of(&mut self, pair: Pair<'_>, noun: &str, body: &mut Body) -> Expr {
        let built = self.value(pair, noun);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    pub(crate) fn expr_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Expr {
        let built = self.expr(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    pub(crate) fn pattern_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Pattern {
        let built = self.pattern(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    pub(crate) fn dims_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Vec<Expr> {
        let built = self.list(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    /// Reports a missing semicolon after `before`.
    pub(crate) fn end(&mut self, pair: Pair<'_>, before: Span, noun: &str) {
        let start = pair.as_span().start();
        let is_missing = pair.into_inner().any(|piece| piece.as_rule() == Rule::missing_semicolon);
        if !is_missing || self.is_marked(start) {
            return;
        }
        let found = self.found(start);
        let span = self.last_of(before);
        self.report(
            Diagnostic::new(Code::Syntax, span, format!("expected `;` after the {noun}, found {found}"))
                .label("expected `;` after this"),
        );
    }

    fn bare(&mut self, pair: Pair<'_>, body: &mut Body) {
        let mut expr = None;
        let mut has_semicolon = false;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::expr => expr = Some(self.expr_of(piece, body)),
                Rule::end => has_semicolon = piece.as_str().starts_with(';'),
                _ => {}
            }
        }
        body.last = expr.map(|expr| (expr, has_semicolon));
    }

    /// The span up to its semicolon.
    pub(crate) fn without_semicolon(&self, span: Span) -> Span {
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let kept = written.strip_suffix(';').unwrap_or(written).trim_end();
        Span { end: span.start + kept.len() as u32, ..span }
    }

    /// What a statement that could not be read would have declared.
    fn broken_statement(&mut self, pair: Pair<'_>) -> Option<Member> {
        let span = self.span(&pair);
        let mut docs = Docs::new();
        let mut keyword = "";
        let mut name = None;
        let mut pieces = pair.into_inner();
        for piece in pieces.by_ref() {
            match piece.as_rule() {
                Rule::doc => docs.push(doc_line(&piece)),
                Rule::statement_keyword => keyword = piece.as_str(),
                Rule::name => name = Some(Name { text: piece.as_str().to_owned(), span: self.span(&piece) }),
                Rule::other if keyword.is_empty() && name.is_none() && self.is_declared(&piece) => {
                    name = Some(Name { text: piece.as_str().to_owned(), span: self.span(&piece) });
                    break;
                }
                _ => break,
            }
        }
        let value = invalid(span);
        match keyword {
            "loss" => Some(Member::Loss(Measure { docs, name, value, updates: Vec::new(), span })),
            "metric" => Some(Member::Metric(Measure { docs, name, value, updates: Vec::new(), span })),
            "train" => Some(Member::Train(Train { settings: Vec::new(), span })),
            "shared" => Some(Member::Shared(Shared { docs, name: name?, value })),
            // The name, if any, is declared elsewhere.
            "assert" | "budget" | "freeze" | "penalty" | "update" | "yield" => None,
            "output" => Some(match name {
                Some(name) => Member::Output(Binding { docs, name, others: Vec::new(), pattern: None, value }),
                None => unknown_output(span),
            }),
            // An input whose dimensions are unknown would be an input without dimensions: a value of unknown shape is
            // what nobody complains about.
            _ => Some(Member::Binding(Binding { docs, name: name?, others: Vec::new(), pattern: None, value })),
        }
    }

    /// What statements within the braces of a piece that could not be read would have declared, unless it is known.
    fn named_within(&self, pair: &Pair<'_>, known: &[Member]) -> Vec<Member> {
        let (start, written) = (pair.as_span().start(), pair.as_str());
        let mut names: Vec<Name> = Vec::new();
        for (at, _) in written.match_indices('=') {
            let (before, after) = (written[..at].trim_end(), &written[at + 1..]);
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let rest = before.trim_end_matches(is_word);
            let text = &before[rest.len()..];
            let begins = text.starts_with(|c: char| c.is_ascii_alphabetic()) && !crate::syntax::is_keyword(text);
            let is_first = rest.trim_end().ends_with(['{', ';']);
            let is_known =
                known.iter().any(|member| matches!(member, Member::Binding(binding) if binding.name.text == text))
                    || names.iter().any(|name| name.text == text);
            if begins && is_first && !after.starts_with(['=', '>']) && !is_known {
                let span = self.bytes(start + rest.len(), start + before.len());
                names.push(Name { text: text.to_owned(), span });
            }
        }
        let binding = |name: Name| {
            let value = invalid(name.span);
            Member::Binding(Binding { docs: Docs::new(), name, others: Vec::new(), pattern: None, value })
        };
        names.into_iter().map(binding).collect()
    }

    /// Whether the word is followed by `=` or `:`.
    fn is_declared(&self, word: &Pair<'_>) -> bool {
        let rest = self.text.get(word.as_span().end()..).unwrap_or("").trim_start();
        let is_name = word.as_str().starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        is_name
            && !crate::syntax::is_keyword(word.as_str())
            && (rest.starts_with(':') || (rest.starts_with('=') && !rest.starts_with("==")))
    }
}
