//! Mini-batches ahead of the step: a set and an order of positions enter, batches leave in that order.
//!
//! Worker threads gather (and so read, decode and augment) while the step computes. They fill a fixed number of
//! buffers, so they are never further ahead than that; the buffers are kept for the next epoch. Which worker gathers
//! a batch depends on the moment, what is in it does not: any number of workers gives the same bits.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use dl_runtime::Examples;

use super::{DataError, Dataset};

/// Batches that are ready beyond those that workers have in hand.
const AHEAD: usize = 2;

/// More workers than this help no step; asking the system for them may end the process.
const MOST_WORKERS: usize = 256;

/// One mini-batch.
#[derive(Debug, Clone, Copy)]
pub struct Minibatch<'a, E> {
    /// Its number in the epoch, from 0.
    pub number: usize,
    /// The positions of its examples in the set.
    pub positions: &'a [usize],
    /// The examples.
    pub examples: &'a E,
    /// Their weights, or `None` if all count alike.
    pub weights: Option<&'a [f32]>,
}

/// Gathers mini-batches, by worker threads or in the caller's own.
#[derive(Debug)]
pub struct Loader<E> {
    workers: usize,
    buffers: Vec<E>,
    weights: Vec<f32>,
}

impl<E: Examples> Loader<E> {
    /// That many worker threads, at most 256; with 0 each batch is gathered when its step is due. For data that only
    /// has to be copied 0 is best.
    pub fn new(workers: usize) -> Self {
        Self { workers: workers.min(MOST_WORKERS), buffers: Vec::new(), weights: Vec::new() }
    }

    /// Runs `step` for each mini-batch of `order`, in that order; the last one may be smaller. `batch` is at least 1.
    ///
    /// Ends at the first error, of gathering or of `step`. Should code of the set panic in a worker, the panic goes
    /// on here.
    pub fn run<D, T>(
        &mut self,
        data: &D,
        epoch: u64,
        order: &[usize],
        batch: usize,
        mut step: impl FnMut(Minibatch<'_, E>) -> Result<(), T>,
    ) -> Result<(), T>
    where
        D: Dataset<Examples = E> + ?Sized,
        T: From<DataError>,
    {
        if batch == 0 {
            return Err(DataError::setting("batch", "at least 1", batch).into());
        }
        let all_weights = data.weights();
        let weights_buffer = &mut self.weights;
        let mut step = |number: usize, positions: &[usize], examples: &E| {
            weights_buffer.clear();
            let weights = all_weights.map(|all| {
                weights_buffer.extend(positions.iter().map(|&position| all.get(position).copied().unwrap_or(1.0)));
                weights_buffer.as_slice()
            });
            step(Minibatch { number, positions, examples, weights })
        };
        let batches = order.len().div_ceil(batch);
        let workers = self.workers.min(batches);
        if workers == 0 {
            let mut buffer = self.buffers.pop().unwrap_or_default();
            let mut run = || {
                for (number, positions) in order.chunks(batch).enumerate() {
                    buffer.clear();
                    data.gather(epoch, positions, &mut buffer)?;
                    step(number, positions, &buffer)?;
                }
                Ok(())
            };
            let result = run();
            self.buffers.push(buffer);
            return result;
        }

        let positions = |number: usize| &order[number * batch..order.len().min((number + 1) * batch)];
        let (free, refill) = channel();
        for _ in 0..workers + AHEAD {
            // The receiver lives as long as this call.
            let _ = free.send(self.buffers.pop().unwrap_or_default());
        }
        let refill = Mutex::new(refill);
        let next = AtomicUsize::new(0);
        let mut pending = BTreeMap::new();
        let work = Work { data, epoch, batches, positions, refill: &refill, next: &next };
        let result = thread::scope(|scope| {
            let (done, filled) = channel();
            for _ in 0..workers {
                let (done, work) = (done.clone(), &work);
                scope.spawn(move || work.run(&done));
            }
            drop(done);
            let result = consume(batches, &filled, &mut pending, |number, buffer| {
                let result = step(number, positions(number), &buffer);
                let _ = free.send(buffer);
                result
            });
            // Workers stop at their next look for work, and do not wait for buffers.
            next.fetch_max(batches, Ordering::Relaxed);
            drop(free);
            pending.extend(filled.iter().map(|message| (message.number, message)));
            result
        });
        self.buffers.extend(pending.into_values().map(|message| message.buffer));
        self.buffers.extend(refill.into_inner().unwrap_or_else(PoisonError::into_inner).iter());
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Step(error)) => Err(error),
            Err(Stop::Gather(error)) => Err(error.into()),
            Err(Stop::Panic(panic)) => resume_unwind(panic),
        }
    }
}

