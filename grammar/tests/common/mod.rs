//! Shows trees as short text without spans, for expectations written by hand, and as source, for the way back.
#![allow(dead_code)]

pub(crate) mod sample;

use dl_grammar::ast::*;
use dl_grammar::{Diagnostic, FileId, Source, Sources, parse, render};

/// Parses text that must be right.
pub(crate) fn parse_ok(text: &str) -> File {
    let (file, diagnostics) = parse(FileId(0), text);
    assert!(diagnostics.is_empty(), "{text}\n{}", rendered(text, &diagnostics));
    file
}

/// The diagnostics of a text as people see them.
pub(crate) fn rendered(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut sources = Sources::default();
    sources.add(Source::new("net.dln", text));
    render(&sources, diagnostics, false)
}

/// All members of the first network.
pub(crate) fn members(text: &str) -> String {
    let file = parse_ok(&format!("network N {{ {text} }}"));
    match file.items.as_slice() {
        [Item::Network(network)] => each(&network.members, member),
        other => panic!("{other:?}"),
    }
}

/// The tree of an expression.
pub(crate) fn tree(text: &str) -> String {
    let file = parse_ok(&format!("const C = {text};"));
    match file.items.as_slice() {
        [Item::Const(constant)] => expr(&constant.value),
        other => panic!("{other:?}"),
    }
}

fn each<T>(list: &[T], show: impl Fn(&T) -> String) -> String {
    list.iter().map(show).collect::<Vec<_>>().join(" ")
}

pub(crate) fn item(item: &Item) -> String {
    match item {
        Item::Const(c) => format!("{}(const {} {})", docs(&c.docs), c.name.text, expr(&c.value)),
        Item::Function(f) => {
            format!("{}(fn {} [{}] {})", docs(&f.docs), f.name.text, each(&f.arguments, argument), expr(&f.value))
        }
        Item::Layer(l) => {
            let body = block(&Block { members: l.members.clone(), value: l.result.clone() });
            format!("{}(layer {} [{}] {body})", docs(&l.docs), l.name.text, each(&l.arguments, argument))
        }
        Item::Network(n) => {
            let head = head(n.public, n.inference);
            let arguments =
                if n.arguments.is_empty() { String::new() } else { format!("[{}] ", each(&n.arguments, argument)) };
            format!("{}({head}network {} {arguments}{})", docs(&n.docs), n.name.text, each(&n.members, member))
        }
        Item::Instance(i) => {
            format!("{}({}network {} {})", docs(&i.docs), head(i.public, i.inference), i.name.text, call(&i.template))
        }
        Item::Import(i) => format!("(import {:?})", i.path),
    }
}

fn head(public: bool, inference: bool) -> String {
    format!("{}{}", if public { "pub " } else { "" }, if inference { "inference " } else { "" })
}

fn docs(lines: &Docs) -> String {
    lines.iter().map(|line| format!("\"{line}\" ")).collect()
}

fn argument(argument: &Argument) -> String {
    let shape = argument.pattern.as_ref().map(|p| format!(":{}", pattern(p))).unwrap_or_default();
    let default = argument.default.as_ref().map(|e| format!("={}", expr(e))).unwrap_or_default();
    format!("{}{shape}{default}", argument.name.text)
}

fn pattern(pattern: &Pattern) -> String {
    let dims = each(&pattern.dims, |dim| match dim {
        PatternDim::Rest(_) => "..".to_owned(),
        PatternDim::Dim(dim) => expr(dim),
    });
    format!("[{dims}]")
}

fn dims(list: &[Expr]) -> String {
    format!("[{}]", each(list, expr))
}

fn field(field: &Field) -> String {
    let element = match &field.element {
        Element::F32 => "f32".to_owned(),
        Element::Index(bound) => format!("index({})", expr(bound)),
    };
    format!("{}{} {element} {}", docs(&field.docs), field.name.text, dims(&field.dims))
}

fn binding(binding: &Binding) -> String {
    let shape = binding.pattern.as_ref().map(|p| format!(":{}", pattern(p))).unwrap_or_default();
    let others: String = binding.others.iter().map(|name| format!(",{}", name.text)).collect();
    format!("{}{}{others}{shape} {}", docs(&binding.docs), binding.name.text, expr(&binding.value))
}

fn measure(measure: &Measure) -> String {
    let name = measure.name.as_ref().map(|name| format!("{} ", name.text)).unwrap_or_default();
    let updates =
        if measure.updates.is_empty() { String::new() } else { format!(" updates {}", paths(&measure.updates)) };
    format!("{}{name}{}{updates}", docs(&measure.docs), expr(&measure.value))
}

fn paths(paths: &[PathPattern]) -> String {
    each(paths, |path| path.text.clone())
}

fn limit(limit: &Limit) -> String {
    format!("({} {} {})", if limit.inclusive { "<=" } else { "<" }, limit.name.text, expr(&limit.value))
}

