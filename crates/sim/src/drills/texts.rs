//! Texts that people and programs write: configuration, and names that become SQL.
//!
//! Configuration may be damaged in any way: it is read, or every problem points into its file and shows no secret.
//! Names and texts may hold anything: what a database parses is that name again, and nothing else (S9).

mod config;
pub(in crate::drills) mod damage;
mod names;
mod quoting;

use crate::drill::Drill;

pub use config::{any_flow, any_project};
pub use quoting::any_quoting;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    let drill = |name, about, seeds_in_ci, run| Drill { name, about, seeds_in_ci, run };
    vec![
        drill(
            "texts-config",
            "damaged configuration: read, or told where it is wrong",
            40,
            config::run,
        ),
        drill(
            "texts-quoting",
            "names and texts through a database of the real dialect",
            40,
            quoting::run,
        ),
        drill(
            "texts-names",
            "hostile table and column names through the connector",
            30,
            names::run,
        ),
    ]
}
