//! What a consumer that applies everything would hold: the measure of what the capture of PostgreSQL delivers.

use change::{GroupBody, GroupKind, Op, Value};
use std::collections::BTreeMap;

/// Rows by table and key. The first column is the key, as a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Replica {
    tables: BTreeMap<String, BTreeMap<i64, Vec<Value>>>,
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => panic!("{other} is no number"),
    }
}

impl Replica {
    pub(crate) fn of(groups: &[GroupBody]) -> Replica {
        let mut replica = Replica::default();
        groups.iter().for_each(|group| replica.apply(group));
        replica
    }

    pub(crate) fn apply(&mut self, body: &GroupBody) {
        if let GroupKind::Snapshot(chunk) = &body.kind {
            let behind = chunk.after.as_ref().map_or(i64::MIN, |key| number(&key.0[0]) + 1);
            let upto = chunk.upto.as_ref().map_or(i64::MAX, |key| number(&key.0[0]));
            let rows = self.tables.entry(chunk.table.clone()).or_default();
            rows.retain(|key, _| *key < behind || *key > upto);
        }
        for (batch, row) in body.in_order() {
            let batch = &body.batches[batch];
            let rows = self.tables.entry(batch.table().to_string()).or_default();
            let image = |rows| Value::row(rows, batch.schema(), row);
            let op = batch.ops()[row];
            let mut before = None;
            if op == Op::Truncate {
                rows.clear();
            }
            if batch.has_old_image(row) {
                before = rows.remove(&number(&image(batch.old())[0]));
            }
            if op.has_new() {
                let mut new = image(batch.new_images());
                let key = number(&new[0]);
                for (column, mask) in batch.unchanged().iter().enumerate() {
                    if mask.as_ref().is_some_and(|mask| mask.value(row)) {
                        let known = before.as_ref().or(rows.get(&key)).expect("it was there");
                        new[column] = known[column].clone();
                    }
                }
                rows.insert(key, new);
            }
        }
    }

    pub(crate) fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        self.tables.get(table).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }
}

/// Ops and new keys of all changes, in order.
pub(crate) fn ops(groups: &[GroupBody]) -> Vec<(String, Op)> {
    let told = groups.iter().flat_map(|body| {
        let in_order = body.in_order().into_iter();
        in_order.map(|(batch, row)| {
            let batch = &body.batches[batch];
            (batch.table().to_string(), batch.ops()[row])
        })
    });
    told.collect()
}
