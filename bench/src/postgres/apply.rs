//! G2: a backlog of single-row transactions, captured through the log and applied, beside native replication. Both
//! were away while pgbench wrote, and are started again.

use super::copy::rows;
use super::pair::{DATABASE, Pair, per_row};
use super::project::{Project, flow};
use super::{native, process};
use crate::Place;
use crate::measure::{Goals, Reached, median};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Rows of the table.
const TABLE_ROWS: u64 = 1_000_000;

/// Transactions of a backlog, unless `SEAMOUNT_BENCH_ROWS` says another number.
const TRANSACTIONS: u64 = 400_000;

/// Backlogs: each is drained by both.
const BACKLOGS: usize = 5;

/// What draining a backlog came to, per transaction.
struct Drained {
    rate: f64,
    /// Processor time of source, target and engine, microseconds.
    cpu: f64,
    engine: f64,
    rss: u64,
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, transactions) = (Pair::start()?, rows(TRANSACTIONS));
    pair.fill(TABLE_ROWS);
    let scripts = place.folder()?;
    let (mut natives, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..BACKLOGS {
        natives.push(by_native(&pair, scripts.path(), transactions)?);
        let project = Project::write(place.folder()?, &pair, &flow("event"))?;
        ours.push(by_us(&pair, &project, scripts.path(), transactions)?);
        pair.empty_target();
    }
    let middle =
        |all: &[Drained], of: fn(&Drained) -> f64| median(&all.iter().map(of).collect::<Vec<_>>());
    let (mine, native) = (middle(&ours, |d| d.rate), middle(&natives, |d| d.rate));
    let (cpu, native_cpu) = (middle(&ours, |d| d.cpu), middle(&natives, |d| d.cpu));
    let rss = ours.iter().map(|d| d.rss).max().unwrap_or(0);
    println!(
        "{transactions} single-row transactions: ours {:.1} k/s, {cpu:.1} us CPU each in all (engine {:.2}); native {:.1} \
         k/s, {native_cpu:.1} us; peak RSS {rss} MiB",
        mine / 1e3,
        middle(&ours, |d| d.engine),
        native / 1e3
    );
    let ratio = mine / native;
    goals.note(
        "G2 apply",
        &format!("{ratio:.2}x native"),
        ">= 2.0x",
        Reached::at_least(ratio, 2.0),
    );
    let ratio = cpu / native_cpu;
    goals.note(
        "G2 total CPU",
        &format!("{ratio:.2}x native"),
        "<= 0.6x",
        Reached::at_most(ratio, 0.6),
    );
    Ok(())
}

fn by_native(pair: &Pair, scripts: &Path, transactions: u64) -> Result<Drained> {
    pair.empty_target();
    native::subscribe(pair)?;
    native::enable(pair, "DISABLE");
    write(pair, scripts, transactions)?;
    let (before, began) = (pair.server_time()?, Instant::now());
    let end = pair.end_of_log();
    native::enable(pair, "ENABLE");
    native::wait_for(pair, &end)?;
    let wall = began.elapsed();
    let servers = per_row(before, pair.server_time()?, transactions);
    pair.require_equal()?;
    native::unsubscribe(pair);
    pair.empty_target();
    Ok(Drained {
        rate: transactions as f64 / wall.as_secs_f64(),
        cpu: servers[0] + servers[1],
        engine: 0.0,
        rss: 0,
    })
}

fn by_us(pair: &Pair, project: &Project, scripts: &Path, transactions: u64) -> Result<Drained> {
    process::run(&project.folder(), &["run", "sales", "--once"])?;
    ensure!(pair.require_equal()? == TABLE_ROWS, "the snapshot is not whole");
    write(pair, scripts, transactions)?;
    let before = pair.server_time()?;
    let took = process::run(&project.folder(), &["run", "sales", "--once"])?;
    let servers = per_row(before, pair.server_time()?, transactions);
    pair.require_equal()?;
    drop_slots(pair);
    let engine = took.cpu.as_secs_f64() * 1e6 / transactions as f64;
    Ok(Drained {
        rate: transactions as f64 / took.wall.as_secs_f64(),
        cpu: servers[0] + servers[1] + engine,
        engine,
        rss: took.peak_rss_mib,
    })
}

/// Slots that nobody reads keep the log for ever.
pub(super) fn drop_slots(pair: &Pair) {
    pair.source.sql(
        DATABASE,
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
    );
}

/// pgbench updates random rows, each in a transaction of its own.
fn write(pair: &Pair, scripts: &Path, transactions: u64) -> Result<()> {
    let script = scripts.join("update.sql");
    std::fs::write(
        &script,
        format!(
            "\\set id random(1, {TABLE_ROWS})\n\
             UPDATE sales SET qty = qty + 1, price_cents = :id WHERE id = :id;\n"
        ),
    )?;
    const CLIENTS: u64 = 4;
    let each = (transactions / CLIENTS).to_string();
    let status = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", "4", "-j", "1", "-t", &each, "-f"])
        .arg(&script)
        .arg(pair.source.url(DATABASE))
        .env("PGOPTIONS", "-c synchronous_commit=off")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .context("pgbench")?;
    ensure!(status.success(), "pgbench failed");
    pair.rest();
    Ok(())
}
