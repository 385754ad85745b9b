//! G3: one huge transaction, from its commit until all of it is visible at the target, beside native replication.

use super::apply::drop_slots;
use super::copy::rows;
use super::native;
use super::pair::{DATABASE, Pair};
use super::process::Running;
use super::project::{Project, flow};
use crate::Place;
use crate::measure::{Goals, Reached, median};
use anyhow::Result;
use std::time::Instant;

/// Rows of the transaction, unless `SEAMOUNT_BENCH_ROWS` says another number.
const ROWS: u64 = 2_000_000;

/// Transactions for each.
const TIMES: usize = 3;

/// Measures.
pub(crate) fn run(goals: &mut Goals, place: &Place) -> Result<()> {
    let (pair, rows) = (Pair::start()?, rows(ROWS));
    pair.fill(1_000);
    let (mut natives, mut ours, mut rss) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TIMES {
        native::subscribe(&pair)?;
        natives.push(visible(&pair, rows)?);
        pair.require_equal()?;
        native::unsubscribe(&pair);
        again(&pair);
        let project = Project::write(place.folder()?, &pair, &flow("event"))?;
        let mut running = Running::start(&project.folder(), &["run"])?;
        native::until(|| count(&pair) >= 1_000)?;
        ours.push(visible(&pair, rows)?);
        pair.require_equal()?;
        rss = rss.max(running.so_far()?.peak_rss_mib);
        running.stop()?;
        drop_slots(&pair);
        again(&pair);
    }
    let rate = |seconds: &[f64]| rows as f64 / median(seconds);
    let (mine, native) = (rate(&ours), rate(&natives));
    println!(
        "one transaction of {rows} rows, commit to visible: ours {:.0} k rows/s, native {:.0} k; peak RSS {rss} MiB",
        mine / 1e3,
        native / 1e3
    );
    let ratio = mine / native;
    goals.note(
        "G3 one transaction",
        &format!("{ratio:.2}x native"),
        ">= 1.0x",
        Reached::at_least(ratio, 1.0),
    );
    goals.note(
        "G3 memory",
        &format!("{rss} MiB"),
        "<= 256 MiB",
        Reached::at_most(rss as f64, 256.0),
    );
    Ok(())
}

/// Commits the transaction; seconds until the target shows all of it.
fn visible(pair: &Pair, rows: u64) -> Result<f64> {
    pair.insert(1_001, 1_000 + rows);
    let began = Instant::now();
    native::until(|| count(pair) >= 1_000 + rows)?;
    Ok(began.elapsed().as_secs_f64())
}

fn count(pair: &Pair) -> u64 {
    pair.target.sql(DATABASE, "SELECT count(*) FROM sales").parse().unwrap_or(0)
}

fn again(pair: &Pair) {
    pair.source.sql(DATABASE, "DELETE FROM sales WHERE id > 1000");
    pair.source.sql(DATABASE, "VACUUM sales");
    pair.empty_target();
}
