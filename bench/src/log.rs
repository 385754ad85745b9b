//! `bench log`: row 7 of issue 1, goal G6.
//!
//! What was written is read back and compared before a figure is printed.

use crate::Place;
use crate::measure::{Goals, Reached, Spent, alternate, median, peak_rss_mib, percentile, spend};
use anyhow::{Result, ensure};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use change::value::{Value, batch};
use change::{
    ChangeBatch, Column, ColumnType, GroupBody, GroupKind, LaneId, Offset, Op, Part,
    SourcePosition, TableSchema,
};
use connect::{Bounds, Log, SystemClock};
use eventlog::{EventLog, Settings};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FRAME: usize = 1_000;
const FRAMES: usize = 1_500;
/// Bodies that differ; frames take them in turn.
const BODIES: usize = 64;
const LANES: u64 = 2;
const WRITERS: u64 = 1_000;
const SINGLE: usize = 200;
const WINDOW: Duration = Duration::from_millis(1_500);
const FOREVER: Duration = Duration::from_secs(600);

/// Runs all four figures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let bodies: Vec<GroupBody> = (0..BODIES).map(|n| body(n, FRAME)).collect();
    appended(goals, place, &bodies)?;
    single(goals, place)?;
    shared(goals, place)?;
    replayed(goals, place, &bodies)?;
    println!("peak memory {} MiB", peak_rss_mib()?);
    Ok(())
}

fn open(dir: &Path) -> Result<EventLog> {
    open_with(dir, 32 << 20)
}

fn open_with(dir: &Path, cache_bytes: usize) -> Result<EventLog> {
    let settings = Settings::new(Arc::new(SystemClock::default()), Arc::new(|| 6));
    Ok(EventLog::open(dir, Settings { cache_bytes, ..settings })?)
}

/// Changes of about 100 bytes: two integers, a decimal, a time, a code and a description.
fn body(number: usize, rows: usize) -> GroupBody {
    let decimal = ColumnType::Decimal { precision: 12, scale: 2 };
    let columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("customer", ColumnType::Int64, true),
        Column::new("price", decimal, true),
        Column::new("at", ColumnType::Instant, true),
        Column::new("code", ColumnType::Text, true),
        Column::new("description", ColumnType::Text, true),
    ];
    let schema = Arc::new(TableSchema::new(columns, &["id"]).expect("distinct columns"));
    let mut random = Random(number as u64 + 1);
    let cells: Vec<Vec<Value>> =
        (0..rows).map(|row| cells(number * rows + row, &mut random)).collect();
    let absent = vec![vec![Value::Null; 6]; rows];
    let changes = ChangeBatch::new(
        "invoice_line".into(),
        schema.clone(),
        vec![Op::Insert; rows],
        (0..u32::try_from(rows).expect("a frame")).collect(),
        batch(&schema, &absent).expect("nulls fit"),
        batch(&schema, &cells).expect("values of their types"),
    );
    GroupBody {
        kind: GroupKind::Changes,
        part: Part::WHOLE,
        after: SourcePosition::at(number as u64),
        upto: SourcePosition::at(number as u64 + 1),
        commit_time: 1_300_000_000_000_000 + number as i64,
        batches: vec![changes],
    }
}

fn cells(id: usize, random: &mut Random) -> Vec<Value> {
    const WORDS: [&str; 16] = [
        "WHITE", "HANGING", "HEART", "T-LIGHT", "HOLDER", "METAL", "LANTERN", "CREAM", "CUPID",
        "COAT", "HANGER", "KNITTED", "UNION", "FLAG", "BOTTLE", "RED",
    ];
    let mut description = String::new();
    while description.len() < 34 {
        description.push_str(WORDS[random.below(16)]);
        description.push(' ');
    }
    description.push_str(&random.below(10_000).to_string());
    vec![
        Value::Int(id as i64),
        Value::Int(12_000 + random.below(6_000) as i64),
        Value::Decimal { unscaled: random.below(100_000) as i128, scale: 2 },
        Value::Instant(1_300_000_000_000_000 + random.below(1 << 40) as i64),
        Value::Text(format!(
            "{}{}",
            10_000 + random.below(80_000),
            ["", "A", "B"][random.below(3)]
        )),
        Value::Text(description),
    ]
}

/// xorshift64*: the same bodies in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

/// Appends frames over all lanes, one thread for each, and waits until the last is durable.
fn append_all(log: &EventLog, bodies: &[GroupBody]) -> Result<()> {
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                scope.spawn(move || -> Result<()> {
                    let lane = LaneId::mint(lane);
                    let mut last = Offset::START;
                    for frame in 0..FRAMES / LANES as usize {
                        last = log.append(lane, bodies[frame % BODIES].clone())?;
                    }
                    ensure!(log.durable(lane, last, FOREVER)?, "the last frame got durable");
                    Ok(())
                })
            })
            .collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("no panic"))
    })
}

