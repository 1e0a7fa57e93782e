//! The team of threads: every part runs once and alone, panics arrive, nothing is allocated, nothing hangs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dl_runtime::{Kept, Shards, Team};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all work is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counter sees all threads of the process, and the cores are few: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const THREADS: [usize; 4] = [1, 2, 3, 8];

#[test]
fn a_team_has_as_many_threads_as_asked_for() {
    let _alone = alone();
    assert_eq!(Team::serial().threads(), 1);
    assert_eq!(Team::new(0).threads(), 1);
    for threads in THREADS {
        assert_eq!(Team::new(threads).threads(), threads);
    }
}

#[test]
fn every_shard_is_visited_once_with_its_rows() {
    let _alone = alone();
    for threads in THREADS {
        let team = Team::new(threads);
        for (n, examples) in [0, 1, 15, 16, 17, 64, 100, 161].into_iter().flat_map(|n| [(n, 1), (n, 3), (n, 16)]) {
            let (shards, needed) = (Shards { examples, floats: 5 }, n / examples + usize::from(n % examples > 0));
            // One shard more than needed: it stays untouched.
            let mut arena = vec![0.0; (needed + 1) * shards.floats];
            team.shards(&mut arena, shards, n, |shard| {
                assert_eq!(shard.first % examples, 0);
                assert_eq!(shard.rows, examples.min(n - shard.first));
                for x in shard.floats {
                    *x += 1.0 + (shard.first / examples) as f32;
                }
            });
            for (index, shard) in arena.chunks(shards.floats).enumerate() {
                let expected = if index < needed { 1.0 + index as f32 } else { 0.0 };
                assert!(shard.iter().all(|&x| x == expected), "{threads} threads, {n} examples: {arena:?}");
            }
        }
    }
}

#[test]
fn what_is_kept_of_shards_in_turn_is_that_of_all() {
    let _alone = alone();
    for threads in THREADS {
        let team = Team::new(threads);
        for (n, examples) in [0, 1, 15, 16, 17, 64, 100, 161].into_iter().flat_map(|n| [(n, 1), (n, 3), (n, 16)]) {
            let shards = Shards { examples, floats: 3 * examples + 1 };
            let room = shards.room_in_turn(threads, n);
            assert_eq!(room, threads.min(n.div_ceil(examples)) * shards.floats);
            let mut arena = vec![-1.0; room];
            // Room for an example more than there are: it stays untouched.
            let (mut ones, mut twos) = (vec![-1.0; n + 1], vec![-1.0; 2 * (n + 1)]);
            let kept = [Kept { start: 0, len: 1, to: &mut ones }, Kept { start: examples + 1, len: 2, to: &mut twos }];
            team.shards_in_turn(&mut arena, shards, n, kept, |shard| {
                assert_eq!(shard.first % examples, 0);
                assert_eq!(shard.rows, examples.min(n - shard.first));
                for row in 0..shard.rows {
                    let number = (shard.first + row) as f32;
                    shard.floats[row] = number;
                    shard.floats[examples + 1 + 2 * row..][..2].copy_from_slice(&[number, -number]);
                }
            });
            let numbers = (0..n).map(|number| number as f32);
            assert!(ones.iter().copied().eq(numbers.clone().chain([-1.0])), "{threads} threads, {n}: {ones:?}");
            let twos_expected = numbers.flat_map(|number| [number, -number]).chain([-1.0; 2]);
            assert!(twos.iter().copied().eq(twos_expected), "{threads} threads, {n}: {twos:?}");
        }
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let _alone = alone();
    let shards = Shards { examples: 2, floats: 4 };
    let refused = |arena: usize, start: usize, len: usize, room: usize| {
        let (mut arena, mut to) = (vec![0.0; arena], vec![0.0; room]);
        let kept = [Kept { start, len, to: &mut to }];
        catch_unwind(AssertUnwindSafe(|| Team::serial().shards_in_turn(&mut arena, shards, 5, kept, |_| {}))).is_err()
    };
    assert!(!refused(4, 0, 2, 10));
    // A shard's floats, its end, and where they go.
    assert!(refused(3, 0, 2, 10) && refused(4, 1, 2, 10) && refused(4, 0, 2, 9));
}

#[test]
fn every_float_is_split_off_once() {
    let _alone = alone();
    for threads in THREADS {
        let team = Team::new(threads);
        for (len, unit) in [(0, 4), (1, 4), (4, 4), (7, 4), (40, 8), (1001, 10), (1000, 1)] {
            let mut out = vec![0.0; len];
            let parts = AtomicUsize::new(0);
            team.split(&mut out, unit, |start, part| {
                assert_eq!(start % unit, 0);
                parts.fetch_add(1, Ordering::Relaxed);
                for (i, x) in part.iter_mut().enumerate() {
                    *x += 1.0 + (start + i) as f32;
                }
            });
            assert!(out.iter().zip(1..).all(|(&x, i)| x == i as f32), "{threads} threads: {out:?}");
            assert_eq!(parts.into_inner(), threads.min(len.div_ceil(unit)));
        }
    }
}

#[test]
fn every_thread_has_its_part_of_every_block() {
    let _alone = alone();
    let blocks = [2..2, 3..40, 40..168, 170..171, 200..1000];
    for threads in THREADS {
        let team = Team::new(threads);
        let (mut a, mut b) = ([1.0; 1003], [2.0; 1003]);
        let parts = Mutex::new(Vec::new());
        team.split_blocks([&mut a, &mut b], &blocks, 500, |start, [a, b]| {
            parts.lock().unwrap().push((thread::current().id(), start..start + a.len()));
            a.swap_with_slice(b);
        });
        for i in 0..1003 {
            let expected = if blocks.iter().any(|block| block.contains(&i)) { (2.0, 1.0) } else { (1.0, 2.0) };
            assert_eq!((a[i], b[i]), expected, "{threads} threads, float {i}");
        }
        let parts = parts.into_inner().unwrap();
        for (_, part) in &parts {
            let block = blocks.iter().find(|block| block.contains(&part.start)).unwrap();
            assert!(part.end <= block.end && (part.start - block.start).is_multiple_of(16), "{part:?} of {block:?}");
        }
        // 1003 floats are three units of 500, and a float is for one thread alone.
        for (block, expected) in [(200..1000, threads.min(3)), (40..168, threads.min(3)), (170..171, 1)] {
            let mut ids: Vec<_> =
                parts.iter().filter(|(_, part)| block.contains(&part.start)).map(|(id, _)| id).collect();
            ids.sort_by_key(|id| format!("{id:?}"));
            ids.dedup();
            assert_eq!(ids.len(), expected, "{threads} threads, {block:?}");
        }
    }
}

#[test]
fn blocks_that_cannot_be_split_are_refused() {
    let _alone = alone();
    let refused = |blocks: &[std::ops::Range<usize>], len: usize| {
        let (mut a, mut b) = ([0.0; 8], vec![0.0; len]);
        let split = || Team::serial().split_blocks([&mut a, &mut b], blocks, 1, |_, _| {});
        catch_unwind(AssertUnwindSafe(split)).is_err()
    };
    assert!(!refused(&[0..4, 4..8], 8));
    let backwards = std::ops::Range { start: 5, end: 4 };
    assert!(
        refused(&[0..4, 3..8], 8)
            && refused(&[4..8, 0..4], 8)
            && refused(&[0..4, 4..9], 8)
            && refused(&[backwards, 6..8], 8)
    );
    assert!(refused(&[0..4, 4..7], 7));
}

#[test]
fn work_is_shared_by_different_threads() {
    let _alone = alone();
    let team = Team::new(3);
    let ids = Mutex::new(Vec::new());
    team.split(&mut [0.0; 3], 1, |_, _| ids.lock().unwrap().push(thread::current().id()));
    let mut ids = ids.into_inner().unwrap();
    assert!(ids.contains(&thread::current().id()));
    ids.sort_by_key(|id| format!("{id:?}"));
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_panic_reaches_the_caller_and_the_team_goes_on() {
    let _alone = alone();
    for threads in THREADS {
        let team = Team::new(threads);
        for culprit in 0..threads {
            let finished = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.split(&mut vec![0.0; threads], 1, |start, _| {
                    if start == culprit {
                        std::panic::panic_any(format!("part {start}"));
                    }
                    thread::sleep(Duration::from_millis(2));
                    finished.fetch_add(1, Ordering::Relaxed);
                });
            }));
            let message = result.unwrap_err().downcast::<String>().unwrap();
            assert_eq!(*message, format!("part {culprit}"));
            // All others were waited for, since they may use what the caller borrowed.
            if threads > 1 {
                assert_eq!(finished.into_inner(), threads - 1);
            }
            let mut out = [0.0; 64];
            team.split(&mut out, 1, |_, part| part.fill(1.0));
            assert_eq!(out, [1.0; 64]);
        }
    }
}

