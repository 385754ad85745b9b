//! Apply-side repairs: rows that a proof found wrong, mended by the applier itself between two batches.
//!
//! A row was read at a source cut; it is written only if the applier has passed that cut and the log has not
//! touched the key since. Otherwise it is dropped: something newer is there, or on the way.

use crate::assembly::Assembly;
use crate::effect::{Effect, Effects};
use crate::lane::Lane;
use crate::path::TablePath;
use crate::state::FlowIdentity;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use change::planted::{Defect, is_planted};
use change::{LaneId, Offset, TableSchema, canonical};
use connect::{Bounds, Error, Result, RowWork, Target};
use std::collections::HashSet;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of one table of one lane to mend.
#[derive(Debug)]
pub struct RepairOrder {
    /// The flow, by name.
    pub flow: String,
    /// The lane.
    pub lane: LaneId,
    /// The table at the target.
    pub table: String,
    /// The rows below were true at this place of the lane.
    pub known_at: Offset,
    /// Rows to write, in the target's columns.
    pub rows: RecordBatch,
    /// Keys to delete: key columns, in key order.
    pub gone: RecordBatch,
    /// Where the outcome is told.
    pub outcome: Sender<RepairOutcome>,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairOutcome {
    /// Rows written or deleted.
    pub repaired: u64,
    /// Rows left alone, since the log touched their key after they were read, or it is set aside.
    pub dropped: u64,
}

/// Orders that wait for the appliers.
#[derive(Clone, Default)]
pub struct Repairs(Arc<Mutex<Vec<RepairOrder>>>);

impl Repairs {
    /// Hands an order to the applier of its flow.
    pub fn place(&self, order: RepairOrder) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }

    /// The first order of a flow that is ripe.
    pub(crate) fn take(
        &self,
        flow: &str,
        ripe: impl Fn(&RepairOrder) -> bool,
    ) -> Option<RepairOrder> {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = orders.iter().position(|order| order.flow == flow && ripe(order))?;
        Some(orders.remove(place))
    }
}

/// Applies an order in a transaction of its own; progress stays where it is.
pub(crate) fn apply(
    assembly: &Assembly,
    identity: &FlowIdentity,
    target: &mut dyn Target,
    lane: &mut Lane,
    order: &RepairOrder,
) -> Result<()> {
    let asked = order.rows.num_rows() + order.gone.num_rows();
    let Some(path) = lane.path_of_shape(&order.table, &order.rows.schema()) else {
        // The table has another shape by now than when it was proved.
        let _ = order.outcome.send(RepairOutcome { repaired: 0, dropped: asked as u64 });
        return Ok(());
    };
    let mut untouchable = HashSet::new();
    let mut emptied = false;
    if !is_planted(Defect::RepairBackwards) {
        (untouchable, emptied) = touched_since(assembly, lane, path, order.known_at)?;
    }
    untouchable.extend(lane.parked.get(&order.table).into_iter().flatten().cloned());
    let schema = &path.target().schema;
    let rows = without(&order.rows, schema, &untouchable)?;
    let gone = without(&order.gone, &schema.key_schema(), &untouchable)?;
    // A table that was emptied since has no row that was true before.
    let kept = if emptied { 0 } else { rows.num_rows() + gone.num_rows() };
    if kept > 0 {
        let mut progress = lane.progress.clone();
        progress.counters.repaired += kept as u64;
        let mut txn = target.begin(identity.id, identity.generation)?;
        if gone.num_rows() > 0 {
            txn.write(path.target(), &RowWork::Delete(gone))?;
        }
        if rows.num_rows() > 0 {
            txn.write(path.target(), &RowWork::Upsert(rows))?;
        }
        lane.tell(txn.as_mut())?;
        txn.commit(std::slice::from_ref(&progress))?;
        lane.progress = progress;
        lane.unrecorded.clear();
    }
    let outcome = RepairOutcome { repaired: kept as u64, dropped: (asked - kept) as u64 };
    // Whoever asked may have gone; the repair stands all the same.
    let _ = order.outcome.send(outcome);
    Ok(())
}

/// Canonical keys that the log touched behind `since`, up to its durable end: what the applier has passed, and
/// what is still on the way; and whether the table was emptied there.
fn touched_since(
    assembly: &Assembly,
    lane: &Lane,
    path: &TablePath,
    since: Offset,
) -> Result<(HashSet<Vec<u8>>, bool)> {
    let (mut touched, mut emptied) = (HashSet::new(), false);
    let mut after = since;
    loop {
        let groups = assembly.log.read(lane.id, after, Bounds::BATCH)?;
        let Some(last) = groups.last() else { return Ok((touched, emptied)) };
        after = last.offset;
        for group in &groups {
            for batch in group.body.batches.iter().filter(|b| **b.table() == *path.source_table()) {
                let Some(path) = lane.path(batch.table(), batch.schema()) else { continue };
                let mut effects = Effects::new(path)?;
                effects.add(path, group.offset, batch)?;
                for item in &effects.items {
                    let places = match &item.effect {
                        Effect::Write { row, moved_from, .. } => [Some(*row), *moved_from],
                        Effect::Remove { row } => [Some(*row), None],
                        Effect::Refused(refused) => [refused.key, refused.moved_from],
                        Effect::Clear => {
                            emptied = true;
                            [None, None]
                        }
                        Effect::Filtered => [None, None],
                    };
                    let keys = places.into_iter().flatten();
                    touched.extend(keys.map(|at| effects.canonical_key(path, at)));
                }
            }
        }
    }
}

/// Rows whose key is not among `keys`.
fn without(
    rows: &RecordBatch,
    schema: &TableSchema,
    keys: &HashSet<Vec<u8>>,
) -> Result<RecordBatch> {
    let encoder = canonical::Rows::keys(rows, schema);
    let mut bytes = Vec::new();
    let keep: BooleanArray = (0..rows.num_rows())
        .map(|row| {
            bytes.clear();
            encoder.encode(row, &mut bytes);
            Some(!keys.contains(&bytes))
        })
        .collect();
    filter_record_batch(rows, &keep)
        .map_err(|e| Error::internal("rows cannot be filtered").caused_by(e))
}
