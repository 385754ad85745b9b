//! Groups for the log, from chance: small and large ones, every kind and op, in two schemas.

use crate::Random;
use change::{
    ChangeBatch, Column, ColumnType, GroupBody, GroupKind, Key, Op, Part, SnapshotChunk,
    SnapshotId, SourcePosition, TableSchema, Value,
};
use connect::clock::ManualClock;
use eventlog::Settings;
use std::sync::Arc;

/// A log's settings for a seed; files are small.
pub(in crate::drills) fn settings(seed: u64, rotate_bytes: u64) -> Settings {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000_000));
    let mut settings = Settings::new(clock, Arc::new(move || seed | 1));
    settings.rotate_bytes = rotate_bytes;
    // Little is kept in memory, so that reading is mostly reading from disk.
    settings.cache_bytes = 4 << 10;
    settings
}

fn schema(wide: bool) -> Arc<TableSchema> {
    let mut columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("name", ColumnType::Text, true),
    ];
    if wide {
        columns.push(Column::new("raw", ColumnType::Bytes, true));
    }
    Arc::new(TableSchema::new(columns, &["id"]).expect("a key that is there"))
}

/// A group with this number as its position.
pub(in crate::drills) fn group(number: u64, chance: &mut Random) -> GroupBody {
    let kind = match chance.below(10) {
        0 => GroupKind::Repair,
        1 => GroupKind::Snapshot(SnapshotChunk {
            id: SnapshotId::mint(chance.bits()),
            table: "items".into(),
            after: None,
            upto: Some(Key(vec![Value::Int(7)])),
        }),
        _ => GroupKind::Changes,
    };
    let (rows, width) = match chance.below(24) {
        // Larger than a page, than 16 KiB, than 64 KiB.
        0 => (40, 2_000),
        1 => (30, 800),
        2 => (60, 60),
        3 => (0, 0),
        _ => (1 + chance.below(4), 12),
    };
    let batches =
        (0..1 + chance.below(2)).map(|table| batch(table, rows, width, chance)).collect::<Vec<_>>();
    GroupBody {
        kind,
        part: Part { index: u32::from(chance.once_in(8)), last: true },
        after: SourcePosition::at(number - 1),
        upto: SourcePosition {
            sequence: number,
            detail: Some(format!("tag {}", chance.below(99))),
        },
        commit_time: i64::try_from(number).expect("a small number") * 1_000,
        batches,
    }
}

fn batch(table: u64, rows: u64, width: u64, chance: &mut Random) -> ChangeBatch {
    let schema = schema(table == 1);
    let (mut ops, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
    let nothing = vec![Value::Null; schema.columns().len()];
    for row in 0..rows {
        let op = *chance.pick(&[Op::Insert, Op::Update, Op::Delete, Op::Read]);
        let before = row_of(row, width, &schema, chance);
        old.push(if op.has_old() { before } else { nothing.clone() });
        let after = row_of(row, width, &schema, chance);
        new.push(if op.has_new() { after } else { nothing.clone() });
        ops.push(op);
    }
    let first = u32::try_from(table * rows).expect("few rows");
    let ordinals = (first..).take(ops.len()).collect();
    let images = |rows: &[Vec<Value>]| {
        change::value::batch(&schema, rows).expect("cells of their columns' types")
    };
    let name = if table == 1 { "parts" } else { "items" };
    ChangeBatch::new(name.into(), schema.clone(), ops, ordinals, images(&old), images(&new))
}

fn row_of(row: u64, width: u64, schema: &TableSchema, chance: &mut Random) -> Vec<Value> {
    let text = match chance.once_in(9) {
        true => Value::Null,
        false => Value::Text(noise(width, chance)),
    };
    let key = Value::Int(i64::try_from(row).expect("few rows"));
    let mut cells = vec![key, text];
    if schema.columns().len() == 3 {
        cells.push(Value::Bytes(noise(width / 2, chance).into_bytes()));
    }
    cells
}

/// Text that does not compress well.
fn noise(width: u64, chance: &mut Random) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    let mut bits = 0;
    let letter = |i| {
        if i % 10 == 0 {
            bits = chance.bits();
        }
        bits >>= 6;
        char::from(LETTERS[(bits & 63) as usize])
    };
    (0..width).map(letter).collect()
}
