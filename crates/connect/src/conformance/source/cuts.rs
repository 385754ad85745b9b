//! Cuts of a source: what they hold, and how they and the lane agree on it.

use super::capture::{Capture, LEFT, RIGHT, changes, insert, items, update};
use super::replica::{Replica, sees};
use super::{Outcome, SourceHarness, read};
use crate::memory::Edit;
use crate::read::{Readable, Scan, Sees};
use crate::source::Resume;
use change::Value;

fn filled(harness: &mut dyn SourceHarness) -> Box<dyn Readable> {
    harness.create(read::TABLE, &read::table_shape());
    let mut source = harness.open();
    drop(source.capture(&[read::TABLE.into()], &Resume::Fresh).expect("capture begins"));
    let rows = read::rows().into_iter().rev();
    harness.commit(&rows.map(|row| Edit::insert(read::TABLE, row)).collect::<Vec<_>>());
    source
}

/// See [`read::ranges_keep_key_order`].
pub fn ranges_keep_key_order(harness: &mut dyn SourceHarness) -> Outcome {
    read::ranges_keep_key_order(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::ranges_together_give_what_each_gives`].
pub fn ranges_together_give_what_each_gives(harness: &mut dyn SourceHarness) -> Outcome {
    read::ranges_together_give_what_each_gives(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::a_limit_stops_in_key_order`].
pub fn a_limit_stops_in_key_order(harness: &mut dyn SourceHarness) -> Outcome {
    read::a_limit_stops_in_key_order(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::an_owner_gets_its_rows`].
pub fn an_owner_gets_its_rows(harness: &mut dyn SourceHarness) -> Outcome {
    read::an_owner_gets_its_rows(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::columns_come_as_wanted`].
pub fn columns_come_as_wanted(harness: &mut dyn SourceHarness) -> Outcome {
    read::columns_come_as_wanted(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::a_scan_fails_as_promised`]. What the capture installed is not among the tables a user would see.
pub fn a_scan_fails_as_promised(harness: &mut dyn SourceHarness) -> Outcome {
    read::a_scan_fails_as_promised(filled(harness).as_mut());
    Outcome::Held
}

/// A cut shows the rows of its moment over all tables, whatever is committed afterwards.
pub fn a_cut_stands_still(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1), insert(RIGHT, 1)]);
    let mut cut = capture.source.cut().expect("a cut can be made");
    let mut ids = |table: &str| {
        let scan = Scan::all(table, items().as_ref().clone());
        let rows = scan.collect(cut.as_mut()).expect("the table is read");
        (0..rows.num_rows())
            .map(|row| Value::row(&rows, &items(), row)[2].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(LEFT), [Value::Int(1)]);
    harness.commit(&[update(LEFT, 1, 2), update(RIGHT, 1, 2), insert(LEFT, 3)]);
    assert_eq!(ids(LEFT), [Value::Int(1)], "a later commit is seen");
    assert_eq!(ids(RIGHT), [Value::Int(1)], "tables of one cut are of two moments");
    Outcome::Held
}

/// The groups that a cut says it contains make exactly the rows it shows; its closing position is behind them all.
pub fn a_cut_agrees_with_the_lane(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    let mut seen = (0, 0);
    for round in 0..4_i64 {
        for id in 1..=5 {
            harness.commit(&[insert(LEFT, round * 100 + id), insert(RIGHT, round * 100 + id)]);
        }
        let mut cut = capture.source.cut().expect("a cut can be made");
        for id in 6..=9 {
            harness.commit(&[insert(LEFT, round * 100 + id), update(LEFT, round * 100 + 1, id)]);
        }
        let groups = capture.drain(changes(2));
        let mut replica = Replica::default();
        let closing = cut.closing().cloned().expect("the site is captured");
        for group in &groups {
            match sees(cut.as_ref(), group) {
                Sees::All => {
                    assert!(group.upto.sequence <= closing.sequence, "the cut closes too early");
                    replica.apply(group);
                    seen.0 += 1;
                }
                Sees::None => seen.1 += 1,
                Sees::Part => panic!("a cut lies between transactions"),
            }
        }
        let scan = |table: &str| Scan::all(table, items().as_ref().clone());
        for table in [LEFT, RIGHT] {
            let rows = scan(table).collect(cut.as_mut()).expect("the table is read");
            let mut rows: Vec<_> =
                (0..rows.num_rows()).map(|row| Value::row(&rows, &items(), row)).collect();
            rows.retain(|row| matches!(row[0], Value::Int(id) if id > round * 100));
            assert_eq!(replica.rows(table), rows, "the cut and the lane do not agree");
        }
    }
    assert!(seen.0 >= 20 && seen.1 >= 16, "groups on both sides of the cuts were asked about");
    Outcome::Held
}

/// A group that a cut divides is said to be divided.
pub fn a_cut_within_a_group_is_told(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    let cut = capture.source.cut().expect("a cut can be made");
    harness.commit(&[insert(LEFT, 2)]);
    // The cut itself may be a place among them.
    let mut groups = capture.drain(changes(10));
    groups.retain(|group| group.changes() > 0);
    let seen: Vec<Sees> = groups.iter().map(|group| sees(cut.as_ref(), group)).collect();
    match groups.len() {
        1 => assert_eq!(seen, [Sees::Part]),
        _ => assert_eq!(seen, [Sees::All, Sees::None]),
    }
    Outcome::Held
}
