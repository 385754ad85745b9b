//! The machine stops at every step: a fixed scenario is killed before and after each call that leaves the engine, and
//! again while it recovers.
//!
//! The seed says which step, by a permutation, so that any number of seeds from 0 is spread evenly over the scenario.
//! `--drill every-step --seeds 0..N` covers all of it, where N is the number that `--list` prints; continuous
//! integration runs a part.

use super::machine::Moment;
use super::plan::{Feature, Plan};
use super::story::{Restart, World};
use crate::drill::{Drill, Violation};
use connect::Bounds;
use engine::TakeOver;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Transactions at the sources.
const TRANSACTIONS: u64 = 200;

/// Spreads the seeds: no divisor of any number of steps that the scenario has had.
const STRIDE: u64 = 10_007;

/// The scenario: an event flow of two tables, a second one of one table, a batch flow; a snapshot, 200 transactions,
/// a run, trimming.
fn plan() -> Plan {
    let features = [
        Feature::SecondFlow,
        Feature::Batch,
        Feature::KeyChanges,
        Feature::Deletes,
        Feature::Huge,
        Feature::Trim,
    ];
    Plan {
        seed: 1,
        acts: 0,
        features: features.into_iter().collect::<BTreeSet<_>>(),
        sites: vec!["north".into(), "south".into()],
        bounds: Bounds { changes: 40, bytes: usize::MAX },
    }
}

/// Where the machine stops.
#[derive(Clone, Copy, Debug)]
struct Stops {
    first: Option<(u64, Moment)>,
    /// Steps after the restart at which it stops once more.
    second: Option<u64>,
}

fn tell(world: &mut World, stops: Stops) -> Result<(), Violation> {
    world.machine().stop_at = stops.first;
    let mut second = stops.second;
    for round in 0..TRANSACTIONS / 5 {
        (0..5).for_each(|_| world.work());
        world.step_all()?;
        match round {
            15 => world.run_batch()?,
            25 => world.trim()?,
            _ => {}
        }
        while world.machine().off {
            let after = second.take();
            let cut = if round % 2 == 0 { Restart::PowerCut } else { Restart::Clean };
            world.restart(cut, TakeOver::Never)?;
            let mut machine = world.machine();
            machine.stop_at = after.map(|after| (machine.steps + after, Moment::Before));
            drop(machine);
            if after.is_some() {
                world.step_all()?;
            }
        }
        world.observe()?;
    }
    world.end()
}

/// Calls of the scenario when nothing stops it.
fn steps() -> u64 {
    static STEPS: OnceLock<u64> = OnceLock::new();
    *STEPS.get_or_init(|| {
        let ran = crate::runner::guarded(|shared| {
            super::story::play(&plan(), shared, |world| {
                tell(world, Stops { first: None, second: None })
            })
        });
        ran.steps
    })
}

/// Seeds that cover every step, before and after.
pub fn all() -> u64 {
    2 * steps()
}

fn every_step(seed: u64) -> Result<(), Violation> {
    let place = seed.wrapping_mul(STRIDE) % all();
    let moment = if place.is_multiple_of(2) { Moment::Before } else { Moment::After };
    let second = seed.is_multiple_of(3).then_some(1 + (seed / 3) % 60);
    let stops = Stops { first: Some((place / 2 + 1, moment)), second };
    let ran = crate::runner::guarded(|shared| {
        super::story::play(&plan(), shared, |world| tell(world, stops))
    });
    ran.violation.map_or(Ok(()), |mut violation| {
        violation.what = format!("stopped {stops:?} of {} steps: {}", steps(), violation.what);
        Err(violation)
    })
}

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![Drill {
        name: "every-step",
        about: "the machine stops before or after each step of a scenario, and again in recovery",
        seeds_in_ci: 1000,
        run: every_step,
    }]
}
