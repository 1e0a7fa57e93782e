//! The reference of all operations as Markdown, made from their [`Spec`]s.
//!
//! What is written in the language (`std/*.dln`) documents itself there.

use std::fmt::Write;

use super::{Constant, Op, Spec};

const HEAD: &str = "\
# Operations

What the compiler knows by itself. Layers such as `dense` and losses such as `mse` are written in the language
(`dl-compiler/std/*.dln`) on top of these. This page is made from `dl-compiler/src/ops/`; a test keeps it fresh.

Shapes are those of one example. A value is *per example*, or *batch-wide* where that is written: the same for all
examples, as parameters and constants are. The result is per example if any operand is, unless stated otherwise.
Operands of *pointwise* operations are broadcast: dimensions are aligned from the right and must be equal or 1.
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let (called, others): (Vec<&Spec>, Vec<&Spec>) = Op::SPECS.iter().copied().partition(|spec| spec.callable);
    page += "\n## Called by name\n";
    called.iter().for_each(|spec| section(&mut page, spec));
    page += "\n## Written as operators, declared, or made by the compiler\n";
    others.iter().for_each(|spec| section(&mut page, spec));
    page
}

fn section(page: &mut String, spec: &Spec) {
    // Writing to a String cannot fail.
    let _ = write_section(page, spec);
}

fn write_section(page: &mut String, spec: &Spec) -> std::fmt::Result {
    let pointwise = if spec.pointwise { " Pointwise." } else { "" };
    writeln!(page, "\n### `{}`\n\n{}.{pointwise}\n", spec.name, spec.summary)?;
    writeln!(page, "```text\n{}\n{}\n```", signature(spec), spec.formula)?;
    if !spec.attributes.is_empty() {
        writeln!(page, "\n| attribute | default | meaning |\n|---|---|---|")?;
        for attribute in spec.attributes {
            let default = match attribute.default {
                Some(Constant::SameAs(place)) => {
                    let other = spec.attributes.get(place).map(|attribute| attribute.name);
                    format!("as `{}`", other.unwrap_or_default())
                }
                Some(constant) => format!("`{}`", number(constant)),
                None => String::new(),
            };
            writeln!(page, "| `{}` | {default} | {} |", attribute.name, attribute.doc)?;
        }
    }
    if !spec.constraints.is_empty() {
        writeln!(page)?;
    }
    for (place, constraint) in spec.constraints.iter().enumerate() {
        writeln!(page, "- C{}: {constraint}", place + 1)?;
    }
    if !spec.examples.is_empty() {
        writeln!(page, "\n```text")?;
        for (operands, attributes, result) in spec.examples {
            let attributes = attributes.iter().map(|(name, value)| format!("{name}: {}", number(*value)));
            let operands = Some(operands.to_string()).filter(|operands| !operands.is_empty());
            let arguments: Vec<String> = operands.into_iter().chain(attributes).collect();
            writeln!(page, "{}({}) → {result}", spec.name, arguments.join(", "))?;
        }
        writeln!(page, "```")?;
    }
    Ok(())
}

fn signature(spec: &Spec) -> String {
    let operands = spec.operands.iter().map(|operand| operand.to_string());
    let attributes = spec.attributes.iter().map(|attribute| format!("{}: …", attribute.name));
    format!("{}({})", spec.name, operands.chain(attributes).collect::<Vec<_>>().join(", "))
}

fn number(constant: Constant) -> String {
    match constant {
        Constant::Integer(value) => value.to_string(),
        Constant::Float(value) => format!("{value:?}"),
        Constant::Bool(value) => value.to_string(),
        Constant::List(values) => format!("{values:?}"),
        Constant::SameAs(place) => format!("attribute {place}"),
    }
}
