//! Lanes and offsets: dense, in order, exact, and honest about what was let go.

use super::{
    Arc, Bounds, Group, GroupBody, GroupKind, Kind, LogHarness, Offset, Outcome, PATIENCE, Part,
    State, Tail, body, lane, offsets, place, settle, shown, stops,
};
use change::{Key, SnapshotChunk, SnapshotId, SourcePosition, Value};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// Offsets of each lane count from 1 without a gap, whatever happens in other lanes.
pub fn offsets_are_dense(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    for number in 1..=20 {
        let offset = settle(log.as_ref(), lane(1), body(number, 1));
        assert_eq!(offset, Offset(number), "offsets of a lane are dense from 1");
        if number % 3 == 0 {
            let other = settle(log.as_ref(), lane(2), body(number, 2));
            assert_eq!(other, Offset(number / 3), "a lane counts for itself");
        }
    }
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), Vec::from_iter(1..=20));
    assert_eq!(offsets(&shown(log.as_ref(), lane(2), Offset(2))), Vec::from_iter(3..=6));
    Outcome::Held
}

/// A group reads back as it was appended: kind, part, positions, time, batches, ordinals.
pub fn groups_read_back_exactly(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let id = SnapshotId::mint(77);
    let chunk = |after, upto| SnapshotChunk { id, table: "items".into(), after, upto };
    let key = |n| Some(Key(vec![Value::Int(n)]));
    let part = |index, last| Part { index, last };
    let empty = GroupBody { batches: Vec::new(), ..body(9, 0) };
    let appended = [
        body(1, 3),
        GroupBody { kind: GroupKind::Snapshot(chunk(None, key(5))), ..body(2, 2) },
        GroupBody { kind: GroupKind::Snapshot(chunk(key(5), None)), ..body(3, 0) },
        GroupBody { kind: GroupKind::Repair, ..body(4, 1) },
        GroupBody { part: part(0, false), ..body(5, 2) },
        GroupBody { part: part(1, true), after: SourcePosition::at(7), ..body(6, 2) },
        GroupBody { batches: vec![body(7, 1).batches.remove(0); 2], ..body(7, 0) },
        empty,
        GroupBody { commit_time: -1, ..body(8, 1) },
    ];
    for body in &appended {
        settle(log.as_ref(), lane(1), body.clone());
    }
    drop(log);
    let log = harness.open();
    let read = shown(log.as_ref(), lane(1), Offset::START);
    let expected: Vec<Arc<Group>> = (1..)
        .zip(&appended)
        .map(|(n, body)| Arc::new(Group { lane: lane(1), offset: Offset(n), body: body.clone() }))
        .collect();
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected, "a group reads back otherwise than it was appended");
    }
    Outcome::Held
}

/// A read stops at its bounds, but brings one group whatever its size, and never leaves a gap.
pub fn bounds_are_kept(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let sizes = [1, 1, 50, 1, 2, 3];
    for (number, size) in (1..).zip(sizes) {
        settle(log.as_ref(), lane(1), body(number, size));
    }
    let read = |after, changes, bytes| {
        offsets(&log.read(lane(1), Offset(after), Bounds { changes, bytes }).expect("readable"))
    };
    assert_eq!(read(0, 2, usize::MAX), [1, 2]);
    assert_eq!(read(1, 2, usize::MAX), [2], "a group that does not fit waits for the next call");
    assert_eq!(read(2, 2, usize::MAX), [3], "a group that never fits comes alone");
    assert_eq!(read(3, 3, usize::MAX), [4, 5]);
    assert_eq!(read(0, usize::MAX, 1), [1], "bytes bound too");
    assert_eq!(read(6, 10, usize::MAX), [0; 0]);
    assert_eq!(read(99, 10, usize::MAX), [0; 0], "nothing is there yet");
    Outcome::Held
}

/// A lane that nothing was appended to is empty, not absent.
pub fn an_empty_lane_is_no_error(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    settle(log.as_ref(), lane(1), body(1, 1));
    let tail = log.tail(lane(9)).expect("an empty lane has a tail");
    assert_eq!(tail, Tail { oldest: Offset(1), durable: Offset::START, position: None });
    assert_eq!(offsets(&shown(log.as_ref(), lane(9), Offset::START)), [0; 0]);
    log.trim(lane(9), Offset(4)).expect("there is nothing to let go of");
    assert_eq!(settle(log.as_ref(), lane(9), body(1, 1)), Offset(1));
    Outcome::Held
}

