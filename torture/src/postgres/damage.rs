//! Rows at the target that are damaged behind the engine's back, one at a time, and what a proof must say of each.
//!
//! They are articles that the bank never touches, so that a damage stays until it is mended.

use super::pair::{Pair, Side};
use crate::random::Random;
use anyhow::{Result, bail};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Rows that nobody but the damage touches: so many articles of so many shelves, behind the bank's.
pub(crate) const QUIET: &str = "INSERT INTO item SELECT a, s, s, s / 7.0, 'quiet', NULL FROM generate_series(1000, 2999) a, generate_series(1, 100) s";

/// How long a change of ours may take to the target, under full load.
const ARRIVES_WITHIN: Duration = Duration::from_secs(120);

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Another value is written.
    WrongValue,
    /// The row is taken away.
    LostRow,
    /// A row that never was appears.
    GhostRow,
    /// An older version of the row is written again.
    StaleOverwrite,
    /// A row that was deleted is written again.
    LostDelete,
}

/// Every kind.
pub(crate) const ALL: [Damage; 5] = [
    Damage::WrongValue,
    Damage::LostRow,
    Damage::GhostRow,
    Damage::StaleOverwrite,
    Damage::LostDelete,
];

impl Damage {
    /// The kind that a proof must say, and the side. A row that holds what the log once said, or that lacks, could be
    /// the applier's fault; another value cannot.
    fn said_of(self) -> [&'static str; 2] {
        match self {
            Damage::WrongValue => ["changed", "foreign"],
            Damage::LostRow => ["missing", "apply"],
            Damage::GhostRow => ["extra", "foreign"],
            Damage::StaleOverwrite => ["stale", "apply"],
            Damage::LostDelete => ["resurrected", "apply"],
        }
    }

    /// Does it to a row by chance; the row's key.
    ///
    /// # Errors
    /// A server does not do what it is told, or a change does not arrive.
    pub(crate) fn done_to(self, pair: &Pair, chance: &mut Random) -> Result<[u64; 2]> {
        let shelf = chance.between(1, 100);
        let ghost = self == Damage::GhostRow;
        let article = chance.between(1_000, 2_999) + if ghost { 10_000 } else { 0 };
        let place = format!("article = {article} AND shelf = {shelf}");
        let (shop, mirror) = (&pair.source, &pair.target);
        match self {
            Damage::WrongValue => {
                must_touch(mirror, &format!("UPDATE item SET qty = qty - 1000000 WHERE {place}"))?;
            }
            Damage::LostRow => must_touch(mirror, &format!("DELETE FROM item WHERE {place}"))?,
            Damage::GhostRow => {
                let ghost = format!("INSERT INTO item VALUES ({article}, {shelf}, 1, 1, 'ghost')");
                must_touch(mirror, &ghost)?;
            }
            Damage::StaleOverwrite => {
                let newer = format!("newer {}", chance.bits());
                must_touch(shop, &format!("UPDATE item SET note = '{newer}' WHERE {place}"))?;
                let there = format!("SELECT count(*) FROM item WHERE {place} AND note = '{newer}'");
                arrives(mirror, &there, 1)?;
                must_touch(mirror, &format!("UPDATE item SET note = 'quiet' WHERE {place}"))?;
            }
            Damage::LostDelete => {
                let keep = format!("CREATE TABLE kept AS SELECT * FROM item WHERE {place}");
                mirror.connect()?.batch_execute(&keep)?;
                must_touch(shop, &format!("DELETE FROM item WHERE {place}"))?;
                arrives(mirror, &format!("SELECT count(*) FROM item WHERE {place}"), 0)?;
                must_touch(mirror, "INSERT INTO item SELECT * FROM kept")?;
                mirror.connect()?.batch_execute("DROP TABLE kept")?;
            }
        }
        Ok([article, shelf])
    }

    /// Fails unless the differences named are this one, and no other.
    ///
    /// # Errors
    /// What was named instead.
    pub(crate) fn must_be_all_of(self, named: &[&Value], key: [u64; 2]) -> Result<()> {
        let wanted = key.map(|cell| cell.to_string());
        let is_it = |found: &Value| {
            let cells = found["key"].as_array().map(Vec::as_slice).unwrap_or_default();
            [&found["kind"], &found["side"]] == self.said_of()
                && cells.iter().map(Value::as_str).eq(wanted.iter().map(|w| Some(w.as_str())))
        };
        match named {
            [one] if is_it(one) => Ok(()),
            _ => bail!("{self:?} of item {key:?} was done, and a proof names {named:?}"),
        }
    }
}

fn must_touch(side: &Side, statement: &str) -> Result<()> {
    match side.connect()?.execute(statement, &[])? {
        1 => Ok(()),
        rows => bail!("`{statement}` touched {rows} rows"),
    }
}

fn arrives(side: &Side, count: &str, wanted: i64) -> Result<()> {
    let (began, mut client) = (Instant::now(), side.connect()?);
    while client.query_one(count, &[])?.get::<_, i64>(0) != wanted {
        if began.elapsed() > ARRIVES_WITHIN {
            bail!("a change does not arrive: `{count}` is not {wanted}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
