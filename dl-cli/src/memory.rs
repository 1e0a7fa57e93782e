//! The planned Programs of a network enter, text leaves: what lies where in the arena, and from which step to which.
//!
//! ```text
//! Tiny, training, each shard of 16 examples: 1 280 bytes
//!
//!   from     to  steps  value
//!      0  1 024    0–3  hidden  [16]
//!  1 024  1 280    2–2  logits  [4]
//! ```

use dl_compiler::pipeline::Network;
use dl_compiler::plan::lives;
use dl_compiler::program::{Buffer, Home};
use dl_compiler::summary::grouped;

/// Bytes of a float.
const FLOAT: usize = 4;

/// A planned buffer.
pub(crate) struct Piece<'a> {
    /// Inference, evaluation or a step of training.
    pub(crate) program: String,
    /// `shard` or `fixed`.
    pub(crate) home: &'static str,
    /// What lies there.
    pub(crate) buffer: &'a Buffer,
    /// The first byte of its home, and the one behind the last.
    pub(crate) bytes: [usize; 2],
    /// The step that writes it, and the last that reads it.
    pub(crate) steps: [usize; 2],
}

/// All pieces of all arenas: by program, home, place and time.
pub(crate) fn pieces(network: &Network) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (name, program) in network.programs.named(&network.model.losses) {
        for (home, place) in [("shard", Home::Shard), ("fixed", Home::Fixed)] {
            let first = pieces.len();
            pieces.extend(lives(program, place).into_iter().map(|life| {
                let buffer = program.buffer(life.buffer);
                let start = FLOAT * buffer.offset;
                let bytes = [start, start + FLOAT * life.floats];
                Piece { program: name.clone(), home, buffer, bytes, steps: [life.first, life.last] }
            }));
            pieces[first..].sort_by_key(|piece| (piece.bytes, piece.steps));
        }
    }
    pieces
}

/// The arenas of a network as tables.
pub(crate) fn tables(network: &Network) -> String {
    let pieces = pieces(network);
    let mut text = String::new();
    for (name, program) in network.programs.named(&network.model.losses) {
        let every = match program.shard_examples {
            1 => "each example".to_owned(),
            examples => format!("each shard of {examples} examples"),
        };
        let homes =
            [("shard", every, program.shard_floats), ("fixed", "once for the batch".to_owned(), program.fixed_floats)];
        for (home, what, floats) in homes.into_iter().filter(|(_, _, floats)| *floats > 0) {
            let rows = pieces.iter().filter(|piece| (piece.program.as_str(), piece.home) == (name.as_str(), home));
            let bytes = grouped(FLOAT * floats);
            text.push_str(&format!("{}, {name}, {what}: {bytes} bytes\n\n{}\n", network.model.name, table(rows)));
        }
        let prepared = FLOAT * program.prepared_floats;
        if prepared > 0 {
            let bytes = grouped(prepared);
            text.push_str(&format!("{}, {name}, prepared from parameters: {bytes} bytes\n\n", network.model.name));
        }
    }
    text
}

fn table<'a>(pieces: impl Iterator<Item = &'a Piece<'a>>) -> String {
    let mut rows = vec![["from", "to", "steps", "value"].map(str::to_owned)];
    rows.extend(pieces.map(|piece| {
        let value = format!("{}  {:?}", piece.buffer.name, piece.buffer.dims);
        let [from, to] = piece.bytes.map(grouped);
        [from, to, format!("{}–{}", piece.steps[0], piece.steps[1]), value]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (from, to, steps) = (width(0), width(1), width(2));
    let line = |row: &[String; 4]| {
        let [a, b, c, value] = row;
        let mut line = String::new();
        for (cell, width) in [(a, from), (b, to), (c, steps)] {
            line.push_str(&" ".repeat(2 + width.saturating_sub(cell.chars().count())));
            line.push_str(cell);
        }
        format!("{line}  {value}\n")
    };
    rows.iter().map(line).collect()
}
