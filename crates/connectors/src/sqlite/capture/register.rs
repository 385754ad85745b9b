//! What the capture keeps in the site's own database: who it is, which shapes tables had, and the change table.
//!
//! Shapes are numbered and never changed: a change carries the number of the shape it was written under, so it is
//! read with the columns of its time. The change table does without AUTOINCREMENT, which would make every transaction
//! write one more page: its newest acknowledged row is never deleted, so ids go on behind it, and an id that is given
//! a second time all the same has another tag. Gaps are what could not be captured; while there is one, nothing is delivered.

use super::super::catalogue::has_table;
use super::super::error::failed;
use super::triggers::Trigger;
use change::{HolderId, TableSchema};
use connect::{Claim, Error, Result, State};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Version of everything that is kept here.
const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE _seamount_capture (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    tag TEXT NOT NULL,
    file TEXT,
    acknowledged INTEGER NOT NULL,
    acknowledged_tag INTEGER
);
CREATE TABLE _seamount_shape (
    shape INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    keys TEXT NOT NULL,
    triggers TEXT NOT NULL,
    installed INTEGER NOT NULL
);
CREATE TABLE _seamount_gap (
    gap INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    schema_blocked INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE _seamount_change (
    id INTEGER PRIMARY KEY,
    tag INTEGER DEFAULT (random()),
    shape INTEGER,
    op INTEGER
);
INSERT INTO _seamount_change (shape, op) VALUES (0, 0);
";

/// Which engine may let go of changes. Made with the first claim: a capture of an earlier version has none.
const READER: &str = "CREATE TABLE IF NOT EXISTS _seamount_reader (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    holder INTEGER NOT NULL
)";

/// Tables without which there is no capture.
const NEEDED: [&str; 4] =
    ["_seamount_capture", "_seamount_shape", "_seamount_gap", "_seamount_change"];

/// Who the capture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Register {
    /// The database's tag: its history's identity.
    pub(super) tag: String,
    /// The file it was registered in; `None` once an operator has said that this file is the one.
    pub(super) file: Option<String>,
    /// The newest acknowledged change that the database knows of, and its tag.
    pub(super) acknowledged: (i64, Option<i64>),
}

/// A table as it was at some time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) number: i64,
    pub(super) table: Arc<str>,
    pub(super) schema: Arc<TableSchema>,
    /// Spelling of its unique keys.
    pub(super) keys: String,
    /// The triggers that were created for it: name and statement.
    pub(super) triggers: Vec<(String, String)>,
    /// Whether its triggers should be there now.
    pub(super) installed: bool,
}

/// Reads the register; `None` where any part of it is missing.
pub(super) fn read(connection: &Connection) -> Result<Option<Register>> {
    for table in NEEDED {
        if !has_table(connection, table)? {
            return Ok(None);
        }
    }
    let row = connection
        .query_row(
            "SELECT format, tag, file, acknowledged, acknowledged_tag FROM _seamount_capture",
            [],
            |row| {
                let acknowledged = (row.get(3)?, row.get(4)?);
                let register = Register { tag: row.get(1)?, file: row.get(2)?, acknowledged };
                Ok((row.get::<_, i64>(0)?, register))
            },
        )
        .optional()
        .map_err(failed("cannot read the capture's register"))?;
    match row {
        Some((FORMAT, register)) => Ok(Some(register)),
        Some((format, _)) => Err(Error::invalid("the capture was installed by another version")
            .found(format!("format {format}, this version knows {FORMAT}"))
            .fix("use the version that installed it")),
        None => Ok(None),
    }
}

/// Creates everything, with an identity of its own.
pub(super) fn create(connection: &Connection, file: Option<&str>) -> Result<Register> {
    let failed = || failed("cannot install the capture");
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|e| Error::unavailable("the system has no randomness").caused_by(e))?;
    let tag = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    connection.execute_batch(TABLES).map_err(failed())?;
    connection
        .execute(
            "INSERT INTO _seamount_capture VALUES (1, ?1, ?2, ?3, 0, NULL)",
            params![FORMAT, tag, file],
        )
        .map_err(failed())?;
    Ok(Register { tag, file: file.map(str::to_string), acknowledged: (0, None) })
}

