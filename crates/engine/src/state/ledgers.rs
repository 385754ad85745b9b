//! Ledgers of tables, with the offset that each has folded: copies of what the log says, to be dropped at will.
//!
//! Only leaves that changed are written. A row without leaves says why a table has no ledger.

use super::{State, failed, optional, prepared};
use change::{Digest, FlowId, Generation, Key, LaneId, LogId, Offset, SnapshotId, TableSchema};
use connect::{Error, Result};
use proof::{Leaf, Ledger, LedgerHead};
use rusqlite::{Connection, Row, params};

/// Which ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerName {
    /// The flow.
    pub flow: FlowId,
    /// The lane that it folds.
    pub lane: LaneId,
    /// The table at the target.
    pub table: String,
}

/// A ledger, and what it was folded under.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLedger {
    /// The flow's generation.
    pub generation: Generation,
    /// The log that its offset counts in.
    pub log: LogId,
    /// The columns of the source that its rows are walked from.
    pub schema: TableSchema,
    /// The ledger.
    pub ledger: Ledger,
}

/// A ledger as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerNote {
    /// The lane.
    pub lane: LaneId,
    /// The table at the target.
    pub table: String,
    /// Every group up to here is folded.
    pub offset: Offset,
    /// How often its content began anew.
    pub epoch: u64,
    /// Rows in it.
    pub rows: u64,
    /// Its leaves.
    pub leaves: u64,
    /// Leaves whose content is looked up at the next check.
    pub dirty: u64,
    /// Whether it knows every key.
    pub whole: bool,
    /// Why it holds nothing.
    pub lacks: Option<String>,
}

impl State {
    /// A ledger as it was stored last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ledger(&self, name: &LedgerName) -> Result<Option<StoredLedger>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select generation, log, source_schema, folded_offset, base, epoch, snapshot, lacks, highest
             from ledger where flow = ?1 and lane = ?2 and target_table = ?3",
        )?;
        let key = params![name.flow.to_i64(), name.lane.to_i64(), name.table];
        let Some((generation, log, schema, head)) = optional(query.query_row(key, read_head))?
        else {
            return Ok(None);
        };
        if schema.is_empty() {
            return Ok(None);
        }
        let schema = serde_json::from_str(&schema)
            .map_err(|e| Error::corrupt("the columns of a ledger cannot be read").caused_by(e))?;
        let ledger = Ledger::stored(head, leaves(&db, name)?);
        Ok(Some(StoredLedger { generation, log, schema, ledger }))
    }

    /// Stores a ledger over `before`, the leaves that are stored.
    ///
    /// # Errors
    /// The file cannot be written; what was stored before is there then.
    pub fn store_ledger(
        &self,
        name: &LedgerName,
        stored: &StoredLedger,
        before: &[Leaf],
    ) -> Result<()> {
        let schema = text(&stored.schema)?;
        let head = stored.ledger.head();
        let highest = head.highest.as_ref().map(text).transpose()?;
        let now = stored.ledger.leaves();
        let uptos: Vec<Option<String>> = now
            .iter()
            .map(|leaf| leaf.upto.as_ref().map(text).transpose())
            .collect::<Result<_>>()?;
        let (flow, lane, table) = (name.flow.to_i64(), name.lane.to_i64(), &name.table);
        let mut db = self.db();
        let mut write = || -> rusqlite::Result<()> {
            let txn = db.transaction()?;
            txn.execute(
                "insert or replace into ledger values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    flow,
                    lane,
                    table,
                    stored.generation.to_i64(),
                    stored.log.to_i64(),
                    schema,
                    head.offset.to_i64(),
                    head.base.to_i64(),
                    head.epoch.cast_signed(),
                    head.snapshot.map(SnapshotId::to_i64),
                    head.lacks,
                    highest
                ],
            )?;
            if before.len() > now.len() {
                txn.execute(
                    "delete from ledger_leaf
                     where flow = ?1 and lane = ?2 and target_table = ?3 and place >= ?4",
                    params![flow, lane, table, now.len().cast_signed()],
                )?;
            }
            let mut put = txn.prepare_cached(
                "insert or replace into ledger_leaf values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            for (place, (leaf, upto)) in now.iter().zip(&uptos).enumerate() {
                if before.get(place) == Some(leaf) {
                    continue;
                }
                put.execute(params![
                    flow,
                    lane,
                    table,
                    place.cast_signed(),
                    upto,
                    leaf.digest.count.cast_signed(),
                    leaf.digest.sum.to_le_bytes(),
                    leaf.last.to_i64(),
                    leaf.dirty
                ])?;
            }
            drop(put);
            txn.commit()
        };
        write().map_err(failed("a ledger cannot be written"))
    }

    /// Says why a table has no ledger; whoever opens it asks again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn refuse_ledger(
        &self,
        name: &LedgerName,
        generation: Generation,
        why: &str,
    ) -> Result<()> {
        self.drop_ledger(name)?;
        self.db()
            .execute(
                "insert or replace into ledger values (?1, ?2, ?3, ?5, 0, '', 0, 0, 0, null, ?4, null)",
                params![
                    name.flow.to_i64(),
                    name.lane.to_i64(),
                    name.table,
                    why,
                    generation.to_i64()
                ],
            )
            .map_err(failed("a ledger cannot be written"))?;
        Ok(())
    }

    /// Drops one ledger.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn drop_ledger(&self, name: &LedgerName) -> Result<()> {
        let mut db = self.db();
        let mut write = || -> rusqlite::Result<()> {
            let txn = db.transaction()?;
            for table in ["ledger_leaf", "ledger"] {
                let sql = format!(
                    "delete from {table} where flow = ?1 and lane = ?2 and target_table = ?3"
                );
                let key = params![name.flow.to_i64(), name.lane.to_i64(), name.table];
                txn.execute(&sql, key)?;
            }
            txn.commit()
        };
        write().map_err(failed("a ledger cannot be dropped"))
    }

    /// Drops the ledgers of a flow: they are folded anew from what the log holds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn drop_ledgers(&self, flow: FlowId) -> Result<()> {
        let mut db = self.db();
        let mut write = || -> rusqlite::Result<()> {
            let txn = db.transaction()?;
            txn.execute("delete from ledger_leaf where flow = ?1", [flow.to_i64()])?;
            txn.execute("delete from ledger where flow = ?1", [flow.to_i64()])?;
            txn.commit()
        };
        write().map_err(failed("ledgers cannot be dropped"))
    }

    /// Drops the ledgers that a flow had under another definition.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn drop_older_ledgers(&self, flow: FlowId, generation: Generation) -> Result<()> {
        let mut db = self.db();
        let mut write = || -> rusqlite::Result<()> {
            let txn = db.transaction()?;
            let key = params![flow.to_i64(), generation.to_i64()];
            txn.execute(
                "delete from ledger_leaf where flow = ?1 and (lane, target_table) in
                     (select lane, target_table from ledger where flow = ?1 and generation <> ?2)",
                key,
            )?;
            txn.execute("delete from ledger where flow = ?1 and generation <> ?2", key)?;
            txn.commit()
        };
        write().map_err(failed("ledgers cannot be dropped"))
    }

    /// The ledgers of a flow, for `status`. None where the file is of an earlier version.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ledger_notes(&self, flow: FlowId) -> Result<Vec<LedgerNote>> {
        let db = self.db();
        let there = "select exists (select 1 from sqlite_schema where name = 'ledger_leaf')";
        if !db.query_row(there, [], |row| row.get(0)).map_err(failed("state.db cannot be read"))? {
            return Ok(Vec::new());
        }
        let mut query = prepared(
            &db,
            "select l.lane, l.target_table, l.folded_offset, l.epoch, l.lacks,
                    coalesce(sum(f.row_count), 0), count(f.place), coalesce(sum(f.dirty), 0),
                    coalesce(max(f.upto is null and f.place is not null), 0)
             from ledger l left join ledger_leaf f using (flow, lane, target_table)
             where l.flow = ?1 and l.generation = (select generation from flow where id = ?1)
             group by l.lane, l.target_table order by l.target_table, l.lane",
        )?;
        let notes = query.query_map([flow.to_i64()], read_note);
        let notes = notes.map_err(failed("state.db cannot be read"))?;
        notes.collect::<rusqlite::Result<_>>().map_err(failed("state.db cannot be read"))
    }
}

fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::internal("a ledger cannot be stored").caused_by(e))
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<(Generation, LogId, String, LedgerHead)> {
    let highest: Option<String> = row.get(8)?;
    let head = LedgerHead {
        offset: Offset::from_i64(row.get(3)?),
        base: Offset::from_i64(row.get(4)?),
        epoch: row.get::<_, i64>(5)?.cast_unsigned(),
        snapshot: row.get::<_, Option<i64>>(6)?.map(SnapshotId::from_i64),
        lacks: row.get(7)?,
        highest: highest.as_deref().map(key).transpose()?,
    };
    Ok((Generation::from_i64(row.get(0)?), LogId::from_i64(row.get(1)?), row.get(2)?, head))
}

fn leaves(db: &Connection, name: &LedgerName) -> Result<Vec<Leaf>> {
    let mut query = prepared(
        db,
        "select upto, row_count, row_sum, last_offset, dirty from ledger_leaf
         where flow = ?1 and lane = ?2 and target_table = ?3 order by place",
    )?;
    let all = query.query_map(params![name.flow.to_i64(), name.lane.to_i64(), name.table], |row| {
        let upto: Option<String> = row.get(0)?;
        let count = row.get::<_, i64>(1)?.cast_unsigned();
        let sum = u128::from_le_bytes(row.get(2)?);
        Ok(Leaf {
            upto: upto.as_deref().map(key).transpose()?,
            digest: Digest { count, sum },
            last: Offset::from_i64(row.get(3)?),
            dirty: row.get(4)?,
        })
    });
    let all = all.map_err(failed("state.db cannot be read"))?;
    all.collect::<rusqlite::Result<_>>().map_err(failed("state.db cannot be read"))
}

fn key(text: &str) -> rusqlite::Result<Key> {
    serde_json::from_str(text).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
    })
}

fn read_note(row: &Row<'_>) -> rusqlite::Result<LedgerNote> {
    let count = |place: usize| row.get::<_, i64>(place).map(i64::cast_unsigned);
    Ok(LedgerNote {
        lane: LaneId::from_i64(row.get(0)?),
        table: row.get(1)?,
        offset: Offset::from_i64(row.get(2)?),
        epoch: count(3)?,
        lacks: row.get(4)?,
        rows: count(5)?,
        leaves: count(6)?,
        dirty: count(7)?,
        whole: row.get(8)?,
    })
}
