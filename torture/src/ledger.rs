//! What a store's tables hold, kept beside the database by whoever wrote there: the oracle's own book. It is brought
//! forward only by transactions whose commit was answered, and it shares no code with the engine.
//!
//! A cell is kept as SQLite's `quote()` spells it, so that types are compared with values.

use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// A table of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// One half of a booking.
    Debit,
    /// The other half.
    Credit,
    /// Articles, in a flow of their own.
    Stock,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Table; 3] = [Table::Debit, Table::Credit, Table::Stock];

    /// Its name, at the store and at the centre.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Debit => "debit",
            Table::Credit => "credit",
            Table::Stock => "stock",
        }
    }

    /// Its columns but for the store's name; the key comes first.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Debit | Table::Credit => &["id", "amount", "booked"],
            Table::Stock => &["sku", "qty", "note", "price"],
        }
    }

    /// Whether the store's own table has a column with the store's name.
    pub(crate) fn names_its_store(self) -> bool {
        self != Table::Stock
    }
}

/// A row without its key, as literals.
pub(crate) type Row = Vec<String>;

/// The rows of one table of one store, by the literal of their key.
pub(crate) type Rows = BTreeMap<String, Row>;

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new row.
    Insert(Table, String, Row),
    /// A new row, or the same key overwritten by `ON CONFLICT DO UPDATE`.
    Upsert(Table, String, Row),
    /// A new row, or the same key overwritten by `INSERT OR REPLACE`.
    Replace(Table, String, Row),
    /// Other values under the same key.
    Update(Table, String, Row),
    /// The row under another key, which is free.
    Move(Table, String, String),
    /// The row goes.
    Delete(Table, String),
}

impl Change {
    /// The statement that makes it at a store.
    pub(crate) fn sql(&self, store: &str) -> String {
        match self {
            Change::Insert(table, key, row) => insert("INSERT", *table, store, key, row),
            Change::Replace(table, key, row) => {
                insert("INSERT OR REPLACE", *table, store, key, row)
            }
            Change::Upsert(table, key, row) => {
                let target = if table.names_its_store() {
                    format!("store, {}", table.columns()[0])
                } else {
                    table.columns()[0].to_string()
                };
                format!(
                    "{} ON CONFLICT ({target}) DO UPDATE SET {}",
                    insert("INSERT", *table, store, key, row),
                    assignments(*table, row)
                )
            }
            Change::Update(table, key, row) => {
                let (name, id) = (table.name(), table.columns()[0]);
                format!("UPDATE {name} SET {} WHERE {id} = {key}", assignments(*table, row))
            }
            Change::Move(table, from, to) => {
                let (name, id) = (table.name(), table.columns()[0]);
                format!("UPDATE {name} SET {id} = {to} WHERE {id} = {from}")
            }
            Change::Delete(table, key) => {
                format!("DELETE FROM {} WHERE {} = {key}", table.name(), table.columns()[0])
            }
        }
    }
}

fn insert(verb: &str, table: Table, store: &str, key: &str, row: &Row) -> String {
    let (mut columns, mut values) = (table.columns().join(", "), vec![key.to_string()]);
    values.extend(row.iter().cloned());
    if table.names_its_store() {
        columns = format!("store, {columns}");
        values.insert(0, text(store));
    }
    format!("{verb} INTO {} ({columns}) VALUES ({})", table.name(), values.join(", "))
}

fn assignments(table: Table, row: &Row) -> String {
    let set: Vec<String> =
        table.columns()[1..].iter().zip(row).map(|(c, v)| format!("{c} = {v}")).collect();
    set.join(", ")
}

/// The literal of a text.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The literal of a number of halves, stored as a real.
pub(crate) fn halves(halves: i64) -> String {
    format!("{:.1}", halves as f64 / 2.0)
}

/// All rows of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    tables: BTreeMap<Table, Rows>,
    /// Transactions whose commit was answered.
    pub(crate) committed: u64,
}

impl Ledger {
    /// The rows of a table.
    pub(crate) fn rows(&self, table: Table) -> &Rows {
        static NONE: Rows = Rows::new();
        self.tables.get(&table).unwrap_or(&NONE)
    }

    /// Takes the changes of a transaction; all or none of them.
    ///
    /// # Errors
    /// A change does not fit the rows: the workload is wrong, not the engine.
    pub(crate) fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let mut after = self.tables.clone();
        for change in changes {
            apply(&mut after, change)?;
        }
        self.tables = after;
        self.committed += 1;
        Ok(())
    }

    /// Those of the changes that fit one after the other; a change that an earlier one has made impossible is dropped.
    pub(crate) fn fitting(&self, changes: Vec<Change>) -> Vec<Change> {
        let mut trial = self.tables.clone();
        changes.into_iter().filter(|change| apply(&mut trial, change).is_ok()).collect()
    }

    /// Sets the rows of a table: what an image of a database holds.
    pub(crate) fn set(&mut self, table: Table, rows: Rows) {
        self.tables.insert(table, rows);
    }
}

fn fits(rows: &Rows, change: &Change) -> bool {
    match change {
        Change::Insert(_, key, _) => !rows.contains_key(key),
        Change::Upsert(..) | Change::Replace(..) => true,
        Change::Update(_, key, _) | Change::Delete(_, key) => rows.contains_key(key),
        Change::Move(_, from, to) => rows.contains_key(from) && !rows.contains_key(to),
    }
}

fn apply(tables: &mut BTreeMap<Table, Rows>, change: &Change) -> Result<()> {
    let (Change::Insert(table, ..)
    | Change::Upsert(table, ..)
    | Change::Replace(table, ..)
    | Change::Update(table, ..)
    | Change::Move(table, ..)
    | Change::Delete(table, ..)) = change;
    let rows = tables.entry(*table).or_default();
    if !fits(rows, change) {
        bail!("the workload made a change that does not fit: {change:?}");
    }
    match change {
        Change::Insert(_, key, row)
        | Change::Upsert(_, key, row)
        | Change::Replace(_, key, row)
        | Change::Update(_, key, row) => {
            rows.insert(key.clone(), row.clone());
        }
        Change::Delete(_, key) => {
            rows.remove(key);
        }
        Change::Move(_, from, to) => {
            if let Some(row) = rows.remove(from) {
                rows.insert(to.clone(), row);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_and_sqlite_agree() {
        let row = |n: i64| vec![n.to_string(), "NULL".to_string(), halves(3)];
        let key = text("it's");
        let changes = [
            Change::Insert(Table::Stock, key.clone(), row(1)),
            Change::Upsert(Table::Stock, key.clone(), row(2)),
            Change::Replace(Table::Stock, text("b"), row(3)),
            Change::Update(Table::Stock, text("b"), row(4)),
            Change::Move(Table::Stock, key.clone(), text("c")),
            Change::Insert(Table::Debit, "7".into(), vec!["-1".into(), "2".into()]),
            Change::Delete(Table::Stock, text("b")),
        ];
        let database = rusqlite::Connection::open_in_memory().unwrap();
        database.execute_batch(crate::world::STORE_TABLES).unwrap();
        for change in &changes {
            assert_eq!(database.execute(&change.sql("paris"), []).unwrap(), 1, "{change:?}");
        }
        let mut ledger = Ledger::default();
        ledger.commit(&changes).unwrap();
        for table in Table::ALL {
            let found = crate::oracle::rows_of(&database, table, None).unwrap();
            assert_eq!(&found, ledger.rows(table), "{table:?}");
        }
        assert!(ledger.commit(&[Change::Delete(Table::Stock, key)]).is_err());
        assert_eq!(ledger.committed, 1);
    }
}
