//! Makes a staged run visible over all its tables: everything, or nothing and the stage stays.
//!
//! The caller holds the write lock, has checked holder and generation, and commits. Rows that a replacing run
//! holds again are overwritten in place, so that nothing cascades from a row that is still there.

use super::super::book;
use super::super::catalogue::{TableShape, has_table, require_shape};
use super::super::error::failed;
use super::super::filter::{Filter, compared};
use super::super::names::{identifier, identifiers};
use super::lock::attempt;
use super::stage::{self, Stage};
use super::transaction::execute;
use super::write::{guarding, ignored, insert_into, only_key, overwrite};
use change::{FlowId, RunId};
use connect::target::{Load, Publish, Published, PublishedRun, TargetTable};
use connect::{Error, Kind, Result};
use rusqlite::{Connection, OptionalExtension, params};

/// Publishes, or finds that it was done before.
pub(super) fn publish(connection: &Connection, publish: &Publish) -> Result<Published> {
    if let Some(before) = published_before(connection, publish)? {
        stage::discard(connection, publish.run)?;
        return Ok(Published::Already(before));
    }
    let stages = stage::of_run(connection, publish.run)?;
    check_counts(connection, &stages, publish)?;
    let (mut rows, mut removed) = (0, 0);
    for (table, counted) in &publish.tables {
        let stage = stages.iter().find(|stage| stage.target == table.name);
        removed += Loading::new(connection, publish, table, *counted, stage)?.load()?;
        rows += counted;
    }
    stage::discard(connection, publish.run)?;
    book::advance(connection, publish.flow, publish.generation, &publish.progress)?;
    record(connection, publish, rows)?;
    Ok(Published::Now { rows, removed })
}

/// The run that published the same content as the newest of its interval, if it did.
fn published_before(connection: &Connection, publish: &Publish) -> Result<Option<RunId>> {
    let newest: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT run, content FROM _seamount_run WHERE flow = ?1 AND interval = ?2
             ORDER BY number DESC LIMIT 1",
        )
        .and_then(|mut s| {
            s.query_row(params![publish.flow.to_i64(), publish.interval], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
        })
        .map_err(failed("cannot read the published runs"))?;
    Ok(newest
        .filter(|(_, content)| *content == publish.content)
        .map(|(run, _)| RunId::from_i64(run)))
}

/// The stage holds exactly what was counted on the way in.
fn check_counts(connection: &Connection, stages: &[Stage], publish: &Publish) -> Result<()> {
    let mut expected: Vec<(&str, u64)> =
        publish.tables.iter().map(|(table, counted)| (table.name.as_str(), *counted)).collect();
    for stage in stages {
        if expected.iter().all(|(table, _)| *table != stage.target) {
            expected.push((&stage.target, 0));
        }
    }
    for (table, counted) in expected {
        let staged = match stages.iter().find(|stage| stage.target == table) {
            Some(stage) => count(
                connection,
                &format!("SELECT count(*) FROM {}", identifier(&stage.name)),
                &Filter::all(),
            )?,
            None => 0,
        };
        if staged != counted {
            return Err(Error::corrupt(format!(
                "the stage of {table} does not hold what was put there"
            ))
            .found(format!("{staged} rows, counted were {counted}"))
            .effect("nothing was published; the stage is as it was"));
        }
    }
    Ok(())
}

fn count(connection: &Connection, sql: &str, filter: &Filter) -> Result<u64> {
    let counting = || failed("cannot count rows at the target");
    let mut statement = connection.prepare(sql).map_err(counting())?;
    filter.bind(&mut statement, 1)?;
    let mut rows = statement.raw_query();
    let row = rows.next().map_err(counting())?.expect("a count is one row");
    row.get::<_, i64>(0).map(i64::cast_unsigned).map_err(counting())
}

