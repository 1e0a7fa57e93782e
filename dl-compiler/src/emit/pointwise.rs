//! Pointwise expressions as small types that implement the runtime's `Pointwise`, shared where they compute the same.
//!
//! `multiply(x0, sigmoid(x0))` of `hidden` becomes `x * x.sigmoid()` in `impl rt::Pointwise<1> for Hidden`.

use std::collections::BTreeMap;
use std::f32::consts;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};

use super::names::{Names, camel, ident};
use crate::expression::{Argument, Expression, Instruction};
use crate::ops::PointwiseFn;

/// All expressions of a module; their types get names that are not among those the caller knows.
#[derive(Default)]
pub(super) struct Expressions {
    known: BTreeMap<String, Ident>,
    items: Vec<TokenStream>,
}

impl Expressions {
    /// The type that computes an expression whose result and operands are called that; `place` is where it is written.
    pub(super) fn name(
        &mut self,
        names: &mut Names,
        expression: &Expression,
        result: &str,
        operands: &[String],
        place: &str,
    ) -> Ident {
        let key = format!("{} {expression}", expression.views.len());
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let common = common(expression);
        let name = common.as_ref().map_or_else(|| camel(result), |common| common.name.to_owned());
        let name = Ident::new(&names.unique_type(&name), Span::call_site());
        let doc = match &common {
            Some(common) => format!(" {}", common.doc),
            None => format!(" Computes `{result}` ({place})."),
        };
        let operands = common.map_or(operands.to_vec(), |common| common.operands.map(str::to_owned).to_vec());
        let count = expression.views.len();
        let mut locals = Names::default();
        let operands: Vec<Ident> =
            operands.iter().map(|operand| ident(&locals.unique(&super::names::snake(operand)))).collect();
        let body = Body { expression, operands: &operands, locals }.tokens();
        self.items.push(quote! {
            #[doc = #doc]
            struct #name;
            impl rt::Pointwise<#count> for #name {
                #[inline(always)]
                fn eval<V: rt::Lane>([#(#operands),*]: [V; #count]) -> V {
                    #body
                }
            }
        });
        self.known.insert(key, name.clone());
        name
    }

    /// The types and their code.
    pub(super) fn items(&self) -> &[TokenStream] {
        &self.items
    }
}

/// What an expression that many layers share is called, whichever of them comes first.
struct Common {
    name: &'static str,
    doc: &'static str,
    operands: [&'static str; 2],
}

/// The gradient of relu, in terms of its result.
fn common(expression: &Expression) -> Option<Common> {
    use Argument::{Constant, Instruction, Operand};
    let [greater, select] = expression.instructions.as_slice() else { return None };
    let relu = greater.function == PointwiseFn::Greater
        && greater.arguments == [Operand(0), Constant(0.0)]
        && select.function == PointwiseFn::Select
        && select.arguments == [Instruction(0), Operand(1), Constant(0.0)]
        && expression.views.len() == 2;
    let doc = "The gradient of `y = relu(x)`: it passes where the result is positive.";
    relu.then_some(Common { name: "ReluGradient", doc, operands: ["y", "d_y"] })
}

/// How tightly the outermost operator of a piece of code binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Negation,
    Call,
}

type Code = (TokenStream, Binding);

struct Body<'a> {
    expression: &'a Expression,
    operands: &'a [Ident],
    locals: Names,
}

