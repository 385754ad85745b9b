//! One file of the hot log: an SQLite database (WAL, `synchronous = FULL`) with one row for each frame.
//!
//! Not here: which files there are (`catalog`) and when a new one begins (`rotate`). Invariant: a file stands on its
//! own; it holds the schemas its frames name and where every lane stood when the file began.

use crate::failure::{not_wal, unreadable};
use crate::frame::{Found, Frame, Header};
use change::planted::{Defect, is_planted};
use change::{LaneId, LogId, Offset, Part, SourcePosition};
use connect::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// The tables, version 1.
const TABLES: &str = "
    CREATE TABLE meta(log INTEGER NOT NULL, layout INTEGER NOT NULL, number INTEGER NOT NULL,
        created_at INTEGER NOT NULL) STRICT;
    CREATE TABLE schema(number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
    CREATE TABLE lane(lane INTEGER PRIMARY KEY, trimmed INTEGER NOT NULL, newest INTEGER NOT NULL,
        sequence INTEGER, detail TEXT) STRICT;
    CREATE TABLE frame(place INTEGER PRIMARY KEY, lane INTEGER NOT NULL, offset INTEGER NOT NULL, changes INTEGER NOT NULL,
        commit_time INTEGER NOT NULL, kind INTEGER NOT NULL, chunk TEXT, part INTEGER NOT NULL,
        part_last INTEGER NOT NULL, after_sequence INTEGER NOT NULL, after_detail TEXT,
        upto_sequence INTEGER NOT NULL, upto_detail TEXT, raw_bytes INTEGER NOT NULL,
        checksum INTEGER NOT NULL, body BLOB NOT NULL) STRICT;";

/// Made when a file is full.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS frame_place ON frame(lane, offset)";

/// A frame's columns, in the order of [`header`].
const COLUMNS: &str =
    "lane, offset, changes, commit_time, kind, chunk, part, part_last, after_sequence,
    after_detail, upto_sequence, upto_detail, raw_bytes, checksum, body";

const LAYOUT: u32 = 1;

/// How long a reader waits for a recovery that another process does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a lane stands, as a file records it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Newest offset that was let go.
    pub(crate) trimmed: Offset,
    /// Newest offset before this file's frames.
    pub(crate) newest: Offset,
    /// Source position of that offset.
    pub(crate) position: Option<SourcePosition>,
}

/// The ends of a lane inside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    /// Commit time of the newest frame.
    pub(crate) commit_time: i64,
}

/// A file open for writing. One at a time, by the writer thread.
pub(crate) struct HotFile {
    connection: Connection,
    schemas: HashSet<u32>,
    /// Row of the newest frame.
    newest: i64,
}

impl HotFile {
    /// Makes a new file and everything in it, durably.
    pub(crate) fn create(
        path: &Path,
        log: LogId,
        number: u32,
        created_at: i64,
        marks: &[(LaneId, Mark)],
    ) -> rusqlite::Result<Self> {
        let mut file =
            HotFile { connection: Connection::open(path)?, schemas: HashSet::new(), newest: 0 };
        file.connection.pragma_update(None, "page_size", 4096)?;
        file.settle()?;
        if is_planted(Defect::RemoveBeforeSync) {
            file.connection.pragma_update(None, "synchronous", "OFF")?;
        }
        let transaction = file.connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.execute(
            "INSERT INTO meta VALUES (?1, ?2, ?3, ?4)",
            params![log.to_i64(), LAYOUT, number, created_at],
        )?;
        for (lane, mark) in marks {
            put_mark(&transaction, *lane, mark)?;
        }
        transaction.commit()?;
        file.connection.pragma_update(None, "synchronous", "FULL")?;
        file.require_wal()?;
        Ok(file)
    }

