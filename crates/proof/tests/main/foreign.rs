//! Tables that somebody else writes: lag is measured row by row, and nothing but lag is forgiven.

use crate::shaping::Shaping;
use crate::world::{World, item, lane};
use change::{Key, Offset, Value};
use connect::Log;
use connect::memory::Edit;
use proof::{Reason, Settings, Side, TableProof, Verdict, Writer};
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: i64 = 1_000_000;
const LAG: Writer = Writer::Other { max_lag_us: 10 * SECOND };

fn world(filled: i64) -> World {
    let mut world = World::new(1, Shaping::Plain, filled);
    world.pace = 0;
    world
}

fn prove(world: &mut World) -> TableProof {
    world.prove_with(LAG, Settings { chunk_rows: 700, ..Settings::default() })
}

fn update(world: &mut World, id: i64, name: &str) {
    world.commit(vec![Edit::update("item", vec![Value::Int(id)], item(id, name, 1, 1))]);
    world.capture_all();
    world.clock.advance(Duration::from_secs(1));
}

#[test]
fn a_writer_that_is_behind_within_bounds_is_equal_and_its_lag_is_measured() {
    let mut world = world(100);
    update(&mut world, 4, "one");
    update(&mut world, 4, "two");
    update(&mut world, 6, "three");
    world.commit(vec![Edit::insert("item", item(7, "new", 1, 1))]);
    world.commit(vec![Edit::delete("item", vec![Value::Int(8)])]);
    world.clock.advance(Duration::from_secs(1));
    // The foreign writer still shows the table as it was four seconds ago.
    let proof = prove(&mut world);
    assert_eq!(proof.verdict, Verdict::Equal);
    let lag = proof.lag.unwrap();
    assert_eq!((lag.rows_behind, lag.longest_us), (4, 4 * SECOND));
}

#[test]
fn a_writer_that_is_behind_for_too_long_is_different() {
    let mut world = world(100);
    update(&mut world, 4, "one");
    world.commit(vec![Edit::insert("item", item(7, "new", 1, 1))]);
    world.commit(vec![Edit::delete("item", vec![Value::Int(8)])]);
    world.clock.advance(Duration::from_secs(11));
    let proof = prove(&mut world);
    let found: Vec<(&str, Side)> =
        proof.differences.iter().map(|d| (d.kind.name(), d.side)).collect();
    let side = Side::Foreign;
    assert_eq!(found, [("stale", side), ("missing", side), ("resurrected", side)]);
}

#[test]
fn a_consumer_that_skips_one_row_in_a_thousand_is_caught_row_by_row() {
    let mut world = world(0);
    let mut skipped = BTreeSet::new();
    for start in (0..6000).step_by(500) {
        let rows: Vec<Vec<Value>> = (start..start + 500).map(|id| item(id, "r", 1, id)).collect();
        world.commit(rows.iter().map(|row| Edit::insert("item", row.clone())).collect());
        let copied: Vec<Vec<Value>> = rows
            .into_iter()
            .filter(|row| {
                let skip = world.random(1000) == 0;
                if skip {
                    skipped.insert(crate::world::id_of(row));
                }
                !skip
            })
            .collect();
        world.target.tamper("stock", copied).unwrap();
    }
    world.clock.advance(Duration::from_secs(60));
    let proof = prove(&mut world);
    let named: BTreeSet<i64> =
        proof.differences.iter().map(|d| crate::world::id_of(&d.key.0)).collect();
    assert!(skipped.len() >= 2);
    assert_eq!(named, skipped);
    assert!(proof.differences.iter().all(|d| d.kind.name() == "missing"));
    assert_eq!(proof.rows, 6000);
}

#[test]
fn a_value_that_the_source_never_had_is_different_at_once() {
    let mut world = world(100);
    world.target.tamper("stock", vec![item(4, "mine", 1, 1), item(5, "mine", 1, 1)]).unwrap();
    let proof = prove(&mut world);
    let found: Vec<(&str, i64)> =
        proof.differences.iter().map(|d| (d.kind.name(), crate::world::id_of(&d.key.0))).collect();
    assert_eq!(found, [("changed", 4), ("extra", 5)]);
}

/// The old image of the oldest change that is left says what was there, and not since when.
#[test]
fn a_log_that_is_shorter_than_the_lag_calls_no_older_row_different() {
    for trimmed in [false, true] {
        let mut world = world(100);
        for name in ["one", "two", "three"] {
            update(&mut world, 4, name);
        }
        if trimmed {
            let newest = world.log.tail(lane()).unwrap().durable;
            world.log.trim(lane(), Offset(newest.0 - 1)).unwrap();
        }
        // The foreign writer shows the table as it was four seconds ago, which is allowed.
        let unproven = Verdict::Unproven(Reason::LogTrimmed);
        let expected = if trimmed { unproven } else { Verdict::Equal };
        assert_eq!(prove(&mut world).verdict, expected);
    }
}

#[test]
fn a_writer_that_goes_back_in_time_is_caught() {
    let mut world = world(100);
    update(&mut world, 4, "one");
    update(&mut world, 4, "two");
    world.target.tamper("stock", vec![item(4, "two", 1, 1)]).unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(prove(&mut world).verdict, Verdict::Equal);
    world.target.tamper("stock", vec![item(4, "one", 1, 1)]).unwrap();
    let proof = prove(&mut world);
    assert_eq!(proof.differences[0].kind.name(), "stale");
    world.target.tamper_delete("stock", &[Key(vec![Value::Int(4)])]).unwrap();
    assert_eq!(prove(&mut world).differences[0].kind.name(), "missing");
}
