//! Layer tables enter, aligned text leaves, with layers under what they stand in:
//!
//! ```text
//! Tiny: 8×8 grey images to ten classes.
//!
//! layer              output  parameters   FLOPs  bytes  line
//! hidden: dense      [128]        8 320  16 512    512  tiny.dln:7
//! logits             [10]         1 290   2 580     40  tiny.dln:8
//! ├─ relu            [128]            0     128    512  tiny.dln:8
//! └─ dense           [10]         1 290   2 570     40  tiny.dln:8
//! total                           9 610  19 092    552
//!
//! FLOPs and bytes are of one example …
//! ```

use dl_compiler::summary::grouped;
use dl_compiler::{Summary, SummaryRow};

/// The tables of all networks, a blank line between them.
pub(crate) fn tables(summaries: &[Summary]) -> String {
    summaries.iter().map(table).collect::<Vec<_>>().join("\n")
}

const COLUMNS: usize = 6;

fn table(summary: &Summary) -> String {
    let heading = match summary.docs.trim() {
        "" => summary.name.clone(),
        docs => format!("{}: {}", summary.name, docs.replace('\n', " ")),
    };
    let bytes = summary.rows.iter().fold(0_usize, |sum, row| sum.saturating_add(values(row)));
    let mut cells = vec![["layer", "output", "parameters", "FLOPs", "bytes", "line"].map(str::to_owned)];
    for top in &summary.rows {
        cells.push(row(top, ""));
        children(top, "", &mut cells);
    }
    cells.push([
        "total".to_owned(),
        String::new(),
        grouped(summary.parameters),
        grouped(summary.flops),
        grouped(bytes),
        String::new(),
    ]);
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let lines: String = cells.iter().map(|row| line(row, &widths)).collect();
    format!(
        "{heading}\n\n{lines}\nFLOPs and bytes are of one example, forward. \
         Workspace of one shard: inference {} bytes, training {} bytes.\n",
        grouped(summary.inference_bytes),
        grouped(summary.training_bytes),
    )
}

/// The bytes of the values in a part: of the innermost calls, each of which makes one.
fn values(row: &SummaryRow) -> usize {
    if row.children.is_empty() {
        return row.bytes;
    }
    row.children.iter().fold(0, |sum, child| sum.saturating_add(values(child)))
}

/// Layers nest as deeply as calls, to a limit that is small.
fn children(parent: &SummaryRow, before: &str, cells: &mut Vec<[String; COLUMNS]>) {
    for (place, child) in parent.children.iter().enumerate() {
        let is_last = place + 1 == parent.children.len();
        cells.push(row(child, &format!("{before}{}", if is_last { "└─ " } else { "├─ " })));
        children(child, &format!("{before}{}", if is_last { "   " } else { "│  " }), cells);
    }
}

fn row(row: &SummaryRow, before: &str) -> [String; COLUMNS] {
    let name = match (row.name.as_str(), row.callee.as_str()) {
        ("", callee) => callee.to_owned(),
        (name, "") => name.to_owned(),
        (name, callee) => format!("{name}: {callee}"),
    };
    let dims: Vec<String> = row.dims.iter().map(usize::to_string).collect();
    [
        format!("{before}{name}"),
        format!("[{}]", dims.join(", ")),
        grouped(row.parameters),
        grouped(row.flops),
        grouped(row.bytes),
        row.place.clone(),
    ]
}

/// Names to the left, numbers to the right.
fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
        let number = (2..5).contains(&column);
        let (before, behind) = if number { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
        let gap = if column == 0 { "" } else { "  " };
        line.push_str(&format!("{gap}{before}{cell}{behind}"));
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_totalled() {
        let row = |name: &str, dims: &[usize], parameters, flops, bytes, children: Vec<SummaryRow>| SummaryRow {
            name: name.split_once(':').map_or(name, |(name, _)| name).to_owned(),
            callee: name.split_once(": ").map_or("", |(_, callee)| callee).to_owned(),
            dims: dims.to_vec(),
            parameters,
            flops,
            bytes,
            place: "tiny.dln:7".to_owned(),
            children,
        };
        let inner = row("conv: conv2d", &[4, 4], 90, 800, 64, Vec::new());
        let block = row(": block", &[4], 90, 804, 16, vec![inner, row(": é", &[], 0, 4, 4, Vec::new())]);
        let hidden = row("hidden", &[128], 8_320, 16_512, 512, vec![block, row(": relu", &[4], 0, 4, 16, Vec::new())]);
        let summary = Summary {
            name: "Tiny".to_owned(),
            docs: "8×8 grey images to ten classes.".to_owned(),
            rows: vec![hidden, row("é", &[], 1_290, 2_570, 4, Vec::new())],
            parameters: 9_610,
            flops: 19_082,
            inference_bytes: 17_408,
            training_bytes: 1_034_816,
        };
        let expected = "\
Tiny: 8×8 grey images to ten classes.

layer               output  parameters   FLOPs  bytes  line
hidden              [128]        8 320  16 512    512  tiny.dln:7
├─ block            [4]             90     804     16  tiny.dln:7
│  ├─ conv: conv2d  [4, 4]          90     800     64  tiny.dln:7
│  └─ é             []               0       4      4  tiny.dln:7
└─ relu             [4]              0       4     16  tiny.dln:7
é                   []           1 290   2 570      4  tiny.dln:7
total                            9 610  19 082     88

FLOPs and bytes are of one example, forward. Workspace of one shard: inference 17 408 bytes, training 1 034 816 bytes.
";
        assert_eq!(tables(&[summary]), expected);
    }
}