pub(crate) fn member(member: &Member) -> String {
    match member {
        Member::Input(f) => format!("(input {})", field(f)),
        Member::Label(f) => format!("(label {})", field(f)),
        Member::Binding(b) => format!("(let {})", binding(b)),
        Member::Output(b) => format!("(output {})", binding(b)),
        Member::Loss(m) => format!("(loss {})", measure(m)),
        Member::Metric(m) => format!("(metric {})", measure(m)),
        Member::Param(p) => {
            let constraint = p.constraint.as_ref().map(|c| format!(" where {}", call(c))).unwrap_or_default();
            format!("(param {}{} {} {}{constraint})", docs(&p.docs), p.name.text, dims(&p.dims), expr(&p.initializer))
        }
        Member::State(s) => {
            format!("(state {}{} {} {})", docs(&s.docs), s.name.text, dims(&s.dims), expr(&s.initializer))
        }
        Member::Update(u) => format!("(update {} {})", u.name.text, expr(&u.value)),
        Member::Shared(s) => format!("(shared {}{} {})", docs(&s.docs), s.name.text, expr(&s.value)),
        Member::Penalty(p) => format!("(penalty {})", expr(&p.value)),
        Member::Freeze(f) => format!("(freeze {})", paths(&f.patterns)),
        Member::Budget(b) => format!("(budget {})", each(&b.limits, limit)),
        Member::Assert(a) => {
            let message = a.message.as_ref().map(|(text, _)| format!(" {text:?}")).unwrap_or_default();
            format!("(assert {}{message})", expr(&a.condition))
        }
        Member::Train(t) => {
            format!("(train {})", each(&t.settings, |(name, value)| format!("{}:{}", name.text, expr(value))))
        }
    }
}

fn block(block: &Block) -> String {
    let members: String = block.members.iter().map(|m| member(m) + " ").collect();
    format!("{{{members}{}}}", expr(&block.value))
}

fn apply(apply: &Apply) -> String {
    match apply {
        Apply::Call(c) => call(c),
        Apply::Repeat(r) => repeat(r),
    }
}

fn stage(stage: &Stage) -> String {
    let instance = stage.instance.as_ref().map(|name| format!("{}:", name.text)).unwrap_or_default();
    format!("{instance}{}", apply(&stage.apply))
}

fn repeat(repeat: &Repeat) -> String {
    let index = repeat.index.as_ref().map(|name| format!("{} ", name.text)).unwrap_or_default();
    let from = repeat.from.as_ref().map(|from| format!("{}..", expr(from))).unwrap_or_default();
    format!("(repeat {index}{from}{} {})", expr(&repeat.to), each(&repeat.stages, stage))
}

fn scan(scan: &Scan) -> String {
    let carry = |carry: &Carry| {
        let shape = carry.dims.as_ref().map(|list| format!(":{}", dims(list))).unwrap_or_default();
        format!(" {}{shape}={}", carry.name.text, expr(&carry.initial))
    };
    let reversed = if scan.reversed { "reversed " } else { "" };
    let steps = each(&scan.steps, |step| step.text.clone());
    let carries: String = scan.carries.iter().map(carry).collect();
    let until = scan.until.as_ref().map(|until| format!(" until {}", expr(until))).unwrap_or_default();
    let members: String = scan.members.iter().map(|m| member(m) + " ").collect();
    let (sequences, yields) = (each(&scan.sequences, expr), each(&scan.yields, expr));
    format!("(scan {reversed}[{steps}] [{sequences}]{carries}{until} {{{members}yield {yields}}})")
}

fn call(call: &Call) -> String {
    let arguments: String = call
        .arguments
        .iter()
        .map(|argument| {
            let name = argument.name.as_ref().map(|name| format!("{}:", name.text)).unwrap_or_default();
            format!(" {name}{}", expr(&argument.value))
        })
        .collect();
    format!("({}{arguments})", call.callee.text)
}

pub(crate) fn symbol(operator: BinaryOp) -> &'static str {
    match operator {
        BinaryOp::Or => "or",
        BinaryOp::And => "and",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterEqual => ">=",
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Remainder => "%",
        BinaryOp::MatMul => "@",
        BinaryOp::Power => "^",
    }
}

pub(crate) fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Integer(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Text(text) => format!("{text:?}"),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Unary(UnaryOp::Negate, operand) => format!("(neg {})", expr(operand)),
        ExprKind::Unary(UnaryOp::Not, operand) => format!("(not {})", expr(operand)),
        ExprKind::Binary(operator, _, left, right) => {
            format!("({} {} {})", symbol(*operator), expr(left), expr(right))
        }
        ExprKind::Call(c) => call(c),
        ExprKind::Pipe(first, stages) => {
            format!("(pipe {} {})", expr(first), each(stages, stage))
        }
        ExprKind::If(node) => {
            format!("(if {} {} {})", expr(&node.condition), block(&node.then), block(&node.otherwise))
        }
        ExprKind::List(elements) => format!("[{}]", each(elements, expr)),
        ExprKind::Repeat(r) => repeat(r),
        ExprKind::Scan(s) => scan(s),
        ExprKind::Rest => "..".to_owned(),
        ExprKind::Invalid => "?".to_owned(),
    }
}
