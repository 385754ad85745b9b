//! Rows into tables, straight from Arrow columns: one prepared statement for a whole batch.
//!
//! The caller runs each of these inside a savepoint: an error in the middle leaves the rows before it written.

use super::super::bind::{Cells, Unbound};
use super::super::catalogue::TableShape;
use super::super::error::failed;
use super::super::filter::{Filter, compared};
use super::super::form::form;
use super::super::names::{identifier, identifiers};
use arrow::array::RecordBatch;
use change::TableSchema;
use connect::read::Owner;
use connect::target::TargetTable;
use connect::{Error, Result};
use rusqlite::{Connection, Statement};

/// How rows meet those with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// There must be none.
    Refuse,
    /// They are overwritten, if they are the owner's.
    Overwrite,
}

/// Writes rows.
pub(super) fn put(
    connection: &Connection,
    table: &TargetTable,
    shape: &TableShape,
    rows: &RecordBatch,
    meeting: Meeting,
) -> Result<u64> {
    let schema = table.schema.as_ref();
    table.require_owner(rows)?;
    let into = identifier(&shape.name);
    let mut sql = insert_into(&into, shape, schema)?;
    sql += &format!(" VALUES ({})", vec!["?"; schema.columns().len()].join(", "));
    let mut guard = Filter::all();
    if meeting == Meeting::Overwrite {
        sql += &overwrite(shape, schema)?;
        if let Some(owner) = guarding(table) {
            guard = guard.owned(shape, schema, owner)?;
            sql += &guard.sql();
        }
    }
    let writing = || failed(format!("cannot write to {}", shape.name));
    let mut statement = connection.prepare_cached(&sql).map_err(writing())?;
    guard.bind(&mut statement, schema.columns().len() + 1)?;
    let may_stand = meeting == Meeting::Overwrite && only_key(schema);
    let cells = cells(shape, schema, rows)?;
    for row in 0..rows.num_rows() {
        bind_row(&mut statement, &cells, row, shape, schema)?;
        let written = statement.raw_execute().map_err(writing())?;
        if written == 0 && !may_stand {
            return Err(if guard.is_all() { ignored(shape) } else { foreign(shape) });
        }
    }
    Ok(rows.num_rows() as u64)
}

