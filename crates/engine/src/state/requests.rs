//! What commands ask of an engine that runs in another process: a mailbox, answered in order.

use super::{State, failed, optional, prepared};
use connect::Result;
use rusqlite::{Connection, Row, params};

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

    /// Answers a request.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn answer(&self, id: i64, answer: &str) -> Result<()> {
        self.db()
            .execute(
                "update request set status = 'done', answer = ?2 where id = ?1",
                params![id, answer],
            )
            .map_err(failed("the answer cannot be written"))?;
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

    /// Requests left behind by an engine that is gone are answered as lost.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn close_requests(&self, answer: &str) -> Result<()> {
        self.db()
            .execute(
                "update request set status = 'done', answer = ?1 where status <> 'done'",
                params![answer],
            )
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
