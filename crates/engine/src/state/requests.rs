//! What commands ask of an engine that runs in another process: a mailbox, answered in order.
//!
//! Answers may hold rows: none outlives whoever asked for it.

use super::{State, failed, optional, prepared};
use connect::Result;
use rusqlite::{Connection, Row, params};

/// Longer than anybody waits for an answer, in microseconds.
const PATIENCE_US: i64 = 2 * 3_600_000_000;

/// Something asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// What: `reconcile`, `run`, `replay-letters`.
    pub kind: String,
    /// The flow it concerns.
    pub flow: String,
    /// Its argument, as JSON.
    pub argument: String,
    /// How it stands.
    pub status: RequestStatus,
    /// The answer, as JSON.
    pub answer: Option<String>,
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStatus {
    /// Not yet seen by an engine.
    Waiting,
    /// Being worked on.
    Taken,
    /// Answered.
    Done,
}

impl State {
    /// Asks the running engine for something; returns the number to wait for.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn ask(&self, kind: &str, flow: &str, argument: &str, asked_at: i64) -> Result<i64> {
        ask(&self.db(), kind, flow, argument, asked_at)
    }

    /// The oldest request that waits, now taken.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take_request(&self) -> Result<Option<Request>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "update request set status = 'taken'
             where id = (select min(id) from request where status = 'waiting')
             returning id, kind, flow, argument, status, answer",
        )?;
        optional(query.query_row([], read))
    }

    /// Answers a request. Answers that nobody came for are forgotten with that: whoever asked has given up.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn answer(&self, id: i64, answer: &str) -> Result<()> {
        let db = self.db();
        db.execute(
            "update request set status = 'done', answer = ?2 where id = ?1",
            params![id, answer],
        )
        .and_then(|_| {
            db.execute(
                "delete from request where status = 'done'
                 and asked_at < (select asked_at from request where id = ?1) - ?2",
                params![id, PATIENCE_US],
            )
        })
        .map_err(failed("the answer cannot be written"))?;
        Ok(())
    }

    /// Forgets a request whose answer was read: answers hold rows, which are kept no longer than they are wanted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_request(&self, id: i64) -> Result<()> {
        self.db()
            .execute("delete from request where id = ?1", [id])
            .map_err(failed("the request cannot be forgotten"))?;
        Ok(())
    }

    /// A request as it stands.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn request(&self, id: i64) -> Result<Option<Request>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select id, kind, flow, argument, status, answer from request where id = ?1",
        )?;
        optional(query.query_row([id], read))
    }

    /// Requests left behind by an engine that is gone are answered as lost; its answers are forgotten.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn close_requests(&self, answer: &str) -> Result<()> {
        let db = self.db();
        db.execute("delete from request where status = 'done'", [])
            .and_then(|_| db.execute("update request set status = 'done', answer = ?1", [answer]))
            .map_err(failed("the answer cannot be written"))?;
        Ok(())
    }
}

pub(super) fn ask(
    db: &Connection,
    kind: &str,
    flow: &str,
    argument: &str,
    asked_at: i64,
) -> Result<i64> {
    db.execute(
        "insert into request (kind, flow, argument, asked_at) values (?1, ?2, ?3, ?4)",
        params![kind, flow, argument, asked_at],
    )
    .map_err(failed("the request cannot be written"))?;
    Ok(db.last_insert_rowid())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Request> {
    let status: String = row.get(4)?;
    Ok(Request {
        id: row.get(0)?,
        kind: row.get(1)?,
        flow: row.get(2)?,
        argument: row.get(3)?,
        status: match status.as_str() {
            "waiting" => RequestStatus::Waiting,
            "taken" => RequestStatus::Taken,
            _ => RequestStatus::Done,
        },
        answer: row.get(5)?,
    })
}
