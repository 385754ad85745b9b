//! Ledgers of flows: for each table of each site what the log says is in it, folded step by step behind the log.
//!
//! A consumer of the log like any other, with an offset of its own in `state.db`: nothing is committed together with an
//! append or with a target, and whatever is lost is folded again. It touches neither source nor target, but to ask once
//! for a table's columns. An error of one ledger is said where it is shown, and stops nothing else.

use crate::assembly::{Assembly, Step};
use crate::pair::row_path;
use crate::path::TablePath;
use crate::state::{FlowIdentity, LedgerName, StoredLedger};
use change::{Group, Offset, TableSchema};
use connect::{Bounds, Error, Kind, Result, State as Named};
use flow::{Apply, Flow, FlowTable, Site, Writer};
use proof::{Correction, Known, Leaf, Ledger, Reach, RowPath};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Changes that may be folded before a ledger is stored: what is folded again behind a crash.
const STORE_EACH: u64 = 200_000;

/// How long a ledger that moves less than that is not stored: each time is a durable write.
const STORE_WITHIN: Duration = Duration::from_secs(10);

/// The ledgers of an engine; cheap to clone.
#[derive(Clone, Default)]
pub struct Ledgers(Arc<Mutex<BTreeMap<LedgerName, Kept>>>);

/// One table's ledger in memory.
enum Kept {
    /// It is folded.
    Folded(Box<Folded>),
    /// There is none, for this reason, until the engine starts again.
    Refused(String),
}

struct Folded {
    stored: StoredLedger,
    path: RowPath,
    /// Its leaves as `state.db` holds them.
    on_disk: Vec<Leaf>,
    /// Changes folded since.
    since: u64,
    /// When that was, by the steady clock.
    stored_at: Duration,
}

/// One table of one site of a flow.
struct Of<'a> {
    assembly: &'a Assembly,
    flow: &'a Flow,
    identity: &'a FlowIdentity,
    site: &'a Site,
    table: &'a FlowTable,
    name: LedgerName,
}

impl Ledgers {
    /// Folds the next groups of every table of a flow, one batch at most for each.
    ///
    /// # Errors
    /// `Unavailable`: a site that has to be asked for its columns is away. The log or the state file cannot be used.
    pub fn step(&self, assembly: &Assembly, flow: &Flow, identity: &FlowIdentity) -> Result<Step> {
        if has_none(flow).is_some() {
            return Ok(Step::Idle);
        }
        let mut moved = 0;
        let mut away = None;
        for of in tables(assembly, flow, identity)? {
            match self.step_one(&of) {
                Ok(groups) => moved += groups,
                // The tables of other sites go on.
                Err(e) if e.kind == Kind::Unavailable => away = Some(e),
                Err(e) if e.state == Some(Named::LogCorrupt) => return Err(e),
                Err(e) => self.refuse(&of, &e)?,
            }
        }
        match away {
            Some(e) if moved == 0 => Err(e),
            _ if moved == 0 => Ok(Step::Idle),
            _ => Ok(Step::Moved(moved)),
        }
    }

    /// Folds everything that the log holds now, and stores it. A site that is away leaves its tables as they are.
    ///
    /// # Errors
    /// The log or the state file cannot be used.
    pub fn catch_up(
        &self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
    ) -> Result<()> {
        loop {
            match self.step(assembly, flow, identity) {
                Ok(Step::Moved(_)) => {}
                Ok(Step::Idle | Step::Refused) => return self.store(assembly),
                Err(e) if e.kind == Kind::Unavailable => return self.store(assembly),
                Err(e) => return Err(e),
            }
        }
    }

