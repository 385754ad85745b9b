//! What all steps of a run share: the project, the binary, the days; and how a step waits for the centre.

use crate::data::{self, Day};
use crate::options::Options;
use crate::project::{Project, open};
use crate::seamount::{Running, Seamount};
use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// The flow of the steps (a) and (c).
pub(crate) const LIVE: &str = "sales-live";

/// How long nothing may arrive at the centre while rows are missing there.
const STALLED_AFTER: Duration = Duration::from_secs(60);

const LOOK_EACH: Duration = Duration::from_millis(50);

/// A project with its data, before the first step.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) project: Project,
    pub(crate) seamount: Seamount,
    pub(crate) days: Vec<Day>,
    pub(crate) seed: u64,
}

impl Scene {
    /// Builds it, and lets Seamount check the project.
    ///
    /// # Errors
    /// Data or binary are not there, or the project does not check.
    pub(crate) fn build(options: &Options) -> Result<Scene> {
        let project = Project::create(options.keep.as_deref())?;
        let seamount = Seamount::new(&options.seamount, project.root())?;
        let (days, origin) = data::prepare(options, &project.export())?;
        let checked = seamount.must(&["check"]).context("the project does not check")?;
        let says = checked.summary("text").as_str().unwrap_or_default();
        println!("project   {} days, {origin}; check: {says}", days.len());
        Ok(Scene { project, seamount, days, seed: options.seed })
    }

    /// Head office's database.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn central(&self) -> Result<Connection> {
        open(&self.project.central())
    }

    /// Waits while a service moves `rows` rows to the centre.
    ///
    /// # Errors
    /// The service ends, or rows stop coming while some are missing.
    pub(crate) fn arrive(&self, service: &mut Running, rows: u64) -> Result<()> {
        let central = self.central()?;
        let (mut most, mut since) = (0, Instant::now());
        loop {
            service.must_live()?;
            let there = sales_in(&central)?;
            if there == rows {
                return Ok(());
            }
            if there > most {
                (most, since) = (there, Instant::now());
            }
            if since.elapsed() > STALLED_AFTER {
                bail!("{there} of {rows} rows have arrived, and no more come");
            }
            std::thread::sleep(LOOK_EACH);
        }
    }
}

/// Rows in the table of sales; 0 while it is not there yet.
fn sales_in(database: &Connection) -> Result<u64> {
    let there: i64 = database.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sale'",
        [],
        |row| row.get(0),
    )?;
    if there == 0 {
        return Ok(0);
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM sale", [], |row| row.get(0))?;
    u64::try_from(rows).context("a count")
}

/// A number with commas between its thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(["0", "999", "1,000", "541,909"], [0, 999, 1_000, 541_909].map(count));
    }
}
