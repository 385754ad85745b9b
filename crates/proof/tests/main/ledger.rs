//! The ledger against brute force: what it says at every place of the lane, and the check that stands on it.

use crate::shaping::Shaping;
use crate::world::{Fault, KEYS, World, id_of, item, lane};
use change::{Digest, DigestKey, Group, GroupKind, Key, Offset, Op, SnapshotId, Value, canonical};
use connect::memory::sample::rows;
use connect::memory::{Edit, OldImages};
use connect::{Bounds, Log};
use proof::{Ledger, Reach, Reason, Side, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SHAPINGS: [Shaping; 3] = [Shaping::Plain, Shaping::Filtered, Shaping::WithSite];
fn seed_of_hashes() -> DigestKey {
    DigestKey::new(99)
}

/// What the table holds, found out with plain maps.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<i64, Vec<Value>>,
    /// A snapshot was read up to here: `None` nothing, `Some(None)` all.
    covered: Option<Option<i64>>,
}

impl Model {
    fn take(&mut self, group: &Group) {
        if let GroupKind::Snapshot(chunk) = &group.body.kind {
            let id = |key: &Option<Key>| key.as_ref().map(|key| id_of(&key.0));
            let (after, upto) = (id(&chunk.after), id(&chunk.upto));
            self.rows.retain(|id, _| {
                after.is_some_and(|after| *id <= after) || upto.is_some_and(|upto| *id > upto)
            });
            self.covered = Some(upto);
        }
        for (batch, row) in group.body.in_order() {
            let batch = &group.body.batches[batch];
            let image = |images| Value::row(images, batch.schema(), row);
            if batch.ops()[row] == Op::Truncate {
                self.rows.clear();
                continue;
            }
            if batch.has_old_image(row) {
                self.rows.remove(&id_of(&image(batch.old())));
            }
            if batch.ops()[row].has_new() {
                let new = image(batch.new_images());
                self.rows.insert(id_of(&new), new);
            }
        }
    }

    /// Count and sum of the rows of the target that are in a range.
    fn digest(&self, shaping: Shaping, holds: impl Fn(&Key) -> bool) -> Digest {
        let schema = shaping.target_table().schema;
        let out: Vec<Vec<Value>> = self.rows.values().filter_map(|row| shaping.row(row)).collect();
        let batch = rows(&schema, &out);
        let encoder = canonical::Rows::all(&batch, &schema);
        let mut sum = Digest::default();
        for row in 0..out.len() {
            if holds(&Key::read(&batch, &schema, row)) {
                let mut bytes = Vec::new();
                encoder.encode(row, &mut bytes);
                sum += Digest::of(seed_of_hashes().hash(&bytes));
            }
        }
        sum
    }
}

fn groups(world: &World) -> Vec<Arc<Group>> {
    world
        .log
        .read(lane(), Offset::START, Bounds { changes: usize::MAX, bytes: usize::MAX })
        .unwrap()
}

/// Folds the next groups into both, and compares them leaf by leaf behind each.
fn fold(ledger: &mut Ledger, model: &mut Model, world: &World) -> u64 {
    let path = world.shaping.path();
    let mut compared = 0;
    for group in groups(world).iter().skip(usize::try_from(ledger.offset().0).unwrap()) {
        ledger.fold(&path, seed_of_hashes(), group).unwrap();
        model.take(group);
        let mut after: Option<Key> = None;
        for leaf in ledger.leaves() {
            let range = connect::KeyRange { after: after.take(), upto: leaf.upto.clone() };
            let expected = model.digest(world.shaping, |key| range.holds(key));
            assert!(leaf.dirty || leaf.digest == expected, "{range:?} at {}", group.offset);
            after.clone_from(&leaf.upto);
            compared += 1;
        }
        let whole = model.covered == Some(None);
        assert_eq!(ledger.reach() == Reach::Whole, whole, "at {}", group.offset);
    }
    compared
}

