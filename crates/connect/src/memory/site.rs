//! What a memory target holds, and the rules that guard it: epoch, generation, progress, stages, runs, constraints.
//!
//! One transaction at a time. While one is open the tables hold its writes; everybody else reads past them.

use super::order::OrderedKey;
use super::table::{Row, Tables};
use crate::error::{Error, Result, State};
use crate::target::{
    Fate, Fates, FlowProgress, LaneProgress, LetterPlace, PublishedRun, TargetTable,
};
use change::planted::{Defect, is_planted};
use change::{FlowId, Generation, HolderId, RunId, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Why a row may not be written, if it may not; the words must not hold values.
pub type Refusal = Arc<dyn Fn(&str, &[Value]) -> Option<String> + Send + Sync>;

/// What a test asks to happen at the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The site goes away before it commits: nothing is written.
    Lost,
    /// The site commits, and goes away before it says so.
    Unanswered,
}

/// Rows of one run, waiting to be published, by table.
pub(super) type Stage = BTreeMap<String, Vec<Row>>;

#[derive(Clone, Default)]
pub(super) struct Site {
    pub(super) tables: Tables,
    pub(super) holder: Option<HolderId>,
    pub(super) generations: BTreeMap<FlowId, Generation>,
    pub(super) progress: BTreeMap<FlowId, FlowProgress>,
    pub(super) letters: BTreeMap<FlowId, Fates>,
    pub(super) stages: BTreeMap<RunId, Stage>,
    /// Oldest first.
    pub(super) published: Vec<(FlowId, PublishedRun)>,
    /// The open transaction, by number.
    pub(super) open: Option<u64>,
    pub(super) transactions: u64,
    pub(super) refusal: Option<Refusal>,
    /// Tables and columns whose values may stand once only.
    pub(super) unique: Vec<(String, String)>,
    pub(super) commit_fault: Option<CommitFault>,
    /// Progress that waits for a transaction of its own: a planted defect.
    pub(super) apart: Option<(FlowId, Generation, Vec<LaneProgress>)>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("tables", &self.tables.names())
            .field("holder", &self.holder)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// Fails unless this holder is the one that the epoch shows.
    pub(super) fn held_by(&self, holder: Option<HolderId>) -> Result<()> {
        let unchecked = is_planted(Defect::NoEpochCheck) || is_planted(Defect::EpochAtConnectOnly);
        if holder.is_some() && (holder == self.holder || unchecked) {
            return Ok(());
        }
        Err(fenced("another engine writes to this target").found(match (holder, self.holder) {
            (None, _) => "this engine has not claimed it".to_string(),
            (_, Some(other)) => format!("the epoch is held by {other}"),
            (_, None) => "the epoch was never claimed".to_string(),
        }))
    }

    /// Fails unless this is the flow's generation.
    pub(super) fn of_generation(&self, flow: FlowId, generation: Generation) -> Result<()> {
        match self.generations.get(&flow) {
            Some(adopted) if *adopted == generation => Ok(()),
            Some(adopted) => Err(fenced("the flow has another generation at this target")
                .found(format!("{adopted}, this work is of {generation}"))),
            None => Err(fenced("the flow has no generation at this target")),
        }
    }

