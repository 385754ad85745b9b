//! One change in source order: written, or refused and nothing of it left.
//!
//! A change that moves a row to another key is two writes, and the target takes each back alone when it refuses it.
//! Invariant: a refused change leaves the rows under both keys as they were, with every cell.

use super::{Manner, Writer};
use crate::compact::keys_only;
use crate::effect::{At, Effect, Effects, Item};
use crate::path::TablePath;
use arrow::array::{Array, RecordBatch};
use connect::{Kind, Result, RowWork};

impl Writer<'_> {
    /// Writes one change; under [`Manner::InOrderParking`] a refusal is returned, not raised.
    pub(super) fn write_one(
        &mut self,
        path: &TablePath,
        effects: &Effects,
        item: &Item,
        row: At,
        from: Option<At>,
    ) -> Result<Option<String>> {
        let one = |at: At| effects.blocks[at.block].rows.slice(at.row, 1);
        let gone = |at: At| keys_only(path, &one(at)).map(RowWork::Delete);
        let put = match item.effect {
            Effect::Remove { .. } => gone(row)?,
            _ => RowWork::Upsert(one(row)),
        };
        let Some(from) = from else { return Ok(self.tried(path, &put)?.err()) };
        // What the source has not sent of the old row could not be put back: the new one is tried before it goes.
        if self.manner == Manner::InOrderParking && !is_whole(path, &one(from)) {
            if let Err(reason) = self.tried(path, &put)? {
                return Ok(Some(reason));
            }
            let Err(reason) = self.tried(path, &gone(from)?)? else { return Ok(None) };
            let _ = self.tried(path, &gone(row)?)?;
            return Ok(Some(reason));
        }
        let removed = match self.tried(path, &gone(from)?)? {
            Ok(removed) => removed,
            Err(reason) => return Ok(Some(reason)),
        };
        let Err(reason) = self.tried(path, &put)? else { return Ok(None) };
        if removed > 0 {
            // A target that does not take the old row any more is left without it: both keys wait behind the letter,
            // which brings the row.
            let _ = self.tried(path, &RowWork::Upsert(one(from)))?;
        }
        Ok(Some(reason))
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

/// Whether an old image certainly holds its row: a null may also be a cell that was not sent.
fn is_whole(path: &TablePath, row: &RecordBatch) -> bool {
    let key = path.target().schema.key();
    row.columns().iter().enumerate().all(|(i, cells)| key.contains(&i) || cells.null_count() == 0)
}
