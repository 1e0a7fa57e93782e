//! Statements: pairs of the grammar go in, [`Member`]s and blocks come out.
//!
//! Whether a statement may stand where it stands (`input` in a layer) is judged later. Here a body that needs a result is
//! told from one that has none.

use crate::ast::{
    Assert, Binding, Block, Docs, Element, Expr, ExprKind, Field, Measure, Member, Name, Param, Pattern, Train,
};
use crate::build::{Builder, doc_line};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Built, invalid};
use crate::source::Span;
use crate::spelling::closest;
use crate::syntax::{Pair, RESERVED, Rule, STATEMENT_KEYWORDS};

/// What a pair of braces held.
struct Body {
    members: Vec<Member>,
    /// The last expression, and whether a `;` follows it.
    last: Option<(Expr, bool)>,
    /// Whether a part of it has been complained about, so that a missing result may be due to that.
    is_broken: bool,
    depth: usize,
    span: Span,
}

impl Builder<'_> {
    /// The body of a network: there is no result.
    pub(crate) fn network_body(&mut self, pair: Pair<'_>) -> Vec<Member> {
        let body = self.body(pair);
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

    fn with_result(&mut self, body: Body, noun: &str) -> Built<Block> {
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
        let mut body = Body { members: Vec::new(), last: None, is_broken: false, depth: 1, span };
        for piece in pair.into_inner() {
            if let Some((expr, _)) = body.last.take_if(|_| piece.as_rule() != Rule::close_brace) {
                self.nameless(&expr);
            }
            match piece.as_rule() {
                Rule::statement => self.statement(piece, &mut body),
                Rule::stray_doc => self.stray_doc(&piece),
                Rule::broken_statement => {
                    self.explain(&piece, Rule::statement, "statement");
                    body.is_broken = true;
                    body.members.extend(self.broken_statement(piece));
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
            // A reserved word has been reported as a name.
            if !RESERVED.contains(&word.as_str()) {
                self.not_a_statement(word, expr.span);
            }
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
            ("let" | "var" | "val", _) => diagnostic.help("a binding is written `name = …;`"),
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

    /// A statement that begins with its keyword.
    fn keyword_statement(&mut self, piece: Pair<'_>, docs: &mut Docs, body: &mut Body) {
        let member = match piece.as_rule() {
            Rule::input => self.field(piece, docs, "input", body).map(Member::Input),
            Rule::label => self.field(piece, docs, "label", body).map(Member::Label),
            Rule::output => Some(Member::Output(self.output(piece, docs, body))),
            Rule::loss => Some(Member::Loss(self.measure(piece, docs, "loss", body))),
            Rule::metric => Some(Member::Metric(self.measure(piece, docs, "metric", body))),
            Rule::param => self.param(piece, docs, body).map(Member::Param),
            Rule::assertion => self.assertion(piece, body).map(Member::Assert),
            Rule::train => Some(Member::Train(self.train(piece, body))),
            _ => None,
        };
        body.members.extend(member);
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

    fn value_of(&mut self, pair: Pair<'_>, noun: &str, body: &mut Body) -> Expr {
        let built = self.value(pair, noun);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    fn expr_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Expr {
        let built = self.expr(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    fn pattern_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Pattern {
        let built = self.pattern(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    fn dims_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Vec<Expr> {
        let built = self.list(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    /// Reports a missing semicolon after `before`.
    fn end(&mut self, pair: Pair<'_>, before: Span, noun: &str) {
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

    fn field(&mut self, pair: Pair<'_>, docs: &mut Docs, noun: &str, body: &mut Body) -> Option<Field> {
        let mut name: Option<Name> = None;
        let mut element = Element::F32;
        let mut dims = Vec::new();
        let mut span = self.span(&pair);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => {
                    let built = self.name(&piece);
                    span = built.span;
                    name = Some(built);
                }
                Rule::field => {
                    span = span.to(self.span(&piece));
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::expr => element = Element::Index(self.expr_of(part, body)),
                            Rule::list => dims = self.dims_of(part, body),
                            _ => {}
                        }
                    }
                }
                Rule::end => self.end(piece, span, noun),
                _ => {}
            }
        }
        Some(Field { docs: std::mem::take(docs), name: name?, element, dims, span })
    }

    fn output(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) -> Binding {
        let span = self.span(&pair);
        let mut name = None;
        let mut pattern = None;
        let mut value = invalid(span);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => name = Some(self.name(&piece)),
                Rule::pattern => pattern = Some(self.pattern_of(piece, body)),
                Rule::value => value = self.value_of(piece, "output", body),
                _ => {}
            }
        }
        let name = name.unwrap_or_else(|| {
            if value.kind != ExprKind::Invalid {
                let shown = self.excerpt(value.span);
                let example = if matches!(value.kind, ExprKind::Name(_)) { "result" } else { "name" };
                self.report(
                    Diagnostic::new(Code::Syntax, value.span, "an output needs a name")
                        .label("expected `name = …`")
                        .help(format!("write `output {example} = {shown};`")),
                );
            }
            // No program can have this name, so it meets no other.
            Name { text: "output".to_owned(), span: value.span }
        });
        Binding { docs: std::mem::take(docs), name, others: Vec::new(), pattern, value }
    }

    fn measure(&mut self, pair: Pair<'_>, docs: &mut Docs, noun: &str, body: &mut Body) -> Measure {
        let whole = self.span(&pair);
        let mut name = None;
        let mut value = invalid(whole);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => name = Some(self.name(&piece)),
                Rule::value => value = self.value_of(piece, noun, body),
                _ => {}
            }
        }
        let span = self.without_semicolon(whole);
        Measure { docs: std::mem::take(docs), name, value, updates: Vec::new(), span }
    }

    fn param(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) -> Option<Param> {
        let whole = self.span(&pair);
        let mut name = None;
        let mut dims = Vec::new();
        let mut initializer = invalid(whole);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => name = Some(self.name(&piece)),
                Rule::list => dims = self.dims_of(piece, body),
                Rule::value => initializer = self.value_of(piece, "parameter", body),
                _ => {}
            }
        }
        let span = self.without_semicolon(whole);
        Some(Param { docs: std::mem::take(docs), name: name?, dims, initializer, constraint: None, span })
    }

    fn assertion(&mut self, pair: Pair<'_>, body: &mut Body) -> Option<Assert> {
        let whole = self.span(&pair);
        let mut condition: Option<Expr> = None;
        let mut message = None;
        let mut last = whole;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::expr => {
                    let expr = self.expr_of(piece, body);
                    last = expr.span;
                    condition = Some(expr);
                }
                Rule::text => {
                    last = self.span(&piece);
                    message = Some((self.text_value(&piece), last));
                }
                Rule::end => self.end(piece, last, "assertion"),
                _ => {}
            }
        }
        Some(Assert { condition: condition?, message, span: self.without_semicolon(whole) })
    }

    fn train(&mut self, pair: Pair<'_>, body: &mut Body) -> Train {
        let span = self.without_semicolon(self.span(&pair));
        let mut settings = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::setting => settings.extend(self.setting(piece, body)),
                Rule::broken_element => {
                    let value = invalid(self.span(&piece));
                    let name = self.broken_element(piece, Rule::setting);
                    settings.extend(name.map(|name| (name, value)));
                }
                _ => {}
            }
        }
        Train { settings, span }
    }

    fn setting(&mut self, pair: Pair<'_>, body: &mut Body) -> Option<(Name, Expr)> {
        let mut name = None;
        let mut value: Option<Expr> = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => name = Some(self.name(&piece)),
                Rule::equals => self.equals_for_colon(&piece, name.as_ref()),
                Rule::expr => value = Some(self.expr_of(piece, body)),
                Rule::semicolon => {
                    let span = self.span(&piece);
                    self.report(
                        Diagnostic::new(Code::Syntax, span, "expected `,` after the setting, found `;`")
                            .label("expected `,`"),
                    );
                }
                Rule::missing_comma => {
                    let found = self.found(piece.as_span().start());
                    let before = value.as_ref().map_or(self.span(&piece), |value| value.span);
                    let span = self.last_of(before);
                    self.report(
                        Diagnostic::new(Code::Syntax, span, format!("expected `,` after the setting, found {found}"))
                            .label("expected `,` after this"),
                    );
                }
                _ => {}
            }
        }
        Some((name?, value?))
    }

    fn binding(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) {
        let span = self.span(&pair);
        let mut names = Vec::new();
        let mut pattern: Option<Pattern> = None;
        let mut value = invalid(span);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => names.push(self.name(&piece)),
                Rule::pattern => pattern = Some(self.pattern_of(piece, body)),
                Rule::value => value = self.value_of(piece, "binding", body),
                _ => {}
            }
        }
        if let [_, second, ..] = names.as_slice() {
            let span = second.span;
            self.report(
                Diagnostic::new(Code::Syntax, span, "a binding has one name, found several")
                    .label("a second name")
                    .note("taking several results apart is reserved for later"),
            );
            value = invalid(value.span);
            pattern = None;
        }
        let docs = std::mem::take(docs);
        body.members.extend(names.into_iter().map(|name| {
            let (docs, pattern) = (docs.clone(), pattern.clone());
            Member::Binding(Binding { docs, name, others: Vec::new(), pattern, value: value.clone() })
        }));
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
    fn without_semicolon(&self, span: Span) -> Span {
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
            "output" => {
                let name = name.unwrap_or(Name { text: "output".to_owned(), span });
                Some(Member::Output(Binding { docs, name, others: Vec::new(), pattern: None, value }))
            }
            // An input whose dimensions are unknown would be an input without dimensions: a value of unknown shape is
            // what nobody complains about.
            _ => Some(Member::Binding(Binding { docs, name: name?, others: Vec::new(), pattern: None, value })),
        }
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

/// A word that later constructs need.
pub(crate) fn reserved(word: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::Syntax, span, format!("`{word}` is reserved for a construct that does not exist yet"))
        .label("a reserved word")
}
