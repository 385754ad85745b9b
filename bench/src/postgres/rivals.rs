//! G13: the same load by what a user would pick instead, dlt and pgcopydb, each in its quickest way on this machine.
//!
//! Two ways of dlt are goals of their own: by CSV, as `dlt[postgres]` loads, and by Parquet through the ADBC driver,
//! which has to be installed beside it and is quicker.

use super::copy::rows;
use super::outside::{self, Ran};
use super::pair::{DATABASE, Pair, TABLE, per_row};
use super::process;
use super::project::{Project, flow};
use crate::measure::{Goals, RUNS, Reached, median};
use crate::{Place, rival};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rows, unless `SEAMOUNT_BENCH_ROWS` says another number.
const ROWS: u64 = 500_000;

/// Tries of each way before one is chosen: one alone chose the slower way on a busy machine.
const TRIES: usize = 3;

/// The load as dlt does it.
const DLT_SCRIPT: &str = include_str!("../../rivals/dlt_pipeline.py");

/// How a rival is used.
#[derive(Clone, Debug)]
enum Way {
    /// What reads, and what is loaded.
    Dlt { python: PathBuf, reads: &'static str, loads: &'static str },
    /// Into the table that is there.
    PgcopydbTable(PathBuf),
    /// The table too, its key built behind the rows.
    PgcopydbClone(PathBuf),
}

/// A rival and the ratio that is wanted over it.
struct Rival {
    name: &'static str,
    goal: f64,
    of: &'static str,
    ways: Result<Vec<Way>>,
}

/// What loads came to.
#[derive(Default)]
struct Loads {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
    servers: Vec<f64>,
    rss: u64,
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, rows) = (Pair::start()?, rows(ROWS));
    pair.fill(rows);
    let bench = Bench { folder: place.folder()?, pair, rows, place };
    let script = bench.folder.path().join("dlt_pipeline.py");
    std::fs::write(script, DLT_SCRIPT)?;
    for Rival { name, goal, of, ways } in rivals() {
        let wanted = format!(">= {goal}x {of}");
        match ways {
            Ok(ways) => bench.against(goals, name, &ways, (goal, &wanted))?,
            Err(why) => rival::absent(goals, name, &wanted, &why),
        }
    }
    Ok(())
}

fn rivals() -> [Rival; 3] {
    let dlt = |loads: &'static str| {
        let python = rival::dlt()?;
        let way = |reads| Way::Dlt { python: python.clone(), reads, loads };
        Ok(vec![way("connectorx"), way("pyarrow")])
    };
    let pgcopydb = rival::pgcopydb()
        .map(|program| vec![Way::PgcopydbTable(program.clone()), Way::PgcopydbClone(program)]);
    [
        Rival { name: "G13 dlt by CSV", goal: 4.0, of: "dlt", ways: dlt("csv") },
        Rival { name: "G13 dlt by Parquet", goal: 4.0, of: "dlt", ways: dlt("parquet") },
        Rival { name: "G13 pgcopydb", goal: 1.3, of: "pgcopydb", ways: pgcopydb },
    ]
}

/// Two clusters, and what is moved between them.
struct Bench<'a> {
    pair: Pair,
    rows: u64,
    /// Holds what rivals write beside the load.
    folder: tempfile::TempDir,
    place: &'a Place,
}

