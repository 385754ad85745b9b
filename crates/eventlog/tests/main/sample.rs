//! Groups and logs for tests.

use change::value::{Value, batch};
use change::{
    ChangeBatch, Column, ColumnType, Group, GroupBody, GroupKind, LaneId, Op, Part, SourcePosition,
    TableSchema,
};
use connect::clock::ManualClock;
use connect::{Bounds, Log};
use seamount_eventlog::{EventLog, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const MANY: Bounds = Bounds { changes: 1_000_000, bytes: 1 << 30 };

pub(crate) fn lane(number: u64) -> LaneId {
    LaneId::mint(number)
}

pub(crate) fn settings() -> Settings {
    Settings::new(Arc::new(ManualClock::at(1_000_000)), Arc::new(|| 77))
}

pub(crate) fn open(dir: &Path) -> EventLog {
    EventLog::open(dir, settings()).unwrap()
}

pub(crate) fn schema() -> Arc<TableSchema> {
    let columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("name", ColumnType::Text, true),
    ];
    Arc::new(TableSchema::new(columns, &["id"]).unwrap())
}

/// A group of `rows` inserts whose content follows from `number`.
pub(crate) fn group(number: u64, rows: usize) -> GroupBody {
    let schema = schema();
    let key = |row: usize| i64::try_from(number).unwrap() * 100_000 + i64::try_from(row).unwrap();
    let cells: Vec<Vec<Value>> = (0..rows)
        .map(|row| vec![Value::Int(key(row)), Value::Text(format!("name {number}/{row}"))])
        .collect();
    let nulls = vec![vec![Value::Null, Value::Null]; rows];
    let changes = ChangeBatch::new(
        "items".into(),
        schema.clone(),
        vec![Op::Insert; rows],
        (0..u32::try_from(rows).unwrap()).collect(),
        batch(&schema, &nulls).unwrap(),
        batch(&schema, &cells).unwrap(),
    );
    GroupBody {
        kind: GroupKind::Changes,
        part: Part::WHOLE,
        after: SourcePosition::at(number - 1),
        upto: SourcePosition { sequence: number, detail: Some(format!("tag {number}")) },
        commit_time: i64::try_from(number).unwrap() * 1000,
        batches: vec![changes],
    }
}

/// Appends groups `from..=to` and waits until they are durable.
pub(crate) fn fill(log: &dyn Log, lane: LaneId, numbers: std::ops::RangeInclusive<u64>) {
    let mut last = None;
    for number in numbers {
        last = Some(log.append(lane, group(number, 3)).unwrap());
    }
    if let Some(last) = last {
        assert!(log.durable(lane, last, LONG).unwrap());
    }
}

/// Everything behind `after`, checked to be dense and what [`group`] makes.
pub(crate) fn read_all(log: &dyn Log, lane: LaneId, after: u64) -> Vec<Arc<Group>> {
    let mut all: Vec<Arc<Group>> = Vec::new();
    loop {
        let at = change::Offset(after + all.len() as u64);
        let more = log.read(lane, at, MANY).unwrap();
        if more.is_empty() {
            return all;
        }
        for group in more {
            assert_eq!(group.offset.0, after + all.len() as u64 + 1);
            assert_eq!(group.lane, lane);
            all.push(group);
        }
    }
}
