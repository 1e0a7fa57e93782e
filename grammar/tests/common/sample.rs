//! Random expressions, as trees and as source.

use dl_grammar::ast::BinaryOp;
use proptest::prelude::*;

use super::symbol;

/// A tree as it is meant to be shown, as it is written, and how tightly its outermost operator binds.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) shown: String,
    pub(crate) written: String,
    binding: u8,
}

/// The precedence table of the language, loosest first.
const PIPE: u8 = 0;
const NOT: u8 = 3;
const NEGATE: u8 = 7;
const POWER: u8 = 8;
const ATOM: u8 = 9;

fn binding(operator: BinaryOp) -> u8 {
    match symbol(operator) {
        "or" => 1,
        "and" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 4,
        "+" | "-" => 5,
        "^" => POWER,
        _ => 6,
    }
}

impl Sample {
    fn atom(shown: String, written: String) -> Sample {
        Sample { shown, written, binding: ATOM }
    }

    /// Written where only what binds at least so tightly may stand.
    fn at_least(&self, binding: u8) -> String {
        if self.binding >= binding { self.written.clone() } else { format!("({})", self.written) }
    }
}

fn binary(operator: BinaryOp, left: &Sample, right: &Sample) -> Sample {
    let level = binding(operator);
    let (left_level, right_level) = match level {
        POWER => (POWER + 1, NEGATE),
        4 => (5, 5),
        _ => (level, level + 1),
    };
    let written = format!("{} {} {}", left.at_least(left_level), symbol(operator), right.at_least(right_level));
    Sample { shown: format!("({} {} {})", symbol(operator), left.shown, right.shown), written, binding: level }
}

fn call(name: &str, arguments: &[Sample], attribute: Option<&Sample>) -> Sample {
    let mut shown = format!("({name}");
    let mut written: Vec<String> = Vec::new();
    for argument in arguments {
        shown += &format!(" {}", argument.shown);
        written.push(argument.written.clone());
    }
    if let Some(attribute) = attribute {
        shown += &format!(" k:{}", attribute.shown);
        written.push(format!("k: {}", attribute.written));
    }
    Sample::atom(shown + ")", format!("{name}({})", written.join(", ")))
}

/// Random expressions.
pub(crate) fn sample() -> impl Strategy<Value = Sample> {
    use BinaryOp::*;
    let operators = vec![
        Or,
        And,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Add,
        Subtract,
        Multiply,
        Divide,
        Remainder,
        MatMul,
        Power,
    ];
    let leaf = prop_oneof![
        "[a-z]{1,3}_[0-9]".prop_map(|name| Sample::atom(name.clone(), name)),
        (0..i64::MAX).prop_map(|value| Sample::atom(value.to_string(), value.to_string())),
        (0.0..1e9f64).prop_map(|value| Sample::atom(format!("{value:?}"), format!("{value:?}"))),
        any::<bool>().prop_map(|value| Sample::atom(value.to_string(), value.to_string())),
        "[ -~]{0,6}".prop_map(|text| {
            let written = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            Sample::atom(format!("{text:?}"), written)
        }),
    ];
    leaf.prop_recursive(4, 40, 4, move |inner| {
        let arguments = proptest::collection::vec(inner.clone(), 0..3);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (proptest::sample::select(operators.clone()), pair.clone())
                .prop_map(|(operator, (left, right))| binary(operator, &left, &right)),
            inner.clone().prop_map(|x| Sample {
                shown: format!("(neg {})", x.shown),
                written: format!("-{}", x.at_least(NEGATE)),
                binding: NEGATE,
            }),
            inner.clone().prop_map(|x| Sample {
                shown: format!("(not {})", x.shown),
                written: format!("not {}", x.at_least(NOT)),
                binding: NOT,
            }),
            (arguments.clone(), proptest::option::of(inner.clone())).prop_map(|(arguments, attribute)| call(
                "f",
                &arguments,
                attribute.as_ref()
            )),
            arguments.clone().prop_map(|elements| {
                let shown: Vec<&str> = elements.iter().map(|element| element.shown.as_str()).collect();
                let written: Vec<&str> = elements.iter().map(|element| element.written.as_str()).collect();
                Sample::atom(format!("[{}]", shown.join(" ")), format!("[{}]", written.join(", ")))
            }),
            (inner.clone(), arguments).prop_map(|(first, arguments)| {
                let stage = call("g", &arguments, None);
                Sample {
                    shown: format!("(pipe {} h:{} (r))", first.shown, stage.shown),
                    written: format!("{} |> h: {} |> r", first.at_least(PIPE + 1), stage.written),
                    binding: PIPE,
                }
            }),
            (inner.clone(), pair.clone()).prop_map(|(n, (a, b))| Sample::atom(
                format!("(pipe x r:(repeat i {}..{} (f {}) s:(g over:..)))", n.shown, a.shown, b.shown),
                format!(
                    "(x |> r: repeat i in ({})..({}) {{ f({}) |> s: g(over: ..) }})",
                    n.written, a.written, b.written
                ),
            )),
            (inner.clone(), pair.clone()).prop_map(|(x, (a, b))| Sample::atom(
                format!(
                    "(scan reversed [x_t m] [{0} {1}] h:[{2}]={0} c={1} until {2} {{(let a,b {1}) yield {2} {0}}})",
                    x.shown, a.shown, b.shown
                ),
                format!(
                    "scan reversed x_t, m in ({0}), ({1}) with h: [{2}] = ({0}), c = ({1}) until ({2}) {{
                         a, b = {1};
                         yield {2}, {0}
                     }}",
                    x.written, a.written, b.written
                ),
            )),
            (inner.clone(), pair).prop_map(|(c, (a, b))| Sample::atom(
                format!("(if {} {{(let y {}) y}} {{{}}})", c.shown, a.shown, b.shown),
                format!("if ({}) {{ y = {}; y }} else {{ {} }}", c.written, a.written, b.written),
            )),
        ]
    })
}
