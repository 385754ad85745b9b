//! Makes a staged run of a memory target visible: everything, or nothing and the stage stays.
//!
//! The caller has checked holder and generation under the same lock.

use super::order::OrderedKey;
use super::site::{Site, Stage};
use super::table::Row;
use crate::error::{Error, Result};
use crate::target::{Load, Publish, Published, PublishedRun, TargetTable};
use change::planted::{Defect, is_planted};
use std::collections::BTreeSet;

pub(super) fn publish(site: &mut Site, publish: &Publish) -> Result<Published> {
    let newest = site.published.iter().rev();
    let newest = newest
        .map(|(flow, run)| (*flow, run))
        .find(|(flow, run)| *flow == publish.flow && run.interval == publish.interval);
    if let Some((_, before)) = newest
        && before.content == publish.content
        && !is_planted(Defect::PublishTwice)
    {
        let run = before.run;
        site.stages.remove(&publish.run);
        return Ok(Published::Already(run));
    }
    let stage = site.stages.get(&publish.run).cloned().unwrap_or_default();
    check_counts(&stage, publish)?;
    let (mut rows, mut removed) = (0, 0);
    for (table, _) in &publish.tables {
        let staged = stage.get(&table.name).map_or(&[][..], |rows| rows);
        match load(site, publish, table, staged) {
            Ok(gone) => removed += gone,
            Err(refused) => {
                site.tables.roll_back(0);
                return Err(refused);
            }
        }
        rows += staged.len() as u64;
    }
    site.tables.keep();
    site.advance(publish.flow, publish.generation, &publish.progress);
    site.stages.remove(&publish.run);
    let (interval, content) = (publish.interval.clone(), publish.content.clone());
    let (run, published_at) = (publish.run, publish.published_at);
    site.published
        .push((publish.flow, PublishedRun { interval, content, run, rows, published_at }));
    Ok(Published::Now { rows, removed })
}

/// The stage holds exactly what was counted on the way in.
fn check_counts(stage: &Stage, publish: &Publish) -> Result<()> {
    let lost = |table: &str, staged: usize, counted: u64| {
        Error::corrupt(format!("the stage of {table} does not hold what was put there"))
            .found(format!("{staged} rows, counted were {counted}"))
            .effect("nothing was published; the stage is as it was")
    };
    for (table, counted) in &publish.tables {
        let staged = stage.get(&table.name).map_or(0, Vec::len);
        if staged as u64 != *counted {
            return Err(lost(&table.name, staged, *counted));
        }
    }
    for (name, rows) in stage {
        if !rows.is_empty() && !publish.tables.iter().any(|(table, _)| table.name == *name) {
            return Err(lost(name, rows.len(), 0));
        }
    }
    Ok(())
}

/// Brings the rows of one table in; returns how many that were there are not any more.
fn load(site: &mut Site, publish: &Publish, table: &TargetTable, rows: &[Row]) -> Result<u64> {
    let gone = match publish.load {
        Load::Replace => replaced(site, publish, table)?,
        Load::Merge | Load::Append => Vec::new(),
    };
    for key in &gone {
        site.tables.remove(&table.name, key)?;
    }
    let mut written = BTreeSet::new();
    for row in rows {
        let (_, key) = site.complete(table, row)?;
        let before = key.as_ref().and_then(|key| site.row(&table.name, key));
        let twice = key.as_ref().is_some_and(|key| written.contains(key));
        if twice || (before.is_some() && publish.load != Load::Merge) {
            return Err(Error::refused(format!("a key of {} stands twice", table.name)));
        }
        site.put(table, row)?;
        written.extend(key);
    }
    Ok(gone.iter().filter(|key| !written.contains(key)).count() as u64)
}

/// Keys of the rows whose place the run takes.
fn replaced(site: &Site, publish: &Publish, table: &TargetTable) -> Result<Vec<OrderedKey>> {
    let Some(interval) = &publish.interval_rows else { return site.keys(table, |_, _| true) };
    let place = site.place(&table.name, &interval.column)?;
    site.keys(table, |_, row| row[place] == interval.value)
}
