//! Applying: rows and progress in one transaction, staged runs, and who may write.
//!
//! Bookkeeping lives beside the user's tables and travels with them in a backup: one row for the epoch, one for
//! each flow's generation, one for each (flow, lane) with its progress and counters, one for each published run, and one
//! for each change that was set aside and is settled.

use crate::encoded::{EncodedRows, Encoding};
use crate::error::{Error, Result};
use crate::read::{KeyRange, Owner, Readable};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use change::{
    ColumnType, FlowId, Generation, HolderId, LaneId, LogId, Offset, RunId, SourcePosition,
    TableSchema, Value,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

/// A table as a flow writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetTable {
    /// Its name at the target.
    pub name: String,
    /// Columns and key after the transform.
    pub schema: Arc<TableSchema>,
    /// The only rows that this work may touch: one site's share of a table that many sites write.
    pub owner: Option<Owner>,
}

impl TargetTable {
    /// Fails when a row says it belongs to another owner than the work is for.
    ///
    /// # Errors
    /// `Refused` then; `Invalid` when the rows have no owner column.
    pub fn require_owner(&self, rows: &RecordBatch) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let place = self.schema.index_of(&owner.column).ok_or_else(|| {
            Error::invalid(format!("owner column {} is not written by the flow", owner.column))
        })?;
        let ty = self.schema.columns()[place].ty;
        let array = rows.column(place).as_ref();
        let ours = match (&owner.value, ty) {
            (Value::Text(wanted), ColumnType::Text) => {
                array.null_count() == 0
                    && array.as_string::<i32>().iter().all(|found| found == Some(wanted.as_str()))
            }
            (Value::Int(wanted), ColumnType::Int64) => {
                array.null_count() == 0
                    && array
                        .as_primitive::<Int64Type>()
                        .values()
                        .iter()
                        .all(|found| found == wanted)
            }
            (wanted, _) => (0..rows.num_rows()).all(|row| Value::read(array, ty, row) == *wanted),
        };
        if ours {
            return Ok(());
        }
        Err(Error::refused(format!("a row for {} belongs to another owner", self.name)))
    }
}

/// Rows to write, all of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum RowWork {
    /// Insert or overwrite by key.
    Upsert(RecordBatch),
    /// Rows known to be new; the target may use its fastest way and falls back to an upsert.
    Insert(RecordBatch),
    /// Overwrite by key the cells of rows that are there, in a table narrowed to its key and the columns that were
    /// sent; others stand as they are. A key that is not there is no error: the rows affected tell.
    Update(RecordBatch),
    /// Delete by key; the batch has the key columns only, in key order. A key that is not there is no error.
    Delete(RecordBatch),
}

impl RowWork {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            RowWork::Upsert(rows)
            | RowWork::Insert(rows)
            | RowWork::Update(rows)
            | RowWork::Delete(rows) => rows.num_rows(),
        }
    }
}

/// The fate of every change a flow has read from a lane, counted. At any commit
/// `read = applied + superseded + filtered + deduplicated + stale + parked`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Changes read from the log.
    pub read: u64,
    /// Changes whose effect was written.
    pub applied: u64,
    /// Changes overtaken by a later one of the same key in the same batch.
    pub superseded: u64,
    /// Changes that the transform filters out, or of tables the flow does not want.
    pub filtered: u64,
    /// Changes seen before.
    pub deduplicated: u64,
    /// Changes older than what is there, by `order_by`.
    pub stale: u64,
    /// Changes set aside.
    pub parked: u64,
    /// Target rows removed because a snapshot did not hold them; not a fate of a change.
    pub swept: u64,
    /// Target rows mended after a proof; not a fate of a change.
    pub repaired: u64,
}

impl Counters {
    /// Whether every change read has exactly one fate.
    pub fn conserved(&self) -> bool {
        self.read
            == self.applied
                + self.superseded
                + self.filtered
                + self.deduplicated
                + self.stale
                + self.parked
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.read += other.read;
        self.applied += other.applied;
        self.superseded += other.superseded;
        self.filtered += other.filtered;
        self.deduplicated += other.deduplicated;
        self.stale += other.stale;
        self.parked += other.parked;
        self.swept += other.swept;
        self.repaired += other.repaired;
    }
}

