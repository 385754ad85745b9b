//! What must be right when the bank is closed: the target equals the source by a query of ours, the engine's own count
//! and its proof say so too, and no effect came to pass twice.

use super::bank::Bank;
use super::bank_sql as sql;
use super::pair::{FLOW, Pair, Side};
use super::witness::Witness;
use crate::seamount::Running;
use crate::verdict::GRACE;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Waits until the target shows all that the source holds.
///
/// # Errors
/// It does not come to that, or the service ends.
pub(crate) fn arrive(
    pair: &Pair,
    service: &mut Running,
    witness: &mut Witness,
    within: Duration,
) -> Result<Duration> {
    let began = Instant::now();
    let due: Vec<i64> = pair.source.connect()?.query_one(sql::SUMS, &[])?.get(3);
    loop {
        service.must_live()?;
        witness.has_seen_nothing_wrong()?;
        if witness.has_seen(&due) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > within {
            let (seen, words) = (witness.seen(), service.words());
            bail!("after {within:?} the target shows {seen:?} and the source {due:?}: {words}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What was found right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audited {
    /// Rows that are equal on both sides.
    pub(crate) rows: usize,
    /// Changes that the engine counted.
    pub(crate) changes: u64,
}

/// Stops the service, behind [`arrive`], and judges.
///
/// # Errors
/// Whatever is not right.
pub(crate) fn audit(pair: &Pair, service: Running, bank: &Bank) -> Result<Audited> {
    service.terminate(GRACE)?;
    tellers_are_right(pair, bank)?;
    let rows = equal(pair)?;
    let twice: i64 = pair.target.connect()?.query_one(sql::TWICE, &[])?.get(0);
    if twice != 0 {
        bail!(
            "{twice} effects came to pass twice at the target, or should never have (its table `effects`)"
        );
    }
    let changes = status_is_right(pair)?;
    let said = pair.seamount.must(&["reconcile", FLOW], 0)?;
    if said.summary("verdict") != "EQUAL" {
        bail!("the engine's proof says {}", said.complaint());
    }
    pair.seamount.must(&["certificate", "verify", FLOW], 0)?;
    // The proof must have changed nothing.
    equal(pair)?;
    Ok(Audited { rows, changes })
}

/// The source holds what it said is committed, and nothing that was never sent: otherwise the drill itself is broken.
fn tellers_are_right(pair: &Pair, bank: &Bank) -> Result<()> {
    let held: Vec<i64> = pair.source.connect()?.query_one(sql::SUMS, &[])?.get(3);
    let (answered, begun) = (bank.answered(), bank.begun());
    if held.iter().zip(&answered).any(|(n, least)| n < least)
        || held.iter().zip(&begun).any(|(n, most)| n > most)
    {
        bail!("the source holds {held:?}, has answered {answered:?}, was sent {begun:?}");
    }
    Ok(())
}

/// Rows that are equal on both sides, in PostgreSQL's own text of them.
///
/// # Errors
/// Some are not; the first ones are named.
fn equal(pair: &Pair) -> Result<usize> {
    let mut equal = 0;
    for (table, columns) in sql::TABLES {
        let (here, there) =
            (rows(&pair.source, table, columns)?, rows(&pair.target, table, columns)?);
        let first = |rows: &mut dyn Iterator<Item = &String>| {
            rows.take(3).map(|row| row.chars().take(120).collect()).collect::<Vec<String>>()
        };
        let (lost, more) = (here.difference(&there).count(), there.difference(&here).count());
        if lost + more > 0 {
            let (lost_rows, more_rows) =
                (first(&mut here.difference(&there)), first(&mut there.difference(&here)));
            bail!(
                "{table}: {lost} rows of the source are not at the target: {lost_rows:?}; {more} at the target are not at \
                 the source: {more_rows:?}"
            );
        }
        equal += here.len();
    }
    Ok(equal)
}

/// All rows of a table as text. Every table has a key: no two are alike.
fn rows(side: &Side, table: &str, columns: &str) -> Result<BTreeSet<String>> {
    let mut client = side.connect()?;
    let query = format!("SELECT row({columns})::text FROM {table}");
    let rows = client.query(&query, &[])?;
    let all: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    if all.len() != rows.len() {
        bail!("{table} holds a row twice");
    }
    Ok(all)
}

/// The engine's own count: nothing lost, set aside, stopped. How many changes it has read.
fn status_is_right(pair: &Pair) -> Result<u64> {
    let said = pair.seamount.must(&["status"], 0)?;
    let mut read = 0;
    for flow in said.objects("flow") {
        let counters = &flow["status"]["counters"];
        let health = flow["health"].as_str().unwrap_or_default();
        if !matches!(health, "OK" | "BEHIND" | "IDLE")
            || flow["letters"] != 0
            || counters["read"] == 0
        {
            bail!("status says {flow}");
        }
        read += counters["read"].as_u64().unwrap_or_default();
    }
    if said.summary("conserved") != true || read == 0 {
        bail!("status says that changes are not conserved: {}", said.complaint());
    }
    Ok(read)
}
