//! Layer tables enter, aligned text leaves:
//!
//! ```text
//! Tiny: 8×8 grey images to ten classes.
//!
//! layer    output  parameters   FLOPs  bytes  line
//! hidden   [128]        8 320  16 512    512  tiny.dln:7
//! logits   [10]         1 290   2 570     40  tiny.dln:8
//! total                 9 610  19 082    552
//!
//! FLOPs and bytes are of one example …
//! ```

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
    let bytes = summary.rows.iter().fold(0_usize, |sum, row| sum.saturating_add(row.bytes));
    let mut cells = vec![["layer", "output", "parameters", "FLOPs", "bytes", "line"].map(str::to_owned)];
    cells.extend(summary.rows.iter().map(row));
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

fn row(row: &SummaryRow) -> [String; COLUMNS] {
    let dims: Vec<String> = row.dims.iter().map(usize::to_string).collect();
    [
        row.name.clone(),
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

/// `16512` as `16 512`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [(0, "0"), (999, "999"), (1000, "1 000"), (61_706, "61 706"), (1_234_567, "1 234 567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_totalled() {
        let row = |name: &str, dims: &[usize], parameters, flops, bytes, line| SummaryRow {
            name: name.to_owned(),
            dims: dims.to_vec(),
            parameters,
            flops,
            bytes,
            place: format!("tiny.dln:{line}"),
        };
        let summary = Summary {
            name: "Tiny".to_owned(),
            docs: "8×8 grey images to ten classes.".to_owned(),
            rows: vec![row("hidden", &[128], 8_320, 16_512, 512, 7), row("é", &[], 1_290, 2_570, 4, 8)],
            parameters: 9_610,
            flops: 19_082,
            inference_bytes: 17_408,
            training_bytes: 1_034_816,
        };
        let expected = "\
Tiny: 8×8 grey images to ten classes.

layer   output  parameters   FLOPs  bytes  line
hidden  [128]        8 320  16 512    512  tiny.dln:7
é       []           1 290   2 570      4  tiny.dln:8
total                9 610  19 082    516

FLOPs and bytes are of one example, forward. Workspace of one shard: inference 17 408 bytes, training 1 034 816 bytes.
";
        assert_eq!(tables(&[summary]), expected);
    }
}
