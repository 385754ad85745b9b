//! (a) Event: while 38 shops write day after day, a service brings every sale to head office.

use crate::memory::Watched;
use crate::oracle::{self, Right};
use crate::scene::{LIVE, Scene, count};
use crate::shops::{Shops, Written};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// The most memory that the engine may use, in MB.
const MOST_MB: u64 = 256;

/// Runs the step.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(scene: &Scene) -> Result<Right> {
    let mut service = scene.seamount.start(&["run", LIVE])?;
    let memory = Watched::process(service.pid());
    let began = Instant::now();
    let shops = Shops::open(&scene.project)?;
    for day in &scene.days {
        shops.hand(day)?;
    }
    let shops = shops.close();
    while !shops.done() {
        service.must_live()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let written = shops.wait().context("the shops")?;
    let wrote = began.elapsed();
    scene.arrive(&mut service, written.rows)?;
    let arrived = began.elapsed();
    service.stop()?;
    let most_mb = memory.most_mb();
    let right = settle(scene, &written)?;
    let standing = scene.seamount.status(LIVE)?;
    let latency = standing
        .latency_ms
        .map_or("unknown".into(), |(p50, p99)| format!("p50 {p50} ms, p99 {p99} ms"));
    println!(
        "(a) event     {} rows in = out, {} transactions of 38 sites; revenue {}; written in {:.1} s, all there \
         {:.1} s later; latency {latency}; engine memory at most {} MB (limit {MOST_MB})",
        count(right.rows),
        count(written.transactions),
        right.revenue(),
        wrote.as_secs_f64(),
        (arrived - wrote).as_secs_f64(),
        most_mb.map_or("?".into(), |mb| mb.to_string()),
    );
    match most_mb {
        Some(mb) if mb > MOST_MB => bail!("the engine used {mb} MB"),
        _ => Ok(right),
    }
}

/// After the last change: nothing is left to move, every row is right, and every change has one fate.
///
/// # Errors
/// What does not hold.
pub(crate) fn settle(scene: &Scene, written: &Written) -> Result<Right> {
    let fates = scene.seamount.status(LIVE)?.fates;
    if !fates.conserved() {
        bail!("changes are not conserved: {fates:?}");
    }
    if fates.read < written.rows || fates.parked > 0 || fates.filtered > 0 || fates.stale > 0 {
        bail!("{} rows were written, and the fates are {fates:?}", written.rows);
    }
    scene.seamount.must(&["run", LIVE, "--once"])?;
    let right = oracle::check_sales(&scene.central()?, &scene.days)?;
    if right.rows != written.rows {
        bail!("the shops wrote {} rows, the files have {}", written.rows, right.rows);
    }
    Ok(right)
}
