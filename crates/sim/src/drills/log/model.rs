//! What the log was given, and what it has promised; compared with what it shows.
//!
//! Invariant: a violation is a broken promise, whatever was done to the disk before.

use super::sample;
use crate::{Random, Violation};
use change::{GroupBody, LaneId, LogId, Offset};
use connect::{Bounds, Log};
use eventlog::EventLog;
use std::collections::BTreeMap;

pub(super) const MANY: Bounds = Bounds { changes: 100_000, bytes: 1 << 30 };

/// One lane, as its owner knows it.
#[derive(Default)]
pub(super) struct Lane {
    /// What was given, by offset from 1.
    pub(super) given: Vec<GroupBody>,
    /// So many were called durable.
    pub(super) durable: u64,
    /// So many may have been let go.
    pub(super) trimmed: u64,
}

/// All lanes of a log.
#[derive(Default)]
pub(super) struct Model {
    pub(super) log: Option<LogId>,
    pub(super) lanes: BTreeMap<u64, Lane>,
}

/// Why work on the log has ended.
pub(super) enum End {
    /// The machine stopped, or the disk failed: as it was planned.
    Trouble,
    /// A promise was broken.
    Broken(Violation),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        End::Broken(violation)
    }
}

impl Model {
    /// A new group for a lane, not given to anybody yet.
    pub(super) fn next(&self, lane: u64, chance: &mut Random) -> GroupBody {
        let given = self.lanes.get(&lane).map_or(0, |lane| lane.given.len() as u64);
        sample::group(given + 1, chance)
    }

    /// The log was opened again: takes in what it holds, and fails where that breaks a promise.
    pub(super) fn reopened(&mut self, log: &EventLog) -> Result<(), Violation> {
        let known = *self.log.get_or_insert(log.id());
        if known != log.id() {
            return Err(Violation::new("A ack after durable", "the log has another id"));
        }
        for (number, lane) in &mut self.lanes {
            let id = LaneId::mint(*number);
            let tail = log.tail(id).map_err(|e| broken(*number, format!("no tail: {e}")))?;
            let (durable, oldest) = (tail.durable.0, tail.oldest.0);
            if durable < lane.durable {
                let found = format!("{} were durable, {durable} are there", lane.durable);
                return Err(broken(*number, found));
            }
            if durable > lane.given.len() as u64 {
                return Err(broken(*number, format!("{durable} of {} given", lane.given.len())));
            }
            if oldest > lane.trimmed + 1 {
                let found = format!("let go were {}, the oldest is {oldest}", lane.trimmed);
                return Err(broken(*number, found));
            }
            lane.given.truncate(tail.durable.0.try_into().expect("a small number"));
            lane.durable = durable;
            same(log, *number, lane, oldest)?;
        }
        Ok(())
    }

    /// Every lane shows what is durable, and nothing else.
    pub(super) fn check(&self, log: &dyn Log) -> Result<(), Violation> {
        self.lanes.iter().try_for_each(|(number, lane)| {
            let tail = log.tail(LaneId::mint(*number));
            let tail = tail.map_err(|e| broken(*number, format!("no tail: {e}")))?;
            if tail.durable.0 != lane.durable {
                let found = format!("{} are durable, shown are {}", lane.durable, tail.durable);
                return Err(broken(*number, found));
            }
            same(log, *number, lane, tail.oldest.0)
        })
    }
}

/// What is read from the oldest on is what was given, to the newest that is durable and not further.
fn same(log: &dyn Log, number: u64, lane: &Lane, oldest: u64) -> Result<(), Violation> {
    let mut at = oldest - 1;
    loop {
        let read = log.read(LaneId::mint(number), Offset(at), MANY);
        let read = read.map_err(|e| broken(number, format!("behind {at}: {e} {:?}", e.found)))?;
        if read.is_empty() {
            break;
        }
        for group in read {
            at += 1;
            if group.offset.0 != at {
                return Err(broken(number, format!("{} comes where {at} should", group.offset)));
            }
            if at > lane.durable {
                let found = format!("group {at} is shown, {} are durable", lane.durable);
                return Err(Violation::new(
                    "A ack after durable",
                    format!("lane {number}: {found}"),
                ));
            }
            let given = usize::try_from(at - 1).expect("a small number");
            if lane.given[given] != group.body {
                return Err(broken(number, format!("group {at} is another than was given")));
            }
        }
    }
    match at == lane.durable {
        true => Ok(()),
        false => Err(broken(number, format!("{at} of {} durable groups are read", lane.durable))),
    }
}

fn broken(lane: u64, found: impl std::fmt::Display) -> Violation {
    Violation::new("C conservation", format!("lane {lane}: {found}"))
}
