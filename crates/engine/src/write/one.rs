//! One change in source order: written, or refused and nothing of it left.
//!
//! A change that moves a row to another key is two writes, and the target takes each back alone when it refuses it.
//! Invariant: a refused change leaves the rows under both keys as they were, with every cell.

use super::{Manner, Writer};
use crate::compact::{keys_only, sent};
use crate::effect::{At, Effect, Effects, Item};
use crate::lane::Lane;
use crate::path::TablePath;
use arrow::array::{Array, RecordBatch};
use change::Offset;
use connect::{Error, Kind, Result, RowWork, TargetTable};

/// What became of one change.
pub(super) enum Outcome {
    Written,
    /// It is to a row that is not there yet: a snapshot behind it brings the row.
    Overtaken,
    Refused(String),
}

impl Writer<'_> {
    /// Writes one change; under [`Manner::InOrderParking`] a refusal is returned, not raised.
    pub(super) fn write_one(
        &mut self,
        lane: &Lane,
        path: &TablePath,
        effects: &Effects,
        item: &Item,
    ) -> Result<Outcome> {
        let one = |at: At| effects.blocks[at.block].rows.slice(at.row, 1);
        let (row, from, put) = match &item.effect {
            Effect::Remove { row } => (*row, None, gone(path, &one(*row))?),
            Effect::Write { row, unsent: Some(unsent), .. } => {
                let (table, cells) = sent(path, unsent, &one(*row))?;
                return self.change_one(lane, path, item.offset, (&table, cells));
            }
            Effect::Write { row, moved_from, .. } => {
                (*row, *moved_from, RowWork::Upsert(one(*row)))
            }
            other => unreachable!("{other:?} writes nothing"),
        };
        let refusal = match from {
            None => self.tried(path, &put)?.err(),
            Some(from) => self.move_one(path, (&one(from), &one(row)), &put)?,
        };
        Ok(refusal.map_or(Outcome::Written, Outcome::Refused))
    }

    /// Moves a row from one key to another.
    fn move_one(
        &mut self,
        path: &TablePath,
        (from, row): (&RecordBatch, &RecordBatch),
        put: &RowWork,
    ) -> Result<Option<String>> {
        // What the source has not sent of the old row could not be put back: the new one is tried before it goes.
        if self.manner == Manner::InOrderParking && !is_whole(path, from) {
            if let Err(reason) = self.tried(path, put)? {
                return Ok(Some(reason));
            }
            let Err(reason) = self.tried(path, &gone(path, from)?)? else { return Ok(None) };
            let _ = self.tried(path, &gone(path, row)?)?;
            return Ok(Some(reason));
        }
        let removed = match self.tried(path, &gone(path, from)?)? {
            Ok(removed) => removed,
            Err(reason) => return Ok(Some(reason)),
        };
        let Err(reason) = self.tried(path, put)? else { return Ok(None) };
        if removed > 0 {
            // A target that does not take the old row any more is left without it: both keys wait behind the letter,
            // which brings the row.
            let _ = self.tried(path, &RowWork::Upsert(from.clone()))?;
        }
        Ok(Some(reason))
    }

    /// Writes the cells that were sent of one row.
    fn change_one(
        &mut self,
        lane: &Lane,
        path: &TablePath,
        offset: Offset,
        cells: (&TargetTable, RecordBatch),
    ) -> Result<Outcome> {
        match self.change(lane, path, offset, cells) {
            Ok(0) => Ok(Outcome::Written),
            Ok(_) => Ok(Outcome::Overtaken),
            Err(e) if e.kind == Kind::Refused && self.manner == Manner::InOrderParking => {
                Ok(Outcome::Refused(e.to_string()))
            }
            Err(e) => Err(e),
        }
    }

    /// Writes cells of rows that are there, by changes up to an offset; returns how many rows are not, since a snapshot
    /// behind that place brings them.
    ///
    /// # Errors
    /// `Refused` when rows are not there that should be.
    pub(super) fn change(
        &mut self,
        lane: &Lane,
        path: &TablePath,
        offset: Offset,
        (table, cells): (&TargetTable, RecordBatch),
    ) -> Result<u64> {
        let rows = cells.num_rows() as u64;
        let lacking = rows - self.txn.write(table, &RowWork::Update(cells))?;
        if lacking > 0 && !lane.is_read_behind(self.assembly, path.source_table(), offset)? {
            return Err(not_there());
        }
        Ok(lacking)
    }

    /// One write, and why it was refused, where refusals are not raised.
    fn tried(
        &mut self,
        path: &TablePath,
        work: &RowWork,
    ) -> Result<std::result::Result<u64, String>> {
        match self.txn.write(path.target(), work) {
            Ok(rows) => Ok(Ok(rows)),
            Err(e) if e.kind == Kind::Refused && self.manner == Manner::InOrderParking => {
                Ok(Err(e.to_string()))
            }
            Err(e) => Err(e),
        }
    }
}

/// The removal of a row.
fn gone(path: &TablePath, row: &RecordBatch) -> Result<RowWork> {
    keys_only(path, row).map(RowWork::Delete)
}

/// A change in part has no row to be made to.
pub(crate) fn not_there() -> Error {
    Error::refused("the source sent only some cells of a row, and the target does not have the row")
}

/// Whether an old image certainly holds its row: a null may also be a cell that was not sent.
fn is_whole(path: &TablePath, row: &RecordBatch) -> bool {
    let key = path.target().schema.key();
    row.columns().iter().enumerate().all(|(i, cells)| key.contains(&i) || cells.null_count() == 0)
}
