//! Rows and progress of a target: one transaction, all of it or nothing.

use super::writer::{Writer, article, nameless, narrowed, progress, read, skus, stock, upsert};
use super::{Arranged, Outcome, TargetHarness, fails};
use crate::error::Kind;
use crate::memory::sample::{keys, rows, shape, target_table};
use crate::target::{FlowProgress, RowWork};
use change::{ColumnType, FlowId, Value};

/// Rows and progress become visible together, to everybody who opens the site, and survive the writer.
pub fn rows_and_progress_come_together(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    assert_eq!(writer.progress(), None, "a flow that never wrote has no progress");
    let mut transaction = writer.begin().expect("the holder begins");
    let work = upsert(&table.schema, &[article(1, "a", "nail", 5), article(2, "a", "nut", 6)]);
    assert_eq!(transaction.write(&table, &work).expect("good rows"), 2, "rows are counted");
    transaction.commit(&[progress(1, 7), progress(2, 3)]).expect("it commits");
    drop(writer);
    let mut reader = Writer::stranger(harness, 2);
    assert_eq!(skus(&reader.rows(&table)), [1, 2]);
    let FlowProgress { lanes, .. } = reader.progress().expect("progress was written");
    let expected = [progress(1, 7), progress(2, 3)];
    assert_eq!(lanes.into_values().collect::<Vec<_>>(), expected, "progress reads back exactly");
    Outcome::Held
}

/// Each lane has its progress; a commit for one leaves the others and other flows alone.
pub fn progress_is_kept_by_flow_and_lane(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let first = writer.flow;
    let commit = |writer: &mut Writer, lane, offset| {
        writer.begin().expect("begins").commit(&[progress(lane, offset)]).expect("commits");
    };
    commit(&mut writer, 1, 1);
    commit(&mut writer, 2, 8);
    commit(&mut writer, 1, 2);
    writer.flow = FlowId::mint(0xF20);
    writer.adopt(9);
    assert_eq!(writer.progress(), None, "another flow has not written yet");
    commit(&mut writer, 1, 5);
    let lanes = |writer: &mut Writer, flow| {
        let progress = writer.target.progress(flow).expect("readable").expect("it wrote");
        progress.lanes.into_values().map(|lane| lane.offset.0).collect::<Vec<_>>()
    };
    let second = writer.flow;
    assert_eq!(lanes(&mut writer, first), [2, 8]);
    assert_eq!(lanes(&mut writer, second), [5]);
    Outcome::Held
}

/// A transaction that is dropped leaves neither rows nor progress.
pub fn a_dropped_transaction_leaves_nothing(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5)]);
    let before = (writer.rows(&table), writer.progress());
    let mut transaction = writer.begin().expect("begins");
    let work = upsert(&table.schema, &[article(1, "a", "screw", 9), article(2, "a", "nut", 6)]);
    transaction.write(&table, &work).expect("good rows");
    drop(transaction);
    assert_eq!((writer.rows(&table), writer.progress()), before, "nothing is left of it");
    writer.upsert(&table, &[article(3, "a", "bolt", 1)]);
    assert_eq!(skus(&writer.rows(&table)), [1, 3], "and nothing is left to come");
    Outcome::Held
}

