//! A writer killed with SIGKILL in the middle of its commits: rows of two tables and progress always agree.
//!
//! The writer is this test binary again, told by an environment variable where to write.

use crate::sqlite_site::{Engine, FLOW, Place, cells, settings};
use change::{ColumnType, FlowId, LaneId, LogId, Offset, SourcePosition, Value};
use connect::memory::sample::{rows, shape, target_table};
use connect::read::{Cut, Readable, Scan};
use connect::target::{Counters, LaneProgress, RowWork, Target, TargetTable};
use seamount_connectors::sqlite::target::SqliteTarget;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "SEAMOUNT_TEST_CRASH_FOLDER";
const KEYS: u64 = 64;

fn tables() -> [TargetTable; 2] {
    let schema = shape(&[("slot", ColumnType::Int64), ("offset", ColumnType::Int64)], &["slot"]);
    [target_table("left", &schema), target_table("right", &schema)]
}

fn progress(offset: u64) -> LaneProgress {
    LaneProgress {
        log: LogId::mint(1),
        lane: LaneId::mint(1),
        offset: Offset(offset),
        position: SourcePosition::at(offset),
        counters: Counters { read: offset, applied: offset, ..Counters::default() },
    }
}

/// Offset `n` writes slot `n % KEYS` of both tables, until somebody kills us.
fn write_for_ever(folder: &Path) {
    let target = SqliteTarget::open(&settings(folder)).unwrap();
    let mut engine = Engine::opened(target, &tables());
    let done = engine.target.progress(FlowId::mint(FLOW)).unwrap();
    let first = done.map_or(1, |done| done.lanes[&LaneId::mint(1)].offset.0 + 1);
    for offset in first.. {
        let (slot, value) = ((offset % KEYS).cast_signed(), offset.cast_signed());
        let mut transaction = engine.begin().unwrap();
        for table in tables() {
            let row = rows(&table.schema, &[vec![Value::Int(slot), Value::Int(value)]]);
            transaction.write(&table, &RowWork::Upsert(row)).unwrap();
        }
        transaction.commit(&[progress(offset)]).unwrap();
    }
}

/// Does nothing unless it is the child of the test below.
#[test]
fn writer() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_for_ever(Path::new(&folder));
    }
}

fn spawn(place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_target_crash::writer"])
        .env(FOLDER, place.file().parent().unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn offset_of(cut: &mut dyn Cut) -> u64 {
    let progress = cut.progress(FlowId::mint(FLOW)).unwrap();
    progress.and_then(|p| p.lanes.get(&LaneId::mint(1)).map(|lane| lane.offset.0)).unwrap_or(0)
}

/// What both tables hold once everything up to `offset` is written.
fn expected(offset: u64) -> Vec<(u64, u64)> {
    (0..KEYS)
        .filter_map(|slot| {
            let newest = offset.checked_sub((offset + KEYS - slot) % KEYS)?;
            (newest > 0).then_some((slot, newest))
        })
        .collect()
}

#[test]
fn rows_and_progress_agree_after_every_kill() {
    let place = Place::new();
    let mut reader = place.target();
    reader.prepare(&tables()).unwrap();
    let mut reached = 0;
    for round in 0..12 {
        let mut child = spawn(&place);
        let goal = reached + 1 + round * 7 % 23;
        while offset_of(reader.cut().unwrap().as_mut()) < goal {
            assert_eq!(child.try_wait().unwrap(), None, "the writer ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut after = place.target();
        let mut cut = after.cut().unwrap();
        reached = offset_of(cut.as_mut());
        assert!(reached >= goal, "what was seen is still there");
        for table in tables() {
            let scan = Scan::all(&table.name, table.schema.as_ref().clone());
            let batch = scan.collect(cut.as_mut()).unwrap();
            let number = |value: &Value| match value {
                Value::Int(n) => n.cast_unsigned(),
                other => panic!("{other} is no number"),
            };
            let found: Vec<_> = cells(&batch, &table.schema)
                .iter()
                .map(|row| (number(&row[0]), number(&row[1])))
                .collect();
            assert_eq!(found, expected(reached), "{} at offset {reached}", table.name);
        }
    }
}
