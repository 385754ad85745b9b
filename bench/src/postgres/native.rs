//! PostgreSQL's own logical replication between the same clusters: the anchor.

use super::pair::{DATABASE, Pair};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Creates publication and subscription; returns when the initial copy is done.
pub(super) fn subscribe(pair: &Pair) -> Result<Duration> {
    pair.source.sql(DATABASE, "CREATE PUBLICATION anchor FOR TABLE sales");
    let source = pair.source.url(DATABASE);
    let began = Instant::now();
    pair.target.sql(
        DATABASE,
        &format!("CREATE SUBSCRIPTION anchor CONNECTION '{source}' PUBLICATION anchor"),
    );
    until(|| {
        let ready = "SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel";
        pair.target.sql(DATABASE, ready) == "t"
    })?;
    Ok(began.elapsed())
}

/// Removes both.
pub(super) fn unsubscribe(pair: &Pair) {
    pair.target.sql(DATABASE, "DROP SUBSCRIPTION anchor");
    pair.source.sql(DATABASE, "DROP PUBLICATION anchor");
}

/// Stops or starts the subscription's worker.
pub(super) fn enable(pair: &Pair, verb: &str) {
    pair.target.sql(DATABASE, &format!("ALTER SUBSCRIPTION anchor {verb}"));
}

/// Until the subscriber has applied everything up to a place in the source's log.
pub(super) fn wait_for(pair: &Pair, lsn: &str) -> Result<()> {
    let applied = format!(
        "SELECT coalesce(bool_or(replay_lsn >= '{lsn}'::pg_lsn), false) FROM pg_stat_replication \
         WHERE application_name = 'anchor'"
    );
    until(|| pair.source.sql(DATABASE, &applied) == "t")
}

/// Asks again until it is so.
pub(super) fn until(mut so: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !so() {
        ensure!(began.elapsed() < PATIENCE, "it takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
