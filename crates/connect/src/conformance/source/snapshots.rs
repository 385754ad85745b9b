//! Rows read into the lane: chunks and keys, each exactly at its place among the changes.

use super::capture::{
    Capture, LEFT, RIGHT, ROOMY, all_told, changes, delete, insert, item, replica_of, two_tables,
    update,
};
use super::replica::{Replica, told};
use super::{Outcome, SourceHarness, fails};
use crate::error::Kind;
use crate::memory::Edit;
use crate::source::{ReadRequest, Resume};
use change::{GroupBody, GroupKind, Key, Op, Part, SnapshotChunk, SnapshotId, Value};

fn snapshot(table: &str, after: Option<i64>) -> ReadRequest {
    let after = after.map(|id| Key(vec![Value::Int(id)]));
    ReadRequest::Snapshot { table: table.into(), id: SnapshotId::mint(0x5AAF), after }
}

fn chunk(group: &GroupBody) -> Option<&SnapshotChunk> {
    match &group.kind {
        GroupKind::Snapshot(chunk) => Some(chunk),
        _ => None,
    }
}

fn id_of(key: &Key) -> i64 {
    match key.0[..] {
        [Value::Int(id)] => id,
        _ => panic!("tables of these checks are numbered"),
    }
}

/// The ids that a chunk speaks for.
fn range(chunk: &SnapshotChunk) -> std::ops::RangeInclusive<i64> {
    let first = chunk.after.as_ref().map_or(i64::MIN, |key| id_of(key) + 1);
    first..=chunk.upto.as_ref().map_or(i64::MAX, id_of)
}

fn new_rows(group: &GroupBody) -> Vec<Vec<Value>> {
    let told = told(group);
    assert!(
        told.iter().all(|change| change.op == Op::Read),
        "a chunk holds rows as they were read"
    );
    told.into_iter().filter_map(|change| change.new).collect()
}

/// With writes going on where the next chunk is read, each chunk equals its range once all groups before it are applied.
pub fn chunks_stand_at_their_exact_place(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=40 {
        harness.commit(&[insert(LEFT, id)]);
    }
    capture.reader.request(snapshot(LEFT, None)).expect("the table is captured");
    let (mut replica, mut chunks, mut turn) = (Replica::default(), 0, 0);
    let (mut complete, mut reached) = (false, 0);
    while !complete {
        turn += 1;
        assert!(turn < 2000, "a snapshot under writes never ends");
        for step in 0..=turn % 3 {
            let id = (reached + (turn * 7 + step * 3) % 8) % 40 + 1;
            let there = capture.rows(LEFT).iter().any(|row| row[0] == Value::Int(id));
            let edit = match turn % 3 {
                _ if !there => insert(LEFT, id),
                0 => delete(LEFT, id),
                _ => update(LEFT, id, turn),
            };
            harness.commit(&[edit, insert(RIGHT, turn * 3 + step)]);
        }
        for _ in 0..2 {
            let Some(group) = capture.poll(changes(6)) else { break };
            if let Some(chunk) = chunk(&group) {
                let range = range(chunk);
                let mut expected = replica.rows(LEFT);
                expected.retain(|row| matches!(row[0], Value::Int(id) if range.contains(&id)));
                assert_eq!(new_rows(&group), expected, "a chunk does not stand at its place");
                chunks += 1;
                complete = chunk.upto.is_none();
                reached = chunk.upto.as_ref().map_or(0, id_of);
            }
            replica.apply(&group);
        }
    }
    assert!(chunks > 3, "40 rows do not fit 3 chunks of 6");
    capture.drain(ROOMY).iter().for_each(|group| replica.apply(group));
    capture.assert_equal(&replica);
    Outcome::Held
}

/// Chunks follow one another without a gap, keep their bounds, and the last one says that it is.
pub fn chunks_cover_the_table(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    harness.commit(&(1..=12).map(|id| insert(LEFT, id * 10)).collect::<Vec<_>>());
    let mut capture = Capture::open(harness, &Resume::Fresh).expect("capture begins");
    capture.reader.request(snapshot(LEFT, None)).expect("the table is captured");
    let groups = capture.drain(changes(5));
    let mut end = None;
    for (place, group) in groups.iter().enumerate() {
        let chunk = chunk(group).expect("nothing but the snapshot happened");
        assert_eq!((&*chunk.table, chunk.id), (LEFT, SnapshotId::mint(0x5AAF)));
        assert_eq!(chunk.after, end, "a chunk begins where the one before it ended");
        assert_eq!(chunk.upto.is_none(), place + 1 == groups.len(), "the last chunk ends it");
        assert_eq!((group.part, group.after == group.upto), (Part::WHOLE, true));
        assert!(group.changes() <= 5, "bounds are kept");
        end.clone_from(&chunk.upto);
    }
    assert!(groups.len() >= 3, "12 rows do not fit 2 chunks of 5");
    assert_eq!(groups.iter().flat_map(new_rows).collect::<Vec<_>>(), capture.rows(LEFT));
    // The cut that the rows were read at may be a place of its own.
    assert_eq!(all_told(&capture.drain(ROOMY)), [], "a snapshot ends");
    Outcome::Held
}