/// Whoever reads sees a transaction over two tables in full or not at all, with the progress that belongs to it.
pub fn readers_see_whole_transactions(harness: &mut dyn TargetHarness) -> Outcome {
    let (left, right) = (stock("left_stock"), stock("right_stock"));
    let mut writer = Writer::first(harness, &[left.clone(), right.clone()]);
    let mut reader = harness.open();
    let mut seen = |flow| {
        let mut cut = reader.cut().expect("a cut can be made");
        let offset = cut
            .progress(flow)
            .expect("readable")
            .and_then(|flow| flow.lanes.values().next().map(|lane| lane.offset.0));
        drop(cut);
        let count = |rows: Vec<Vec<Value>>| rows.len() as u64;
        let left = count(read(reader.as_mut(), &left.name, &left.schema));
        let right = count(read(reader.as_mut(), &right.name, &right.schema));
        (left, right, offset)
    };
    let flow = writer.flow;
    for number in 1..=3_i64 {
        let expected = number as u64 - 1;
        let offset = (expected > 0).then_some(expected);
        let mut transaction = writer.begin().expect("begins");
        let work = upsert(&left.schema, &[article(number, "a", "nail", number)]);
        transaction.write(&left, &work).expect("good rows");
        assert_eq!(seen(flow), (expected, expected, offset), "half a transaction is seen");
        transaction.write(&right, &work).expect("good rows");
        assert_eq!(seen(flow), (expected, expected, offset), "an open transaction is seen");
        transaction.commit(&[progress(1, number as u64)]).expect("commits");
        let now = number as u64;
        assert_eq!(seen(flow), (now, now, Some(now)), "a committed transaction is not seen");
    }
    Outcome::Held
}

/// A refused write leaves the transaction as it was before the call, and usable.
pub fn a_refused_write_leaves_the_transaction_as_it_was(
    harness: &mut dyn TargetHarness,
) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5)]);
    let mut transaction = writer.begin().expect("begins");
    transaction.write(&table, &upsert(&table.schema, &[article(2, "a", "nut", 1)])).expect("good");
    let mixed = [article(1, "a", "screw", 9), nameless(3, "a"), article(4, "a", "bolt", 1)];
    for work in [upsert(&table.schema, &mixed), RowWork::Insert(rows(&table.schema, &mixed))] {
        let refused = transaction.write(&table, &work);
        fails(refused, Kind::Refused, "a row breaks a constraint");
    }
    transaction.write(&table, &upsert(&table.schema, &[article(5, "a", "rod", 1)])).expect("good");
    transaction.commit(&[progress(1, 1)]).expect("the transaction stayed usable");
    let expected =
        [article(1, "a", "nail", 5), article(2, "a", "nut", 1), article(5, "a", "rod", 1)];
    assert_eq!(writer.rows(&table), expected, "only the refused call left nothing");
    Outcome::Held
}

/// A constraint of the site refuses a write as any other does.
pub fn a_unique_column_refuses(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    if harness.unique(&table.name, "amount") == Arranged::NotPossible {
        return Outcome::NotPossible;
    }
    writer.upsert(&table, &[article(1, "a", "nail", 5)]);
    let mut transaction = writer.begin().expect("begins");
    let taken = upsert(&table.schema, &[article(2, "a", "nut", 6), article(3, "a", "bolt", 5)]);
    fails(transaction.write(&table, &taken), Kind::Refused, "the value is taken");
    let free = upsert(&table.schema, &[article(2, "a", "nut", 7), article(1, "a", "nail", 5)]);
    transaction.write(&table, &free).expect("a row may keep its own value");
    transaction.commit(&[]).expect("the transaction stayed usable");
    assert_eq!(skus(&writer.rows(&table)), [1, 2]);
    Outcome::Held
}

/// A refusal does not tell what stands in the rows.
pub fn messages_hold_no_values(harness: &mut dyn TargetHarness) -> Outcome {
    const SECRET: &str = "Gudrun-4711";
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let mut row = nameless(81_726_354, SECRET);
    row[3] = Value::Int(918_273);
    let error = fails(writer.write(&table, &upsert(&table.schema, &[row])), Kind::Refused, "null");
    let said = format!("{error} {error:?}");
    for value in [SECRET, "81726354", "918273"] {
        assert!(!said.contains(value), "a row's value stands in a message");
    }
    Outcome::Held
}

