//! Our bookkeeping beside the user's tables: who may write, which generation, how far, which runs, and what
//! became of changes that were set aside.
//!
//! Everything here runs on a connection whose transaction the caller has opened. A cut reads progress with the
//! same code, in the snapshot of its rows.

use super::catalogue::has_table;
use super::error::failed;
use change::planted::{Defect, is_planted};
use change::{FlowId, Generation, HolderId, LaneId, LogId, Offset, SourcePosition};
use connect::target::{Counters, Fate, Fates, FlowProgress, LaneProgress, LetterPlace};
use connect::{Error, Result, State};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _seamount_epoch (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    holder INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS _seamount_flow (
    flow INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    wrote INTEGER
);
CREATE TABLE IF NOT EXISTS _seamount_progress (
    flow INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    log INTEGER NOT NULL,
    \"offset\" INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    detail TEXT,
    read INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    superseded INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    deduplicated INTEGER NOT NULL,
    stale INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    swept INTEGER NOT NULL,
    repaired INTEGER NOT NULL,
    PRIMARY KEY (flow, lane)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _seamount_letter (
    flow INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    \"offset\" INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    fate TEXT NOT NULL,
    PRIMARY KEY (flow, lane, \"offset\", ordinal)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _seamount_run (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    flow INTEGER NOT NULL,
    interval TEXT NOT NULL,
    content TEXT NOT NULL,
    run INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    published_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS _seamount_run_interval ON _seamount_run (flow, interval);
CREATE TABLE IF NOT EXISTS _seamount_stage (
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (run, number),
    UNIQUE (run, target)
) WITHOUT ROWID;
";

/// Creates what is missing of the bookkeeping.
pub(super) fn create(connection: &Connection) -> Result<()> {
    connection.execute_batch(TABLES).map_err(failed("cannot create the bookkeeping tables"))
}

/// Whether there is bookkeeping at all.
pub(super) fn exists(connection: &Connection) -> Result<bool> {
    has_table(connection, "_seamount_progress")
}

/// The holder that the epoch shows.
pub(super) fn holder(connection: &Connection) -> Result<Option<HolderId>> {
    connection
        .prepare_cached("SELECT holder FROM _seamount_epoch")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map(|holder| holder.map(HolderId::from_i64))
        .map_err(failed("cannot read the epoch"))
}

/// Records the holder.
pub(super) fn set_holder(connection: &Connection, holder: HolderId) -> Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO _seamount_epoch VALUES (1, ?1)", [holder.to_i64()])
        .map(drop)
        .map_err(failed("cannot write the epoch"))
}

/// Fails unless this engine is the one that may write.
pub(super) fn require_holder(connection: &Connection, ours: Option<HolderId>) -> Result<()> {
    if is_planted(Defect::NoEpochCheck) || is_planted(Defect::EpochAtConnectOnly) {
        return Ok(());
    }
    let Some(ours) = ours else {
        return Err(fenced("this engine has not claimed the target"));
    };
    match holder(connection)? {
        Some(shown) if shown == ours => Ok(()),
        Some(shown) => Err(fenced("another engine writes to this target")
            .found(format!("the epoch is held by {shown}"))),
        None => Err(fenced("the claim on this target is gone")
            .found("the epoch is empty: the database was replaced or restored")),
    }
}

/// Fails unless this is the flow's generation.
pub(super) fn require_generation(
    connection: &Connection,
    flow: FlowId,
    generation: Generation,
) -> Result<()> {
    let adopted: Option<i64> = connection
        .prepare_cached("SELECT generation FROM _seamount_flow WHERE flow = ?1")
        .and_then(|mut s| s.query_row([flow.to_i64()], |row| row.get(0)).optional())
        .map_err(failed("cannot read the flow's generation"))?;
    match adopted.map(Generation::from_i64) {
        Some(adopted) if adopted == generation => Ok(()),
        Some(adopted) => Err(fenced("the flow has another generation at this target")
            .found(format!("{adopted}, this work is of {generation}"))),
        None => Err(fenced("the flow has no generation at this target")),
    }
}

pub(super) fn fenced(what: &str) -> Error {
    Error::conflict(what)
        .state(State::Fenced)
        .effect("nothing was written")
        .fix("stop the other engine, or take the target over")
}

/// Records a flow's generation; progress of the one before stays until the first commit.
pub(super) fn adopt(connection: &Connection, flow: FlowId, generation: Generation) -> Result<()> {
    connection
        .execute(
            "INSERT INTO _seamount_flow (flow, generation) VALUES (?1, ?2)
             ON CONFLICT (flow) DO UPDATE SET generation = excluded.generation",
            [flow.to_i64(), generation.to_i64()],
        )
        .map(drop)
        .map_err(failed("cannot record the flow's generation"))
}

/// A flow's progress under the generation that wrote it.
pub(super) fn progress(connection: &Connection, flow: FlowId) -> Result<Option<FlowProgress>> {
    if !exists(connection)? {
        return Ok(None);
    }
    let read = || -> rusqlite::Result<Option<FlowProgress>> {
        let wrote: Option<Option<i64>> = connection
            .prepare_cached("SELECT wrote FROM _seamount_flow WHERE flow = ?1")?
            .query_row([flow.to_i64()], |row| row.get(0))
            .optional()?;
        let Some(wrote) = wrote.flatten() else { return Ok(None) };
        let lanes: BTreeMap<LaneId, LaneProgress> = connection
            .prepare_cached(
                "SELECT lane, log, \"offset\", sequence, detail, read, applied, superseded, filtered,
                        deduplicated, stale, parked, swept, repaired
                 FROM _seamount_progress WHERE flow = ?1",
            )?
            .query_map([flow.to_i64()], |row| lane_progress(row).map(|lane| (lane.lane, lane)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(FlowProgress { generation: Generation::from_i64(wrote), lanes }))
    };
    read().map_err(failed("cannot read the flow's progress"))
}

fn lane_progress(row: &Row<'_>) -> rusqlite::Result<LaneProgress> {
    let count = |i: usize| row.get::<_, i64>(i).map(i64::cast_unsigned);
    Ok(LaneProgress {
        lane: LaneId::from_i64(row.get(0)?),
        log: LogId::from_i64(row.get(1)?),
        offset: Offset::from_i64(row.get(2)?),
        position: SourcePosition { sequence: count(3)?, detail: row.get(4)? },
        counters: Counters {
            read: count(5)?,
            applied: count(6)?,
            superseded: count(7)?,
            filtered: count(8)?,
            deduplicated: count(9)?,
            stale: count(10)?,
            parked: count(11)?,
            swept: count(12)?,
            repaired: count(13)?,
        },
    })
}

/// What became of a flow's letters.
pub(super) fn letters(connection: &Connection, flow: FlowId) -> Result<Fates> {
    if !has_table(connection, "_seamount_letter")? {
        return Ok(Fates::new());
    }
    let read = || -> rusqlite::Result<Vec<(LetterPlace, String)>> {
        connection
            .prepare_cached(
                "SELECT lane, \"offset\", ordinal, fate FROM _seamount_letter WHERE flow = ?1",
            )?
            .query_map([flow.to_i64()], |row| {
                let lane = LaneId::from_i64(row.get(0)?);
                let (offset, ordinal) = (Offset::from_i64(row.get(1)?), row.get(2)?);
                Ok((LetterPlace { lane, offset, ordinal }, row.get(3)?))
            })?
            .collect()
    };
    let fate = |word: &str| {
        Fate::from_word(word).ok_or_else(|| {
            Error::corrupt("the target records a fate of a letter that this version does not know")
                .found(word)
                .effect("the flow stands; nothing was written")
                .fix("run the newer seamount")
        })
    };
    read()
        .map_err(failed("cannot read the flow's letters"))?
        .into_iter()
        .map(|(place, word)| Ok((place, fate(&word)?)))
        .collect()
}

/// Records how it stands with letters.
pub(super) fn record_letters(
    connection: &Connection,
    flow: FlowId,
    fates: &[(LetterPlace, Fate)],
) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(
            "INSERT OR REPLACE INTO _seamount_letter VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (LetterPlace { lane, offset, ordinal }, fate) in fates {
            insert.execute(params![
                flow.to_i64(),
                lane.to_i64(),
                offset.to_i64(),
                ordinal,
                fate.word()
            ])?;
        }
        Ok(())
    };
    write().map_err(failed("cannot write the flow's letters"))
}

/// Records progress; what an older generation wrote goes.
pub(super) fn advance(
    connection: &Connection,
    flow: FlowId,
    generation: Generation,
    progress: &[LaneProgress],
) -> Result<()> {
    let write = || -> rusqlite::Result<()> {
        let first = connection
            .prepare_cached(
                "UPDATE _seamount_flow SET wrote = ?2 WHERE flow = ?1 AND wrote IS NOT ?2",
            )?
            .execute([flow.to_i64(), generation.to_i64()])?;
        if first > 0 {
            connection
                .prepare_cached("DELETE FROM _seamount_progress WHERE flow = ?1")?
                .execute([flow.to_i64()])?;
        }
        for lane in progress {
            write_lane(connection, flow, lane)?;
        }
        Ok(())
    };
    write().map_err(failed("cannot write the flow's progress"))
}

fn write_lane(connection: &Connection, flow: FlowId, lane: &LaneProgress) -> rusqlite::Result<()> {
    let c = &lane.counters;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO _seamount_progress
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            flow.to_i64(),
            lane.lane.to_i64(),
            lane.log.to_i64(),
            lane.offset.to_i64(),
            lane.position.sequence.cast_signed(),
            lane.position.detail,
            c.read.cast_signed(),
            c.applied.cast_signed(),
            c.superseded.cast_signed(),
            c.filtered.cast_signed(),
            c.deduplicated.cast_signed(),
            c.stale.cast_signed(),
            c.parked.cast_signed(),
            c.swept.cast_signed(),
            c.repaired.cast_signed(),
        ])
        .map(drop)
}