/// Reads everything of every lane and compares it with what was written.
fn prove(log: &EventLog, bodies: &[GroupBody]) -> Result<()> {
    let read = replay(log, |offset, body| {
        ensure!(*body == bodies[(offset.0 as usize - 1) % BODIES], "frame {offset} reads back");
        Ok(())
    })?;
    ensure!(read == FRAMES * FRAME, "{read} changes came back");
    Ok(())
}

fn replay(log: &EventLog, mut see: impl FnMut(Offset, &GroupBody) -> Result<()>) -> Result<usize> {
    let mut changes = 0;
    for lane in (0..LANES).map(LaneId::mint) {
        let mut at = Offset::START;
        loop {
            let groups = log.read(lane, at, Bounds::BATCH)?;
            let Some(last) = groups.last() else { break };
            at = last.offset;
            for group in &groups {
                see(group.offset, &group.body)?;
                changes += group.body.changes();
            }
        }
    }
    Ok(changes)
}

fn per_second(count: usize, spent: &Spent) -> f64 {
    count as f64 / spent.wall.as_secs_f64()
}

fn millions(rate: f64) -> String {
    format!("{:.2} M changes/s", rate / 1e6)
}

fn appended(goals: &mut Goals, place: &Place, bodies: &[GroupBody]) -> Result<()> {
    let total = FRAMES / LANES as usize * LANES as usize * FRAME;
    let images = bodies[0].batches[0].new_images();
    let raw = vec![0x5a_u8; images.get_array_memory_size()];
    let (mut cpu, mut disk) = (Vec::new(), 0.0);
    let (rates, anchors) = alternate(
        || {
            let dir = place.folder()?;
            let log = open(dir.path())?;
            let ((), spent) = spend(|| append_all(&log, bodies))?;
            disk = log.bytes() as f64 / total as f64;
            cpu.push(spent.cpu.as_secs_f64() * 1e6 / total as f64);
            drop(log);
            prove(&open_with(dir.path(), 0)?, bodies)?;
            Ok(per_second(total, &spent))
        },
        || {
            let dir = place.folder()?;
            let mut file = File::create(dir.path().join("anchor"))?;
            let ((), spent) = spend(|| {
                for frame in 0..FRAMES {
                    file.write_all(&raw)?;
                    if frame % 32 == 31 {
                        file.sync_data()?;
                    }
                }
                Ok(file.sync_data()?)
            })?;
            Ok(per_second(total, &spent))
        },
    )?;
    let (rate, anchor) = (median(&rates), median(&anchors));
    println!(
        "append: {} at {} B/change in memory, {disk:.0} B/change on disk; {:.2} us CPU/change; anchor (the same bytes \
         to a plain file, one fdatasync for 32 frames) {}; ratio {:.2}",
        millions(rate),
        raw.len() / FRAME,
        median(&cpu),
        millions(anchor),
        rate / anchor
    );
    goals.note("G6 append", &millions(rate), ">= 1 M", Reached::at_least(rate, 1e6));
    Ok(())
}

fn single(goals: &mut Goals, place: &Place) -> Result<()> {
    let dir = place.folder()?;
    let log = open(&dir.path().join("log"))?;
    let mut file = File::create(dir.path().join("anchor"))?;
    let (lane, one, page) = (LaneId::mint(1), body(1, 1), [0x5a_u8; 4096]);
    let mut all = Vec::new();
    let (ours, anchors) = alternate(
        || {
            let mut waits = Vec::new();
            for _ in 0..SINGLE {
                let started = Instant::now();
                let offset = log.append(lane, one.clone())?;
                ensure!(log.durable(lane, offset, FOREVER)?, "it got durable");
                waits.push(started.elapsed().as_secs_f64() * 1e6);
            }
            all.extend_from_slice(&waits);
            Ok(median(&waits))
        },
        || {
            let mut waits = Vec::new();
            for _ in 0..SINGLE {
                let started = Instant::now();
                file.write_all(&page)?;
                file.sync_data()?;
                waits.push(started.elapsed().as_secs_f64() * 1e6);
            }
            Ok(median(&waits))
        },
    )?;
    let read = log.read(lane, Offset::START, Bounds { changes: usize::MAX, bytes: usize::MAX })?;
    ensure!(read.len() == all.len() && read.iter().all(|g| g.body == one), "all read back");
    let (ours, anchor) = (median(&ours), median(&anchors));
    println!(
        "single append: p50 {ours:.0} us, p99 {:.0} us; anchor (4 KiB appended to a file, fdatasync) p50 {anchor:.0} us",
        percentile(&all, 99.0)
    );
    let ratio = ours / anchor;
    let figure = format!("{ratio:.2}x one fdatasync");
    goals.note("G6 single append", &figure, "<= 1.3x", Reached::at_most(ratio, 1.3));
    Ok(())
}

