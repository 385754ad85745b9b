//! G8: the proof that a target equals its source, beside two plain COPY outs run at once, and beside reladiff where some
//! rows differ.
//!
//! Every run must have found what was damaged, no more and no less, before its time counts.

use super::copy::rows;
use super::outside::{self, Ran};
use super::pair::{DATABASE, Pair};
use super::process;
use super::project::{Project, flow};
use crate::measure::{Goals, RUNS, Reached, median};
use crate::{Place, rival};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Rows, unless `SEAMOUNT_BENCH_ROWS` says another number.
const ROWS: u64 = 1_000_000;

/// Rows that differ, where few do.
const FEW: u64 = 100;

/// Rows that differ, where many do.
const MANY: u64 = 10_000;

/// What proofs took: wall time, processor time of both servers, and our own, in seconds.
#[derive(Default)]
struct Proofs {
    wall: Vec<f64>,
    servers: Vec<f64>,
    own: Vec<f64>,
    rss: u64,
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, rows) = (Pair::start()?, rows(ROWS));
    ensure!(rows >= 2 * MANY, "{MANY} rows are to differ: take more rows than {}", 2 * MANY);
    pair.fill(rows);
    let project = Project::write(place.folder()?, &pair, &flow("event"))?;
    process::run(&project.folder(), &["run", "sales", "--once"])?;
    ensure!(pair.require_equal()? == rows, "the snapshot is not whole");
    let bench = Bench { pair, rows, project };
    bench.rest();
    let copies = bench.equal(goals)?;
    let (few, reladiff) = bench.different(goals)?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("two COPY outs {}", copies.says(rows));
    println!("ours, {FEW} differ {}", few.says(rows));
    if let Some(reladiff) = reladiff {
        println!("reladiff, {FEW} differ {}", reladiff.says(rows));
    }
    println!("load of the machine {}", load.split(' ').next().unwrap_or_default());
    Ok(())
}

/// Two clusters with the same rows, and a flow between them.
struct Bench {
    pair: Pair,
    rows: u64,
    project: Project,
}

impl Bench {
    /// Nothing differs: beside two COPY outs.
    fn equal(&self, goals: &mut Goals) -> Result<Proofs> {
        let (mut copies, mut ours) = (Proofs::default(), Proofs::default());
        for _ in 0..RUNS {
            self.copies(&mut copies)?;
            self.ours(&mut ours, 0)?;
        }
        println!("ours, nothing differs {}", ours.says(self.rows));
        let ratio = median(&ours.wall) / median(&copies.wall);
        let figure = format!("{ratio:.2}x two COPY outs at once");
        goals.note("G8 equal", &figure, "<= 1.5x", Reached::at_most(ratio, 1.5));
        let rss = ours.rss;
        println!("{} rows proved equal with at most {rss} MiB", self.rows);
        Ok(copies)
    }

    /// Few and many differ: beside reladiff, and beside each other.
    fn different(&self, goals: &mut Goals) -> Result<(Proofs, Option<Proofs>)> {
        let reladiff = rival::reladiff();
        let (mut few, mut many, mut theirs) =
            (Proofs::default(), Proofs::default(), Proofs::default());
        for _ in 0..RUNS {
            self.damage(FEW, 1);
            if let Ok(program) = &reladiff {
                self.reladiff(program, &mut theirs)?;
            }
            self.ours(&mut few, FEW)?;
            self.damage(FEW, -1);
            self.damage(MANY, 1);
            self.ours(&mut many, MANY)?;
            self.damage(MANY, -1);
        }
        ensure!(self.pair.require_equal()? == self.rows, "the damage was not undone");
        println!("ours, {MANY} differ {}", many.says(self.rows));
        let ratio = median(&many.wall) / median(&few.wall);
        let figure = format!("{ratio:.2}x the time at {FEW}");
        let name = format!("G8 {MANY} differences");
        goals.note(&name, &figure, "<= 1.2x", Reached::at_most(ratio, 1.2));
        let (wall, cpu) = ("G8 wall, 100 differences", "G8 database CPU, 100 differences");
        if let Err(why) = reladiff {
            rival::absent(goals, wall, ">= 3x faster than reladiff", &why);
            rival::absent(goals, cpu, ">= 5x less than reladiff", &why);
            return Ok((few, None));
        }
        let ratio = median(&theirs.wall) / median(&few.wall);
        let figure = format!("{ratio:.2}x faster than reladiff");
        goals.note(wall, &figure, ">= 3x", Reached::at_least(ratio, 3.0));
        let ratio = median(&theirs.servers) / median(&few.servers);
        let figure = format!("{ratio:.2}x less than reladiff");
        goals.note(cpu, &figure, ">= 5x", Reached::at_least(ratio, 5.0));
        Ok((few, Some(theirs)))
    }

