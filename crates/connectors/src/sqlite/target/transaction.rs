//! One open transaction of a target: rows of any number of tables, and the progress they stand for.

use super::super::book;
use super::super::catalogue::TableShape;
use super::super::error::failed;
use super::super::filter::{Filter, compared, require_order};
use super::super::names::identifier;
use super::lock::{WriteLock, attempt};
use super::shapes::Shapes;
use super::stage::storage_class;
use super::write::{Meeting, bind_row, cells, delete, put, update};
use arrow::array::RecordBatch;
use change::planted::{Defect, is_planted};
use change::{FlowId, Generation};
use connect::read::KeyRange;
use connect::target::{Fate, LaneProgress, LetterPlace, RowWork, TargetTable, TargetTransaction};
use connect::{Error, Kind, Result};
use rusqlite::Connection;

/// An open transaction; dropped, it rolls back.
pub(super) struct SqliteTransaction<'a> {
    pub(super) lock: WriteLock<'a>,
    pub(super) shapes: &'a mut Shapes,
    pub(super) flow: FlowId,
    pub(super) generation: Generation,
}

impl TargetTransaction for SqliteTransaction<'_> {
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        let connection = self.lock.connection();
        let shape = self.shapes.of(connection, &table.name)?;
        let run =
            |rows, meeting| attempt(connection, || put(connection, table, &shape, rows, meeting));
        match work {
            RowWork::Upsert(rows) => run(rows, Meeting::Overwrite),
            RowWork::Insert(rows) => match run(rows, Meeting::Refuse) {
                Err(refused) if refused.kind == Kind::Refused && has_key(table) => {
                    run(rows, Meeting::Overwrite)
                }
                outcome => outcome,
            },
            RowWork::Update(rows) => {
                attempt(connection, || update(connection, table, &shape, rows))
            }
            RowWork::Delete(keys) => {
                attempt(connection, || delete(connection, table, &shape, keys))
            }
        }
    }

    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64> {
        let connection = self.lock.connection();
        let shape = self.shapes.of(connection, &table.name)?;
        attempt(connection, || retain(connection, table, &shape, range, keep))
    }

    fn clear(&mut self, table: &TargetTable) -> Result<u64> {
        let connection = self.lock.connection();
        let shape = self.shapes.of(connection, &table.name)?;
        attempt(connection, || {
            let mut filter = Filter::all();
            if let Some(owner) =
                table.owner.as_ref().filter(|_| !is_planted(Defect::ClearOthersRows))
            {
                filter = filter.owned(&shape, &table.schema, owner)?;
            }
            let sql = format!("DELETE FROM {} AS t{}", identifier(&shape.name), filter.sql());
            execute(connection, &sql, &filter, &shape)
        })
    }

    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()> {
        book::record_letters(self.lock.connection(), self.flow, fates)
    }

    fn commit(self: Box<Self>, progress: &[LaneProgress]) -> Result<()> {
        let SqliteTransaction { lock, flow, generation, .. } = *self;
        if is_planted(Defect::ProgressApart) {
            let connection = lock.connection();
            lock.commit()?;
            let second = WriteLock::take(connection)?;
            book::advance(connection, flow, generation, progress)?;
            return second.commit();
        }
        book::advance(lock.connection(), flow, generation, progress)?;
        lock.commit()
    }
}

fn has_key(table: &TargetTable) -> bool {
    !table.schema.key().is_empty()
}

/// Runs a statement whose only parameters are those of a filter; returns rows affected.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    filter: &Filter,
    shape: &TableShape,
) -> Result<u64> {
    let writing = || failed(format!("cannot write to {}", shape.name));
    let mut statement = connection.prepare_cached(sql).map_err(writing())?;
    filter.bind(&mut statement, 1)?;
    let affected = statement.raw_execute().map_err(writing())?;
    Ok(affected as u64)
}

const KEEP: &str = "temp._seamount_keep";

/// Deletes what lies in the range and is not kept; the kept keys stand in a table of their own for a moment.
fn retain(
    connection: &Connection,
    table: &TargetTable,
    shape: &TableShape,
    range: &KeyRange,
    keep: &RecordBatch,
) -> Result<u64> {
    let key = table.schema.key_schema();
    if key.columns().is_empty() {
        return Err(Error::invalid(format!("table {} has no key to sweep by", shape.name)));
    }
    require_order(shape, &table.schema)?;
    let mut filter = Filter::all();
    if let Some(owner) = &table.owner {
        filter = filter.owned(shape, &table.schema, owner)?;
    }
    filter = filter.within(shape, &table.schema, range)?;
    let (mut columns, mut same) = (Vec::new(), Vec::new());
    for (i, column) in key.columns().iter().enumerate() {
        let found = shape.require(&column.name)?;
        columns.push(format!("k{i} {} NOT NULL", storage_class(found.affinity)));
        same.push(format!("s.k{i} = {}", compared(found)));
    }
    let places: Vec<String> = (0..columns.len()).map(|i| format!("k{i}")).collect();
    let sweeping = || failed(format!("cannot sweep {}", shape.name));
    connection
        .execute_batch(&format!(
            "CREATE TABLE {KEEP} ({}, PRIMARY KEY ({})) WITHOUT ROWID",
            columns.join(", "),
            places.join(", ")
        ))
        .map_err(sweeping())?;
    fill(connection, shape, &key, keep)?;
    let sql = format!(
        "DELETE FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {KEEP} AS s WHERE {}){}",
        identifier(&shape.name),
        same.join(" AND "),
        filter.and_sql()
    );
    let affected = execute(connection, &sql, &filter, shape)?;
    connection.execute_batch(&format!("DROP TABLE {KEEP}")).map_err(sweeping())?;
    Ok(affected)
}

fn fill(
    connection: &Connection,
    shape: &TableShape,
    key: &change::TableSchema,
    keep: &RecordBatch,
) -> Result<()> {
    let sweeping = || failed(format!("cannot sweep {}", shape.name));
    let sql = format!(
        "INSERT OR IGNORE INTO {KEEP} VALUES ({})",
        vec!["?"; key.columns().len()].join(", ")
    );
    let mut statement = connection.prepare(&sql).map_err(sweeping())?;
    let cells = cells(shape, key, keep)?;
    for row in 0..keep.num_rows() {
        bind_row(&mut statement, &cells, row, shape, key)?;
        statement.raw_execute().map_err(sweeping())?;
    }
    Ok(())
}