impl Body<'_> {
    fn tokens(mut self) -> TokenStream {
        let instructions = &self.expression.instructions;
        let mut uses = vec![0; instructions.len()];
        for argument in instructions.iter().flat_map(|instruction| &instruction.arguments) {
            if let Argument::Instruction(index) = argument {
                uses[*index] += 1;
            }
        }
        let mut lets = TokenStream::new();
        let mut codes: Vec<Code> = Vec::with_capacity(instructions.len());
        for (index, instruction) in instructions.iter().enumerate() {
            let code = self.instruction(instruction, &codes);
            let last = index + 1 == instructions.len();
            // Of the steps towards one value only the last bears its name.
            let later = &instructions[index + 1..];
            let named = !instruction.name.is_empty() && later.iter().all(|other| other.name != instruction.name);
            if last || (uses[index] < 2 && !named) {
                codes.push(code);
                continue;
            }
            let name = if named { instruction.name.as_str() } else { instruction.function.name() };
            let name = ident(&self.locals.unique(&super::names::snake(name)));
            let (value, _) = code;
            lets.extend(quote!(let #name = #value;));
            codes.push((quote!(#name), Binding::Call));
        }
        let value = codes.pop().map(|(value, _)| value);
        quote!(#lets #value)
    }

    fn instruction(&self, instruction: &Instruction, codes: &[Code]) -> Code {
        use PointwiseFn::*;
        let arguments: Vec<Code> =
            instruction.arguments.iter().map(|argument| self.argument(argument, codes)).collect();
        match (instruction.function, arguments.as_slice()) {
            (Negate, [x]) => {
                let x = at_least(x, Binding::Call);
                (quote!(-#x), Binding::Negation)
            }
            (Add, [x, y]) => infix(x, y, Binding::Sum, quote!(+)),
            (Subtract, [x, y]) => infix(x, y, Binding::Sum, quote!(-)),
            (Multiply, [x, y]) => infix(x, y, Binding::Product, quote!(*)),
            (Divide, [x, y]) => infix(x, y, Binding::Product, quote!(/)),
            (function, [x, others @ ..]) => {
                let (x, method) = (at_least(x, Binding::Call), format_ident!("{}", method(function)));
                let others = others.iter().map(|(code, _)| code);
                (quote!(#x.#method(#(#others),*)), Binding::Call)
            }
            (_, []) => (TokenStream::new(), Binding::Call),
        }
    }

    fn argument(&self, argument: &Argument, codes: &[Code]) -> Code {
        match *argument {
            Argument::Operand(index) => {
                let operand = &self.operands[index];
                (quote!(#operand), Binding::Call)
            }
            Argument::Instruction(index) => codes[index].clone(),
            Argument::Constant(value) => {
                let (value, like) = (float(value), self.operands.first());
                (quote!(#like.splat(#value)), Binding::Call)
            }
        }
    }
}

fn infix(x: &Code, y: &Code, binding: Binding, operator: TokenStream) -> Code {
    let tighter = if binding == Binding::Sum { Binding::Product } else { Binding::Negation };
    let (x, y) = (at_least(x, binding), at_least(y, tighter));
    (quote!(#x #operator #y), binding)
}

fn at_least((code, binding): &Code, least: Binding) -> TokenStream {
    if *binding >= least { code.clone() } else { quote!((#code)) }
}

/// The method of the runtime's `Lane`.
fn method(function: PointwiseFn) -> &'static str {
    match function {
        PointwiseFn::Minimum => "min",
        PointwiseFn::Maximum => "max",
        PointwiseFn::Power => "pow",
        other => other.name(),
    }
}

/// Numbers that Rust has a name for, which reads better than their digits.
const CONSTANTS: &[(&str, f32)] = &[
    ("E", consts::E),
    ("FRAC_1_PI", consts::FRAC_1_PI),
    ("FRAC_1_SQRT_2", consts::FRAC_1_SQRT_2),
    ("FRAC_2_PI", consts::FRAC_2_PI),
    ("FRAC_2_SQRT_PI", consts::FRAC_2_SQRT_PI),
    ("FRAC_PI_2", consts::FRAC_PI_2),
    ("FRAC_PI_3", consts::FRAC_PI_3),
    ("FRAC_PI_4", consts::FRAC_PI_4),
    ("FRAC_PI_6", consts::FRAC_PI_6),
    ("FRAC_PI_8", consts::FRAC_PI_8),
    ("LN_2", consts::LN_2),
    ("LN_10", consts::LN_10),
    ("LOG2_E", consts::LOG2_E),
    ("LOG10_E", consts::LOG10_E),
    ("PI", consts::PI),
    ("SQRT_2", consts::SQRT_2),
    ("TAU", consts::TAU),
];

/// A number as an `f32` expression.
pub(super) fn float(value: f64) -> TokenStream {
    let value = value as f32;
    if value.is_nan() {
        return quote!(f32::NAN);
    }
    let known = CONSTANTS.iter().find(|(_, constant)| *constant == value.abs());
    let magnitude = if value.is_infinite() {
        quote!(f32::INFINITY)
    } else if let Some((name, _)) = known {
        let name = format_ident!("{name}");
        quote!(::core::f32::consts::#name)
    } else {
        // With an exponent where that is shorter.
        let text = format!("{:?}", value.abs());
        let literal = text.parse().unwrap_or_else(|_| proc_macro2::Literal::f32_unsuffixed(value.abs()));
        quote!(#literal)
    };
    if value.is_sign_negative() { quote!(-#magnitude) } else { magnitude }
}
