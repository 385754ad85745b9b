//! Dead letters: changes set aside, each with its place, key, row and reason.
//!
//! A letter is durable before the target commits past its change. One whose place lies beyond the target's
//! progress is dropped at the start of the flow: its change will come again. What became of a letter by a write to the
//! target stands in the target; here it holds only as long as it stands there, and the target's word counts.

use super::{State, failed, prepared};
use change::{FlowId, LaneId, Offset, Op, Value};
use connect::{Error, Fate, LetterPlace, Result};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

/// A change to set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLetter {
    /// Its lane.
    pub lane: LaneId,
    /// Its group.
    pub offset: Offset,
    /// Its place in the group.
    pub ordinal: u32,
    /// The table at the target.
    pub table: String,
    /// Canonical bytes of its key; empty when it has none.
    pub key: Vec<u8>,
    /// The row as it would have been written; empty when the transform refused it.
    pub row: Vec<Value>,
    /// The names of its cells; empty in letters of versions that did not store them.
    pub columns: Vec<String>,
    /// Whether only these cells were sent: the row is there, and its other cells stand.
    pub in_part: bool,
    /// The row under the key it had before, where the change moves it: that key waits too, and goes at a replay.
    pub moved_from: Option<MovedFrom>,
    /// The kind of change.
    pub op: Op,
    /// Why, without row values.
    pub reason: String,
}

/// The key that a change moves a row away from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovedFrom {
    /// Its canonical bytes.
    pub key: Vec<u8>,
    /// The row under it.
    pub row: Vec<Value>,
}

impl NewLetter {
    /// Its place: its name in a target.
    pub fn place(&self) -> LetterPlace {
        LetterPlace { lane: self.lane, offset: self.offset, ordinal: self.ordinal }
    }

    /// Every key that waits with it, in canonical bytes.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.key).chain(self.moved_from.iter().map(|moved| &moved.key))
    }
}

/// A letter's rows as they are stored: earlier versions stored a row alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredRows {
    One(Vec<Value>),
    Named {
        columns: Vec<String>,
        row: Vec<Value>,
        moved_from: Option<MovedFrom>,
        #[serde(default)]
        in_part: bool,
    },
}

impl StoredRows {
    fn of(letter: &NewLetter) -> Self {
        StoredRows::Named {
            columns: letter.columns.clone(),
            row: letter.row.clone(),
            moved_from: letter.moved_from.clone(),
            in_part: letter.in_part,
        }
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterStatus {
    /// Waits.
    Parked,
    /// Was applied.
    Replayed,
    /// Was given up by an operator.
    Discarded,
}

impl LetterStatus {
    /// As a target records it; none while it waits.
    pub fn fate(self) -> Option<Fate> {
        match self {
            LetterStatus::Parked => None,
            LetterStatus::Replayed => Some(Fate::Replayed),
            LetterStatus::Discarded => Some(Fate::Discarded),
        }
    }

    fn word(self) -> &'static str {
        match self {
            LetterStatus::Parked => "parked",
            LetterStatus::Replayed => "replayed",
            LetterStatus::Discarded => "discarded",
        }
    }

    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "replayed" => LetterStatus::Replayed,
            "discarded" => LetterStatus::Discarded,
            _ => LetterStatus::Parked,
        }
    }
}

/// A stored letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Its number, growing with time.
    pub id: i64,
    /// What was set aside.
    pub change: NewLetter,
    /// When, microseconds since 1970-01-01T00:00:00Z.
    pub parked_at: i64,
    /// What became of it.
    pub status: LetterStatus,
    /// Who settled it, and why.
    pub note: Option<String>,
}

const COLUMNS: &str = "id, lane, log_offset, ordinal, target_table, key, row, op, reason, parked_at, \
                       status, note";

