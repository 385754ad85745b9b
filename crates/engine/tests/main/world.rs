//! A project in memory: sites, a target, a log, and an engine over them that can be lost and started again.

use change::{DigestKey, LogId, TableSchema, Value};
use connect::memory::{MemoryLog, MemorySource, MemoryTarget, TargetBackup};
use connect::{
    BatchEngine, Capabilities, Classified, Connector, Connectors, Error, FileSite, Input, Load,
    Readable, Result, RowTransform, Shape, SiteSettings, Source, SqlPlanner, Target,
};
use engine::{Assembly, Engine, Environment, Random, State, TakeOver};
use flow::{
    Batch, CatchUp, DeadLetter, Events, Flow, FlowTable, From, LogSettings, Mode, NewColumns,
    Project, Reconcile, Site, TransactionMode, Writer,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts up: every id is new.
struct Counting(AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

struct Memory {
    sources: BTreeMap<String, MemorySource>,
    target: MemoryTarget,
}

impl Memory {
    fn is_target(settings: &SiteSettings) -> bool {
        settings.site == "central"
    }
}

impl Connector for Memory {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            capture: true,
            old_images: true,
            transactional_target: true,
            staged_target: true,
            files: false,
        }
    }

    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>> {
        if Memory::is_target(settings) {
            return Ok(Box::new(self.target.open()));
        }
        Ok(Box::new(self.sources[&settings.site].clone()))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        Ok(self.sources[&settings.site].open())
    }

    fn target(&self, _settings: &SiteSettings) -> Result<Box<dyn Target>> {
        Ok(Box::new(self.target.open()))
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Err(Error::invalid(format!("{} holds no files", settings.site)))
    }
}

/// Knows no SQL: flows in these tests carry rows as they are.
struct NoSql;

impl SqlPlanner for NoSql {
    fn classify(&self, _: &str, tables: &[(String, TableSchema)]) -> Result<Classified> {
        Ok(Classified {
            shape: Shape::RowWise,
            tables: tables.iter().map(|(name, _)| name.clone()).collect(),
            output: tables[0].1.clone(),
            because: None,
        })
    }

    fn compile(
        &self,
        sql: &str,
        _: &str,
        _: &TableSchema,
        _: &[String],
    ) -> Result<Arc<dyn RowTransform>> {
        Err(Error::invalid(format!("no SQL here: {sql}")))
    }
}

impl BatchEngine for NoSql {
    fn run(
        &self,
        sql: &str,
        _: Vec<Input>,
        _: &TableSchema,
        _: &mut dyn FnMut(arrow::array::RecordBatch) -> Result<()>,
    ) -> Result<()> {
        Err(Error::invalid(format!("no SQL here: {sql}")))
    }
}

/// Everything that outlives an engine.
pub(crate) struct World {
    pub(crate) sources: BTreeMap<String, MemorySource>,
    pub(crate) target: MemoryTarget,
    pub(crate) log: MemoryLog,
    pub(crate) flows: Vec<Flow>,
    folder: tempfile::TempDir,
    random: Arc<Counting>,
    /// Asked for once something was set back, which is then held by another engine.
    take_over: Cell<TakeOver>,
}

impl World {
    pub(crate) fn new(sites: &[&str], tables: &[(&str, &TableSchema)], flows: Vec<Flow>) -> World {
        let sources = sites
            .iter()
            .map(|name| {
                let source = MemorySource::new(*name);
                for (table, schema) in tables {
                    source.define(table, schema);
                }
                (name.to_string(), source)
            })
            .collect();
        World {
            sources,
            target: MemoryTarget::new(),
            log: MemoryLog::new(LogId::mint(77)),
            flows,
            folder: tempfile::tempdir().unwrap(),
            random: Arc::new(Counting(AtomicU64::new(1000))),
            take_over: Cell::default(),
        }
    }

    /// Starts an engine over what is there.
    pub(crate) fn engine(&self) -> Engine {
        let names = self.sources.keys().cloned().chain(["central".to_string()]);
        let site = |name: String| Site {
            name: name.clone(),
            settings: SiteSettings {
                site: name,
                url: "memory:".into(),
                root: PathBuf::new(),
                options: BTreeMap::new(),
                masks: Default::default(),
            },
            group: None,
            timezone: None,
            region: None,
        };
        let project = Project {
            name: "test".into(),
            root: self.folder.path().to_path_buf(),
            log: LogSettings { keep: None, max_bytes: None },
            sites: names.map(|name| (name.clone(), site(name))).collect(),
            groups: BTreeMap::new(),
            flows: self.flows.clone(),
        };
        let memory = Memory { sources: self.sources.clone(), target: self.target.clone() };
        let assembly = Assembly {
            project: Arc::new(project),
            connectors: Arc::new(Connectors::new(vec![Box::new(memory)])),
            log: Arc::new(self.log.clone()),
            state: State::open(&self.folder.path().join("state.db")).unwrap(),
            planner: Arc::new(NoSql),
            batch: Arc::new(NoSql),
            digest_key: DigestKey::new(5),
            environment: Environment {
                clock: Arc::new(connect::clock::ManualClock::at(1_000_000)),
                random: self.random.clone(),
            },
        };
        Engine::new(assembly, self.take_over.get())
    }

    /// A copy of the state file as it is now; no engine may be open.
    pub(crate) fn copy_state(&self) -> PathBuf {
        let copy = self.folder.path().join("copied");
        let db = rusqlite::Connection::open(self.folder.path().join("state.db")).unwrap();
        let _ = std::fs::remove_file(&copy);
        db.execute("vacuum into ?1", [copy.to_str().unwrap()]).unwrap();
        copy
    }

    /// Puts a copy in the place of the state file; no engine may be open.
    pub(crate) fn put_state_back(&self, copy: &std::path::Path) {
        for name in ["state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
        std::fs::copy(copy, self.folder.path().join("state.db")).unwrap();
        self.take_over.set(TakeOver::Asked);
    }

    /// Sets the target back.
    pub(crate) fn put_target_back(&self, backup: &TargetBackup) {
        self.target.restore(backup);
        self.take_over.set(TakeOver::Asked);
    }

    /// Power is lost: what the log had not made durable is gone.
    pub(crate) fn crash(&mut self) {
        self.log = self.log.crash();
    }
}

/// An event flow of tables that are carried as they are.
pub(crate) fn event_flow(name: &str, sites: &[&str], tables: &[&str]) -> Flow {
    let table =
        |name: &&str| FlowTable { source: name.to_string(), target: name.to_string(), key: None };
    Flow {
        name: name.into(),
        mode: Mode::Event,
        about: None,
        file: PathBuf::from(format!("flows/{name}.toml")),
        sites: sites.iter().map(|s| s.to_string()).collect(),
        from: From::Tables,
        target: "central".into(),
        tables: tables.iter().map(table).collect(),
        site_column: (sites.len() > 1).then(|| "site".to_string()),
        owner: None,
        writer: Writer::Flow,
        transform: None,
        new_columns: NewColumns::Add,
        events: Events {
            max_lag: Duration::from_secs(30),
            transactions: TransactionMode::Coalesce,
            dead_letter: DeadLetter { after: 2, stop_at: 1.0 },
        },
        batch: Batch {
            schedule: None,
            timezone: "UTC".into(),
            window: None,
            load: Load::Replace,
            interval_by: None,
            after: vec![],
            checks: vec![],
            zero_rows: false,
            catch_up: CatchUp::Latest,
        },
        reconcile: Reconcile { schedule: None, timezone: "UTC".into(), repair: None },
        max_staleness: None,
    }
}

/// A text cell.
pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.into())
}
