//! Many seeds of one drill, spread over threads; every fiftieth is run twice and must do the same.

use crate::drill::{Drill, Violation};
use crate::world::plan::Less;
use crate::world::{self, Recording};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often a seed is run a second time.
const TWICE_EVERY: u64 = 50;

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Calls that left engines.
    pub steps: u64,
    /// How many seeds reached a situation.
    pub situations: BTreeMap<&'static str, u64>,
    /// Violations by seed.
    pub violations: BTreeMap<u64, Violation>,
}

/// Violations after which no further seeds are begun.
const ENOUGH: usize = 5;

/// Runs seeds of a drill. `progress` is told how many are done.
pub fn seeds(
    drill: &Drill,
    range: Range<u64>,
    jobs: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Tally {
    let next = AtomicU64::new(range.start);
    let done = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= range.end {
                        break;
                    }
                    let one = one_seed(drill, seed);
                    let mut tally = crate::world::machine::locked(&tally);
                    tally.seeds += 1;
                    tally.steps += one.steps;
                    for situation in one.situations {
                        *tally.situations.entry(situation).or_default() += 1;
                    }
                    tally.violations.extend(one.violation.map(|violation| (seed, violation)));
                    enough.fetch_or(tally.violations.len() >= ENOUGH, Ordering::Relaxed);
                    drop(tally);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs one seed of a drill, some of them twice.
pub fn one_seed(drill: &Drill, seed: u64) -> world::Ran {
    if drill.name != "world" {
        return crate::runner::guarded(|_| world::Ran {
            violation: (drill.run)(seed).err(),
            fingerprint: 0,
            steps: 0,
            situations: Default::default(),
        });
    }
    let mut ran = world::run(seed, &Less::default(), Recording::Not);
    if seed.is_multiple_of(TWICE_EVERY) && ran.violation.is_none() {
        let again = world::run(seed, &Less::default(), Recording::Not);
        if again.fingerprint != ran.fingerprint {
            ran.violation = Some(Violation::new(
                "determinism",
                format!("two runs of seed {seed} did not do the same"),
            ));
        }
    }
    ran
}
