//! One table that can be captured: its shape, its keys, and what the application's own triggers may do to it.
//!
//! Refused here, before anything is installed: views, tables without a declared key, rows whose key holds a null.

use super::super::catalogue::{OURS, TableShape, require_shape};
use super::super::error::failed;
use super::super::names::identifier;
use super::keys::{UniqueKey, unique_keys};
use super::sql::runs_after;
use change::TableSchema;
use connect::{Error, Result};
use rusqlite::Connection;
use std::sync::Arc;

/// Whether the application's triggers can write between our BEFORE trigger and the change of the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// They cannot: the table has none that run before.
    Closed,
    /// They can.
    Open,
}

/// A table to be captured.
pub(super) struct Subject {
    pub(super) shape: TableShape,
    pub(super) schema: Arc<TableSchema>,
    /// The primary key first.
    pub(super) keys: Vec<UniqueKey>,
    pub(super) window: Window,
    /// Columns that a row holds a value in without anyone writing it: by a default, or computed.
    pub(super) filled: Vec<String>,
    /// The newest trigger of the application, by its place in the schema; 0 for none.
    pub(super) newest_trigger: i64,
}

impl Subject {
    /// Reads a table's declaration; an error when it cannot be captured.
    pub(super) fn read(connection: &Connection, table: &str) -> Result<Subject> {
        let shape = require_shape(connection, table)?;
        require_table(connection, &shape)?;
        if shape.primary.is_empty() {
            return Err(Error::invalid(format!("table {} has no declared key", shape.name))
                .effect("its rows are told apart by the rowid alone, which VACUUM renumbers")
                .fix("declare a PRIMARY KEY, or leave the table out"));
        }
        require_no_update_cycle(connection, &shape.name)?;
        let schema = Arc::new(shape.schema()?);
        let keys = unique_keys(connection, &shape)?;
        let (window, newest_trigger) = application_triggers(connection, &shape.name)?;
        let filled = filled_columns(connection, &shape.name)?;
        Ok(Subject { shape, schema, keys, window, filled, newest_trigger })
    }

    /// The key that names rows.
    pub(super) fn primary(&self) -> &UniqueKey {
        &self.keys[0]
    }

    /// All columns, quoted.
    pub(super) fn columns(&self) -> Vec<String> {
        self.shape.columns.iter().map(|c| identifier(&c.name)).collect()
    }

    /// Refuses the table while rows have a null in their key.
    pub(super) fn require_no_null_keys(&self, connection: &Connection) -> Result<()> {
        let name = &self.shape.name;
        for &place in &self.shape.primary {
            let column = &self.shape.columns[place];
            if !column.nullable {
                continue;
            }
            let (table, cell) = (identifier(name), identifier(&column.name));
            let query = format!("SELECT * FROM {table} WHERE {cell} IS NULL");
            let found = connection
                .prepare(&query)
                .and_then(|mut statement| statement.exists([]))
                .map_err(failed(format!("cannot read table {name}")))?;
            if found {
                return Err(Error::invalid(format!(
                    "table {name} has rows with null in their key"
                ))
                .found(format!("column {}; see them with {query}", column.name))
                .effect("such a row cannot be told from others")
                .fix("fill the key column and declare it NOT NULL"));
            }
        }
        Ok(())
    }
}

fn require_table(connection: &Connection, shape: &TableShape) -> Result<()> {
    let kind: String = connection
        .prepare_cached("SELECT type FROM pragma_table_list(?1) WHERE schema = 'main'")
        .and_then(|mut s| s.query_row([&shape.name], |row| row.get(0)))
        .map_err(failed(format!("cannot describe table {}", shape.name)))?;
    let ours = shape.name.to_ascii_lowercase().starts_with(OURS);
    if kind == "table" && !ours {
        return Ok(());
    }
    let found =
        if ours { "it is bookkeeping of this engine".into() } else { format!("it is a {kind}") };
    Err(Error::invalid(format!("{} cannot be captured", shape.name))
        .found(found)
        .fix("name the tables that its rows come from"))
}

/// Foreign key actions run before AFTER triggers: a row that an action changes a second time would be recorded in
/// the wrong order.
fn require_no_update_cycle(connection: &Connection, table: &str) -> Result<()> {
    let cycle: bool = connection
        .prepare_cached(
            "WITH RECURSIVE edge (parent, child) AS (
                 SELECT lower(f.\"table\"), lower(m.name)
                 FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name) AS f
                 WHERE m.type = 'table' AND f.on_update IN ('CASCADE', 'SET NULL', 'SET DEFAULT')),
             reached (name) AS (
                 SELECT child FROM edge WHERE parent = lower(?1)
                 UNION SELECT child FROM edge JOIN reached ON edge.parent = reached.name)
             SELECT EXISTS (SELECT 1 FROM reached WHERE name = lower(?1))",
        )
        .and_then(|mut s| s.query_row([table], |row| row.get(0)))
        .map_err(failed(format!("cannot read the foreign keys of table {table}")))?;
    if !cycle {
        return Ok(());
    }
    Err(Error::invalid(format!("table {table} refers to itself with an ON UPDATE action"))
        .effect("a row that changes its own key would be recorded in the wrong order")
        .fix("declare the foreign key without ON UPDATE, or leave the table out"))
}

fn filled_columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    connection
        .prepare_cached(
            "SELECT name FROM pragma_table_xinfo(?1)
             WHERE hidden > 1 OR (dflt_value IS NOT NULL AND upper(dflt_value) <> 'NULL')",
        )
        .and_then(|mut s| s.query_map([table], |row| row.get(0))?.collect())
        .map_err(failed(format!("cannot describe table {table}")))
}

fn application_triggers(connection: &Connection, table: &str) -> Result<(Window, i64)> {
    let read = || -> rusqlite::Result<(Window, i64)> {
        let mut statement = connection.prepare_cached(
            "SELECT rowid, name, sql FROM sqlite_schema
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
        )?;
        let mut rows = statement.query([table])?;
        let (mut window, mut newest) = (Window::Closed, 0);
        while let Some(row) = rows.next()? {
            let (place, name, sql): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if name.starts_with(OURS) {
                continue;
            }
            newest = newest.max(place);
            if !runs_after(&sql) {
                window = Window::Open;
            }
        }
        Ok((window, newest))
    };
    read().map_err(failed(format!("cannot read the triggers of table {table}")))
}
