//! SQLite databases as target and as source on a disk that fails on purpose.
//!
//! Not here: the disk (`faultdisk`). Invariant: what decides is a model of maps, read back with SQL of these drills' own.

mod source;
mod target;

use crate::drill::Drill;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![
        Drill {
            name: "target-crash",
            about: "power cuts under rows, progress, stages and epochs of a SQLite target (F2, F12)",
            seeds_in_ci: 150,
            run: target::crash,
        },
        Drill {
            name: "source-crash",
            about: "power cuts under a captured database and its application (F2, F24)",
            seeds_in_ci: 150,
            run: source::crash,
        },
    ]
}
