//! Statements that begin with a keyword, and bindings: pairs of the grammar go in, [`Member`]s come out.
//!
//! Whether a statement may stand where it stands (`input` in a layer) and whether its names are known is judged later.
//! Bodies and their results are in `statement.rs`, `scan` and `repeat` in `loops.rs`.

use crate::ast::{
    Assert, Binding, Budget, Call, Docs, Element, Expr, ExprKind, Field, Freeze, Limit, Measure, Member, Name, Param,
    PathPattern, Pattern, Penalty, Shared, State, Train, Update,
};
use crate::build::Builder;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::invalid;
use crate::statement::Body;
use crate::syntax::{Pair, Rule};

impl Builder<'_> {
    /// A statement that begins with its keyword. Kept out of its caller, which nested bodies put on the stack again and
    /// again.
    #[inline(never)]
    pub(crate) fn keyword_statement(&mut self, piece: Pair<'_>, docs: &mut Docs, body: &mut Body) {
        let member = match piece.as_rule() {
            Rule::input => self.field(piece, docs, "input", body).map(Member::Input),
            Rule::label => self.field(piece, docs, "label", body).map(Member::Label),
            Rule::output => Some(Member::Output(self.output(piece, docs, body))),
            Rule::loss => Some(Member::Loss(self.measure(piece, docs, "loss", body))),
            Rule::metric => Some(Member::Metric(self.measure(piece, docs, "metric", body))),
            Rule::param => self.param(piece, docs, body).map(Member::Param),
            Rule::state => self.state(piece, docs, body).map(Member::State),
            Rule::update => self.update(piece, body).map(Member::Update),
            Rule::shared => self.shared(piece, docs, body).map(Member::Shared),
            Rule::penalty => Some(Member::Penalty(self.penalty(piece, body))),
            Rule::freeze => Some(Member::Freeze(self.freeze(piece))),
            Rule::budget => Some(Member::Budget(self.budget(piece, body))),
            Rule::assertion => self.assertion(piece, body).map(Member::Assert),
            Rule::train => Some(Member::Train(self.train(piece, body))),
            Rule::yields => {
                self.yields(piece, body);
                None
            }
            _ => None,
        };
        body.members.extend(member);
    }

    fn field(&mut self, pair: Pair<'_>, docs: &mut Docs, noun: &str, body: &mut Body) -> Option<Field> {
        let mut name: Option<Name> = None;
        let mut element = Element::F32;
        let mut dims = Vec::new();
        let mut span = self.span(&pair);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => {
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
                Rule::declared => name = Some(self.name(&piece)),
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
        let mut updates = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => name = Some(self.name(&piece)),
                Rule::value => value = self.value_of(piece, noun, body),
                Rule::strict_loss => {
                    let mut last = whole;
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::expr => {
                                value = self.expr_of(part, body);
                                last = value.span;
                            }
                            Rule::paths => {
                                last = self.span(&part);
                                updates = self.paths(part);
                            }
                            Rule::end => self.end(part, last, noun),
                            _ => {}
                        }
                    }
                }
                Rule::broken_value => self.explain(&piece, Rule::strict_loss, noun),
                _ => {}
            }
        }
        let span = self.without_semicolon(whole);
        Measure { docs: std::mem::take(docs), name, value, updates, span }
    }

    /// `features.*, head.weight`
    fn paths(&mut self, pair: Pair<'_>) -> Vec<PathPattern> {
        let paths = pair.into_inner().filter(|piece| piece.as_rule() == Rule::path);
        paths
            .map(|path| PathPattern { text: path.as_str().split_whitespace().collect(), span: self.span(&path) })
            .collect()
    }

    fn param(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) -> Option<Param> {
        let whole = self.span(&pair);
        let mut name = None;
        let mut dims = Vec::new();
        let mut initializer = invalid(whole);
        let mut constraint = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => name = Some(self.name(&piece)),
                Rule::list => dims = self.dims_of(piece, body),
                Rule::strict_param => {
                    let mut last = whole;
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::expr => {
                                initializer = self.expr_of(part, body);
                                last = initializer.span;
                            }
                            Rule::constraint => {
                                last = self.span(&part);
                                constraint = Some(self.call_of(part, body));
                            }
                            Rule::end => self.end(part, last, "parameter"),
                            _ => {}
                        }
                    }
                }
                Rule::broken_value => self.explain(&piece, Rule::strict_param, "parameter"),
                _ => {}
            }
        }
        let span = self.without_semicolon(whole);
        Some(Param { docs: std::mem::take(docs), name: name?, dims, initializer, constraint, span })
    }

    fn call_of(&mut self, pair: Pair<'_>, body: &mut Body) -> Call {
        let built = self.plain_call(pair);
        body.depth = body.depth.max(built.depth);
        built.tree
    }

    fn state(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) -> Option<State> {
        let whole = self.span(&pair);
        let mut name = None;
        let mut dims = Vec::new();
        let mut initializer = invalid(whole);
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => name = Some(self.name(&piece)),
                Rule::list => dims = self.dims_of(piece, body),
                Rule::value => initializer = self.value_of(piece, "state", body),
                _ => {}
            }
        }
        let span = self.without_semicolon(whole);
        Some(State { docs: std::mem::take(docs), name: name?, dims, initializer, span })
    }

    /// The name and the value of `update name = value;` or `shared name = value;`.
    fn named_value(&mut self, pair: Pair<'_>, noun: &str, body: &mut Body) -> (Option<Name>, Expr) {
        let mut name = None;
        let mut value = invalid(self.span(&pair));
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared => name = Some(self.name(&piece)),
                Rule::value => value = self.value_of(piece, noun, body),
                _ => {}
            }
        }
        (name, value)
    }

    fn update(&mut self, pair: Pair<'_>, body: &mut Body) -> Option<Update> {
        let span = self.without_semicolon(self.span(&pair));
        let (name, value) = self.named_value(pair, "update", body);
        Some(Update { name: name?, value, span })
    }

    fn shared(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) -> Option<Shared> {
        let (name, value) = self.named_value(pair, "shared layer", body);
        Some(Shared { docs: std::mem::take(docs), name: name?, value })
    }

    fn penalty(&mut self, pair: Pair<'_>, body: &mut Body) -> Penalty {
        let span = self.without_semicolon(self.span(&pair));
        let (_, value) = self.named_value(pair, "penalty", body);
        Penalty { value, span }
    }

    fn freeze(&mut self, pair: Pair<'_>) -> Freeze {
        let whole = self.span(&pair);
        let mut patterns = Vec::new();
        let mut last = whole;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::paths => {
                    last = self.span(&piece);
                    patterns = self.paths(piece);
                }
                Rule::end => self.end(piece, last, "path"),
                _ => {}
            }
        }
        Freeze { patterns, span: self.without_semicolon(whole) }
    }

    fn budget(&mut self, pair: Pair<'_>, body: &mut Body) -> Budget {
        let span = self.without_semicolon(self.span(&pair));
        let mut limits = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::limit => limits.extend(self.limit(piece, body)),
                Rule::broken_element => {
                    let span = self.span(&piece);
                    let name = self.broken_element(piece, Rule::limit);
                    let limit = |name| Limit { name, inclusive: false, value: invalid(span), span };
                    limits.extend(name.map(limit));
                }
                _ => {}
            }
        }
        Budget { limits, span }
    }

    fn limit(&mut self, pair: Pair<'_>, body: &mut Body) -> Option<Limit> {
        let mut name: Option<Name> = None;
        let mut inclusive = false;
        let mut value: Option<Expr> = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::name => name = Some(self.name(&piece)),
                Rule::limit_sign => inclusive = piece.as_str() == "<=",
                Rule::expr => value = Some(self.expr_of(piece, body)),
                _ => self.separator(&piece, value.as_ref(), "limit"),
            }
        }
        let (name, value) = (name?, value?);
        let span = name.span.to(value.span);
        Some(Limit { name, inclusive, value, span })
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
                _ => self.separator(&piece, value.as_ref(), "setting"),
            }
        }
        Some((name?, value?))
    }

    /// Reports a `;`, or nothing, where a comma belongs after an entry in braces.
    fn separator(&mut self, piece: &Pair<'_>, value: Option<&Expr>, noun: &str) {
        match piece.as_rule() {
            Rule::semicolon => {
                let span = self.span(piece);
                let message = format!("expected `,` after the {noun}, found `;`");
                self.report(Diagnostic::new(Code::Syntax, span, message).label("expected `,`"));
            }
            Rule::missing_comma => {
                let found = self.found(piece.as_span().start());
                let before = value.map_or(self.span(piece), |value| value.span);
                let span = self.last_of(before);
                self.report(
                    Diagnostic::new(Code::Syntax, span, format!("expected `,` after the {noun}, found {found}"))
                        .label("expected `,` after this"),
                );
            }
            _ => {}
        }
    }

    pub(crate) fn binding(&mut self, pair: Pair<'_>, docs: &mut Docs, body: &mut Body) {
        let mut value = invalid(self.span(&pair));
        let mut names = Vec::new();
        let mut pattern: Option<Pattern> = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::bound => names.push(self.name(&piece)),
                Rule::pattern => pattern = Some(self.pattern_of(piece, body)),
                Rule::value => value = self.value_of(piece, "binding", body),
                _ => {}
            }
        }
        if let Some(pattern) = pattern.take_if(|_| names.len() > 1) {
            self.report(
                Diagnostic::new(Code::Syntax, pattern.span, "a pattern follows one name, found several")
                    .label("which of the names it is for is not clear")
                    .help("bind the names without it, then check one: `name: [..] = …;`"),
            );
        }
        let mut names = names.into_iter();
        let Some(name) = names.next() else { return };
        let docs = std::mem::take(docs);
        body.members.push(Member::Binding(Binding { docs, name, others: names.collect(), pattern, value }));
    }
}
