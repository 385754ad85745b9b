//! What a log shows when its disk is slow, fails, fills up, or the machine goes down.

use super::{
    Arranged, Kind, LogHarness, Offset, Outcome, PATIENCE, State, body, fails, lane, offsets,
    place, settle, shown, stops,
};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// The log is the same one after reopening and after a crash.
pub fn the_identity_stays(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let id = log.id();
    settle(log.as_ref(), lane(1), body(1, 1));
    drop(log);
    let log = harness.open();
    assert_eq!(log.id(), id);
    assert_eq!(harness.crash(log).id(), id);
    Outcome::Held
}

/// A group that was shown is there after a crash, with everything before it, unchanged.
pub fn what_was_shown_survives_a_crash(harness: &mut dyn LogHarness) -> Outcome {
    let mut log = harness.open();
    for round in 0..3 {
        let first = settle(log.as_ref(), lane(1), body(round * 2 + 1, 2));
        settle(log.as_ref(), lane(2), body(round, 1));
        let second = log.append(lane(1), body(round * 2 + 2, 1)).expect("the log takes it");
        let before = shown(log.as_ref(), lane(1), Offset::START);
        assert!(before.last().is_some_and(|group| group.offset >= first));
        log = harness.crash(log);
        let after = shown(log.as_ref(), lane(1), Offset::START);
        assert_eq!(after[..before.len()], before[..], "a group that was shown is lost");
        if after.last().is_some_and(|group| group.offset < second) {
            settle(log.as_ref(), lane(1), body(round * 2 + 2, 1));
        }
        assert_eq!(shown(log.as_ref(), lane(2), Offset::START).len() as u64, round + 1);
    }
    Outcome::Held
}

/// Groups that are not durable are neither read nor counted, and a crash may lose them.
pub fn only_durable_groups_are_shown(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    settle(log.as_ref(), lane(1), body(1, 1));
    if harness.hold() == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    let seen = log.changed(0, NOW);
    assert_eq!(log.append(lane(1), body(2, 1)).expect("taken"), Offset(2), "before it is durable");
    assert_eq!(log.append(lane(1), body(3, 1)).expect("taken"), Offset(3));
    let tail = log.tail(lane(1)).expect("readable");
    assert_eq!((tail.durable, tail.position), (Offset(1), Some(place(20))));
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), [1]);
    assert_eq!(log.changed(seen, NOW), seen, "nothing became durable");
    harness.release();
    assert!(log.durable(lane(1), Offset(3), PATIENCE).expect("the disk works"));
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), [1, 2, 3]);
    assert!(log.changed(seen, PATIENCE) > seen);
    harness.hold();
    log.append(lane(1), body(4, 1)).expect("taken");
    let log = harness.crash(log);
    let left = offsets(&shown(log.as_ref(), lane(1), Offset::START));
    assert_eq!(left[..3], [1, 2, 3], "what was shown stays");
    Outcome::Held
}

/// `durable` says no while the disk waits, and yes as soon as it is done.
pub fn durable_tells_when(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    let first = settle(log.as_ref(), lane(1), body(1, 1));
    assert!(log.durable(lane(1), first, NOW).expect("the disk works"), "it stays durable");
    let next = log.durable(lane(1), first.next(), NOW).expect("the disk works");
    assert!(!next, "a group that was not appended is not durable");
    if harness.hold() == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    let second = log.append(lane(1), body(2, 1)).expect("taken");
    assert!(!log.durable(lane(1), second, NOW).expect("nothing failed"), "the disk still waits");
    assert!(log.durable(lane(1), first, NOW).expect("nothing failed"));
    harness.release();
    assert!(log.durable(lane(1), second, PATIENCE).expect("the disk works"));
    Outcome::Held
}

/// A failed write is told to who waits for it, nothing is taken afterwards, and reopening shows what is on disk.
pub fn a_failed_write_poisons(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    settle(log.as_ref(), lane(1), body(1, 1));
    if harness.fail_next_write() == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    let why = "the write failed";
    match log.append(lane(1), body(2, 1)) {
        Ok(offset) => {
            fails(log.durable(lane(1), offset, PATIENCE), Kind::Corrupt, why);
        }
        Err(error) => assert_eq!(error.kind, Kind::Corrupt, "{why}"),
    }
    for other in [lane(1), lane(2)] {
        fails(log.append(other, body(3, 1)), Kind::Corrupt, "the log is poisoned");
    }
    assert!(log.durable(lane(1), Offset(1), NOW).expect("it was durable before"));
    let log = harness.crash(log);
    let left = offsets(&shown(log.as_ref(), lane(1), Offset::START));
    assert_eq!(left[0], 1, "what was durable is read from disk");
    let next = settle(log.as_ref(), lane(1), body(9, 1));
    assert_eq!(next, Offset(left.len() as u64 + 1), "offsets follow what is on disk");
    Outcome::Held
}

/// A full disk takes nothing, says so by name, and the group may be appended again when there is room.
pub fn a_full_disk_takes_nothing(harness: &mut dyn LogHarness) -> Outcome {
    let log = harness.open();
    settle(log.as_ref(), lane(1), body(1, 1));
    if harness.fill_disk() == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    for _ in 0..2 {
        let refused = log.append(lane(1), body(2, 1));
        stops(refused, Kind::Unavailable, State::DiskFull, "the disk is full");
    }
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), [1], "reading goes on");
    harness.release();
    assert_eq!(settle(log.as_ref(), lane(1), body(2, 1)), Offset(2), "the group was not taken");
    assert_eq!(offsets(&shown(log.as_ref(), lane(1), Offset::START)), [1, 2]);
    Outcome::Held
}