/// Durable appends per second of writers that each wait for their own before the next.
fn writers(log: &EventLog, lanes: std::ops::Range<u64>, one: &GroupBody) -> Result<f64> {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let mut threads = Vec::new();
        for lane in lanes {
            let (done, stop) = (&done, &stop);
            let work = move || -> Result<()> {
                while !stop.load(Ordering::Relaxed) {
                    let lane = LaneId::mint(lane);
                    let offset = log.append(lane, one.clone())?;
                    ensure!(log.durable(lane, offset, FOREVER)?, "it got durable");
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            let builder = std::thread::Builder::new().stack_size(256 << 10);
            threads.push(builder.spawn_scoped(scope, work)?);
        }
        std::thread::sleep(WINDOW);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

fn shared(goals: &mut Goals, place: &Place) -> Result<()> {
    let dir = place.folder()?;
    let log = open(dir.path())?;
    let one = body(1, 1);
    let mut cpu = Vec::new();
    let (many, alone) = alternate(
        || {
            let (rate, spent) = spend(|| writers(&log, 1..WRITERS + 1, &one))?;
            cpu.push(spent.cpu.as_secs_f64() * 1e6 / (rate * spent.wall.as_secs_f64()));
            Ok(rate)
        },
        || writers(&log, 0..1, &one),
    )?;
    let all = Bounds { changes: usize::MAX, bytes: usize::MAX };
    for status in log.lanes() {
        let read = log.read(status.lane, Offset::START, all)?;
        let dense = read.iter().zip(1..).all(|(g, n)| g.offset == Offset(n) && g.body == one);
        ensure!(dense && read.len() as u64 == status.tail.durable.0, "every lane reads back");
    }
    let (many, alone) = (median(&many), median(&alone));
    println!(
        "writers: {WRITERS} together {many:.0} appends/s, {:.1} us CPU/append; anchor (one writer) {alone:.0} appends/s",
        median(&cpu)
    );
    let ratio = many / alone;
    let figure = format!("{ratio:.0}x one writer");
    goals.note("G6 1,000 writers", &figure, ">= 100x", Reached::at_least(ratio, 100.0));
    Ok(())
}

fn replayed(goals: &mut Goals, place: &Place, bodies: &[GroupBody]) -> Result<()> {
    let dir = place.folder()?;
    let log = open_with(&dir.path().join("log"), 0)?;
    append_all(&log, bodies)?;
    prove(&log, bodies)?;
    let bytes = log.bytes();
    drop(log);
    let (log, spent) = spend(|| open_with(&dir.path().join("log"), 0))?;
    println!("reopen: {:.3} s with {} MiB on disk", spent.wall.as_secs_f64(), bytes >> 20);
    let anchor = dir.path().join("anchor");
    let images = |n: usize| bodies[n % BODIES].batches[0].new_images();
    let mut writer = StreamWriter::try_new(File::create(&anchor)?, &images(0).schema())?;
    (0..FRAMES).try_for_each(|frame| writer.write(images(frame)))?;
    writer.finish()?;
    let mut cpu = Vec::new();
    let (rates, anchors) = alternate(
        || {
            let (read, spent) = spend(|| replay(&log, |_, _| Ok(())))?;
            cpu.push(spent.cpu.as_secs_f64() * 1e6 / read as f64);
            Ok(per_second(read, &spent))
        },
        || {
            let (read, spent) = spend(|| {
                let reader = StreamReader::try_new(BufReader::new(File::open(&anchor)?), None)?;
                reader.map(|batch| Ok(batch?.num_rows())).sum::<Result<usize>>()
            })?;
            Ok(per_second(read, &spent))
        },
    )?;
    let (rate, anchor) = (median(&rates), median(&anchors));
    println!(
        "replay: {}; {:.2} us CPU/change; anchor (a plain Arrow IPC file of the new images) {}; ratio {:.2}",
        millions(rate),
        median(&cpu),
        millions(anchor),
        rate / anchor
    );
    goals.note("G6 replay", &millions(rate), ">= 1.5 M", Reached::at_least(rate, 1.5e6));
    Ok(())
}
