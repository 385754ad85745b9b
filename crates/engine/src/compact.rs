//! The net effect of many changes: for each key the last one counts, sorted by key, split by kind.
//!
//! Pure. A legal sequence can become illegal when it is compacted (two rows that swap a unique value): the
//! applier then falls back to source order, so compaction may be as simple as it is here.

use crate::effect::{At, Effect, Effects, Unsent};
use crate::path::{TablePath, narrowed};
use crate::write::one::not_there;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{interleave, interleave_record_batch};
use connect::{Counters, Error, Result, RowWork, TargetTable};
use std::collections::{BTreeMap, HashMap};

/// What is left to do for one table.
pub(crate) struct Net {
    /// The table (the owner's share) is emptied first.
    pub(crate) clear: bool,
    /// Deletes, then upserts, each sorted by key.
    pub(crate) work: Vec<RowWork>,
    /// Then rows of which cells were not sent, by the columns that were.
    pub(crate) in_part: Vec<(TargetTable, RecordBatch)>,
    /// The fates of the changes that went in; parked ones are counted by who parks them.
    pub(crate) counters: Counters,
}

/// The newest effect on one key. A change has its fate at one key only: the one it wrote or removed.
struct Newest {
    at: At,
    what: Standing,
    carries_fate: bool,
}

/// What stands under a key in the end.
#[derive(PartialEq)]
enum Standing {
    /// No row.
    Gone,
    /// A row, but for cells that other rows of the blocks hold, or that were not sent and stand at the target.
    Row { filled: Vec<(usize, At)>, unsent: Option<Unsent> },
}

impl Standing {
    const WHOLE: Standing = Standing::Row { filled: Vec::new(), unsent: None };

    /// A row of which cells were not sent, over what stood there before.
    ///
    /// # Errors
    /// `Refused` over a row that is gone: in source order its change finds none.
    fn over(unsent: &Unsent, before: Option<&Newest>) -> Result<Standing> {
        let (at, filled, lacking) = match before.map(|before| (before.at, &before.what)) {
            Some((at, Standing::Row { filled, unsent })) => (at, filled, unsent),
            Some((_, Standing::Gone)) => return Err(not_there()),
            None => {
                return Ok(Standing::Row { filled: Vec::new(), unsent: Some(unsent.clone()) });
            }
        };
        let lacks = |column: &usize| lacking.as_ref().is_some_and(|l| l.contains(column));
        let (still, there): (Vec<usize>, Vec<usize>) = unsent.iter().partition(|c| lacks(c));
        let place = |column: usize| {
            filled.iter().find(|(filled, _)| *filled == column).map_or(at, |(_, at)| *at)
        };
        Ok(Standing::Row {
            filled: there.into_iter().map(|column| (column, place(column))).collect(),
            unsent: (!still.is_empty()).then(|| still.into()),
        })
    }
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
            Effect::Write { row, moved_from, unsent } => {
                if let Some(from) = *moved_from {
                    let gone = Newest { at: from, what: Standing::Gone, carries_fate: false };
                    put(&mut newest, &mut counters, from, gone);
                }
                let what = match unsent {
                    Some(unsent) => Standing::over(unsent, newest.get(effects.key(*row)))?,
                    None => Standing::WHOLE,
                };
                let now = Newest { at: *row, what, carries_fate: true };
                put(&mut newest, &mut counters, *row, now);
            }
            Effect::Remove { row } => {
                let gone = Newest { at: *row, what: Standing::Gone, carries_fate: true };
                put(&mut newest, &mut counters, *row, gone);
            }
        }
    }
    counters.applied = newest.values().filter(|n| n.carries_fate).count() as u64 + u64::from(clear);
    let mut sorted: Vec<(&[u8], Newest)> = newest.into_iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let (mut gone, mut written) = (Vec::new(), Vec::new());
    let mut lacking: BTreeMap<Unsent, Vec<Newest>> = BTreeMap::new();
    for (_, newest) in sorted {
        match &newest.what {
            Standing::Gone => gone.push(newest),
            Standing::Row { unsent: None, .. } => written.push(newest),
            Standing::Row { unsent: Some(unsent), .. } => {
                lacking.entry(unsent.clone()).or_default().push(newest);
            }
        }
    }
    let mut work = Vec::new();
    if !gone.is_empty() {
        work.push(RowWork::Delete(keys_only(path, &gather(effects, &gone)?)?));
    }
    if !written.is_empty() {
        work.push(RowWork::Upsert(gather(effects, &written)?));
    }
    let lacking = lacking.iter();
    let in_part = lacking.map(|(unsent, rows)| sent(path, unsent, &gather(effects, rows)?));
    Ok(Net { clear, work, in_part: in_part.collect::<Result<_>>()?, counters })
}

/// Rows of many blocks as one batch; of some of them, cells come from other rows.
fn gather(effects: &Effects, rows: &[Newest]) -> Result<RecordBatch> {
    let unlike = |e| Error::internal("rows of one table have different columns").caused_by(e);
    let blocks: Vec<&RecordBatch> = effects.blocks.iter().map(|block| &block.rows).collect();
    let places: Vec<(usize, usize)> = rows.iter().map(|n| (n.at.block, n.at.row)).collect();
    let mut elsewhere: BTreeMap<usize, Vec<(usize, At)>> = BTreeMap::new();
    for (row, newest) in rows.iter().enumerate() {
        if let Standing::Row { filled, .. } = &newest.what {
            for &(column, at) in filled {
                elsewhere.entry(column).or_default().push((row, at));
            }
        }
    }
    let whole = interleave_record_batch(&blocks, &places).map_err(unlike)?;
    if elsewhere.is_empty() {
        return Ok(whole);
    }
    let mut columns: Vec<ArrayRef> = whole.columns().to_vec();
    for (column, cells) in elsewhere {
        let mut places = places.clone();
        cells.into_iter().for_each(|(row, at)| places[row] = (at.block, at.row));
        let arrays: Vec<_> = blocks.iter().map(|block| block.column(column).as_ref()).collect();
        columns[column] = interleave(&arrays, &places).map_err(unlike)?;
    }
    RecordBatch::try_new(whole.schema(), columns).map_err(unlike)
}

/// The table narrowed to the columns that were sent, and the rows so.
pub(crate) fn sent(
    path: &TablePath,
    unsent: &Unsent,
    rows: &RecordBatch,
) -> Result<(TargetTable, RecordBatch)> {
    let columns: Vec<usize> =
        (0..rows.num_columns()).filter(|column| !unsent.contains(column)).collect();
    let rows =
        rows.project(&columns).map_err(|e| Error::internal("columns are missing").caused_by(e))?;
    Ok((narrowed(path.target(), &columns)?, rows))
}

/// The key columns of rows, in key order.
pub(crate) fn keys_only(path: &TablePath, rows: &RecordBatch) -> Result<RecordBatch> {
    rows.project(path.target().schema.key())
        .map_err(|e| Error::internal("key columns are missing").caused_by(e))
}
