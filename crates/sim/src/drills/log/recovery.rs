//! How long a large log takes to open after its engine was killed. By hand: it writes two gigabytes.

use super::sample::settings;
use crate::Violation;
use change::value::{Value, batch};
use change::{
    ChangeBatch, Column, ColumnType, GroupBody, GroupKind, LaneId, Offset, Op, Part,
    SourcePosition, TableSchema,
};
use connect::Log;
use eventlog::EventLog;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BYTES: u64 = 1 << 30;

/// What the outcome must stay below.
const GOAL: Duration = Duration::from_secs(2);

/// Writes a log, copies it as `kill -9` would leave it, opens the copy. Seed 1 takes many lanes, others one.
pub(super) fn time(seed: u64) -> Result<(), Violation> {
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let (dir, copy) = (folder.path().join("log"), folder.path().join("copy"));
    let lanes = if seed == 1 { 1_000 } else { 1 };
    let failed = |e: connect::Error| Violation::new("V live", e.to_string());
    let log = EventLog::open(&dir, settings(seed, 256 << 20)).map_err(failed)?;
    let body = body();
    while log.bytes() < BYTES {
        let mut last = (LaneId::mint(1), Offset::START);
        for number in 0..1_000 {
            let lane = LaneId::mint(1 + number % lanes);
            last = (lane, log.append(lane, body.clone()).map_err(failed)?);
        }
        log.durable(last.0, last.1, Duration::from_secs(600)).map_err(failed)?;
    }
    std::fs::create_dir(&copy).expect("a folder of ours");
    for entry in std::fs::read_dir(&dir).expect("a folder of ours").flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("files of ours");
    }
    let size = log.bytes();
    drop(log);
    let started = Instant::now();
    let opened = EventLog::open(&copy, settings(seed, 256 << 20)).map_err(failed)?;
    let took = started.elapsed();
    println!("{lanes} lanes, {} MiB: opened in {took:?}", size >> 20);
    drop(opened);
    match took <= GOAL {
        true => Ok(()),
        false => Err(Violation::new("V live", format!("opening took {took:?}"))),
    }
}

/// About 4 KiB that do not compress.
fn body() -> GroupBody {
    let columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("raw", ColumnType::Bytes, false),
    ];
    let schema = Arc::new(TableSchema::new(columns, &["id"]).expect("a key that is there"));
    let mut chance = crate::Random::new(1);
    let row = |id| {
        let raw = (0..64).flat_map(|_| chance.bits().to_le_bytes()).collect();
        vec![Value::Int(id), Value::Bytes(raw)]
    };
    let new: Vec<Vec<Value>> = (0..8).map(row).collect();
    let old = vec![vec![Value::Null, Value::Null]; 8];
    let images = |rows: &[Vec<Value>]| batch(&schema, rows).expect("cells of their columns' types");
    let changes = ChangeBatch::new(
        "items".into(),
        schema.clone(),
        vec![Op::Insert; 8],
        (0..8).collect(),
        images(&old),
        images(&new),
    );
    GroupBody {
        kind: GroupKind::Changes,
        part: Part::WHOLE,
        after: SourcePosition::at(1),
        upto: SourcePosition::at(2),
        commit_time: 1,
        batches: vec![changes],
    }
}
