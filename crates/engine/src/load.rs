//! Batch: extract, transform, stage, check, and publish all or nothing.
//!
//! A run is recorded before it begins. Whatever fails before publishing leaves nothing visible and its stage is
//! dropped, by the run itself or by the next one. Publishing is one transaction at the target, keyed by (flow,
//! interval, content): the same run a second time publishes nothing.

mod checks;
mod inputs;
mod intervals;
mod unread;

pub use checks::Verdicts;
pub use intervals::Interval;

use crate::assembly::Assembly;
use crate::engine::Engine;
use crate::path::{TablePath, differs};
use crate::state::{FlowIdentity, RunRecord, RunState};
use crate::watch::Watch;
use arrow::array::RecordBatch;
use change::{ColumnType, RunId, TableSchema, Value};
use connect::{Error, Kind, Owner, Publish, Published, Result, Shape, Target, TargetTable};
use flow::{Flow, FlowTable, From};
use inputs::{RowCount, SiteTable};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Its record.
    pub record: RunRecord,
    /// What publishing did; `None` when nothing was published.
    pub published: Option<Published>,
    /// Why nothing was published.
    pub error: Option<Arc<Error>>,
    /// Checks that warned.
    pub warnings: Vec<String>,
}

/// The batch side of one flow.
pub struct Loader<'a> {
    assembly: &'a Assembly,
    flow: &'a Flow,
    identity: &'a FlowIdentity,
    target: Box<dyn Target>,
    watch: &'a dyn Watch,
}

impl<'a> Loader<'a> {
    /// Opens the target and drops what a crash left staged.
    ///
    /// # Errors
    /// `Conflict` when another engine or generation has taken over.
    pub fn open(
        engine: &'a Engine,
        flow: &'a Flow,
        identity: &'a FlowIdentity,
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        let mut target = engine.open_target(&flow.target)?;
        target.adopt(identity.id, identity.generation)?;
        let assembly = &engine.assembly;
        let mut loader = Loader { assembly, flow, identity, target, watch };
        loader.drop_leftovers()?;
        Ok(loader)
    }

    /// Runs of this flow that a crash cut off are closed; stages are dropped, also those that a failed run could not
    /// drop itself.
    fn drop_leftovers(&mut self) -> Result<()> {
        let published = self.target.published(self.identity.id)?;
        let staged = self.target.staged()?;
        for mut run in self.assembly.state.runs(self.identity.id, usize::MAX)? {
            if staged.contains(&run.id) {
                self.target.discard(run.id)?;
            }
            if run.state != RunState::Running {
                continue;
            }
            match published.iter().find(|p| p.run == run.id) {
                Some(done) => {
                    run.state = RunState::Published;
                    run.rows_out = done.rows;
                }
                None => {
                    run.state = RunState::Failed;
                    run.detail = Some("the engine stopped before it was published".into());
                }
            }
            run.ended_at = Some(self.assembly.environment.clock.now());
            self.assembly.state.put_run(&run)?;
        }
        Ok(())
    }

    /// What there is to run: for files every interval that is new or changed, for tables one run labelled `label`.
    ///
    /// # Errors
    /// A site is gone, or no file matches.
    pub fn due(&mut self, label: &str) -> Result<Vec<Interval>> {
        match self.flow.from {
            From::Tables => Ok(vec![Interval::of_tables(label, label)]),
            From::Files { .. } => {
                let all = self.all_of_files()?;
                Ok(intervals::unpublished(all, &self.target.published(self.identity.id)?))
            }
        }
    }

    /// Every interval that the files name, published or not.
    ///
    /// # Errors
    /// A site is gone, or no file matches.
    pub fn all_of_files(&mut self) -> Result<Vec<Interval>> {
        let mut all = intervals::of_files(self.assembly, self.flow)?;
        for interval in &mut all {
            // The same files under another transform are other content.
            interval.content = format!("{}:{}", self.identity.generation, interval.content);
        }
        Ok(all)
    }

