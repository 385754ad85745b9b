//! A writer killed with SIGKILL in the middle of its commits, and a server that dies under it: rows of two tables and
//! progress always agree.
//!
//! The writer is this test binary again, told by an environment variable where to write.

use crate::postgres_place::{Engine, FLOW, failure, settings};
use change::{ColumnType, FlowId, LaneId, LogId, Offset, SourcePosition, Value};
use connect::Kind;
use connect::component::Connector;
use connect::memory::sample::{rows, shape, target_table};
use connect::read::{Cut, Scan};
use connect::target::{Counters, LaneProgress, RowWork, Target, TargetTable};
use seamount_connectors::postgres::Postgres;
use servers::{Cluster, Recipe};
use std::process::{Command, Stdio};

const URL: &str = "SEAMOUNT_TEST_CRASH_URL";
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

fn target(url: &str) -> Box<dyn Target> {
    Postgres::new("postgres").target(&settings(url)).unwrap()
}

/// Offset `n` writes slot `n % KEYS` of both tables.
fn write(engine: &mut Engine, offset: u64) -> connect::Result<()> {
    let (slot, value) = ((offset % KEYS).cast_signed(), offset.cast_signed());
    let mut transaction = engine.begin()?;
    for table in tables() {
        let row = rows(&table.schema, &[vec![Value::Int(slot), Value::Int(value)]]);
        transaction.write(&table, &RowWork::Upsert(row))?;
    }
    transaction.commit(&[progress(offset)])
}

/// Does nothing unless it is the child of a test below: then it writes until somebody kills it.
#[test]
fn writer() {
    let Ok(url) = std::env::var(URL) else { return };
    let mut engine = Engine::opened(target(&url), &tables());
    let done = engine.target.progress(FlowId::mint(FLOW)).unwrap();
    let first = done.map_or(1, |done| done.lanes[&LaneId::mint(1)].offset.0 + 1);
    for offset in first.. {
        write(&mut engine, offset).unwrap();
    }
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

/// Says that rows and progress agree; returns how far.
fn agreed(cut: &mut dyn Cut) -> u64 {
    let reached = offset_of(cut);
    for table in tables() {
        let scan = Scan::all(&table.name, table.schema.as_ref().clone());
        let batch = scan.collect(cut).unwrap();
        let number = |value: &Value| match value {
            Value::Int(n) => n.cast_unsigned(),
            other => panic!("{other} is no number"),
        };
        let row = |row| Value::row(&batch, &table.schema, row);
        let found: Vec<_> =
            (0..batch.num_rows()).map(|at| (number(&row(at)[0]), number(&row(at)[1]))).collect();
        assert_eq!(found, expected(reached), "{} at offset {reached}", table.name);
    }
    reached
}

#[test]
fn rows_and_progress_agree_after_every_kill_of_the_writer() {
    let cluster = Cluster::shared();
    let url = cluster.url(&cluster.database());
    let mut reader = target(&url);
    reader.prepare(&tables()).unwrap();
    let mut reached = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres_target_crash::writer"])
            .env(URL, &url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let goal = reached + 1 + round * 7 % 23;
        while offset_of(reader.cut().unwrap().as_mut()) < goal {
            assert_eq!(child.try_wait().unwrap(), None, "the writer ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let now = agreed(reader.cut().unwrap().as_mut());
        assert!(now >= goal, "what was seen is still there");
        reached = now;
    }
}

#[test]
fn rows_and_progress_agree_after_every_crash_of_the_server() {
    let cluster = Cluster::start(&Recipe::default()).unwrap();
    let url = cluster.url(&cluster.database());
    let mut engine = Engine::opened(target(&url), &tables());
    let mut written = 0;
    for round in 1..=3 {
        for _ in 0..round * 5 {
            written += 1;
            write(&mut engine, written).unwrap();
        }
        // It dies in the middle of a transaction.
        let mut transaction = engine.begin().unwrap();
        let [left, _] = tables();
        let row = rows(&left.schema, &[vec![Value::Int(0), Value::Int(-1)]]);
        transaction.write(&left, &RowWork::Upsert(row)).unwrap();
        cluster.kill().unwrap();
        assert_eq!(failure(transaction.commit(&[progress(1_000)])).kind, Kind::Unavailable);
        assert_eq!(failure(engine.begin().map(drop)).kind, Kind::Unavailable, "nobody is there");
        cluster.resume().unwrap();
        let reached = agreed(engine.target.cut().unwrap().as_mut());
        assert_eq!(reached, written, "what was committed is there, and nothing else");
        engine.target.progress(FlowId::mint(FLOW)).unwrap();
    }
}