fn record(connection: &Connection, publish: &Publish, rows: u64) -> Result<()> {
    connection
        .execute(
            "INSERT INTO _seamount_run (flow, interval, content, run, rows, published_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                publish.flow.to_i64(),
                publish.interval,
                publish.content,
                publish.run.to_i64(),
                rows.cast_signed(),
                publish.published_at
            ],
        )
        .map(drop)
        .map_err(failed("cannot record the published run"))
}

/// Runs of a flow, newest first.
pub(super) fn runs(connection: &Connection, flow: FlowId) -> Result<Vec<PublishedRun>> {
    if !has_table(connection, "_seamount_run")? {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<PublishedRun>> {
        connection
            .prepare_cached(
                "SELECT interval, content, run, rows, published_at FROM _seamount_run
                 WHERE flow = ?1 ORDER BY number DESC",
            )?
            .query_map([flow.to_i64()], |row| {
                Ok(PublishedRun {
                    interval: row.get(0)?,
                    content: row.get(1)?,
                    run: RunId::from_i64(row.get(2)?),
                    rows: row.get::<_, i64>(3)?.cast_unsigned(),
                    published_at: row.get(4)?,
                })
            })?
            .collect()
    };
    read().map_err(failed("cannot read the published runs"))
}

/// One table's stage on its way into the table.
struct Loading<'a> {
    connection: &'a Connection,
    table: &'a TargetTable,
    shape: TableShape,
    stage: Option<TableShape>,
    /// Rows in the stage.
    rows: u64,
    load: &'a Load,
    /// The rows that a replacing run takes the place of.
    scope: Filter,
    /// `t` and `s` have the same key.
    same_key: String,
}

