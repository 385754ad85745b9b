//! `bench NAME`: the goals of the design, measured beside their anchors. Adding a bench is one module and one line.

mod latency;
mod ledger;
mod log;
mod measure;
mod postgres;
mod rival;
mod sqlite_capture;

use anyhow::{Result, bail};
use measure::Goals;
use std::path::PathBuf;
use std::process::ExitCode;

/// Name, what it measures, and the function that does it.
type Bench = (&'static str, &'static str, fn(&mut Goals, &Place) -> Result<()>);

const BENCHES: &[Bench] = &[
    (
        "apply",
        "G2: a backlog of single-row transactions, PostgreSQL to PostgreSQL",
        postgres::apply::run,
    ),
    ("bigtx", "G3: one huge transaction, PostgreSQL to PostgreSQL", postgres::bigtx::run),
    ("capture", "G5: PostgreSQL into the durable log", postgres::capture::run),
    ("copy", "G1: an initial copy, PostgreSQL to PostgreSQL", postgres::copy::run),
    ("latency", "G4, G10: one change end to end, PostgreSQL and SQLite", every_latency),
    ("ledger", "row 4 of issue 4: changes that a ledger folds a second on one core", ledger::run),
    ("log", "G6: the embedded log, appended, shared by writers, replayed", log::run),
    (
        "reconcile",
        "G8: the proof of equality, PostgreSQL and PostgreSQL, beside COPY and reladiff",
        postgres::reconcile::run,
    ),
    ("rivals", "G13: the load of G1 by dlt and by pgcopydb", postgres::rivals::run),
    (
        "sqlite-capture",
        "G10: what capture costs a SQLite database, and its drain",
        sqlite_capture::run,
    ),
];

/// Where a bench puts its files: the disk that is measured.
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    /// A new folder there, removed when it is dropped.
    pub(crate) fn folder(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(&self.dir)?)
    }
}

fn every_latency(goals: &mut Goals, place: &Place) -> Result<()> {
    latency::run(goals, place)?;
    postgres::latency::run(goals, place)
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let (name, dir) = match arguments {
        [name] => (name, std::env::temp_dir()),
        [name, dir] => (name, PathBuf::from(dir)),
        _ => bail!("usage: bench NAME [FOLDER ON THE DISK TO MEASURE]\n{}", known()),
    };
    let Some((_, _, bench)) = BENCHES.iter().find(|(known, ..)| known == name) else {
        bail!("there is no bench {name}\n{}", known());
    };
    let mut goals = Goals::default();
    bench(&mut goals, &Place { dir })?;
    Ok(goals.finish())
}

fn known() -> String {
    BENCHES.iter().map(|(name, what, _)| format!("  {name:16} {what}\n")).collect()
}