    /// Makes one run. A run that fails is an outcome, not an error; an error is a state file that cannot be written.
    ///
    /// # Errors
    /// The run cannot be recorded.
    pub fn run(&mut self, interval: &Interval, asked_by: &str) -> Result<RunOutcome> {
        let environment = &self.assembly.environment;
        let mut record = RunRecord {
            id: RunId::mint(environment.random.bits()),
            flow: self.identity.id,
            interval: interval.label.clone(),
            state: RunState::Running,
            started_at: environment.clock.now(),
            ended_at: None,
            rows_read: 0,
            rows_out: 0,
            filtered: 0,
            detail: None,
            asked_by: asked_by.to_string(),
        };
        self.assembly.state.put_run(&record)?;
        let mut warnings = Vec::new();
        let done = self.attempt(interval, &mut record, &mut warnings);
        record.ended_at = Some(environment.clock.now());
        let (published, error) = match done {
            Ok(published) => {
                (record.state, record.rows_out) = match published {
                    Published::Now { rows, .. } => (RunState::Published, rows),
                    Published::Already(_) => (RunState::Already, 0),
                };
                record.detail =
                    (!warnings.is_empty()).then(|| format!("warned: {}", warnings.join("; ")));
                (Some(published), None)
            }
            Err(e) => {
                record.state = match e.kind {
                    Kind::Refused => RunState::Rejected,
                    _ => RunState::Failed,
                };
                record.detail = Some(e.to_string());
                // The stage of a run that failed is dropped here, or by the next run.
                let _ = self.target.discard(record.id);
                (None, Some(Arc::new(e)))
            }
        };
        self.assembly.state.put_run(&record)?;
        Ok(RunOutcome { record, published, error, warnings })
    }

    fn attempt(
        &mut self,
        interval: &Interval,
        record: &mut RunRecord,
        warnings: &mut Vec<String>,
    ) -> Result<Published> {
        let count = RowCount::default();
        let sources = inputs::site_tables(self.assembly, self.flow, interval)?;
        if sources.is_empty() {
            return Err(Error::refused("no site has anything for this interval").code("E0512"));
        }
        let relational = match &self.flow.transform {
            Some(sql) => self.assembly.planner.classify(sql, &shapes(self.flow, &sources))?.shape,
            None => Shape::RowWise,
        } == Shape::Relational;
        let staged = if relational {
            self.stage_relational(interval, &sources, record, &count)?
        } else {
            self.stage_row_wise(interval, &sources, record, &count)?
        };
        record.rows_read = count.load(Ordering::Relaxed);
        self.check(record.id, &staged, warnings)?;
        self.publish(interval, record, staged)
    }

    /// Row by row: each site's rows along the path that events take too.
    fn stage_row_wise(
        &mut self,
        interval: &Interval,
        sources: &[SiteTable],
        record: &mut RunRecord,
        count: &RowCount,
    ) -> Result<Vec<(TargetTable, u64)>> {
        let mut staged: Vec<(TargetTable, u64)> = Vec::new();
        for source in sources {
            let path = TablePath::plan(
                self.flow,
                &source.table,
                &source.site,
                source.schema.clone(),
                &*self.assembly.planner,
            )?;
            let table = self.stage_table(path.target());
            self.target.prepare(std::slice::from_ref(&table))?;
            let place = match staged.iter().position(|(t, _)| t.name == table.name) {
                Some(place) => place,
                None => {
                    staged.push((table.clone(), 0));
                    staged.len() - 1
                }
            };
            let (run, before) = (record.id, count.load(Ordering::Relaxed));
            let passed =
                self.stage_unread(run, (&path, &table), source, count).and_then(|passed| {
                    match passed {
                        Some(rows) => Ok(rows),
                        None => self.stage_read(run, (&path, &table), interval, source, count),
                    }
                });
            let rows_out = passed.map_err(|e| e.at(&source.site.name))?;
            staged[place].1 += rows_out;
            record.filtered += count.load(Ordering::Relaxed) - before - rows_out;
        }
        Ok(staged)
    }

