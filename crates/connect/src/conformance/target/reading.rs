//! Reading a target back: scans, and cuts whose progress is of the same moment as their rows.

use super::writer::{Writer, article, cells, progress, skus, stock, upsert};
use super::{Outcome, TargetHarness, read};
use crate::memory::sample::target_table;
use crate::read::{Cut, Readable, Scan};
use crate::target::TargetTable;

fn filled(harness: &mut dyn TargetHarness) -> Box<dyn Readable> {
    let table = target_table(read::TABLE, &read::table_shape());
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let mut rows = read::rows();
    rows.reverse();
    writer.upsert(&table, &rows);
    writer.target
}

/// See [`read::ranges_keep_key_order`].
pub fn ranges_keep_key_order(harness: &mut dyn TargetHarness) -> Outcome {
    read::ranges_keep_key_order(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::ranges_together_give_what_each_gives`].
pub fn ranges_together_give_what_each_gives(harness: &mut dyn TargetHarness) -> Outcome {
    read::ranges_together_give_what_each_gives(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::a_limit_stops_in_key_order`].
pub fn a_limit_stops_in_key_order(harness: &mut dyn TargetHarness) -> Outcome {
    read::a_limit_stops_in_key_order(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::an_owner_gets_its_rows`].
pub fn an_owner_gets_its_rows(harness: &mut dyn TargetHarness) -> Outcome {
    read::an_owner_gets_its_rows(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::columns_come_as_wanted`].
pub fn columns_come_as_wanted(harness: &mut dyn TargetHarness) -> Outcome {
    read::columns_come_as_wanted(filled(harness).as_mut());
    Outcome::Held
}

/// See [`read::a_scan_fails_as_promised`].
pub fn a_scan_fails_as_promised(harness: &mut dyn TargetHarness) -> Outcome {
    read::a_scan_fails_as_promised(filled(harness).as_mut());
    Outcome::Held
}

/// Commits row `number` in two tables with progress at that number.
fn commit(writer: &mut Writer, tables: [&TargetTable; 2], number: i64) {
    let mut transaction = writer.begin().expect("begins");
    for table in tables {
        let work = upsert(&table.schema, &[article(number, "a", "nail", number)]);
        transaction.write(table, &work).expect("good rows");
    }
    transaction.commit(&[progress(1, number.unsigned_abs())]).expect("commits");
}

fn skus_at(cut: &mut dyn Cut, table: &TargetTable) -> Vec<i64> {
    let scan = Scan::all(&table.name, table.schema.as_ref().clone());
    skus(&cells(&scan.collect(cut).expect("the table is read"), &table.schema))
}

/// A cut shows the rows of its moment, over all tables, whatever is committed afterwards.
pub fn a_cut_stands_still(harness: &mut dyn TargetHarness) -> Outcome {
    let (left, right) = (stock("left_stock"), stock("right_stock"));
    let mut writer = Writer::first(harness, &[left.clone(), right.clone()]);
    let mut reader = harness.open();
    for number in 1..=3 {
        commit(&mut writer, [&left, &right], number);
        let mut cut = reader.cut().expect("a cut can be made");
        let seen: Vec<i64> = (1..=number).collect();
        assert_eq!(skus_at(cut.as_mut(), &left), seen);
        commit(&mut writer, [&left, &right], number + 100);
        assert_eq!(skus_at(cut.as_mut(), &left), seen, "a later commit is seen");
        assert_eq!(skus_at(cut.as_mut(), &right), seen, "tables of one cut are of two moments");
        drop(cut);
        let mut transaction = writer.begin().expect("begins");
        let key =
            crate::memory::sample::keys(&left.schema, &[vec![change::Value::Int(number + 100)]]);
        for table in [&left, &right] {
            transaction.write(table, &crate::target::RowWork::Delete(key.clone())).expect("good");
        }
        transaction.commit(&[]).expect("commits");
    }
    Outcome::Held
}

/// Progress read through a cut is of the same moment as its rows.
pub fn progress_of_a_cut_is_of_its_moment(harness: &mut dyn TargetHarness) -> Outcome {
    let (left, right) = (stock("left_stock"), stock("right_stock"));
    let mut writer = Writer::first(harness, &[left.clone(), right.clone()]);
    let flow = writer.flow;
    let mut reader = harness.open();
    let mut before = reader.cut().expect("a cut can be made");
    commit(&mut writer, [&left, &right], 1);
    assert_eq!(before.progress(flow).expect("readable"), None, "the cut is older");
    drop(before);
    for number in 1..=4 {
        let mut cut = reader.cut().expect("a cut can be made");
        commit(&mut writer, [&left, &right], number + 1);
        let rows = skus_at(cut.as_mut(), &left).len() as u64;
        let seen = cut.progress(flow).expect("readable").expect("the flow wrote");
        let offsets: Vec<u64> = seen.lanes.values().map(|lane| lane.offset.0).collect();
        assert_eq!(offsets, [rows], "rows and progress of one cut are of two moments");
        assert_eq!(rows, number.unsigned_abs());
    }
    Outcome::Held
}