/// The tail names the oldest group kept, the newest durable one, and the source position of its end.
pub fn the_tail_tells_where_a_lane_stands(harness: &mut dyn LogHarness) -> Outcome {
    let mut log = harness.open();
    for number in 1..=3 {
        settle(log.as_ref(), lane(1), body(number, 1));
        settle(log.as_ref(), lane(2), body(number + 100, 1));
        let position = Some(place(number * 10 + 10));
        let expected = Tail { oldest: Offset(1), durable: Offset(number), position };
        assert_eq!(log.tail(lane(1)).expect("readable"), expected);
        drop(log);
        log = harness.open();
        assert_eq!(log.tail(lane(1)).expect("readable"), expected, "reopening changes nothing");
    }
    Outcome::Held
}

/// `changed` stands while nothing gets durable, moves when something does, and wakes who waits for it.
pub fn changed_grows_and_wakes(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    settle(log.as_ref(), lane(1), body(1, 1));
    let seen = log.changed(0, NOW);
    assert_eq!(log.changed(seen, NOW), seen, "nothing became durable");
    settle(log.as_ref(), lane(2), body(1, 1));
    let now = log.changed(seen, NOW);
    assert!(now > seen, "something became durable");
    let woken = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| log.changed(now, PATIENCE));
        settle(log.as_ref(), lane(1), body(2, 1));
        waiter.join().expect("it returns")
    });
    assert!(woken > now, "who waits sees that something became durable");
    let shown = shown(log.as_ref(), lane(1), Offset::START);
    assert_eq!(offsets(&shown), [1, 2], "what changed can be read");
    Outcome::Held
}

/// After a crash the next offset follows the newest durable one.
pub fn offsets_go_on_after_a_crash(harness: &mut dyn LogHarness) -> Outcome {
    let mut log = harness.open();
    for round in 0..3 {
        for number in 1..=2 {
            let offset = settle(log.as_ref(), lane(1), body(number, 1));
            assert_eq!(offset, Offset(round * 2 + number), "offsets go on where they stopped");
        }
        log = harness.crash(log);
    }
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), Vec::from_iter(1..=6));
    Outcome::Held
}

/// Reading behind groups that were let go fails and names the state; what is kept stays readable.
pub fn reading_behind_a_trim_is_lost(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let count = harness.groups_in_a_file() * 2 + 2;
    for number in 1..=count {
        log.append(lane(1), body(number, 1)).expect("the log takes it");
    }
    assert!(log.durable(lane(1), Offset(count), PATIENCE).expect("the disk works"));
    log.trim(lane(1), Offset(count - 1)).expect("storage works");
    let tail = log.tail(lane(1)).expect("readable");
    let oldest = tail.oldest.0;
    assert!(oldest > 1, "whole files were let go of");
    assert!(oldest <= count, "what was not to be trimmed is kept");
    assert_eq!((tail.durable, tail.position), (Offset(count), Some(place(count * 10 + 10))));
    let kept = shown(log.as_ref(), lane(1), Offset(oldest - 1));
    assert_eq!(offsets(&kept), Vec::from_iter(oldest..=count));
    for after in [0, oldest - 2] {
        let lost = log.read(lane(1), Offset(after), Bounds::BATCH);
        stops(lost, Kind::Invalid, State::PositionLost, "groups behind it were trimmed");
    }
    assert_eq!(settle(log.as_ref(), lane(1), body(count + 1, 1)), Offset(count + 1));
    Outcome::Held
}

/// Trimming one lane lets go of nothing in another.
pub fn trimming_leaves_other_lanes(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let count = harness.groups_in_a_file() * 2 + 2;
    for number in 1..=count {
        for lane in [lane(1), lane(2)] {
            log.append(lane, body(number, 1)).expect("the log takes it");
        }
    }
    for lane in [lane(1), lane(2)] {
        assert!(log.durable(lane, Offset(count), PATIENCE).expect("the disk works"));
    }
    log.trim(lane(1), Offset(count)).expect("storage works");
    assert_eq!(log.tail(lane(2)).expect("readable").oldest, Offset(1));
    let kept = shown(log.as_ref(), lane(2), Offset::START);
    assert_eq!(offsets(&kept), Vec::from_iter(1..=count));
    Outcome::Held
}
