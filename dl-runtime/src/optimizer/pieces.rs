//! What is updated in one pass: ranges, tensors, options and frozen ranges enter, runs of parameters that are updated
//! alike leave.

use std::ops::Range;

use super::options::{Clip, Options, path_matches};
use super::pass::UNIT;
use crate::TensorInfo;

/// A run of parameters that one pass updates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// Where they lie in the block.
    pub(super) block: Range<usize>,
    /// Where their floats begin in each part of the memory.
    start: usize,
    /// The factor of their weight decay.
    pub(super) decay: f32,
    /// What of them is dealt to threads by itself, in floats from the first.
    pub(super) blocks: Vec<Range<usize>>,
}

impl Piece {
    /// Where their floats lie in each part of the memory.
    pub(super) fn memory(&self) -> Range<usize> {
        self.start..self.start + self.block.len()
    }
}

/// The pieces of some ranges in order, frozen parameters left out: as few as the options allow, or one for each tensor if
/// these are clipped apart.
pub(super) fn pieces(
    ranges: &[Range<usize>],
    tensors: &[TensorInfo],
    options: &Options,
    frozen: &[Range<usize>],
) -> Vec<Piece> {
    let apart = matches!(options.clip, Clip::Norm(_));
    let factor = |name| {
        let last = options.decay.iter().rev().find(|decay| path_matches(&decay.pattern, name));
        last.map_or(1.0, |decay| decay.factor)
    };
    let mut known: Vec<(Range<usize>, f32)> = Vec::new();
    if apart || !options.decay.is_empty() {
        let tensor = |tensor: &TensorInfo| (tensor.offset..tensor.offset + tensor.len(), factor(tensor.name));
        known.extend(tensors.iter().map(tensor));
        known.sort_by_key(|(range, _)| range.start);
    }
    let ends = known.iter().map(|(range, _)| range).chain(frozen).flat_map(|range| [range.start, range.end]);
    let mut cuts: Vec<usize> = ends.collect();
    cuts.sort_unstable();
    cuts.dedup();

    let mut pieces: Vec<Piece> = Vec::new();
    let mut before = 0;
    for range in ranges {
        let inside = &cuts[cuts.partition_point(|&cut| cut <= range.start)..];
        let inside = inside.iter().copied().take_while(|&cut| cut < range.end);
        let mut start = range.start;
        for end in inside.chain([range.end]) {
            let tensor = known[..known.partition_point(|(tensor, _)| tensor.start <= start)].last();
            let tensor = tensor.filter(|(tensor, _)| tensor.contains(&start));
            let is_frozen = frozen.iter().any(|range| range.contains(&start));
            let last = pieces.last_mut().filter(|last| last.block.end == start);
            match (tensor, last) {
                _ if start == end || is_frozen => {}
                // What lies between tensors is zero and goes with the one before it.
                (None, Some(last)) => last.block.end = end,
                (Some((_, decay)), Some(last)) if !apart && last.decay == *decay => last.block.end = end,
                _ => {
                    let decay = tensor.map_or(1.0, |(_, decay)| *decay);
                    let start_of_memory = before + (start - range.start);
                    pieces.push(Piece { block: start..end, start: start_of_memory, decay, blocks: Vec::new() });
                }
            }
            start = end;
        }
        before += range.len();
    }
    for piece in &mut pieces {
        piece.blocks = blocks(&piece.block, tensors);
    }
    pieces
}

/// Floats of a tensor that is dealt to threads by itself.
const LARGE: usize = 4 * UNIT;

