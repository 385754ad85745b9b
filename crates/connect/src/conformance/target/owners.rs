//! Many sites, one table: no work touches the rows of another owner.

use super::writer::{Writer, article, narrowed, share, skus, stock, upsert};
use super::{Outcome, TargetHarness, fails};
use crate::error::Kind;
use crate::memory::sample::{keys, rows, text};
use crate::read::KeyRange;
use crate::target::{RowWork, TargetTable};
use change::{Key, Value};

fn two_shares(harness: &mut dyn TargetHarness) -> (Writer, TargetTable, TargetTable) {
    let table = stock("stock");
    let (ours, theirs) = (share(&table, "ours"), share(&table, "theirs"));
    let mut writer = Writer::first(harness, std::slice::from_ref(&ours));
    writer.upsert(&ours, &[1, 3, 5].map(|sku| article(sku, "ours", "nail", sku)));
    writer.upsert(&theirs, &[2, 4, 6].map(|sku| article(sku, "theirs", "nut", sku)));
    (writer, ours, theirs)
}

fn sku(sku: i64) -> Vec<Value> {
    vec![Value::Int(sku)]
}

/// `clear` empties the owner's share and no more.
pub fn clear_stays_with_the_owner(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, ours, _) = two_shares(harness);
    let mut transaction = writer.begin().expect("begins");
    assert_eq!(transaction.clear(&ours).expect("it clears"), 3);
    transaction.commit(&[]).expect("commits");
    assert_eq!(skus(&writer.rows(&ours)), [2, 4, 6]);
    Outcome::Held
}

/// `retain` sweeps the owner's share and no more.
pub fn retain_stays_with_the_owner(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, ours, _) = two_shares(harness);
    let mut transaction = writer.begin().expect("begins");
    let keep = keys(&ours.schema, &[sku(3)]);
    assert_eq!(transaction.retain(&ours, &KeyRange::default(), &keep).expect("it sweeps"), 2);
    transaction.commit(&[]).expect("commits");
    assert_eq!(skus(&writer.rows(&ours)), [2, 3, 4, 6]);
    Outcome::Held
}

/// `retain` sweeps behind `after`, up to and including `upto`.
pub fn retain_stays_in_its_range(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let all: Vec<i64> = (-2..=6).collect();
    writer.upsert(&table, &all.iter().map(|&i| article(i, "a", "nail", i)).collect::<Vec<_>>());
    let bound = |at: i64| Some(Key(sku(at)));
    let mut sweep = |after, upto, keep: &[Vec<Value>]| {
        let mut transaction = writer.begin().expect("begins");
        let range = KeyRange { after, upto };
        let keep = keys(&table.schema, keep);
        let swept = transaction.retain(&table, &range, &keep).expect("it sweeps");
        transaction.commit(&[]).expect("commits");
        (swept, skus(&writer.rows(&table)))
    };
    assert_eq!(sweep(bound(1), bound(4), &[sku(3)]), (2, vec![-2, -1, 0, 1, 3, 5, 6]));
    assert_eq!(sweep(bound(5), None, &[]), (1, vec![-2, -1, 0, 1, 3, 5]));
    assert_eq!(sweep(None, bound(-1), &[sku(-2)]), (1, vec![-2, 0, 1, 3, 5]));
    assert_eq!(sweep(None, None, &[sku(0), sku(99)]), (4, vec![0]));
    Outcome::Held
}

/// Text keys are ranged by their bytes.
pub fn retain_orders_text_by_bytes(harness: &mut dyn TargetHarness) -> Outcome {
    let wide = stock("labels").schema.with_key(&["name"]).expect("a column is a key");
    let table = crate::memory::sample::target_table("labels", &std::sync::Arc::new(wide));
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let names = ["", "B", "Z", "a", "b", "é", "\u{1F30A}"];
    let rows: Vec<_> = (0..).zip(names).map(|(i, name)| article(i, "a", name, i)).collect();
    writer.upsert(&table, &rows);
    let bound = |name: &str| Some(Key(vec![text(name)]));
    let mut transaction = writer.begin().expect("begins");
    let range = KeyRange { after: bound("B"), upto: bound("a") };
    let keep = keys(&table.schema, &[]);
    assert_eq!(transaction.retain(&table, &range, &keep).expect("it sweeps"), 2);
    transaction.commit(&[]).expect("commits");
    let left: Vec<_> = writer.rows(&table).into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(left, ["", "B", "b", "é", "\u{1F30A}"].map(text));
    Outcome::Held
}

/// A row of another owner is not written, nor is a row written over one.
pub fn writes_of_another_owner_are_refused(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, ours, _) = two_shares(harness);
    let before = writer.rows(&ours);
    for stranger in [article(7, "theirs", "bolt", 7), article(4, "ours", "bolt", 4)] {
        let work = upsert(&ours.schema, &[article(1, "ours", "screw", 0), stranger.clone()]);
        fails(writer.write(&ours, &work), Kind::Refused, "a row belongs to another owner");
        assert_eq!(writer.rows(&ours), before, "a refused write leaves nothing");
    }
    Outcome::Held
}

/// A delete does not reach another owner's row: it finds nothing, or is refused.
pub fn deletes_stay_with_the_owner(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, ours, _) = two_shares(harness);
    let before = writer.rows(&ours);
    match writer.write(&ours, &RowWork::Delete(keys(&ours.schema, &[sku(4)]))) {
        Ok(affected) => assert_eq!(affected, 0, "another owner's row is not counted"),
        Err(error) => assert_eq!(error.kind, Kind::Refused),
    }
    assert_eq!(writer.rows(&ours), before);
    Outcome::Held
}

/// An update does not reach another owner's row: it finds nothing, or is refused.
pub fn updates_stay_with_the_owner(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, ours, _) = two_shares(harness);
    let before = writer.rows(&ours);
    let part = narrowed(&ours, &["sku", "site", "amount"]);
    let row = vec![Value::Int(4), text("ours"), Value::Int(99)];
    match writer.write(&part, &RowWork::Update(rows(&part.schema, &[row]))) {
        Ok(affected) => assert_eq!(affected, 0, "another owner's row is not counted"),
        Err(error) => assert_eq!(error.kind, Kind::Refused),
    }
    assert_eq!(writer.rows(&ours), before);
    Outcome::Held
}
