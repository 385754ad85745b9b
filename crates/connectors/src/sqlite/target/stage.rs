//! Staged rows of runs: tables of our own, with the storage rules of the tables they are meant for.
//!
//! `_seamount_stage` says which run has staged what for which table; a stage table without an entry there does
//! not exist, both are made and dropped in one transaction.

use super::super::catalogue::{has_table, require_shape};
use super::super::error::failed;
use super::super::names::identifier;
use super::super::read::scan_table;
use super::super::types::Affinity;
use super::write::{Meeting, put};
use arrow::array::RecordBatch;
use change::{RunId, TableSchema};
use connect::read::Scan;
use connect::target::TargetTable;
use connect::{Error, Result};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// One table's stage in a run.
pub(super) struct Stage {
    /// The stage table.
    pub(super) name: String,
    /// The table its rows are meant for.
    pub(super) target: String,
}

/// The stages of a run.
pub(super) fn of_run(connection: &Connection, run: RunId) -> Result<Vec<Stage>> {
    if !has_table(connection, "_seamount_stage")? {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<Stage>> {
        connection
            .prepare_cached(
                "SELECT number, target FROM _seamount_stage WHERE run = ?1 ORDER BY number",
            )?
            .query_map([run.to_i64()], |row| {
                Ok(Stage { name: stage_name(run, row.get(0)?), target: row.get(1)? })
            })?
            .collect()
    };
    read().map_err(failed("cannot read what is staged"))
}

/// Runs that have a stage.
pub(super) fn runs(connection: &Connection) -> Result<Vec<RunId>> {
    if !has_table(connection, "_seamount_stage")? {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<RunId>> {
        connection
            .prepare_cached("SELECT DISTINCT run FROM _seamount_stage ORDER BY run")?
            .query_map([], |row| row.get(0).map(RunId::from_i64))?
            .collect()
    };
    read().map_err(failed("cannot read what is staged"))
}

/// Adds rows to a run's stage; the caller holds the write lock.
pub(super) fn append(
    connection: &Connection,
    run: RunId,
    table: &TargetTable,
    rows: &RecordBatch,
) -> Result<()> {
    let stage = match find(connection, run, &table.name)? {
        Some(stage) => stage,
        None => create(connection, run, table)?,
    };
    let shape = require_shape(connection, &stage)?;
    put(connection, table, &shape, rows, Meeting::Refuse)
        .map(drop)
        .map_err(|e| e.at(format!("staging rows for {}", table.name)))
}

fn find(connection: &Connection, run: RunId, target: &str) -> Result<Option<String>> {
    connection
        .prepare_cached("SELECT number FROM _seamount_stage WHERE run = ?1 AND target = ?2")
        .and_then(|mut s| s.query_row(params![run.to_i64(), target], |row| row.get(0)).optional())
        .map(|number| number.map(|number| stage_name(run, number)))
        .map_err(failed("cannot read what is staged"))
}

fn stage_name(run: RunId, number: i64) -> String {
    format!("_seamount_stage_{run}_{number}")
}

fn create(connection: &Connection, run: RunId, table: &TargetTable) -> Result<String> {
    let shape = require_shape(connection, &table.name)?;
    let mut columns = Vec::new();
    for (i, column) in table.schema.columns().iter().enumerate() {
        let found = shape.require(&column.name)?;
        let required = table.schema.key().contains(&i) || !found.nullable;
        columns.push(format!(
            "{} {}{}",
            identifier(&column.name),
            storage_class(found.affinity),
            if required { " NOT NULL" } else { "" }
        ));
    }
    let write = || -> rusqlite::Result<String> {
        let number: i64 = connection
            .prepare_cached(
                "INSERT INTO _seamount_stage (run, number, target)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM _seamount_stage WHERE run = ?1
                 RETURNING number",
            )?
            .query_row(params![run.to_i64(), table.name], |row| row.get(0))?;
        let name = stage_name(run, number);
        connection.execute_batch(&format!(
            "CREATE TABLE {} ({})",
            identifier(&name),
            columns.join(", ")
        ))?;
        Ok(name)
    };
    write().map_err(failed(format!("cannot create a stage for {}", table.name)))
}

/// A declared type with exactly this affinity.
pub(super) fn storage_class(affinity: Affinity) -> &'static str {
    match affinity {
        Affinity::Integer => "INTEGER",
        Affinity::Numeric => "NUMERIC",
        Affinity::Real => "REAL",
        Affinity::Text => "TEXT",
        Affinity::Blob => "BLOB",
    }
}

/// Passes the staged rows of one table on, in the order they were staged.
pub(super) fn read(
    connection: &Connection,
    run: RunId,
    table: &TargetTable,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let stages = of_run(connection, run)?;
    if stages.is_empty() {
        return Err(Error::invalid(format!("nothing is staged under run {run}")));
    }
    let Some(stage) = stages.into_iter().find(|stage| stage.target == table.name) else {
        return Ok(0);
    };
    let shape = require_shape(connection, &stage.name)?;
    let unkeyed = unkeyed(&table.schema);
    scan_table(connection, &shape, &Scan::all(stage.name, unkeyed), sink)
}

fn unkeyed(schema: &Arc<TableSchema>) -> TableSchema {
    schema.with_key::<&str>(&[]).expect("a schema without a key is one")
}

/// Drops the stages of a run; the caller holds the write lock.
pub(super) fn discard(connection: &Connection, run: RunId) -> Result<()> {
    for stage in of_run(connection, run)? {
        drop_table(connection, &stage.name)?;
    }
    connection
        .execute("DELETE FROM _seamount_stage WHERE run = ?1", [run.to_i64()])
        .map(drop)
        .map_err(failed("cannot drop what is staged"))
}

fn drop_table(connection: &Connection, name: &str) -> Result<()> {
    connection
        .execute_batch(&format!("DROP TABLE {}", identifier(name)))
        .map_err(failed("cannot drop what is staged"))
}
