//! One open transaction of a memory target: its writes stand in the tables at once and are taken back if it is
//! dropped.
//!
//! A transaction that was ended by somebody who took the target over writes nothing any more.

use super::order::OrderedKey;
use super::site::{CommitFault, Site, fenced};
use super::target::MemoryTarget;
use crate::error::{Error, Result};
use crate::read::KeyRange;
use crate::target::{Fate, LaneProgress, LetterPlace, RowWork, TargetTable, TargetTransaction};
use arrow::array::RecordBatch;
use change::planted::{Defect, is_planted};
use change::{FlowId, Generation, TableSchema, Value};
use std::collections::BTreeSet;
use std::sync::MutexGuard;

pub(super) struct MemoryTransaction {
    pub(super) target: MemoryTarget,
    pub(super) flow: FlowId,
    pub(super) generation: Generation,
    pub(super) number: u64,
    pub(super) fates: Vec<(LetterPlace, Fate)>,
}

impl MemoryTransaction {
    /// The site, as long as this is its open transaction.
    fn site(&self) -> Result<MutexGuard<'_, Site>> {
        let site = self.target.lock();
        if site.open == Some(self.number) {
            return Ok(site);
        }
        Err(fenced("this transaction was ended by another engine"))
    }

    /// Runs work that leaves nothing behind when it fails.
    fn attempt(&mut self, work: impl FnOnce(&mut Site) -> Result<u64>) -> Result<u64> {
        let mut site = self.site()?;
        let mark = site.tables.mark();
        let outcome = work(&mut site);
        if outcome.is_err() {
            site.tables.roll_back(mark);
        }
        outcome
    }
}

impl TargetTransaction for MemoryTransaction {
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        self.attempt(|site| {
            site.tables.get(&table.name)?;
            if is_planted(Defect::OneTableBatches) {
                site.tables.keep_others(&table.name);
            }
            match work {
                RowWork::Upsert(rows) | RowWork::Insert(rows) => upsert(site, table, rows),
                RowWork::Update(rows) => update(site, table, rows),
                RowWork::Delete(keys) => delete(site, table, keys),
            }
        })
    }

    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64> {
        self.attempt(|site| {
            let keep: BTreeSet<OrderedKey> = keys(table, keep)?.into_iter().collect();
            let after = range.after.as_ref().map(OrderedKey::from);
            let upto = range.upto.as_ref().map(OrderedKey::from);
            let gone = site.keys(table, |key, _| {
                after.as_ref().is_none_or(|after| key > after)
                    && upto.as_ref().is_none_or(|upto| key <= upto)
                    && !keep.contains(key)
            })?;
            remove_all(site, table, &gone)
        })
    }

    fn clear(&mut self, table: &TargetTable) -> Result<u64> {
        self.attempt(|site| {
            let gone = site.keys(table, |_, _| true)?;
            remove_all(site, table, &gone)
        })
    }

    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()> {
        drop(self.site()?);
        self.fates.extend_from_slice(fates);
        Ok(())
    }

    fn commit(self: Box<Self>, progress: &[LaneProgress]) -> Result<()> {
        let mut site = self.site()?;
        let fault = site.commit_fault.take();
        if fault == Some(CommitFault::Lost) {
            site.abandon();
            return Err(Error::unavailable("the target went away"));
        }
        if is_planted(Defect::ProgressApart) {
            site.apart = Some((self.flow, self.generation, progress.to_vec()));
        } else {
            site.advance(self.flow, self.generation, progress);
        }
        if !self.fates.is_empty() {
            site.record(self.flow, &self.fates);
        }
        site.tables.keep();
        site.open = None;
        match fault {
            Some(CommitFault::Unanswered) => Err(Error::unavailable("the target went away")),
            _ => Ok(()),
        }
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        let mut site = self.target.lock();
        if site.open == Some(self.number) {
            site.abandon();
        }
    }
}

fn upsert(site: &mut Site, table: &TargetTable, rows: &RecordBatch) -> Result<u64> {
    for row in cells(&table.schema, rows)? {
        site.put(table, &row)?;
    }
    Ok(rows.num_rows() as u64)
}

fn update(site: &mut Site, table: &TargetTable, rows: &RecordBatch) -> Result<u64> {
    let mut affected = 0;
    for row in cells(&table.schema, rows)? {
        if site.is_there(table, &row)? {
            site.put(table, &row)?;
            affected += 1;
        }
    }
    Ok(affected)
}

fn delete(site: &mut Site, table: &TargetTable, rows: &RecordBatch) -> Result<u64> {
    let mut affected = 0;
    for key in keys(table, rows)? {
        affected += u64::from(site.remove(table, &key)?.is_some());
    }
    Ok(affected)
}

fn remove_all(site: &mut Site, table: &TargetTable, keys: &[OrderedKey]) -> Result<u64> {
    for key in keys {
        site.tables.remove(&table.name, key)?;
    }
    Ok(keys.len() as u64)
}

/// Rows of a batch that has exactly the columns of a shape.
pub(super) fn cells(schema: &TableSchema, rows: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let types = |fields: &arrow::datatypes::Fields| {
        fields.iter().map(|f| f.data_type().clone()).collect::<Vec<_>>()
    };
    if types(rows.schema_ref().fields()) != types(schema.images().fields()) {
        return Err(Error::internal("rows have other columns than the table they are for"));
    }
    Ok((0..rows.num_rows()).map(|row| Value::row(rows, schema, row)).collect())
}

fn keys(table: &TargetTable, rows: &RecordBatch) -> Result<Vec<OrderedKey>> {
    Ok(cells(&table.schema.key_schema(), rows)?.into_iter().map(OrderedKey).collect())
}
