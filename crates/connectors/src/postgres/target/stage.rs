//! Staged rows of runs: tables of our own without indexes, whose columns are those of the tables they are meant for.
//!
//! `_seamount.stage` says which run has staged what for which table; a stage table without an entry there does not
//! exist, both are made and dropped in one transaction.

use super::super::book;
use super::super::catalogue::{BOOK, require_shape};
use super::super::error::failed;
use super::super::names::TableName;
use super::super::read::scan_table;
use super::plan::{Plan, forms};
use super::session::Session;
use super::write::{copy, copy_unread};
use arrow::array::RecordBatch;
use change::{RunId, TableSchema};
use connect::read::Scan;
use connect::target::TargetTable;
use connect::{EncodedRows, Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One table's stage in a run.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The stage table.
    pub(super) name: TableName,
    /// The table its rows are meant for.
    pub(super) target: String,
    pub(super) run: RunId,
}

fn stage_name(run: RunId, number: i64) -> TableName {
    TableName { schema: BOOK.into(), name: format!("stage_{run}_{number}") }
}

/// The stages of a run.
pub(super) fn of_run(session: &mut Session, run: RunId) -> Result<Vec<Stage>> {
    if !book::exists(session.client())? {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, target FROM _seamount.stage WHERE run = $1 ORDER BY number";
    let rows = session
        .client()
        .query(sql, &[&run.to_i64()])
        .map_err(failed("cannot read what is staged"))?;
    let stage =
        |row: &postgres::Row| Stage { name: stage_name(run, row.get(0)), target: row.get(1), run };
    Ok(rows.iter().map(stage).collect())
}

/// Runs that have a stage.
pub(super) fn runs(session: &mut Session) -> Result<Vec<RunId>> {
    if !book::exists(session.client())? {
        return Ok(Vec::new());
    }
    let sql = "SELECT DISTINCT run FROM _seamount.stage ORDER BY run";
    let rows = session.client().query(sql, &[]).map_err(failed("cannot read what is staged"))?;
    Ok(rows.iter().map(|row| RunId::from_i64(row.get(0))).collect())
}

/// Stages that this session has written to.
#[derive(Default)]
pub(super) struct Stages {
    known: BTreeMap<(RunId, String), Arc<Plan>>,
}

impl Stages {
    /// The plan of a run's stage for a table, which is made where there is none; the caller's transaction holds the
    /// epoch, and [`Stages::keep`]s it when that has committed.
    pub(super) fn plan(
        &self,
        session: &mut Session,
        run: RunId,
        table: &TargetTable,
    ) -> Result<Arc<Plan>> {
        let known = self.known.get(&(run, table.name.clone()));
        if let Some(plan) = known.filter(|plan| plan.is_for(table)) {
            return Ok(plan.clone());
        }
        let stages = of_run(session, run)?;
        let name = match stages.into_iter().find(|stage| stage.target == table.name) {
            Some(stage) => stage.name,
            None => create(session, run, table)?,
        };
        Plan::make(session, &name, table).map(Arc::new)
    }

    pub(super) fn keep(&mut self, run: RunId, plan: Arc<Plan>) {
        self.known.insert((run, plan.table.name.clone()), plan);
    }

    /// Forgets all: a stage may be gone, or the connection is another.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Adds rows to a stage.
pub(super) fn append(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<()> {
    plan.require_columns(rows, &plan.table.schema)?;
    plan.table.require_owner(rows)?;
    copy(session, plan, rows)
        .map(drop)
        .map_err(|e| e.at(format!("staging rows for {}", plan.table.name)))
}

/// Adds rows to a stage as they came.
pub(super) fn append_unread(session: &mut Session, plan: &Plan, rows: &EncodedRows) -> Result<()> {
    copy_unread(session, plan, rows)
        .map(drop)
        .map_err(|e| e.at(format!("staging rows for {}", plan.table.name)))
}

fn create(session: &mut Session, run: RunId, table: &TargetTable) -> Result<TableName> {
    let what = format!("cannot create a stage for {}", table.name);
    let as_text = session.address().as_text;
    let shape = require_shape(session.client(), &TableName::parse(&table.name)?, as_text)?;
    let forms = forms(&shape, &table.schema)?;
    let mut columns = Vec::new();
    for (place, form) in forms.iter().enumerate() {
        let found = shape.require(&form.name)?;
        let required = table.schema.key().contains(&place) || !found.column.nullable;
        let required = if required { " NOT NULL" } else { "" };
        columns.push(format!("{} {}{required}", form.quoted, found.declared));
    }
    if forms.len() == shape.columns.len() {
        // With all its columns it may become the table itself.
        let kinds = ["DEFAULTS", "STORAGE", "COMPRESSION", "COMMENTS"];
        let kinds = kinds.map(|kind| format!(" INCLUDING {kind}")).concat();
        columns = vec![format!("LIKE {}{kinds}", shape.name.sql())];
    }
    let sql = "INSERT INTO _seamount.stage (run, target) VALUES ($1, $2) RETURNING number";
    let row =
        session.client().query_one(sql, &[&run.to_i64(), &table.name]).map_err(failed(&what))?;
    let name = stage_name(run, row.get(0));
    session.script(&format!("CREATE TABLE {} ({})", name.sql(), columns.join(", ")), &what)?;
    Ok(name)
}

/// Passes the staged rows of one table on.
pub(super) fn read(
    session: &mut Session,
    run: RunId,
    table: &TargetTable,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let stages = of_run(session, run)?;
    if stages.is_empty() {
        return Err(Error::invalid(format!("nothing is staged under run {run}")));
    }
    let Some(stage) = stages.into_iter().find(|stage| stage.target == table.name) else {
        return Ok(0);
    };
    let as_text = session.address().as_text;
    let shape = require_shape(session.client(), &stage.name, as_text)?;
    let scan = Scan::all(stage.name.shown(), unkeyed(&table.schema));
    scan_table(session.client(), &shape, &scan, sink)
}

fn unkeyed(schema: &TableSchema) -> TableSchema {
    schema.with_key::<&str>(&[]).expect("a schema without a key is one")
}

/// Drops the stages of a run; the caller's transaction holds the epoch.
pub(super) fn discard(session: &mut Session, run: RunId) -> Result<()> {
    let mut sql = String::new();
    for stage in of_run(session, run)? {
        sql += &format!("DROP TABLE {}; ", stage.name.sql());
    }
    sql += &format!("DELETE FROM _seamount.stage WHERE run = {}", run.to_i64());
    session.script(&sql, "cannot drop what is staged").map(drop)
}