/// An upsert overwrites by key, and doing it twice is doing it once.
pub fn an_upsert_overwrites_and_is_idempotent(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5), article(2, "a", "nut", 6)]);
    let later = [article(2, "a", "washer", 7), article(3, "a", "bolt", 8)];
    for _ in 0..2 {
        writer.upsert(&table, &later);
        let expected = [&[article(1, "a", "nail", 5)], &later[..]].concat();
        assert_eq!(writer.rows(&table), expected);
    }
    Outcome::Held
}

/// Rows said to be new that are not are written all the same.
pub fn an_insert_falls_back_to_an_upsert(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(2, "a", "nut", 6)]);
    let again = [article(1, "a", "nail", 5), article(2, "a", "washer", 7)];
    let work = RowWork::Insert(rows(&table.schema, &again));
    writer.write(&table, &work).expect("known rows are overwritten");
    assert_eq!(writer.rows(&table), again);
    Outcome::Held
}

/// Deletes go by key; a key that is not there is no error and not counted.
pub fn deleting_an_absent_key_is_no_error(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5), article(2, "a", "nut", 6)]);
    let gone = RowWork::Delete(keys(&table.schema, &[vec![Value::Int(2)], vec![Value::Int(9)]]));
    assert_eq!(writer.write(&table, &gone).expect("an absent key is no error"), 1);
    assert_eq!(skus(&writer.rows(&table)), [1]);
    Outcome::Held
}

/// Keys of several columns come in key order, not in column order.
pub fn composite_keys_come_in_key_order(harness: &mut dyn TargetHarness) -> Outcome {
    let kinds = ["shop", "line", "amount"].map(|name| (name, ColumnType::Int64));
    let table = target_table("lines", &shape(&kinds, &["line", "shop"]));
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let line = |shop, line| vec![Value::Int(shop), Value::Int(line), Value::Int(0)];
    writer.upsert(&table, &[line(1, 2), line(2, 1), line(3, 1)]);
    let key = vec![Value::Int(1), Value::Int(2)];
    let gone = RowWork::Delete(keys(&table.schema, &[key]));
    assert_eq!(writer.write(&table, &gone).expect("a good delete"), 1);
    assert_eq!(writer.rows(&table), [line(3, 1), line(1, 2)], "rows come in key order too");
    Outcome::Held
}

/// An update writes the cells it has of rows that are there, and nothing else: the rows affected tell.
pub fn an_update_writes_what_it_has_of_rows_that_are_there(
    harness: &mut dyn TargetHarness,
) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5), article(2, "a", "nut", 6)]);
    let part = narrowed(&table, &["sku", "amount"]);
    let amounts = [[1, 9], [3, 7]].map(|row| row.map(Value::Int).to_vec());
    let work = RowWork::Update(rows(&part.schema, &amounts));
    assert_eq!(writer.write(&part, &work).expect("an absent key is no error"), 1);
    let expected = [article(1, "a", "nail", 9), article(2, "a", "nut", 6)];
    assert_eq!(writer.rows(&table), expected, "other cells stand, and no row comes");
    let met = narrowed(&table, &["sku"]);
    let work = RowWork::Update(rows(&met.schema, &[vec![Value::Int(2)], vec![Value::Int(4)]]));
    assert_eq!(writer.write(&met, &work).expect("a key alone is met"), 1);
    writer.upsert(&table, &[article(1, "b", "rod", 1)]);
    assert_eq!(writer.rows(&table)[0], article(1, "b", "rod", 1), "whole rows are written again");
    Outcome::Held
}

/// `clear` empties a table and counts; what follows in the transaction stays.
pub fn clear_empties_and_counts(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 5), article(2, "b", "nut", 6)]);
    let mut transaction = writer.begin().expect("begins");
    assert_eq!(transaction.clear(&table).expect("it clears"), 2);
    transaction.write(&table, &upsert(&table.schema, &[article(3, "a", "bolt", 1)])).expect("good");
    transaction.commit(&[]).expect("commits");
    assert_eq!(skus(&writer.rows(&table)), [3]);
    Outcome::Held
}
