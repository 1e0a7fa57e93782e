//! Planning: gives every buffer of a Program its offset, so that values which are never needed at the same time share floats.
//!
//! Before: buffers with homes. After: offsets within a shard, the fixed part and the prepared block, and the size of
//! each. A buffer lives from the step that writes it to the last one that reads it, results to the end. Placing by
//! size comes within a few percent of the least possible (Pisarchyk and Lee, 2020). It moves no steps.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::Parameter;
use crate::program::{ALIGNMENT, Buffer, BufferId, Home, Program, Step};

/// Where the tensors of a block lie, in floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// Where each starts, in order of declaration.
    pub starts: Vec<usize>,
    /// Where each ends, with what keeps the next one aligned.
    pub ends: Vec<usize>,
    /// The size of the part that is trained, which comes first: that of a block of gradients.
    pub trainable: usize,
    /// The size of all.
    pub total: usize,
}

/// Where parameters or states lie in their block: frozen ones behind all others.
pub fn offsets(tensors: &[Parameter]) -> Offsets {
    let (mut starts, mut ends) = (vec![0; tensors.len()], vec![0; tensors.len()]);
    let mut place = |frozen: bool, mut end: usize| {
        for (at, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.frozen == frozen) {
            starts[at] = end;
            end += aligned(tensor.dims.iter().product());
            ends[at] = end;
        }
        end
    };
    let trainable = place(false, 0);
    let total = place(true, trainable);
    Offsets { starts, ends, trainable, total }
}

impl Offsets {
    /// The ranges that the tensors `chosen` take up, each as long as it goes on without a gap.
    pub fn ranges(&self, chosen: &[usize]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = chosen.iter().map(|&at| self.starts[at]..self.ends[at]).collect();
        places.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for range in places {
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        ranges
    }
}

/// Gives every buffer its offset.
pub fn plan(program: &mut Program) {
    program.shard_floats = place(program, Home::Shard);
    program.fixed_floats = place(program, Home::Fixed);
    let mut end = 0;
    for step in &program.prepare {
        let buffer = &mut program.buffers[step.result.0 as usize];
        buffer.offset = end;
        end += aligned(buffer.floats);
    }
    program.prepared_floats = end;
}

/// Plans two Programs that read the same prepared block: both prepare all that either needs, at the same offsets.
pub fn plan_together(one: &mut Program, other: &mut Program) {
    let mut table = Table::default();
    adopt(&mut table, one, other);
    adopt(&mut table, other, one);
    let order = table.prepared(one);
    let place = |value: &Option<usize>| order.iter().position(|known| known == value);
    let values = table.prepared(other);
    let mut steps: Vec<(Option<usize>, Step)> = values.iter().map(place).zip(other.prepare.drain(..)).collect();
    steps.sort_by_key(|(place, _)| *place);
    other.prepare = steps.into_iter().map(|(_, step)| step).collect();
    plan(one);
    plan(other);
}

/// When a buffer is needed, and its size.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// The buffer.
    pub buffer: BufferId,
    /// The step that writes it, counted over all phases.
    pub first: usize,
    /// The last step that reads it.
    pub last: usize,
    /// What it takes of its home, rounded up.
    pub floats: usize,
}

/// The buffers of one home, in order, and when each is needed.
pub fn lives(program: &Program, home: Home) -> Vec<Life> {
    let mut lives: BTreeMap<BufferId, Life> = BTreeMap::new();
    let mut end = 0;
    let loops = loops(program);
    for (at, step) in program.steps().enumerate() {
        end = at;
        // What a loop touches is needed from its first step to its last, since all of it comes again.
        let (from, to) = loops.get(&at).copied().unwrap_or((at, at));
        for operand in &step.operands {
            if let Some(life) = lives.get_mut(&program.whole(*operand)) {
                life.first = life.first.min(from);
                life.last = to;
            }
        }
        for result in step.results() {
            let whole = program.whole(result);
            let result = program.buffer(whole);
            if result.home == home {
                let floats = aligned(result.extent(program.shard_examples));
                let life = lives.entry(whole).or_insert(Life { buffer: whole, first: from, last: to, floats });
                life.last = to;
            }
        }
    }
    for (_, result) in &program.results {
        if let Some(life) = lives.get_mut(result) {
            life.last = end;
        }
    }
    lives.into_values().collect()
}

/// For every step within a loop, the first and the last step of the outermost loop around it.
fn loops(program: &Program) -> BTreeMap<usize, (usize, usize)> {
    let around: Vec<Option<usize>> =
        program.steps().map(|step| step.within.map(|scan| program.outermost(scan))).collect();
    let mut ranges = BTreeMap::new();
    let mut start = 0;
    for run in around.chunk_by(|a, b| a == b) {
        if run.first().is_some_and(Option::is_some) {
            ranges.extend((start..start + run.len()).map(|at| (at, (start, start + run.len() - 1))));
        }
        start += run.len();
    }
    ranges
}

