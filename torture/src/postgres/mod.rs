//! Drills between two real PostgreSQL servers: `postgres-chaos` and `postgres-target-down`.
//!
//! `pair` is the servers, the failing links between them and the engine, and the project; `bank` the application that
//! writes; `witness` the reader at the target; `audit` what must be equal at the end; `memory` what the engine uses.

mod audit;
mod bank;
mod bank_sql;
mod chaos;
mod down;
mod faults;
mod memory;
mod pair;
mod witness;

pub(crate) use chaos::run as chaos;
pub(crate) use down::run as target_down;

use crate::outcome::Outcome;

/// The outcome where no PostgreSQL is installed; `None` where one is.
fn missing() -> Option<Outcome> {
    (!servers::is_installed()).then(|| Outcome::NotRun {
        why: "PostgreSQL is not installed (Debian: apt-get install postgresql)".to_string(),
        excused: false,
    })
}
