//! Shapes and rows for tests, said briefly. For use in tests only: a mistake in them panics.

use crate::target::TargetTable;
use arrow::array::RecordBatch;
use change::{Column, ColumnType, TableSchema, Value};
use std::sync::Arc;

/// A shape: columns (nullable, but for those of the key) and a key.
///
/// # Panics
/// When columns and key do not make a shape.
pub fn shape(columns: &[(&str, ColumnType)], key: &[&str]) -> Arc<TableSchema> {
    let columns = columns.iter().map(|(name, ty)| Column::new(*name, *ty, !key.contains(name)));
    Arc::new(TableSchema::new(columns.collect(), key).expect("columns and key make a shape"))
}

/// Rows of a shape.
///
/// # Panics
/// When a cell is of another type than its column.
pub fn rows(schema: &TableSchema, rows: &[Vec<Value>]) -> RecordBatch {
    change::value::batch(schema, rows).expect("cells are of their columns' types")
}

/// Keys of a shape, as deletes and `retain` take them.
///
/// # Panics
/// When a cell is of another type than its key column.
pub fn keys(schema: &TableSchema, keys: &[Vec<Value>]) -> RecordBatch {
    rows(&schema.key_schema(), keys)
}

/// A target table that belongs to nobody in particular.
pub fn target_table(name: &str, schema: &Arc<TableSchema>) -> TargetTable {
    TargetTable { name: name.into(), schema: schema.clone(), owner: None }
}

/// A text cell.
pub fn text(text: &str) -> Value {
    Value::Text(text.into())
}
