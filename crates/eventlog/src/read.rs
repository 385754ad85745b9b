//! Reading frames of one lane from one file, verified and in order.
//!
//! Not here: which file holds an offset (`catalog`) and what is recent (`cache`). Invariant: what is returned is the
//! run that begins behind `after`, without a gap; damage is an error only where it is the first thing to be read.

use crate::catalog;
use crate::damage::Damage;
use crate::hot::{self, Find};
use crate::schemas::Schemas;
use crate::squeeze::Squeezer;
use change::{Group, LaneId, Offset, SourcePosition, TableSchema};
use connect::{Bounds, Error, Result, State};
use rusqlite::Connection;
use std::sync::Arc;

/// What a call may still return.
pub(crate) struct Budget {
    bounds: Bounds,
    changes: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Budget { bounds, changes: 0, bytes: 0 }
    }

    /// Whether another group fits; the first always does.
    pub(crate) fn fits(&self, changes: usize, bytes: usize) -> bool {
        self.is_untouched()
            || (self.changes + changes <= self.bounds.changes
                && self.bytes + bytes <= self.bounds.bytes)
    }

    /// Takes a group if it fits; nothing fits behind one that did not.
    pub(crate) fn take(&mut self, changes: usize, bytes: usize) -> bool {
        let fits = self.fits(changes, bytes);
        // A group without changes counts as one, so that "the first" stays the first.
        self.changes += changes.max(1);
        self.bytes += bytes;
        fits
    }

    fn is_untouched(&self) -> bool {
        self.changes == 0
    }
}

/// What decoding needs.
#[derive(Default)]
pub(crate) struct Decoder {
    pub(crate) schemas: Schemas,
    pub(crate) squeezer: Squeezer,
}

/// Whether the caller should look for more behind what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    Perhaps,
    No,
}

impl Decoder {
    /// Appends the groups behind `after` up to `upto` that the file holds and the budget allows. `rows` says where they
    /// lie, in a file without an index.
    pub(crate) fn run(
        &self,
        connection: &Connection,
        lane: LaneId,
        (after, upto): (Offset, Offset),
        rows: Option<&[i64]>,
        budget: &mut Budget,
        out: &mut Vec<Arc<Group>>,
    ) -> Result<More> {
        let mut next = after.next();
        let mut outcome = Ok(More::Perhaps);
        let find = rows.map_or(Find::Indexed, Find::At);
        let seen = hot::frames(connection, lane, (after, upto), &find, &mut |found| {
            if found.header.offset != next || found.header.lane != lane {
                outcome = Err(Damage::new("the frame is missing").at(lane, next));
                return false;
            }
            let changes = usize::try_from(found.header.changes).expect("32 bits fit a usize");
            if !budget.fits(changes, found.body.len()) {
                outcome = Ok(More::No);
                return false;
            }
            let mut schema = |number, checksum| self.schema(connection, number, checksum);
            match found.decode(&self.squeezer, &mut schema) {
                Err(damage) => {
                    outcome = Err(damage.at(lane, next));
                    false
                }
                Ok(group) if !budget.take(changes, group.body.memory()) => {
                    outcome = Ok(More::No);
                    false
                }
                Ok(group) => {
                    out.push(Arc::new(group));
                    next = next.next();
                    true
                }
            }
        });
        let failed = seen.map_err(|e| unreadable_frame(&e, lane, next)).and(outcome);
        match failed {
            Ok(More::Perhaps) if next == after.next() => {
                Err(Damage::new("the frame is missing").at(lane, next))
            }
            Ok(more) => Ok(more),
            // What is sound comes first; the damage is met again by the next call.
            Err(_) if !out.is_empty() => Ok(More::No),
            Err(error) => Err(error),
        }
    }

    fn schema(
        &self,
        connection: &Connection,
        number: u32,
        checksum: u32,
    ) -> Result<Arc<TableSchema>, Damage> {
        if let Some(schema) = self.schemas.numbered(number, checksum) {
            return Ok(schema);
        }
        catalog::learn(connection, &self.schemas).map_err(|e| Damage::new(e.to_string()))?;
        self.schemas
            .numbered(number, checksum)
            .ok_or_else(|| Damage::new(format!("its schema {number} is not there")))
    }

    /// Position and commit time of one frame, verified without decoding it.
    pub(crate) fn end(
        &self,
        connection: &Connection,
        lane: LaneId,
        offset: Offset,
        rows: Option<&[i64]>,
    ) -> Result<(SourcePosition, i64)> {
        let before = Offset(offset.0.saturating_sub(1));
        let mut end = Err(Damage::new("the frame is missing"));
        let find = rows.map_or(Find::Indexed, Find::At);
        hot::frames(connection, lane, (before, offset), &find, &mut |found| {
            if found.header.offset == offset && found.header.lane == lane {
                end = found.verify().map(|()| (found.header.upto, found.header.commit_time));
            }
            false
        })
        .map_err(|e| unreadable_frame(&e, lane, offset))?;
        end.map_err(|damage| damage.at(lane, offset))
    }
}

fn unreadable_frame(error: &rusqlite::Error, lane: LaneId, offset: Offset) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, OutOfMemory};
    match error {
        rusqlite::Error::SqliteFailure(e, _)
            if matches!(e.code, CannotOpen | DatabaseBusy | DatabaseLocked | OutOfMemory) =>
        {
            Error::unavailable("a file of the log cannot be read").found(error.to_string())
        }
        _ => Damage::new(error.to_string()).at(lane, offset),
    }
}

/// The error of a consumer that comes too late.
pub(crate) fn position_lost(lane: LaneId, after: Offset, oldest: Offset) -> Error {
    Error::invalid(format!("the log no longer holds this place of lane {lane}"))
        .found(format!("wanted behind {after}, oldest is {oldest}"))
        .state(State::PositionLost)
        .effect("changes in between cannot be delivered any more")
        .fix("rebuild the consumer from a new snapshot, and let `[log] keep` hold more")
}
