//! The audit log in the state file: an entry is committed with the act it tells of, or before it where the act is not
//! in this file.
//!
//! The head of each entry is also appended to a file beside it, so that cutting off the end of the log takes two
//! files; whoever wants more keeps heads elsewhere.

use super::{State, failed, flows, optional, prepared};
use crate::audit::{Act, AuditEntry};
use change::{FlowId, Generation};
use connect::{Error, Result};
use proof::{Head, Linked};
use rusqlite::{Connection, Row, TransactionBehavior, params};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Who acts, for every entry that this process makes.
#[derive(Clone, Debug, Default)]
pub struct Author {
    /// `user@host`.
    pub who: String,
    /// The command line, without secrets.
    pub command: String,
    /// The file that gets the heads; without it they are kept nowhere but in the log.
    pub heads: Option<PathBuf>,
}

impl State {
    /// Makes an entry of its own, for an act that follows.
    ///
    /// # Errors
    /// The file cannot be written: the act must not follow.
    pub fn audit(&self, act: Act) -> Result<()> {
        self.audited(|_| Ok(((), act)))
    }

    /// Pauses or resumes a flow, as an operator said.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn order_pause(&self, name: &str, flow: FlowId, paused: bool, at: i64) -> Result<()> {
        let what = if paused { "pause" } else { "resume" };
        self.audited(|db| {
            flows::set_paused(db, flow, paused)?;
            Ok(((), Act { at, what, detail: format!("flow {name}") }))
        })
    }

    /// Gives a flow a new generation because an operator asked for a new snapshot.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn order_resync(
        &self,
        name: &str,
        flow: FlowId,
        generation: Generation,
        at: i64,
    ) -> Result<()> {
        self.audited(|db| {
            flows::renew(db, flow, generation)?;
            Ok(((), Act { at, what: "resync", detail: format!("flow {name}") }))
        })
    }

    /// Asks the running engine for something that changes data, as [`State::ask`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn order(&self, kind: &str, flow: &str, argument: &str, at: i64) -> Result<i64> {
        self.audited(|db| {
            let id = super::requests::ask(db, kind, flow, argument, at)?;
            let detail = format!("{kind} of flow {flow}, request {id}: {argument}");
            Ok((id, Act { at, what: "ask", detail }))
        })
    }

    /// All entries, oldest first. A file that never had any has none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn audit_entries(&self) -> Result<Vec<AuditEntry>> {
        let db = self.db();
        if !has_table(&db)? {
            return Ok(Vec::new());
        }
        let mut query = prepared(
            &db,
            "select number, at, who, command, what, detail, previous, hash from audit order by number",
        )?;
        let rows = query.query_map([], read).map_err(failed("the audit log cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("the audit log cannot be read"))
    }

    /// Does something to the file and tells of it, in one transaction.
    pub(super) fn audited<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<(T, Act)>,
    ) -> Result<T> {
        let wrong = || failed("the audit log cannot be written");
        let mut db = self.db();
        // Two processes that append at once must not chain to the same entry.
        let txn = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong())?;
        let (done, act) = work(&txn)?;
        let newest = newest(&txn)?;
        let author = &self.author;
        let entry = AuditEntry::chained(newest.as_ref(), &author.who, &author.command, act);
        txn.prepare_cached(
            "insert into audit (number, at, who, command, what, detail, previous, hash)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                entry.number,
                entry.at,
                entry.who,
                entry.command,
                entry.what,
                entry.detail,
                entry.previous,
                entry.hash
            ])
        })
        .map_err(wrong())?;
        txn.commit().map_err(wrong())?;
        if let Some(heads) = &author.heads {
            keep(heads, &entry.head()).map_err(|e| {
                Error::unavailable("the head of the audit log cannot be kept")
                    .found(e.to_string())
                    .effect("the act is in the log; cutting it off would not be seen")
                    .fix(format!("make {} writable", heads.display()))
            })?;
        }
        Ok(done)
    }
}

/// The heads that were kept in a file; a line that was cut off in a crash says nothing.
///
/// # Errors
/// `Unavailable` when it is there and cannot be read.
pub fn kept_heads(path: &Path) -> Result<Vec<Head>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(Head::parse).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::unavailable("the kept heads of the audit log cannot be read")
            .found(e.to_string())
            .caused_by(e)),
    }
}

/// Appends a head, durably, on a line of its own.
fn keep(path: &Path, head: &Head) -> std::io::Result<()> {
    let mut file = opened(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let apart = if last == [b'\n'] { "" } else { "\n" };
    file.write_all(format!("{apart}{head}\n").as_bytes())?;
    file.sync_data()
}

fn opened(path: &Path) -> std::io::Result<File> {
    let mut how = OpenOptions::new();
    how.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    how.open(path)
}

fn newest(db: &Connection) -> Result<Option<Head>> {
    let mut query = prepared(db, "select number, hash from audit order by number desc limit 1")?;
    optional(query.query_row([], |row| Ok(Head { number: row.get(0)?, hash: row.get(1)? })))
}

fn has_table(db: &Connection) -> Result<bool> {
    let sql = "select count(*) from sqlite_schema where type = 'table' and name = 'audit'";
    let found: i64 = prepared(db, sql)?
        .query_row([], |row| row.get(0))
        .map_err(failed("the audit log cannot be read"))?;
    Ok(found > 0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        number: row.get(0)?,
        at: row.get(1)?,
        who: row.get(2)?,
        command: row.get(3)?,
        what: row.get(4)?,
        detail: row.get(5)?,
        previous: row.get(6)?,
        hash: row.get(7)?,
    })
}