/// What a run of parameters is dealt to threads by: each of its large tensors, and what lies between them.
fn blocks(run: &Range<usize>, tensors: &[TensorInfo]) -> Vec<Range<usize>> {
    let large = tensors.iter().filter(|tensor| tensor.len() >= LARGE);
    let ends = large.flat_map(|tensor| [tensor.offset, tensor.offset + tensor.len()]);
    let mut cuts: Vec<usize> =
        ends.chain([run.start, run.end]).filter(|cut| (run.start..=run.end).contains(cut)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0] - run.start..pair[1] - run.start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::Decay;

    const TENSORS: &[TensorInfo] = &[
        TensorInfo { name: "a.weight", dims: &[3, 4], offset: 0, place: "" },
        TensorInfo { name: "a.bias", dims: &[4], offset: 16, place: "" },
        TensorInfo { name: "b.weight", dims: &[4], offset: 32, place: "" },
        TensorInfo { name: "b.bias", dims: &[2], offset: 48, place: "" },
    ];

    const WHOLE: Range<usize> = 0..64;
    const A_BIAS: Range<usize> = 16..20;

    fn shown(ranges: &[Range<usize>], options: &Options, frozen: &[Range<usize>]) -> Vec<(Range<usize>, usize, f32)> {
        let pieces = pieces(ranges, TENSORS, options, frozen);
        pieces.into_iter().map(|piece| (piece.block.clone(), piece.memory().start, piece.decay)).collect()
    }

    #[test]
    fn without_options_a_range_is_a_piece() {
        let ranges = [0..20, 32..64];
        assert_eq!(shown(&ranges, &Options::new(), &[]), [(0..20, 0, 1.0), (32..64, 20, 1.0)]);
        assert_eq!(shown(&[], &Options::new(), &[]), []);
    }

    #[test]
    fn tensors_that_are_clipped_apart_are_pieces() {
        let options = Options { clip: Clip::Norm(1.0), ..Options::new() };
        let expected = [(0..16, 0, 1.0), (16..32, 16, 1.0), (32..48, 32, 1.0), (48..64, 48, 1.0)];
        assert_eq!(shown(&[WHOLE], &options, &[]), expected);
    }

    #[test]
    fn the_last_pattern_that_matches_decides_the_decay() {
        let decay = vec![Decay::new("*", 0.5), Decay::new("*.bias", 0.0)];
        let options = Options { decay, ..Options::new() };
        let expected = [(0..16, 0, 0.5), (16..32, 16, 0.0), (32..48, 32, 0.5), (48..64, 48, 0.0)];
        assert_eq!(shown(&[WHOLE], &options, &[]), expected);
        let options = Options { decay: vec![Decay::new("a.bias", 2.0)], ..Options::new() };
        assert_eq!(shown(&[WHOLE], &options, &[]), [(0..16, 0, 1.0), (16..32, 16, 2.0), (32..64, 32, 1.0)]);
    }

    #[test]
    fn large_tensors_are_blocks() {
        const TENSORS: &[TensorInfo] = &[
            TensorInfo { name: "a", dims: &[3], offset: 0, place: "" },
            TensorInfo { name: "b", dims: &[4, UNIT], offset: 16, place: "" },
            TensorInfo { name: "c", dims: &[2], offset: 16 + LARGE, place: "" },
            TensorInfo { name: "d", dims: &[LARGE - 1], offset: 32 + LARGE, place: "" },
            TensorInfo { name: "e", dims: &[LARGE], offset: 32 + 2 * LARGE, place: "" },
        ];
        let end = 32 + 3 * LARGE;
        let whole = [0..16, 16..16 + LARGE, 16 + LARGE..32 + 2 * LARGE, 32 + 2 * LARGE..end];
        assert_eq!(blocks(&(0..end), TENSORS), whole);
        // A run that begins and ends within large tensors.
        let part = [0..LARGE - 4, LARGE - 4..12 + 2 * LARGE, 12 + 2 * LARGE..12 + 2 * LARGE + 7];
        assert_eq!(blocks(&(20..32 + 2 * LARGE + 7), TENSORS), part);
        assert_eq!(blocks(&(5..9), &[]), std::slice::from_ref(&(0..4)));
        assert_eq!(blocks(&(5..5), &[]), []);
    }

    #[test]
    fn frozen_ranges_are_left_out_and_keep_their_memory() {
        let options = Options::new();
        assert_eq!(shown(&[0..32, 32..64], &options, &[A_BIAS]), [(0..16, 0, 1.0), (20..64, 20, 1.0)]);
        assert_eq!(shown(&[8..32, 40..64], &options, &[60..99, 0..10]), [(10..32, 2, 1.0), (40..60, 24, 1.0)]);
        assert_eq!(shown(&[WHOLE], &options, &[WHOLE]), []);
    }
}
