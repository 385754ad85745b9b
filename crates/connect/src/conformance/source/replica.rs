//! What a consumer that applies everything would hold: the measure of what a source delivers.

use crate::read::{Readable, Scan, Sees};
use arrow::array::RecordBatch;
use change::{Group, GroupBody, GroupKind, LaneId, Offset, Op, TableSchema, Value, canonical};
use std::collections::BTreeMap;

/// Rows by table and canonical key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replica {
    tables: BTreeMap<String, BTreeMap<Vec<u8>, Vec<Value>>>,
}

/// One change without its place: what must come again when it is read again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) table: String,
    pub(super) op: Op,
    pub(super) old: Option<Vec<Value>>,
    pub(super) new: Option<Vec<Value>>,
}

/// The changes of a group in source order.
pub(super) fn told(body: &GroupBody) -> Vec<Told> {
    body.in_order()
        .into_iter()
        .map(|(batch, row)| {
            let batch = &body.batches[batch];
            let op = batch.ops()[row];
            let image = |rows| Value::row(rows, batch.schema(), row);
            Told {
                table: batch.table().to_string(),
                op,
                old: batch.has_old_image(row).then(|| image(batch.old())),
                new: op.has_new().then(|| image(batch.new_images())),
            }
        })
        .collect()
}

impl Replica {
    /// Applies a group as a consumer would.
    pub(super) fn apply(&mut self, body: &GroupBody) {
        if let GroupKind::Snapshot(chunk) = &body.kind {
            self.tables.entry(chunk.table.clone()).or_default();
        }
        for (batch, row) in body.in_order() {
            let batch = &body.batches[batch];
            let rows = self.tables.entry(batch.table().to_string()).or_default();
            let op = batch.ops()[row];
            if op == Op::Truncate {
                rows.clear();
            }
            if batch.has_old_image(row) {
                rows.remove(&key(batch.old(), batch.schema(), row));
            }
            if op.has_new() {
                let new = batch.new_images();
                rows.insert(key(new, batch.schema(), row), Value::row(new, batch.schema(), row));
            }
        }
    }

    /// Rows of a table, in the order of their first column, which is a number.
    pub(super) fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        let mut rows: Vec<_> =
            self.tables.get(table).into_iter().flat_map(BTreeMap::values).collect();
        rows.sort_by_key(|row| match row[0] {
            Value::Int(number) => number,
            _ => panic!("tables of these checks are numbered"),
        });
        rows.into_iter().cloned().collect()
    }
}

fn key(rows: &RecordBatch, schema: &TableSchema, row: usize) -> Vec<u8> {
    let mut key = Vec::new();
    canonical::Rows::keys(rows, schema).encode(row, &mut key);
    key
}

/// Whole rows of a table at a cut of now.
pub(super) fn rows_at<R: Readable + ?Sized>(
    site: &mut R,
    table: &str,
    schema: &TableSchema,
) -> Vec<Vec<Value>> {
    let mut cut = site.cut().expect("a cut can be made");
    let batch = Scan::all(table, schema.clone()).collect(cut.as_mut()).expect("it is read");
    (0..batch.num_rows()).map(|row| Value::row(&batch, schema, row)).collect()
}

/// Whether a cut contains a group, as the lane would hold it.
pub(super) fn sees(cut: &dyn crate::read::Cut, body: &GroupBody) -> Sees {
    cut.sees(&Group { lane: LaneId::mint(1), offset: Offset(1), body: body.clone() })
}