/// Snapshots again, truncates and random histories: the ledger is what the rows say, at every place.
#[test]
fn a_ledger_is_what_brute_force_says_at_every_place() {
    let (mut compared, mut dirty) = (0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed, SHAPINGS[seed as usize % 3], KEYS);
        if seed % 4 == 1 {
            world.source.send_old_images(OldImages::Keys);
        }
        if seed % 4 == 2 {
            world.source.send_old_images(OldImages::KeysAndChanged);
        }
        let mut ledger = Ledger::new(Offset::START, 0, "nothing came yet");
        let mut model = Model::default();
        for round in 0..6 {
            world.churn(25);
            if world.random(4) == 0 {
                world.commit(vec![Edit::truncate("item")]);
                world.churn(25);
            }
            if world.random(3) == 0 {
                world.snapshot(SnapshotId::mint(10 + round));
            }
            world.capture(12);
            compared += fold(&mut ledger, &mut model, &world);
        }
        world.capture_all();
        compared += fold(&mut ledger, &mut model, &world);
        dirty += ledger.dirty();
        assert!(
            seed % 4 == 1 || seed % 4 == 2 || ledger.dirty() == 0,
            "whole old images, seed {seed}"
        );
    }
    assert!(compared > 5000, "{compared} leaves are too few to say anything");
    assert!(dirty > 0, "old images that are keys alone leave the ledger unsure");
}

/// A chunk that comes once more behind a crash goes on where it began.
#[test]
fn a_snapshot_that_repeats_a_chunk_is_folded_once() {
    let mut world = World::new(5, Shaping::Plain, KEYS);
    let before = groups(&world).len();
    world.snapshot(SnapshotId::mint(20));
    world.capture(3);
    let first = groups(&world)[before..].iter().find_map(|group| match &group.body.kind {
        GroupKind::Snapshot(chunk) => chunk.upto.clone(),
        _ => None,
    });
    world.churn(20);
    world.snapshot_behind(SnapshotId::mint(20), first);
    world.churn(20);
    world.capture_all();
    let (mut ledger, mut model) = (Ledger::new(Offset::START, 0, "new"), Model::default());
    fold(&mut ledger, &mut model, &world);
    assert_eq!(ledger.reach(), Reach::Whole);
    assert_eq!(ledger.dirty(), 0);
}

fn id(key: &Key) -> i64 {
    id_of(&key.0[key.0.len() - 1..])
}

/// No fault, no alarm, wherever ledger and target stand; and the source is not read.
#[test]
fn a_busy_table_without_faults_is_equal_to_its_ledger() {
    let (mut leaves, mut ahead, mut behind) = (0, 0, 0);
    for seed in 0..45 {
        let mut world = World::new(seed, SHAPINGS[seed as usize % 3], KEYS);
        world.pace = 1 + seed % 9;
        world.fault = (seed % 5 == 0).then_some(Fault::Twice);
        let mut ledger = Ledger::new(Offset::START, 0, "new");
        for round in 0..7 {
            world.churn(10);
            world.capture(6);
            // Sometimes it is folded to the end of the log, ahead of the target; sometimes it lags.
            let upto = if round % 2 == 0 { u64::MAX } else { ledger.offset().0 + 3 };
            world.fold(&mut ledger, upto);
            ahead += u64::from(ledger.offset() > world.applied);
            behind += u64::from(ledger.offset() < world.applied);
            let (proof, correction) = world.prove_by_ledger(&ledger);
            assert_eq!(proof.verdict, Verdict::Equal, "seed {seed}, round {round}");
            assert_eq!((proof.unequal_leaves, proof.source_rows), (0, 0), "seed {seed}");
            assert_eq!(proof.expected, proof.found);
            assert!(correction.is_empty());
            leaves += proof.leaves;
        }
    }
    assert!(leaves > 300, "{leaves} leaves");
    assert!(ahead > 20 && behind > 20, "ahead {ahead} times, behind {behind} times");
}