    /// Fails while a transaction is open.
    pub(super) fn unlocked(&self) -> Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        Err(Error::unavailable("the target is locked by an open transaction"))
    }

    /// Ends a transaction without a trace.
    pub(super) fn abandon(&mut self) {
        self.tables.roll_back(0);
        self.open = None;
    }

    /// Writes one row as a table's (owner's) row; the row has the columns of `table`.
    pub(super) fn put(&mut self, table: &TargetTable, cells: &[Value]) -> Result<Option<Row>> {
        let name = &table.name;
        check_owner(table, cells)?;
        let (row, key) = self.complete(table, cells)?;
        if let Some(before) = key.as_ref().and_then(|key| self.row(name, key)) {
            self.check_owned(table, &before)?;
        }
        self.check_rules(name, &row, key.as_ref())?;
        self.tables.put(name, row)
    }

    /// Removes the row under a key; none is no error, a row of another owner is.
    pub(super) fn remove(&mut self, table: &TargetTable, key: &OrderedKey) -> Result<Option<Row>> {
        if let Some(before) = self.row(&table.name, key) {
            self.check_owned(table, &before)?;
        }
        self.tables.remove(&table.name, key)
    }

    /// The keys of the (owner's) rows that `wanted` accepts.
    pub(super) fn keys(
        &self,
        table: &TargetTable,
        wanted: impl Fn(&OrderedKey, &Row) -> bool,
    ) -> Result<Vec<OrderedKey>> {
        let there = self.tables.get(&table.name)?;
        let owner = match &table.owner {
            Some(owner) => Some((self.place(&table.name, &owner.column)?, &owner.value)),
            None => None,
        };
        let everybody = is_planted(Defect::ClearOthersRows);
        let owned = |row: &Row| everybody || owner.is_none_or(|(i, value)| row[i] == *value);
        let rows = there.rows.iter().filter(|(key, row)| owned(row) && wanted(key, row));
        Ok(rows.map(|(key, _)| key.clone()).collect())
    }

    pub(super) fn place(&self, table: &str, column: &str) -> Result<usize> {
        self.tables
            .get(table)?
            .schema
            .index_of(column)
            .ok_or_else(|| Error::invalid(format!("target table {table} has no column {column}")))
    }

    pub(super) fn row(&self, table: &str, key: &OrderedKey) -> Option<Row> {
        self.tables.find(table)?.rows.get(key).cloned()
    }

    /// Whether the (owner's) row with the key of these cells is there.
    pub(super) fn is_there(&self, table: &TargetTable, cells: &[Value]) -> Result<bool> {
        let mut key = Vec::new();
        for name in self.tables.get(&table.name)?.schema.key_names() {
            let place = table.schema.index_of(name);
            key.push(
                cells[place.ok_or_else(|| Error::invalid(format!("{name} is missing")))?].clone(),
            );
        }
        let row = self.row(&table.name, &OrderedKey(key));
        Ok(row.is_some_and(|row| self.check_owned(table, &row).is_ok()))
    }

    /// A row with all columns of the target; columns that the flow does not write keep what they hold.
    pub(super) fn complete(
        &self,
        table: &TargetTable,
        cells: &[Value],
    ) -> Result<(Row, Option<OrderedKey>)> {
        let there = self.tables.get(&table.name)?;
        for column in table.schema.columns() {
            self.place(&table.name, &column.name)?;
        }
        let sent = |name: &str| table.schema.index_of(name).map(|i| cells[i].clone());
        let mut row: Vec<Value> = there
            .schema
            .columns()
            .iter()
            .map(|column| sent(&column.name).unwrap_or(Value::Null))
            .collect();
        let key: Vec<Value> = there.schema.key().iter().map(|&i| row[i].clone()).collect();
        let key = (!key.is_empty()).then_some(OrderedKey(key));
        if let Some(before) = key.as_ref().and_then(|key| there.rows.get(key)) {
            for (i, column) in there.schema.columns().iter().enumerate() {
                if table.schema.index_of(&column.name).is_none() {
                    row[i] = before[i].clone();
                }
            }
        }
        there.fits(&table.name, &row)?;
        Ok((Arc::new(row), key))
    }

    fn check_owned(&self, table: &TargetTable, row: &Row) -> Result<()> {
        let Some(owner) = &table.owner else { return Ok(()) };
        if row[self.place(&table.name, &owner.column)?] == owner.value {
            return Ok(());
        }
        Err(Error::refused(format!("a row of {} belongs to another owner", table.name)))
    }

    /// Checks the constraints that a test has put on a table.
    pub(super) fn check_rules(
        &self,
        name: &str,
        row: &Row,
        key: Option<&OrderedKey>,
    ) -> Result<()> {
        if let Some(reason) = self.refusal.as_ref().and_then(|refusal| refusal(name, row)) {
            return Err(Error::refused(format!("a row of {name} is refused: {reason}")));
        }
        for (_, column) in self.unique.iter().filter(|(table, _)| table == name) {
            let place = self.place(name, column)?;
            let mut others = self.tables.get(name)?.rows.iter();
            let taken = row[place] != Value::Null
                && others.any(|(k, other)| Some(k) != key && other[place] == row[place]);
            if taken {
                return Err(Error::refused(format!("{name}.{column} is unique")));
            }
        }
        Ok(())
    }

    /// Records what became of letters.
    pub(super) fn record(&mut self, flow: FlowId, fates: &[(LetterPlace, Fate)]) {
        self.letters.entry(flow).or_default().extend(fates.iter().copied());
    }

    /// Records progress; what an older generation wrote goes.
    pub(super) fn advance(
        &mut self,
        flow: FlowId,
        generation: Generation,
        progress: &[LaneProgress],
    ) {
        let fresh = || FlowProgress { generation, lanes: BTreeMap::new() };
        let stored = self.progress.entry(flow).or_insert_with(fresh);
        if stored.generation != generation {
            *stored = fresh();
        }
        for lane in progress {
            stored.lanes.insert(lane.lane, lane.clone());
        }
    }
}

/// Fails when a row says it belongs to another owner than the work is for.
pub(super) fn check_owner(table: &TargetTable, cells: &[Value]) -> Result<()> {
    let Some(owner) = &table.owner else { return Ok(()) };
    let place = table.schema.index_of(&owner.column).ok_or_else(|| {
        Error::invalid(format!("owner column {} is not written by the flow", owner.column))
    })?;
    if cells[place] == owner.value {
        return Ok(());
    }
    Err(Error::refused(format!("a row of {} belongs to another owner", table.name)))
}

pub(super) fn fenced(what: &str) -> Error {
    Error::conflict(what)
        .state(State::Fenced)
        .effect("nothing was written")
        .fix("stop the other engine, or take the target over")
}
