//! From pairs to the tree: declarations, and what all parts of the building share.
//!
//! The pairs of a whole file go in, an [`ast::File`](File) comes out. What the grammar accepts
//! only to understand it is reported here; what it swallowed is given to `explain`, and the names that it would have
//! declared are declared as [`Invalid`](ExprKind::Invalid), so that nobody misses them later.
//! Bodies are in `statement.rs`, expressions in `expression.rs`.

use std::collections::BTreeSet;

use crate::ast::{
    Argument, Call, Const, Docs, Expr, ExprKind, File, Function, Import, Instance, Item, Layer, Name, Network, Pattern,
    PatternDim, Version,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Built, invalid};
use crate::literal;
use crate::report::Reporter;
use crate::source::{FileId, Span};
use crate::statement::unknown_output;
use crate::syntax::{Pair, Rule, is_keyword};

/// So long may a piece of the source be that a message quotes.
const EXCERPT: usize = 40;

/// The version of the language that is read.
const VERSION: i64 = 1;

/// Builds the tree of one text.
pub(crate) struct Builder<'a> {
    file: FileId,
    /// The prepared text.
    pub(crate) text: &'a str,
    /// The length of the text before braces were added at its end.
    length: usize,
    reporter: Reporter,
    /// The keywords that were declared as names, which is reported once.
    pub(crate) taken: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    /// A builder for the prepared `text`, which had `length` bytes before.
    pub(crate) fn new(file: FileId, text: &'a str, length: usize, reporter: Reporter) -> Builder<'a> {
        Builder { file, text, length, reporter, taken: BTreeSet::new() }
    }

    /// All that was reported.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        self.reporter.finish()
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.reporter.push(diagnostic);
    }

    /// Whether another diagnostic would only be counted, which is done.
    pub(crate) fn is_full(&mut self) -> bool {
        let is_full = self.reporter.is_full();
        if is_full {
            self.reporter.count();
        }
        is_full
    }

    /// Bytes of the text as a span of the source.
    pub(crate) fn bytes(&self, start: usize, end: usize) -> Span {
        let (start, end) = (start.min(self.length), end.min(self.length));
        Span { file: self.file, start: start as u32, end: end as u32 }
    }

    /// The place of a piece, without the blanks that the grammar skipped after it.
    pub(crate) fn span(&self, pair: &Pair<'_>) -> Span {
        let start = pair.as_span().start();
        self.bytes(start, start + pair.as_str().trim_end().len())
    }

    /// The last character of a span: what follows it is missing "after this".
    pub(crate) fn last_of(&self, span: Span) -> Span {
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        let length = written.chars().next_back().map_or(0, char::len_utf8);
        Span { start: span.end - length as u32, ..span }
    }

    /// The source of a span as one line, if it is short; else `…`.
    pub(crate) fn excerpt(&self, span: Span) -> String {
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or("");
        if written.len() > 4 * EXCERPT {
            return "…".to_owned();
        }
        let line = written.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() || line.chars().count() > EXCERPT { "…".to_owned() } else { line }
    }

    /// A name; one that is none is reported and used.
    pub(crate) fn name(&mut self, pair: &Pair<'_>) -> Name {
        let span = self.span(pair);
        let text = pair.as_str();
        if text.bytes().all(|byte| byte == b'_') {
            self.report(
                Diagnostic::new(Code::Syntax, span, format!("`{text}` cannot be a name"))
                    .label("a name has a letter or a digit"),
            );
        }
        let is_declared =
            matches!(pair.as_rule(), Rule::declared | Rule::declared_here | Rule::step | Rule::bound | Rule::dim_name);
        if is_declared && is_keyword(text) && self.taken.insert(text.to_owned()) {
            self.report(
                Diagnostic::new(Code::Syntax, span, format!("`{text}` is a word of the language and cannot be a name"))
                    .label("taken")
                    .help(format!("choose another name, such as `{text}_`")),
            );
        }
        Name { text: text.to_owned(), span }
    }

    /// The value of a text in quotes; what is wrong with it is reported.
    pub(crate) fn text_value(&mut self, pair: &Pair<'_>) -> String {
        let span = self.span(pair);
        literal::text(pair.as_str(), span).unwrap_or_else(|diagnostic| {
            self.report(*diagnostic);
            String::new()
        })
    }

    /// `name = value` where `name: value` is written.
    pub(crate) fn equals_for_colon(&mut self, equals: &Pair<'_>, name: Option<&Name>) {
        let span = self.span(equals);
        let name = name.map_or("name", |name| name.text.as_str());
        self.report(
            Diagnostic::new(Code::Syntax, span, format!("expected `:` after `{name}`, found `=`"))
                .label("expected `:`")
                .help(format!("write `{name}: …`")),
        );
    }

    /// The tree of a `file`.
    pub(crate) fn file(&mut self, pair: Pair<'_>) -> File {
        let mut file = File::default();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::inner_doc => file.docs.push(doc_line(&piece)),
                Rule::version => file.version = self.version(piece),
                Rule::item => file.items.extend(self.item(piece)),
                Rule::stray_doc => self.stray_doc(&piece),
                Rule::broken_item => {
                    self.explain(&piece, Rule::item, "declaration");
                    file.items.extend(self.broken_item(piece));
                }
                _ => {}
            }
        }
        file
    }

    /// `version 1;`; another number is reported, and the file is read as if it were this version.
    fn version(&mut self, pair: Pair<'_>) -> Option<Version> {
        let whole = self.span(&pair);
        let piece = pair.into_inner().next()?;
        if piece.as_rule() == Rule::broken_version {
            self.explain(&piece, Rule::strict_version, "version");
            return None;
        }
        let mut version = None;
        let mut last = whole;
        for part in piece.into_inner() {
            match part.as_rule() {
                Rule::number => {
                    last = self.span(&part);
                    version = match literal::number(part.as_str(), last) {
                        Ok(ExprKind::Integer(number)) => Some(number),
                        _ => None,
                    };
                    if version != Some(VERSION) {
                        let message = format!("version {} of the language is unknown", self.excerpt(last));
                        self.report(
                            Diagnostic::new(Code::UnknownVersion, last, message)
                                .label(format!("version {VERSION} is the only one so far"))
                                .help(format!("write `version {VERSION};`")),
                        );
                    }
                }
                Rule::end => self.end(part, last, "version"),
                _ => {}
            }
        }
        Some(Version { number: version?, span: self.without_semicolon(whole) })
    }

    fn item(&mut self, pair: Pair<'_>) -> Option<Item> {
        let mut docs = Docs::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::doc => docs.push(doc_line(&piece)),
                Rule::constant => {
                    let (name, _, value) = self.definition(piece, "constant");
                    return Some(Item::Const(Const { docs, name: name?, value }));
                }
                Rule::function => {
                    let (name, arguments, value) = self.definition(piece, "function");
                    return Some(Item::Function(Function { docs, name: name?, arguments, value }));
                }
                Rule::import => return Some(Item::Import(self.import(piece))),
                Rule::layer => return self.layer(piece, docs),
                Rule::network => return self.network(piece, docs),
                _ => {}
            }
        }
        None
    }

    /// The parts of a constant or function.
    fn definition(&mut self, pair: Pair<'_>, noun: &str) -> (Option<Name>, Vec<Argument>, Expr) {
        let mut name = None;
        let mut arguments = Vec::new();
        let mut value = invalid(self.span(&pair));
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared_here => name = Some(self.name(&piece)),
                Rule::parameters => arguments = self.parameters(piece),
                Rule::value => value = self.value(piece, noun).tree,
                _ => {}
            }
        }
        (name, arguments, value)
    }

    fn layer(&mut self, pair: Pair<'_>, docs: Docs) -> Option<Item> {
        let mut name = None;
        let mut arguments = Vec::new();
        let mut body = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared_here => name = Some(self.name(&piece)),
                Rule::parameters => arguments = self.parameters(piece),
                Rule::unexpected => self.unexpected(&piece, "arguments of a layer"),
                Rule::block => body = Some(self.layer_body(piece)),
                _ => {}
            }
        }
        let body = body?;
        Some(Item::Layer(Layer { docs, name: name?, arguments, members: body.members, result: body.value }))
    }

    fn import(&mut self, pair: Pair<'_>) -> Import {
        let whole = self.span(&pair);
        let mut path = String::new();
        let mut path_span = whole;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::text => {
                    path_span = self.span(&piece);
                    path = self.text_value(&piece);
                }
                Rule::end => self.end(piece, path_span, "import"),
                _ => {}
            }
        }
        Import { path, path_span, span: self.without_semicolon(whole) }
    }

    fn network(&mut self, pair: Pair<'_>, docs: Docs) -> Option<Item> {
        let span = self.without_semicolon(self.span(&pair));
        let mut public = false;
        let mut inference = false;
        let mut name = None;
        let mut arguments = Vec::new();
        let mut members = Vec::new();
        let mut template = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::kw_pub => public = true,
                Rule::kw_inference => inference = true,
                Rule::declared_here => name = Some(self.name(&piece)),
                Rule::parameters => arguments = self.parameters(piece),
                Rule::unexpected => self.unexpected(&piece, "head of a network"),
                Rule::block => members = self.network_body(piece),
                Rule::instance => template = self.template(piece),
                _ => {}
            }
        }
        let name = name?;
        Some(match template {
            Some(template) => Item::Instance(Instance { docs, public, inference, name, template, span }),
            None => Item::Network(Network { docs, public, inference, name, arguments, members, span }),
        })
    }

    /// `= Name(width: 64);`
    fn template(&mut self, pair: Pair<'_>) -> Option<Call> {
        let mut template = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::template => {
                    let mut last = self.span(&piece);
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::call => {
                                last = self.span(&part);
                                template = Some(self.plain_call(part).tree);
                            }
                            Rule::end => self.end(part, last, "network"),
                            _ => {}
                        }
                    }
                }
                Rule::broken_value => self.explain(&piece, Rule::template, "network"),
                _ => {}
            }
        }
        template
    }

    /// What stands between the head of a declaration and its body.
    fn unexpected(&mut self, pair: &Pair<'_>, after: &str) {
        if self.is_reported(pair) {
            return;
        }
        let span = self.span(pair);
        let found = self.found(span.start as usize);
        let mut diagnostic =
            Diagnostic::new(Code::Syntax, span, format!("expected `{{` after the {after}, found {found}"))
                .label("expected `{`");
        if pair.as_str().starts_with("->") {
            diagnostic = diagnostic.help("leave it out: the shape of a result follows from its expression");
        }
        self.report(diagnostic);
    }

    /// The declared operands and attributes.
    fn parameters(&mut self, pair: Pair<'_>) -> Vec<Argument> {
        let mut arguments = Vec::new();
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::parameter => arguments.extend(self.parameter(piece)),
                Rule::broken_element => {
                    self.explain(&piece, Rule::parameter, "argument");
                    let span = self.span(&piece);
                    // Its kind is unknown; a default makes sure that nobody misses it in a call.
                    let name = leading_name(&piece).map(|name| self.name(&name));
                    let default = Some(invalid(span));
                    arguments.extend(name.map(|name| Argument { name, pattern: None, default }));
                }
                _ => {}
            }
        }
        arguments
    }

    fn parameter(&mut self, pair: Pair<'_>) -> Option<Argument> {
        let mut name = None;
        let mut pattern = None;
        let mut default = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::declared_here => name = Some(self.name(&piece)),
                Rule::pattern => pattern = Some(self.pattern(piece).tree),
                Rule::expr => default = Some(self.expr(piece).tree),
                _ => {}
            }
        }
        Some(Argument { name: name?, pattern, default })
    }

    /// `[.., features]`, and the depth of the deepest dimension.
    pub(crate) fn pattern(&mut self, pair: Pair<'_>) -> Built<Pattern> {
        let span = self.span(&pair);
        let mut dims = Vec::new();
        let mut rest: Option<Span> = None;
        let mut depth = 0;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::pattern_dim => {
                    for part in piece.into_inner() {
                        match part.as_rule() {
                            Rule::rest => {
                                let here = self.span(&part);
                                match rest {
                                    None => dims.push(PatternDim::Rest(here)),
                                    Some(first) => self.report(
                                        Diagnostic::new(Code::Syntax, here, "a pattern has at most one `..`")
                                            .label("the second one")
                                            .related(first, "the first one"),
                                    ),
                                }
                                rest = rest.or(Some(here));
                            }
                            Rule::dim_name => {
                                let Name { text, span } = self.name(&part);
                                dims.push(PatternDim::Dim(Expr { kind: ExprKind::Name(text), span }));
                            }
                            Rule::expr => {
                                let built = self.expr(part);
                                depth = depth.max(built.depth);
                                dims.push(PatternDim::Dim(built.tree));
                            }
                            _ => {}
                        }
                    }
                }
                Rule::broken_element => {
                    self.explain(&piece, Rule::pattern_dim, "dimension");
                    dims.push(PatternDim::Dim(invalid(self.span(&piece))));
                }
                _ => {}
            }
        }
        Built { tree: Pattern { dims, span }, depth }
    }

    /// Reports an element of a list that could not be read; its name if it has one.
    pub(crate) fn broken_element(&mut self, pair: Pair<'_>, rule: Rule) -> Option<Name> {
        self.explain(&pair, rule, "element");
        let name = leading_name(&pair)?;
        Some(Name { text: name.as_str().to_owned(), span: self.span(&name) })
    }

    /// Documentation where nothing follows that it could document.
    pub(crate) fn stray_doc(&mut self, pair: &Pair<'_>) {
        let span = self.span(pair);
        let is_inner = pair.as_str().starts_with("//!");
        let diagnostic = if is_inner {
            Diagnostic::new(Code::Syntax, span, "`//!` documents a file and stands at its top")
                .label("too late in the file")
                .help("document what follows with `///`, or write `//` for a plain comment")
        } else {
            Diagnostic::new(Code::Syntax, span, "the doc comment documents nothing")
                .label("nothing follows that it could document")
                .help("write `//` for a plain comment")
        };
        self.report(diagnostic);
    }

    /// What a declaration that could not be read would have declared.
    fn broken_item(&mut self, pair: Pair<'_>) -> Option<Item> {
        let span = self.span(&pair);
        let mut docs = Docs::new();
        let mut keyword = "";
        let mut public = false;
        let mut inference = false;
        let mut name = None;
        for piece in pair.into_inner() {
            match piece.as_rule() {
                Rule::doc if keyword.is_empty() => docs.push(doc_line(&piece)),
                Rule::item_keyword => {
                    keyword = piece.as_str();
                    public |= keyword == "pub";
                    inference |= keyword == "inference";
                }
                Rule::name if name.is_none() => {
                    name = Some(Name { text: piece.as_str().to_owned(), span: self.span(&piece) });
                }
                _ => {}
            }
        }
        let value = Expr { kind: ExprKind::Invalid, span };
        let name = name?;
        match keyword {
            "const" => Some(Item::Const(Const { docs, name, value })),
            "fn" => Some(Item::Function(Function { docs, name, arguments: Vec::new(), value })),
            "layer" => {
                Some(Item::Layer(Layer { docs, name, arguments: Vec::new(), members: Vec::new(), result: value }))
            }
            "network" => Some(Item::Network(Network {
                docs,
                public,
                inference,
                name,
                arguments: Vec::new(),
                members: vec![unknown_output(span)],
                span,
            })),
            _ => None,
        }
    }
}

/// The line without the marker and one space.
pub(crate) fn doc_line(pair: &Pair<'_>) -> String {
    let line = pair.as_str().get(3..).unwrap_or("");
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.strip_prefix(' ').unwrap_or(line).to_owned()
}

/// `name:` or `name =` at the beginning of a piece that could not be read.
pub(crate) fn leading_name<'a>(pair: &Pair<'a>) -> Option<Pair<'a>> {
    pair.clone().into_inner().next().filter(|piece| piece.as_rule() == Rule::name)
}
