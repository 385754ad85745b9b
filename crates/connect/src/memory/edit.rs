//! What a transaction at a source does, in words that every kind of system can be told.
//!
//! Tests and conformance harnesses speak these words; the memory source carries them out itself.

use change::{Key, Value};

/// One statement of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// A row comes to be. All columns, in the table's order.
    Insert {
        /// The table.
        table: String,
        /// Its cells.
        row: Vec<Value>,
    },
    /// The row under a key becomes another, perhaps under another key.
    Update {
        /// The table.
        table: String,
        /// The key before.
        key: Key,
        /// All cells after.
        row: Vec<Value>,
    },
    /// The row under a key goes.
    Delete {
        /// The table.
        table: String,
        /// Its key.
        key: Key,
    },
    /// All rows of a table go.
    Truncate {
        /// The table.
        table: String,
    },
}

impl Edit {
    /// A row comes to be.
    pub fn insert(table: &str, row: impl Into<Vec<Value>>) -> Self {
        Edit::Insert { table: table.into(), row: row.into() }
    }

    /// The row under a key becomes another.
    pub fn update(table: &str, key: impl Into<Vec<Value>>, row: impl Into<Vec<Value>>) -> Self {
        Edit::Update { table: table.into(), key: Key(key.into()), row: row.into() }
    }

    /// The row under a key goes.
    pub fn delete(table: &str, key: impl Into<Vec<Value>>) -> Self {
        Edit::Delete { table: table.into(), key: Key(key.into()) }
    }

    /// All rows of a table go.
    pub fn truncate(table: &str) -> Self {
        Edit::Truncate { table: table.into() }
    }
}
