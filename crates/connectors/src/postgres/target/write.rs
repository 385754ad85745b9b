//! Rows into tables: few as arrays in one statement, many new ones by COPY straight into the table.
//!
//! The caller runs each of these inside [`Session::attempt`]: an error in the middle leaves rows before it written.

use super::super::binary::{self, HEADER, TRAILER};
use super::super::text;
use super::super::types::Wire;
use super::arrays::{arrays, parameters, pieces, step, unnested};
use super::plan::{Plan, guarding, only_key, same_key};
use super::session::Session;
use arrow::array::RecordBatch;
use connect::{EncodedRows, Error, Result};
use postgres::{Client, CopyInWriter, Statement};
use std::io::Write;

/// From so many rows on new ones go by COPY, which needs two more round trips.
pub(super) const COPY_ROWS: usize = 256;

/// Bytes that wait for the server at most.
const COPY_BYTES: usize = 1 << 18;

/// Inserts or overwrites rows by key.
pub(super) fn upsert(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
    let Some(sql) = &plan.upsert else {
        return Err(Error::invalid(format!("table {} has no key to write by", plan.shown())));
    };
    let mut written = 0;
    for piece in pieces(rows) {
        written +=
            session.execute(sql, &parameters(&arrays(&piece, &plan.forms)?), &plan.writing())?;
    }
    if written == rows.num_rows() as u64 || only_key(&plan.table.schema) {
        return Ok(rows.num_rows() as u64);
    }
    Err(if guarding(&plan.table).is_some() { foreign(plan) } else { ignored(plan) })
}

/// As [`upsert`], row by row: for a batch in which a key stands twice.
pub(super) fn upsert_singly(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
    for row in 0..rows.num_rows() {
        upsert(session, plan, &rows.slice(row, 1))?;
    }
    Ok(rows.num_rows() as u64)
}

/// Inserts rows whose keys are new.
pub(super) fn insert(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
    if plan.copies && rows.num_rows() >= COPY_ROWS {
        return copy(session, plan, rows);
    }
    let mut written = 0;
    for piece in pieces(rows) {
        let arrays = arrays(&piece, &plan.forms)?;
        written += session.execute(&plan.insert, &parameters(&arrays), &plan.writing())?;
    }
    complete(plan, written, rows)
}

/// Inserts rows by COPY.
///
/// One that the server does not even begin (a right is missing) costs the connection: the client library ends it twice
/// (tokio-postgres 0.7, src/copy_in.rs). Its error is right all the same.
pub(super) fn copy(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
    plan.forms.iter().zip(rows.columns()).try_for_each(|(form, array)| form.check(array))?;
    let as_text = plan.forms.iter().any(|form| form.wire == Wire::Cast);
    let format = if as_text { "text" } else { "binary" };
    let copy = session.statement(&format!("{} (FORMAT {format})", plan.copy), &plan.writing())?;
    let sent = send(session.client(), &copy, plan, rows, as_text);
    let written = sent.map_err(|unsent| told(session, plan, unsent))?;
    complete(plan, written, rows)
}

/// Inserts rows by COPY as they came from a table whose columns are declared alike.
pub(super) fn copy_unread(session: &mut Session, plan: &Plan, rows: &EncodedRows) -> Result<u64> {
    let copy = session.statement(&format!("{} (FORMAT binary)", plan.copy), &plan.writing())?;
    let sent = send_unread(session.client(), &copy, rows);
    match sent.map_err(|unsent| told(session, plan, unsent))? {
        written if written == rows.rows => Ok(written),
        _ => Err(ignored(plan)),
    }
}

fn told(session: &mut Session, plan: &Plan, unsent: Unsent) -> Error {
    match unsent {
        Unsent::Unfit(error) => error,
        Unsent::Refused(error) => session.explain(error, &plan.writing()),
        Unsent::Lost => Error::unavailable(plan.writing()).found("the connection is gone"),
    }
}

/// Why rows did not arrive.
enum Unsent {
    /// A cell has no place in its column.
    Unfit(Error),
    /// The server says no.
    Refused(postgres::Error),
    Lost,
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Unsent {
        Unsent::Unfit(error)
    }
}

impl From<postgres::Error> for Unsent {
    fn from(error: postgres::Error) -> Unsent {
        Unsent::Refused(error)
    }
}

impl From<std::io::Error> for Unsent {
    fn from(error: std::io::Error) -> Unsent {
        match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
            Some(error) => Unsent::Refused(*error),
            None => Unsent::Lost,
        }
    }
}

