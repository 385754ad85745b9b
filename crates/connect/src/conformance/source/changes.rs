//! Changes: what was committed comes, in order, with its images, whole transactions at a time.

use super::capture::{
    Capture, LEFT, RIGHT, ROOMY, all_told, changes, delete, insert, item, items, replica_of, update,
};
use super::replica::{Replica, rows_at, told};
use super::{Outcome, SourceHarness, values};
use crate::memory::{Edit, OldImages};
use crate::source::Resume;
use change::{GroupBody, GroupKind, Op, Part, Value};

/// Insert, update and delete come as such, with the images they have.
pub fn changes_carry_their_images(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    assert_eq!(capture.drain(ROOMY), [], "nothing has happened yet");
    let full = harness.old_images() == OldImages::Full;
    harness.commit(&[insert(LEFT, 1)]);
    harness.commit(&[update(LEFT, 1, 50)]);
    harness.commit(&[delete(LEFT, 1)]);
    let groups = capture.drain(ROOMY);
    assert!(groups.iter().all(|group| group.kind == GroupKind::Changes));
    let told = all_told(&groups);
    let ops: Vec<Op> = told.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Op::Insert, Op::Update, Op::Delete]);
    assert_eq!((&told[0].old, &told[0].new), (&None, &Some(item(1, "new", 1))));
    assert_eq!(told[1].new, Some(item(1, "changed", 50)));
    assert_eq!(told[2].new, None);
    let deleted = told[2].old.as_ref().expect("a delete names its row");
    assert_eq!(deleted[0], Value::Int(1), "a delete has the key of its row");
    if full {
        assert_eq!(told[1].old, Some(item(1, "new", 1)));
        assert_eq!(*deleted, item(1, "changed", 50));
    }
    assert_eq!(capture.poll(ROOMY), None, "what was read does not come again");
    Outcome::Held
}

/// A key that changes leaves no ghost: an update tells the key before.
pub fn a_key_change_leaves_no_ghost(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1), insert(LEFT, 2)]);
    harness.commit(&[Edit::update(LEFT, [Value::Int(1)], item(7, "moved", 1))]);
    harness.commit(&[
        Edit::update(LEFT, [Value::Int(2)], item(9, "moved", 2)),
        Edit::update(LEFT, [Value::Int(7)], item(2, "moved", 3)),
    ]);
    let groups = capture.drain(ROOMY);
    for change in all_told(&groups).iter().filter(|change| change.op == Op::Update) {
        assert!(change.old.is_some(), "an update that moves a row tells where it was");
    }
    capture.assert_equal(&replica_of(&groups));
    Outcome::Held
}

/// A table that is emptied is empty.
pub fn a_truncate_empties(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1), insert(LEFT, 2), insert(RIGHT, 1)]);
    harness.commit(&[Edit::truncate(LEFT), insert(LEFT, 3)]);
    harness.commit(&[insert(LEFT, 4), Edit::truncate(RIGHT)]);
    let groups = capture.drain(ROOMY);
    let replica = replica_of(&groups);
    assert_eq!(replica.rows(LEFT), [item(3, "new", 3), item(4, "new", 4)]);
    capture.assert_equal(&replica);
    Outcome::Held
}

/// Inside a transaction the order of changes is kept over all tables.
pub fn order_is_kept_over_tables(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    let edits =
        [insert(LEFT, 1), insert(RIGHT, 1), update(LEFT, 1, 5), delete(RIGHT, 1), delete(LEFT, 1)];
    harness.commit(&edits);
    let groups = capture.drain(ROOMY);
    let order: Vec<_> = all_told(&groups).into_iter().map(|c| (c.table, c.op)).collect();
    let expected = [
        (LEFT, Op::Insert),
        (RIGHT, Op::Insert),
        (LEFT, Op::Update),
        (RIGHT, Op::Delete),
        (LEFT, Op::Delete),
    ];
    assert_eq!(order, expected.map(|(table, op)| (table.to_string(), op)));
    Outcome::Held
}

/// Tables that change only together are equal after every group, however little a group may hold.
pub fn transactions_are_whole(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    for id in 1..=6 {
        harness.commit(&[insert(LEFT, id), insert(RIGHT, id)]);
        harness.commit(&[update(LEFT, id, -id), update(RIGHT, id, -id)]);
    }
    let mut replica = Replica::default();
    let bounds = [2, 5, 3, 1, 1, 4].into_iter().cycle();
    for bound in bounds {
        let Some(group) = capture.poll(changes(bound)) else { break };
        replica.apply(&group);
        if group.part.last {
            let halves = (replica.rows(LEFT), replica.rows(RIGHT));
            assert_eq!(halves.0, halves.1, "a transaction is torn");
        }
    }
    capture.assert_equal(&replica);
    Outcome::Held
}

/// A transaction larger than the bounds comes in parts, numbered, the last one marked.
pub fn a_huge_transaction_comes_in_parts(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(RIGHT, 1)]);
    let huge: Vec<Edit> = (1..=30).flat_map(|id| [insert(LEFT, id), update(LEFT, id, 9)]).collect();
    harness.commit(&huge);
    harness.commit(&[insert(RIGHT, 2)]);
    let groups = capture.drain(changes(8));
    assert!(groups.iter().all(|group| group.changes() <= 8), "bounds are kept");
    let parts: Vec<Part> = groups.iter().map(|group| group.part).collect();
    assert_eq!((parts.first(), parts.last()), (Some(&Part::WHOLE), Some(&Part::WHOLE)));
    let inner = &parts[1..parts.len() - 1];
    assert!(inner.len() >= 8, "60 changes do not fit 7 groups of 8");
    for (index, part) in (0..).zip(inner) {
        let last = index as usize == inner.len() - 1;
        assert_eq!(*part, Part { index, last }, "parts are numbered, and only the last is last");
    }
    capture.assert_equal(&replica_of(&groups));
    Outcome::Held
}

