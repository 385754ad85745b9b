//! The ledger against every class of fault: the right key, the right kind, the right side, and nothing else.
//!
//! Faults are put on resting keys, each with a history of its own in the log; hot keys are written all the while, and
//! the ledger stands now before and now behind the target.

use super::world::{self, FIRST_QUIET, QUIET, World};
use crate::drill::Violation;
use crate::random::Random;
use change::{DigestKey, Offset};
use proof::{Ledger, Side, TableProof, Verdict};
use std::collections::BTreeMap;

/// The invariant of this part.
const NAMED: &str =
    "L the ledger names key, kind and side of every fault, and nothing that is none";

/// One class of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The event of a new row was acknowledged and not applied.
    SkippedInsert,
    /// The event of a change was acknowledged and not applied.
    SkippedUpdate,
    /// A delete was not applied.
    LostDelete,
    /// An older row was written over a newer one, two versions back.
    StaleOverwrite,
    /// Another value was written than the log holds.
    WrongValue,
    /// Somebody else wrote a row.
    ForeignRow,
}

const FAULTS: &[Fault] = &[
    Fault::SkippedInsert,
    Fault::SkippedUpdate,
    Fault::LostDelete,
    Fault::StaleOverwrite,
    Fault::WrongValue,
    Fault::ForeignRow,
];

/// What is to be named, by key.
type Expected = BTreeMap<i64, (&'static str, Side)>;

impl Fault {
    /// Puts the fault on a key.
    fn put(self, world: &mut World, key: i64) -> (&'static str, Side) {
        match self {
            Fault::SkippedInsert => {
                world.delete(key);
                world.change(key);
                world.tamper(&format!("DELETE FROM stock WHERE id = {key}"));
                ("missing", Side::Apply)
            }
            Fault::SkippedUpdate => {
                keep(world, key);
                world.change(key);
                put_back(world, key);
                ("stale", Side::Apply)
            }
            Fault::StaleOverwrite => {
                keep(world, key);
                world.change(key);
                world.change(key);
                put_back(world, key);
                ("stale", Side::Apply)
            }
            Fault::LostDelete => {
                keep(world, key);
                world.delete(key);
                put_back(world, key);
                ("resurrected", Side::Apply)
            }
            Fault::WrongValue => {
                world.tamper(&format!("UPDATE stock SET quantity = -1 WHERE id = {key}"));
                ("changed", Side::Foreign)
            }
            Fault::ForeignRow => {
                // Odd keys are free.
                world.tamper(&format!(
                    "INSERT INTO stock VALUES ({}, 'ghost', NULL, 1, 2)",
                    key + 1
                ));
                ("extra", Side::Foreign)
            }
        }
    }

    /// The key that is named.
    fn key(self, put_on: i64) -> i64 {
        if self == Fault::ForeignRow { put_on + 1 } else { put_on }
    }
}

/// Keeps the target's row of a key, as it is stored.
fn keep(world: &World, key: i64) {
    world.tamper(&format!(
        "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM stock WHERE 0;
         INSERT INTO kept SELECT * FROM stock WHERE id = {key}"
    ));
}

/// Puts the row that was kept back over the one that is there.
fn put_back(world: &World, key: i64) {
    world.tamper(&format!(
        "DELETE FROM stock WHERE id = {key}; INSERT INTO stock SELECT * FROM kept WHERE id = {key}"
    ));
}

pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let mut world = World::new(chance.split());
    let hashes = DigestKey::new(chance.bits());
    let mut ledger = Ledger::new(Offset::START, 1, "nothing is folded yet");
    let mut trace = Vec::new();
    // Without a fault first: the ledger is folded to anywhere, and nothing is said.
    check(&mut world, &mut ledger, hashes, &Expected::new(), &trace)?;
    let mut expected = Expected::new();
    for _ in 0..chance.below(6) {
        let fault = *chance.pick(FAULTS);
        let put_on = FIRST_QUIET + 2 * i64::try_from(chance.below(QUIET)).expect("small");
        // One fault a key: a second one would hide the first.
        if expected.contains_key(&put_on) || expected.contains_key(&(put_on + 1)) {
            continue;
        }
        expected.insert(fault.key(put_on), fault.put(&mut world, put_on));
        trace.push(format!("{fault:?} at {put_on}"));
    }
    for _ in 0..3 {
        check(&mut world, &mut ledger, hashes, &expected, &trace)?;
    }
    world.rest();
    check(&mut world, &mut ledger, hashes, &expected, &trace)
}

fn check(
    world: &mut World,
    ledger: &mut Ledger,
    hashes: DigestKey,
    expected: &Expected,
    trace: &[String],
) -> Result<(), Violation> {
    let proof = world.fold(ledger, hashes).and_then(|()| world.prove_by_ledger(ledger, hashes));
    let judged = match proof {
        Ok(proof) => judge(&proof, expected),
        Err(e) => Err(format!("it ends with {e}")),
    };
    judged.map_err(|what| {
        let mut violation = Violation::new(NAMED, what);
        violation.trace = trace.to_vec();
        violation
    })
}

fn judge(proof: &TableProof, expected: &Expected) -> Result<(), String> {
    let named: Expected = proof
        .differences
        .iter()
        .map(|d| (world::id_of(&d.key.0), (d.kind.name(), d.side)))
        .collect();
    if named != *expected || proof.omitted > 0 {
        return Err(format!("named {named:?}, wrong are {expected:?}: {}", proof.verdict));
    }
    if proof.source_rows > 0 {
        return Err(format!("{} rows of the source were read", proof.source_rows));
    }
    let verdict = match expected.len() as u64 {
        0 => Verdict::Equal,
        rows => Verdict::Different { rows, parked: 0 },
    };
    if proof.verdict == verdict { Ok(()) } else { Err(format!("it says {}", proof.verdict)) }
}
