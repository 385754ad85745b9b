//! Hostile names of tables and columns through every role of the SQLite connector: described, read, captured,
//! written, staged and published. An application beside it quotes by itself.

use super::quoting::{SAME_NAME, name};
use crate::drill::Violation;
use crate::random::Random;
use change::{ColumnType, FlowId, Generation, GroupBody, HolderId, Key, RunId, Value};
use connect::memory::sample::{keys, rows, shape, target_table, text};
use connect::{
    Bounds, Claim, Connector, Error, KeyRange, Load, Publish, Result, Resume, RowWork, Scan,
    SiteSettings, TargetTable,
};
use connectors::sqlite::Sqlite;
use rusqlite::Connection;

/// One table.
pub(super) fn run(seed: u64) -> std::result::Result<(), Violation> {
    let mut chance = Random::new(seed);
    let (table, key, column) = names(&mut chance);
    let wrong = |role: &str, what: String| {
        let about = format!("{role}: {what}; table {table:?}, key {key:?}, column {column:?}");
        Violation::new(SAME_NAME, about)
    };
    let place = Place::new();
    source(&place, &table, &key, &column).map_err(|e| wrong("source", e.to_string()))?;
    place.victim().map_err(|what| wrong("source", what))?;
    let place = Place::new();
    target(&place, &table, &key, &column).map_err(|e| wrong("target", e.to_string()))?;
    place.victim().map_err(|what| wrong("target", what))
}

/// Three names that a database takes beside each other.
fn names(chance: &mut Random) -> (String, String, String) {
    let taken = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower.starts_with("sqlite_") || lower.starts_with("_seamount") || lower == "victim"
    };
    let table = loop {
        let name = name(chance);
        if !taken(&name) {
            break name;
        }
    };
    let key = name(chance);
    let column = format!("{}x", name(chance));
    if column.eq_ignore_ascii_case(&key) {
        (table, key, "plain".into())
    } else {
        (table, key, column)
    }
}

/// A folder with a database in it, and an application's table beside ours.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().expect("a folder for the drill") };
        place
            .application()
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE victim (x); INSERT INTO victim VALUES (7)",
            )
            .expect("a new database");
        place
    }

    fn application(&self) -> Connection {
        Connection::open(self.dir.path().join("site.db")).expect("the folder takes a database")
    }

    fn settings(&self) -> SiteSettings {
        SiteSettings {
            site: "shop".into(),
            url: "sqlite:site.db".into(),
            root: self.dir.path().to_path_buf(),
            options: Default::default(),
            masks: Default::default(),
        }
    }

    /// The application's table is as it was.
    fn victim(&self) -> std::result::Result<(), String> {
        let found = self.application().query_row("SELECT sum(x) FROM victim", [], |row| row.get(0));
        match found {
            Ok(7i64) => Ok(()),
            other => Err(format!("another table was touched: {other:?}")),
        }
    }
}

/// The drill's own quoting.
fn own(name: &str) -> String {
    format!("\"{}\"", name.split('"').collect::<Vec<_>>().join("\"\""))
}

fn differs(what: &str) -> Error {
    Error::internal(what.to_string())
}

fn source(place: &Place, table: &str, key: &str, column: &str) -> Result<()> {
    let application = place.application();
    let run = |sql: String| {
        application.execute_batch(&sql).map_err(|e| Error::internal("the drill's SQL").caused_by(e))
    };
    let (t, k, c) = (own(table), own(key), own(column));
    run(format!("CREATE TABLE {t} ({k} INTEGER PRIMARY KEY, {c} TEXT)"))?;
    run(format!("INSERT INTO {t} VALUES (1, 'one'), (2, 'two')"))?;
    let settings = place.settings();
    let mut site = Sqlite.source(&settings)?;
    if !site.tables()?.iter().any(|name| name == table) {
        return Err(differs("the table is not listed"));
    }
    let schema = site.describe(table)?;
    let columns: Vec<&str> = schema.columns().iter().map(|c| c.name.as_str()).collect();
    if columns != [key, column] || schema.key() != [0] {
        return Err(differs("the columns are described otherwise"));
    }
    let range = KeyRange { after: Some(Key(vec![Value::Int(1)])), upto: None };
    let scan = Scan { range, ..Scan::all(table, schema.clone()) };
    let batch = scan.collect(site.cut()?.as_mut())?;
    if batch.num_rows() != 1 || Value::row(&batch, &schema, 0) != [Value::Int(2), text("two")] {
        return Err(differs("other rows are read"));
    }
    let mut reader = site.capture(&[table.to_string()], &Resume::Fresh)?;
    run(format!("INSERT INTO {t} VALUES (3, 'three')"))?;
    run(format!("UPDATE {t} SET {c} = 'changed' WHERE {k} = 1"))?;
    run(format!("DELETE FROM {t} WHERE {k} = 2"))?;
    let mut changes = 0;
    while let Some(group) = reader.poll(Bounds::BATCH)? {
        changes += GroupBody::changes(&group);
        if group.batches.iter().any(|batch| &**batch.table() != table) {
            return Err(differs("changes of another table are captured"));
        }
        reader.acknowledge(&group.upto)?;
    }
    if changes == 3 { Ok(()) } else { Err(differs("other changes are captured")) }
}

fn target(place: &Place, table: &str, key: &str, column: &str) -> Result<()> {
    let schema = shape(&[(key, ColumnType::Text), (column, ColumnType::Int64)], &[key]);
    let table = target_table(table, &schema);
    let mut target = Sqlite.target(&place.settings())?;
    target.prepare(std::slice::from_ref(&table))?;
    let (holder, flow, generation) = (HolderId::mint(1), FlowId::mint(7), Generation::mint(1));
    target.claim(&Claim { holder, known: vec![holder], take_over: false })?;
    target.adopt(flow, generation)?;
    let row = |k: &str, v| vec![text(k), Value::Int(v)];
    let three = rows(&schema, &[row("a", 1), row("b\"'", 2), row("c", 3)]);
    let mut transaction = target.begin(flow, generation)?;
    transaction.write(&table, &RowWork::Insert(three.clone()))?;
    transaction.write(&table, &RowWork::Upsert(rows(&schema, &[row("b\"'", 5)])))?;
    transaction.write(&table, &RowWork::Delete(keys(&schema, &[vec![text("a")]])))?;
    let range = KeyRange { after: Some(Key(vec![text("b\"'")])), upto: None };
    transaction.retain(&table, &range, &keys(&schema, &[]))?;
    transaction.commit(&[])?;
    let stored = |target: &mut dyn connect::Target, table: &TargetTable| {
        let scan = Scan::all(&table.name, table.schema.as_ref().clone());
        let batch = scan.collect(target.cut()?.as_mut())?;
        let cells = (0..batch.num_rows()).map(|row| Value::row(&batch, &table.schema, row));
        Ok::<_, Error>(cells.collect::<Vec<_>>())
    };
    if stored(target.as_mut(), &table)? != [row("b\"'", 5)] {
        return Err(differs("other rows are stored"));
    }
    target.stage(RunId::mint(1), &table, &three)?;
    target.publish(&Publish {
        flow,
        generation,
        run: RunId::mint(1),
        interval: "all".into(),
        content: "first".into(),
        load: Load::Replace,
        interval_rows: None,
        tables: vec![(table.clone(), 3)],
        progress: Vec::new(),
        published_at: 0,
    })?;
    if stored(target.as_mut(), &table)?.len() == 3 {
        Ok(())
    } else {
        Err(differs("published otherwise"))
    }
}
