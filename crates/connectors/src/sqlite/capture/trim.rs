//! Letting go of acknowledged changes, a little at a time: each write transaction is over in milliseconds.
//!
//! The newest acknowledged change stays, so that it can be compared at the next connect. Trimming is a courtesy: a
//! lock that is held elsewhere postpones it.

use super::super::error::failed;
use super::install::transaction;
use super::place::Place;
use super::register::{Shape, require_reader};
use super::triggers::note_table;
use change::HolderId;
use connect::{Kind, Result};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that one transaction deletes at most; fewer are not worth one.
pub(super) const TRIM_ROWS: i64 = 2_000;

/// The oldest change that is kept.
pub(super) fn oldest(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT id FROM _seamount_change ORDER BY id LIMIT 1")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map(|oldest| oldest.unwrap_or(0))
        .map_err(failed("cannot read the change table"))
}

/// Deletes changes before `acknowledged` as long as there are enough; returns the oldest that is kept. A `reader` that
/// has claimed the capture deletes nothing once another has.
pub(super) fn trim(
    connection: &Connection,
    mut from: i64,
    acknowledged: Place,
    shapes: &HashMap<i64, Arc<Shape>>,
    reader: Option<HolderId>,
) -> Result<i64> {
    while acknowledged.id - from >= TRIM_ROWS {
        match trim_once(connection, from + TRIM_ROWS, acknowledged, shapes, reader) {
            Ok(()) => from += TRIM_ROWS,
            Err(error) if error.kind == Kind::Unavailable => break,
            Err(error) => return Err(error),
        }
    }
    Ok(from)
}

fn trim_once(
    connection: &Connection,
    before: i64,
    acknowledged: Place,
    shapes: &HashMap<i64, Arc<Shape>>,
    reader: Option<HolderId>,
) -> Result<()> {
    let trimming = || failed("cannot trim the change table");
    let writing = transaction(connection, TransactionBehavior::Immediate)?;
    if let Some(reader) = reader {
        require_reader(&writing, reader)?;
    }
    writing
        .prepare_cached("DELETE FROM _seamount_change WHERE id < ?1")
        .and_then(|mut s| s.execute([before]))
        .map_err(trimming())?;
    writing
        .prepare_cached("UPDATE _seamount_capture SET acknowledged = ?1, acknowledged_tag = ?2")
        .and_then(|mut s| s.execute(params![acknowledged.id, acknowledged.tag]))
        .map_err(trimming())?;
    // Nobody writes now, so no statement is between its note and its change: every note is superfluous.
    for shape in shapes.values().filter(|shape| shape.installed) {
        writing
            .prepare_cached(&format!("DELETE FROM {}", note_table(shape.number)))
            .and_then(|mut s| s.execute([]))
            .map_err(trimming())?;
    }
    writing.commit().map_err(trimming())
}

/// About how many bytes a kept change takes, from the oldest few behind a place.
pub(super) fn bytes_of_a_change(connection: &Connection, behind: i64, width: usize) -> Result<u64> {
    let length = |image: &str, i: usize| format!("coalesce(length(CAST({image}{i} AS BLOB)), 0)");
    let lengths: Vec<String> = (0..width).flat_map(|i| [length("n", i), length("o", i)]).collect();
    let sql = format!(
        "SELECT coalesce(avg({} + 20 + 2 * {width}), 0) FROM
         (SELECT * FROM _seamount_change WHERE id > ?1 ORDER BY id LIMIT 100)",
        if lengths.is_empty() { "0".to_string() } else { lengths.join(" + ") }
    );
    let average: f64 = connection
        .prepare_cached(&sql)
        .and_then(|mut s| s.query_row([behind], |row| row.get(0)))
        .map_err(failed("cannot read the change table"))?;
    Ok(average.max(0.0) as u64)
}
