//! One change end to end: committed at a SQLite site, captured, durable in the log, visible in a SQLite target.
//!
//! The clock starts before the source's commit and stops when another connection can read the row at the target,
//! so the figure holds everything a user would wait for, the application's own commit included. The anchor is the
//! same row committed durably to both files by hand: what no mover can be faster than.

use crate::Place;
use crate::measure::{Goals, Reached, peak_rss_mib, percentile};
use anyhow::{Context, Result, ensure};
use change::{DigestKey, TableSchema};
use connect::{
    BatchEngine, Classified, Connectors, Error, Input, RowTransform, SqlPlanner, SystemClock,
};
use engine::{Assembly, Engine, Environment, Random, Service, State, Stop, SystemRandom, TakeOver};
use eventlog::EventLog;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHANGES: usize = 500;
const PATIENCE: Duration = Duration::from_secs(10);
const TABLE: &str = "create table item (id integer primary key, name text, qty integer)";

/// The flow carries rows as they are; no statement is planned.
struct NoSql;

impl SqlPlanner for NoSql {
    fn classify(&self, sql: &str, _: &[(String, TableSchema)]) -> connect::Result<Classified> {
        Err(Error::invalid(format!("this bench plans no SQL: {sql}")))
    }

    fn compile(
        &self,
        sql: &str,
        _: &str,
        _: &TableSchema,
        _: &[String],
    ) -> connect::Result<Arc<dyn RowTransform>> {
        Err(Error::invalid(format!("this bench plans no SQL: {sql}")))
    }
}

impl BatchEngine for NoSql {
    fn run(
        &self,
        sql: &str,
        _: Vec<Input>,
        _: &TableSchema,
        _: &mut dyn FnMut(arrow::array::RecordBatch) -> connect::Result<()>,
    ) -> connect::Result<()> {
        Err(Error::invalid(format!("this bench runs no SQL: {sql}")))
    }
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let folder = place.folder()?;
    let anchor = by_hand(folder.path())?;
    let moved = moved(folder.path())?;
    let again = by_hand(folder.path())?;
    let milliseconds = |values: &[f64], p| percentile(values, p) * 1e3;
    println!(
        "by hand, two durable commits: p50 {:.2} ms, p99 {:.2} ms before; p50 {:.2} ms, p99 {:.2} ms after",
        milliseconds(&anchor, 50.0),
        milliseconds(&anchor, 99.0),
        milliseconds(&again, 50.0),
        milliseconds(&again, 99.0)
    );
    let (p50, p99) = (milliseconds(&moved, 50.0), milliseconds(&moved, 99.0));
    println!(
        "SQLite -> log -> SQLite, {CHANGES} changes one by one: p50 {p50:.2} ms, p99 {p99:.2} ms; peak RSS {} MiB",
        peak_rss_mib()?
    );
    let figure = format!("p99 {p99:.1} ms, p50 {p50:.1} ms");
    goals.note("G10 end to end", &figure, "p99 < 100 ms", Reached::at_most(p99, 100.0));
    Ok(())
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    Ok(db)
}

/// The same rows, written to both files without anything between: seconds for each.
fn by_hand(folder: &Path) -> Result<Vec<f64>> {
    let scratch = tempfile::tempdir_in(folder)?;
    let (one, two) = (open(&scratch.path().join("a.db"))?, open(&scratch.path().join("b.db"))?);
    one.execute_batch(TABLE)?;
    two.execute_batch(TABLE)?;
    (0..CHANGES)
        .map(|i| {
            let began = Instant::now();
            for db in [&one, &two] {
                db.execute("insert into item values (?1, 'thing', 1)", [i as i64])?;
            }
            Ok(began.elapsed().as_secs_f64())
        })
        .collect()
}

/// Through capture, log and applier: seconds from the commit to the row's being visible.
fn moved(folder: &Path) -> Result<Vec<f64>> {
    let source = open(&folder.join("shop.db"))?;
    source.execute_batch(TABLE)?;
    source.execute("insert into item values (-1, 'first', 0)", [])?;
    for (path, text) in [
        ("seamount.toml", "name = \"bench\"\n"),
        (
            "sites.toml",
            "[shop]\nurl = \"sqlite:shop.db\"\n[central]\nurl = \"sqlite:central.db\"\n",
        ),
        (
            "flows/items.toml",
            "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"item\"\n[to]\nsite = \"central\"\n",
        ),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        std::fs::write(path, text)?;
    }
    let engine = engine(folder)?;
    let stop = Stop::default();
    let service = Service::start(&engine, &engine.assembly.project.flows, &stop)?;
    let target = open(&folder.join("central.db"))?;
    wait_for(&target, -1)?;
    let mut seconds = Vec::with_capacity(CHANGES);
    for i in 0..CHANGES {
        let began = Instant::now();
        source.execute("insert into item values (?1, 'thing', 1)", [i as i64])?;
        wait_for(&target, i as i64)?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    service.shut_down()?;
    let count = |db: &Connection| -> Result<(i64, i64)> {
        let sql = "select count(*), sum(id) from item";
        Ok(db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    };
    ensure!(count(&source)? == count(&target)?, "the target is not the source");
    Ok(seconds)
}

/// Until a row can be read at the target; a table that is not there yet is no row.
fn wait_for(target: &Connection, id: i64) -> Result<()> {
    let began = Instant::now();
    let row = |_: &rusqlite::Row<'_>| Ok(());
    while target.query_row("select 1 from item where id = ?1", [id], row).is_err() {
        ensure!(began.elapsed() < PATIENCE, "row {id} did not arrive");
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

fn engine(folder: &Path) -> Result<Engine> {
    let project = flow::load(folder, &flow::Context::new(&["sqlite"]))
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let state = folder.join(".seamount");
    std::fs::create_dir_all(&state)?;
    let clock: Arc<dyn connect::Clock> = Arc::new(SystemClock::default());
    let settings = eventlog::Settings::new(clock.clone(), Arc::new(|| SystemRandom.bits()));
    let assembly = Assembly {
        project: Arc::new(project),
        connectors: Arc::new(Connectors::new(vec![Box::new(connectors::sqlite::Sqlite)])),
        log: Arc::new(EventLog::open(&state.join("log"), settings)?),
        state: State::open(&state.join("state.db"))?,
        planner: Arc::new(NoSql),
        batch: Arc::new(NoSql),
        digest_key: DigestKey::new(SystemRandom.bits()),
        environment: Environment { clock, random: Arc::new(SystemRandom) },
    };
    Ok(Engine::new(assembly, TakeOver::Never))
}
