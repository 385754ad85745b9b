//! A target in memory that several engines can open: epoch, progress beside the rows, stages, published runs.
//!
//! Not persistent. It keeps the promises of [`Target`] to the letter, and lets a test add constraints and faults.

use super::cut::MemoryCut;
use super::site::{CommitFault, Site, check_owner, fenced};
use super::table::{Row, blocked};
use super::transaction::{MemoryTransaction, cells};
use crate::error::{Error, Result};
use crate::read::{Cut, Readable};
use crate::target::{
    Claim, Fates, FlowProgress, Publish, Published, PublishedRun, Target, TargetTable,
    TargetTransaction,
};
use arrow::array::RecordBatch;
use change::compatibility::{Break, Compatibility, compare};
use change::planted::{Defect, is_planted};
use change::{FlowId, Generation, HolderId, RunId, TableSchema, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A target in memory, as one engine has opened it.
///
/// [`MemoryTarget::open`] opens the same site for another engine; a clone is a second connection of the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryTarget {
    site: Arc<Mutex<Site>>,
    holder: Option<HolderId>,
}

/// A copy of everything that a target held. Two are equal when a reader and an engine would see the same in them.
#[derive(Clone, Debug)]
pub struct TargetBackup(Site);

impl PartialEq for TargetBackup {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        a.tables == b.tables
            && a.holder == b.holder
            && a.generations == b.generations
            && a.progress == b.progress
            && a.letters == b.letters
            && a.stages == b.stages
            && a.published == b.published
    }
}

impl MemoryTarget {
    /// An empty site.
    pub fn new() -> Self {
        MemoryTarget::default()
    }

    /// The same site, opened by an engine that has claimed nothing yet.
    #[must_use]
    pub fn open(&self) -> MemoryTarget {
        MemoryTarget { site: self.site.clone(), holder: None }
    }

    /// Creates a table as somebody else would have, or gives it another shape.
    pub fn define(&self, table: &str, schema: &TableSchema) {
        self.lock().tables.define(table, Arc::new(schema.clone()));
    }

    /// Refuses rows for which `refusal` gives a reason; it takes the table's name and the row. The reason must
    /// not hold values.
    pub fn refuse(
        &self,
        refusal: impl Fn(&str, &[Value]) -> Option<String> + Send + Sync + 'static,
    ) {
        self.lock().refusal = Some(Arc::new(refusal));
    }

    /// Refuses no rows any more but for what unique columns demand.
    pub fn accept(&self) {
        self.lock().refusal = None;
    }

    /// Lets every value of a column stand once only, checked row by row as they are written.
    pub fn unique(&self, table: &str, column: &str) {
        self.lock().unique.push((table.to_string(), column.to_string()));
    }

    /// Lets the next commit go wrong.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        self.lock().commit_fault = Some(fault);
    }

    /// Whether the next commit is still to go wrong.
    pub fn commit_fails(&self) -> bool {
        self.lock().commit_fault.is_some()
    }

    /// Writes rows behind every engine's back, as a foreign hand would; those with the same key are overwritten.
    ///
    /// # Errors
    /// The table is not there, or a transaction is open.
    pub fn tamper(&self, table: &str, rows: Vec<Vec<Value>>) -> Result<()> {
        let mut site = self.lock();
        site.unlocked()?;
        for row in rows {
            site.tables.put(table, Arc::new(row))?;
        }
        site.tables.keep();
        Ok(())
    }

    /// Removes rows behind every engine's back.
    ///
    /// # Errors
    /// The table is not there, or a transaction is open.
    pub fn tamper_delete(&self, table: &str, keys: &[change::Key]) -> Result<()> {
        let mut site = self.lock();
        site.unlocked()?;
        for key in keys {
            site.tables.remove(table, &key.into())?;
        }
        site.tables.keep();
        Ok(())
    }

    /// Rows of a table as everybody sees them, in key order.
    ///
    /// # Errors
    /// The table is not there.
    pub fn rows(&self, table: &str) -> Result<Vec<Vec<Value>>> {
        let tables = self.lock().tables.committed();
        Ok(tables.get(table)?.rows.values().map(|row| row.as_ref().clone()).collect())
    }

    /// What a backup tool would copy: everything that is committed.
    pub fn backup(&self) -> TargetBackup {
        let mut site = self.lock().clone();
        site.abandon();
        TargetBackup(site)
    }

    /// Puts a backup in the place of everything; open transactions end. What the site refuses stays as it is.
    pub fn restore(&self, backup: &TargetBackup) {
        let mut site = self.lock();
        let (refusal, transactions) = (site.refusal.take(), site.transactions);
        *site = backup.0.clone();
        (site.refusal, site.transactions) = (refusal, transactions);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The site for one write of its own: no transaction is open, and we are the holder.
    fn writing(&self) -> Result<MutexGuard<'_, Site>> {
        let site = self.lock();
        site.held_by(self.holder)?;
        site.unlocked()?;
        Ok(site)
    }
}

impl Readable for MemoryTarget {
    fn tables(&mut self) -> Result<Vec<String>> {
        Ok(self.lock().tables.names())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        Ok(self.lock().tables.get(table)?.schema.as_ref().clone())
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        let site = self.lock();
        let (tables, progress) = (site.tables.committed(), site.progress.clone());
        Ok(Box::new(MemoryCut { tables, closing: None, progress }))
    }
}

