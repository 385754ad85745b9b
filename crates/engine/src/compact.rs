//! The net effect of many changes: for each key the last one counts, sorted by key, split by kind.
//!
//! Pure. A legal sequence can become illegal when it is compacted (two rows that swap a unique value): the
//! applier then falls back to source order, so compaction may be as simple as it is here.

use crate::effect::{At, Effect, Effects};
use crate::path::TablePath;
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use connect::{Counters, Error, Result, RowWork};
use std::collections::HashMap;

/// What is left to do for one table.
pub(crate) struct Net {
    /// The table (the owner's share) is emptied first.
    pub(crate) clear: bool,
    /// Deletes, then upserts, each sorted by key.
    pub(crate) work: Vec<RowWork>,
    /// The fates of the changes that went in; parked ones are counted by who parks them.
    pub(crate) counters: Counters,
}

/// The newest effect on one key. A change has its fate at one key only: the one it wrote or removed.
struct Newest {
    at: At,
    written: bool,
    carries_fate: bool,
}

/// Compacts the effects of one table. Refused changes are left out.
pub(crate) fn compact(path: &TablePath, effects: &Effects) -> Result<Net> {
    let mut newest: HashMap<&[u8], Newest> = HashMap::with_capacity(effects.items.len());
    let mut counters = Counters::default();
    let mut clear = false;
    let put = |map: &mut HashMap<_, Newest>, counters: &mut Counters, at: At, next: Newest| {
        if let Some(before) = map.insert(effects.key(at), next)
            && before.carries_fate
        {
            counters.superseded += 1;
        }
    };
    for item in &effects.items {
        match &item.effect {
            Effect::Filtered => counters.filtered += 1,
            Effect::Refused(_) => {}
            Effect::Clear => {
                let overtaken = newest.drain().filter(|(_, n)| n.carries_fate).count();
                counters.superseded += overtaken as u64 + u64::from(clear);
                clear = true;
            }
            Effect::Write { row, moved_from } => {
                if let Some(from) = *moved_from {
                    let gone = Newest { at: from, written: false, carries_fate: false };
                    put(&mut newest, &mut counters, from, gone);
                }
                let now = Newest { at: *row, written: true, carries_fate: true };
                put(&mut newest, &mut counters, *row, now);
            }
            Effect::Remove { row } => {
                let gone = Newest { at: *row, written: false, carries_fate: true };
                put(&mut newest, &mut counters, *row, gone);
            }
        }
    }
    counters.applied = newest.values().filter(|n| n.carries_fate).count() as u64 + u64::from(clear);
    let mut sorted: Vec<(&[u8], Newest)> = newest.into_iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let places = |written: bool| -> Vec<(usize, usize)> {
        let of_kind = sorted.iter().filter(|(_, n)| n.written == written);
        of_kind.map(|(_, n)| (n.at.block, n.at.row)).collect()
    };
    let mut work = Vec::new();
    let gone = places(false);
    if !gone.is_empty() {
        work.push(RowWork::Delete(keys_only(path, &gather(effects, &gone)?)?));
    }
    let written = places(true);
    if !written.is_empty() {
        work.push(RowWork::Upsert(gather(effects, &written)?));
    }
    Ok(Net { clear, work, counters })
}

/// Rows of many blocks as one batch.
fn gather(effects: &Effects, places: &[(usize, usize)]) -> Result<RecordBatch> {
    let blocks: Vec<&RecordBatch> = effects.blocks.iter().map(|block| &block.rows).collect();
    interleave_record_batch(&blocks, places)
        .map_err(|e| Error::internal("rows of one table have different columns").caused_by(e))
}

/// The key columns of rows, in key order.
pub(crate) fn keys_only(path: &TablePath, rows: &RecordBatch) -> Result<RecordBatch> {
    rows.project(path.target().schema.key())
        .map_err(|e| Error::internal("key columns are missing").caused_by(e))
}
