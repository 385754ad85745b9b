//! Cases that tools in the field get wrong, one by one.

use crate::shaping::{Shaping, source_schema};
use crate::world::{KEYS, World, item, lane};
use change::{ColumnType, Value};
use connect::Log;
use connect::memory::Edit;
use connect::memory::sample::shape;
use proof::{DifferenceKind, Empty, Reason, RowPath, Settings, Side, Verdict, Writer};

fn quiet(shaping: Shaping, filled: i64) -> World {
    let mut world = World::new(1, shaping, filled);
    world.pace = 0;
    world
}

fn unproven(verdict: &Verdict) -> &Reason {
    match verdict {
        Verdict::Unproven(reason) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn nothing_compared_is_unproven_unless_that_is_declared_fine() {
    let mut world = quiet(Shaping::Plain, 0);
    assert_eq!(unproven(&world.prove().verdict), &Reason::Empty);
    let fine = Settings { empty: Empty::Fine, ..World::settings() };
    assert_eq!(world.prove_with(Writer::Flow, fine).verdict, Verdict::Equal);
    world.target.tamper("stock", vec![item(1, "ghost", 1, 1)]).unwrap();
    assert!(matches!(world.prove_with(Writer::Flow, fine).verdict, Verdict::Different { .. }));
}

#[test]
fn a_truncate_between_the_cuts_voids_the_piece_and_it_is_read_again() {
    let mut world = quiet(Shaping::Plain, KEYS);
    world.eager = true;
    world.at_source_cut = Some(Edit::truncate("item"));
    // The first cut still saw all rows. Read again, the table is empty on both sides.
    let proof = world.prove();
    assert_eq!(unproven(&proof.verdict), &Reason::Empty);
    assert_eq!(world.is_there(0), None);
}

#[test]
fn a_truncate_in_every_attempt_is_unproven() {
    let mut world = quiet(Shaping::Plain, KEYS);
    world.eager = true;
    world.at_source_cut = Some(Edit::truncate("item"));
    let once = Settings { attempts: 1, ..World::settings() };
    let proof = world.prove_with(Writer::Flow, once);
    assert_eq!(unproven(&proof.verdict), &Reason::Voided { attempts: 1, by: "a truncate".into() });
}

#[test]
fn a_log_that_was_trimmed_between_the_cuts_is_unproven() {
    let mut world = quiet(Shaping::Plain, KEYS);
    world.at_source_cut = Some(Edit::update("item", vec![Value::Int(0)], item(0, "new", 1, 1)));
    // The change is captured and applied behind the source cut, then the log forgets it.
    (world.eager, world.trim) = (true, true);
    assert_eq!(unproven(&world.prove().verdict), &Reason::LogTrimmed);
}

#[test]
fn a_target_that_does_not_pass_the_cut_is_unproven() {
    let mut world = quiet(Shaping::Plain, KEYS);
    world.stuck = true;
    world.commit(vec![Edit::delete("item", vec![Value::Int(0)])]);
    assert!(matches!(unproven(&world.prove().verdict), Reason::TargetBehind(_)));
}

#[test]
fn a_key_that_is_always_hot_is_no_obstacle() {
    for fault in [false, true] {
        let mut world = quiet(Shaping::Plain, 10);
        world.eager = true;
        for round in 0..20 {
            world.at_source_cut =
                Some(Edit::update("item", vec![Value::Int(4)], item(4, &round.to_string(), 1, 1)));
            if fault {
                world.target.tamper("stock", vec![item(6, "damaged", 1, 1)]).unwrap();
                world.judge();
            }
            let proof = world.prove();
            let expected =
                if fault { Verdict::Different { rows: 1, parked: 0 } } else { Verdict::Equal };
            assert_eq!(proof.verdict, expected);
        }
    }
}

/// (`p|q`, `r`) and (`p`, `q|r`) must not be called equal.
#[test]
fn separators_in_values_hide_nothing() {
    let mut world = quiet(Shaping::Plain, 10);
    let row = |id: i64, name: &str| item(id, name, 1, 1);
    world.commit(vec![Edit::update("item", vec![Value::Int(2)], row(2, "p|1"))]);
    world.capture_all();
    world.apply_all();
    let mut other = row(2, "p");
    other[2] = Value::Int(11);
    world.target.tamper("stock", vec![other]).unwrap();
    let proof = world.prove();
    let columns = vec!["name".to_string(), "quantity".to_string()];
    assert_eq!(proof.differences[0].kind, DifferenceKind::Changed { columns });
}

/// Two rows that are wrong in the same way do not cancel each other.
#[test]
fn rows_that_xor_would_confuse_differ() {
    let mut world = quiet(Shaping::Plain, 10);
    world.target.tamper("stock", vec![item(2, "c", 1, 1), item(4, "c", 1, 2)]).unwrap();
    assert_eq!(world.prove().verdict, Verdict::Different { rows: 2, parked: 0 });
}

#[test]
fn a_uniform_shift_is_named_as_one_systematic_column() {
    let mut world = quiet(Shaping::Plain, KEYS);
    let mut rows = world.target.rows("stock").unwrap();
    for row in &mut rows {
        row[3] = Value::Int(if let Value::Int(price) = row[3] { price + 25_200 } else { 0 });
    }
    let all = rows.len() as u64;
    world.target.tamper("stock", rows).unwrap();
    world.target.tamper_delete("stock", &[change::Key(vec![Value::Int(8)])]).unwrap();
    let proof = world.prove();
    assert_eq!(proof.verdict, Verdict::Different { rows: all, parked: 0 });
    assert_eq!(proof.systematic.len(), 1);
    assert_eq!(proof.systematic[0].column, "price");
    assert_eq!((proof.systematic[0].rows, proof.systematic[0].of), (all - 1, all - 1));
    let kinds: Vec<&str> = proof.differences.iter().map(|d| d.kind.name()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "missing").count(), 1, "other faults stay");
    assert!(kinds.len() <= 6, "a few rows stand for all");
}

#[test]
fn a_change_that_capture_has_missed_is_the_captures_fault() {
    let mut world = quiet(Shaping::Plain, KEYS);
    // The capture is told that the table is not wanted, and misses what comes meanwhile.
    world.source.define("other", &source_schema());
    let mut handle = world.source.clone();
    let resume = connect::Resume::Fresh;
    drop(connect::Source::capture(&mut handle, &["other".into()], &resume).unwrap());
    let lost = item(0, "unseen", 1, 1);
    world.source.commit(&[Edit::update("item", vec![Value::Int(0)], lost.clone())]).unwrap();
    world.source.commit(&[Edit::insert("item", item(7, "unseen", 1, 1))]).unwrap();
    world.source.commit(&[Edit::delete("item", vec![Value::Int(2)])]).unwrap();
    drop(connect::Source::capture(&mut handle, &["item".into()], &resume).unwrap());
    let proof = world.prove();
    let found: Vec<(&str, Side)> =
        proof.differences.iter().map(|d| (d.kind.name(), d.side)).collect();
    assert_eq!(
        found,
        [("changed", Side::Capture), ("extra", Side::Capture), ("missing", Side::Capture)]
    );
    assert_eq!(proof.differences[0].expected, Some(lost));
}

#[test]
fn parked_keys_are_left_out_and_the_verdict_says_so() {
    let mut world = quiet(Shaping::Plain, KEYS);
    world.parked.insert(4);
    world.commit(vec![Edit::update("item", vec![Value::Int(4)], item(4, "refused", 1, 1))]);
    world.capture_all();
    world.apply_all();
    let proof = world.prove();
    assert_eq!(proof.verdict, Verdict::Different { rows: 0, parked: 1 });
    assert_eq!(proof.differences, []);
    world.target.tamper("stock", vec![item(6, "damaged", 1, 1)]).unwrap();
    assert_eq!(world.prove().verdict, Verdict::Different { rows: 1, parked: 1 });
}

#[test]
fn a_row_that_the_transform_fails_on_is_parked_or_unproven() {
    let mut world = quiet(Shaping::Filtered, KEYS);
    // The world's own mapping knows no bad luck, so the row arrives; the transform of the path fails on it.
    world.commit(vec![Edit::update("item", vec![Value::Int(4)], item(4, "unlucky", 1, 13))]);
    world.capture_all();
    world.apply_all();
    assert!(matches!(unproven(&world.prove().verdict), Reason::TransformFails { rows: 1 }));
    world.parked.insert(4);
    assert!(matches!(world.prove().verdict, Verdict::Different { rows: 0, parked: 1 }));
}

#[test]
fn an_update_that_the_filter_drops_removes_the_row() {
    let mut world = quiet(Shaping::Filtered, 10);
    world.eager = true;
    let drop = Edit::update("item", vec![Value::Int(4)], item(4, "gone", -1, 1));
    world.at_source_cut = Some(drop);
    assert_eq!(world.prove().verdict, Verdict::Equal);
    assert_eq!(world.is_there(4), None);
    world.target.tamper("stock", vec![item(4, "first", 1, 2004)]).unwrap();
    let proof = world.prove();
    assert_eq!(proof.differences[0].kind.name(), "resurrected");
    let back = Edit::update("item", vec![Value::Int(4)], item(4, "back", 1, 1));
    world.at_source_cut = Some(back);
    assert_eq!(world.prove().verdict, Verdict::Equal, "the next change has healed it");
}

#[test]
fn keys_that_are_not_carried_are_unproven() {
    let mut world = quiet(Shaping::Plain, 10);
    let schema = shape(
        &[
            ("id", ColumnType::Int64),
            ("name", ColumnType::Text),
            ("quantity", ColumnType::Int64),
            ("price", ColumnType::Int64),
        ],
        &["name"],
    );
    let target = connect::TargetTable { name: "stock".into(), schema, owner: None };
    let path = RowPath::new("item", source_schema(), None, None, target).unwrap();
    let subject = proof::Subject { path, ..world.subject(Writer::Flow) };
    let log = world.log.clone();
    let clock = connect::clock::ManualClock::at(0);
    let prover = proof::Prover {
        log: &log,
        clock: &clock,
        key: change::DigestKey::new(1),
        settings: Settings::default(),
    };
    let proof = prover.prove(&subject, &mut world).unwrap();
    assert_eq!(unproven(&proof.verdict), &Reason::KeyNotCarried);
}

#[test]
fn progress_of_another_generation_or_log_is_unproven() {
    let mut world = quiet(Shaping::Plain, 10);
    let log = world.log.clone();
    let clock = connect::clock::ManualClock::at(0);
    let prover = proof::Prover {
        log: &log,
        clock: &clock,
        key: change::DigestKey::new(1),
        settings: Settings::default(),
    };
    let mut subject = world.subject(Writer::Flow);
    subject.generation = change::Generation::mint(77);
    let proof = prover.prove(&subject, &mut world).unwrap();
    assert!(matches!(unproven(&proof.verdict), Reason::OtherHistory(_)));
    let mut subject = world.subject(Writer::Flow);
    subject.flow = change::FlowId::mint(78);
    let proof = prover.prove(&subject, &mut world).unwrap();
    assert_eq!(unproven(&proof.verdict), &Reason::NoProgress);
    assert!(world.log.tail(lane()).unwrap().durable > change::Offset::START);
}