impl Target for MemoryTarget {
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()> {
        let mut site = self.lock();
        site.unlocked()?;
        if self.holder.is_some() {
            site.held_by(self.holder)?;
        }
        let shapes: Vec<Option<TableSchema>> =
            tables.iter().map(|table| needed(&site, table)).collect::<Result<_>>()?;
        for (table, shape) in tables.iter().zip(shapes) {
            if let Some(shape) = shape {
                site.tables.define(&table.name, Arc::new(shape));
            }
        }
        Ok(())
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        let mut site = self.lock();
        let ours = |shown| claim.known.contains(&shown) || shown == claim.holder;
        match site.holder {
            Some(shown)
                if !ours(shown) && !claim.take_over && !is_planted(Defect::NoEpochCheck) =>
            {
                return Err(fenced("another engine writes to this target")
                    .found(format!("the epoch is held by {shown}")));
            }
            _ => {}
        }
        site.abandon();
        site.apart = None;
        site.holder = Some(claim.holder);
        drop(site);
        self.holder = Some(claim.holder);
        Ok(())
    }

    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()> {
        self.writing()?.generations.insert(flow, generation);
        Ok(())
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        Ok(self.lock().progress.get(&flow).cloned())
    }

    fn letters(&mut self, flow: FlowId) -> Result<Fates> {
        Ok(self.lock().letters.get(&flow).cloned().unwrap_or_default())
    }

    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>> {
        let mut site = self.writing()?;
        site.of_generation(flow, generation)?;
        if let Some((flow, generation, progress)) = site.apart.take() {
            site.advance(flow, generation, &progress);
        }
        site.transactions += 1;
        let number = site.transactions;
        site.open = Some(number);
        drop(site);
        Ok(Box::new(MemoryTransaction {
            target: self.clone(),
            flow,
            generation,
            number,
            fates: Vec::new(),
        }))
    }

    fn stage(&mut self, run: RunId, table: &TargetTable, rows: &RecordBatch) -> Result<()> {
        let mut site = self.writing()?;
        let mut accepted: Vec<Row> = Vec::with_capacity(rows.num_rows());
        for row in cells(&table.schema, rows)? {
            check_owner(table, &row)?;
            site.complete(table, &row)?;
            accepted.push(Arc::new(row));
        }
        site.stages.entry(run).or_default().entry(table.name.clone()).or_default().extend(accepted);
        Ok(())
    }

    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let stage = self.lock().stages.get(&run).cloned();
        let stage =
            stage.ok_or_else(|| Error::invalid(format!("nothing is staged under {run}")))?;
        let rows = stage.get(&table.name).map_or(&[][..], |rows| rows);
        for part in rows.chunks(1024) {
            let part: Vec<Vec<Value>> = part.iter().map(|row| row.as_ref().clone()).collect();
            let part = change::value::batch(&table.schema, &part);
            sink(part.map_err(|e| super::table::wrong_type(&table.name, &e))?)?;
        }
        Ok(rows.len() as u64)
    }

    fn publish(&mut self, publish: &Publish) -> Result<Published> {
        let mut site = self.writing()?;
        if !is_planted(Defect::PublishOverNewer) {
            site.of_generation(publish.flow, publish.generation)?;
        }
        super::publish::publish(&mut site, publish)
    }

    fn discard(&mut self, run: RunId) -> Result<()> {
        self.writing()?.stages.remove(&run);
        Ok(())
    }

    fn staged(&mut self) -> Result<Vec<RunId>> {
        Ok(self.lock().stages.keys().copied().collect())
    }

    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>> {
        let site = self.lock();
        let of_flow = site.published.iter().rev().filter(|(by, _)| *by == flow);
        Ok(of_flow.map(|(_, run)| run.clone()).collect())
    }
}

/// The shape that a table must take on, if it must.
fn needed(site: &Site, table: &TargetTable) -> Result<Option<TableSchema>> {
    let wanted = table.schema.as_ref();
    if let Some(owner) = &table.owner
        && wanted.index_of(&owner.column).is_none()
    {
        return Err(Error::invalid(format!(
            "owner column {} is no column of target table {}",
            owner.column, table.name
        )));
    }
    let Some(there) = site.tables.find(&table.name) else { return Ok(Some(wanted.clone())) };
    let there = there.schema.as_ref();
    let required =
        |name: &str| there.columns().iter().any(|column| column.name == name && !column.nullable);
    let added = match compare(there, wanted) {
        Compatibility::Same => return Ok(None),
        Compatibility::Additive(columns) => columns,
        Compatibility::Breaking(breaks) => {
            let stops = |b: &&Break| !matches!(b, Break::Dropped(name) if !required(name));
            if let Some(why) = breaks.iter().find(stops) {
                let name = &table.name;
                return Err(blocked(format!("target table {name} does not fit: {why}")));
            }
            let new = wanted.columns().iter().filter(|c| there.index_of(&c.name).is_none());
            new.cloned().collect()
        }
    };
    let columns = there.columns().iter().cloned().chain(added).collect();
    let key: Vec<&str> = there.key_names().collect();
    Ok(Some(TableSchema::new(columns, &key).expect("added columns are not there yet")))
}
