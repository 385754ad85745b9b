//! G5: capture into the durable log, of single-row transactions and of one large one, beside `pg_recvlogical` writing
//! the same stream to nowhere over TCP.

use super::apply::drop_slots;
use super::copy::rows;
use super::pair::{DATABASE, Pair};
use super::process;
use super::project::Project;
use crate::Place;
use crate::measure::{Goals, RUNS, Reached, median};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Instant;

/// Single-row transactions, and rows of the large one, unless `SEAMOUNT_BENCH_ROWS` says another number.
const CHANGES: u64 = 400_000;

/// A flow that captures and writes nothing: another job is said to write the target.
const FLOW: &str = "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"sales\"\n[to]\nsite = \"central\"\nwriter = \"other\"\n";

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, changes) = (Pair::start()?, rows(CHANGES));
    pair.fill(1_000);
    for (name, shape, goal) in [("single-row", Shape::Single, 1.8), ("bulk", Shape::Bulk, 1.2)] {
        let (mut anchors, mut ours, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let project = Project::write(place.folder()?, &pair, FLOW)?;
            process::run(&project.folder(), &["run", "sales", "--once"])?;
            pair.source
                .sql(DATABASE, "SELECT pg_create_logical_replication_slot('anchor', 'pgoutput')");
            pair.source.sql(DATABASE, "CREATE PUBLICATION anchor FOR TABLE sales");
            shape.write(&pair, place, changes)?;
            let end = pair.end_of_log();
            pair.rest();
            anchors.push(changes as f64 / by_recvlogical(&pair, &end)?);
            let took = process::run(&project.folder(), &["run", "sales", "--once"])?;
            ours.push(changes as f64 / took.wall.as_secs_f64());
            cpu.push(took.cpu.as_secs_f64() * 1e6 / changes as f64);
            pair.source.sql(DATABASE, "DROP PUBLICATION anchor");
            drop_slots(&pair);
            pair.source.sql(DATABASE, "DELETE FROM sales WHERE id > 1000");
        }
        let (mine, anchor, cpu) = (median(&ours), median(&anchors), median(&cpu));
        println!(
            "{changes} changes, {name}: ours {:.1} k/s with the log on, {cpu:.2} us CPU each; pg_recvlogical {:.1} k/s",
            mine / 1e3,
            anchor / 1e3
        );
        let ratio = mine / anchor;
        let figure = format!("{ratio:.2}x pg_recvlogical, {:.0} k/s", mine / 1e3);
        goals.note(
            &format!("G5 {name}"),
            &figure,
            &format!(">= {goal:.1}x"),
            Reached::at_least(ratio, goal),
        );
        goals.note(
            &format!("G5 {name} engine"),
            &format!("{cpu:.2} us CPU/event"),
            "<= 1.5",
            Reached::at_most(cpu, 1.5),
        );
    }
    Ok(())
}

/// What the source wrote.
enum Shape {
    Single,
    Bulk,
}

impl Shape {
    fn write(&self, pair: &Pair, place: &Place, changes: u64) -> Result<()> {
        let Shape::Single = self else {
            pair.insert(1_001, 1_000 + changes);
            return Ok(());
        };
        let folder = place.folder()?;
        let script = folder.path().join("update.sql");
        std::fs::write(
            &script,
            "\\set id random(1, 1000)\nUPDATE sales SET qty = qty + 1 WHERE id = :id;\n",
        )?;
        let each = (changes / 4).to_string();
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
        Ok(())
    }
}

/// Seconds that pg_recvlogical takes to the end.
fn by_recvlogical(pair: &Pair, end: &str) -> Result<f64> {
    let began = Instant::now();
    let port = pair.source.port().to_string();
    pair.source.run(
        "pg_recvlogical",
        &[
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "seamount",
            "-d",
            DATABASE,
            "-S",
            "anchor",
            "--start",
            "--no-loop",
            "-f",
            "/dev/null",
            "--endpos",
            end,
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=anchor",
        ],
    )?;
    Ok(began.elapsed().as_secs_f64())
}
