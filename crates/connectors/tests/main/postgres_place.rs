//! A database of the shared cluster, and an engine that writes to it, as the tests of the target want them.

use change::{ColumnType, FlowId, Generation, HolderId, RunId, Value};
use connect::component::{Connector, SiteSettings};
use connect::memory::sample::{rows, shape, target_table, text};
use connect::read::{Readable, Scan};
use connect::target::{Claim, Load, Publish, RowWork, Target, TargetTable, TargetTransaction};
use connect::{Error, Result};
use seamount_connectors::postgres::Postgres;
use servers::Cluster;
use std::collections::BTreeMap;

/// An empty database.
pub(crate) struct Place {
    pub(crate) database: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { database: Cluster::shared().database() }
    }

    /// Another program's statements; what psql prints.
    pub(crate) fn sql(&self, statements: &str) -> String {
        Cluster::shared().sql(&self.database, statements)
    }

    /// Another program's connection, which stays open.
    pub(crate) fn holding(&self, statements: &str) -> postgres::Client {
        let url = Cluster::shared().url(&self.database);
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        client.batch_execute(statements).unwrap();
        client
    }

    pub(crate) fn target(&self) -> Box<dyn Target> {
        Postgres::new("postgres").target(&settings(&Cluster::shared().url(&self.database))).unwrap()
    }
}

/// Settings of a database.
pub(crate) fn settings(url: &str) -> SiteSettings {
    SiteSettings {
        site: "shop".into(),
        url: url.into(),
        root: std::env::temp_dir(),
        options: BTreeMap::new(),
        masks: Default::default(),
    }
}

pub(crate) const FLOW: u64 = 7;

/// An engine that holds a target and has adopted a generation.
pub(crate) struct Engine {
    pub(crate) target: Box<dyn Target>,
}

impl Engine {
    pub(crate) fn at(place: &Place, tables: &[TargetTable]) -> Engine {
        Engine::opened(place.target(), tables)
    }

    pub(crate) fn opened(mut target: Box<dyn Target>, tables: &[TargetTable]) -> Engine {
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

    pub(crate) fn upsert(&mut self, table: &TargetTable, cells: &[Vec<Value>]) -> Result<u64> {
        self.write(table, &RowWork::Upsert(rows(&table.schema, cells)))
    }
}

/// All rows of a table at a cut of now.
pub(crate) fn stored(site: &mut dyn Readable, table: &TargetTable) -> Vec<Vec<Value>> {
    let mut cut = site.cut().unwrap();
    let schema = table.schema.as_ref();
    let batch = Scan::all(&table.name, schema.clone()).collect(cut.as_mut()).unwrap();
    (0..batch.num_rows()).map(|row| Value::row(&batch, schema, row)).collect()
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
