//! The proof against a seeded world: a source that never rests, an applier that lags and errs, and an oracle that
//! knows the truth without the proof's help.
#![allow(clippy::unwrap_used)]

extern crate seamount_proof as proof;

#[path = "main/cases.rs"]
mod cases;
#[path = "main/certificates.rs"]
mod certificates;
#[path = "main/damage.rs"]
mod damage;
#[path = "main/damaged.rs"]
mod damaged;
#[path = "main/faults.rs"]
mod faults;
#[path = "main/foreign.rs"]
mod foreign;
#[path = "main/ledger.rs"]
mod ledger;
#[path = "main/repairs.rs"]
mod repairs;
#[path = "main/shaping.rs"]
mod shaping;
#[path = "main/world.rs"]
mod world;
