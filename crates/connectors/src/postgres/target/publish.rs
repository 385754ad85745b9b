//! Makes a staged run visible over all its tables: everything, or nothing and the stage stays.
//!
//! The caller's transaction holds epoch and generation, and commits. How one table's rows meet those that are there
//! is `load`'s.

use super::super::book;
use super::super::error::failed;
use super::super::names::literal;
use super::load::Loading;
use super::session::{IN_BULK, Session};
use super::stage::{self, Stage};
use change::{FlowId, RunId};
use connect::target::{Publish, Published, PublishedRun};
use connect::{Error, Result};

/// Publishes, or finds that it was done before; with the statements that the commit has to carry.
pub(super) fn publish(
    session: &mut Session,
    publish: &Publish,
    first: bool,
) -> Result<(Published, String)> {
    session.script(IN_BULK, "cannot publish")?;
    if let Some(before) = published_before(session, publish)? {
        stage::discard(session, publish.run)?;
        return Ok((Published::Already(before), String::new()));
    }
    let stages = stage::of_run(session, publish.run)?;
    check_counts(session, &stages, publish)?;
    let (mut rows, mut removed) = (0, 0);
    for (table, counted) in &publish.tables {
        let stage = stages.iter().find(|stage| stage.target == table.name);
        removed += Loading::new(session, publish, table, *counted, stage)?.load(session)?;
        rows += counted;
    }
    stage::discard(session, publish.run)?;
    let last = book::advance(publish.flow, publish.generation, first, &publish.progress)
        + &record(publish, rows);
    Ok((Published::Now { rows, removed }, last))
}

/// The run that published the same content as the newest of its interval, if it did.
fn published_before(session: &mut Session, publish: &Publish) -> Result<Option<RunId>> {
    let sql = "SELECT run, content FROM _seamount.run WHERE flow = $1 AND interval = $2
         ORDER BY number DESC LIMIT 1";
    let newest = session
        .client()
        .query_opt(sql, &[&publish.flow.to_i64(), &publish.interval])
        .map_err(failed("cannot read the published runs"))?;
    Ok(newest
        .filter(|row| row.get::<_, &str>(1) == publish.content)
        .map(|row| RunId::from_i64(row.get(0))))
}

/// The stage holds exactly what was counted on the way in.
fn check_counts(session: &mut Session, stages: &[Stage], publish: &Publish) -> Result<()> {
    let mut expected: Vec<(&str, u64)> =
        publish.tables.iter().map(|(table, counted)| (table.name.as_str(), *counted)).collect();
    for stage in stages {
        if expected.iter().all(|(table, _)| *table != stage.target) {
            expected.push((&stage.target, 0));
        }
    }
    for (table, counted) in expected {
        let staged = match stages.iter().find(|stage| stage.target == table) {
            Some(stage) => {
                let sql = format!("SELECT count(*) FROM {}", stage.name.sql());
                let answers = session.script(&sql, "cannot count staged rows")?;
                answers.first().and_then(|answer| answer.number(0)).unwrap_or(0).cast_unsigned()
            }
            None => 0,
        };
        if staged != counted {
            return Err(Error::corrupt(format!(
                "the stage of {table} does not hold what was put there"
            ))
            .found(format!("{staged} rows, counted were {counted}"))
            .effect("nothing was published; the stage is as it was"));
        }
    }
    Ok(())
}

fn record(publish: &Publish, rows: u64) -> String {
    format!(
        "INSERT INTO _seamount.run (flow, interval, content, run, rows, published_at)
         VALUES ({}, {}, {}, {}, {}, {});",
        publish.flow.to_i64(),
        literal(&publish.interval),
        literal(&publish.content),
        publish.run.to_i64(),
        rows.cast_signed(),
        publish.published_at
    )
}

/// Runs of a flow, newest first.
pub(super) fn runs(session: &mut Session, flow: FlowId) -> Result<Vec<PublishedRun>> {
    if !book::exists(session.client())? {
        return Ok(Vec::new());
    }
    let sql = "SELECT interval, content, run, rows, published_at FROM _seamount.run
         WHERE flow = $1 ORDER BY number DESC";
    let rows = session
        .client()
        .query(sql, &[&flow.to_i64()])
        .map_err(failed("cannot read the published runs"))?;
    let run = |row: &postgres::Row| PublishedRun {
        interval: row.get(0),
        content: row.get(1),
        run: RunId::from_i64(row.get(2)),
        rows: row.get::<_, i64>(3).cast_unsigned(),
        published_at: row.get(4),
    };
    Ok(rows.iter().map(run).collect())
}
