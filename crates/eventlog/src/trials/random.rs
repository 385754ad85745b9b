//! Random groups: every column type, every op, absent images, unchanged cells, parts, chunks, repairs.

use arrow::array::BooleanArray;
use change::value::{FloatBits, Value, batch};
use change::{
    ChangeBatch, Column, ColumnType, GroupBody, GroupKind, Key, Op, Part, SnapshotChunk,
    SnapshotId, SourcePosition, TableSchema,
};
use proptest::prelude::*;
use std::sync::Arc;

const TYPES: [ColumnType; 10] = [
    ColumnType::Int64,
    ColumnType::Text,
    ColumnType::Bool,
    ColumnType::Float64,
    ColumnType::Decimal { precision: 38, scale: 9 },
    ColumnType::Bytes,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Instant,
    ColumnType::Any,
];

fn value(ty: ColumnType) -> BoxedStrategy<Value> {
    match ty {
        ColumnType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ColumnType::Int64 => any::<i64>().prop_map(Value::Int).boxed(),
        ColumnType::Float64 => any::<u64>().prop_map(|b| Value::Float(FloatBits(b))).boxed(),
        ColumnType::Decimal { scale, .. } => (-10i128.pow(37)..10i128.pow(37))
            .prop_map(move |unscaled| Value::Decimal { unscaled, scale })
            .boxed(),
        ColumnType::Text => ".{0,12}".prop_map(Value::Text).boxed(),
        ColumnType::Bytes => {
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed()
        }
        ColumnType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        ColumnType::Timestamp => any::<i64>().prop_map(Value::Timestamp).boxed(),
        ColumnType::Instant => any::<i64>().prop_map(Value::Instant).boxed(),
        ColumnType::Any => prop_oneof![
            any::<i64>().prop_map(Value::Int),
            ".{0,6}".prop_map(Value::Text),
            any::<f64>().prop_map(Value::float),
        ]
        .boxed(),
    }
}

fn schema() -> impl Strategy<Value = Arc<TableSchema>> {
    prop::collection::vec(0..TYPES.len(), 1..6).prop_map(|types| {
        let columns =
            types.iter().enumerate().map(|(i, ty)| Column::new(format!("c{i}"), TYPES[*ty], i > 0));
        Arc::new(TableSchema::new(columns.collect(), &["c0"]).unwrap())
    })
}

/// One row: op, ordinal step, old image, new image, unchanged cells.
type RowOf = (Op, u32, Vec<Value>, Vec<Value>, Vec<bool>);

fn row(schema: &TableSchema) -> BoxedStrategy<RowOf> {
    let width = schema.columns().len();
    let full = || schema.columns().iter().map(|c| value(c.ty)).collect::<Vec<_>>();
    let masks = prop::collection::vec(any::<bool>(), width);
    let nulls = prop::collection::vec(any::<bool>(), width);
    (1u8..6, prop_oneof![Just(1u32), 1u32..5], full(), full(), masks, nulls, any::<bool>())
        .prop_map(move |(op, step, old, new, masks, nulls, with_old)| {
            let op = Op::from_byte(op).unwrap();
            let thin = |row: Vec<Value>| -> Vec<Value> {
                let keep = |(i, v): (usize, Value)| if i > 0 && nulls[i] { Value::Null } else { v };
                row.into_iter().enumerate().map(keep).collect()
            };
            let absent = || vec![Value::Null; width];
            let has_old = op == Op::Delete || (op == Op::Update && with_old);
            let old = if has_old { thin(old) } else { absent() };
            let new = if op.has_new() { thin(new) } else { absent() };
            (op, step, old, new, masks)
        })
        .boxed()
}

fn changes(table: &'static str) -> impl Strategy<Value = ChangeBatch> {
    (schema(), 0u32..9)
        .prop_flat_map(|(schema, first)| {
            let rows = prop::collection::vec(row(&schema), 0..20);
            // The masks of some columns, or of none.
            let masked = prop::collection::vec(any::<bool>(), schema.columns().len());
            (Just(schema), Just(first), rows, masked, any::<bool>())
        })
        .prop_map(move |(schema, first, rows, masked, any_mask)| {
            let mut next = first;
            let (mut ops, mut ordinals) = (Vec::new(), Vec::new());
            let (mut old, mut new) = (Vec::new(), Vec::new());
            for (op, step, old_row, new_row, _) in &rows {
                next += step;
                ops.push(*op);
                ordinals.push(next);
                old.push(old_row.clone());
                new.push(new_row.clone());
            }
            let (old, new) = (batch(&schema, &old).unwrap(), batch(&schema, &new).unwrap());
            let made = ChangeBatch::new(table.into(), schema, ops, ordinals, old, new);
            let mask = |column: usize| {
                masked[column]
                    .then(|| BooleanArray::from_iter(rows.iter().map(|r| Some(r.4[column]))))
            };
            match any_mask {
                true => made.with_unchanged((0..masked.len()).map(mask).collect()),
                false => made,
            }
        })
}

fn position() -> impl Strategy<Value = SourcePosition> {
    (any::<u64>(), prop::option::of(".{0,8}"))
        .prop_map(|(sequence, detail)| SourcePosition { sequence, detail })
}

fn kind() -> impl Strategy<Value = GroupKind> {
    let key =
        || {
            prop::option::of((any::<i64>(), ".{0,5}").prop_map(|(i, t)| {
                Key(vec![Value::Int(i), Value::Text(t), Value::float(f64::NAN)])
            }))
        };
    let chunk = (any::<u64>(), ".{0,9}", key(), key()).prop_map(|(id, table, after, upto)| {
        GroupKind::Snapshot(SnapshotChunk { id: SnapshotId::mint(id), table, after, upto })
    });
    prop_oneof![Just(GroupKind::Changes), Just(GroupKind::Repair), chunk]
}

/// Any group.
pub(super) fn body() -> impl Strategy<Value = GroupBody> {
    let batches = (changes("a"), changes("b"), changes("a"), 0usize..4);
    let part = (any::<u32>(), any::<bool>()).prop_map(|(index, last)| Part { index, last });
    (kind(), part, position(), position(), any::<i64>(), batches).prop_map(
        |(kind, part, after, upto, commit_time, (a, b, c, count))| {
            let batches = [a, b, c].into_iter().take(count).collect();
            GroupBody { kind, part, after, upto, commit_time, batches }
        },
    )
}
