//! The changes that a memory source retains, and the positions that number them.
//!
//! Every change has a number of its own, so that a position can lie inside a transaction; every transaction has a
//! tag that is never used twice, so that a database which was set back is told from the one it was.

use super::order::OrderedKey;
use super::table::Row;
use crate::error::{Error, Result, State};
use change::planted::{Defect, is_planted};
use change::{Op, SourcePosition, TableSchema};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT_TAG: AtomicU64 = AtomicU64::new(1);

/// One captured change.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) table: Arc<str>,
    pub(super) schema: Arc<TableSchema>,
    pub(super) op: Op,
    pub(super) old: Option<Row>,
    pub(super) new: Option<Row>,
}

impl Change {
    pub(super) fn new(table: &str, schema: &Arc<TableSchema>, op: Op) -> Self {
        Change { table: table.into(), schema: schema.clone(), op, old: None, new: None }
    }

    pub(super) fn from(mut self, old: Row) -> Self {
        self.old = Some(old);
        self
    }

    pub(super) fn to(mut self, new: Row) -> Self {
        self.new = Some(new);
        self
    }

    /// The key of an image, in order.
    pub(super) fn key(&self, row: &Row) -> OrderedKey {
        OrderedKey(self.schema.key().iter().map(|&i| row[i].clone()).collect())
    }
}

/// One transaction that was committed: changes number `first` and those that follow.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) first: u64,
    pub(super) tag: u64,
    pub(super) time: i64,
    pub(super) changes: Vec<Change>,
}

impl Committed {
    pub(super) fn last(&self) -> u64 {
        self.first + self.changes.len() as u64 - 1
    }
}

/// The end of a transaction, or the beginning of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) sequence: u64,
    pub(super) tag: u64,
}

impl End {
    /// As the lane records it.
    pub(super) fn position(self) -> SourcePosition {
        place(self.sequence, self.tag, 0)
    }
}

/// A position behind change number `sequence`, inside the transaction with this tag if more parts follow.
pub(super) fn place(sequence: u64, tag: u64, next_part: u32) -> SourcePosition {
    SourcePosition { sequence, detail: Some(format!("{tag:x}.{next_part}")) }
}

/// Tag and next part of a position that [`place`] made.
pub(super) fn tag_and_part(position: &SourcePosition) -> Option<(u64, u32)> {
    let (tag, part) = position.detail.as_ref()?.split_once('.')?;
    Some((u64::from_str_radix(tag, 16).ok()?, part.parse().ok()?))
}

/// Retained transactions, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Retention {
    pub(super) transactions: VecDeque<Committed>,
    /// Everything up to here was acknowledged.
    pub(super) acknowledged: End,
    /// The newest transaction.
    pub(super) end: End,
}

impl Retention {
    pub(super) fn commit(&mut self, time: i64, changes: Vec<Change>) {
        let tag = NEXT_TAG.fetch_add(1, Ordering::Relaxed);
        let committed = Committed { first: self.end.sequence + 1, tag, time, changes };
        self.end = End { sequence: committed.last(), tag };
        self.transactions.push_back(committed);
    }

    /// The transaction that holds a change.
    pub(super) fn holding(&self, sequence: u64) -> Option<&Committed> {
        let behind = self.transactions.partition_point(|t| t.last() < sequence);
        self.transactions.get(behind).filter(|t| t.first <= sequence)
    }

    /// Changes behind a position.
    pub(super) fn behind(&self, sequence: u64) -> u64 {
        self.end.sequence - sequence
    }

    /// Lets go of changes; the rest of a transaction stays readable from the middle.
    pub(super) fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        let upto = position.sequence;
        if upto <= self.acknowledged.sequence {
            return Ok(());
        }
        self.verify(position)?;
        let tag = self.holding(upto).map_or(0, |t| t.tag);
        self.acknowledged = End { sequence: upto, tag };
        while self.transactions.front().is_some_and(|t| t.last() <= upto) {
            self.transactions.pop_front();
        }
        Ok(())
    }

    /// Says whether reading can go on behind a position of this history.
    pub(super) fn verify(&self, position: &SourcePosition) -> Result<()> {
        let sequence = position.sequence;
        if sequence > self.end.sequence && !is_planted(Defect::TrustOtherHistory) {
            return Err(another(format!(
                "behind {sequence}, but the newest is {}",
                self.end.sequence
            )));
        }
        if sequence < self.acknowledged.sequence {
            let oldest = self.acknowledged.sequence;
            return Err(Error::invalid("the source no longer has this place")
                .found(format!("wanted behind {sequence}, oldest is {oldest}"))
                .state(State::PositionLost));
        }
        let ours = match self.holding(sequence) {
            Some(transaction) => transaction.tag,
            None if sequence == self.acknowledged.sequence => self.acknowledged.tag,
            None => return Ok(()),
        };
        match tag_and_part(position) {
            Some((tag, _)) if tag != ours && !is_planted(Defect::TrustOtherHistory) => {
                Err(another(format!("another transaction at {sequence}")))
            }
            _ => Ok(()),
        }
    }
}

/// What is found where the history that was captured should be.
pub(super) fn another(found: String) -> Error {
    Error::invalid("the source's history is not the one that was captured")
        .found(found)
        .state(State::HistoryChanged)
        .effect("nothing was captured; positions of the two histories cannot be compared")
}
