//! Where capture begins and goes on: nothing lost, nothing of another history.

use super::capture::{
    Capture, LEFT, RIGHT, ROOMY, all_told, changes, delete, insert, items, replica_of, two_tables,
    update,
};
use super::{Arranged, Outcome, SourceHarness, fails, stops};
use crate::error::{Kind, State};
use crate::memory::Edit;
use crate::source::Resume;
use change::{History, Value};

/// A fresh capture begins now: rows and changes from before do not come.
pub fn a_fresh_capture_begins_now(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    let mut first = Capture::open(harness, &Resume::Fresh).expect("capture begins");
    assert_eq!(first.poll(ROOMY), None, "a row that is there is no change");
    harness.commit(&[insert(LEFT, 2)]);
    drop(first);
    let mut second = Capture::open(harness, &Resume::Fresh).expect("capture begins anew");
    assert_eq!(second.poll(ROOMY), None, "a change from before the beginning comes");
    harness.commit(&[insert(LEFT, 3)]);
    let told = all_told(&second.drain(ROOMY));
    let ids: Vec<_> = told.iter().map(|c| c.new.as_ref().map(|row| row[0].clone())).collect();
    assert_eq!(ids, [Some(Value::Int(3))]);
    Outcome::Held
}

/// Nothing is given up before it is acknowledged: a reader that died is repeated change by change.
pub fn nothing_is_given_up_before_it_is_acknowledged(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=5 {
        harness.commit(&[insert(LEFT, id), insert(RIGHT, id)]);
    }
    let first = capture.drain(changes(2));
    assert_eq!(capture.reader.retained().expect("readable").changes, 10);
    let resume = capture.behind(&first[0].after);
    drop(capture);
    let mut again = Capture::open(harness, &resume).expect("the place is still there");
    assert_eq!(all_told(&again.drain(changes(3))), all_told(&first));
    Outcome::Held
}

/// Reading again behind any place that is not let go of brings the same changes, and new ones after them.
pub fn reading_again_brings_the_same_changes(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=4 {
        harness.commit(&[insert(LEFT, id), insert(RIGHT, id), update(LEFT, id, -id)]);
        harness.commit(&[delete(RIGHT, id)]);
    }
    let groups = capture.drain(changes(3));
    capture.acknowledge(&groups[1].upto);
    harness.commit(&[insert(LEFT, 99)]);
    let newest = capture.drain(ROOMY);
    for from in 1..groups.len() {
        let resume = capture.behind(&groups[from].upto);
        capture = Capture::open(harness, &resume).expect("the place is still there");
        let expected = [&groups[from + 1..], &newest[..]].concat();
        assert_eq!(all_told(&capture.drain(ROOMY)), all_told(&expected));
    }
    Outcome::Held
}

/// A capture that stopped between the parts of a transaction goes on with it, or repeats it from its first part.
pub fn parts_go_on_or_begin_again(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    let huge: Vec<Edit> = (1..=20).map(|id| insert(LEFT, id)).collect();
    harness.commit(&huge);
    let first = capture.drain(changes(6));
    let stopped = &first[1];
    assert!(!stopped.part.last, "20 changes do not fit two parts of 6");
    capture.acknowledge(&stopped.upto);
    let resume = capture.behind(&stopped.upto);
    drop(capture);
    let mut again = Capture::open(harness, &resume).expect("the place is still there");
    let rest = again.drain(changes(6));
    let begin = rest.first().map(|group| group.part.index).expect("more parts follow");
    let expected = if begin == 0 { &first[..] } else { &first[2..] };
    assert!(begin == 0 || begin == stopped.part.index + 1, "a part is missing");
    assert_eq!(all_told(&rest), all_told(expected), "changes are missing or come twice");
    assert!(rest.last().is_some_and(|group| group.part.last));
    Outcome::Held
}

/// What is acknowledged need not be kept; what is not, is.
pub fn acknowledging_lets_go(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=4 {
        harness.commit(&[insert(LEFT, id)]);
    }
    let retained = |capture: &mut Capture| capture.reader.retained().expect("readable").changes;
    let groups = capture.drain(changes(1));
    assert_eq!(retained(&mut capture), 4);
    capture.acknowledge(&groups[1].upto);
    assert_eq!(retained(&mut capture), 2);
    capture.acknowledge(&groups[0].upto);
    assert_eq!(retained(&mut capture), 2, "an earlier place gives nothing back");
    capture.acknowledge(&groups[3].upto);
    capture.acknowledge(&groups[3].upto);
    assert_eq!(retained(&mut capture), 0);
    harness.commit(&[insert(LEFT, 5)]);
    assert_eq!(capture.drain(ROOMY).len(), 1, "capture goes on");
    Outcome::Held
}