    /// Stores every ledger that was folded on since it was stored.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn store(&self, assembly: &Assembly) -> Result<()> {
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, kept) in ledgers.iter_mut() {
            if let Kept::Folded(folded) = kept
                && folded.since > 0
            {
                folded.store(assembly, name)?;
            }
        }
        Ok(())
    }

    /// A copy of a table's ledger with the columns that its rows are walked from; or why there is none.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub(crate) fn of(
        &self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        (site, table): (&Site, &FlowTable),
    ) -> Result<std::result::Result<StoredLedger, String>> {
        if let Some(why) = has_none(flow) {
            return Ok(Err(why.into()));
        }
        let Some(lane) = assembly.state.lane(&site.name)? else {
            return Ok(Err(format!("{} was never captured", site.name)));
        };
        let name = LedgerName { flow: identity.id, lane: lane.id, table: table.target.clone() };
        let ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match ledgers.get(&name) {
            Some(Kept::Folded(folded)) if folded.stored.generation == identity.generation => {
                Ok(folded.stored.clone())
            }
            Some(Kept::Refused(why)) => Err(why.clone()),
            _ => Err("it is not folded yet".into()),
        })
    }

    /// Gives a ledger what a check found out of leaves that it did not know.
    ///
    /// # Errors
    /// The log or the state file cannot be used.
    pub(crate) fn correct(
        &self,
        assembly: &Assembly,
        name: &LedgerName,
        correction: &Correction,
    ) -> Result<()> {
        if correction.is_empty() {
            return Ok(());
        }
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Kept::Folded(folded)) = ledgers.get_mut(name) else { return Ok(()) };
        let (log, way) = (assembly.log.as_ref(), (&folded.path, assembly.digest_key));
        folded.stored.ledger.take_correction(log, name.lane, correction, way)?;
        folded.store(assembly, name)
    }

    /// Begins a ledger that holds nothing with what a scan has read, where it found everything equal.
    ///
    /// # Errors
    /// The log or the state file cannot be used.
    pub(crate) fn seed(
        &self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        (site, table): (&Site, &FlowTable),
        (schema, seed): (&TableSchema, &[Known]),
    ) -> Result<()> {
        if seed.is_empty() || !lacks(assembly, flow, identity, (site, table))? {
            return Ok(());
        }
        let Some(lane) = assembly.state.lane(&site.name)? else { return Ok(()) };
        let name = LedgerName { flow: identity.id, lane: lane.id, table: table.target.clone() };
        self.catch_up(assembly, flow, identity)?;
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Kept::Folded(folded)) = ledgers.get_mut(&name) else { return Ok(()) };
        let lacking = matches!(folded.stored.ledger.reach(), Reach::Nothing(_));
        if !lacking || folded.stored.schema != *schema {
            return Ok(());
        }
        let (log, way) = (assembly.log.as_ref(), (&folded.path, assembly.digest_key));
        let epoch = folded.stored.ledger.head().epoch + 1;
        if let Some(ledger) = Ledger::seeded(log, lane.id, seed, epoch, way)? {
            folded.stored.ledger = ledger;
            folded.store(assembly, &name)?;
        }
        Ok(())
    }

    /// Forgets the ledgers of a flow; they are folded anew from what the log holds.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn forget(&self, assembly: &Assembly, identity: &FlowIdentity) -> Result<()> {
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.retain(|name, _| name.flow != identity.id);
        assembly.state.drop_ledgers(identity.id)
    }

    /// A table that cannot have a ledger is proved by scans, and says so.
    fn refuse(&self, of: &Of<'_>, error: &Error) -> Result<()> {
        let why = error.to_string();
        of.assembly.state.refuse_ledger(&of.name, of.identity.generation, &why)?;
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.insert(of.name.clone(), Kept::Refused(why));
        Ok(())
    }

    /// Folds one batch of one table's log; gives the number of groups.
    fn step_one(&self, of: &Of<'_>) -> Result<u64> {
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match ledgers.get(&of.name) {
            Some(Kept::Refused(_)) => return Ok(0),
            Some(Kept::Folded(f)) => f.stored.generation == of.identity.generation,
            None => false,
        };
        if !known {
            let opened = of.open()?;
            if let Kept::Refused(why) = &opened {
                of.assembly.state.refuse_ledger(&of.name, of.identity.generation, why)?;
            }
            ledgers.insert(of.name.clone(), opened);
        }
        match ledgers.get_mut(&of.name) {
            Some(Kept::Folded(folded)) => folded.step(of),
            _ => Ok(0),
        }
    }
}

