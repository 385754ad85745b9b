//! Places in the change table, and whether a place of ours is still the one we knew.
//!
//! A place is a change's id and its random tag. Ids are given again after a power loss, a restore or a reset of
//! `sqlite_sequence`; the tag then is another. The newest acknowledged change is never trimmed, so it can always be
//! compared.

use super::super::error::failed;
use super::register::Register;
use change::SourcePosition;
use connect::{Error, Result, State};
use rusqlite::{Connection, OptionalExtension};

/// The system that histories of this kind belong to.
pub(super) const SYSTEM: &str = "sqlite";

/// A place: behind this change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: i64,
    pub(super) tag: i64,
    /// How many parts of its transaction end here; 0 between transactions.
    pub(super) parts: u32,
}

impl Place {
    /// As a position in the lane.
    pub(super) fn position(self) -> SourcePosition {
        let detail = match self.parts {
            0 => self.tag.to_string(),
            parts => format!("{}/{parts}", self.tag),
        };
        SourcePosition { sequence: self.id.cast_unsigned(), detail: Some(detail) }
    }

    /// Reads a position of ours; `None` where it is none.
    pub(super) fn parse(position: &SourcePosition) -> Option<Place> {
        let detail = position.detail.as_deref()?;
        let (tag, parts) = detail.split_once('/').unwrap_or((detail, "0"));
        Some(Place {
            id: i64::try_from(position.sequence).ok()?,
            tag: tag.parse().ok()?,
            parts: parts.parse().ok()?,
        })
    }
}

/// The newest change.
pub(super) fn newest(connection: &Connection) -> Result<Place> {
    connection
        .prepare_cached("SELECT id, tag FROM _seamount_change ORDER BY id DESC LIMIT 1")
        .and_then(|mut s| {
            s.query_row([], |row| Ok(Place { id: row.get(0)?, tag: row.get(1)?, parts: 0 }))
                .optional()
        })
        .map_err(failed("cannot read the newest change"))?
        .ok_or_else(|| lost("the change table is empty"))
}

/// Fails unless the change of a place is the one we knew.
pub(super) fn verify(connection: &Connection, register: &Register, place: Place) -> Result<()> {
    let tag: Option<i64> = connection
        .prepare_cached("SELECT tag FROM _seamount_change WHERE id = ?1")
        .and_then(|mut s| s.query_row([place.id], |row| row.get(0)).optional())
        .map_err(failed("cannot read the change table"))?;
    match tag.or_else(|| known_tag(register, place.id)) {
        Some(tag) if tag == place.tag => Ok(()),
        Some(_) => Err(changed(format!("change {} is not the one that was captured", place.id))),
        None if place.id < register.acknowledged.0 => {
            Err(lost(&format!("change {} was acknowledged and has been let go of", place.id)))
        }
        None => {
            let newest = newest(connection)?.id;
            if newest < place.id {
                return Err(changed(format!(
                    "captured was up to change {}, the newest is {newest}",
                    place.id
                )));
            }
            Err(lost(&format!("change {} was removed from the change table", place.id)))
        }
    }
}

fn known_tag(register: &Register, id: i64) -> Option<i64> {
    register.acknowledged.1.filter(|_| register.acknowledged.0 == id)
}

/// The database is not the one whose changes were captured.
pub(super) fn changed(found: impl Into<String>) -> Error {
    Error::invalid("the database's history is not the one that was captured")
        .found(found)
        .effect("it was copied, restored or set back; what the log holds may never have happened here")
        .fix("if this database is to be captured from now on, forget the lane's history and take a new snapshot")
        .state(State::HistoryChanged)
}

/// The database is the one, but what we need is no longer in it.
pub(super) fn lost(found: &str) -> Error {
    Error::invalid("changes that are needed are no longer in the change table")
        .found(found)
        .effect("changes are missing between the log and the database")
        .fix("forget the lane's history and take a new snapshot")
        .state(State::PositionLost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        for place in
            [Place { id: 7, tag: -3, parts: 0 }, Place { id: i64::MAX, tag: i64::MIN, parts: 2 }]
        {
            assert_eq!(Place::parse(&place.position()), Some(place));
        }
        assert_eq!(Place::parse(&SourcePosition::at(7)), None);
    }
}
