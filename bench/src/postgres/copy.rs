//! G1: an initial copy by a batch flow, beside a pipe of two `psql` with COPY BINARY and beside the initial copy of
//! native replication. All three fill the same empty table with its primary key.

use super::pair::{DATABASE, Pair, per_row};
use super::project::{Project, flow};
use super::{native, process};
use crate::Place;
use crate::measure::{Goals, RUNS, Reached, median};
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rows, unless `SEAMOUNT_BENCH_ROWS` says another number.
const ROWS: u64 = 2_000_000;

/// Rows to move.
pub(super) fn rows(usual: u64) -> u64 {
    std::env::var("SEAMOUNT_BENCH_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, rows) = (Pair::start()?, rows(ROWS));
    pair.fill(rows);
    let project = Project::write(place.folder()?, &pair, &flow("batch"))?;
    let (mut pipes, mut natives, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut servers, mut rss) = (Vec::new(), [0.0; 2], 0);
    for _ in 0..RUNS {
        pair.empty_target();
        pipes.push(pipe(&pair)?.as_secs_f64());
        pair.require_equal()?;
        pair.empty_target();
        natives.push(native::subscribe(&pair)?.as_secs_f64());
        native::unsubscribe(&pair);
        pair.require_equal()?;
        pair.empty_target();
        project.forget();
        let before = pair.server_time()?;
        let took = process::run(&project.folder(), &["run", "sales", "--once"])?;
        servers = per_row(before, pair.server_time()?, rows);
        ensure!(pair.require_equal()? == rows, "rows are missing");
        ours.push(took.wall.as_secs_f64());
        cpu.push(took.cpu.as_secs_f64() * 1e6 / rows as f64);
        rss = rss.max(took.peak_rss_mib);
    }
    let rate = |seconds: &[f64]| rows as f64 / median(seconds);
    let (mine, pipe, native, cpu) = (rate(&ours), rate(&pipes), rate(&natives), median(&cpu));
    println!(
        "{rows} rows: ours {:.0} k rows/s, pipe {:.0} k, native {:.0} k; engine {cpu:.2} us CPU a row, source {:.2}, \
         target {:.2}; peak RSS {rss} MiB",
        mine / 1e3,
        pipe / 1e3,
        native / 1e3,
        servers[0],
        servers[1]
    );
    let ratio = |goals: &mut Goals, name: &str, anchor: f64, of: &str, goal: f64| {
        let figure = format!("{:.2}x {of}", mine / anchor);
        goals.note(
            name,
            &figure,
            &format!(">= {goal:.1}x"),
            Reached::at_least(mine / anchor, goal),
        );
    };
    ratio(goals, "G1 copy", pipe, "psql pipe", 1.0);
    ratio(goals, "G1 copy", native, "native initial copy", 2.0);
    goals.note("G1 engine", &format!("{cpu:.2} us CPU/row"), "<= 0.5", Reached::at_most(cpu, 0.5));
    goals.note(
        "G1 memory",
        &format!("{rss} MiB"),
        "<= 256 MiB",
        Reached::at_most(rss as f64, 256.0),
    );
    Ok(())
}

/// `psql ... | psql ...`, both in COPY BINARY.
fn pipe(pair: &Pair) -> Result<Duration> {
    let psql = |url: String, statement: &str| {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-d", &url, "-c", statement]);
        command
    };
    let began = Instant::now();
    let mut out = psql(pair.source.url(DATABASE), "COPY sales TO STDOUT (FORMAT binary)");
    let mut out = out.stdout(Stdio::piped()).spawn().context("psql")?;
    let rows = out.stdout.take().context("psql has no output")?;
    let mut into = psql(pair.target.url(DATABASE), "COPY sales FROM STDIN (FORMAT binary)");
    let status = into.stdin(rows).status()?;
    ensure!(status.success() && out.wait()?.success(), "the pipe broke");
    Ok(began.elapsed())
}
