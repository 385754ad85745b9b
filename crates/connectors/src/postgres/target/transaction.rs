//! One open transaction of a target: rows of any number of tables, and the progress they stand for.

use super::super::book;
use super::epoch;
use super::letters;
use super::plan::{Plan, Plans};
use super::session::{Open, Session};
use super::sweep;
use super::write::{COPY_ROWS, delete, insert, update, upsert, upsert_singly};
use arrow::array::RecordBatch;
use change::{FlowId, Generation, HolderId};
use connect::read::KeyRange;
use connect::target::{Fate, LaneProgress, LetterPlace, RowWork, TargetTable, TargetTransaction};
use connect::{Error, Kind, Result, State};
use postgres::error::SqlState;
use std::sync::Arc;

/// From so many rows on it is worth guessing that an upsert meets none.
const GUESS_ROWS: usize = 1_000;

/// An open transaction; dropped, it rolls back.
pub(super) struct PgTransaction<'a> {
    pub(super) open: Open<'a>,
    pub(super) plans: &'a mut Plans,
    pub(super) holder: HolderId,
    pub(super) flow: FlowId,
    pub(super) generation: Generation,
    /// Whether this generation has not written before.
    pub(super) first: bool,
}

impl PgTransaction<'_> {
    fn plan(&mut self, table: &TargetTable) -> Result<Arc<Plan>> {
        self.plans.of(self.open.session, table)
    }

    fn overwrite(&mut self, plan: &Plan, rows: &RecordBatch) -> Result<u64> {
        let session = &mut *self.open.session;
        let written = session.attempt(|session| upsert(session, plan, rows));
        if written.is_err() && session.failure() == Some(&SqlState::CARDINALITY_VIOLATION) {
            return session.attempt(|session| upsert_singly(session, plan, rows));
        }
        written
    }

    fn put(&mut self, table: &TargetTable, rows: &RecordBatch, meeting: Meeting) -> Result<u64> {
        let plan = self.plan(table)?;
        plan.require_columns(rows, &table.schema)?;
        table.require_owner(rows)?;
        let keyed = !table.schema.key().is_empty();
        let count = rows.num_rows();
        let tries = match meeting {
            Meeting::New => !keyed || (plan.copies && count >= COPY_ROWS),
            Meeting::Overwrite => {
                let may = keyed && plan.copies && count >= GUESS_ROWS;
                may && self.plans.guess(&table.name).is_new()
            }
        };
        if !tries {
            return self.overwrite(&plan, rows);
        }
        let outcome = self.open.session.attempt(|session| insert(session, &plan, rows));
        let met = matches!(&outcome, Err(error) if error.kind == Kind::Refused);
        if meeting == Meeting::Overwrite && met {
            self.plans.guess(&table.name).wrong();
        } else if meeting == Meeting::Overwrite && outcome.is_ok() {
            self.plans.guess(&table.name).right();
        }
        if met && keyed { self.overwrite(&plan, rows) } else { outcome }
    }

    fn with<T>(
        &mut self,
        table: &TargetTable,
        work: impl FnOnce(&mut Session, &Plan) -> Result<T>,
    ) -> Result<T> {
        let plan = self.plan(table)?;
        self.open.session.attempt(|session| work(session, &plan))
    }
}

/// How rows meet those with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    /// There should be none.
    New,
    /// They are overwritten, if they are the owner's.
    Overwrite,
}

impl TargetTransaction for PgTransaction<'_> {
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        match work {
            RowWork::Upsert(rows) => self.put(table, rows, Meeting::Overwrite),
            RowWork::Insert(rows) => self.put(table, rows, Meeting::New),
            RowWork::Update(rows) => self.with(table, |session, plan| update(session, plan, rows)),
            RowWork::Delete(keys) => self.with(table, |session, plan| delete(session, plan, keys)),
        }
    }

    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64> {
        self.with(table, |session, plan| sweep::retain(session, plan, range, keep))
    }

    fn clear(&mut self, table: &TargetTable) -> Result<u64> {
        self.with(table, sweep::clear)
    }

    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()> {
        let sql = letters::record(self.flow, fates);
        self.open.session.script(&sql, "cannot write the flow's letters").map(drop)
    }

    fn commit(self: Box<Self>, progress: &[LaneProgress]) -> Result<()> {
        let PgTransaction { mut open, holder, flow, generation, first, .. } = *self;
        let last = book::advance(flow, generation, first, progress);
        open.commit(&last).map_err(|error| whose_fault(open.session, holder, error))
    }
}

/// A connection that another engine's take-over has ended is no server that is away. And what is refused only now no
/// row can be set aside for: writing them one by one ends here again.
fn whose_fault(session: &mut Session, holder: HolderId, error: Error) -> Error {
    if error.kind == Kind::Refused {
        return Error { kind: Kind::Invalid, ..error }
            .state(State::RowsRefused)
            .effect("nothing of the transaction was written; the flow stands before it")
            .fix("ALTER TABLE ... ALTER CONSTRAINT ... INITIALLY IMMEDIATE: then the row itself is refused");
    }
    if error.kind != Kind::Unavailable || !session.is_lost() || session.revive().is_err() {
        return error;
    }
    match epoch::shown(session) {
        Ok(Some(shown)) if shown != holder => book::held_by(shown)
            .effect("whether the last commit took place is told by its progress"),
        _ => error,
    }
}