/// Whether a table has a ledger that somebody has folded and that holds nothing: a scan can seed it.
///
/// # Errors
/// The state file cannot be read.
pub(crate) fn lacks(
    assembly: &Assembly,
    flow: &Flow,
    identity: &FlowIdentity,
    (site, table): (&Site, &FlowTable),
) -> Result<bool> {
    if has_none(flow).is_some() {
        return Ok(false);
    }
    let Some(lane) = assembly.state.lane(&site.name)? else { return Ok(false) };
    let notes = assembly.state.ledger_notes(identity.id)?;
    Ok(notes.iter().any(|n| n.lane == lane.id && n.table == table.target && n.leaves == 0))
}

/// Why no table of a flow has a ledger; none where tables may have one.
fn has_none(flow: &Flow) -> Option<&'static str> {
    match (flow.writer, flow.apply()) {
        (Writer::Other, _) => Some("somebody else writes the table: scan proof only"),
        (_, Apply::Events) => None,
        _ => Some("the flow moves rows in runs and not by changes: scan proof only"),
    }
}

/// Every table of every site of a flow that was captured.
fn tables<'a>(
    assembly: &'a Assembly,
    flow: &'a Flow,
    identity: &'a FlowIdentity,
) -> Result<Vec<Of<'a>>> {
    let mut all = Vec::new();
    for site in flow.sites.iter().filter_map(|name| assembly.project.sites.get(name)) {
        let Some(lane) = assembly.state.lane(&site.name)? else { continue };
        all.extend(flow.tables.iter().map(|table| Of {
            assembly,
            flow,
            identity,
            site,
            table,
            name: LedgerName { flow: identity.id, lane: lane.id, table: table.target.clone() },
        }));
    }
    Ok(all)
}

impl Of<'_> {
    /// The ledger as it was stored, or one that begins with the oldest group of the log.
    fn open(&self) -> Result<Kept> {
        let Assembly { state, log, connectors, .. } = self.assembly;
        let tail = log.tail(self.name.lane)?;
        let stored = state.ledger(&self.name)?.filter(|stored| self.is_current(stored));
        // One that is ahead of the log was folded from a log that has lost its end.
        if let Some(stored) = stored.filter(|s| s.ledger.offset() <= tail.durable) {
            let path = self.path(&stored.schema)?;
            let on_disk = stored.ledger.leaves().to_vec();
            let stored_at = self.assembly.environment.clock.steady();
            let folded = Folded { stored, path, on_disk, since: 0, stored_at };
            return Ok(Kept::Folded(Box::new(folded)));
        }
        let mut source = connectors.of(&self.site.settings)?.readable(&self.site.settings)?;
        let schema = source.describe(&self.table.source).map_err(|e| e.at(&self.site.name))?;
        if !source.keeps_old_rows(&self.table.source).map_err(|e| e.at(&self.site.name))? {
            return Ok(Kept::Refused(format!(
                "{} keeps only the keys of old rows of {}: scan proof only (seamount check --online \
                 says what to change)",
                self.site.name, self.table.source
            )));
        }
        let after = Offset(tail.oldest.0.saturating_sub(1));
        let ledger = Ledger::new(after, 1, NO_SNAPSHOT);
        Ok(Kept::Folded(Box::new(self.begin(schema, ledger)?)))
    }

    fn is_current(&self, stored: &StoredLedger) -> bool {
        stored.generation == self.identity.generation && stored.log == self.assembly.log.id()
    }

    fn begin(&self, schema: TableSchema, ledger: Ledger) -> Result<Folded> {
        let path = self.path(&schema)?;
        if !path.carries_key() {
            return Err(Error::invalid("the target's key is not the source's: scan proof only"));
        }
        let state = &self.assembly.state;
        state.drop_older_ledgers(self.identity.id, self.identity.generation)?;
        state.drop_ledger(&self.name)?;
        let (generation, log) = (self.identity.generation, self.assembly.log.id());
        let stored = StoredLedger { generation, log, schema, ledger };
        let stored_at = self.assembly.environment.clock.steady();
        // One that stays empty is stored too: it says why.
        Ok(Folded { stored, path, on_disk: Vec::new(), since: 1, stored_at })
    }

    fn path(&self, schema: &TableSchema) -> Result<RowPath> {
        let (assembly, schema) = (self.assembly, Arc::new(schema.clone()));
        let path = TablePath::plan(self.flow, self.table, self.site, schema, &*assembly.planner)?;
        row_path(&path)
    }
}