/// How far a flow has come in a lane: (log id, lane, offset). The source position is payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneProgress {
    /// The log whose offsets these are.
    pub log: LogId,
    /// The lane.
    pub lane: LaneId,
    /// The newest group whose effect is in the target; always the last part of its transaction.
    pub offset: Offset,
    /// Source position of that group's end.
    pub position: SourcePosition,
    /// What became of all changes up to there.
    pub counters: Counters,
}

/// A flow's progress in a target, over all its lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowProgress {
    /// The generation that wrote it.
    pub generation: Generation,
    /// Progress by lane.
    pub lanes: BTreeMap<LaneId, LaneProgress>,
}

/// The place of a change that a flow has set aside: a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterPlace {
    /// Its lane.
    pub lane: LaneId,
    /// Its group.
    pub offset: Offset,
    /// Its place in the group.
    pub ordinal: u32,
}

/// How it stands with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was set aside and waits: whoever lacks it has lost it.
    Waits,
    /// Its change was written after all.
    Replayed,
    /// Its change will not be written: a person gave it up, or what came behind it overtook it.
    Discarded,
}

impl Fate {
    /// As bookkeeping stores it.
    pub fn word(self) -> &'static str {
        match self {
            Fate::Waits => "waits",
            Fate::Replayed => "replayed",
            Fate::Discarded => "discarded",
        }
    }

    /// As bookkeeping has stored it.
    pub fn from_word(word: &str) -> Option<Self> {
        [Fate::Waits, Fate::Replayed, Fate::Discarded].into_iter().find(|fate| fate.word() == word)
    }
}

/// The letters of a flow that are settled.
pub type Fates = BTreeMap<LetterPlace, Fate>;

/// Who wants to write. The holder is random and new at every start of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What the target is asked to record.
    pub holder: HolderId,
    /// The holders it may show now: those this engine has recorded for itself. A target that shows another is
    /// owned by somebody else.
    pub known: Vec<HolderId>,
    /// Take it over all the same: the operator said so.
    pub take_over: bool,
}

/// How a run's rows meet those that are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// The run's rows take the place of all rows (of the owner, or of the interval).
    Replace,
    /// The run's rows are upserted by key.
    Merge,
    /// The run's rows are added; its idempotency key keeps a second time from adding again.
    Append,
}

/// A staged run to be made visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The flow and the generation it was staged under; refused when the target knows a newer one.
    pub flow: FlowId,
    /// See `flow`.
    pub generation: Generation,
    /// The run.
    pub run: RunId,
    /// Part of the idempotency key: what the run covers. The same interval with the same content is published
    /// once; with other content it is restated.
    pub interval: String,
    /// Fingerprint of the run's inputs.
    pub content: String,
    /// How rows meet.
    pub load: Load,
    /// With `Load::Replace`: only rows whose column has this value are replaced.
    pub interval_rows: Option<Owner>,
    /// The tables staged, with the number of rows counted on the way in; refused when the stage holds another.
    pub tables: Vec<(TargetTable, u64)>,
    /// Progress that goes with it: the lane offsets of the cut, so that events start from there.
    pub progress: Vec<LaneProgress>,
    /// Wall time, microseconds since 1970-01-01T00:00:00Z.
    pub published_at: i64,
}

/// What publishing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The run is visible now.
    Now {
        /// Rows the target holds of it.
        rows: u64,
        /// Rows that were there before and are not any more.
        removed: u64,
    },
    /// The same interval with the same content was published before; the stage was discarded.
    Already(RunId),
}

/// A run as the target records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRun {
    /// What it covers.
    pub interval: String,
    /// Fingerprint of its inputs.
    pub content: String,
    /// The run.
    pub run: RunId,
    /// Its rows.
    pub rows: u64,
    /// When, microseconds since 1970-01-01T00:00:00Z.
    pub published_at: i64,
}

/// A site that flows write to.
///
/// Contract, run by `conformance::target`: see each method. Every write checks the epoch's holder and the flow's
/// generation inside its own transaction, first.
pub trait Target: Readable {
    /// Creates our bookkeeping and the tables that are missing, and adds nullable columns that are missing.
    ///
    /// # Errors
    /// `Invalid` (`State::SchemaBlocked`) when a table is there with another key or incompatible columns.
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()>;

