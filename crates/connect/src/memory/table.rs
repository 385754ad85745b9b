//! Rows in memory, ordered by key, with an undo list: what the memory source and the memory target both stand on.
//!
//! Writes go into the tables at once; a reader gets the tables as they were when the undo list was begun. So a
//! dropped transaction costs only what it wrote, and a cut costs nothing while no transaction is open.

use super::order::OrderedKey;
use crate::error::{Error, Result, State};
use crate::read::Scan;
use arrow::array::RecordBatch;
use change::value::{WrongType, batch};
use change::{TableSchema, Value};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Cells of one row, in the order of its table's columns.
pub(super) type Row = Arc<Vec<Value>>;

/// Rows handed to a sink at once.
const BATCH_ROWS: usize = 1024;

/// One table. Rows of a table without a key are numbered in the order they came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub(super) schema: Arc<TableSchema>,
    pub(super) rows: BTreeMap<OrderedKey, Row>,
    next_number: i64,
}

impl Table {
    pub(super) fn new(schema: Arc<TableSchema>) -> Self {
        Table { schema, rows: BTreeMap::new(), next_number: 0 }
    }

    /// The key of a row; a fresh number where the table has none.
    pub(super) fn key_of(&mut self, row: &[Value]) -> OrderedKey {
        if self.schema.key().is_empty() {
            self.next_number += 1;
            return OrderedKey(vec![Value::Int(self.next_number)]);
        }
        OrderedKey(self.schema.key().iter().map(|&i| row[i].clone()).collect())
    }

    /// Whether a row may stand in this table by the rules of its columns.
    pub(super) fn fits(&self, name: &str, row: &[Value]) -> Result<()> {
        assert_eq!(row.len(), self.schema.columns().len(), "a row has a cell for each column");
        for (i, (cell, column)) in row.iter().zip(self.schema.columns()).enumerate() {
            let required = !column.nullable || self.schema.key().contains(&i);
            if required && *cell == Value::Null {
                return Err(Error::refused(format!("{name}.{} may not be null", column.name)));
            }
        }
        Ok(())
    }

    /// Takes the shape of `schema`; columns that are new read as null in the rows that are there.
    pub(super) fn reshape(&mut self, schema: Arc<TableSchema>) {
        let places: Vec<Option<usize>> =
            schema.columns().iter().map(|c| self.schema.index_of(&c.name)).collect();
        for row in self.rows.values_mut() {
            let cells = places.iter().map(|p| p.map_or(Value::Null, |p| row[p].clone()));
            *row = Arc::new(cells.collect());
        }
        self.schema = schema;
    }

    /// Passes rows to a sink as [`crate::read::Cut::read`] promises.
    pub(super) fn scan(
        &self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let rows = self.select(scan)?;
        for part in rows.chunks(BATCH_ROWS) {
            sink(batch(&scan.schema, part).map_err(|e| wrong_type(&scan.table, &e))?)?;
        }
        Ok(rows.len() as u64)
    }

    fn select(&self, scan: &Scan) -> Result<Vec<Vec<Value>>> {
        let place = |name: &str| {
            self.schema
                .index_of(name)
                .ok_or_else(|| Error::invalid(format!("table {} has no column {name}", scan.table)))
        };
        let columns = scan.schema.columns().iter().map(|c| place(&c.name));
        let columns: Vec<usize> = columns.collect::<Result<_>>()?;
        let owner = match &scan.owner {
            Some(owner) => Some((place(&owner.column)?, &owner.value)),
            None => None,
        };
        let keyless = scan.schema.key().is_empty();
        let (after, upto) = (scan.range.after.as_ref(), scan.range.upto.as_ref());
        if keyless && (after.is_some() || upto.is_some()) {
            return Err(Error::invalid(format!("table {} has no key to range by", scan.table)));
        }
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(OrderedKey::from(key)));
        let to = upto.map_or(Bound::Unbounded, |key| Bound::Included(OrderedKey::from(key)));
        if is_empty_range(&from, &to) {
            return Ok(Vec::new());
        }
        let owned = |row: &Row| owner.is_none_or(|(i, value)| row[i] == *value);
        let project = |row: &Row| columns.iter().map(|&i| row[i].clone()).collect::<Vec<_>>();
        let most = scan.limit.unwrap_or(usize::MAX);
        if keyless || scan.schema.key_names().eq(self.schema.key_names()) {
            let range = self.rows.range((from, to)).map(|(_, row)| row);
            return Ok(range.filter(|row| owned(row)).take(most).map(project).collect());
        }
        let mut sorted: Vec<(OrderedKey, Vec<Value>)> = self
            .rows
            .values()
            .filter(|row| owned(row))
            .map(project)
            .map(|row| {
                (OrderedKey(scan.schema.key().iter().map(|&i| row[i].clone()).collect()), row)
            })
            .filter(|(key, _)| std::ops::RangeBounds::contains(&(from.clone(), to.clone()), key))
            .collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(sorted.into_iter().take(most).map(|(_, row)| row).collect())
    }
}