#[test]
fn calls_inside_a_call_and_from_elsewhere_run_too() {
    let _alone = alone();
    let team = Team::new(2);
    let sum = AtomicU64::new(0);
    let add = |_: usize, part: &mut [f32]| {
        sum.fetch_add(part.len() as u64, Ordering::Relaxed);
    };
    team.split(&mut [0.0; 8], 1, |_, _| team.split(&mut [0.0; 10], 1, add));
    assert_eq!(sum.swap(0, Ordering::Relaxed), 20);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..1000).for_each(|_| team.split(&mut [0.0; 10], 1, add)));
        }
    });
    assert_eq!(sum.into_inner(), 30_000);
}

/// 100,000 forks and joins in all; most of them back to back, some after a pause in which the workers park.
#[test]
fn forks_and_joins_do_not_hang_or_allocate() {
    let _alone = alone();
    for (threads, rounds) in [(1, 20_000), (2, 60_000), (3, 10_000), (8, 10_000)] {
        let team = Team::new(threads);
        let mut out = [0.0; 64];
        let call = |out: &mut [f32]| {
            team.split(out, 1, |_, part| {
                for x in part {
                    *x += 1.0;
                }
            });
        };
        call(&mut out);
        // Threads that the test harness is done with may still be letting go of their memory.
        thread::sleep(Duration::from_millis(20));
        let allocations = ALLOCATIONS.load(Ordering::Relaxed);
        let start = Instant::now();
        for round in 0..rounds {
            if round % 1000 == 999 {
                thread::sleep(Duration::from_micros(300));
            }
            call(&mut out);
        }
        let time = start.elapsed();
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), allocations, "{threads} threads allocate");
        assert!(out.iter().all(|&x| x == (rounds + 1) as f32));
        println!("{threads} threads: {:.2} µs for a fork and join", time.as_secs_f64() * 1e6 / f64::from(rounds));
    }
}