fn send(
    client: &mut Client,
    copy: &Statement,
    plan: &Plan,
    rows: &RecordBatch,
    as_text: bool,
) -> Result<u64, Unsent> {
    let mut writer = client.copy_in(copy)?;
    if as_text {
        send_text(plan, rows, &mut writer)?;
    } else {
        send_binary(plan, rows, &mut writer)?;
    }
    Ok(writer.finish()?)
}

fn send_binary(
    plan: &Plan,
    rows: &RecordBatch,
    writer: &mut CopyInWriter<'_>,
) -> Result<(), Unsent> {
    let wires: Vec<Wire> = plan.forms.iter().map(|form| form.wire).collect();
    let mut buffer = Vec::with_capacity(COPY_BYTES + COPY_BYTES / 4);
    buffer.extend_from_slice(HEADER);
    let step = step(rows).min(1_024);
    for from in (0..rows.num_rows()).step_by(step) {
        let some = rows.slice(from, step.min(rows.num_rows() - from));
        binary::copy_rows(&some, &wires, &mut buffer)?;
        if buffer.len() >= COPY_BYTES {
            writer.write_all(&buffer)?;
            writer.flush()?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(TRAILER);
    writer.write_all(&buffer)?;
    Ok(())
}

fn send_unread(client: &mut Client, copy: &Statement, rows: &EncodedRows) -> Result<u64, Unsent> {
    let mut writer = client.copy_in(copy)?;
    writer.write_all(HEADER)?;
    for piece in rows.bytes.chunks(COPY_BYTES) {
        writer.write_all(piece)?;
    }
    writer.write_all(TRAILER)?;
    Ok(writer.finish()?)
}

fn send_text(plan: &Plan, rows: &RecordBatch, writer: &mut CopyInWriter<'_>) -> Result<(), Unsent> {
    for piece in pieces(rows) {
        let mut buffer = String::new();
        text::copy_rows(&piece, &plan.table.schema, &mut buffer)?;
        writer.write_all(buffer.as_bytes())?;
        writer.flush()?;
    }
    Ok(())
}

fn complete(plan: &Plan, written: u64, rows: &RecordBatch) -> Result<u64> {
    if written == rows.num_rows() as u64 { Ok(written) } else { Err(ignored(plan)) }
}

/// Overwrites cells of the (owner's) rows that are there; returns how many are.
pub(super) fn update(session: &mut Session, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
    let Some(sql) = &plan.update else {
        return Err(Error::invalid(format!("table {} has no key to write by", plan.shown())));
    };
    plan.require_columns(rows, &plan.table.schema)?;
    plan.table.require_owner(rows)?;
    let pieces = pieces(rows).map(|piece| {
        session.execute(sql, &parameters(&arrays(&piece, &plan.forms)?), &plan.writing())
    });
    pieces.sum()
}

/// Deletes rows by key; a row of another owner is refused, one that is not there is not.
pub(super) fn delete(session: &mut Session, plan: &Plan, keys: &RecordBatch) -> Result<u64> {
    let Some(sql) = &plan.delete else {
        return Err(Error::invalid(format!("table {} has no key to delete by", plan.shown())));
    };
    plan.require_columns(keys, &plan.table.schema.key_schema())?;
    let what = format!("cannot delete from {}", plan.shown());
    let mut affected = 0;
    for piece in pieces(keys) {
        let arrays = arrays(&piece, &plan.key)?;
        let gone = session.execute(sql, &parameters(&arrays), &what)?;
        affected += gone;
        if gone < piece.num_rows() as u64 && plan.table.owner.is_some() {
            // What is left of these keys is not ours.
            let look = format!(
                "SELECT FROM {} AS t JOIN {} ON {} LIMIT 1",
                plan.shape.name.sql(),
                unnested(&plan.key),
                same_key(&plan.key)
            );
            if session.execute(&look, &parameters(&arrays), &what)? > 0 {
                return Err(foreign(plan));
            }
        }
    }
    Ok(affected)
}

/// A trigger of the application took a row away: it would be lost without a word.
pub(super) fn ignored(plan: &Plan) -> Error {
    Error::refused(format!("{} did not take a row", plan.shown()))
        .found("a trigger or rule of the application ignored it")
}

fn foreign(plan: &Plan) -> Error {
    Error::refused(format!("a row of {} belongs to another owner", plan.shown()))
        .effect("it was not touched")
}
