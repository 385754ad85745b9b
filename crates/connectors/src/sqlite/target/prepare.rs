//! Tables that flows write: created when missing, widened by nullable columns, refused when they do not fit.
//!
//! A table that is there may be declared otherwise than we would; what counts is that every value can be stored
//! in it and read back as it was, and that its key is a key by bytes.

use super::super::catalogue::{OURS, TableShape, shape};
use super::super::error::failed;
use super::super::form::{form, ordered};
use super::super::names::{identifier, identifiers};
use super::super::types::declaration;
use change::{Column, ColumnType, TableSchema};
use connect::target::TargetTable;
use connect::{Error, Result, State};
use rusqlite::Connection;

/// Makes a table ready to be written; the caller holds the write lock.
pub(super) fn prepare(connection: &Connection, table: &TargetTable) -> Result<()> {
    let schema = table.schema.as_ref();
    if let Some(owner) = &table.owner
        && schema.index_of(&owner.column).is_none()
    {
        return Err(Error::invalid(format!(
            "owner column {} is no column of target table {}",
            owner.column, table.name
        )));
    }
    let lower = table.name.to_ascii_lowercase();
    if lower.starts_with(OURS) || lower.starts_with("sqlite_") {
        return Err(Error::invalid(format!("{} is no name for a target table", table.name))
            .found(format!("names that begin with {OURS} or sqlite_ are taken")));
    }
    match shape(connection, &table.name)? {
        None => create(connection, &table.name, schema),
        Some(there) => fit(connection, &there, schema),
    }
}

fn create(connection: &Connection, name: &str, schema: &TableSchema) -> Result<()> {
    for &place in schema.key() {
        let column = &schema.columns()[place];
        let affinity = super::super::types::Affinity::of(&declaration(column.ty));
        if !ordered(column.ty, affinity) {
            return Err(unsorted(name, column));
        }
    }
    let mut parts: Vec<String> = schema
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| declared(column, schema.key().contains(&i)))
        .collect();
    let mut rowid = "";
    if !schema.key().is_empty() {
        parts.push(format!("PRIMARY KEY ({})", identifiers(schema.key_names())));
        if !is_rowid(schema) {
            // One tree instead of two: writes touch fewer pages, and reading by key needs no second look-up.
            rowid = " WITHOUT ROWID";
        }
    }
    let sql =
        format!("CREATE TABLE {} (\n    {}\n){rowid}", identifier(name), parts.join(",\n    "));
    connection.execute_batch(&sql).map_err(failed(format!("cannot create target table {name}")))
}

/// A single integer key is the rowid itself.
fn is_rowid(schema: &TableSchema) -> bool {
    matches!(schema.key(), [only] if schema.columns()[*only].ty == ColumnType::Int64)
}

fn declared(column: &Column, in_key: bool) -> String {
    let mut sql = identifier(&column.name);
    let ty = declaration(column.ty);
    if !ty.is_empty() {
        sql = format!("{sql} {ty}");
    }
    if in_key || !column.nullable {
        sql += " NOT NULL";
    }
    sql
}

fn fit(connection: &Connection, there: &TableShape, wanted: &TableSchema) -> Result<()> {
    check_key(there, wanted)?;
    let mut missing = Vec::new();
    for (i, column) in wanted.columns().iter().enumerate() {
        let Some(found) = there.column(&column.name) else {
            missing.push((i, column));
            continue;
        };
        if found.generated {
            return Err(blocked(there, format!("column {} is computed by SQLite", column.name)));
        }
        if form(column.ty, found.affinity).is_none() {
            return Err(blocked(
                there,
                format!(
                    "column {} is declared {:?}, which cannot hold every {} exactly",
                    column.name, found.declared, column.ty
                ),
            ));
        }
    }
    for column in &there.columns {
        let written = wanted.columns().iter().any(|c| c.name.eq_ignore_ascii_case(&column.name));
        if !written && !column.optional {
            return Err(blocked(
                there,
                format!("column {} may not be null and the flow does not write it", column.name),
            ));
        }
    }
    for (i, column) in missing {
        if wanted.key().contains(&i) || !column.nullable {
            return Err(blocked(
                there,
                format!("column {} is missing and may not be null", column.name),
            ));
        }
        let sql = format!(
            "ALTER TABLE {} ADD COLUMN {}",
            identifier(&there.name),
            declared(column, false)
        );
        connection.execute_batch(&sql).map_err(failed(format!(
            "cannot add column {} to target table {}",
            column.name, there.name
        )))?;
    }
    Ok(())
}

fn check_key(there: &TableShape, wanted: &TableSchema) -> Result<()> {
    let key: Vec<&str> = wanted.key_names().collect();
    for &place in wanted.key() {
        let column = &wanted.columns()[place];
        let Some(found) = there.column(&column.name) else { continue };
        if !found.binary && matches!(column.ty, ColumnType::Text | ColumnType::Any) {
            return Err(blocked(
                there,
                format!("key column {} does not compare by bytes (COLLATE)", column.name),
            ));
        }
        if !ordered(column.ty, found.affinity) {
            return Err(unsorted(&there.name, column));
        }
    }
    if key.is_empty() || there.is_unique(&key) {
        return Ok(());
    }
    Err(blocked(there, format!("the key is another: no unique index on ({})", key.join(", "))))
}

fn unsorted(table: &str, column: &Column) -> Error {
    Error::invalid(format!("key column {table}.{} cannot be a {}", column.name, column.ty))
        .state(State::SchemaBlocked)
        .effect("SQLite would store digits in text, which do not sort as numbers")
        .fix("use at most 15 digits in a key, or a text key")
}

fn blocked(there: &TableShape, why: String) -> Error {
    Error::invalid(format!("target table {} does not fit", there.name))
        .found(why)
        .state(State::SchemaBlocked)
        .effect("nothing was written")
        .fix("change the table, or the columns and key of the flow")
}
