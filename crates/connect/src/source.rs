//! Capturing changes: a reader per site, shared by all flows that want its tables.

use crate::error::Result;
use crate::log::Bounds;
use crate::read::Readable;
use crate::target::Claim;
use change::{GroupBody, History, Key, SnapshotId, SourcePosition};
use std::time::Duration;

/// From where to capture.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// Capture begins here and now; there is no history before it.
    Fresh,
    /// Behind the newest durable group of the lane, in the history it was captured from.
    After {
        /// What the lane recorded as its history.
        history: History,
        /// The end of the newest durable group.
        position: SourcePosition,
    },
}

/// Rows to be read into the lane by the capture itself, at an exact place among the changes.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadRequest {
    /// A snapshot of a table, in chunks, behind `after`.
    Snapshot {
        /// The table.
        table: String,
        /// Carried by every chunk.
        id: SnapshotId,
        /// Resume behind this key.
        after: Option<Key>,
    },
    /// Single keys, read again for a repair: a row that is there comes as `Op::Read`, one that is not as
    /// `Op::Delete` with the key as its old image.
    Keys {
        /// The table.
        table: String,
        /// The keys.
        keys: Vec<Key>,
    },
}

/// What the source keeps for us, and what that costs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Changes not yet acknowledged.
    pub changes: u64,
    /// Their bytes on the source's disk, where it can be told.
    pub bytes: Option<u64>,
}

/// Reads one lane, in order. Stepped by its owner; holds no lock on the site between calls.
///
/// Contract, run by `conformance::source`:
/// - Groups hold whole transactions; one too large for the bounds comes in parts, the last one marked.
/// - A snapshot chunk stands at its exact place: the range it names equals the rows it holds once all groups
///   before it are applied. Changes and chunks may alternate.
/// - Nothing is given up at the source before [`ChangeReader::acknowledge`] says that it is durable in the log.
/// - Reading again from any acknowledged position gives the same changes.
pub trait ChangeReader: Send {
    /// The history that positions belong to, verified when the reader was opened.
    fn history(&self) -> &History;

    /// The next group, or `None` when there is nothing now. Never waits for a change to happen.
    ///
    /// # Errors
    /// `Unavailable` (try again), `Invalid` with `State::HistoryChanged`, `State::PositionLost` or
    /// `State::SchemaBlocked` (stop), `Refused` when a value does not fit its column's type.
    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>>;

    /// Waits until something may have come, at most so long; whether it has waited. A source that can only be asked says
    /// no at once.
    ///
    /// # Errors
    /// As [`ChangeReader::poll`].
    fn wait(&mut self, _longest: Duration) -> Result<bool> {
        Ok(false)
    }

    /// Shows the source who reads it. From then on an engine that was shown before and is not known to this one lets go
    /// of nothing there: one that slept while another took over must not acknowledge what its successor has not read.
    /// A source that can tell readers apart by itself needs nothing of this.
    ///
    /// # Errors
    /// `Conflict` with `State::Fenced` when the source shows a reader that the claim does not know.
    fn claim(&mut self, _claim: &Claim) -> Result<()> {
        Ok(())
    }

    /// Everything up to `position` is durable in the log; the source may let go of it.
    ///
    /// # Errors
    /// The source is gone; the same or a later position will be acknowledged again. `Conflict` with `State::Fenced`
    /// when another engine has claimed the source meanwhile.
    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()>;

    /// Asks for rows to be read into the lane by later polls.
    ///
    /// # Errors
    /// The table is not captured.
    fn request(&mut self, read: ReadRequest) -> Result<()>;

    /// What the source keeps for us.
    ///
    /// # Errors
    /// The source is gone.
    fn retained(&mut self) -> Result<Retained>;
}

/// A site whose changes can be captured.
pub trait Source: Readable {
    /// Starts or resumes capture of these tables. What must be installed at the source (triggers, a slot) is
    /// installed here, once, and adapted when the tables change. Tables new to the capture begin to be captured
    /// before this returns, so that a snapshot requested later misses nothing.
    ///
    /// # Errors
    /// `Invalid` with a fix: no usable key, nulls in a key, a type that cannot be carried; with
    /// `State::HistoryChanged` or `State::PositionLost` when the history is not the one to resume.
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>>;
}
