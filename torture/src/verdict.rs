//! The end of a run: everything is let through, and then it must be right, whoever is asked: the oracle, the engine's
//! own count, and its proof.

use crate::export::Export;
use crate::ledger::Ledger;
use crate::oracle::{check_stores, conserved, differences, some, whole_bookings, whole_sales};
use crate::seamount::{Running, Seamount};
use crate::world::{World, open_to_read};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A service that was asked to stop is gone within this.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// After the last fault everything arrives within this, on a machine that others use too.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// Runs every flow once by hand: the first snapshots, or whatever is due.
///
/// # Errors
/// A flow does not run.
pub(crate) fn run_all_once(seamount: &Seamount) -> Result<()> {
    for flow in ["books", "articles", "sales"] {
        seamount.must(&["run", flow, "--once"], 0)?;
    }
    Ok(())
}

/// Waits until the centre holds what the books say; how long it took.
///
/// # Errors
/// It does not come to that, or the service ends.
pub(crate) fn arrive(
    world: &World,
    service: &mut Running,
    books: &BTreeMap<String, Ledger>,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        service.must_live()?;
        let path = world.central_path();
        let left = if path.exists() {
            differences(&open_to_read(&path)?, books)?
        } else {
            vec!["the centre is not there".to_string()]
        };
        if left.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > ARRIVES_WITHIN {
            let standing = service.words();
            bail!("not all has arrived after {ARRIVES_WITHIN:?}: {}; {standing}", some(&left));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets a service bring everything through, stops it, and judges.
///
/// # Errors
/// Whatever is not right.
pub(crate) fn settle(
    world: &World,
    seamount: &Seamount,
    books: &BTreeMap<String, Ledger>,
    export: &Export,
) -> Result<Settled> {
    let (mut service, recovered) = seamount.serve(&[]).context("the last start")?;
    arrive(world, &mut service, books)?;
    service.terminate(GRACE)?;
    let changes = judge(world, seamount, books, export)?;
    Ok(Settled { recovered, changes })
}

/// How the last start went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// Until the service worked.
    pub(crate) recovered: Duration,
    /// Changes that the engine counted.
    pub(crate) changes: u64,
}

/// Judges the rows of a world whose engine is stopped and has let everything through; how many changes the engine
/// counted. Batches are brought up to date first.
///
/// # Errors
/// Whatever is not right.
pub(crate) fn judge_rows(
    world: &World,
    seamount: &Seamount,
    books: &BTreeMap<String, Ledger>,
    export: &Export,
) -> Result<u64> {
    check_stores(world, books)?;
    let centre = open_to_read(&world.central_path())?;
    let left = differences(&centre, books)?;
    if !left.is_empty() {
        bail!("the centre is not equal: {}", some(&left));
    }
    whole_bookings(&centre)?;
    seamount.must(&["run", "sales", "--once"], 0)?;
    let published = whole_sales(&centre)?;
    if published != export.newest {
        bail!("sales are {published:?}, the export is {:?}", export.newest);
    }
    let leftovers: i64 =
        centre.query_row("SELECT count(*) FROM _seamount_stage", [], |row| row.get(0))?;
    if leftovers != 0 {
        bail!("{leftovers} stages of the batch were left behind");
    }
    conserved(&centre)
}

/// As [`judge_rows`], and the engine's own proof and count must say the same.
///
/// # Errors
/// Whatever is not right.
pub(crate) fn judge(
    world: &World,
    seamount: &Seamount,
    books: &BTreeMap<String, Ledger>,
    export: &Export,
) -> Result<u64> {
    let changes = judge_rows(world, seamount, books, export)?;
    for flow in ["books", "articles"] {
        let said = seamount.must(&["reconcile", flow], 0)?;
        if said.summary("verdict") != "EQUAL" {
            bail!("the engine's proof of {flow} says {}", said.complaint());
        }
        seamount.must(&["certificate", "verify", flow], 0)?;
    }
    check_status(seamount)?;
    let centre = open_to_read(&world.central_path())?;
    let left = differences(&centre, books)?;
    if !left.is_empty() {
        bail!("the proof has changed the centre: {}", some(&left));
    }
    Ok(changes)
}

/// The engine's own count: nothing lost, set aside, stopped or different.
fn check_status(seamount: &Seamount) -> Result<()> {
    let said = seamount.must(&["status"], 0)?;
    if said.summary("conserved") != true {
        bail!("status says that changes are not conserved: {}", said.complaint());
    }
    for flow in said.objects("flow") {
        let health = flow["health"].as_str().unwrap_or_default();
        if !matches!(health, "OK" | "BEHIND" | "IDLE") || flow["letters"] != 0 {
            bail!("status says {flow}");
        }
    }
    Ok(())
}
