//! Under which mask each table of a lane was logged, and from which place on.

use super::{State, failed};
use change::{LaneId, Offset};
use connect::{Error, Result};
use rusqlite::params;
use std::collections::BTreeSet;

/// The mask that a table of a lane is logged under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedMask {
    /// Its rules as text; empty: none.
    pub definition: String,
    /// Everything behind this place was logged under it.
    pub since: Offset,
}

fn name(lane: LaneId, table: &str) -> String {
    format!("mask:{lane}:{table}")
}

impl State {
    /// The mask that a table is logged under; one that was never seen has none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mask(&self, lane: LaneId, table: &str) -> Result<LoggedMask> {
        let Some(text) = self.setting(&name(lane, table))? else {
            return Ok(LoggedMask { definition: String::new(), since: Offset::START });
        };
        let (since, definition) = text.split_once('\n').unwrap_or((&text, ""));
        let since = since.parse().map(Offset).map_err(|e| {
            Error::corrupt("state.db names no place for a mask").found(table).caused_by(e)
        })?;
        Ok(LoggedMask { definition: definition.to_string(), since })
    }

    /// Puts a table under another mask from a place on. Its snapshot is forgotten, and the letters of the flows that
    /// read it: they hold rows as the old mask left them, and come again with the new snapshot.
    ///
    /// Whoever comes second with the same mask changes nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn change_mask(
        &self,
        lane: LaneId,
        table: &str,
        definition: &str,
        since: Offset,
        flows: &BTreeSet<&str>,
    ) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let mut db = self.db();
            let txn = db.transaction()?;
            let changed = txn.execute(
                "insert into setting (name, value) values (?1, ?2 || char(10) || ?3)
                 on conflict do update set value = excluded.value
                 where substr(setting.value, instr(setting.value, char(10)) + 1) <> ?3",
                params![name(lane, table), since.0.to_string(), definition],
            )?;
            if changed > 0 {
                txn.execute(
                    "update stream set snapshot = null, begin_offset = null, after_key = null,
                         complete = 0, end_offset = null
                     where lane = ?1 and source_table = ?2",
                    params![lane.to_i64(), table],
                )?;
                for flow in flows {
                    txn.execute(
                        "delete from letter where lane = ?1
                         and flow = (select id from flow where name = ?2)",
                        params![lane.to_i64(), flow],
                    )?;
                }
            }
            txn.commit()
        };
        write().map_err(failed("state.db cannot be written"))
    }
}