impl Bench<'_> {
    /// Finds the rival's quickest way by the best of a few tries of each, in turn, and measures that one beside us.
    fn against(
        &self,
        goals: &mut Goals,
        name: &str,
        ways: &[Way],
        (goal, wanted): (f64, &str),
    ) -> Result<()> {
        let mut tries = Vec::new();
        for way in (0..TRIES).flat_map(|_| ways) {
            let ran = self.by_rival(way, &mut Loads::default())?;
            println!("{name}: {} takes {:.2} s", way.says(), ran.wall.as_secs_f64());
            tries.push((ran.wall, way));
        }
        let (_, way) = tries.iter().min_by_key(|(wall, _)| *wall).context("no way to try")?;
        let (mut theirs, mut ours) = (Loads::default(), Loads::default());
        for _ in 0..RUNS {
            self.by_rival(way, &mut theirs)?;
            self.by_us(&mut ours)?;
        }
        let (them, we) = (theirs.rate(self.rows), ours.rate(self.rows));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "{} rows: ours {}; {} {}; load of the machine {}",
            self.rows,
            ours.says(self.rows),
            way.says(),
            theirs.says(self.rows),
            load.split(' ').next().unwrap_or_default()
        );
        let figure = format!("{:.2}x {}", we / them, way.says());
        goals.note(name, &figure, wanted, Reached::at_least(we / them, goal));
        Ok(())
    }

    fn by_rival(&self, way: &Way, loads: &mut Loads) -> Result<Ran> {
        self.clear(way);
        let mut command = way.command(&self.pair, self.folder.path())?;
        let ran = loads.note(self, || outside::run(&mut command)?.well(&way.says()))?;
        self.require_equal(way.table())?;
        self.clear(way);
        // A clone's table is not ours to load into.
        self.pair.target.sql(DATABASE, "DROP TABLE IF EXISTS sales");
        self.pair.target.sql(DATABASE, TABLE);
        Ok(ran)
    }

    fn by_us(&self, loads: &mut Loads) -> Result<()> {
        self.pair.empty_target();
        let project = Project::write(self.place.folder()?, &self.pair, &flow("batch"))?;
        let mut command = Command::new(process::seamount()?);
        command.args(["run", "sales", "--once"]).current_dir(project.folder());
        loads.note(self, || outside::run(&mut command)?.well("seamount"))?;
        self.require_equal("sales")
    }

    /// What a way needs at the target before it begins.
    fn clear(&self, way: &Way) {
        let target = &self.pair.target;
        let before: &[&str] = match way {
            Way::Dlt { .. } => &[
                "DROP SCHEMA IF EXISTS dlt_load CASCADE",
                "DROP SCHEMA IF EXISTS dlt_load_staging CASCADE",
            ],
            Way::PgcopydbTable(_) => &["TRUNCATE sales"],
            Way::PgcopydbClone(_) => &["DROP TABLE sales"],
        };
        before.iter().for_each(|statement| drop(target.sql(DATABASE, statement)));
        self.pair.rest();
    }

    /// Fails unless the target's table holds the source's rows: counted, and summed over a hash of each whole row. Other
    /// integers and other texts print alike, so that a rival may choose its types.
    fn require_equal(&self, table: &str) -> Result<()> {
        let sums = |table: &str| {
            format!(
                "SELECT count(*), sum(hashtextextended(ROW(id, store_id, sku, qty, price_cents, ts, \
                 status)::text, 0)::numeric) FROM {table}"
            )
        };
        let source = self.pair.source.sql(DATABASE, &sums("sales"));
        let target = self.pair.target.sql(DATABASE, &sums(table));
        ensure!(source == target, "{table} is not the source: {source} and {target}");
        ensure!(source.starts_with(&format!("{}|", self.rows)), "rows are missing: {source}");
        Ok(())
    }
}

impl Way {
    fn says(&self) -> String {
        match self {
            Way::Dlt { reads, loads, .. } => format!("dlt ({reads}, {loads})"),
            Way::PgcopydbTable(_) => "pgcopydb copy table-data".into(),
            Way::PgcopydbClone(_) => "pgcopydb clone".into(),
        }
    }

    /// Where the rows land.
    fn table(&self) -> &'static str {
        match self {
            Way::Dlt { .. } => "dlt_load.sales",
            Way::PgcopydbTable(_) | Way::PgcopydbClone(_) => "public.sales",
        }
    }

    fn command(&self, pair: &Pair, folder: &Path) -> Result<Command> {
        let (source, target) = (pair.source.url(DATABASE), pair.target.url(DATABASE));
        let work = folder.join("work");
        let _ = std::fs::remove_dir_all(&work);
        let pgcopydb = |program: &Path, arguments: &[&str]| {
            let only = folder.join("only.ini");
            std::fs::write(&only, "[include-only-table]\npublic.sales\n")?;
            let mut command = Command::new(program);
            command.args(arguments).args(["--source", &source, "--target", &target, "--dir"]);
            command.arg(&work).args(["--not-consistent", "--table-jobs", "2", "--filters"]);
            command.arg(only);
            Ok(command)
        };
        match self {
            Way::Dlt { python, reads, loads } => {
                let mut command = Command::new(python);
                command.arg(folder.join("dlt_pipeline.py"));
                command.args([&source, &target, *reads, *loads]).arg(work).current_dir(folder);
                Ok(command)
            }
            Way::PgcopydbTable(program) => pgcopydb(program, &["copy", "table-data"]),
            Way::PgcopydbClone(program) => pgcopydb(program, &["clone", "--index-jobs", "2"]),
        }
    }
}

impl Loads {
    /// Runs a load and keeps what it took.
    fn note(&mut self, bench: &Bench, load: impl FnOnce() -> Result<Ran>) -> Result<Ran> {
        let before = bench.pair.server_time()?;
        let ran = load()?;
        let servers = per_row(before, bench.pair.server_time()?, bench.rows);
        self.seconds.push(ran.wall.as_secs_f64());
        self.cpu.push(ran.cpu.as_secs_f64() * 1e6 / bench.rows as f64);
        self.servers.push(servers[0] + servers[1]);
        self.rss = self.rss.max(ran.peak_rss_mib);
        Ok(ran)
    }

    fn rate(&self, rows: u64) -> f64 {
        rows as f64 / median(&self.seconds)
    }

    fn says(&self, rows: u64) -> String {
        format!(
            "{:.0} k rows/s, {:.2} us CPU a row and {:.2} in both servers, peak RSS {} MiB",
            self.rate(rows) / 1e3,
            median(&self.cpu),
            median(&self.servers),
            self.rss
        )
    }
}
