//! The engine's memory: `state.db`, one SQLite file beside the log.
//!
//! Nothing here needs a transaction over two files: what a target holds decides what a flow has done, what the
//! log holds decides what was captured; this file remembers names, ids, requests and verdicts. Losing it loses
//! no rows: the targets refuse the newcomer until an operator says that it may take over.

mod audit;
mod certificates;
mod fates;
mod flows;
mod lanes;
mod ledgers;
mod letters;
mod masks;
mod requests;
mod runs;

pub use audit::{Author, kept_heads};
pub use certificates::StoredCertificate;
pub(crate) use fates::waiting_in;
pub use flows::FlowIdentity;
pub use lanes::{LaneRecord, SnapshotState, StreamRecord};
pub use ledgers::{LedgerName, LedgerNote, StoredLedger};
pub use letters::{Letter, LetterStatus, MovedFrom, NewLetter};
pub use masks::LoggedMask;
pub use requests::{Request, RequestStatus};
pub use runs::{RunRecord, RunState};

use change::planted::{Defect, is_planted};
use connect::{Error, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Columns that files of earlier versions lack: table, column, and what it is.
const CAME_LATER: [(&str, &str, &str); 2] =
    [("letter", "at_target", "integer not null default 0"), ("stream", "end_offset", "integer")];

/// The layout this version writes.
const LAYOUT: i64 = 1;

const TABLES: &str = "
    create table if not exists setting (name text primary key, value text not null) without rowid;
    create table if not exists lane (
        id integer primary key, site text not null unique, system text, identity text);
    create table if not exists stream (
        lane integer not null, source_table text not null, snapshot integer, begin_offset integer,
        after_key text, complete integer not null default 0, end_offset integer,
        primary key (lane, source_table)) without rowid;
    create table if not exists flow (
        id integer primary key, name text not null unique, generation integer not null,
        definition text not null, paused integer not null default 0);
    create table if not exists holder (
        target text not null, holder integer not null, primary key (target, holder)) without rowid;
    create table if not exists letter (
        id integer primary key autoincrement, flow integer not null, lane integer not null,
        log_offset integer not null, ordinal integer not null, target_table text not null,
        key blob not null, row text not null, op integer not null, reason text not null,
        parked_at integer not null, status text not null default 'parked', note text,
        settled_at integer, at_target integer not null default 0, unique (flow, lane, log_offset, ordinal));
    create index if not exists letter_by_key on letter (flow, status, target_table, key, id);
    create table if not exists run (
        id integer primary key, flow integer not null, interval text not null, state text not null,
        started_at integer not null, ended_at integer, rows_read integer not null default 0,
        rows_out integer not null default 0, filtered integer not null default 0, detail text,
        asked_by text not null);
    create index if not exists run_by_flow on run (flow, started_at);
    create table if not exists certificate (
        number integer primary key autoincrement, flow integer not null, made_at integer not null,
        verdict text not null, body blob not null);
    create table if not exists observation (
        subject text primary key, observed_at integer not null, body text not null) without rowid;
    create table if not exists request (
        id integer primary key autoincrement, kind text not null, flow text not null,
        argument text not null, asked_at integer not null, status text not null default 'waiting',
        answer text);
    create table if not exists audit (
        number integer primary key, at integer not null, who text not null, command text not null,
        what text not null, detail text not null, previous text not null, hash text not null);
    create table if not exists ledger (
        flow integer not null, lane integer not null, target_table text not null,
        generation integer not null, log integer not null, source_schema text not null,
        folded_offset integer not null, base integer not null, epoch integer not null,
        snapshot integer, lacks text, highest text,
        primary key (flow, lane, target_table)) without rowid;
    create table if not exists ledger_leaf (
        flow integer not null, lane integer not null, target_table text not null,
        place integer not null, upto text, row_count integer not null, row_sum blob not null,
        last_offset integer not null, dirty integer not null,
        primary key (flow, lane, target_table, place)) without rowid;
    create table if not exists fired (
        flow integer not null, what text not null, at integer not null,
        primary key (flow, what)) without rowid;
";

/// The open state file; cheap to clone, one connection behind a lock.
#[derive(Clone)]
pub struct State {
    db: Arc<Mutex<Connection>>,
    author: Arc<Author>,
}

impl State {
    /// Opens or creates the state of a project.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened, `Corrupt` when it is no state file of this version.
    pub fn open(path: &Path) -> Result<State> {
        let db = Connection::open(path).map_err(failed("state.db cannot be opened"))?;
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed("state.db"))?;
        db.execute_batch("pragma journal_mode = wal").map_err(failed("state.db"))?;
        // As full; and where the switch to WAL has failed, which SQLite does not call an error, the removal of the
        // rollback journal is durable too.
        let synchronous = if is_planted(Defect::StateUnsynced) { "off" } else { "extra" };
        db.pragma_update(None, "synchronous", synchronous).map_err(failed("state.db"))?;
        // Answers to commands hold rows: what is forgotten is overwritten.
        db.pragma_update(None, "secure_delete", "on").map_err(failed("state.db"))?;
        // After a sync that failed, the system's memory shows what the disk has lost: it is written once more, elsewhere.
        db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
            .map_err(failed("state.db"))?;
        let found: i64 = db
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed("state.db cannot be read"))?;
        if found > LAYOUT {
            return Err(Error::corrupt("state.db was written by a newer version")
                .found(format!("layout {found}, this version knows {LAYOUT}"))
                .effect("nothing was read or written")
                .fix("run the newer seamount"));
        }
        db.execute_batch(TABLES).map_err(failed("state.db cannot be laid out"))?;
        add_what_came_later(&db)?;
        db.pragma_update(None, "user_version", LAYOUT).map_err(failed("state.db"))?;
        Ok(State { db: Arc::new(Mutex::new(db)), author: Arc::default() })
    }

    /// Opens the state of a project for reading, beside a running engine. `None` when there is none yet.
    ///
    /// # Errors
    /// `Unavailable` when it is there and cannot be read.
    pub fn open_read_only(path: &Path) -> Result<Option<State>> {
        if !path.exists() {
            return Ok(None);
        }
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(failed("state.db cannot be opened"))?;
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed("state.db"))?;
        Ok(Some(State { db: Arc::new(Mutex::new(db)), author: Arc::default() }))
    }

    /// Asks `may` before every commit of this file through this handle and its clones; `false` refuses the commit, as
    /// a disk does that fails. For the simulator, which stops the machine at any step.
    ///
    /// # Errors
    /// The file cannot be watched.
    pub fn on_commit(&self, mut may: impl FnMut() -> bool + Send + 'static) -> Result<()> {
        self.db().commit_hook(Some(move || !may())).map_err(failed("state.db"))
    }

    /// The same state, its entries in the audit log signed by somebody.
    #[must_use]
    pub fn signed(mut self, author: Author) -> State {
        self.author = Arc::new(author);
        self
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A setting of the engine's own.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        let db = self.db();
        let mut query = prepared(&db, "select value from setting where name = ?1")?;
        optional(query.query_row([name], |row| row.get(0)))
    }

    /// Stores a setting unless there is one, and returns the one that holds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn setting_or(&self, name: &str, value: &str) -> Result<String> {
        self.db()
            .execute("insert or ignore into setting (name, value) values (?1, ?2)", [name, value])
            .map_err(failed("state.db cannot be written"))?;
        Ok(self.setting(name)?.unwrap_or_else(|| value.to_string()))
    }

    /// Stores a setting over the one there is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_setting(&self, name: &str, value: &str) -> Result<()> {
        self.db()
            .execute("insert or replace into setting (name, value) values (?1, ?2)", [name, value])
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// Keeps what was last seen of a subject (`flow:NAME`, `lane:SITE`), for `status`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn observe(&self, subject: &str, observed_at: i64, body: &str) -> Result<()> {
        let sql = "insert into observation (subject, observed_at, body) values (?1, ?2, ?3)
                   on conflict do update set observed_at = excluded.observed_at, body = excluded.body";
        self.db()
            .execute(sql, rusqlite::params![subject, observed_at, body])
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// What was last seen of a subject, and when.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn observed(&self, subject: &str) -> Result<Option<(i64, String)>> {
        let db = self.db();
        let mut query =
            prepared(&db, "select observed_at, body from observation where subject = ?1")?;
        optional(query.query_row([subject], |row| Ok((row.get(0)?, row.get(1)?))))
    }
}

/// Adds the columns that files of earlier versions lack.
fn add_what_came_later(db: &Connection) -> Result<()> {
    for (table, column, definition) in CAME_LATER {
        let sql = "select exists (select 1 from pragma_table_info(?1) where name = ?2)";
        let there: bool = db
            .query_row(sql, [table, column], |row| row.get(0))
            .map_err(failed("state.db cannot be read"))?;
        if !there {
            db.execute_batch(&format!("alter table {table} add column {column} {definition}"))
                .map_err(failed("state.db cannot be laid out"))?;
        }
    }
    Ok(())
}

/// Turns a failure of the state file into an error at the edge.
fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |e| {
        let busy = matches!(
            e.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        );
        let error = if busy { Error::unavailable(what) } else { Error::corrupt(what) };
        error.found(e.to_string()).caused_by(e)
    }
}

fn prepared<'c>(db: &'c Connection, sql: &str) -> Result<rusqlite::CachedStatement<'c>> {
    db.prepare_cached(sql).map_err(failed("state.db cannot be read"))
}

fn optional<T>(found: rusqlite::Result<T>) -> Result<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(e) => Err(failed("state.db cannot be read")(e)),
    }
}
