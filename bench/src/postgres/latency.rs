//! G4: one change end to end at 1,000 transactions a second, through the durable log, beside native replication. A
//! trigger at the target notes how old each change is when it is written there; what remains is the target's commit.

use super::apply::drop_slots;
use super::native;
use super::pair::{DATABASE, Pair};
use super::process::Running;
use super::project::Project;
use crate::Place;
use crate::measure::{Goals, Reached, median};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

const SECONDS: &str = "10";
const TIMES: usize = 5;
const FLOW: &str =
    "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"sales\"\n[to]\nsite = \"central\"\n";

/// Percentiles in milliseconds.
#[derive(Clone, Copy)]
struct Ages {
    p50: f64,
    p99: f64,
}

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let pair = Pair::start()?;
    let table = "CREATE TABLE sales (id bigint PRIMARY KEY, v int, ts timestamptz)";
    pair.source.sql(DATABASE, table);
    pair.source
        .sql(DATABASE, "INSERT INTO sales SELECT i, 0, now() FROM generate_series(1, 10000) i");
    pair.target.sql(DATABASE, table);
    pair.target.sql(DATABASE, "CREATE UNLOGGED TABLE ages (us bigint)");
    pair.target.sql(
        DATABASE,
        "CREATE FUNCTION age() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO public.ages VALUES (extract(epoch FROM clock_timestamp() - new.ts) * 1e6); RETURN new; END $$",
    );
    pair.target.sql(
        DATABASE,
        "CREATE TRIGGER age AFTER UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION age()",
    );
    pair.target.sql(DATABASE, "ALTER TABLE sales ENABLE ALWAYS TRIGGER age");
    let scripts = place.folder()?;
    let (mut natives, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        native::subscribe(&pair)?;
        natives.push(ages(&pair, scripts.path())?);
        native::unsubscribe(&pair);
        pair.empty_target();
        let project = Project::write(place.folder()?, &pair, FLOW)?;
        let running = Running::start(&project.folder(), &["run"])?;
        native::until(|| pair.target.sql(DATABASE, "SELECT count(*) FROM sales") == "10000")?;
        ours.push(ages(&pair, scripts.path())?);
        running.stop()?;
        drop_slots(&pair);
        pair.empty_target();
    }
    let middle =
        |all: &[Ages], of: fn(&Ages) -> f64| median(&all.iter().map(of).collect::<Vec<_>>());
    let (a, b) = (
        (middle(&ours, |a| a.p50), middle(&ours, |a| a.p99)),
        (middle(&natives, |a| a.p50), middle(&natives, |a| a.p99)),
    );
    println!(
        "1,000 transactions/s: ours p50 {:.2} ms, p99 {:.2} ms; native p50 {:.2} ms, p99 {:.2} ms",
        a.0, a.1, b.0, b.1
    );
    for (name, mine, native) in [("G4 p50", a.0, b.0), ("G4 p99", a.1, b.1)] {
        let ratio = mine / native;
        goals.note(
            name,
            &format!("{mine:.2} ms, {ratio:.2}x native"),
            "<= 2.0x",
            Reached::at_most(ratio, 2.0),
        );
    }
    Ok(())
}

fn ages(pair: &Pair, scripts: &Path) -> Result<Ages> {
    pair.target.sql(DATABASE, "TRUNCATE ages");
    let script = scripts.join("touch.sql");
    std::fs::write(
        &script,
        "\\set id random(1, 10000)\nUPDATE sales SET v = v + 1, ts = clock_timestamp() WHERE id = :id;\n",
    )?;
    let output = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", "16", "-j", "1", "-R", "1000", "-T", SECONDS, "-f"])
        .arg(&script)
        .arg(pair.source.url(DATABASE))
        .stderr(Stdio::null())
        .output()
        .context("pgbench")?;
    ensure!(output.status.success(), "pgbench failed");
    native::until(|| {
        let same = "SELECT sum(v) FROM sales";
        pair.source.sql(DATABASE, same) == pair.target.sql(DATABASE, same)
    })?;
    let text = pair.target.sql(
        DATABASE,
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY us), percentile_disc(0.99) WITHIN GROUP (ORDER BY us) FROM ages",
    );
    let (p50, p99) = text.split_once('|').context("no change arrived")?;
    Ok(Ages { p50: p50.parse::<f64>()? / 1e3, p99: p99.parse::<f64>()? / 1e3 })
}