/// Above this many buffers each is placed in order of time alone, which takes less time to find.
const PLACED_BY_SIZE: usize = 4000;

/// Places all buffers of one home and returns its size: the better of two orders.
fn place(program: &mut Program, home: Home) -> usize {
    let lives = lives(program, home);
    let mut by_time = lives.clone();
    by_time.sort_by_key(|life| (life.first, life.buffer));
    let mut best = first_fit(&by_time);
    if lives.len() <= PLACED_BY_SIZE {
        let mut by_size = lives;
        by_size.sort_by_key(|life| (std::cmp::Reverse(life.floats), life.first, life.buffer));
        let other = first_fit(&by_size);
        if other.1 < best.1 {
            best = other;
        }
    }
    let (offsets, size) = best;
    for (buffer, offset) in offsets {
        program.buffers[buffer.0 as usize].offset = offset;
    }
    size
}

/// Gives each in turn the smallest gap that the ones placed before it leave while it lives.
fn first_fit(lives: &[Life]) -> (Vec<(BufferId, usize)>, usize) {
    let mut placed: Vec<(usize, Life)> = Vec::with_capacity(lives.len());
    let mut offsets = Vec::with_capacity(lives.len());
    let mut size = 0;
    for life in lives {
        let (mut end, mut best): (usize, Option<(usize, usize)>) = (0, None);
        for (offset, other) in &placed {
            if other.last < life.first || life.last < other.first {
                continue;
            }
            let gap = offset.saturating_sub(end);
            if gap >= life.floats && best.is_none_or(|(least, _)| gap < least) {
                best = Some((gap, end));
            }
            end = end.max(offset + other.floats);
        }
        let offset = best.map_or(end, |(_, offset)| offset);
        let position = placed.partition_point(|(other, _)| *other <= offset);
        placed.insert(position, (offset, *life));
        offsets.push((life.buffer, offset));
        size = size.max(offset + life.floats);
    }
    (offsets, size)
}

fn aligned(floats: usize) -> usize {
    floats.next_multiple_of(ALIGNMENT)
}

/// Numbers for values that two Programs prepare: equal steps on equal operands make equal values.
#[derive(Default)]
struct Table {
    numbers: BTreeMap<String, usize>,
}

impl Table {
    fn number(&mut self, key: String) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(key).or_insert(next)
    }

    /// The number of every buffer that is a parameter, a state or prepared.
    fn values(&mut self, program: &Program) -> Vec<Option<usize>> {
        let mut values: Vec<Option<usize>> = vec![None; program.buffers.len()];
        for (buffer, value) in program.buffers.iter().zip(&mut values) {
            if let Home::Parameter(_) | Home::State(_) = buffer.home {
                *value = Some(self.number(format!("{:?}", buffer.home)));
            }
        }
        for step in &program.prepare {
            let operands: Vec<_> = step.operands.iter().map(|operand| values[operand.0 as usize]).collect();
            let floats = program.buffer(step.result).floats;
            values[step.result.0 as usize] = Some(self.number(format!("{:?} {operands:?} {floats}", step.kernel)));
        }
        values
    }

    /// The numbers of what is prepared, in order.
    fn prepared(&mut self, program: &Program) -> Vec<Option<usize>> {
        let values = self.values(program);
        program.prepare.iter().map(|step| values[step.result.0 as usize]).collect()
    }
}

/// Adds to `to` the steps of `from` that prepare what it lacks.
fn adopt(table: &mut Table, to: &mut Program, from: &Program) {
    let mut known: BTreeMap<usize, BufferId> = BTreeMap::new();
    for (buffer, value) in table.values(to).into_iter().enumerate() {
        if let Some(value) = value {
            known.entry(value).or_insert(BufferId(buffer as u32));
        }
    }
    let values = table.values(from);
    for step in &from.prepare {
        let Some(value) = values[step.result.0 as usize] else { continue };
        if known.contains_key(&value) {
            continue;
        }
        let mut operands = Vec::with_capacity(step.operands.len());
        for &operand in &step.operands {
            let known = values[operand.0 as usize].and_then(|value| known.get(&value).copied());
            operands.push(known.unwrap_or_else(|| import(to, from, operand)));
        }
        let result = import(to, from, step.result);
        known.insert(value, result);
        to.prepare.push(Step::new(step.kernel.clone(), operands, result, step.span));
    }
}