    fn stage_read(
        &mut self,
        run: RunId,
        (path, table): (&TablePath, &TargetTable),
        interval: &Interval,
        source: &SiteTable,
        count: &RowCount,
    ) -> Result<u64> {
        let mut rows_out = 0;
        let feed = inputs::feed(self.assembly, self.flow, interval, source, count);
        feed(&mut |rows| {
            let passed = path.pass(&rows)?;
            self.refuse_foreign(path, &passed.rows)?;
            self.stage(run, table, interval, &passed.rows)?;
            rows_out += passed.rows.num_rows() as u64;
            self.watch.progress("rows read", count.load(Ordering::Relaxed), None);
            Ok(())
        })?;
        Ok(rows_out)
    }

    /// All at once: joins and aggregations over the tables of all sites.
    fn stage_relational(
        &mut self,
        interval: &Interval,
        sources: &[SiteTable],
        record: &RunRecord,
        count: &RowCount,
    ) -> Result<Vec<(TargetTable, u64)>> {
        let sql = self.flow.transform.as_deref().expect("a relational flow has a transform");
        let output = self.assembly.planner.classify(sql, &shapes(self.flow, sources))?.output;
        let flow_table = &self.flow.tables[0];
        let table = self.stage_table(&TargetTable {
            name: flow_table.target.clone(),
            schema: Arc::new(keyed(self.flow, flow_table, &output)?),
            owner: None,
        });
        self.target.prepare(std::slice::from_ref(&table))?;
        let inputs = inputs::relational(self.assembly, self.flow, interval, sources, count);
        let mut rows_out = 0;
        let engine = self.assembly.batch.clone();
        engine.run(sql, inputs, &output, &mut |rows| {
            let rows = rows
                .with_schema(table.schema.images().clone())
                .map_err(|e| Error::internal("the result has other columns").caused_by(e))?;
            rows_out += rows.num_rows() as u64;
            self.watch.progress("rows read", count.load(Ordering::Relaxed), None);
            self.stage(record.id, &table, interval, &rows)
        })?;
        Ok(vec![(table, rows_out)])
    }

    /// A run of many sites stands for the whole table; a run of one site only for its owner's rows.
    fn stage_table(&self, table: &TargetTable) -> TargetTable {
        let owner = table.owner.clone().filter(|_| self.flow.sites.len() == 1);
        TargetTable { owner, ..table.clone() }
    }