/// What is rolled back never comes.
pub fn what_is_rolled_back_never_comes(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    harness.roll_back(&[insert(LEFT, 2), update(LEFT, 1, 5), insert(RIGHT, 1)]);
    harness.commit(&[insert(LEFT, 3)]);
    let told = all_told(&capture.drain(ROOMY));
    let ids: Vec<_> = told.iter().map(|c| c.new.as_ref().map(|row| row[0].clone())).collect();
    assert_eq!(ids, [Some(Value::Int(1)), Some(Value::Int(3))]);
    Outcome::Held
}

/// Groups join at their positions, which never run back.
pub fn positions_join(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    let mut groups: Vec<GroupBody> = Vec::new();
    for id in 1..=9 {
        harness.commit(&[insert(LEFT, id), insert(RIGHT, id)]);
        if id % 3 == 0 {
            groups.extend(capture.drain(changes(3)));
        }
    }
    assert!(groups.len() > 3, "bounds are kept");
    for pair in groups.windows(2) {
        let (end, begin) = (&pair[0].upto, &pair[1].after);
        assert_eq!(end.sequence, begin.sequence, "a group begins where the one before it ended");
    }
    for group in &groups {
        assert!(group.after.sequence < group.upto.sequence, "changes move the position on");
    }
    Outcome::Held
}

/// A table of which capture was not asked stays out.
pub fn other_tables_stay_out(harness: &mut dyn SourceHarness) -> Outcome {
    super::capture::two_tables(harness);
    let mut capture = Capture::of(harness, &[LEFT], &Resume::Fresh).expect("capture begins");
    harness.commit(&[insert(RIGHT, 1)]);
    harness.commit(&[insert(LEFT, 1), insert(RIGHT, 2), insert(LEFT, 2)]);
    let groups = capture.drain(ROOMY);
    assert!(all_told(&groups).iter().all(|change| change.table == LEFT));
    assert_eq!(replica_of(&groups).rows(LEFT), capture.rows(LEFT));
    Outcome::Held
}

/// Every kind of value comes through the change list as it is in the table, and out of the table as it was put in.
pub fn values_come_through_exactly(harness: &mut dyn SourceHarness) -> Outcome {
    const KINDS: &str = "kinds";
    let schema = values::shape(&harness.lacks());
    harness.create(KINDS, &schema);
    let mut capture = Capture::of(harness, &[KINDS], &Resume::Fresh).expect("capture begins");
    let (rows, _) = values::divide(&schema, &|value| harness.refuses(value));
    let edits: Vec<Edit> = rows.iter().map(|row| Edit::insert(KINDS, row.clone())).collect();
    harness.commit(&edits);
    let key = |row: &Vec<Value>| [row[0].clone()];
    harness.commit(&rows.iter().map(|row| Edit::delete(KINDS, key(row))).collect::<Vec<_>>());
    harness.commit(&edits);
    let groups = capture.drain(ROOMY);
    let told: Vec<_> = groups.iter().flat_map(told).collect();
    let (inserted, rest) = told.split_at(rows.len());
    let (deleted, again) = rest.split_at(rows.len());
    let images = |part: &[super::replica::Told]| {
        part.iter().filter_map(|change| change.new.clone()).collect::<Vec<_>>()
    };
    values::assert_same(&schema, &images(inserted), &rows);
    values::assert_same(&schema, &images(again), &rows);
    if harness.old_images() == OldImages::Full {
        let old: Vec<_> = deleted.iter().filter_map(|change| change.old.clone()).collect();
        values::assert_same(&schema, &old, &rows);
    }
    values::assert_same(&schema, &rows_at(capture.source.as_mut(), KINDS, &schema), &rows);
    Outcome::Held
}

/// Changes after a column was added have it; those before do not.
pub fn changes_carry_the_shape_of_their_time(harness: &mut dyn SourceHarness) -> Outcome {
    let mut capture = Capture::of_two_tables(harness);
    harness.commit(&[insert(LEFT, 1)]);
    let column = change::Column::new("seen", change::ColumnType::Text, true);
    if harness.add_column(LEFT, &column) == super::Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    let before = capture.drain(ROOMY);
    let tables = [LEFT.to_string(), RIGHT.to_string()];
    let position = before.last().map(|group| group.upto.clone()).expect("a change came");
    let resume = capture.behind(&position);
    capture.reader = capture.source.capture(&tables, &resume).expect("capture adapts");
    let wide = |id| [item(id, "new", id), vec![Value::Text("today".into())]].concat();
    harness.commit(&[Edit::insert(LEFT, wide(2))]);
    let after = capture.drain(ROOMY);
    assert_eq!(before[0].batches[0].schema().columns().len(), items().columns().len());
    assert_eq!(all_told(&after)[0].new, Some(wide(2)));
    Outcome::Held
}