    /// Opens a file that is there.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let file = HotFile { connection, schemas: HashSet::new(), newest: 0 };
        file.settle()?;
        let schemas = {
            let mut select = file.connection.prepare("SELECT number FROM schema")?;
            select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
        };
        let newest =
            file.connection
                .query_row("SELECT coalesce(max(place), 0) FROM frame", [], |row| row.get(0))?;
        file.require_wal()?;
        Ok(HotFile { schemas, newest, ..file })
    }

    /// Fails where the switch to WAL did not last. SQLite does not call that an error, and says so only once the file
    /// has been used: it would go on with a rollback journal, which can come back and undo commits.
    fn require_wal(&self) -> rusqlite::Result<()> {
        let mode: String =
            self.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode == "wal" { Ok(()) } else { Err(not_wal(&mode)) }
    }

    fn settle(&self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch("PRAGMA journal_mode = WAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    /// Writes frames and how far lanes are trimmed, in one durable transaction. After an error nothing of it is
    /// there, as far as SQLite can tell; see `failure` for what may be tried again. Returns the row of the first frame;
    /// the others follow it.
    pub(crate) fn write(
        &mut self,
        frames: &[Frame],
        trimmed: &[(LaneId, Offset)],
    ) -> rusqlite::Result<i64> {
        let first = self.newest + 1;
        let transaction = self.connection.transaction()?;
        let mut added = Vec::new();
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO frame VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
            )?;
            for (place, frame) in (first..).zip(frames) {
                for schema in &frame.schemas {
                    if !self.schemas.contains(&schema.number) && !added.contains(&schema.number) {
                        transaction.execute(
                            "INSERT INTO schema VALUES (?1, ?2)",
                            params![schema.number, schema.text],
                        )?;
                        added.push(schema.number);
                    }
                }
                if is_planted(Defect::DropOversize) && frame.body.len() > 1 << 14 {
                    continue;
                }
                insert_frame(&mut insert, place, frame)?;
            }
        }
        for (lane, offset) in trimmed {
            transaction.execute(
                "INSERT INTO lane(lane, trimmed, newest) VALUES (?1, ?2, 0)
                 ON CONFLICT(lane) DO UPDATE SET trimmed = excluded.trimmed",
                params![lane.to_i64(), offset.to_i64()],
            )?;
        }
        transaction.commit()?;
        self.schemas.extend(added);
        self.newest += i64::try_from(frames.len()).expect("frames in memory");
        Ok(first)
    }

    /// Whether no transaction is left open. A failed one that cannot even be rolled back is the end of trust.
    pub(crate) fn is_settled(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Copies the WAL into the file as far as readers allow, without making anybody wait. Returns frames of the WAL
    /// and how many of them are in the file.
    pub(crate) fn checkpoint(&self) -> rusqlite::Result<(i64, i64)> {
        checkpoint(&self.connection, "PASSIVE")
    }

    /// Makes the index by lane and offset.
    pub(crate) fn index(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(INDEX)
    }

    /// Copies the whole WAL and empties it; waits for readers, for a while.
    pub(crate) fn checkpoint_all(&self) -> rusqlite::Result<(i64, i64)> {
        checkpoint(&self.connection, "TRUNCATE")
    }

    /// Sets an option of the connection.
    pub(crate) fn set_config(&self, option: DbConfig, value: bool) -> rusqlite::Result<()> {
        self.connection.set_db_config(option, value).map(|_| ())
    }

    /// Bytes of the file without its WAL.
    pub(crate) fn bytes(&self) -> rusqlite::Result<u64> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
        let (pages, size): (i64, i64) = (pragma("page_count")?, pragma("page_size")?);
        Ok((pages * size).unsigned_abs())
    }

    /// Lets the file hold no more pages than this: a disk that is full, for tests.
    #[cfg(test)]
    pub(crate) fn limit(&self, pages: u32) -> rusqlite::Result<()> {
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }
}

/// Runs a checkpoint of the mode named.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}

fn insert_frame(
    insert: &mut rusqlite::Statement<'_>,
    place: i64,
    frame: &Frame,
) -> rusqlite::Result<()> {
    let header = &frame.header;
    insert.execute(params![
        place,
        header.lane.to_i64(),
        header.offset.to_i64(),
        header.changes,
        header.commit_time,
        header.kind,
        header.chunk,
        header.part.index,
        header.part.last,
        header.after.sequence.cast_signed(),
        header.after.detail,
        header.upto.sequence.cast_signed(),
        header.upto.detail,
        header.raw_bytes,
        frame.checksum,
        frame.body,
    ])?;
    Ok(())
}

fn put_mark(connection: &Connection, lane: LaneId, mark: &Mark) -> rusqlite::Result<()> {
    let position = mark.position.as_ref();
    connection.execute(
        "INSERT INTO lane VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            lane.to_i64(),
            mark.trimmed.to_i64(),
            mark.newest.to_i64(),
            position.map(|p| p.sequence.cast_signed()),
            position.and_then(|p| p.detail.as_deref()),
        ],
    )?;
    Ok(())
}

