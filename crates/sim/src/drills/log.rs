//! The real log and the engine's state on a disk that fails on purpose.
//!
//! Not here: the disk (`faultdisk`). Invariant: what decides is a list of the groups that were given to the log, and how
//! many of each lane it has called durable.

mod crash;
mod model;
mod recovery;
#[cfg(test)]
mod regressions;
mod rot;
mod sample;
mod state;
mod trouble;

pub use crash::STEPS;
pub(in crate::drills) use sample::{group, settings};

use crate::drill::Drill;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![
        Drill {
            name: "log-crash",
            about: "power cuts at random steps of the log and of its recovery (F1, F2, F3)",
            seeds_in_ci: 300,
            run: crash::anywhere,
        },
        Drill {
            name: "log-every-step",
            about: "one scenario of the log, stopped before each of its steps; the seed is the step (F1)",
            seeds_in_ci: crash::STEPS,
            run: crash::every_step,
        },
        Drill {
            name: "log-sync-error",
            about: "a write or sync of the log fails once and is never taken for done (F6)",
            seeds_in_ci: 100,
            run: trouble::failing,
        },
        Drill {
            name: "log-full",
            about: "no space at a random step, then space again (F5)",
            seeds_in_ci: 20,
            run: trouble::full,
        },
        Drill {
            name: "log-rot",
            about: "damage to the log's files at rest is noticed, or harmless (F4)",
            seeds_in_ci: 500,
            run: rot::damaged,
        },
        Drill {
            name: "log-lock",
            about: "a state folder has one holder (F12)",
            seeds_in_ci: 5,
            run: state::locked,
        },
        Drill {
            name: "state-crash",
            about: "power cuts under letters, verdicts and snapshots of state.db (F2)",
            seeds_in_ci: 100,
            run: state::crash,
        },
        Drill {
            name: "log-recovery-time",
            about: "a log of 1 GiB opens within two seconds after a crash; by hand (F1)",
            seeds_in_ci: 0,
            run: recovery::time,
        },
    ]
}
