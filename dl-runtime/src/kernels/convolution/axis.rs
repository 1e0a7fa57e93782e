//! Which positions of the source a result meets along one axis, and at which taps.
//!
//! The taps are those of the panels, which for the gradient of the input are in reverse. Result i of a convolution meets
//! the source at i · stride + tap · dilation − padding. Position i of its input is met by result (i + padding − tap ·
//! dilation) / stride where that is whole: for all i of one residue modulo the stride these are every so many taps,
//! and evenly spaced results. So both are one computation, the latter once for each residue.

use std::ops::Range;

/// One axis of a correlation of planes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Positions of the source.
    pub(super) source: usize,
    /// How many results are computed.
    pub(super) outputs: usize,
    /// Positions from what one result meets to what the next one meets.
    pub(super) stride: usize,
    /// Where result 0 meets the source at the first of its taps.
    pub(super) offset: isize,
    /// Positions from one of its taps to the next.
    pub(super) dilation: usize,
    /// How many of the kernel's taps it has.
    pub(super) taps: usize,
    /// Which the first is.
    first_tap: usize,
    /// Taps of the kernel from one of them to the next.
    pub(super) tap_step: usize,
    /// Results of a plane along this axis.
    pub(super) len: usize,
    /// Where result 0 belongs.
    first: usize,
    /// Places from one result to the next.
    pub(super) step: usize,
    /// The results for which all taps exist.
    full: [usize; 2],
}