impl<'a> Loading<'a> {
    fn new(
        connection: &'a Connection,
        publish: &'a Publish,
        table: &'a TargetTable,
        rows: u64,
        stage: Option<&Stage>,
    ) -> Result<Loading<'a>> {
        let shape = require_shape(connection, &table.name)?;
        let stage = stage.map(|stage| require_shape(connection, &stage.name)).transpose()?;
        let mut scope = Filter::all();
        for owner in table.owner.iter().chain(&publish.interval_rows) {
            scope = scope.owned(&shape, &table.schema, owner)?;
        }
        let mut same = Vec::new();
        for name in table.schema.key_names() {
            same.push(format!("{} = s.{}", compared(shape.require(name)?), identifier(name)));
        }
        let same_key = same.join(" AND ");
        Ok(Loading { connection, table, shape, stage, rows, load: &publish.load, scope, same_key })
    }

    /// Brings the rows in; returns how many that were there are not any more.
    fn load(&self) -> Result<u64> {
        if self.keyed() && self.stage.is_some() {
            self.refuse_duplicates()?;
        }
        match self.load {
            Load::Replace => self.replace(),
            Load::Merge => {
                self.refuse_foreign()?;
                self.insert(&overwrite(&self.shape, &self.table.schema)?)?;
                Ok(0)
            }
            Load::Append => {
                self.refuse_present("")?;
                self.insert("")?;
                Ok(0)
            }
        }
    }

    fn replace(&self) -> Result<u64> {
        let target = identifier(&self.shape.name);
        let clear = format!("DELETE FROM {target} AS t{}", self.scope.sql());
        let Some(stage) = self.stage.as_ref().filter(|_| self.keyed()) else {
            let removed = self.execute(&clear)?;
            self.insert("")?;
            return Ok(removed);
        };
        if !self.scope.is_all() {
            self.refuse_present(&self.scope.and_sql())?;
        }
        let removed = self.execute(&format!(
            "DELETE FROM {target} AS t WHERE NOT EXISTS (SELECT 1 FROM {} AS s WHERE {}){}",
            identifier(&stage.name),
            self.same_key,
            self.scope.and_sql()
        ))?;
        let overwrite = overwrite(&self.shape, &self.table.schema)?;
        match attempt(self.connection, || self.insert(&overwrite)) {
            // Unique values may have changed places among the rows: out with all of them, then in.
            Err(refused) if refused.kind == Kind::Refused => {
                self.execute(&clear)?;
                self.insert("")?;
            }
            outcome => {
                outcome?;
            }
        }
        Ok(removed)
    }

    fn keyed(&self) -> bool {
        !self.table.schema.key().is_empty()
    }

    fn execute(&self, sql: &str) -> Result<u64> {
        execute(self.connection, sql, &self.scope, &self.shape)
    }

    /// Copies the stage into the table, in key order.
    fn insert(&self, on_conflict: &str) -> Result<()> {
        let Some(stage) = &self.stage else { return Ok(()) };
        let schema = &self.table.schema;
        let names = schema.columns().iter().map(|column| column.name.as_str());
        let mut sql = insert_into(&identifier(&self.shape.name), &self.shape, schema)?;
        sql +=
            &format!(" SELECT {} FROM {} WHERE true", identifiers(names), identifier(&stage.name));
        if self.keyed() {
            sql += &format!(" ORDER BY {}", identifiers(schema.key_names()));
        }
        sql += on_conflict;
        let written = execute(self.connection, &sql, &Filter::all(), &self.shape)?;
        if written == self.rows || (!on_conflict.is_empty() && only_key(schema)) {
            return Ok(());
        }
        Err(ignored(&self.shape).effect("nothing was published; the stage is as it was"))
    }

    /// Keys that stand twice in the stage. The index made for it goes with the stage.
    fn refuse_duplicates(&self) -> Result<()> {
        let Some(stage) = &self.stage else { return Ok(()) };
        let (name, key) = (identifier(&stage.name), identifiers(self.table.schema.key_names()));
        let index = identifier(&format!("{}_key", stage.name));
        self.connection
            .execute_batch(&format!("CREATE INDEX {index} ON {name} ({key})"))
            .map_err(failed(format!("cannot sort the stage of {}", self.table.name)))?;
        let twice = count(
            self.connection,
            &format!(
                "SELECT count(*) FROM (SELECT 1 FROM {name} GROUP BY {key} HAVING count(*) > 1)"
            ),
            &Filter::all(),
        )?;
        self.refuse_if(twice, "stand twice in the run")
    }

    /// Keys of the stage that the table holds already, outside of a scope (all when it is empty).
    fn refuse_present(&self, scope: &str) -> Result<()> {
        let Some(stage) = self.stage.as_ref().filter(|_| self.keyed()) else { return Ok(()) };
        let outside = match scope.strip_prefix(" AND ") {
            Some(scope) => format!(" WHERE ({scope}) IS NOT TRUE"),
            None => String::new(),
        };
        let filter = if scope.is_empty() { &Filter::all() } else { &self.scope };
        let present = self.count_joined(stage, &outside, filter)?;
        self.refuse_if(present, "are in the table already and not for this run to replace")
    }

    /// Keys of the stage whose rows in the table belong to another owner.
    fn refuse_foreign(&self) -> Result<()> {
        let (Some(stage), Some(owner)) = (&self.stage, guarding(self.table)) else {
            return Ok(());
        };
        let owned = Filter::all().owned(&self.shape, &self.table.schema, owner)?;
        let condition = owned.sql().replacen(" WHERE ", "", 1);
        let foreign =
            self.count_joined(stage, &format!(" WHERE ({condition}) IS NOT TRUE"), &owned)?;
        self.refuse_if(foreign, "belong to rows of another owner")
    }

    fn count_joined(&self, stage: &TableShape, condition: &str, filter: &Filter) -> Result<u64> {
        let sql = format!(
            "SELECT count(*) FROM {} AS s JOIN {} AS t ON {}{condition}",
            identifier(&stage.name),
            identifier(&self.shape.name),
            self.same_key
        );
        count(self.connection, &sql, filter)
    }

    fn refuse_if(&self, keys: u64, why: &str) -> Result<()> {
        if keys == 0 {
            return Ok(());
        }
        let names: Vec<&str> = self.table.schema.key_names().collect();
        Err(Error::refused(format!(
            "{keys} keys ({}) of {} {why}",
            names.join(", "),
            self.table.name
        ))
        .effect("nothing was published; the stage is as it was"))
    }
}