/// A place that the source has let go of is named lost; a gap is never passed over.
pub fn a_place_that_is_gone_is_lost(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=4 {
        harness.commit(&[insert(LEFT, id)]);
    }
    let groups = capture.drain(changes(1));
    capture.acknowledge(&groups[2].upto);
    let resume = capture.behind(&groups[0].upto);
    drop(capture);
    match Capture::open(harness, &resume) {
        Ok(mut capture) => match capture.reader.poll(ROOMY) {
            Ok(_) => {
                capture = Capture::open(harness, &resume).expect("as before");
                let told = all_told(&capture.drain(ROOMY));
                assert_eq!(told, all_told(&groups[1..]), "changes are passed over");
            }
            lost => stops(lost, Kind::Invalid, State::PositionLost, "the place is gone"),
        },
        lost => stops(lost.map(drop), Kind::Invalid, State::PositionLost, "the place is gone"),
    }
    Outcome::Held
}

/// Positions of another history are refused.
pub fn another_history_is_refused(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    let groups = capture.drain(ROOMY);
    let ours = capture.history();
    let position = groups[0].upto.clone();
    drop(capture);
    let identity = format!("{} of somebody else", ours.identity);
    let other =
        Resume::After { history: History { identity, ..ours.clone() }, position: position.clone() };
    let refused = Capture::open(harness, &other).map(drop);
    stops(refused, Kind::Invalid, State::HistoryChanged, "the history is another");
    let same = Resume::After { history: ours, position };
    Capture::open(harness, &same).map(drop).expect("the history is the same");
    Outcome::Held
}

/// A database that was set back to a backup is noticed, though it counts from the same numbers again.
pub fn a_database_set_back_is_noticed(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    let position = capture.drain(ROOMY)[0].upto.clone();
    capture.acknowledge(&position);
    let before = capture.behind(&position);
    drop(capture);
    if harness.back_up() == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    let mut capture = Capture::open(harness, &before).expect("the history is the same");
    for id in 2..=4 {
        harness.commit(&[insert(LEFT, id)]);
    }
    let captured = capture.drain(ROOMY).last().expect("changes came").upto.clone();
    capture.acknowledge(&captured);
    let behind = capture.behind(&captured);
    drop(capture);
    harness.restore();
    let noticed = |result: crate::error::Result<Capture>| {
        stops(result.map(drop), Kind::Invalid, State::HistoryChanged, "the database was set back");
    };
    noticed(Capture::open(harness, &behind));
    for id in 12..=19 {
        harness.commit(&[insert(LEFT, id)]);
    }
    noticed(Capture::open(harness, &behind));
    Outcome::Held
}

/// A table that joins the capture is captured from that moment on.
pub fn a_table_that_joins_misses_nothing(harness: &mut dyn SourceHarness) -> Outcome {
    two_tables(harness);
    let mut capture = Capture::of(harness, &[LEFT], &Resume::Fresh).expect("capture begins");
    harness.commit(&[insert(LEFT, 1), insert(RIGHT, 1)]);
    let groups = capture.drain(ROOMY);
    let resume = capture.behind(&groups[0].upto);
    harness.commit(&[insert(LEFT, 2)]);
    drop(capture);
    let mut both = Capture::open(harness, &resume).expect("a table can join");
    harness.commit(&[insert(RIGHT, 2), insert(LEFT, 3)]);
    let replica = replica_of(&both.drain(ROOMY));
    assert_eq!(replica.rows(RIGHT).len(), 1, "changes of the new table are missing");
    assert_eq!(replica.rows(LEFT).len(), 2, "changes of the old table are missing");
    Outcome::Held
}

/// A table without a key, or one that is not there, cannot be captured.
pub fn a_table_without_a_key_is_refused(harness: &mut dyn SourceHarness) -> Outcome {
    harness.create(LEFT, &items());
    let keyless = items().with_key::<&str>(&[]).expect("no key is no wrong key");
    harness.create(RIGHT, &keyless);
    let refused = Capture::open(harness, &Resume::Fresh).map(drop);
    fails(refused, Kind::Invalid, "a table has no key");
    let absent = Capture::of(harness, &[LEFT, "nowhere"], &Resume::Fresh).map(drop);
    fails(absent, Kind::Invalid, "a table is not there");
    Capture::of(harness, &[LEFT], &Resume::Fresh).map(drop).expect("the other one can be");
    Outcome::Held
}