/// Records who reads, unless it is somebody whom the claim does not know. The caller holds the write lock.
pub(super) fn claim(connection: &Connection, claim: &Claim) -> Result<()> {
    let shown = reader(connection)?;
    let known = |shown| shown == claim.holder || claim.known.contains(&shown) || claim.take_over;
    if let Some(shown) = shown.filter(|shown| !known(*shown)) {
        return Err(fenced(shown));
    }
    let write = || -> rusqlite::Result<()> {
        connection.execute_batch(READER)?;
        connection.execute(
            "INSERT OR REPLACE INTO _seamount_reader VALUES (1, ?1)",
            [claim.holder.to_i64()],
        )?;
        Ok(())
    };
    write().map_err(failed("cannot claim the capture"))
}

/// Fails when somebody else has claimed the capture.
pub(super) fn require_reader(connection: &Connection, ours: HolderId) -> Result<()> {
    match reader(connection)? {
        Some(shown) if shown != ours => Err(fenced(shown)),
        // Nobody: the capture was begun anew, which its history says better.
        _ => Ok(()),
    }
}

fn reader(connection: &Connection) -> Result<Option<HolderId>> {
    if !has_table(connection, "_seamount_reader")? {
        return Ok(None);
    }
    connection
        .query_row("SELECT holder FROM _seamount_reader", [], |row| row.get(0))
        .optional()
        .map(|holder| holder.map(HolderId::from_i64))
        .map_err(failed("cannot read who captures"))
}

fn fenced(shown: HolderId) -> Error {
    Error::conflict("another engine captures this database")
        .state(State::Fenced)
        .found(format!("the capture is held by {shown}"))
        .effect("nothing is let go of there, so that the other engine misses nothing")
        .fix("stop the other engine, or take its place")
}

/// Says that this file is the registered one.
pub(super) fn adopt_file(connection: &Connection, file: Option<&str>) -> Result<()> {
    connection
        .execute("UPDATE _seamount_capture SET file = ?1", [file])
        .map(drop)
        .map_err(failed("cannot write the capture's register"))
}

/// Removes everything of ours: triggers, notes, changes, the register.
pub(super) fn remove_all(connection: &Connection) -> Result<()> {
    let remove = || -> rusqlite::Result<()> {
        let found: Vec<(String, String)> = connection
            .prepare(
                "SELECT type, name FROM sqlite_schema
                 WHERE (type = 'trigger' AND name GLOB '_seamount_capture_*')
                    OR (type = 'table' AND (name GLOB '_seamount_note_*' OR name IN
                        ('_seamount_capture', '_seamount_shape', '_seamount_gap', '_seamount_change',
                         '_seamount_reader')))
                 ORDER BY type DESC",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (kind, name) in found {
            connection.execute_batch(&format!("DROP {kind} {name}"))?;
        }
        Ok(())
    };
    remove().map_err(failed("cannot remove what an earlier capture left"))
}

/// All shapes, oldest first.
pub(super) fn shapes(connection: &Connection) -> Result<Vec<Shape>> {
    let reading = || failed("cannot read the captured shapes");
    let mut statement = connection
        .prepare_cached(
            "SELECT shape, name, definition, keys, triggers, installed FROM _seamount_shape ORDER BY shape",
        )
        .map_err(reading())?;
    let mut rows = statement.query([]).map_err(reading())?;
    let mut shapes = Vec::new();
    while let Some(row) = rows.next().map_err(reading())? {
        let text = |i: usize| row.get::<_, String>(i).map_err(reading());
        let unreadable = |e: serde_json::Error| {
            Error::corrupt("the register of captured shapes reads back wrong").caused_by(e)
        };
        shapes.push(Shape {
            number: row.get(0).map_err(reading())?,
            table: Arc::from(text(1)?),
            schema: Arc::new(serde_json::from_str(&text(2)?).map_err(unreadable)?),
            keys: text(3)?,
            triggers: serde_json::from_str(&text(4)?).map_err(unreadable)?,
            installed: row.get(5).map_err(reading())?,
        });
    }
    Ok(shapes)
}

