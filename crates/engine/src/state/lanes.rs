//! Lanes by site, their history, and how far the snapshot of each stream has come.

use super::{State, failed, optional, prepared};
use change::{History, Key, LaneId, Offset, SnapshotId};
use connect::{Error, Result};
use rusqlite::{Connection, params};

/// A site's lane.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneRecord {
    /// Its minted id.
    pub id: LaneId,
    /// The site.
    pub site: String,
    /// The history it was captured from; `None` before the first capture.
    pub history: Option<History>,
}

/// One table of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRecord {
    /// The table.
    pub table: String,
    /// Its newest snapshot; `None` when none was asked for.
    pub snapshot: Option<SnapshotState>,
}

/// How far a snapshot has come.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotState {
    /// Which one.
    pub id: SnapshotId,
    /// None of its chunks has a smaller offset. `None` in what an earlier version noted of a snapshot not yet begun.
    pub begin: Option<Offset>,
    /// The last chunk ended with this key.
    pub after: Option<Key>,
    /// Whether its last chunk is durable.
    pub complete: bool,
    /// Where that chunk stands. `None` before, and in what an earlier version noted.
    pub end: Option<Offset>,
}

impl SnapshotState {
    /// One that is wanted, and none of it read.
    pub fn wanted(id: SnapshotId, begin: Option<Offset>) -> Self {
        SnapshotState { id, begin, after: None, complete: false, end: None }
    }

    /// Whether chunks of it may still come behind a place.
    pub fn comes_behind(&self, place: Offset) -> bool {
        !self.complete || self.end.is_some_and(|end| end > place)
    }
}

impl State {
    /// The lane of a site; `None` before it was captured.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lane(&self, site: &str) -> Result<Option<LaneRecord>> {
        let db = self.db();
        let mut query = prepared(&db, "select id, system, identity from lane where site = ?1")?;
        optional(query.query_row([site], |row| {
            let system: Option<String> = row.get(1)?;
            let identity: Option<String> = row.get(2)?;
            let history =
                system.zip(identity).map(|(system, identity)| History { system, identity });
            Ok(LaneRecord { id: LaneId::from_i64(row.get(0)?), site: site.to_string(), history })
        }))
    }

    /// The lane of a site, minted if it has none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn lane_or(&self, site: &str, minted: LaneId) -> Result<LaneRecord> {
        self.db()
            .execute(
                "insert or ignore into lane (id, site) values (?1, ?2)",
                params![minted.to_i64(), site],
            )
            .map_err(failed("state.db cannot be written"))?;
        self.lane(site)?.ok_or_else(|| Error::internal("a lane just stored is not there"))
    }

    /// Records the history of a lane, once. Two live lanes with one history are a copied database.
    ///
    /// # Errors
    /// `Invalid` when another site's lane has this history.
    pub fn set_history(&self, lane: &LaneRecord, history: &History) -> Result<()> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select site from lane where system = ?1 and identity = ?2 and id <> ?3",
        )?;
        let twin: Option<String> = optional(
            query.query_row(params![history.system, history.identity, lane.id.to_i64()], |row| {
                row.get(0)
            }),
        )?;
        if let Some(twin) = twin {
            return Err(Error::invalid(format!(
                "sites {} and {twin} are one and the same history",
                lane.site
            ))
            .found("both databases carry the same capture identity: one is a copy of the other")
            .effect("nothing is captured from the copy, so that no change is counted twice")
            .fix("seamount resync FLOW gives the copy an identity of its own; or point one site elsewhere")
            .state(connect::State::HistoryChanged)
            .code("E0503"));
        }
        db.execute(
            "update lane set system = ?2, identity = ?3 where id = ?1",
            params![lane.id.to_i64(), history.system, history.identity],
        )
        .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// Forgets the history of a lane, so that its capture begins afresh, and wants its tables read again: both or none,
    /// since a capture that begins afresh has missed changes that only a snapshot makes good.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_history(&self, lane: LaneId, again: &[(String, SnapshotState)]) -> Result<()> {
        let mut db = self.db();
        let mut write = || -> rusqlite::Result<()> {
            let txn = db.transaction()?;
            txn.execute(
                "update lane set system = null, identity = null where id = ?1",
                [lane.to_i64()],
            )?;
            for (table, snapshot) in again {
                put_snapshot(&txn, lane, table, snapshot, None)?;
            }
            txn.commit()
        };
        write().map_err(failed("state.db cannot be written"))
    }

    /// A stream of a lane; one that was never seen has no snapshot.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stream(&self, lane: LaneId, table: &str) -> Result<StreamRecord> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select snapshot, begin_offset, after_key, complete, end_offset from stream
             where lane = ?1 and source_table = ?2",
        )?;
        let found = optional(query.query_row(params![lane.to_i64(), table], |row| {
            let id: Option<i64> = row.get(0)?;
            let begin: Option<i64> = row.get(1)?;
            let after: Option<String> = row.get(2)?;
            let complete: bool = row.get(3)?;
            let end: Option<i64> = row.get(4)?;
            Ok(id.map(|id| SnapshotState {
                id: SnapshotId::from_i64(id),
                begin: begin.map(Offset::from_i64),
                after: after.and_then(|text| serde_json::from_str(&text).ok()),
                complete,
                end: end.map(Offset::from_i64),
            }))
        }))?;
        Ok(StreamRecord { table: table.to_string(), snapshot: found.flatten() })
    }

    /// Tables of a lane that a snapshot was asked for.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn streams(&self, lane: LaneId) -> Result<Vec<String>> {
        let db = self.db();
        let mut query =
            prepared(&db, "select source_table from stream where lane = ?1 order by source_table")?;
        let rows = query
            .query_map([lane.to_i64()], |row| row.get(0))
            .map_err(failed("state.db cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("state.db cannot be read"))
    }

    /// Forgets a stream that is not captured any more: what the log holds of it has a gap from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_stream(&self, lane: LaneId, table: &str) -> Result<()> {
        self.db()
            .execute(
                "delete from stream where lane = ?1 and source_table = ?2",
                params![lane.to_i64(), table],
            )
            .map_err(failed("state.db cannot be written"))?;
        Ok(())
    }

    /// Stores how far a stream's snapshot has come.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_snapshot(&self, lane: LaneId, table: &str, snapshot: &SnapshotState) -> Result<()> {
        let after = snapshot.after.as_ref().map(serde_json::to_string).transpose();
        let after = after.map_err(|e| Error::internal("a key cannot be stored").caused_by(e))?;
        put_snapshot(&self.db(), lane, table, snapshot, after.as_deref())
            .map_err(failed("state.db cannot be written"))
    }
}

fn put_snapshot(
    db: &Connection,
    lane: LaneId,
    table: &str,
    snapshot: &SnapshotState,
    after: Option<&str>,
) -> rusqlite::Result<()> {
    db.execute(
        "insert into stream
             (lane, source_table, snapshot, begin_offset, after_key, complete, end_offset)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         on conflict do update set snapshot = excluded.snapshot,
             begin_offset = excluded.begin_offset, after_key = excluded.after_key,
             complete = excluded.complete, end_offset = excluded.end_offset",
        params![
            lane.to_i64(),
            table,
            snapshot.id.to_i64(),
            snapshot.begin.map(Offset::to_i64),
            after,
            snapshot.complete,
            snapshot.end.map(Offset::to_i64)
        ],
    )
    .map(drop)
}
