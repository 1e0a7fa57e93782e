//! The layer table: what each binding of a network yields, holds and costs.
//!
//! Shapes and parameters are those of the model; floating-point operations are counted on the inference graph as it was
//! resolved, before anything is rewritten; bytes of workspaces are those of the planned Programs.

use dl_grammar::{Sources, Span};

use crate::model::{Model, Three};
use crate::outline::{Part, outline};
use crate::program::Program;
use crate::{Summary, SummaryRow};

/// The layer table of a model and its Programs.
pub fn summary(model: &Model, programs: &Three<Program>, sources: &Sources) -> Summary {
    let flops: Vec<usize> = model
        .inference
        .nodes
        .iter()
        .map(|node| {
            let types: Vec<_> = node.operands.iter().map(|&operand| model.inference.ty(operand)).collect();
            node.op.flops(&types, &node.ty)
        })
        .collect();
    let sum = |(from, to): (usize, usize)| {
        let nodes = flops.get(from..to.min(flops.len())).unwrap_or(&[]);
        nodes.iter().fold(0_usize, |sum, flops| sum.saturating_add(*flops))
    };
    let rows: Vec<SummaryRow> = outline(model).iter().map(|part| row(part, model, &sum, sources)).collect();
    let bytes = |program: &Program| 4 * (program.shard_floats + program.fixed_floats);
    let docs = model.docs.iter().take_while(|line| !line.trim().is_empty()).map(|line| line.trim());
    Summary {
        name: model.name.clone(),
        docs: docs.collect::<Vec<_>>().join(" "),
        parameters: model.parameters.iter().map(|parameter| parameter.dims.iter().product::<usize>()).sum(),
        flops: rows.iter().map(|row| row.flops).sum(),
        rows,
        inference_bytes: bytes(&programs.inference).max(bytes(&programs.evaluation)),
        training_bytes: programs
            .training
            .iter()
            .map(|program| bytes(program) + 4 * program.prepared_floats)
            .max()
            .unwrap_or(0),
    }
}

fn row(part: &Part, model: &Model, flops: &impl Fn((usize, usize)) -> usize, sources: &Sources) -> SummaryRow {
    let (from, to) = part.parameters;
    let parameters = model.parameters.get(from..to).unwrap_or(&[]);
    SummaryRow {
        name: part.name.clone(),
        callee: part.callee.clone(),
        dims: part.dims.clone(),
        parameters: parameters.iter().map(|parameter| parameter.dims.iter().product::<usize>()).sum(),
        flops: flops(part.nodes),
        bytes: 4 * part.dims.iter().product::<usize>(),
        place: place(sources, part.span),
        children: part.children.iter().map(|child| row(child, model, flops, sources)).collect(),
    }
}

/// `lenet.dln:12`, the file without its folder.
pub(crate) fn place(sources: &Sources, span: Span) -> String {
    let name = &sources.get(span.file).name;
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    format!("{name}:{}", sources.line_column(span).0)
}

/// `8320` as `8 320`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let groups: Vec<String> = (first > 0).then(|| digits[..first].to_owned()).into_iter().chain(groups).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_stand_apart() {
        let cases =
            [(0, "0"), (999, "999"), (1000, "1 000"), (8320, "8 320"), (61_706, "61 706"), (1_234_567, "1 234 567")];
        for (number, text) in cases {
            assert_eq!(super::grouped(number), text);
        }
    }
}