impl State {
    /// Sets changes aside, durably. A change that was set aside before is not doubled; one whose letter was settled
    /// waits again: the target has gone back behind it since.
    ///
    /// # Errors
    /// The file cannot be written: the target must not commit.
    pub fn park(&self, flow: FlowId, letters: &[NewLetter], parked_at: i64) -> Result<()> {
        let mut db = self.db();
        let txn = db.transaction().map_err(failed("letters cannot be written"))?;
        for letter in letters {
            let row = serde_json::to_string(&StoredRows::of(letter))
                .map_err(|e| Error::internal("a row cannot be stored").caused_by(e))?;
            txn.prepare_cached(
                "insert into letter
                 (flow, lane, log_offset, ordinal, target_table, key, row, op, reason, parked_at)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 on conflict (flow, lane, log_offset, ordinal) do update
                 set key = excluded.key, row = excluded.row, reason = excluded.reason,
                     status = 'parked', note = null, settled_at = null, at_target = 0
                 where letter.status <> 'parked'",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    flow.to_i64(),
                    letter.lane.to_i64(),
                    letter.offset.to_i64(),
                    letter.ordinal,
                    letter.table,
                    letter.key,
                    row,
                    letter.op as u8,
                    letter.reason,
                    parked_at
                ])
            })
            .map_err(failed("letters cannot be written"))?;
        }
        txn.commit().map_err(failed("letters cannot be written"))
    }

    /// Drops letters whose change lies beyond the target's progress: it will come again. Those that a write to the
    /// target has settled go too: the target was set back behind that write.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn drop_letters_beyond(&self, flow: FlowId, lane: LaneId, progress: Offset) -> Result<u64> {
        let dropped = self
            .db()
            .execute(
                "delete from letter where flow = ?1 and lane = ?2 and log_offset > ?3
                 and (status = 'parked' or at_target = 1)",
                params![flow.to_i64(), lane.to_i64(), progress.to_i64()],
            )
            .map_err(failed("letters cannot be written"))?;
        Ok(dropped as u64)
    }

    /// Settles the letters that wait for a table of a lane before a place where the source emptied it: a replay would
    /// bring rows that are gone. Says where they stand.
    ///
    /// # Errors
    /// The file cannot be written: the target must not commit.
    pub fn settle_emptied(
        &self,
        flow: FlowId,
        lane: LaneId,
        table: &str,
        (offset, ordinal): (Offset, u32),
        at: i64,
    ) -> Result<Vec<LetterPlace>> {
        let db = self.db();
        let mut update = prepared(
            &db,
            "update letter set status = 'discarded', settled_at = ?6, at_target = 1,
                 note = 'the source emptied the table at offset ' || ?4
             where flow = ?1 and lane = ?2 and target_table = ?3 and status = 'parked'
               and (log_offset < ?4 or (log_offset = ?4 and ordinal < ?5))
             returning log_offset, ordinal",
        )?;
        let before = params![flow.to_i64(), lane.to_i64(), table, offset.to_i64(), ordinal, at];
        let settled = update
            .query_map(before, |row| {
                let (offset, ordinal) = (Offset::from_i64(row.get(0)?), row.get(1)?);
                Ok(LetterPlace { lane, offset, ordinal })
            })
            .map_err(failed("letters cannot be written"))?;
        settled.collect::<rusqlite::Result<_>>().map_err(failed("letters cannot be written"))
    }

    /// Puts what is left of a letter in its place; the note says why it is less.
    ///
    /// # Errors
    /// The file cannot be written: the target must not commit.
    pub fn rewrite(&self, id: i64, left: &NewLetter, note: &str) -> Result<()> {
        let row = serde_json::to_string(&StoredRows::of(left))
            .map_err(|e| Error::internal("a row cannot be stored").caused_by(e))?;
        self.db()
            .execute(
                "update letter set key = ?2, row = ?3, op = ?4, note = ?5 where id = ?1",
                params![id, left.key, row, left.op as u8, note],
            )
            .map_err(failed("letters cannot be written"))?;
        Ok(())
    }

    /// Settles all letters of a flow's lane: a new snapshot reads every row again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle_superseded(&self, flow: FlowId, lane: LaneId, at: i64) -> Result<()> {
        self.db()
            .execute(
                "update letter set status = 'discarded', settled_at = ?3,
                     note = 'a new snapshot has read every row again'
                 where flow = ?1 and lane = ?2 and status = 'parked'",
                params![flow.to_i64(), lane.to_i64(), at],
            )
            .map_err(failed("letters cannot be written"))?;
        Ok(())
    }

    /// Letters of a flow, oldest first; only those that wait, unless `settled` asks for all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn letters(&self, flow: FlowId, which: Option<LetterStatus>) -> Result<Vec<Letter>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            &format!(
                "select {COLUMNS} from letter
                 where flow = ?1 and (?2 is null or status = ?2) order by id"
            ),
        )?;
        let rows = query
            .query_map(params![flow.to_i64(), which.map(LetterStatus::word)], read)
            .map_err(failed("letters cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("letters cannot be read"))
    }

    /// Number of letters that wait.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn letters_waiting(&self, flow: FlowId) -> Result<u64> {
        let db = self.db();
        let mut query =
            prepared(&db, "select count(*) from letter where flow = ?1 and status = 'parked'")?;
        let count: i64 = query
            .query_row([flow.to_i64()], |row| row.get(0))
            .map_err(failed("letters cannot be read"))?;
        Ok(count.unsigned_abs())
    }

    /// Settles letters: they are given up. It holds whatever their target says.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle(&self, ids: &[i64], status: LetterStatus, note: &str, at: i64) -> Result<()> {
        self.settle_as(ids, status, note, at, Holds::Always)
    }

    pub(super) fn settle_as(
        &self,
        ids: &[i64],
        status: LetterStatus,
        note: &str,
        at: i64,
        holds: Holds,
    ) -> Result<()> {
        let mut db = self.db();
        let txn = db.transaction().map_err(failed("letters cannot be written"))?;
        let sql = "update letter set status = ?2, note = ?3, settled_at = ?4, at_target = ?5
                   where id = ?1";
        for id in ids {
            txn.execute(sql, params![id, status.word(), note, at, holds == Holds::WhileRecorded])
                .map_err(failed("letters cannot be written"))?;
        }
        txn.commit().map_err(failed("letters cannot be written"))
    }
}

/// How long a settlement holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Whatever the target says.
    Always,
    /// As long as the target records it.
    WhileRecorded,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let text: String = row.get(6)?;
    let status: String = row.get(10)?;
    let rows: StoredRows = serde_json::from_str(&text).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, e.into())
    })?;
    let (columns, cells, moved_from, in_part) = match rows {
        StoredRows::One(row) => (Vec::new(), row, None, false),
        StoredRows::Named { columns, row, moved_from, in_part } => {
            (columns, row, moved_from, in_part)
        }
    };
    Ok(Letter {
        id: row.get(0)?,
        change: NewLetter {
            lane: LaneId::from_i64(row.get(1)?),
            offset: Offset::from_i64(row.get(2)?),
            ordinal: row.get(3)?,
            table: row.get(4)?,
            key: row.get(5)?,
            row: cells,
            columns,
            in_part,
            moved_from,
            op: Op::from_byte(row.get(7)?).unwrap_or(Op::Update),
            reason: row.get(8)?,
        },
        parked_at: row.get(9)?,
        status: LetterStatus::from_word(&status),
        note: row.get(11)?,
    })
}
