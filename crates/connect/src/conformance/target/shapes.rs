//! Shapes of tables: what `prepare` creates, widens and refuses, and what values survive.

use super::writer::{Writer, article, run, stock, upsert};
use super::{Outcome, TargetHarness, fails, stops, values};
use crate::error::{Kind, State};
use crate::memory::sample::target_table;
use crate::target::{Load, TargetTable};
use change::compatibility::{Compatibility, compare};
use change::{Column, ColumnType, TableSchema, Value};
use std::sync::Arc;

fn with_columns(table: &TargetTable, columns: Vec<Column>, key: &[&str]) -> TargetTable {
    let schema = TableSchema::new(columns, key).expect("a good shape");
    target_table(&table.name, &Arc::new(schema))
}

fn wider(table: &TargetTable) -> TargetTable {
    let seen = Column::new("seen", ColumnType::Text, true);
    let columns = table.schema.columns().iter().cloned().chain([seen]).collect();
    with_columns(table, columns, &["sku"])
}

/// Preparing again changes nothing, and bookkeeping is not among the tables a user would see.
pub fn preparing_again_is_harmless(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    for _ in 0..2 {
        writer.target.prepare(std::slice::from_ref(&table)).expect("the table is as wanted");
    }
    assert_eq!(writer.rows(&table), [article(1, "a", "nail", 1)]);
    assert_eq!(writer.target.tables().expect("readable"), ["stock"]);
    let there = writer.target.describe("stock").expect("it is there");
    assert_eq!(compare(&there, &table.schema), Compatibility::Same, "it has the shape wanted");
    Outcome::Held
}

/// A nullable column that is missing is added; old rows are null there, and narrower writes go on.
pub fn a_nullable_column_is_added(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    let wide = wider(&table);
    writer.target.prepare(std::slice::from_ref(&wide)).expect("a nullable column can be added");
    let wide_row = |sku, seen: Value| [article(sku, "a", "nail", sku), vec![seen]].concat();
    assert_eq!(writer.rows(&wide), [wide_row(1, Value::Null)]);
    writer.upsert(&wide, &[wide_row(2, Value::Text("today".into()))]);
    writer.upsert(&table, &[article(3, "a", "nail", 3)]);
    let seen = [Value::Null, Value::Text("today".into()), Value::Null];
    let expected: Vec<_> = (1..).zip(seen).map(|(sku, seen)| wide_row(sku, seen)).collect();
    assert_eq!(writer.rows(&wide), expected);
    Outcome::Held
}

/// A table with another key stops the flow, and nothing of the call is done.
pub fn another_key_is_blocked(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    let columns = table.schema.columns().to_vec();
    let other = with_columns(&table, columns, &["sku", "name"]);
    let refused = writer.target.prepare(&[other]);
    stops(refused, Kind::Invalid, State::SchemaBlocked, "the key is another");
    writer.upsert(&table, &[article(1, "a", "nut", 2)]);
    assert_eq!(writer.rows(&table), [article(1, "a", "nut", 2)]);
    Outcome::Held
}

/// A column of another type, or a new one that may not be null, stops the flow.
pub fn incompatible_columns_are_blocked(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let mut retyped = table.schema.columns().to_vec();
    retyped[3].ty = ColumnType::Text;
    let mut required = wider(&table).schema.columns().to_vec();
    required[4].nullable = false;
    for columns in [retyped, required] {
        let refused = writer.target.prepare(&[with_columns(&table, columns, &["sku"])]);
        stops(refused, Kind::Invalid, State::SchemaBlocked, "a column does not fit");
    }
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    Outcome::Held
}

/// Every kind of value comes back as it went in, nulls and extremes too; one that cannot is refused.
pub fn values_come_back_exactly(harness: &mut dyn TargetHarness) -> Outcome {
    let schema = values::shape(&harness.lacks());
    let table = target_table("kinds", &schema);
    let (rows, refused) = values::divide(&schema, &|value| harness.refuses(value));
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    for row in refused {
        let work = upsert(&schema, &[row]);
        fails(writer.write(&table, &work), Kind::Refused, "a value does not fit the system");
    }
    for _ in 0..2 {
        writer.upsert(&table, &rows);
        values::assert_same(&schema, &writer.rows(&table), &rows);
    }
    Outcome::Held
}

/// The stage carries every kind of value as the table does.
pub fn staged_values_come_back_exactly(harness: &mut dyn TargetHarness) -> Outcome {
    let schema = values::shape(&harness.lacks());
    let table = target_table("kinds", &schema);
    let (rows, _) = values::divide(&schema, &|value| harness.refuses(value));
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.stage(run(1), &table, &rows);
    values::assert_same(&schema, &writer.staged(run(1), &table).expect("it is staged"), &rows);
    let publication = writer.publication(run(1), Load::Replace, &[(&table, rows.len() as u64)]);
    writer.target.publish(&publication).expect("it is published");
    values::assert_same(&schema, &writer.rows(&table), &rows);
    Outcome::Held
}
