//! Shapes of the tables that transactions write, read once and again when the database's schema has changed.

use super::super::catalogue::{TableShape, require_shape};
use super::super::error::failed;
use connect::Result;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// Shapes by the name that flows use.
#[derive(Default)]
pub(super) struct Shapes {
    version: i64,
    known: HashMap<String, Arc<TableShape>>,
}

impl Shapes {
    /// Forgets everything when the schema is another than last time. The caller holds the write lock, so it
    /// stays as it is from here.
    pub(super) fn refresh(&mut self, connection: &Connection) -> Result<()> {
        let version: i64 = connection
            .prepare_cached("PRAGMA schema_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failed("cannot read the schema's version"))?;
        if version != self.version {
            self.known.clear();
            self.version = version;
        }
        Ok(())
    }

    /// The shape of a table.
    pub(super) fn of(&mut self, connection: &Connection, table: &str) -> Result<Arc<TableShape>> {
        if let Some(shape) = self.known.get(table) {
            return Ok(shape.clone());
        }
        let shape = Arc::new(require_shape(connection, table)?);
        self.known.insert(table.to_string(), shape.clone());
        Ok(shape)
    }
}