/// The oracle's word for a key that is wrong.
fn expected(world: &World, id: i64, invented: bool) -> (&'static str, Side) {
    match (world.should_be(id), world.is_there(id)) {
        (Some(_), None) => ("missing", Side::Apply),
        (None, Some(_)) if invented => ("extra", Side::Foreign),
        (None, _) => ("resurrected", Side::Apply),
        (Some(_), Some(_)) if invented => ("changed", Side::Foreign),
        (Some(_), Some(_)) => ("stale", Side::Apply),
    }
}

fn with_fault(fault: Fault, invented: bool) {
    let mut found = 0;
    for seed in 0..36 {
        let mut world = World::new(1000 + seed, SHAPINGS[seed as usize % 3], KEYS);
        world.fault = Some(fault);
        world.churn(120);
        world.capture_all();
        world.apply_all();
        let mut ledger = Ledger::new(Offset::START, 0, "new");
        world.fold(&mut ledger, u64::MAX);
        for pace in [0, 6] {
            world.pace = pace;
            let (proof, _) = world.prove_by_ledger(&ledger);
            let (ever, always) = world.watched();
            let named: BTreeSet<i64> = proof.differences.iter().map(|d| id(&d.key)).collect();
            assert!(named.is_subset(ever), "seed {seed}: false alarm {named:?}, wrong {ever:?}");
            assert!(always.is_subset(&named), "seed {seed}: missed {always:?}, named {named:?}");
            assert_eq!(proof.source_rows, 0, "the log knows every key");
            for difference in proof.differences.iter().filter(|d| always.contains(&id(&d.key))) {
                let judged = (difference.kind.name(), difference.side);
                assert_eq!(judged, expected(&world, id(&difference.key), invented));
                assert_eq!(difference.found, world.is_there(id(&difference.key)));
                assert_eq!(difference.expected, world.should_be(id(&difference.key)));
            }
            found += always.len();
        }
    }
    assert!(found >= 12, "{found} persisting faults are too few to say anything");
}

#[test]
fn the_ledger_finds_an_effect_that_is_skipped() {
    with_fault(Fault::Skip, false);
}

#[test]
fn the_ledger_finds_a_wrong_value() {
    with_fault(Fault::WrongValue, true);
}

#[test]
fn the_ledger_finds_a_lost_delete() {
    with_fault(Fault::LostDelete, false);
}

#[test]
fn the_ledger_finds_a_stale_overwrite() {
    with_fault(Fault::Stale, false);
}

fn quiet(shaping: Shaping, filled: i64) -> (World, Ledger) {
    let mut world = World::new(1, shaping, filled);
    world.pace = 0;
    let mut ledger = Ledger::new(Offset::START, 0, "new");
    world.fold(&mut ledger, u64::MAX);
    (world, ledger)
}

#[test]
fn a_ledger_that_is_not_whole_proves_nothing() {
    let (mut world, _) = quiet(Shaping::Plain, KEYS);
    let fresh = Ledger::new(Offset::START, 0, "no snapshot came yet");
    // Behind the snapshot, nothing tells what was there before.
    let late = Ledger::new(world.applied, 0, "the log was trimmed");
    let (proof, _) = world.prove_by_ledger(&late);
    let why = "the log was trimmed".to_string();
    assert_eq!(proof.verdict, Verdict::Unproven(Reason::NoLedger(why)));
    // One that only lags is folded on to the target's place.
    assert_eq!(world.prove_by_ledger(&fresh).0.verdict, Verdict::Equal);
}

#[test]
fn an_empty_table_is_unproven_by_its_ledger() {
    let (mut world, ledger) = quiet(Shaping::Plain, 0);
    let (proof, _) = world.prove_by_ledger(&ledger);
    assert_eq!(proof.verdict, Verdict::Unproven(Reason::Empty));
    world.target.tamper("stock", vec![item(1, "ghost", 1, 1)]).unwrap();
    let (proof, _) = world.prove_by_ledger(&ledger);
    assert_eq!(proof.verdict, Verdict::Different { rows: 1, parked: 0 });
    assert_eq!(
        (proof.differences[0].kind.name(), proof.differences[0].side),
        ("extra", Side::Foreign)
    );
}

