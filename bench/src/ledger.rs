//! `bench ledger`: row 4 of issue 4, what a ledger costs: changes folded a second on one core, beside hashing alone.
//!
//! A table of a million rows, folded from a snapshot, then updates with whole old images of keys all over it: the worst
//! case for the search of leaves. The anchor hashes the canonical rows of the same images and does nothing with them.

use crate::Place;
use crate::measure::{Goals, RUNS, Reached, median, spend};
use anyhow::{Context, Result, ensure};
use change::value::batch;
use change::{
    ChangeBatch, Column, ColumnType, DigestKey, Group, GroupBody, GroupKind, Key, LaneId, Offset,
    Op, Part, SnapshotChunk, SnapshotId, SourcePosition, TableSchema, Value, canonical,
};
use connect::TargetTable;
use proof::{Ledger, Reach, RowPath};
use std::sync::Arc;

const ROWS: i64 = 1_000_000;
const CHANGES: i64 = 500_000;
const CHUNK: i64 = 10_000;

/// Runs all figures.
pub(crate) fn run(goals: &mut Goals, _place: &Place) -> Result<()> {
    let (schema, key) = (Arc::new(schema()?), DigestKey::new(42));
    let target = TargetTable { name: "sales".into(), schema: schema.clone(), owner: None };
    let path = RowPath::new("sales", schema.clone(), None, None, target)?;
    let mut ledger = Ledger::new(Offset::START, 1, "nothing is folded yet");
    for first in (0..ROWS).step_by(usize::try_from(CHUNK)?) {
        ledger.fold(&path, key, &chunk(&schema, first, ledger.offset().next())?)?;
    }
    ensure!(ledger.reach() == Reach::Whole && ledger.root().count == ROWS.unsigned_abs());
    println!("{} leaves over {ROWS} rows", ledger.leaves().len());
    for (name, size, least) in
        [("row 4 fold, 1000 a group", 1000, Some(5e5)), ("fold, 10 a group", 10, None)]
    {
        let groups = updates(&schema, ledger.offset(), size)?;
        let (mut folds, mut hashes) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            hashes.push(rate(|| hash(&groups, &schema, key))?);
            folds.push(rate(|| {
                let mut own = ledger.clone();
                groups.iter().try_for_each(|group| own.fold(&path, key, group))?;
                ensure!(own.root().count == ROWS.unsigned_abs() && own.dirty() == 0);
                Ok(())
            })?);
        }
        let (fold, hash) = (median(&folds), median(&hashes));
        let figure = format!("{:.2} M changes/s ({:.2} of hashing alone)", fold / 1e6, fold / hash);
        match least {
            Some(least) => goals.note(name, &figure, ">= 0.5 M", Reached::at_least(fold, least)),
            None => println!("{name}: {figure}"),
        }
    }
    Ok(())
}

/// Changes for each second on the processor.
fn rate(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let ((), spent) = spend(work)?;
    Ok(CHANGES as f64 / spent.cpu.as_secs_f64().max(0.01))
}

fn schema() -> Result<TableSchema> {
    let decimal = ColumnType::Decimal { precision: 12, scale: 2 };
    let columns = [
        ("id", ColumnType::Int64),
        ("store_id", ColumnType::Int64),
        ("sku", ColumnType::Text),
        ("qty", ColumnType::Int64),
        ("price", decimal),
        ("sold_at", ColumnType::Instant),
        ("status", ColumnType::Text),
    ];
    let columns = columns.map(|(name, ty)| Column::new(name, ty, name != "id")).to_vec();
    TableSchema::new(columns, &["id"]).context("the columns of the bench")
}

fn row(id: i64, version: i64) -> Vec<Value> {
    vec![
        Value::Int(id),
        Value::Int(id % 200),
        Value::Text(format!("sku-{:06}", id * 7919 % 50_000)),
        Value::Int(id % 9 + version),
        Value::Decimal { unscaled: i128::from(id * 31 % 100_000), scale: 2 },
        Value::Instant(1_700_000_000_000_000 + id * 1_000_000),
        Value::Text("paid".into()),
    ]
}

fn group(offset: Offset, kind: GroupKind, batch: ChangeBatch) -> Group {
    let at = |sequence| SourcePosition { sequence, detail: None };
    let (after, upto) = (at(offset.0 - 1), at(offset.0));
    let body =
        GroupBody { kind, part: Part::WHOLE, after, upto, commit_time: 0, batches: vec![batch] };
    Group { lane: LaneId::mint(1), offset, body }
}

fn changes(
    schema: &Arc<TableSchema>,
    op: Op,
    old: &[Vec<Value>],
    new: &[Vec<Value>],
) -> Result<ChangeBatch> {
    let ordinals = (0..u32::try_from(new.len())?).collect();
    let (old, new_images) = (batch(schema, old)?, batch(schema, new)?);
    Ok(ChangeBatch::new(
        "sales".into(),
        schema.clone(),
        vec![op; new.len()],
        ordinals,
        old,
        new_images,
    ))
}

fn chunk(schema: &Arc<TableSchema>, first: i64, offset: Offset) -> Result<Group> {
    let end = first + CHUNK;
    let rows: Vec<Vec<Value>> = (first..end).map(|id| row(id, 0)).collect();
    let absent = vec![vec![Value::Null; schema.columns().len()]; rows.len()];
    let key = |id: i64| Key(vec![Value::Int(id)]);
    let chunk = SnapshotChunk {
        id: SnapshotId::mint(1),
        table: "sales".into(),
        after: (first > 0).then(|| key(first - 1)),
        upto: (end < ROWS).then(|| key(end - 1)),
    };
    Ok(group(offset, GroupKind::Snapshot(chunk), changes(schema, Op::Read, &absent, &rows)?))
}

/// Updates of keys all over the table, none twice.
fn updates(schema: &Arc<TableSchema>, after: Offset, size: usize) -> Result<Vec<Group>> {
    let ids: Vec<i64> = (0..CHANGES).map(|n| n * 7_919 % ROWS).collect();
    let mut groups = Vec::new();
    for (offset, ids) in (after.0 + 1..).zip(ids.chunks(size)) {
        let old: Vec<Vec<Value>> = ids.iter().map(|id| row(*id, 0)).collect();
        let new: Vec<Vec<Value>> = ids.iter().map(|id| row(*id, 1)).collect();
        let batch = changes(schema, Op::Update, &old, &new)?;
        groups.push(group(Offset(offset), GroupKind::Changes, batch));
    }
    Ok(groups)
}

fn hash(groups: &[Group], schema: &TableSchema, key: DigestKey) -> Result<()> {
    let (mut sum, mut bytes) = (0u128, Vec::new());
    for batch in groups.iter().flat_map(|group| &group.body.batches) {
        for images in [batch.old(), batch.new_images()] {
            let encoder = canonical::Rows::all(images, schema);
            for row in 0..images.num_rows() {
                bytes.clear();
                encoder.encode(row, &mut bytes);
                sum = sum.wrapping_add(key.hash(&bytes));
            }
        }
    }
    std::hint::black_box(sum);
    Ok(())
}
