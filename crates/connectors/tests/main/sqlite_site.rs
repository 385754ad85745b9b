//! Databases in a temporary folder, as the tests of every role want them.

use change::{ColumnType, FlowId, Generation, HolderId, RunId, TableSchema, Value};
use connect::component::SiteSettings;
use connect::memory::sample::{rows, shape, target_table, text};
use connect::read::{Readable, Scan};
use connect::target::{Claim, Load, Publish, RowWork, Target, TargetTable, TargetTransaction};
use connect::{Error, Result};
use seamount_connectors::sqlite::target::SqliteTarget;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with at most one database in it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("site.db")
    }

    pub(crate) fn settings(&self) -> SiteSettings {
        settings(self.folder.path())
    }

    /// Another program's connection, which waits for nothing.
    pub(crate) fn application(&self, sql: &str) -> rusqlite::Connection {
        let application = rusqlite::Connection::open(self.file()).unwrap();
        application.busy_timeout(std::time::Duration::ZERO).unwrap();
        application.execute_batch(sql).unwrap();
        application
    }

    pub(crate) fn target(&self) -> SqliteTarget {
        SqliteTarget::open(&self.settings()).unwrap()
    }
}

/// Settings of the database in a folder, with little patience for locks.
pub(crate) fn settings(folder: &Path) -> SiteSettings {
    SiteSettings {
        site: "shop".into(),
        url: "sqlite:site.db".into(),
        root: folder.to_path_buf(),
        options: BTreeMap::from([("busy_timeout_ms".into(), "20".into())]),
        masks: Default::default(),
    }
}

pub(crate) const FLOW: u64 = 7;

/// An engine that holds a target and has adopted a generation.
pub(crate) struct Engine {
    pub(crate) target: SqliteTarget,
}

impl Engine {
    pub(crate) fn at(place: &Place, tables: &[TargetTable]) -> Engine {
        Engine::opened(place.target(), tables)
    }

    pub(crate) fn opened(mut target: SqliteTarget, tables: &[TargetTable]) -> Engine {
        target.prepare(tables).unwrap();
        let holder = HolderId::mint(1);
        target.claim(&Claim { holder, known: vec![holder], take_over: false }).unwrap();
        target.adopt(FlowId::mint(FLOW), Generation::mint(1)).unwrap();
        Engine { target }
    }

    pub(crate) fn begin(&mut self) -> Result<Box<dyn TargetTransaction + '_>> {
        self.target.begin(FlowId::mint(FLOW), Generation::mint(1))
    }

    pub(crate) fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        let mut transaction = self.begin()?;
        let affected = transaction.write(table, work)?;
        transaction.commit(&[])?;
        Ok(affected)
    }
}

/// All rows of a table at a cut of now.
pub(crate) fn rows_of(site: &mut dyn Readable, scan: &Scan) -> Result<Vec<Vec<Value>>> {
    let mut cut = site.cut()?;
    let batch = scan.collect(cut.as_mut())?;
    Ok(cells(&batch, &scan.schema))
}

pub(crate) fn cells(batch: &arrow::array::RecordBatch, schema: &TableSchema) -> Vec<Vec<Value>> {
    (0..batch.num_rows()).map(|row| Value::row(batch, schema, row)).collect()
}

/// The error of a call that must fail.
pub(crate) fn failure<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it succeeds"),
        Err(error) => error,
    }
}

pub(crate) fn stock() -> TargetTable {
    target_table(
        "stock",
        &shape(&[("sku", ColumnType::Int64), ("name", ColumnType::Text)], &["sku"]),
    )
}

pub(crate) fn article(sku: i64, name: &str) -> Vec<Value> {
    vec![Value::Int(sku), text(name)]
}

pub(crate) fn upsert(articles: &[Vec<Value>]) -> RowWork {
    RowWork::Upsert(rows(&stock().schema, articles))
}

pub(crate) fn stored(engine: &mut Engine, table: &TargetTable) -> Vec<Vec<Value>> {
    rows_of(&mut engine.target, &Scan::all(&table.name, table.schema.as_ref().clone())).unwrap()
}

pub(crate) fn publication(run: u64, load: Load, tables: &[(&TargetTable, u64)]) -> Publish {
    Publish {
        flow: FlowId::mint(FLOW),
        generation: Generation::mint(1),
        run: RunId::mint(run),
        interval: "all".into(),
        content: format!("content {run}"),
        load,
        interval_rows: None,
        tables: tables.iter().map(|(table, count)| ((*table).clone(), *count)).collect(),
        progress: Vec::new(),
        published_at: 0,
    }
}