/// Why a ledger is empty that no snapshot has come to.
const NO_SNAPSHOT: &str = "the log holds no snapshot of the table from its beginning on (a scan that finds all equal begins it: seamount reconcile)";

impl Folded {
    /// Folds one batch; gives the number of groups.
    fn step(&mut self, of: &Of<'_>) -> Result<u64> {
        let (lane, log) = (of.name.lane, of.assembly.log.as_ref());
        let groups = match log.read(lane, self.stored.ledger.offset(), Bounds::BATCH) {
            Err(e) if e.state == Some(Named::PositionLost) => {
                let after = Offset(log.tail(lane)?.oldest.0.saturating_sub(1));
                let epoch = self.stored.ledger.head().epoch + 1;
                let why = "the log was trimmed before it was folded (a scan that finds all equal begins it: seamount reconcile)";
                let ledger = Ledger::new(after, epoch, why);
                *self = of.begin(self.stored.schema.clone(), ledger)?;
                return Ok(1);
            }
            read => read?,
        };
        for group in &groups {
            if let Some(schema) = self.wider(group, &of.table.source) {
                // Rows have another digest with a column more: everything is folded again, older images with a null.
                let after = Offset(log.tail(lane)?.oldest.0.saturating_sub(1));
                let epoch = self.stored.ledger.head().epoch + 1;
                *self = of.begin(schema, Ledger::new(after, epoch, NO_SNAPSHOT))?;
                return Ok(1);
            }
            self.stored.ledger.fold(&self.path, of.assembly.digest_key, group)?;
            self.since += group.body.changes() as u64 + 1;
        }
        let waited = of.assembly.environment.clock.steady().saturating_sub(self.stored_at);
        if self.since >= STORE_EACH || (self.since > 0 && waited >= STORE_WITHIN) {
            self.store(of.assembly, &of.name)?;
        }
        Ok(groups.len() as u64)
    }

    /// The shape of a group's changes, where it has columns that the path does not know.
    fn wider(&self, group: &Group, table: &str) -> Option<TableSchema> {
        let known = &self.stored.schema;
        let ours = group.body.batches.iter().filter(|batch| batch.table().as_ref() == table);
        let mut others = ours.map(|batch| batch.schema()).filter(|s| ***s != *known);
        let holds = |outer: &TableSchema, inner: &TableSchema| {
            inner.columns().iter().all(|column| outer.index_of(&column.name).is_some())
        };
        // One that lacks columns beside is no addition: the fold ends there, and a new snapshot begins it anew.
        let wider = others.find(|schema| holds(schema, known) && !holds(known, schema));
        wider.map(|schema| schema.as_ref().clone())
    }

    fn store(&mut self, assembly: &Assembly, name: &LedgerName) -> Result<()> {
        assembly.state.store_ledger(name, &self.stored, &self.on_disk)?;
        self.on_disk = self.stored.ledger.leaves().to_vec();
        (self.since, self.stored_at) = (0, assembly.environment.clock.steady());
        Ok(())
    }
}

/// The oldest offset that the ledgers of a flow need of a lane: one that holds rows would lose them otherwise.
///
/// # Errors
/// The state file cannot be read.
pub(crate) fn needs(
    assembly: &Assembly,
    identity: &FlowIdentity,
    lane: change::LaneId,
) -> Result<Option<Offset>> {
    let notes = assembly.state.ledger_notes(identity.id)?;
    let holding = notes.into_iter().filter(|note| note.lane == lane && note.leaves > 0);
    Ok(holding.map(|note| note.offset).min())
}