/// Overwrites cells of the (owner's) rows that are there; returns how many are.
pub(super) fn update(
    connection: &Connection,
    table: &TargetTable,
    shape: &TableShape,
    rows: &RecordBatch,
) -> Result<u64> {
    let schema = table.schema.as_ref();
    table.require_owner(rows)?;
    let (mut set, mut same) = (Vec::new(), Vec::new());
    for (i, column) in schema.columns().iter().enumerate() {
        let found = shape.require(&column.name)?;
        let is_key = schema.key().contains(&i);
        if is_key {
            same.push(format!("{} = ?{}", compared(found), i + 1));
        }
        if !is_key || only_key(schema) {
            set.push(format!("{} = ?{}", identifier(&found.name), i + 1));
        }
    }
    if same.is_empty() {
        return Err(Error::invalid(format!("table {} has no key to write by", shape.name)));
    }
    let mut owned = Filter::all();
    if let Some(owner) = &table.owner {
        owned = owned.owned(shape, schema, owner)?;
    }
    let writing = || failed(format!("cannot write to {}", shape.name));
    let sql = format!(
        "UPDATE {} AS t SET {} WHERE {}{}",
        identifier(&shape.name),
        set.join(", "),
        same.join(" AND "),
        owned.and_sql()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(writing())?;
    owned.bind(&mut statement, schema.columns().len() + 1)?;
    let cells = cells(shape, schema, rows)?;
    let mut affected = 0;
    for row in 0..rows.num_rows() {
        bind_row(&mut statement, &cells, row, shape, schema)?;
        affected += statement.raw_execute().map_err(writing())? as u64;
    }
    Ok(affected)
}

/// Deletes rows by key; a row of another owner is refused, one that is not there is not.
pub(super) fn delete(
    connection: &Connection,
    table: &TargetTable,
    shape: &TableShape,
    keys: &RecordBatch,
) -> Result<u64> {
    let key = table.schema.key_schema();
    if key.columns().is_empty() {
        return Err(Error::invalid(format!("table {} has no key to delete by", shape.name)));
    }
    let mut conditions = Vec::new();
    for column in key.columns() {
        conditions.push(format!("{} = ?", compared(shape.require(&column.name)?)));
    }
    let condition = conditions.join(" AND ");
    let mut owned = Filter::all();
    if let Some(owner) = &table.owner {
        owned = owned.owned(shape, &table.schema, owner)?;
    }
    let name = identifier(&shape.name);
    let deleting = || failed(format!("cannot delete from {}", shape.name));
    let sql = format!("DELETE FROM {name} AS t WHERE {condition}{}", owned.and_sql());
    let mut statement = connection.prepare_cached(&sql).map_err(deleting())?;
    owned.bind(&mut statement, key.columns().len() + 1)?;
    let sql = format!("SELECT 1 FROM {name} AS t WHERE {condition}");
    let mut look = connection.prepare_cached(&sql).map_err(deleting())?;
    let cells = cells(shape, &key, keys)?;
    let mut affected = 0;
    for row in 0..keys.num_rows() {
        bind_row(&mut statement, &cells, row, shape, &key)?;
        let gone = statement.raw_execute().map_err(deleting())?;
        affected += gone as u64;
        if gone == 0 && table.owner.is_some() {
            bind_row(&mut look, &cells, row, shape, &key)?;
            if look.raw_query().next().map_err(deleting())?.is_some() {
                return Err(foreign(shape));
            }
        }
    }
    Ok(affected)
}

/// `INSERT INTO name AS t (columns)`; `into` is quoted already.
pub(super) fn insert_into(into: &str, shape: &TableShape, schema: &TableSchema) -> Result<String> {
    let mut columns = Vec::new();
    for column in schema.columns() {
        columns.push(shape.require(&column.name)?.name.as_str());
    }
    Ok(format!("INSERT INTO {into} AS t ({})", identifiers(columns)))
}

/// What happens to a row with the same key: the flow's columns are overwritten, others keep what they hold.
pub(super) fn overwrite(shape: &TableShape, schema: &TableSchema) -> Result<String> {
    if schema.key().is_empty() {
        return Err(Error::invalid(format!("table {} has no key to write by", shape.name)));
    }
    let mut set = Vec::new();
    for (i, column) in schema.columns().iter().enumerate() {
        if !schema.key().contains(&i) {
            let name = identifier(&shape.require(&column.name)?.name);
            set.push(format!("{name} = excluded.{name}"));
        }
    }
    let action = if set.is_empty() {
        "NOTHING".to_string()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    Ok(format!(" ON CONFLICT ({}) DO {action}", identifiers(schema.key_names())))
}

/// The owner, where rows of different owners can share a key.
pub(super) fn guarding(table: &TargetTable) -> Option<&Owner> {
    table.owner.as_ref().filter(|owner| table.schema.key_names().all(|name| name != owner.column))
}

/// A batch's columns in the forms that the table stores.
pub(super) fn cells(
    shape: &TableShape,
    schema: &TableSchema,
    rows: &RecordBatch,
) -> Result<Vec<Cells>> {
    let types = |schema: &arrow::datatypes::Schema| {
        schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
    };
    if types(rows.schema_ref()) != types(schema.images()) {
        return Err(Error::internal(format!(
            "rows for {} have other columns than the flow declares",
            shape.name
        )));
    }
    schema
        .columns()
        .iter()
        .zip(rows.columns())
        .map(|(column, array)| {
            let affinity = shape.require(&column.name)?.affinity;
            let form = form(column.ty, affinity).ok_or_else(|| {
                Error::invalid(format!(
                    "column {}.{} cannot hold every {} exactly",
                    shape.name, column.name, column.ty
                ))
            })?;
            Ok(Cells::new(array.as_ref(), form))
        })
        .collect()
}

/// Binds the cells of a row to the first parameters.
pub(super) fn bind_row(
    statement: &mut Statement<'_>,
    cells: &[Cells],
    row: usize,
    shape: &TableShape,
    schema: &TableSchema,
) -> Result<()> {
    for (i, cell) in cells.iter().enumerate() {
        cell.bind(statement, i + 1, row).map_err(|unbound| match unbound {
            Unbound::Unfit(why) => Error::refused(format!(
                "a cell of {}.{} cannot be stored exactly",
                shape.name,
                schema.columns()[i].name
            ))
            .found(format!("it {why}")),
            Unbound::Failed(error) => failed(format!("cannot write to {}", shape.name))(error),
        })?;
    }
    Ok(())
}

/// Whether a row is its key and nothing else, so that one that is there stands as it is.
pub(super) fn only_key(schema: &TableSchema) -> bool {
    schema.columns().len() == schema.key().len()
}

/// An application's trigger said `RAISE(IGNORE)`: the row would be lost without a word.
pub(super) fn ignored(shape: &TableShape) -> Error {
    Error::refused(format!("{} did not take a row", shape.name))
        .found("a trigger of the application ignored it")
}

fn foreign(shape: &TableShape) -> Error {
    Error::refused(format!("a row of {} belongs to another owner", shape.name))
        .effect("it was not touched")
}
