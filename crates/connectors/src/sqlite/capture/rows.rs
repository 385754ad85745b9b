//! Rows read by the capture itself, inside the read transaction in which the newest change was looked up: chunks of
//! a snapshot, and single keys.

use super::super::catalogue::{TableShape, require_shape};
use super::super::error::failed;
use super::super::names::identifier;
use super::gather::{Gather, Layout};
use super::register::Shape;
use change::value::FloatBits;
use change::{ChangeBatch, ColumnType, Key, Op, Value};
use connect::log::Bounds;
use connect::{Error, Result};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::sync::Arc;

/// A chunk of a table.
pub(super) struct Chunk {
    pub(super) batches: Vec<ChangeBatch>,
    /// The key of its last row, if more rows follow.
    pub(super) upto: Option<Key>,
}

/// A row of a query that selects the table's columns in order.
const ROW: Layout = Layout { new: 0, old: 0, step: 1 };

/// Reads the rows behind a key, as many as the bounds allow.
pub(super) fn read_chunk(
    connection: &Connection,
    shape: &Arc<Shape>,
    after: Option<&Key>,
    bounds: Bounds,
) -> Result<Chunk> {
    let declared = require_shape(connection, &shape.table)?;
    let key: Vec<String> = shape.schema.key_names().map(|name| by_bytes(&declared, name)).collect();
    let marks = vec!["?"; key.len()].join(", ");
    let behind =
        after.map_or(String::new(), |_| format!(" WHERE ({}) > ({marks})", key.join(", ")));
    let sql = format!("{}{behind} ORDER BY {}", select(shape), key.join(", "));
    let reading = || failed(format!("cannot read table {}", shape.table));
    let mut statement = connection.prepare_cached(&sql).map_err(reading())?;
    let bound = after.map_or(Ok(Vec::new()), |key| cells(shape, key))?;
    let mut rows = statement.query(params_from_iter(bound)).map_err(reading())?;
    let mut gather = Gather::default();
    gather.expect(shape)?;
    let mut full = false;
    while let Some(row) = rows.next().map_err(reading())? {
        if gather.changes() > 0
            && (gather.changes() >= bounds.changes || gather.bytes() >= bounds.bytes)
        {
            full = true;
            break;
        }
        gather.take(shape, Op::Read, row, ROW)?;
    }
    let batches = gather.finish();
    let upto = full.then(|| {
        let last = batches[0].new_images();
        Key::read(last, &shape.schema, last.num_rows() - 1)
    });
    Ok(Chunk { batches, upto })
}

/// Reads single keys: a row comes as `Read`, none as a delete of the key.
pub(super) fn read_keys(
    connection: &Connection,
    shape: &Arc<Shape>,
    keys: &[Key],
) -> Result<Vec<ChangeBatch>> {
    let declared = require_shape(connection, &shape.table)?;
    let equal = |(i, name): (usize, &str)| {
        let column = identifier(name);
        let strict = declared.column(name).is_some_and(|c| c.binary);
        let by_bytes = if strict {
            String::new()
        } else {
            format!(" AND {column} COLLATE BINARY = ?{}", i + 1)
        };
        format!("{column} = ?{}{by_bytes}", i + 1)
    };
    let equal: Vec<String> = shape.schema.key_names().enumerate().map(equal).collect();
    let reading = || failed(format!("cannot read table {}", shape.table));
    let sql = format!("{} WHERE {}", select(shape), equal.join(" AND "));
    let mut statement = connection.prepare_cached(&sql).map_err(reading())?;
    let gone = absent_row(shape);
    let mut absent = connection.prepare_cached(&gone).map_err(reading())?;
    let mut gather = Gather::default();
    for key in keys {
        let bound = cells(shape, key)?;
        let mut taken = Ok(());
        let found = statement
            .query_row(params_from_iter(&bound), |row| {
                taken = gather.take(shape, Op::Read, row, ROW);
                Ok(())
            })
            .optional()
            .map_err(reading())?;
        if found.is_none() {
            absent
                .query_row(params_from_iter(&bound), |row| {
                    taken = gather.take(shape, Op::Delete, row, ROW);
                    Ok(())
                })
                .map_err(reading())?;
        }
        taken?;
    }
    Ok(gather.finish())
}

/// A row of nulls but for its key.
fn absent_row(shape: &Shape) -> String {
    let cell = |i| match shape.schema.key().iter().position(|&k| k == i) {
        Some(place) => format!("?{}", place + 1),
        None => "NULL".to_string(),
    };
    let cells: Vec<String> = (0..shape.schema.columns().len()).map(cell).collect();
    format!("SELECT {}", cells.join(", "))
}

fn select(shape: &Shape) -> String {
    let columns = shape.schema.columns().iter();
    let columns: Vec<String> = columns.map(|c| identifier(&c.name)).collect();
    format!("SELECT {} FROM {}", columns.join(", "), identifier(&shape.table))
}

/// A key column as keys are ordered: text by its bytes, whatever the column declares.
fn by_bytes(declared: &TableShape, name: &str) -> String {
    let binary = declared.column(name).is_some_and(|c| c.binary);
    let name = identifier(name);
    if binary { name } else { format!("{name} COLLATE BINARY") }
}

/// The cells of a key as they are stored.
fn cells(shape: &Shape, key: &Key) -> Result<Vec<Cell>> {
    let wrong = || Error::invalid(format!("a key of table {} does not fit it", shape.table));
    if key.0.len() != shape.schema.key().len() {
        return Err(wrong());
    }
    let columns = shape.schema.key().iter().map(|&k| shape.schema.columns()[k].ty);
    columns
        .zip(&key.0)
        .map(|(ty, value)| match (ty, value) {
            (ColumnType::Int64 | ColumnType::Any, Value::Int(i)) => Ok(Cell::Integer(*i)),
            (ColumnType::Float64 | ColumnType::Any, Value::Float(FloatBits(bits))) => {
                Ok(Cell::Real(f64::from_bits(*bits)))
            }
            (ColumnType::Text | ColumnType::Any, Value::Text(text)) => Ok(Cell::Text(text.clone())),
            (ColumnType::Bytes | ColumnType::Any, Value::Bytes(bytes)) => {
                Ok(Cell::Blob(bytes.clone()))
            }
            // Decimals of SQLite have at most 15 digits: both operands are exact, the quotient is what is stored.
            (ColumnType::Decimal { .. }, Value::Decimal { unscaled, scale }) => {
                if scale == &0 {
                    return i64::try_from(*unscaled).map(Cell::Integer).map_err(|_| wrong());
                }
                Ok(Cell::Real(*unscaled as f64 / 10f64.powi(i32::from(*scale))))
            }
            _ => Err(wrong()),
        })
        .collect()
}
