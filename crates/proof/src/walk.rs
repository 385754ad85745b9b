//! One pass over a stretch of a lane.
//!
//! A stretch that the log no longer holds whole is said to be trimmed; it is never silently shorter.

use change::{Group, LaneId, Offset};
use connect::{Bounds, Error, Log, Result, State};

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// Every group of it was visited.
    Whole,
    /// The log no longer holds all of it.
    Trimmed,
}

/// Visits the groups behind `after` up to and including `upto`, in order.
pub(crate) fn walk(
    log: &dyn Log,
    lane: LaneId,
    mut after: Offset,
    upto: Offset,
    visit: &mut dyn FnMut(&Group) -> Result<()>,
) -> Result<Stretch> {
    while after < upto {
        let groups = match log.read(lane, after, Bounds::BATCH) {
            Err(e) if e.state == Some(State::PositionLost) => return Ok(Stretch::Trimmed),
            read => read?,
        };
        if groups.is_empty() {
            return Err(Error::internal("a durable group cannot be read from the log")
                .found(format!("lane {lane}, behind offset {after}")));
        }
        for group in groups {
            if group.offset != after.next() {
                return Ok(Stretch::Trimmed);
            }
            after = group.offset;
            visit(&group)?;
            if after == upto {
                break;
            }
        }
    }
    Ok(Stretch::Whole)
}