/// Whether nothing can lie between two bounds, in which case a map must not be asked.
fn is_empty_range(from: &Bound<OrderedKey>, to: &Bound<OrderedKey>) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}

/// A cell of another type than its column, without the cell: values never stand in messages.
pub(super) fn wrong_type(table: &str, wrong: &WrongType) -> Error {
    Error::refused(format!("a value of table {table} is no {}", wrong.ty))
}

/// One row as it was before a write.
#[derive(Clone, Debug, PartialEq)]
struct Before {
    table: String,
    key: OrderedKey,
    row: Option<Row>,
}

/// Tables by name, and how to take back what an open transaction wrote into them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tables {
    by_name: BTreeMap<String, Arc<Table>>,
    undo: Vec<Before>,
}

impl Tables {
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<&Table> {
        self.by_name.get(name).map(AsRef::as_ref).ok_or_else(|| no_table(name))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Table> {
        self.by_name.get(name).map(AsRef::as_ref)
    }

    /// A table to be created or reshaped; rows are changed by [`Tables::put`] and [`Tables::remove`] only.
    pub(super) fn define(&mut self, name: &str, schema: Arc<TableSchema>) {
        match self.by_name.get_mut(name) {
            Some(table) => Arc::make_mut(table).reshape(schema),
            None => {
                self.by_name.insert(name.to_string(), Arc::new(Table::new(schema)));
            }
        }
    }

    /// Writes a row under its key and returns the row that was there.
    pub(super) fn put(&mut self, name: &str, row: Row) -> Result<Option<Row>> {
        let table = Arc::make_mut(self.by_name.get_mut(name).ok_or_else(|| no_table(name))?);
        let key = table.key_of(&row);
        let before = table.rows.insert(key.clone(), row);
        self.undo.push(Before { table: name.to_string(), key, row: before.clone() });
        Ok(before)
    }

    /// Removes the row under a key and returns it.
    pub(super) fn remove(&mut self, name: &str, key: &OrderedKey) -> Result<Option<Row>> {
        let table = Arc::make_mut(self.by_name.get_mut(name).ok_or_else(|| no_table(name))?);
        let before = table.rows.remove(key);
        if before.is_some() {
            let (table, key) = (name.to_string(), key.clone());
            self.undo.push(Before { table, key, row: before.clone() });
        }
        Ok(before)
    }

    /// A place to roll back to.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back everything written since the mark.
    pub(super) fn roll_back(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let Some(before) = self.undo.pop() else { break };
            let table = self.by_name.get_mut(&before.table).expect("tables are never dropped");
            let rows = &mut Arc::make_mut(table).rows;
            match before.row {
                Some(row) => rows.insert(before.key, row),
                None => rows.remove(&before.key),
            };
        }
    }

    /// Makes what was written final.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Makes final what was written into other tables than this: a planted defect.
    pub(super) fn keep_others(&mut self, name: &str) {
        if self.undo.iter().any(|before| before.table != name) {
            self.undo.clear();
        }
    }

    /// The tables without what an open transaction wrote.
    pub(super) fn committed(&self) -> Tables {
        let mut tables = self.clone();
        tables.roll_back(0);
        tables
    }
}

fn no_table(name: &str) -> Error {
    Error::invalid(format!("there is no table {name}"))
}

/// Something that stops a flow until a schema is changed.
pub(super) fn blocked(what: String) -> Error {
    Error::invalid(what)
        .state(State::SchemaBlocked)
        .effect("nothing was changed; the flow stops before this schema")
        .fix("change the target table, or give the flow another one")
}
