//! `bench sqlite-capture`: row 8 of issue 1, what the capture of a SQLite database costs its application, and how
//! fast its changes are read.
//!
//! Each figure stands beside the same work without triggers, or beside a bare scan of the same change table, in the
//! same call. What was drained is counted before a figure is printed.

use crate::Place;
use crate::measure::{Goals, Reached, alternate, median, spend};
use anyhow::{Result, ensure};
use connect::component::{Connector, SiteSettings};
use connect::{Bounds, ChangeReader, Resume};
use connectors::sqlite::Sqlite;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

const BULK: i64 = 200_000;
const BATCH: i64 = 10_000;
const SINGLE: i64 = 300;
const DRAINED: i64 = 500_000;

/// Runs all figures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    bulk(goals, place)?;
    single(goals, place)?;
    drain(goals, place)
}

/// Whether the application is captured while it works.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Captured {
    Yes,
    No,
}

fn capture(dir: &Path, resume: &Resume) -> Result<Box<dyn ChangeReader>> {
    let settings = SiteSettings {
        site: "shop".into(),
        url: "sqlite:shop.db".into(),
        root: dir.to_path_buf(),
        options: BTreeMap::new(),
        masks: Default::default(),
    };
    Ok(Sqlite.source(&settings)?.capture(&["sales".into()], resume)?)
}

/// A shop without sales.
fn shop(dir: &Path, synchronous: &str, captured: Captured) -> Result<Connection> {
    let application = Connection::open(dir.join("shop.db"))?;
    application.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         CREATE TABLE sales (id INTEGER PRIMARY KEY, store_id INT, sku INT, qty INT, price_cents INT,
                             ts TEXT, status TEXT)"
    ))?;
    if captured == Captured::Yes {
        drop(capture(dir, &Resume::Fresh)?);
    }
    Ok(application)
}

/// Sells `rows` times, `batch` rows in a transaction.
fn sell(application: &Connection, rows: i64, batch: i64) -> Result<()> {
    let mut insert = application.prepare("INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    let mut id = 0;
    while id < rows {
        application.execute_batch("BEGIN")?;
        for _ in 0..batch.min(rows - id) {
            let (store, sku, price) = (id % 200, id * 7919 % 50_000, id * 31 % 100_000);
            insert.execute((id, store, sku, id % 9 + 1, price, "2026-01-01T00:00:00Z", "paid"))?;
            id += 1;
        }
        application.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Seconds that the sales take.
fn seconds(place: &Place, captured: Captured, how: (&str, i64, i64)) -> Result<f64> {
    let (synchronous, rows, batch) = how;
    let dir = place.folder()?;
    let application = shop(dir.path(), synchronous, captured)?;
    let ((), spent) = spend(|| sell(&application, rows, batch))?;
    Ok(spent.wall.as_secs_f64())
}

fn slow_down(
    goals: &mut Goals,
    place: &Place,
    name: &str,
    most: f64,
    how: (&str, i64, i64),
) -> Result<()> {
    let (with, without) =
        alternate(|| seconds(place, Captured::Yes, how), || seconds(place, Captured::No, how))?;
    let (with, without) = (median(&with), median(&without));
    let ratio = with / without;
    let rate = how.1 as f64 / with / 1000.0;
    let figure = format!("{ratio:.2}x ({rate:.1} k rows/s captured)");
    goals.note(name, &figure, &format!("<= {most}x"), Reached::at_most(ratio, most));
    Ok(())
}

fn bulk(goals: &mut Goals, place: &Place) -> Result<()> {
    slow_down(goals, place, "G10 bulk insert", 3.0, ("NORMAL", BULK, BATCH))
}

fn single(goals: &mut Goals, place: &Place) -> Result<()> {
    slow_down(goals, place, "G10 durable transaction", 1.2, ("FULL", SINGLE, 1))
}

fn drain(goals: &mut Goals, place: &Place) -> Result<()> {
    let dir = place.folder()?;
    let application = shop(dir.path(), "OFF", Captured::Yes)?;
    let reader = capture(dir.path(), &Resume::Fresh)?;
    sell(&application, DRAINED, BATCH)?;
    let begin = begin(&application, reader.as_ref())?;
    let (drained, scanned) = alternate(
        || {
            let mut reader = capture(dir.path(), &begin)?;
            let (count, spent) = spend(|| read_all(reader.as_mut()))?;
            ensure!(count == DRAINED as usize, "{count} changes came");
            Ok(count as f64 / spent.wall.as_secs_f64())
        },
        || {
            let (count, spent) = spend(|| scan(&application))?;
            Ok(count as f64 / spent.wall.as_secs_f64())
        },
    )?;
    let (drained, scanned) = (median(&drained), median(&scanned));
    println!("a bare scan of the change table: {:.2} M rows/s", scanned / 1e6);
    let figure =
        format!("{:.2} M changes/s ({:.2} of a bare scan)", drained / 1e6, drained / scanned);
    goals.note("G10 drain", &figure, ">= 0.7 M", Reached::at_least(drained, 7e5));
    Ok(())
}

/// The place before the first change.
fn begin(application: &Connection, reader: &dyn ChangeReader) -> Result<Resume> {
    let (id, tag): (i64, i64) = application.query_row(
        "SELECT id, tag FROM _seamount_change ORDER BY id LIMIT 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let position =
        change::SourcePosition { sequence: id.cast_unsigned(), detail: Some(tag.to_string()) };
    Ok(Resume::After { history: reader.history().clone(), position })
}

fn read_all(reader: &mut dyn ChangeReader) -> Result<usize> {
    let mut changes = 0;
    while let Some(group) = reader.poll(Bounds::BATCH)? {
        changes += group.changes();
    }
    Ok(changes)
}

/// Every cell of every change, and nothing done with it.
fn scan(application: &Connection) -> Result<usize> {
    let mut statement = application.prepare("SELECT * FROM _seamount_change ORDER BY id")?;
    let width = statement.column_count();
    let mut rows = statement.query([])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        for i in 0..width {
            std::hint::black_box(row.get_ref(i)?);
        }
        count += 1;
    }
    Ok(count)
}
