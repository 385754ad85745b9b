//! The world as a whole: one seed drives the engine's own code through sites, links, disks and people that fail.
//!
//! `story` steps it, `acts` and `operator` are what happens, `ending` is what must hold when the faults have stopped.
//! Not here: the oracle, which is told what happens and judges it (`oracle`).

mod acts;
mod backups;
pub mod business;
mod ending;
pub mod every_step;
pub mod faulty;
pub mod machine;
mod operator;
pub mod plan;
pub mod project;
pub mod room;
mod scenes;
mod story;

use crate::drill::{Drill, Violation};
use plan::{Less, Plan};
use std::collections::BTreeSet;

/// What one run of a seed came to.
#[derive(Debug)]
pub struct Ran {
    /// What was broken, if anything.
    pub violation: Option<Violation>,
    /// What two runs of one seed must agree on.
    pub fingerprint: u64,
    /// Calls that left the engine.
    pub steps: u64,
    /// Situations reached.
    pub situations: BTreeSet<&'static str>,
}

/// Situations that a run of many seeds must reach; one that is never reached is not tested.
pub const SITUATIONS: &[&str] = &[
    "ambiguous_commit",
    "batch_published",
    "crash_in_recovery",
    "disk_error",
    "disk_full",
    "letters_replayed",
    "log_behind_target",
    "log_trimmed",
    "mode_switched",
    "parked_key_held",
    "position_lost",
    "power_cut_lost_groups",
    "resync",
    "rows_repaired",
    "schema_grew",
    "snapshot_chunk",
    "snapshot_interrupted",
    "source_set_back",
    "target_set_back",
    "transaction_in_parts",
    "zombie_fenced",
];

/// Runs one seed of the world.
pub fn run(seed: u64, less: &Less, recording: Recording) -> Ran {
    let plan = Plan::of(seed, less);
    crate::runner::guarded(|shared| story::tell(&plan, recording, shared))
}

/// Whether the steps of a run are kept for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// They are.
    Kept,
    /// Only their fingerprint is.
    Not,
}

fn world(seed: u64) -> Result<(), Violation> {
    match run(seed, &Less::default(), Recording::Not).violation {
        Some(violation) => Err(violation),
        None => Ok(()),
    }
}

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    let world = Drill {
        name: "world",
        about: "the engine in a world that fails on purpose, judged by an independent oracle",
        seeds_in_ci: 2000,
        run: world,
    };
    [vec![world], every_step::drills(), scenes::drills()].concat()
}