/// The same buffer in another Program, under its name or a free one like it.
fn import(to: &mut Program, from: &Program, id: BufferId) -> BufferId {
    let buffer = from.buffer(id);
    let name = to.free_name(&buffer.name);
    to.buffers.push(Buffer { name, ..buffer.clone() });
    BufferId((to.buffers.len() - 1) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Role;
    use crate::program::{AxisShape, Kernel, Layout, Phase};
    use proptest::prelude::*;

    /// A Program of steps in one or two phases; step `i` writes buffer `i` and reads some before it.
    fn program(steps: &[(usize, Vec<usize>)], results: &[usize], split: usize) -> Program {
        let buffers = steps.iter().enumerate().map(|(index, (floats, _))| Buffer {
            name: format!("b{index}"),
            dims: vec![*floats],
            floats: *floats,
            per_example: true,
            home: Home::Shard,
            layout: Layout::default(),
            offset: usize::MAX,
            span: Default::default(),
        });
        let steps = steps.iter().enumerate().map(|(index, (_, reads))| {
            let kernel = Kernel::Sum(AxisShape { outer: 1, middle: 2, inner: 1 });
            let operands = reads.iter().filter(|_| index > 0).map(|read| BufferId((read % index) as u32)).collect();
            Step::new(kernel, operands, BufferId(index as u32), Default::default())
        });
        let (buffers, mut first): (_, Vec<Step>) = (buffers.collect(), steps.collect());
        let second = first.split_off(split.min(first.len()));
        let results =
            results.iter().map(|result| (Role::Loss(0), BufferId((result % steps_of(&first, &second)) as u32)));
        let results = results.collect();
        let phases = vec![Phase::Shards(first), Phase::Shards(second)];
        Program { buffers, results, phases, shard_examples: 16, ..Program::default() }
    }

    fn steps_of(first: &[Step], second: &[Step]) -> usize {
        first.len() + second.len()
    }

    /// Runs a planned Program: every step fills its buffer with its number, after checking that what it reads is whole.
    fn run(program: &Program) -> Result<(), String> {
        let mut shard: Vec<Option<u32>> = vec![None; program.shard_floats];
        let check = |shard: &[Option<u32>], id: BufferId| {
            let buffer = program.buffer(id);
            let whole = shard[buffer.offset..buffer.offset + buffer.extent(program.shard_examples)]
                .iter()
                .all(|owner| *owner == Some(id.0));
            if whole { Ok(()) } else { Err(format!("{} was written over", buffer.name)) }
        };
        for step in program.steps() {
            let result = program.buffer(step.result);
            shard[result.offset..result.offset + result.extent(program.shard_examples)].fill(Some(step.result.0));
            // After writing, so that a result over an operand is found too.
            step.operands.iter().try_for_each(|&operand| check(&shard, operand))?;
        }
        program.results.iter().try_for_each(|&(_, result)| check(&shard, result))
    }

    /// The floats alive at the busiest step: no plan can do with less.
    fn least(program: &Program) -> usize {
        let lives = lives(program, Home::Shard);
        let at = |time: usize| -> usize {
            lives.iter().filter(|life| life.first <= time && time <= life.last).map(|life| life.floats).sum()
        };
        lives.iter().map(|life| at(life.first)).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn nothing_alive_is_written_over(
            steps in prop::collection::vec((1_usize..200, prop::collection::vec(0_usize..1000, 0..3)), 1..40),
            results in prop::collection::vec(0_usize..1000, 1..4),
            split in 0_usize..40,
        ) {
            let mut program = program(&steps, &results, split);
            plan(&mut program);
            prop_assert_eq!(run(&program), Ok(()));
            prop_assert!(program.buffers.iter().all(|buffer| buffer.offset.is_multiple_of(ALIGNMENT)));
            let least = least(&program);
            prop_assert!(program.shard_floats >= least);
            // A chance program is harder than a network; even so the plan stays close.
            prop_assert!(program.shard_floats <= least * 3 / 2, "{} of at least {least}", program.shard_floats);
        }
    }

    #[test]
    fn a_chain_takes_two_buffers() {
        let mut chain = program(&[(64, vec![]), (64, vec![0]), (64, vec![1]), (64, vec![2])], &[3], 4);
        plan(&mut chain);
        assert_eq!(chain.shard_floats, 2 * 64 * 16);
    }

    #[test]
    fn a_program_that_overwrites_is_noticed() {
        let mut chain = program(&[(64, vec![]), (64, vec![0]), (64, vec![0, 1])], &[2], 3);
        plan(&mut chain);
        chain.buffers[1].offset = chain.buffers[0].offset;
        assert!(run(&chain).is_err());
    }
}
