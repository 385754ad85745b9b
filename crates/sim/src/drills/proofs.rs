//! Proofs against an independent comparison: every planted difference is named, and nothing else, while the source
//! is written and the applier runs.
//!
//! The source is a model, the target a real SQLite database, damaged behind the engine's back with plain SQL. What is
//! different is found out once more by the drill ([`world`]): cell by cell, with the storage class that the database
//! itself tells.

mod damage;
mod ledger;
mod world;

use crate::drill::{Drill, Violation};
use crate::random::Random;
use damage::Damage;
use proof::{TableProof, Verdict};
use std::collections::BTreeSet;
use world::World;

/// The invariant of this part.
const ALL_AND_ONLY: &str = "Q a proof finds every difference, and nothing that is none";

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![
        Drill {
            name: "proofs",
            about: "planted differences under live writes against an independent comparison",
            seeds_in_ci: 80,
            run,
        },
        Drill {
            name: "ledger",
            about: "every class of fault under live writes, found by the ledger: key, kind and side",
            seeds_in_ci: 80,
            run: ledger::run,
        },
    ]
}

fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let mut world = World::new(chance.split());
    let mut planted = Vec::new();
    if !chance.once_in(4) {
        for _ in 0..=chance.below(6) {
            let damage = *chance.pick(Damage::ALL);
            planted.push((damage, damage.put(&mut world, &mut chance)));
        }
    }
    let proof = world.prove().map_err(|e| wrong(&planted, format!("it ends with {e}")))?;
    let expected = world.differences();
    judge(&proof, &expected).map_err(|what| wrong(&planted, what))?;
    // Once more, at rest: what moved is there now, and what was wrong still is.
    world.rest();
    let proof = world.prove().map_err(|e| wrong(&planted, format!("it ends with {e}")))?;
    judge(&proof, &expected).map_err(|what| wrong(&planted, format!("at rest: {what}")))
}

fn wrong(planted: &[(Damage, i64)], what: String) -> Violation {
    let mut violation = Violation::new(ALL_AND_ONLY, what);
    violation.trace = planted.iter().map(|(damage, key)| format!("{damage:?} at {key}")).collect();
    violation
}

fn judge(proof: &TableProof, expected: &BTreeSet<i64>) -> Result<(), String> {
    let named: BTreeSet<i64> = proof.differences.iter().map(|d| world::id_of(&d.key.0)).collect();
    let missed: Vec<&i64> = expected.difference(&named).collect();
    let false_alarms: Vec<&i64> = named.difference(expected).collect();
    if !missed.is_empty() || !false_alarms.is_empty() || proof.omitted > 0 {
        return Err(format!("missed {missed:?}, false alarms {false_alarms:?}: {}", proof.verdict));
    }
    let rows = expected.len() as u64;
    let verdict = match rows {
        0 => Verdict::Equal,
        rows => Verdict::Different { rows, parked: 0 },
    };
    if proof.verdict == verdict { Ok(()) } else { Err(format!("it says {}", proof.verdict)) }
}
