//! Compares what is installed with what the tables look like now. Reads only; `install` acts on what is found.
//!
//! The question behind every finding: can a change have been missed, and can it be told which? Triggers that are
//! intact have recorded every row that was written; then rows touched since the last look can be read again. Triggers
//! that are gone or altered have not, and that is a gap.

use super::super::catalogue::shape as catalogue_shape;
use super::super::error::failed;
use super::register::Shape;
use super::subject::Subject;
use super::triggers::triggers;
use change::compatibility::{Compatibility, compare};
use connect::{Error, Result, State};
use rusqlite::Connection;
use std::collections::HashMap;

/// Something to do about a table.
pub(super) enum Finding {
    /// It is wanted and not captured yet.
    New(Box<Subject>),
    /// It is captured as it was before.
    Changed { subject: Box<Subject>, before: Box<Shape>, harm: Harm },
    /// It is captured, not wanted, and no longer intact.
    Unwanted(Box<Shape>),
}

/// What the old triggers did wrong since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// Changes lack new columns: the rows they touched are read again.
    Narrow,
    /// Changes may stand in the wrong order: as [`Harm::Narrow`], and rows that are gone are deleted again.
    Disordered,
    /// If anything was written, rows may have been pushed out unseen.
    IfWritten { reason: String },
    /// Changes are missing.
    Certain { state: State, reason: String },
}

/// Everything to do so that `wanted` tables are captured as they are now.
pub(super) fn survey(
    connection: &Connection,
    installed: &[Shape],
    wanted: &[String],
) -> Result<Vec<Finding>> {
    let present = triggers_present(connection)?;
    let mut findings = Vec::new();
    for table in wanted {
        let known = installed.iter().find(|shape| shape.table.eq_ignore_ascii_case(table));
        match known {
            None => findings.push(Finding::New(Box::new(Subject::read(connection, table)?))),
            Some(before) => {
                let subject = read_known(connection, before)?;
                if let Some(harm) = harm(&subject, before, &present) {
                    let before = Box::new(before.clone());
                    findings.push(Finding::Changed { subject: Box::new(subject), before, harm });
                }
            }
        }
    }
    for shape in installed {
        if wanted.iter().any(|table| shape.table.eq_ignore_ascii_case(table)) {
            continue;
        }
        let intact = match Subject::read(connection, &shape.table) {
            Ok(subject) => harm(&subject, shape, &present).is_none(),
            Err(error) if error.kind == connect::Kind::Invalid => false,
            Err(error) => return Err(error),
        };
        if !intact {
            findings.push(Finding::Unwanted(Box::new(shape.clone())));
        }
    }
    Ok(findings)
}

fn read_known(connection: &Connection, before: &Shape) -> Result<Subject> {
    if catalogue_shape(connection, &before.table)?.is_none() {
        return Err(Error::invalid(format!("captured table {} is gone", before.table))
            .effect("its changes end here")
            .fix("create it again, or remove it from the flows")
            .state(State::SchemaBlocked));
    }
    Subject::read(connection, &before.table).map_err(|error| match error.kind {
        connect::Kind::Invalid => error.state(State::SchemaBlocked),
        _ => error,
    })
}

/// A trigger that is there: its place in the schema, and its statement.
type Present = HashMap<String, (i64, String)>;

fn triggers_present(connection: &Connection) -> Result<Present> {
    connection
        .prepare_cached("SELECT name, rowid, sql FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.collect()
        })
        .map_err(failed("cannot read the triggers"))
}

fn harm(subject: &Subject, before: &Shape, present: &Present) -> Option<Harm> {
    let compatibility = compare(&before.schema, &subject.schema);
    if let Compatibility::Breaking(breaks) = &compatibility {
        let reasons: Vec<String> = breaks.iter().map(ToString::to_string).collect();
        return Some(Harm::Certain { state: State::SchemaBlocked, reason: reasons.join(", ") });
    }
    let intact = before
        .triggers
        .iter()
        .all(|(name, sql)| present.get(name).is_some_and(|(_, found)| found == sql));
    if !intact {
        let reason = "the capture's triggers were gone or altered: the table was rebuilt".into();
        return Some(Harm::Certain { state: State::PositionLost, reason });
    }
    if let Some(column) = filled_column(subject, before) {
        let reason = format!("column {column} came with values for the rows that were there");
        return Some(Harm::Certain { state: State::SchemaBlocked, reason });
    }
    if before.keys != spelled_keys(subject) {
        let reason = "a unique index came or went while rows were written".into();
        return Some(Harm::IfWritten { reason });
    }
    let first = before.triggers.iter().filter_map(|(name, _)| present.get(name)).map(|p| p.0).min();
    let in_order = first.is_some_and(|first| first > subject.newest_trigger);
    let wanted = triggers(subject, before.number);
    let as_wanted = wanted.len() == before.triggers.len()
        && wanted.iter().zip(&before.triggers).all(|(w, b)| w.name == b.0 && w.sql == b.1);
    if !in_order {
        return Some(Harm::Disordered);
    }
    let same = *before.schema == *subject.schema;
    (!(same && as_wanted)).then_some(Harm::Narrow)
}

/// A new column that old rows hold a value in: no change tells of it.
fn filled_column<'s>(subject: &'s Subject, before: &Shape) -> Option<&'s str> {
    subject.filled.iter().find(|name| before.schema.index_of(name).is_none()).map(String::as_str)
}

/// The unique keys of a table, to tell whether they are still the same.
pub(super) fn spelled_keys(subject: &Subject) -> String {
    format!("{:?}", subject.keys)
}
