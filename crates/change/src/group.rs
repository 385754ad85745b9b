//! The only thing that moves: whole source transactions of one lane, over all their tables.
//!
//! A transaction too large for one group travels in parts, each with an offset of its own; a target's progress
//! moves only with the last part. Rows that a snapshot or a repair read are groups too, at their place in the lane.

use crate::batch::ChangeBatch;
use crate::id::{LaneId, Offset, SnapshotId};
use crate::position::SourcePosition;
use crate::value::Key;
use serde::{Deserialize, Serialize};

/// Why a group is in the lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Transactions that the source committed.
    Changes,
    /// A piece of a table as it stood at exactly this place in the lane.
    Snapshot(SnapshotChunk),
    /// Keys read again because the log was found to lack their truth.
    Repair,
}

/// A range of one table: after applying it, the table holds these rows in this range and no others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// Which snapshot it belongs to.
    pub id: SnapshotId,
    /// The table.
    pub table: String,
    /// The range begins behind this key; `None`: at the first row.
    pub after: Option<Key>,
    /// The range ends with this key; `None`: at the last row, and the snapshot is complete.
    pub upto: Option<Key>,
}

/// Place of a group among the parts of a huge transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 0 for the first.
    pub index: u32,
    /// Whether the transaction ends here. Progress may only stop at such a group.
    pub last: bool,
}

impl Part {
    /// A group that is whole by itself.
    pub const WHOLE: Part = Part { index: 0, last: true };
}

/// What a source hands to the log: a group that has no offset yet.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBody {
    /// Why it is here.
    pub kind: GroupKind,
    /// Its place among the parts of its transaction.
    pub part: Part,
    /// The source position it begins behind.
    pub after: SourcePosition,
    /// The source position of its end; what is acknowledged once it is durable.
    pub upto: SourcePosition,
    /// When the newest transaction in it was committed, microseconds since 1970-01-01T00:00:00Z; the time of
    /// reading where the source does not tell.
    pub commit_time: i64,
    /// Changes, one batch for each table and schema version; ordinals are unique over all batches.
    pub batches: Vec<ChangeBatch>,
}

impl GroupBody {
    /// Number of changes over all tables.
    pub fn changes(&self) -> usize {
        self.batches.iter().map(ChangeBatch::len).sum()
    }

    /// Bytes that it holds in memory.
    pub fn memory(&self) -> usize {
        self.batches.iter().map(ChangeBatch::memory).sum()
    }

    /// Every change in source order, as (batch, row).
    pub fn in_order(&self) -> Vec<(usize, usize)> {
        let mut places: Vec<(u32, usize, usize)> = self
            .batches
            .iter()
            .enumerate()
            .flat_map(|(b, batch)| {
                batch.ordinals().iter().enumerate().map(move |(row, &ordinal)| (ordinal, b, row))
            })
            .collect();
        places.sort_unstable();
        places.into_iter().map(|(_, batch, row)| (batch, row)).collect()
    }
}

/// A group at its place in a lane of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The lane.
    pub lane: LaneId,
    /// Its dense number there.
    pub offset: Offset,
    /// What it holds.
    pub body: GroupBody,
}