impl Axis {
    /// The axis of a convolution of `source` positions to `outputs`.
    pub(super) fn forward(
        source: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Self {
        let axis = Axis {
            source,
            outputs,
            stride,
            offset: -(padding as isize),
            dilation,
            taps: kernel,
            first_tap: 0,
            tap_step: 1,
            len: outputs,
            first: 0,
            step: 1,
            full: [0; 2],
        };
        axis.with_full()
    }

    /// The gradient of [`forward`](Self::forward)'s source at the positions `residue`, `residue + stride`, …
    pub(super) fn backward(self, residue: usize) -> Self {
        let (kernel, stride, dilation) = (self.taps as isize, self.stride as isize, self.dilation as isize);
        // The result that meets `residue` at tap `tap` of the reversed kernel, times the stride.
        let met = |tap: isize| residue as isize - self.offset - (kernel - 1 - tap) * dilation;
        let mut whole = (0..kernel).filter(|tap| met(*tap) % stride == 0);
        let first_tap = whole.next().unwrap_or(kernel);
        let tap_step = whole.next().map_or(kernel, |next| next - first_tap);
        let axis = Axis {
            source: self.outputs,
            outputs: self.source.saturating_sub(residue).div_ceil(self.stride),
            stride: 1,
            offset: met(first_tap) / stride,
            dilation: ((tap_step * dilation) / stride).max(1) as usize,
            taps: ((kernel - first_tap) as usize).div_ceil(tap_step as usize),
            first_tap: first_tap as usize,
            tap_step: tap_step as usize,
            len: self.source,
            first: residue,
            step: self.stride,
            full: [0; 2],
        };
        axis.with_full()
    }

    /// The axis of `count` of a convolution's results from `first` on, by themselves.
    pub(super) fn part(self, first: usize, count: usize) -> Self {
        let offset = self.offset + (first * self.stride) as isize;
        Axis { outputs: count, len: count, offset, ..self }.with_full()
    }

    /// The axis if nothing but these positions of the source is there; nothing else must be met.
    pub(super) fn within(self, positions: &Range<usize>) -> Self {
        let offset = self.offset - positions.start as isize;
        Axis { source: positions.len(), offset, ..self }.with_full()
    }

    fn with_full(mut self) -> Self {
        // Those that begin at the source's first position or later, and end at its last one or earlier.
        let start = ((-self.offset).max(0) as usize).div_ceil(self.stride).min(self.outputs);
        let reach = (self.taps.saturating_sub(1) * self.dilation) as isize + self.offset;
        let end = match self.source as isize - 1 - reach {
            _ if self.taps == 0 => self.outputs,
            room @ 0.. => (room as usize / self.stride + 1).clamp(start, self.outputs),
            _ => start,
        };
        let start = if self.taps == 0 { 0 } else { start };
        self.full = [start, end];
        self
    }

    /// The taps that exist for a result.
    #[inline(always)]
    pub(super) fn taps_at(&self, output: usize) -> Range<usize> {
        if (self.full[0]..self.full[1]).contains(&output) { 0..self.taps } else { self.clip(output) }
    }

    /// How many results from one on and before `end` have the same taps, for sure.
    #[inline(always)]
    pub(super) fn alike(&self, output: usize, end: usize) -> usize {
        if (self.full[0]..self.full[1]).contains(&output) { self.full[1].min(end) - output } else { 1 }
    }

    fn clip(&self, output: usize) -> Range<usize> {
        let start = (output * self.stride) as isize + self.offset;
        let before = ((-start).max(0) as usize).div_ceil(self.dilation);
        let inside = ((self.source as isize - start).max(0) as usize).div_ceil(self.dilation).min(self.taps);
        if before < inside { before..inside } else { 0..0 }
    }

    /// Where a result meets the source at one of its taps, which must exist.
    #[inline(always)]
    pub(super) fn meets(&self, output: usize, tap: usize) -> usize {
        ((output * self.stride + tap * self.dilation) as isize + self.offset) as usize
    }

    /// Which tap of the kernel one of its taps is.
    #[inline(always)]
    pub(super) fn tap(&self, tap: usize) -> usize {
        self.first_tap + tap * self.tap_step
    }

    /// Where a result belongs.
    #[inline(always)]
    pub(super) fn place(&self, output: usize) -> usize {
        self.first + output * self.step
    }

    /// How many positions so many neighbouring results meet at most, at least 1.
    pub(super) fn reach(&self, outputs: usize) -> usize {
        let window = outputs.saturating_sub(1) * self.stride + self.taps.saturating_sub(1) * self.dilation + 1;
        window.min(self.source).max(1)
    }

    /// The positions that neighbouring results meet.
    pub(super) fn met(&self, outputs: &Range<usize>) -> Range<usize> {
        let start = (outputs.start * self.stride) as isize + self.offset;
        let end = start
            + ((outputs.len().max(1) - 1) * self.stride + self.taps.saturating_sub(1) * self.dilation + 1) as isize;
        let [start, end] = [start, end].map(|at| at.clamp(0, self.source as isize) as usize);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Both ways, the pairs of positions that meet are those of the definition, each once.
        #[test]
        fn pairs_are_those_of_the_definition(
            source in 1..20_usize, kernel in 1..6_usize, stride in 1..5_usize, padding in 0..6_usize, dilation in 1..5_usize,
        ) {
            let extent = dilation * (kernel - 1) + 1;
            let outputs = (source + 2 * padding).checked_sub(extent).map_or(0, |rest| rest / stride + 1);
            let mut expected = Vec::new();
            for (output, tap) in (0..outputs).flat_map(|output| (0..kernel).map(move |tap| (output, tap))) {
                if let Some(at) = (output * stride + tap * dilation).checked_sub(padding).filter(|at| *at < source) {
                    expected.push((at, tap, output));
                }
            }
            let forward = Axis::forward(source, outputs, kernel, stride, padding, dilation);
            let mut found = Vec::new();
            for output in 0..outputs {
                let met = forward.met(&(output..output + 1));
                for tap in forward.taps_at(output) {
                    let at = forward.meets(output, tap);
                    prop_assert!(met.contains(&at));
                    found.push((at, forward.tap(tap), forward.place(output)));
                }
            }
            prop_assert_eq!(&found, &expected);
            let mut found = Vec::new();
            for backward in (0..stride).map(|residue| forward.backward(residue)) {
                let all = backward.met(&(0..backward.outputs));
                prop_assert!(all.len() <= backward.reach(backward.outputs));
                for output in 0..backward.outputs {
                    for tap in backward.taps_at(output) {
                        let met = backward.meets(output, tap);
                        prop_assert!(all.contains(&met));
                        found.push((backward.place(output), kernel - 1 - backward.tap(tap), met));
                    }
                }
            }
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