    fn stage(
        &mut self,
        run: RunId,
        table: &TargetTable,
        interval: &Interval,
        rows: &RecordBatch,
    ) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if let Some(scope) = interval_scope(self.flow, interval, &table.schema)? {
            let place = table.schema.index_of(&scope.column).expect("looked up for the scope");
            let ty = table.schema.columns()[place].ty;
            let strays = differs(rows.column(place), ty, &scope.value)?.true_count();
            if strays > 0 {
                return Err(Error::refused(format!(
                    "rows do not belong to interval {}",
                    interval.label
                ))
                .found(format!("{strays} rows with another value in {}", scope.column))
                .effect("nothing of this run was published")
                .fix("correct the file, or the expression behind `interval_by`")
                .code("E0511"));
            }
        }
        self.target.stage(run, table, rows)
    }

    fn refuse_foreign(&self, path: &TablePath, rows: &RecordBatch) -> Result<()> {
        let strays = path.foreign_rows(rows)?.map_or(0, |mask| mask.true_count());
        if strays == 0 {
            return Ok(());
        }
        Err(Error::refused("rows belong to another owner than the site they come from")
            .found(format!("{strays} rows of {}", path.source_table()))
            .effect("nothing of this run was published")
            .code("E0510"))
    }

    /// Zero rows fail unless declared; then the flow's own checks.
    fn check(
        &mut self,
        run: RunId,
        staged: &[(TargetTable, u64)],
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        if staged.iter().map(|(_, rows)| rows).sum::<u64>() == 0 && !self.flow.batch.zero_rows {
            return Err(Error::refused("the run has no rows")
                .effect("nothing was published; what was there stays")
                .fix("say `zero_rows = \"allow\"` in [batch] if that is normal")
                .code("E0506"));
        }
        for (table, rows) in staged.iter().filter(|(_, rows)| *rows > 0) {
            let verdicts = checks::evaluate(self.assembly, self.flow, run, table)?;
            warnings.extend(verdicts.warned);
            if let Some(first) = verdicts.failed.first() {
                return Err(Error::refused(format!("check `{first}` does not hold"))
                    .found(format!("{} checks failed over {rows} rows", verdicts.failed.len()))
                    .effect("nothing was published; what was there stays")
                    .fix("correct the data, or the check in the flow's file")
                    .code("E0507"));
            }
        }
        Ok(())
    }

    fn publish(
        &mut self,
        interval: &Interval,
        record: &RunRecord,
        staged: Vec<(TargetTable, u64)>,
    ) -> Result<Published> {
        let interval_rows = interval_scope(self.flow, interval, &staged[0].0.schema)?;
        let published = self.target.publish(&Publish {
            flow: self.identity.id,
            generation: self.identity.generation,
            run: record.id,
            interval: interval.label.clone(),
            content: interval.content.clone(),
            load: self.flow.batch.load.clone(),
            interval_rows,
            tables: staged,
            progress: Vec::new(),
            published_at: self.assembly.environment.clock.now(),
        })?;
        if matches!(published, Published::Already(_)) {
            self.target.discard(record.id)?;
        }
        Ok(published)
    }
}

/// Shapes of the tables a statement sees.
fn shapes(flow: &Flow, sources: &[SiteTable]) -> Vec<(String, TableSchema)> {
    let first = |table: &FlowTable| sources.iter().find(|s| s.table == *table);
    flow.tables
        .iter()
        .filter_map(first)
        .map(|s| (s.table.source.clone(), s.schema.as_ref().clone()))
        .collect()
}

/// The output of a relational statement under the flow's key.
fn keyed(flow: &Flow, table: &FlowTable, output: &TableSchema) -> Result<TableSchema> {
    let key = table.key.clone().unwrap_or_default();
    let columns = output
        .columns()
        .iter()
        .cloned()
        .map(|mut column| {
            column.nullable &= !key.contains(&column.name);
            column
        })
        .collect();
    TableSchema::new(columns, &key).map_err(|e| {
        Error::invalid(format!("flow {}: the key does not come out of the transform", flow.name))
            .found(e.to_string())
            .code("E0402")
    })
}

/// The rows that an interval stands for, where the flow says which column tells.
fn interval_scope(flow: &Flow, interval: &Interval, schema: &TableSchema) -> Result<Option<Owner>> {
    let Some(column) = &flow.batch.interval_by else { return Ok(None) };
    let wrong = |found: &str| {
        Error::invalid(format!("flow {}: interval_by cannot be used", flow.name))
            .found(found.to_string())
            .effect("nothing was published")
            .code("E0408")
    };
    let place = schema.index_of(column).ok_or_else(|| wrong("its column does not come out"))?;
    let label = &interval.label;
    let value = match schema.columns()[place].ty {
        ColumnType::Text => Value::Text(label.clone()),
        ColumnType::Int64 => {
            Value::Int(label.parse().map_err(|_| wrong("the interval is no number"))?)
        }
        ColumnType::Date => Value::Date(
            change::calendar::parse_date(label).ok_or_else(|| wrong("the interval is no date"))?,
        ),
        other => {
            return Err(wrong(&format!("its column is {other}; text, int64 or date can be used")));
        }
    };
    Ok(Some(Owner { column: column.clone(), value }))
}