/// Opens a file for reading; also one that another process writes.
pub(crate) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    open_as(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a file that may have been left in the middle of a write.
pub(crate) fn open_for_recovery(path: &Path) -> rusqlite::Result<Connection> {
    open_as(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open_as(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The log a file belongs to; `None` where a crash left a file without its first transaction.
pub(crate) fn owner(connection: &Connection) -> Result<Option<LogId>> {
    let failed = |e| unreadable(&e, "a file of the log cannot be opened");
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(failed)?;
    if tables == 0 {
        return Ok(None);
    }
    let (log, layout): (i64, u32) = connection
        .query_row("SELECT log, layout FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    if layout != LAYOUT {
        return Err(Error::invalid("a file of the log has a layout that this version cannot read")
            .found(format!("layout {layout}, known is {LAYOUT}")));
    }
    Ok(Some(LogId::from_i64(log)))
}

/// Where the file says that lanes stood when it began, and how far they are trimmed.
pub(crate) fn marks(connection: &Connection) -> rusqlite::Result<Vec<(LaneId, Mark)>> {
    let mut select = connection.prepare_cached("SELECT * FROM lane")?;
    let marks = select.query_map([], |row| {
        let detail = row.get(4)?;
        let position = row
            .get::<_, Option<i64>>(3)?
            .map(|sequence| SourcePosition { sequence: sequence.cast_unsigned(), detail });
        let mark = Mark {
            trimmed: Offset::from_i64(row.get(1)?),
            newest: Offset::from_i64(row.get(2)?),
            position,
        };
        Ok((LaneId::from_i64(row.get(0)?), mark))
    })?;
    marks.collect()
}

/// Whether the file has its index by lane and offset.
pub(crate) fn is_indexed(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE name = 'frame_place')";
    connection.query_row(sql, [], |row| row.get(0))
}

/// The ends of every lane in an indexed file: a few look-ups for each, whatever the size of the file.
pub(crate) fn extents(connection: &Connection) -> rusqlite::Result<Vec<(LaneId, Extent)>> {
    let mut found = Vec::new();
    let mut next = connection
        .prepare_cached("SELECT lane FROM frame WHERE lane > ?1 ORDER BY lane LIMIT 1")?;
    let mut first = connection
        .prepare_cached("SELECT offset FROM frame WHERE lane = ?1 ORDER BY offset LIMIT 1")?;
    let mut last = connection.prepare_cached(
        "SELECT offset, commit_time FROM frame WHERE lane = ?1 ORDER BY offset DESC LIMIT 1",
    )?;
    let mut lane = -1;
    while let Some(id) = next.query_row([lane], |row| row.get::<_, i64>(0)).optional()? {
        lane = id;
        let first = first.query_row([lane], |row| row.get(0)).map(Offset::from_i64)?;
        let extent = last.query_row([lane], |row| {
            Ok(Extent { first, last: Offset::from_i64(row.get(0)?), commit_time: row.get(1)? })
        })?;
        found.push((LaneId::from_i64(id), extent));
    }
    Ok(found)
}

/// Shows every frame behind a row, as row, lane, offset and commit time. Bodies are not read.
pub(crate) fn scan(
    connection: &Connection,
    behind: i64,
    see: &mut dyn FnMut(i64, LaneId, Offset, i64),
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT place, lane, offset, commit_time FROM frame WHERE place > ?1 ORDER BY place",
    )?;
    let mut rows = select.query([behind])?;
    while let Some(row) = rows.next()? {
        let (lane, offset) = (LaneId::from_i64(row.get(1)?), Offset::from_i64(row.get(2)?));
        see(row.get(0)?, lane, offset, row.get(3)?);
    }
    Ok(())
}

/// The file's schemas by number.
pub(crate) fn schemas(connection: &Connection) -> rusqlite::Result<Vec<(u32, String)>> {
    let mut select = connection.prepare_cached("SELECT number, text FROM schema")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// How frames are found.
pub(crate) enum Find<'a> {
    /// By the file's index.
    Indexed,
    /// At these rows.
    At(&'a [i64]),
}

/// Shows frames of a lane behind `after` up to `upto` to `see`, in order, until it answers false.
pub(crate) fn frames(
    connection: &Connection,
    lane: LaneId,
    (after, upto): (Offset, Offset),
    find: &Find<'_>,
    see: &mut dyn FnMut(Found<'_>) -> bool,
) -> rusqlite::Result<()> {
    let mut show = |row: &Row<'_>| -> rusqlite::Result<bool> {
        let body = row.get_ref(14)?.as_blob()?;
        Ok(see(Found { header: header(row)?, checksum: row.get(13)?, body }))
    };
    match find {
        Find::Indexed => {
            let mut select = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM frame WHERE lane = ?1 AND offset > ?2 AND offset <= ?3 ORDER BY offset"
            ))?;
            let mut rows = select.query(params![lane.to_i64(), after.to_i64(), upto.to_i64()])?;
            while let Some(row) = rows.next()? {
                if !show(row)? {
                    break;
                }
            }
        }
        Find::At(places) => {
            let mut select = connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM frame WHERE place = ?1"))?;
            for place in *places {
                match select.query([place])?.next()? {
                    Some(row) if show(row)? => {}
                    _ => break,
                }
            }
        }
    }
    Ok(())
}

fn header(row: &Row<'_>) -> rusqlite::Result<Header> {
    let position = |sequence, detail| -> rusqlite::Result<SourcePosition> {
        let sequence = row.get::<_, i64>(sequence)?.cast_unsigned();
        Ok(SourcePosition { sequence, detail: row.get(detail)? })
    };
    Ok(Header {
        lane: LaneId::from_i64(row.get(0)?),
        offset: Offset::from_i64(row.get(1)?),
        changes: row.get(2)?,
        commit_time: row.get(3)?,
        kind: row.get(4)?,
        chunk: row.get(5)?,
        part: Part { index: row.get(6)?, last: flag(row, 7)? },
        after: position(8, 9)?,
        upto: position(10, 11)?,
        raw_bytes: row.get(12)?,
    })
}

/// A flag, strictly: `true` has one representation, so that a flipped bit shows.
fn flag(row: &Row<'_>, column: usize) -> rusqlite::Result<bool> {
    match row.get::<_, i64>(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(column, other)),
    }
}