/// The number that the next shape gets.
pub(super) fn next_shape(connection: &Connection) -> Result<i64> {
    connection
        .query_row("SELECT coalesce(max(shape), 0) + 1 FROM _seamount_shape", [], |row| row.get(0))
        .map_err(failed("cannot read the captured shapes"))
}

/// Records a shape whose triggers have been created.
pub(super) fn add_shape(
    connection: &Connection,
    shape: &Shape,
    triggers: &[Trigger],
) -> Result<()> {
    let spelled: Vec<(&str, &str)> =
        triggers.iter().map(|t| (t.name.as_str(), t.sql.as_str())).collect();
    let definition = serde_json::to_string(&*shape.schema).expect("a schema is plain data");
    let triggers = serde_json::to_string(&spelled).expect("names and statements are plain data");
    connection
        .execute(
            "INSERT INTO _seamount_shape VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            params![shape.number, &*shape.table, definition, shape.keys, triggers],
        )
        .map(drop)
        .map_err(failed("cannot record a captured shape"))
}

/// A shape's triggers and notes go; its changes stay readable.
pub(super) fn retire_shape(connection: &Connection, shape: &Shape) -> Result<()> {
    let mut sql = String::new();
    for (name, _) in &shape.triggers {
        sql += &format!("DROP TRIGGER IF EXISTS {name};");
    }
    sql += &format!("DROP TABLE IF EXISTS {};", super::triggers::note_table(shape.number));
    sql += &format!("UPDATE _seamount_shape SET installed = 0 WHERE shape = {};", shape.number);
    connection
        .execute_batch(&sql)
        .map_err(failed(format!("cannot remove the capture of table {}", shape.table)))
}

/// Makes room in the change table for tables of so many columns.
pub(super) fn widen(connection: &Connection, columns: usize) -> Result<()> {
    let widening = || failed("cannot widen the change table");
    for i in width(connection)?..columns {
        connection
            .execute_batch(&format!(
                "ALTER TABLE _seamount_change ADD COLUMN n{i};
                 ALTER TABLE _seamount_change ADD COLUMN o{i};"
            ))
            .map_err(widening())?;
    }
    Ok(())
}

/// How many columns an image in the change table has.
pub(super) fn width(connection: &Connection) -> Result<usize> {
    let columns: i64 = connection
        .query_row(
            "SELECT count(*) FROM pragma_table_info('_seamount_change') WHERE name GLOB 'n[0-9]*'",
            [],
            |row| row.get(0),
        )
        .map_err(failed("cannot read the change table"))?;
    Ok(usize::try_from(columns).expect("a count"))
}

/// Records that something of a table could not be captured.
pub(super) fn add_gap(
    connection: &Connection,
    table: &str,
    state: State,
    reason: &str,
) -> Result<()> {
    connection
        .execute(
            "INSERT INTO _seamount_gap (name, schema_blocked, reason) VALUES (?1, ?2, ?3)",
            params![table, state == State::SchemaBlocked, reason],
        )
        .map(drop)
        .map_err(failed("cannot record a gap"))
}

/// Forgets all gaps: a capture that begins now has no past to be complete.
pub(super) fn clear_gaps(connection: &Connection) -> Result<()> {
    connection
        .execute("DELETE FROM _seamount_gap", [])
        .map(drop)
        .map_err(failed("cannot clear the gaps"))
}

/// The oldest gap, as the error that stops the lane.
pub(super) fn require_no_gap(connection: &Connection) -> Result<()> {
    let gap: Option<(String, bool, String)> = connection
        .prepare_cached(
            "SELECT name, schema_blocked, reason FROM _seamount_gap ORDER BY gap LIMIT 1",
        )
        .and_then(|mut s| {
            s.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        })
        .map_err(failed("cannot read the gaps"))?;
    let Some((table, blocked, reason)) = gap else { return Ok(()) };
    let state = if blocked { State::SchemaBlocked } else { State::PositionLost };
    Err(Error::invalid(format!("changes of table {table} may be missing"))
        .found(reason)
        .effect("the triggers are in place again, but what they missed is in no change; nothing is delivered until you decide")
        .fix(format!(
            "run `DELETE FROM _seamount_gap WHERE name = '{}'` in the site's database, then `seamount reconcile --repair` the flows of this table",
            table.replace('\'', "''")
        ))
        .state(state))
}
