//! A team of threads that share the loops of one call: fork, a part each, join.
//!
//! A team is started once and lives as long as the workspace that owns it. The caller is its first member; the
//! others wait for work by spinning for a while, then by parking. A call allocates nothing and splits work by
//! position alone, so who computes what is fixed and results cannot depend on timing. There is no queue, no work
//! stealing and no nesting: a call made while the team is busy runs on the calling thread, with the same result.

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, slice};

use crate::segments::{Shards, fits};

/// The most threads a team has, whatever is asked for.
const MAX_THREADS: usize = 256;

/// How long a member spins before it parks. Steps of a small network follow each other faster than this, and
/// waking a parked thread costs tens of microseconds.
const SPIN: Duration = Duration::from_micros(100);

/// Threads that compute together. With one thread it is only the caller.
pub struct Team {
    /// What the members share; nothing in a serial team.
    shared: Option<Arc<Shared>>,
    /// Members besides the caller.
    workers: Vec<JoinHandle<()>>,
}

/// What one member gets of [`Team::shards`]: a shard of the arena and the examples it holds.
#[derive(Debug)]
pub struct Shard<'a> {
    /// The number of its first example within the batch.
    pub first: usize,
    /// How many examples it holds: as many as any, or fewer in the last one.
    pub rows: usize,
    /// Its floats.
    pub floats: &'a mut [f32],
}

/// What remains of the shards of [`Team::shards_in_turn`].
#[derive(Debug)]
pub struct Kept<'a> {
    /// Where it begins in the floats of a shard.
    pub start: usize,
    /// How many floats each example has.
    pub len: usize,
    /// Where those of all examples go, one after another.
    pub to: &'a mut [f32],
}

impl Team {
    /// A team of the caller alone.
    pub const fn serial() -> Self {
        Self { shared: None, workers: Vec::new() }
    }

    /// A team of `threads` threads, the caller among them; at most 256, and fewer where the system refuses to
    /// start more. 0 counts as 1, and 1 starts no thread.
    pub fn new(threads: usize) -> Self {
        let threads = threads.min(MAX_THREADS);
        if threads <= 1 {
            return Self::serial();
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // Threads that outnumber the cores keep each other from running when they spin.
        let spin = if threads <= cores { SPIN } else { Duration::ZERO };
        let shared = Arc::new(Shared::new(threads - 1, spin));
        let mut workers = Vec::with_capacity(threads - 1);
        for index in 0..threads - 1 {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("dl-team-{}", index + 1));
            match builder.spawn(move || shared.serve(index)) {
                Ok(worker) => workers.push(worker),
                Err(_) => break,
            }
        }
        Self { shared: Some(shared), workers }
    }