    /// Becomes the one engine that may write here.
    ///
    /// # Errors
    /// `Conflict` (`State::Fenced`) when the target shows a holder that is not among the known ones.
    fn claim(&mut self, claim: &Claim) -> Result<()>;

    /// Records the flow's generation; from then on work of older generations is refused. Progress of an older
    /// generation stays readable until the first commit of the new one removes it.
    ///
    /// # Errors
    /// `Conflict` when the epoch is held by another engine.
    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()>;

    /// A flow's progress, `None` when it never wrote here.
    ///
    /// # Errors
    /// The site is gone.
    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>>;

    /// What became of a flow's letters, as committed transactions have recorded it, whatever their generation. A
    /// letter that waits has no record.
    ///
    /// # Errors
    /// The site is gone.
    fn letters(&mut self, flow: FlowId) -> Result<Fates>;

    /// Opens a transaction: the epoch and the generation are checked and locked first.
    ///
    /// # Errors
    /// `Conflict` (`State::Fenced`) when another engine or a newer generation has taken over; `Unavailable` when
    /// locked.
    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>>;

    /// Adds rows to a run's stage, invisibly, durably enough to survive our crash.
    ///
    /// # Errors
    /// `Refused` when a row breaks the table's rules.
    fn stage(&mut self, run: RunId, table: &TargetTable, rows: &RecordBatch) -> Result<()>;

    /// The encoding in which this run's stage takes rows of a table as they are; `None` where it takes none.
    ///
    /// # Errors
    /// As [`Target::stage`].
    fn stage_encoding(&mut self, _run: RunId, _table: &TargetTable) -> Result<Option<Encoding>> {
        Ok(None)
    }

    /// As [`Target::stage`], with rows in the encoding that [`Target::stage_encoding`] has told.
    ///
    /// # Errors
    /// As [`Target::stage`]; `Internal` where it has told none.
    fn stage_encoded(
        &mut self,
        _run: RunId,
        table: &TargetTable,
        _rows: &EncodedRows,
    ) -> Result<()> {
        Err(Error::internal(format!("a stage for {} takes no rows unread", table.name)))
    }

    /// Passes the staged rows of a run to `sink`, for checks.
    ///
    /// # Errors
    /// Nothing is staged under this run, or `sink` failed.
    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64>;

    /// Makes a staged run visible over all its tables at once, with its progress, in one transaction; the stage
    /// is gone afterwards.
    ///
    /// # Errors
    /// `Conflict` for an older generation, `Refused` for duplicate keys, `Corrupt` when counts do not agree. The
    /// stage is then as it was and nothing is visible.
    fn publish(&mut self, publish: &Publish) -> Result<Published>;

    /// Drops a run's stage. One that is not there is no error.
    ///
    /// # Errors
    /// The site is gone.
    fn discard(&mut self, run: RunId) -> Result<()>;

    /// Runs that are staged, published or not: what a crash left behind.
    ///
    /// # Errors
    /// The site is gone.
    fn staged(&mut self) -> Result<Vec<RunId>>;

    /// Runs of a flow that were published, newest first.
    ///
    /// # Errors
    /// The site is gone.
    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>>;
}

/// One open transaction of a target. Dropping it rolls back.
pub trait TargetTransaction {
    /// Writes rows of one table; returns rows affected. All or nothing: when it fails with `Refused`, the
    /// transaction is as it was before this call and stays usable.
    ///
    /// # Errors
    /// `Refused` when a row breaks a constraint or belongs to another owner.
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64>;

    /// Deletes the (owner's) rows of a range whose key is not among `keep` (key columns only, in key order);
    /// returns how many.
    ///
    /// # Errors
    /// `Refused` when a constraint forbids it.
    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64>;

    /// Deletes all (the owner's) rows; returns how many.
    ///
    /// # Errors
    /// `Refused` when a constraint forbids it.
    fn clear(&mut self, table: &TargetTable) -> Result<u64>;

    /// Records that letters of this flow wait, or what became of them, together with everything else in this
    /// transaction; the newest record of a letter counts.
    ///
    /// # Errors
    /// The site is gone.
    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()>;

    /// Makes everything visible together with the progress, durably.
    ///
    /// # Errors
    /// Nothing was written then; but after `Unavailable` the commit may have happened: read progress again.
    fn commit(self: Box<Self>, progress: &[LaneProgress]) -> Result<()>;
}
