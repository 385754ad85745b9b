//! The log: immutable, ordered by lane, durable before anything else happens with a group.

use crate::error::Result;
use change::{Group, GroupBody, LaneId, LogId, Offset, SourcePosition};
use std::sync::Arc;
use std::time::Duration;

/// How much a call may return. At least one group is returned where there is one, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most changes.
    pub changes: usize,
    /// Most bytes in memory.
    pub bytes: usize,
}

impl Bounds {
    /// What a batch of the hot path holds: 10,000 changes, 8 MiB.
    pub const BATCH: Bounds = Bounds { changes: 10_000, bytes: 8 << 20 };
}

/// Where a lane stands in the log. Everything up to `durable` is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Offset of the oldest group that is kept; one past `durable` when none is.
    pub oldest: Offset,
    /// Offset of the newest durable group; [`Offset::START`] for an empty lane.
    pub durable: Offset,
    /// Source position of the newest durable group's end.
    pub position: Option<SourcePosition>,
}

/// An append-only log of lanes. One engine writes it; any number of consumers read it.
///
/// Contract, run by `conformance::log`:
/// - Offsets of a lane are dense, from 1, in the order of [`Log::append`].
/// - [`Log::read`] and [`Log::tail`] show durable groups only. A group that was shown is there after a crash.
/// - An I/O error on a write poisons the log: every later append fails with `Kind::Corrupt` until it is opened
///   again, and what is durable is then read from disk. A full disk is `Kind::Unavailable` with `State::DiskFull`;
///   the group was not taken and may be appended again.
pub trait Log: Send + Sync {
    /// Identity of this log; progress written under another id does not count here.
    fn id(&self) -> LogId;

    /// Takes a group as the next of its lane and returns its offset at once, before it is durable. Groups of one
    /// lane are appended by one caller. Blocks while too much waits for the disk.
    ///
    /// # Errors
    /// `Corrupt` once poisoned, `Unavailable` when the disk is full.
    fn append(&self, lane: LaneId, body: GroupBody) -> Result<Offset>;

    /// Waits until the group is durable, or until `patience` has passed; returns whether it is.
    ///
    /// # Errors
    /// The error of the write that lost it.
    fn durable(&self, lane: LaneId, offset: Offset, patience: Duration) -> Result<bool>;

    /// Where the lane stands.
    ///
    /// # Errors
    /// Storage cannot be read.
    fn tail(&self, lane: LaneId) -> Result<Tail>;

    /// Durable groups behind `after`, in order, without a gap.
    ///
    /// # Errors
    /// `Corrupt` (`State::LogCorrupt`) when a frame reads back wrong; `Invalid` (`State::PositionLost`) when
    /// groups behind `after` were trimmed.
    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>>;

    /// A number that grows whenever any lane has something newly durable. Returns as soon as it differs from
    /// `seen`, or when `patience` has passed.
    fn changed(&self, seen: u64, patience: Duration) -> u64;

    /// Lets go of groups up to and including `upto`. Space comes back by whole files.
    ///
    /// # Errors
    /// Storage cannot be written.
    fn trim(&self, lane: LaneId, upto: Offset) -> Result<()>;
}