    /// How many threads the team has, the caller among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `body` once for each shard that `n` examples take up, contiguous runs of shards for each thread.
    ///
    /// # Panics
    /// If the arena is shorter than its shards, or a shard holds no example. A panic in `body` reaches the caller once all threads have stopped.
    pub fn shards<F>(&self, arena: &mut [f32], shards: Shards, n: usize, body: F)
    where
        F: Fn(Shard<'_>) + Sync,
    {
        let Shards { examples, floats: shard_len } = shards;
        assert!(examples > 0, "a shard of no example");
        let shards = n.div_ceil(examples);
        assert!(
            fits(shards, shard_len, 0, arena.len()),
            "{shards} shards of {shard_len} floats in an arena of {}",
            arena.len()
        );
        let arena = Pointer::new(arena);
        let parts = self.threads().min(shards);
        self.run(parts, &|part| {
            for index in bounds(part, parts, shards)..bounds(part + 1, parts, shards) {
                let first = index * examples;
                // SAFETY: shard `index` lies inside the arena, checked above, which is borrowed exclusively until
                // `run` returns; shards do not overlap, and every index belongs to one part and is visited once.
                let floats = unsafe { arena.slice(index * shard_len, shard_len) };
                body(Shard { first, rows: examples.min(n - first), floats });
            }
        });
    }

    /// [`shards`](Self::shards) of which nothing is asked afterwards but what is kept: each thread computes its own in the same
    /// floats, one after another, while the caches hold them. The arena has room for as many as [`Shards::room_in_turn`] says.
    ///
    /// # Panics
    /// As [`Team::shards`], for one shard of each thread; if what is kept leaves a shard, or is more than it goes to.
    pub fn shards_in_turn<F, const K: usize>(
        &self,
        arena: &mut [f32],
        shards: Shards,
        n: usize,
        kept: [Kept<'_>; K],
        body: F,
    ) where
        F: Fn(Shard<'_>) + Sync,
    {
        let Shards { examples, floats: shard_len } = shards;
        assert!(examples > 0, "a shard of no example");
        let count = n.div_ceil(examples);
        let parts = self.threads().min(count);
        let room = arena.len();
        assert!(fits(parts, shard_len, 0, room), "{parts} shards of {shard_len} floats in an arena of {room}");
        let kept = kept.map(|Kept { start, len, to }| {
            let is_there = fits(examples, len, start, shard_len) && fits(n, len, 0, to.len());
            assert!(is_there, "{len} floats of each example from {start} on, of {shard_len}, to {} of {n}", to.len());
            (start, len, Pointer::new(to))
        });
        let arena = Pointer::new(arena);
        self.run(parts, &|part| {
            // SAFETY: the arena, which is borrowed exclusively until `run` returns, holds a shard for each part.
            let floats = unsafe { arena.slice(part * shard_len, shard_len) };
            for index in bounds(part, parts, count)..bounds(part + 1, parts, count) {
                let first = index * examples;
                let rows = examples.min(n - first);
                body(Shard { first, rows, floats: &mut *floats });
                for (start, len, to) in kept {
                    // SAFETY: there is room for `n` examples, borrowed exclusively until `run` returns, and every index
                    // belongs to one part and is visited once.
                    let to = unsafe { to.slice(first * len, rows * len) };
                    to.copy_from_slice(&floats[start..][..rows * len]);
                }
            }
        });
    }

    /// Splits `out` at multiples of `unit` into one contiguous part for each thread and runs
    /// `body(start, part)` on it, where `start` is the position of the part in `out`.
    /// A length that is no multiple of `unit` leaves the rest to the last part.
    ///
    /// # Panics
    /// If `unit` is 0. A panic in `body` reaches the caller once all threads have stopped.
    pub fn split<F>(&self, out: &mut [f32], unit: usize, body: F)
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        assert!(unit != 0, "a split into units of 0 floats");
        let len = out.len();
        let units = len.div_ceil(unit);
        let parts = self.threads().min(units);
        let out = Pointer::new(out);
        self.run(parts, &|part| {
            let start = bounds(part, parts, units) * unit;
            let end = (bounds(part + 1, parts, units) * unit).min(len);
            // SAFETY: start ≤ end ≤ len, and the buffer is borrowed exclusively until `run` returns; the parts meet at
            // their bounds without overlap, and each is run once.
            body(start, unsafe { out.slice(start, end - start) });
        });
    }

    /// As [`Team::split`], for several buffers of one length that are cut at the same places: each of some blocks of them by itself,
    /// at multiples of 16 floats from its first, so that every thread has its part of every block. There are no more parts than
    /// the buffers have units.
    ///
    /// # Panics
    /// As [`Team::split`], if the lengths differ, and if the blocks overlap, are not in order, or leave the buffers.
    pub fn split_blocks<F, const N: usize>(&self, outs: [&mut [f32]; N], blocks: &[Range<usize>], unit: usize, body: F)
    where
        F: Fn(usize, [&mut [f32]; N]) + Sync,
    {
        assert!(unit != 0, "a split into units of 0 floats");
        let len = outs.first().map_or(0, |out| out.len());
        assert!(outs.iter().all(|out| out.len() == len), "a split of buffers of different lengths");
        let ends = blocks.iter().fold(0, |before, block| {
            assert!(before <= block.start && block.start <= block.end, "blocks in order, of which none overlap");
            block.end
        });
        assert!(ends <= len, "blocks up to {ends} of {len} floats");
        let parts = self.threads().min(len.div_ceil(unit));
        let outs = outs.map(Pointer::new);
        self.run(parts, &|part| {
            for block in blocks {
                let lines = block.len().div_ceil(LINE);
                let [start, end] =
                    [part, part + 1].map(|part| (block.start + bounds(part, parts, lines) * LINE).min(block.end));
                if start < end {
                    // SAFETY: the parts of a block meet at their bounds within it, the blocks lie in order within the buffers,
                    // as checked, which are borrowed exclusively until `run` returns, and each part is run once.
                    body(start, outs.map(|out| unsafe { out.slice(start, end - start) }));
                }
            }
        });
    }

    /// Splits `0..units` into one contiguous range for each thread and runs `body` on it.
    ///
    /// # Panics
    /// A panic in `body` reaches the caller once all threads have stopped.
    pub(crate) fn ranges<F>(&self, units: usize, body: F)
    where
        F: Fn(Range<usize>) + Sync,
    {
        let parts = self.threads().min(units);
        self.run(parts, &|part| body(bounds(part, parts, units)..bounds(part + 1, parts, units)));
    }

    /// Runs `task(0)` … `task(parts - 1)`, each once, and returns when all are done.
    fn run(&self, parts: usize, task: &(dyn Fn(usize) + Sync)) {
        debug_assert!(parts <= self.threads());
        let Some(shared) = self.shared.as_ref().filter(|_| parts > 1) else {
            return (0..parts).for_each(task);
        };
        if shared.busy.swap(true, Ordering::Acquire) {
            return (0..parts).for_each(task);
        }
        let panic = shared.run(parts, task, &self.workers);
        shared.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Default for Team {
    fn default() -> Self {
        Self::serial()
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Team({} threads)", self.threads())
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.stop.store(true, Ordering::Relaxed);
            for (slot, worker) in shared.slots.iter().zip(&self.workers) {
                slot.call(worker);
            }
        }
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks and has none of its own.
            let _ = worker.join();
        }
    }
}

/// Floats of a cache line.
const LINE: usize = 16;

/// The first unit of a part, when `units` units are dealt to `parts` parts in contiguous runs.
fn bounds(part: usize, parts: usize, units: usize) -> usize {
    let (each, rest) = (units / parts, units % parts);
    part * each + part.min(rest)
}

/// The start of a buffer whose disjoint pieces go to several threads.
#[derive(Clone, Copy)]
pub(crate) struct Pointer(*mut f32);

// SAFETY: whoever reaches the buffer through a `Pointer` does so in `unsafe` code and answers for pieces that are disjoint;
// `f32` may be sent to another thread.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

impl Pointer {
    pub(crate) fn new(buffer: &mut [f32]) -> Self {
        Self(buffer.as_mut_ptr())
    }

    /// The first float.
    pub(crate) fn start(self) -> *mut f32 {
        self.0
    }

    /// # Safety
    /// The piece lies in the buffer, the buffer is borrowed exclusively for `'a`, and no other piece overlaps it.
    unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

type Task<'a> = &'a (dyn Fn(usize) + Sync + 'a);

/// What the members of a team share. `busy` admits one call at a time; the fields after it belong to that call.
struct Shared {
    slots: Box<[Slot]>,
    spin: Duration,
    stop: AtomicBool,
    busy: AtomicBool,
    /// The call's task. Written by the caller before it calls a worker, read by workers after they are called and
    /// before they count themselves out of `remaining`.
    task: UnsafeCell<Option<Task<'static>>>,
    /// Workers that have not finished their part.
    remaining: AtomicUsize,
    /// Whether the caller sleeps in `joined` until `remaining` is 0.
    caller_sleeps: AtomicBool,
    join: Mutex<()>,
    joined: Condvar,
    /// The first panic of a worker.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `task` is the only field that is not `Sync` by itself. It is written only while `busy` is held and no
// worker is called, and what it points to is `Sync`; the signals of the slots order its accesses.
unsafe impl Sync for Shared {}
// SAFETY: as above; the task is a shared reference to something `Sync`.
unsafe impl Send for Shared {}

/// Where one worker is called. A cache line each, so that calling one does not disturb another.
#[repr(align(128))]
struct Slot {
    /// Counts the calls, wrapping.
    calls: AtomicU32,
    sleeps: AtomicBool,
}

impl Slot {
    fn call(&self, worker: &JoinHandle<()>) {
        // Sequentially consistent against the worker's store to `sleeps` and load of `calls`: either it sees the
        // call, or this sees it asleep.
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.sleeps.load(Ordering::SeqCst) {
            worker.thread().unpark();
        }
    }

    /// Returns once there is a call after number `seen`.
    fn wait(&self, seen: u32, spin: Duration) {
        let called = || self.calls.load(Ordering::SeqCst) != seen;
        if spin_until(spin, called) {
            return;
        }
        self.sleeps.store(true, Ordering::SeqCst);
        while !called() {
            thread::park();
        }
        self.sleeps.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn new(workers: usize, spin: Duration) -> Self {
        let slot = || Slot { calls: AtomicU32::new(0), sleeps: AtomicBool::new(false) };
        Self {
            slots: (0..workers).map(|_| slot()).collect(),
            spin,
            stop: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            task: UnsafeCell::new(None),
            remaining: AtomicUsize::new(0),
            caller_sleeps: AtomicBool::new(false),
            join: Mutex::new(()),
            joined: Condvar::new(),
            panic: Mutex::new(None),
        }
    }

    /// The caller's side: forks, computes part 0, joins. Returns the first panic. The caller holds `busy`.
    fn run(&self, parts: usize, task: Task<'_>, workers: &[JoinHandle<()>]) -> Option<Box<dyn Any + Send>> {
        // SAFETY: only the lifetime changes. Workers use the task only until they count themselves out of
        // `remaining`, and this function waits for that, even when its own part panics, before the borrow ends.
        let task: Task<'static> = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        // SAFETY: the previous call's workers are done and this call's are not called yet: nobody else reads it.
        unsafe { *self.task.get() = Some(task) };
        self.remaining.store(parts - 1, Ordering::SeqCst);
        for (slot, worker) in self.slots.iter().zip(workers).take(parts - 1) {
            slot.call(worker);
        }
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        self.wait_for_workers();
        let theirs = lock(&self.panic).take();
        own.err().or(theirs)
    }

    fn wait_for_workers(&self) {
        let done = || self.remaining.load(Ordering::SeqCst) == 0;
        if spin_until(self.spin, done) {
            return;
        }
        let mut guard = lock(&self.join);
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while !done() {
            guard = self.joined.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, Ordering::SeqCst);
    }

    /// A worker's life.
    fn serve(&self, index: usize) {
        let slot = &self.slots[index];
        let mut seen = 0_u32;
        loop {
            slot.wait(seen, self.spin);
            seen = seen.wrapping_add(1);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // SAFETY: the caller wrote the task before it called this worker, and writes it again only after this
            // worker counted itself out.
            let task = unsafe { *self.task.get() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task.map(|task| task(index + 1)))) {
                lock(&self.panic).get_or_insert(panic);
            }
            if self.remaining.fetch_sub(1, Ordering::SeqCst) == 1 && self.caller_sleeps.load(Ordering::SeqCst) {
                // Under the lock, so that it cannot fall between the caller's last look and its sleep.
                let _guard = lock(&self.join);
                self.joined.notify_one();
            }
        }
    }
}

/// Spins until the condition holds, at most for that long; whether it holds.
fn spin_until(limit: Duration, condition: impl Fn() -> bool) -> bool {
    if condition() {
        return true;
    }
    if limit.is_zero() {
        thread::yield_now();
        return condition();
    }
    let start = Instant::now();
    loop {
        for _ in 0..64 {
            spin_loop();
            if condition() {
                return true;
            }
        }
        if start.elapsed() > limit {
            return false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
