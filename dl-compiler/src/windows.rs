//! Lets pointwise steps read parts of blocks, and write them, where they lie: no copies that cut values apart or join them.
//!
//! Before: `gate = slice (gates)`, `y = pointwise (gate)`. After: `gate` is a window of `gates` ([`Home::Window`]), and the step
//! that made it is gone. Of values that are joined the same: `pointwise` writes each into its window of the whole. A value
//! stays as it is where anyone but pointwise steps of the same loop touches it, where examples lie side by side, and where
//! a step would read and write the same whole. It moves no other step and knows no offsets.

use std::collections::BTreeSet;

use crate::program::{BufferId, Home, Kernel, Layout, Phase, Program, SliceShape, Step};

/// Makes windows of what slices and concats would copy.
pub fn windows(program: &mut Program) {
    let uses = Uses::new(program);
    for at in 0..program.phases.len() {
        let Phase::Shards(steps) = &mut program.phases[at] else { continue };
        let steps = std::mem::take(steps);
        let mut needless = BTreeSet::new();
        for (place, step) in steps.iter().enumerate() {
            let scope = Scope { program, uses: &uses, phase: at, steps: &steps };
            let windows = match &step.kernel {
                Kernel::Slice(shape) => scope.part(place, *shape),
                Kernel::Concat(_, lens) => scope.joined(place, lens),
                _ => None,
            };
            let Some(windows) = windows else { continue };
            needless.insert(place);
            for (buffer, home) in windows {
                program.buffers[buffer.0 as usize].home = home;
            }
        }
        let kept = steps.into_iter().enumerate().filter(|(place, _)| !needless.contains(place));
        program.phases[at] = Phase::Shards(kept.map(|(_, step)| step).collect());
    }
}

/// The steps that read and write each buffer, by phase and place.
struct Uses {
    readers: Vec<Vec<(usize, usize)>>,
    writers: Vec<Vec<(usize, usize)>>,
    /// Buffers that are results or that others are pieces of.
    bound: BTreeSet<BufferId>,
}

impl Uses {
    fn new(program: &Program) -> Uses {
        let none = vec![Vec::new(); program.buffers.len()];
        let mut uses = Uses { readers: none.clone(), writers: none, bound: BTreeSet::new() };
        for (phase, steps) in program.phases.iter().map(Phase::steps).enumerate() {
            for (place, step) in steps.iter().enumerate() {
                step.results().for_each(|result| uses.writers[result.0 as usize].push((phase, place)));
                let operands: BTreeSet<BufferId> = step.operands.iter().copied().collect();
                operands.iter().for_each(|operand| uses.readers[operand.0 as usize].push((phase, place)));
            }
        }
        uses.bound.extend(program.results.iter().map(|(_, result)| *result));
        uses.bound.extend(program.buffers.iter().filter_map(|buffer| match buffer.home {
            Home::Step { of, .. } | Home::Steps { of, .. } => Some(of),
            _ => None,
        }));
        uses
    }
}

/// The steps of one phase.
struct Scope<'a> {
    program: &'a Program,
    uses: &'a Uses,
    phase: usize,
    steps: &'a [Step],
}

type Windows = Vec<(BufferId, Home)>;

impl Scope<'_> {
    /// The window that the result of a slice becomes.
    fn part(&self, place: usize, SliceShape { size, start, .. }: SliceShape) -> Option<Windows> {
        let (&x, y) = (self.steps[place].operands.first()?, self.steps[place].result);
        let readers = self.readers(y, place)?;
        let last = *readers.last()?;
        let fits = readers.iter().all(|&reader| self.reads_in_full(reader, y));
        // While it is read the whole stays what it is.
        let stays = !self.steps[place..=last].iter().any(|step| self.same_whole(step.result, x));
        let free = self.is_whole(x) && self.is_free(y, place);
        (free && fits && stays).then(|| vec![(y, Home::Window { of: x, start, size })])
    }

    /// The windows that the operands of a concat become.
    fn joined(&self, place: usize, lens: &[usize]) -> Option<Windows> {
        let (whole, operands) = (self.steps[place].result, &self.steps[place].operands);
        let size = lens.iter().sum();
        let (mut windows, mut start, mut first) = (Vec::new(), 0, place);
        for (&operand, len) in operands.iter().zip(lens) {
            let &(_, writer) = self.uses.writers[operand.0 as usize].first()?;
            let step = self.steps.get(writer).filter(|step| step.result == operand && writer < place)?;
            let written = matches!(step.kernel, Kernel::Pointwise(_)) && !step.operands.is_empty();
            // Nothing that becomes part of the whole is computed from another part of it.
            let apart = |step: &Step| !step.operands.iter().any(|operand| operands.contains(operand));
            let fits = self.readers(operand, writer)?.into_iter().filter(|reader| *reader != place).all(|reader| {
                let result = self.steps[reader].result;
                self.reads_in_full(reader, operand) && !operands.contains(&result) && !self.same_whole(result, whole)
            });
            let once = operands.iter().filter(|other| **other == operand).count() == 1;
            if !(written && apart(step) && fits && once && self.is_free(operand, writer)) {
                return None;
            }
            windows.push((operand, Home::Window { of: whole, start, size }));
            (start, first) = (start + len, first.min(writer));
        }
        let untouched = self.steps[first..place].iter().all(|step| {
            !self.same_whole(step.result, whole)
                && !step.operands.iter().any(|&operand| self.same_whole(operand, whole))
        });
        (self.is_whole(whole) && untouched).then_some(windows)
    }

    /// The steps that read a buffer, if all of them come after the step at `place`, and as often.
    fn readers(&self, id: BufferId, place: usize) -> Option<Vec<usize>> {
        let readers = &self.uses.readers[id.0 as usize];
        let within = self.steps[place].within;
        let fits = |&(phase, reader): &(usize, usize)| {
            phase == self.phase && reader > place && self.steps[reader].within == within
        };
        readers.iter().all(fits).then(|| readers.iter().map(|(_, reader)| *reader).collect())
    }

    /// Whether it is an expression alone that reads a value, one float of it for each place.
    fn reads_in_full(&self, reader: usize, id: BufferId) -> bool {
        let step = &self.steps[reader];
        let expression = step.kernel.expression(self.program.buffer(step.result).floats);
        expression.is_some_and(|(expression, places)| {
            let mut read = step.operands.iter().enumerate().filter(|(_, operand)| **operand == id);
            read.all(|(place, _)| expression.views.get(place).is_some_and(|view| (view.inner, view.len) == (1, places)))
        })
    }

    /// Whether there can be windows of a buffer: steps of shards reach it, and its examples lie one after another.
    fn is_whole(&self, id: BufferId) -> bool {
        let buffer = self.program.buffer(id);
        let reached = matches!(buffer.home, Home::Shard | Home::Step { .. } | Home::Field(_));
        reached && buffer.per_example && buffer.layout == Layout::default()
    }

    /// Whether a buffer may lie elsewhere: it has floats, one step alone writes it, and nobody else needs its place.
    fn is_free(&self, id: BufferId, writer: usize) -> bool {
        let buffer = self.program.buffer(id);
        let alone = self.uses.writers[id.0 as usize] == [(self.phase, writer)] && !self.uses.bound.contains(&id);
        alone && buffer.home == Home::Shard && buffer.layout == Layout::default() && buffer.floats > 0
    }

    fn same_whole(&self, a: BufferId, b: BufferId) -> bool {
        self.program.whole(a) == self.program.whole(b)
    }
}