#[test]
fn parked_keys_are_left_out_by_the_ledger_too() {
    let (mut world, mut ledger) = quiet(Shaping::WithSite, KEYS);
    world.parked.insert(4);
    world.commit(vec![Edit::update("item", vec![Value::Int(4)], item(4, "refused", 1, 1))]);
    world.capture_all();
    world.apply_all();
    world.fold(&mut ledger, u64::MAX);
    let (proof, _) = world.prove_by_ledger(&ledger);
    assert_eq!(proof.verdict, Verdict::Different { rows: 0, parked: 1 });
    assert_eq!(proof.differences, []);
}

/// Where the log is trimmed, keys that it names are judged by it, and the others by the source, in that leaf alone.
#[test]
fn behind_a_trimmed_log_a_leaf_that_differs_is_read_from_the_source() {
    for touched in [true, false] {
        let (mut world, mut ledger) = quiet(Shaping::Plain, KEYS);
        world.log.trim(lane(), world.applied).unwrap();
        if touched {
            world.commit(vec![Edit::update("item", vec![Value::Int(4)], item(4, "new", 1, 1))]);
            world.capture_all();
            world.apply_all();
        }
        world.target.tamper("stock", vec![item(4, "foreign", 1, 1)]).unwrap();
        world.judge();
        world.fold(&mut ledger, u64::MAX);
        let (proof, _) = world.prove_by_ledger(&ledger);
        assert_eq!(proof.verdict, Verdict::Different { rows: 1, parked: 0 });
        assert_eq!(id(&proof.differences[0].key), 4);
        assert_eq!(proof.differences[0].kind.name(), "changed");
        assert_eq!(proof.source_rows == 0, touched, "{} source rows", proof.source_rows);
        if touched {
            assert_eq!(proof.differences[0].side, Side::Foreign);
        }
    }
}

/// A row that was read again for a repair leaves its leaf unknown; the check finds out what is in it.
#[test]
fn a_leaf_that_is_not_known_is_looked_at_and_corrected() {
    for trimmed in [false, true] {
        let (mut world, mut ledger) = quiet(Shaping::Plain, KEYS);
        world.reread(vec![Key(vec![Value::Int(4)]), Key(vec![Value::Int(5)])]);
        world.capture_all();
        world.apply_all();
        world.fold(&mut ledger, u64::MAX);
        assert_eq!(ledger.dirty(), 1);
        if trimmed {
            world.log.trim(lane(), world.applied).unwrap();
        }
        let (proof, correction) = world.prove_by_ledger(&ledger);
        assert_eq!(proof.verdict, Verdict::Equal);
        assert_eq!(proof.source_rows > 0, trimmed);
        // Changes that come before the correction is taken are read from the log once more.
        world.churn(20);
        world.capture_all();
        world.apply_all();
        world.fold(&mut ledger, u64::MAX);
        let (log, path) = (world.log.clone(), world.shaping.path());
        ledger.take_correction(&log, lane(), &correction, (&path, seed_of_hashes())).unwrap();
        assert_eq!(ledger.dirty(), 0);
        let (proof, _) = world.prove_by_ledger(&ledger);
        assert_eq!(
            (proof.verdict, proof.unequal_leaves, proof.source_rows),
            (Verdict::Equal, 0, 0)
        );
    }
}