/// Why batches ended early.
enum Stop<T> {
    Step(T),
    Gather(DataError),
    Panic(Box<dyn Any + Send>),
}

/// A batch, or why there is none.
struct Message<E> {
    number: usize,
    buffer: E,
    outcome: thread::Result<Result<(), DataError>>,
}

/// What the workers share.
struct Work<'a, D: ?Sized, P, E> {
    data: &'a D,
    epoch: u64,
    batches: usize,
    positions: P,
    refill: &'a Mutex<Receiver<E>>,
    next: &'a AtomicUsize,
}

impl<'a, D, P, E> Work<'a, D, P, E>
where
    D: Dataset<Examples = E> + ?Sized,
    P: Fn(usize) -> &'a [usize] + Sync,
    E: Examples,
{
    /// Takes a buffer first and a number then, so the batch that is waited for always has one.
    fn run(&self, done: &Sender<Message<E>>) {
        loop {
            if self.next.load(Ordering::Relaxed) >= self.batches {
                return;
            }
            let buffer = self.refill.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut buffer) = buffer else { return };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            buffer.clear();
            let outcome = if number < self.batches {
                let gather = || self.data.gather(self.epoch, (self.positions)(number), &mut buffer);
                catch_unwind(AssertUnwindSafe(gather))
            } else {
                Ok(Ok(()))
            };
            if done.send(Message { number, buffer, outcome }).is_err() {
                return;
            }
        }
    }
}

