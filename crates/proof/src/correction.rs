//! What was found out about leaves by reading rows, and how a ledger takes it, at whatever place it stands by then.
//!
//! A leaf that was not known, and all leaves of a table that has no ledger yet: each is a range of which every row was
//! read at some place of the lane. What came since is folded from the log, for that range alone.

use crate::leaves::{Leaf, Leaves};
use crate::ledger::Ledger;
use crate::rows::Rows;
use crate::subject::RowPath;
use crate::walk::Stretch;
use change::{Digest, DigestKey, Key, LaneId, Offset};
use connect::{KeyRange, Log, Result, key_order};

/// A range whose rows were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The range.
    pub(crate) range: KeyRange,
    /// The place of the lane at which it held these rows.
    pub(crate) at: Offset,
    /// Its leaves.
    pub(crate) leaves: Vec<Leaf>,
    /// The greatest key in the last of them; `None` where it is not known, or there is none.
    pub(crate) highest: Option<Key>,
}

impl Known {
    /// A range that is one leaf.
    pub(crate) fn leaf(range: KeyRange, at: Offset, digest: Digest) -> Self {
        let leaves = vec![Leaf { upto: range.upto.clone(), digest, last: at, dirty: false }];
        Known { range, at, leaves, highest: None }
    }

    /// A range of rows that are as they should be, in leaves of the usual size.
    pub(crate) fn rows(range: KeyRange, at: Offset, rows: &Rows) -> Self {
        let known = (0..rows.len()).map(|row| (rows.key_at(row), Some(rows.digest(row).sum)));
        let mut all: Vec<(Key, Option<u128>)> = known.filter(|(key, _)| range.holds(key)).collect();
        all.sort_by(|(a, _), (b, _)| key_order::compare(a, b));
        let mut leaves = Leaves::fixed(None);
        leaves.extend(&all, range.upto.as_ref(), at);
        let highest = leaves.highest().cloned();
        Known { leaves: leaves.list().to_vec(), range, at, highest }
    }

    /// Its leaves at another place of the lane, and the greatest key; `None` where they are not known there.
    fn at(
        &self,
        log: &dyn Log,
        lane: LaneId,
        place: Offset,
        way: (&RowPath, DigestKey),
    ) -> Result<Option<(Vec<Leaf>, Option<Key>)>> {
        let mut leaves = Leaves::fixed(self.highest.clone());
        if let Some(after) = &self.range.after {
            leaves.add(Some(after.clone()));
        }
        let before = leaves.list().len();
        self.leaves.iter().for_each(|leaf| leaves.push(leaf.clone()));
        let mut alone = Ledger::of(leaves, self.at);
        let epoch = alone.epoch;
        if alone.go_to(log, lane, place, way)? == Stretch::Trimmed || alone.epoch != epoch {
            return Ok(None);
        }
        let leaves = &alone.leaves()[before..];
        let known = !leaves.iter().any(|leaf| leaf.dirty);
        Ok(known.then(|| (leaves.to_vec(), alone.leaves.highest().cloned())))
    }
}

/// What a check found out about leaves of a ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Correction {
    /// The epoch of the ledger that was looked at.
    pub(crate) epoch: u64,
    /// What was found out.
    pub(crate) ranges: Vec<Known>,
}

impl Correction {
    /// Whether nothing was found out.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl Ledger {
    /// Takes a correction, if the ledger is still of the same epoch. Ranges that are no leaves any more are left alone.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn take_correction(
        &mut self,
        log: &dyn Log,
        lane: LaneId,
        correction: &Correction,
        way: (&RowPath, DigestKey),
    ) -> Result<()> {
        for known in &correction.ranges {
            let behind = known.at > self.offset;
            if behind && self.go_to(log, lane, known.at, way)? == Stretch::Trimmed {
                return Ok(());
            }
            if self.epoch != correction.epoch || known.at < self.base {
                return Ok(());
            }
            let Some((leaves, _)) = known.at(log, lane, self.offset, way)? else { continue };
            let Some(place) = self.leaves.behind(known.range.after.as_ref()) else { continue };
            if self.leaves().get(place).is_some_and(|leaf| leaf.upto == known.range.upto) {
                self.leaves.put_in_place(place, leaves);
            }
        }
        Ok(())
    }

    /// A ledger of a table all of whose rows were read, range by range, at the place of the last of them. `None` where
    /// the ranges do not join, or are not known there any more.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn seeded(
        log: &dyn Log,
        lane: LaneId,
        ranges: &[Known],
        epoch: u64,
        way: (&RowPath, DigestKey),
    ) -> Result<Option<Ledger>> {
        let Some(at) = ranges.iter().map(|known| known.at).max() else { return Ok(None) };
        let (mut all, mut after, mut greatest) = (Vec::new(), None, None);
        for (place, known) in ranges.iter().enumerate() {
            let joins = known.range.after == after && (place == 0 || after.is_some());
            let Some((leaves, highest)) = known.at(log, lane, at, way)?.filter(|_| joins) else {
                return Ok(None);
            };
            all.extend(leaves);
            greatest = highest;
            after = known.range.upto.clone();
        }
        let ledger = Ledger { epoch, ..Ledger::of(Leaves::stored(all, greatest), at) };
        Ok(after.is_none().then_some(ledger))
    }
}
