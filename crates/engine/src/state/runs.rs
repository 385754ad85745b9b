//! What ran: one record for each batch run, written before it begins and closed when it ends.

use super::{State, failed, optional, prepared};
use change::{FlowId, RunId};
use connect::Result;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// At work, or cut off by a crash.
    Running,
    /// Visible at the target.
    Published,
    /// The same interval with the same content had been published before.
    Already,
    /// Data was rejected: nothing was published.
    Rejected,
    /// Something else failed: nothing was published.
    Failed,
}

impl RunState {
    /// The word that is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Published => "published",
            RunState::Already => "already published",
            RunState::Rejected => "rejected",
            RunState::Failed => "failed",
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "published" => RunState::Published,
            "already published" => RunState::Already,
            "rejected" => RunState::Rejected,
            "failed" => RunState::Failed,
            _ => RunState::Running,
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Its flow.
    pub flow: FlowId,
    /// What it covers.
    pub interval: String,
    /// How it stands.
    pub state: RunState,
    /// When it began, microseconds since 1970-01-01T00:00:00Z.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Rows read at the sources.
    pub rows_read: u64,
    /// Rows published.
    pub rows_out: u64,
    /// Rows that the filter left out (row-wise transforms only).
    pub filtered: u64,
    /// Why it failed, or what its checks warned of.
    pub detail: Option<String>,
    /// Who asked: the schedule, or a person.
    pub asked_by: String,
}

const COLUMNS: &str = "id, flow, interval, state, started_at, ended_at, rows_read, rows_out, filtered, \
                       detail, asked_by";

impl State {
    /// Writes a run as it stands.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_run(&self, run: &RunRecord) -> Result<()> {
        self.db()
            .execute(
                &format!(
                    "insert or replace into run ({COLUMNS})
                     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                ),
                params![
                    run.id.to_i64(),
                    run.flow.to_i64(),
                    run.interval,
                    run.state.word(),
                    run.started_at,
                    run.ended_at,
                    run.rows_read.cast_signed(),
                    run.rows_out.cast_signed(),
                    run.filtered.cast_signed(),
                    run.detail,
                    run.asked_by
                ],
            )
            .map_err(failed("runs cannot be written"))?;
        Ok(())
    }

    /// Runs of a flow, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs(&self, flow: FlowId, most: usize) -> Result<Vec<RunRecord>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            &format!(
                "select {COLUMNS} from run where flow = ?1 order by started_at desc, id limit ?2"
            ),
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query
            .query_map(params![flow.to_i64(), most], read)
            .map_err(failed("runs cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("runs cannot be read"))
    }

    /// One run.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn run(&self, id: RunId) -> Result<Option<RunRecord>> {
        let db = self.db();
        let mut query = prepared(&db, &format!("select {COLUMNS} from run where id = ?1"))?;
        optional(query.query_row([id.to_i64()], read))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let state: String = row.get(3)?;
    Ok(RunRecord {
        id: RunId::from_i64(row.get(0)?),
        flow: FlowId::from_i64(row.get(1)?),
        interval: row.get(2)?,
        state: RunState::from_word(&state),
        started_at: row.get(4)?,
        ended_at: row.get(5)?,
        rows_read: row.get::<_, i64>(6)?.cast_unsigned(),
        rows_out: row.get::<_, i64>(7)?.cast_unsigned(),
        filtered: row.get::<_, i64>(8)?.cast_unsigned(),
        detail: row.get(9)?,
        asked_by: row.get(10)?,
    })
}