/// Brings what workers finish into order.
fn consume<E, T>(
    batches: usize,
    filled: &Receiver<Message<E>>,
    pending: &mut BTreeMap<usize, Message<E>>,
    mut step: impl FnMut(usize, E) -> Result<(), T>,
) -> Result<(), Stop<T>> {
    for number in 0..batches {
        let message = loop {
            if let Some(message) = pending.remove(&number) {
                break message;
            }
            // Workers end before their work does only if this loop has ended.
            let Ok(message) = filled.recv() else { return Ok(()) };
            pending.insert(message.number, message);
        };
        match message.outcome {
            Ok(Ok(())) => step(number, message.buffer).map_err(Stop::Step)?,
            Ok(Err(error)) => return Err(Stop::Gather(error)),
            Err(panic) => return Err(Stop::Panic(panic)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augmented, FromFn, Weighted};
    use crate::testing::Points;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    type Seen = Vec<(usize, Vec<usize>, Vec<f32>, Option<Vec<f32>>)>;

    fn seen(data: &impl Dataset<Examples = Points>, order: &[usize], batch: usize, workers: usize) -> Seen {
        let mut seen = Seen::new();
        let mut loader = Loader::new(workers);
        for epoch in 0..2 {
            loader
                .run(data, epoch, order, batch, |batch| {
                    seen.push((
                        batch.number,
                        batch.positions.to_vec(),
                        batch.examples.x.clone(),
                        batch.weights.map(<[f32]>::to_vec),
                    ));
                    Ok::<(), DataError>(())
                })
                .unwrap();
        }
        seen
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_number_of_workers_gives_the_same_batches(
            count in 1_usize..60, batch in 1_usize..20, workers in 1_usize..9, seed: u64,
        ) {
            let all = Points::new(count, |x| x);
            let weighted = Weighted::new(&all, all.x.clone()).unwrap();
            let noisy = Augmented::new(&weighted, seed, |points: &mut Points, at, rng| {
                if at % 3 == 0 {
                    thread::yield_now();
                }
                points.x[at] += rng.normal();
            });
            let mut order: Vec<usize> = (0..count).collect();
            dl_runtime::Rng::new(seed).shuffle(&mut order);
            let alone = seen(&noisy, &order, batch, 0);
            prop_assert_eq!(alone.len(), 2 * count.div_ceil(batch));
            prop_assert_eq!(&alone[0].1, &order[..batch.min(count)].to_vec());
            for (_, positions, _, weights) in &alone {
                let expected: Vec<f32> = positions.iter().map(|&position| position as f32).collect();
                prop_assert_eq!(weights.as_ref(), Some(&expected));
            }
            prop_assert_eq!(alone, seen(&noisy, &order, batch, workers));
        }
    }

    /// 40 batches that take 5 ms each to make and 5 ms to use: 400 ms one after another, about 205 ms overlapped.
    #[test]
    fn slow_augmentation_overlaps_with_slow_steps() {
        let all = Points::new(40, |x| x);
        let pause = Duration::from_millis(5);
        let slow = Augmented::new(&all, 0, |_: &mut Points, _, _| thread::sleep(pause));
        let order: Vec<usize> = (0..40).collect();
        let time = |workers| {
            let start = Instant::now();
            let step = |_: Minibatch<'_, Points>| {
                thread::sleep(pause);
                Ok::<(), DataError>(())
            };
            Loader::new(workers).run(&slow, 0, &order, 1, step).unwrap();
            start.elapsed()
        };
        let (alone, overlapped) = (time(0), time(2));
        assert!(alone >= 80 * pause);
        assert!(overlapped.as_secs_f64() < 0.8 * alone.as_secs_f64(), "{overlapped:?} against {alone:?}");
    }

    #[test]
    fn workers_are_never_further_ahead_than_their_buffers() {
        let made = AtomicUsize::new(0);
        let data = FromFn::new(100, |at, into: &mut Points| {
            made.fetch_add(1, Ordering::SeqCst);
            into.x.push(at as f32);
            into.y.push(0.0);
            Ok(())
        });
        let order: Vec<usize> = (0..100).collect();
        let mut used = 0;
        let step = |_: Minibatch<'_, Points>| {
            used += 1;
            thread::sleep(Duration::from_millis(1));
            let ahead = made.load(Ordering::SeqCst) - used;
            assert!(ahead < 3 + AHEAD, "{ahead} ahead");
            Ok::<(), DataError>(())
        };
        Loader::new(3).run(&data, 0, &order, 1, step).unwrap();
        assert_eq!(used, 100);
    }

    #[test]
    fn the_first_error_in_order_ends_the_epoch() {
        let data = FromFn::new(50, |at, into: &mut Points| {
            if at >= 7 {
                return Err(DataError::setting("position", "below 7", at));
            }
            into.x.push(at as f32);
            into.y.push(0.0);
            Ok(())
        });
        let order: Vec<usize> = (0..50).collect();
        for workers in [0, 1, 4] {
            let mut loader = Loader::new(workers);
            let mut steps = 0;
            let mut count = |_: Minibatch<'_, Points>| {
                steps += 1;
                Ok::<(), DataError>(())
            };
            let error = loader.run(&data, 0, &order, 2, &mut count).unwrap_err();
            assert_eq!(error.to_string(), "`position` is 7, expected below 7");
            assert_eq!(steps, 3);
            // It can be used again, and an error of the step ends it too.
            let stop = |_: Minibatch<'_, Points>| Err(DataError::setting("step", "none", 1));
            assert_eq!(loader.run(&data, 0, &order, 2, stop).unwrap_err().to_string(), "`step` is 1, expected none");
            let error = loader.run(&data, 0, &order, 0, stop).unwrap_err();
            assert_eq!(error.to_string(), "`batch` is 0, expected at least 1");
        }
    }

    #[test]
    fn a_panic_in_a_worker_goes_on_in_the_caller() {
        let all = Points::new(50, |x| x);
        let broken = Augmented::new(&all, 0, |_: &mut Points, at, _| assert!(at < 3, "broken augmentation"));
        let order: Vec<usize> = (0..50).collect();
        for workers in [0, 1, 3] {
            let run = || Loader::new(workers).run(&broken, 0, &order, 5, |_| Ok::<(), DataError>(()));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken augmentation"));
        }
    }

    /// After the first epoch nothing is allocated but what threads and channels need.
    #[test]
    fn without_workers_nothing_is_allocated_after_the_first_epoch() {
        let all = Points::new(64, |x| x);
        let order: Vec<usize> = (0..64).collect();
        let mut loader = Loader::new(0);
        let mut run = || loader.run(&all, 0, &order, 16, |_| Ok::<(), DataError>(())).unwrap();
        run();
        assert_eq!(allocation_counter::measure(run).count_total, 0);
    }
}