/// What was lost before the log is in neither ledger nor target: the ledger cannot see it, a scan must.
#[test]
fn what_capture_has_missed_is_for_the_scan_to_find() {
    let (mut world, ledger) = quiet(Shaping::Plain, KEYS);
    world.source.define("other", &crate::shaping::source_schema());
    let mut handle = world.source.clone();
    let resume = connect::Resume::Fresh;
    drop(connect::Source::capture(&mut handle, &["other".into()], &resume).unwrap());
    let lost = Edit::update("item", vec![Value::Int(0)], item(0, "unseen", 1, 1));
    world.source.commit(&[lost]).unwrap();
    drop(connect::Source::capture(&mut handle, &["item".into()], &resume).unwrap());
    assert_eq!(world.prove_by_ledger(&ledger).0.verdict, Verdict::Equal);
    let scanned = world.prove();
    assert_eq!(scanned.verdict, Verdict::Different { rows: 1, parked: 0 });
    assert_eq!(scanned.differences[0].side, Side::Capture);
}

#[test]
fn a_target_behind_the_ledgers_base_is_unproven() {
    let (mut world, mut ledger) = quiet(Shaping::Plain, KEYS);
    world.commit(vec![Edit::truncate("item")]);
    world.commit(vec![Edit::insert("item", item(3, "behind", 1, 1))]);
    world.capture_all();
    world.fold(&mut ledger, u64::MAX);
    world.stuck = true;
    let (proof, _) = world.prove_by_ledger(&ledger);
    assert!(matches!(proof.verdict, Verdict::Unproven(Reason::TargetBehind(_))));
    world.stuck = false;
    assert_eq!(world.prove_by_ledger(&ledger).0.verdict, Verdict::Equal);
}

/// A snapshot that came whole between the choice of a range and its reading has leaves with other ends: the check broke
/// off with a panic.
#[test]
fn a_snapshot_that_comes_between_choice_and_reading_voids_the_check() {
    for cuts in 1..4 {
        let (mut world, ledger) = quiet(Shaping::Plain, KEYS);
        // So that its chunks end with other keys.
        world.commit(vec![Edit::insert("item", item(1, "one more", 1, 1))]);
        world.at_target_cut = Some((cuts, change::SnapshotId::mint(2)));
        let (proof, _) = world.prove_by_ledger(&ledger);
        assert!(matches!(proof.verdict, Verdict::Unproven(Reason::Voided { .. })), "{proof:?}");
        assert_eq!(world.prove_by_ledger(&ledger).0.verdict, Verdict::Equal);
    }
}

/// Where the log holds no snapshot any more, a scan that found all equal begins the ledger.
#[test]
fn a_scan_seeds_a_ledger_while_the_world_goes_on() {
    for seed in 0..12 {
        let mut world = World::new(seed, SHAPINGS[seed as usize % 3], KEYS);
        world.churn(40);
        let (log, subject) = (world.log.clone(), world.subject(proof::Writer::Flow));
        let clock = connect::clock::ManualClock::at(0);
        let (key, settings) = (seed_of_hashes(), World::settings());
        let prover = proof::Prover { log: &log, clock: &clock, key, settings };
        let (proof, known) = prover.prove_and_seed(&subject, &mut world).unwrap();
        assert_eq!(proof.verdict, Verdict::Equal);
        let way = (&subject.path, key);
        let mut ledger = Ledger::seeded(&log, lane(), &known, 7, way).unwrap().unwrap();
        assert_eq!(ledger.reach(), Reach::Whole);
        // Nothing before the scan is needed from now on.
        log.trim(lane(), world.applied.min(ledger.offset())).unwrap();
        for _ in 0..4 {
            world.churn(20);
            world.capture(10);
            world.fold(&mut ledger, u64::MAX);
            let (proof, _) = world.prove_by_ledger(&ledger);
            assert_eq!((proof.verdict, proof.unequal_leaves), (Verdict::Equal, 0), "seed {seed}");
        }
        world.pace = 0;
        world.capture_all();
        world.apply_all();
        let there = id_of(&world.target.rows("stock").unwrap()[20]);
        world.target.tamper_delete("stock", &[Key(world.target_key(there))]).unwrap();
        let (proof, _) = world.prove_by_ledger(&ledger);
        assert_eq!(proof.verdict, Verdict::Different { rows: 1, parked: 0 }, "seed {seed}");
        assert_eq!(id(&proof.differences[0].key), there);
    }
}
