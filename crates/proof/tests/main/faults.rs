//! No fault, no alarm; a fault, its name.

use crate::shaping::Shaping;
use crate::world::{Fault, KEYS, World, id_of, item};
use change::Value;
use connect::memory::OldImages;
use proof::{Difference, Side, TableProof, Verdict};
use std::collections::BTreeSet;

const SHAPINGS: [Shaping; 3] = [Shaping::Plain, Shaping::Filtered, Shaping::WithSite];

fn id(difference: &Difference) -> i64 {
    match difference.key.0.last() {
        Some(Value::Int(id)) => *id,
        _ => panic!("keys end with the id"),
    }
}

/// What the oracle expects to be said of a key that is wrong.
fn expected(world: &World, id: i64, invented: bool) -> (&'static str, Side) {
    match (world.should_be(id), world.is_there(id)) {
        (Some(_), None) => ("missing", Side::Apply),
        (None, Some(_)) if invented => ("extra", Side::Foreign),
        (None, _) => ("resurrected", Side::Apply),
        (Some(_), Some(_)) if invented => ("changed", Side::Foreign),
        (Some(_), Some(_)) => ("stale", Side::Apply),
    }
}

/// Every key that was wrong all the time is named rightly, and no key that was never wrong is named.
fn check(world: &World, proof: &TableProof, invented: bool) -> usize {
    let (ever, always) = world.watched();
    let named: BTreeSet<i64> = proof.differences.iter().map(id).collect();
    assert!(named.is_subset(ever), "false alarm: {named:?}, wrong were {ever:?}");
    assert!(always.is_subset(&named), "not found: {always:?}, named were {named:?}");
    for difference in proof.differences.iter().filter(|d| always.contains(&id(d))) {
        let found = (difference.kind.name(), difference.side);
        assert_eq!(found, expected(world, id(difference), invented), "{difference:?}");
        assert_eq!(difference.found, world.is_there(id(difference)));
    }
    let unequal = matches!(proof.verdict, Verdict::Different { rows, .. } if rows > 0);
    assert_eq!(unequal, !named.is_empty(), "{}", proof.verdict);
    always.len()
}

#[test]
fn a_busy_table_without_faults_is_equal_every_time() {
    let (mut pieces, mut touched) = (0, 0);
    for seed in 0..45 {
        let mut world = World::new(seed, SHAPINGS[seed as usize % 3], KEYS);
        if seed % 5 == 0 {
            world.fault = Some(Fault::Twice);
        }
        if seed % 4 == 1 {
            world.source.send_old_images(OldImages::Keys);
        }
        world.pace = 1 + seed % 9;
        for _ in 0..7 {
            let proof = world.prove();
            assert_eq!(proof.verdict, Verdict::Equal, "seed {seed}");
            assert_eq!(proof.unconfirmed, 0, "the first look is exact already, seed {seed}");
            assert_eq!(proof.expected, proof.found);
            pieces += proof.chunks;
            touched += proof.touched;
        }
    }
    assert!(pieces >= 2000, "{pieces} pieces are too few to say anything");
    assert!(touched >= 1000, "{touched} keys touched between the cuts are too few");
    println!("{pieces} pieces, {touched} touched keys, 0 false alarms");
}

fn with_fault(fault: Fault, invented: bool) {
    let mut found = 0;
    for seed in 0..36 {
        let mut world = World::new(1000 + seed, SHAPINGS[seed as usize % 3], KEYS);
        world.fault = Some(fault);
        world.churn(120);
        world.capture_all();
        world.apply_all();
        for pace in [0, 6] {
            world.pace = pace;
            let proof = world.prove();
            found += check(&world, &proof, invented);
        }
    }
    assert!(found >= 12, "{found} persisting faults are too few to say anything");
}

#[test]
fn an_effect_that_is_skipped_is_found() {
    with_fault(Fault::Skip, false);
}

#[test]
fn a_wrong_value_is_found() {
    with_fault(Fault::WrongValue, true);
}

#[test]
fn a_lost_delete_is_found() {
    with_fault(Fault::LostDelete, false);
}

#[test]
fn a_stale_overwrite_is_found() {
    with_fault(Fault::Stale, false);
}

#[test]
fn foreign_writes_are_found_wherever_they_are() {
    for (seed, shaping) in (0..).zip(SHAPINGS) {
        let mut world = World::new(seed, shaping, KEYS);
        world.churn(50);
        world.capture_all();
        world.apply_all();
        // Before the first key, between two, behind the last; and one that is there already.
        let there = world.target.rows("stock").unwrap()[40].clone();
        for id in [-5, 10_001, 1_000_000, id_of(&there)] {
            let mut row = item(id, "ghost", 1, 1);
            if shaping == Shaping::WithSite {
                row.push(Value::Text("north".into()));
            }
            world.target.tamper("stock", vec![row]).unwrap();
        }
        world.judge();
        world.pace = 0;
        let proof = world.prove();
        assert_eq!(check(&world, &proof, true), 4);
        assert_eq!(proof.verdict, Verdict::Different { rows: 4, parked: 0 });
    }
}

#[test]
fn another_owners_rows_are_not_looked_at() {
    let mut world = World::new(3, Shaping::WithSite, KEYS);
    let mut row = item(4, "south's own", 1, 1);
    row.push(Value::Text("south".into()));
    world.target.tamper("stock", vec![row]).unwrap();
    assert_eq!(world.prove().verdict, Verdict::Equal);
}
