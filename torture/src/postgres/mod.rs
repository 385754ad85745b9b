//! Drills between two real PostgreSQL servers: `postgres-chaos`, `postgres-target-down` and `postgres-proof`.
//!
//! `pair` is the servers, the failing links between them and the engine, and the project; `bank` the application that
//! writes; `witness` the reader at the target; `audit` what must be equal at the end; `memory` what the engine uses;
//! `harm` what proofs do to the source; `damage` what they must find.

mod audit;
mod bank;
mod bank_sql;
mod chaos;
mod damage;
mod down;
mod faults;
mod harm;
mod memory;
mod pair;
mod proof;
mod witness;

pub(crate) use chaos::run as chaos;
pub(crate) use down::run as target_down;
pub(crate) use proof::run as proof;

use crate::outcome::Outcome;

/// The outcome where no PostgreSQL is installed; `None` where one is.
fn missing() -> Option<Outcome> {
    (!servers::is_installed()).then(|| Outcome::NotRun {
        why: "PostgreSQL is not installed (Debian: apt-get install postgresql)".to_string(),
        excused: false,
    })
}