/// A snapshot of an empty table is one chunk without rows.
pub fn an_empty_table_is_a_complete_snapshot(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    capture.reader.request(snapshot(LEFT, None)).expect("the table is captured");
    let groups = capture.drain(ROOMY);
    assert_eq!(groups.len(), 1, "an empty table is told of");
    let chunk = chunk(&groups[0]).expect("it is a chunk");
    assert_eq!((&chunk.after, &chunk.upto, groups[0].changes()), (&None, &None, 0));
    Outcome::Held
}

/// A snapshot goes on behind the key where it stopped.
pub fn a_snapshot_goes_on_behind_a_key(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    harness.commit(&(1..=9).map(|id| insert(LEFT, id)).collect::<Vec<_>>());
    let mut capture = Capture::open(harness, &Resume::Fresh).expect("capture begins");
    capture.reader.request(snapshot(LEFT, Some(6))).expect("the table is captured");
    let groups = capture.drain(ROOMY);
    let first = chunk(&groups[0]).expect("it is a chunk");
    assert_eq!(first.after, Some(Key(vec![Value::Int(6)])));
    let rows: Vec<_> = groups.iter().flat_map(new_rows).collect();
    assert_eq!(rows, [7, 8, 9].map(|id| item(id, "new", id)));
    Outcome::Held
}

/// Keys read again come as they are now: a row as `Read`, none as a delete of the key.
pub fn keys_are_read_again(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1), insert(LEFT, 2), insert(LEFT, 3)]);
    let mut replica = replica_of(&capture.drain(ROOMY));
    let keys = [1, 2, 8].map(|id| Key(vec![Value::Int(id)])).to_vec();
    let request = ReadRequest::Keys { table: LEFT.into(), keys };
    capture.reader.request(request).expect("the table is captured");
    harness.commit(&[update(LEFT, 1, 77), delete(LEFT, 2)]);
    let groups = capture.drain(ROOMY);
    let repairs: Vec<_> = groups.iter().filter(|group| group.kind == GroupKind::Repair).collect();
    let told: Vec<_> = repairs.iter().flat_map(|group| told(group)).collect();
    assert_eq!(told.len(), 3, "every key asked for comes once");
    for (change, id) in told.iter().zip([1, 2, 8]) {
        let image = change.new.as_ref().or(change.old.as_ref()).expect("a change has an image");
        assert_eq!(image[0], Value::Int(id));
        let expected = if change.new.is_some() { Op::Read } else { Op::Delete };
        assert_eq!(change.op, expected);
    }
    assert!(told[0].new.is_some(), "a row that is there comes");
    assert!(told[2].new.is_none(), "a row that is not there comes as a delete");
    groups.iter().for_each(|group| replica.apply(group));
    capture.assert_equal(&replica);
    Outcome::Held
}

/// Keys read between changes stand at their place: applying everything in order gives the table.
pub fn keys_stand_at_their_exact_place(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    let mut replica = Replica::default();
    for turn in 1..=30 {
        let id = turn / 3 % 4 + 1;
        let there = capture.rows(LEFT).iter().any(|row| row[0] == Value::Int(id));
        harness.commit(&[if there { delete(LEFT, id) } else { insert(LEFT, id) }]);
        let keys = vec![Key(vec![Value::Int(id)])];
        let request = ReadRequest::Keys { table: LEFT.into(), keys };
        capture.reader.request(request).expect("the table is captured");
        if let Some(group) = capture.poll(changes(1)) {
            let before = replica.rows(LEFT);
            replica.apply(&group);
            if group.kind == GroupKind::Repair {
                assert_eq!(replica.rows(LEFT), before, "a key does not stand at its place");
            }
        }
    }
    capture.drain(changes(1)).iter().for_each(|group| replica.apply(group));
    capture.assert_equal(&replica);
    Outcome::Held
}

/// Rows of a table that is not captured cannot be asked for.
pub fn a_table_that_is_not_captured_cannot_be_read(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    let mut capture = Capture::of(harness, &[LEFT], &Resume::Fresh).expect("capture begins");
    let why = "the table is not captured";
    fails(capture.reader.request(snapshot(RIGHT, None)), Kind::Invalid, why);
    let keys = vec![Key(vec![Value::Int(1)])];
    let request = ReadRequest::Keys { table: RIGHT.into(), keys };
    fails(capture.reader.request(request), Kind::Invalid, why);
    Outcome::Held
}

/// A table emptied while its snapshot is read stays empty of what was read before.
pub fn a_truncate_within_a_snapshot_holds(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    harness.commit(&(1..=10).map(|id| insert(LEFT, id)).collect::<Vec<_>>());
    let mut capture = Capture::open(harness, &Resume::Fresh).expect("capture begins");
    capture.reader.request(snapshot(LEFT, None)).expect("the table is captured");
    let first = capture.poll(changes(3)).expect("a chunk comes");
    harness.commit(&[Edit::truncate(LEFT), insert(LEFT, 2), insert(LEFT, 9)]);
    let rest = capture.drain(changes(3));
    let mut replica = Replica::default();
    std::iter::once(&first).chain(&rest).for_each(|group| replica.apply(group));
    capture.assert_equal(&replica);
    Outcome::Held
}