    /// Adds to the quantity of so many rows of the target, behind our back.
    fn damage(&self, many: u64, by: i32) {
        let step = self.rows / many;
        let change = format!(
            "UPDATE sales SET qty = qty + ({by}) WHERE id % {step} = 0 AND id <= {}",
            step * many
        );
        self.pair.target.sql(DATABASE, &change);
        self.rest();
    }

    /// Neither pays for what came before: no dead rows, no dirty pages.
    fn rest(&self) {
        self.pair.target.sql(DATABASE, "VACUUM ANALYZE sales");
        self.pair.rest();
    }

    fn ours(&self, proofs: &mut Proofs, differ: u64) -> Result<()> {
        let mut command = Command::new(process::seamount()?);
        command.args(["reconcile", "sales", "--json"]).current_dir(self.project.folder());
        let ran = proofs.note(self, || outside::run(&mut command))?;
        let last = ran.printed.lines().last().context("seamount printed nothing")?;
        let summary: Value = serde_json::from_str(last).context("seamount's summary")?;
        let verdict = if differ == 0 { "EQUAL" } else { "DIFFERENT" };
        let found = summary["verdict"] == verdict
            && summary["differences"] == differ
            && summary["rows"] == self.rows;
        ensure!(found, "{differ} rows differ, and seamount says {last} {}", ran.said);
        Ok(())
    }

    fn reladiff(&self, program: &Path, proofs: &mut Proofs) -> Result<()> {
        let url = |url: String| url.replacen("postgres://", "postgresql://", 1);
        let (source, target) =
            (url(self.pair.source.url(DATABASE)), url(self.pair.target.url(DATABASE)));
        let mut command = Command::new(program);
        command.args([&source, "sales", &target, "sales", "-k", "id", "-c", "%"]);
        command.args(["--threads", "2"]);
        let ran = proofs.note(self, || outside::run(&mut command)?.well("reladiff"))?;
        // One line for each side of a row.
        let lines = ran.printed.lines().count();
        ensure!(lines as u64 == 2 * FEW, "{FEW} rows differ, and reladiff prints {lines} lines");
        Ok(())
    }

    /// Two COPY outs into nothing, at once.
    fn copies(&self, proofs: &mut Proofs) -> Result<()> {
        let before = self.pair.server_time()?;
        let began = Instant::now();
        let copy = |url: String| {
            let mut command = Command::new("psql");
            command.args(["-X", "-q", "-d", &url, "-c", "COPY sales TO STDOUT (FORMAT binary)"]);
            command.stdout(Stdio::null()).spawn().context("psql")
        };
        let mut both =
            [copy(self.pair.source.url(DATABASE))?, copy(self.pair.target.url(DATABASE))?];
        for child in &mut both {
            ensure!(child.wait()?.success(), "psql failed");
        }
        proofs.wall.push(began.elapsed().as_secs_f64());
        proofs.servers.push(self.since(before)?);
        Ok(())
    }

    /// Processor time of both servers since then, in seconds.
    fn since(&self, before: [std::time::Duration; 2]) -> Result<f64> {
        let after = self.pair.server_time()?;
        Ok((0..2).map(|i| after[i].saturating_sub(before[i]).as_secs_f64()).sum())
    }
}

impl Proofs {
    /// Runs a proof and keeps what it took.
    fn note(&mut self, bench: &Bench, proof: impl FnOnce() -> Result<Ran>) -> Result<Ran> {
        let before = bench.pair.server_time()?;
        let ran = proof()?;
        self.servers.push(bench.since(before)?);
        self.wall.push(ran.wall.as_secs_f64());
        self.own.push(ran.cpu.as_secs_f64());
        self.rss = self.rss.max(ran.peak_rss_mib);
        Ok(ran)
    }

    fn says(&self, rows: u64) -> String {
        let each = 1e6 / rows as f64;
        let own = if self.own.is_empty() { 0.0 } else { median(&self.own) };
        format!(
            "{:.2} s, {:.2} us CPU a row in both servers and {:.2} outside, peak RSS {} MiB",
            median(&self.wall),
            median(&self.servers) * each,
            own * each,
            self.rss
        )
    }
}
