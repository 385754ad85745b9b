//! Changes as the masks of their site leave them: what the capture reads is masked before the log is given it.
//!
//! Snapshots, keys read again, old images and deletes come the same way. A change written before the masked column
//! was there passes without it; a change under a name that the mask does not know stops the capture.

use super::{MaskedSite, reading};
use crate::error::{Result, State};
use crate::log::Bounds;
use crate::read::{Cut, Readable};
use crate::source::{ChangeReader, ReadRequest, Resume, Retained, Source};
use crate::target::Claim;
use change::mask::{MaskKey, MaskedTable, TableMask, Unfit};
use change::planted::{Defect, is_planted};
use change::{ChangeBatch, GroupBody, History, SourcePosition, TableSchema};
use std::sync::Arc;
use std::time::Duration;

/// A site that can be captured, behind its masks.
pub(super) struct MaskedSource {
    pub(super) inner: Box<dyn Source>,
    pub(super) site: MaskedSite,
}

impl Readable for MaskedSource {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.inner.tables()
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        reading::describe(self.inner.as_mut(), &self.site, table)
    }

    fn keeps_old_rows(&mut self, table: &str) -> Result<bool> {
        self.inner.keeps_old_rows(table)
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        reading::cut(self.inner.as_mut(), &self.site)
    }
}

impl Source for MaskedSource {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        self.site.tables(self.inner.as_mut())?;
        let mut captured = Vec::new();
        for table in tables {
            let Some(mask) = self.site.of(table).cloned() else { continue };
            let now = Arc::new(self.inner.describe(table)?);
            let plan = MaskedTable::plan(&mask, &now).map_err(|e| self.site.misfit(table, &e))?;
            captured.push(Captured { mask, now, plans: vec![plan] });
        }
        let key = self.site.key()?.clone();
        let inner = self.inner.capture(tables, resume)?;
        Ok(Box::new(MaskedReader { inner, site: self.site.clone(), key, captured }))
    }
}

/// A captured table with a mask.
struct Captured {
    mask: TableMask,
    /// Its shape when the capture was opened, which the mask fits.
    now: Arc<TableSchema>,
    /// One for each schema version seen, the newest last.
    plans: Vec<MaskedTable>,
}

impl Captured {
    /// The mask for changes of one schema version.
    fn plan(&mut self, schema: &Arc<TableSchema>) -> Result<&MaskedTable, Unfit> {
        let same = |plan: &MaskedTable| {
            Arc::ptr_eq(plan.input(), schema) || plan.input().as_ref() == schema.as_ref()
        };
        if let Some(place) = self.plans.iter().rposition(same) {
            return Ok(&self.plans[place]);
        }
        // Older than the masked column: nothing in it is unknown now, so nothing was renamed.
        let older = schema.columns().iter().all(|c| self.now.index_of(&c.name).is_some());
        let mask = if older { &self.mask.among(schema) } else { &self.mask };
        self.plans.push(MaskedTable::plan(mask, schema)?);
        Ok(self.plans.last().expect("it was just put there"))
    }
}

/// Reads a lane, and passes on what its masks leave.
struct MaskedReader {
    inner: Box<dyn ChangeReader>,
    site: MaskedSite,
    key: MaskKey,
    captured: Vec<Captured>,
}

impl MaskedReader {
    fn masked(&mut self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let MaskedReader { captured, site, key, .. } = self;
        let table = batch.table().clone();
        let of = |c: &&mut Captured| c.mask.table.eq_ignore_ascii_case(&table);
        let Some(captured) = captured.iter_mut().find(of) else { return Ok(batch) };
        let plan = captured.plan(batch.schema());
        let plan = plan.map_err(|e| site.misfit(&table, &e).state(State::SchemaBlocked))?;
        Ok(plan.changes(key, &batch))
    }
}

impl ChangeReader for MaskedReader {
    fn history(&self) -> &History {
        self.inner.history()
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let Some(mut body) = self.inner.poll(bounds)? else { return Ok(None) };
        if is_planted(Defect::MaskAfterLog) {
            return Ok(Some(body));
        }
        let batches = body.batches.drain(..).map(|batch| self.masked(batch));
        body.batches = batches.collect::<Result<_>>()?;
        Ok(Some(body))
    }

    fn wait(&mut self, longest: Duration) -> Result<bool> {
        self.inner.wait(longest)
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.inner.claim(claim)
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        self.inner.acknowledge(position)
    }

    fn request(&mut self, read: ReadRequest) -> Result<()> {
        self.inner.request(read)
    }

    fn retained(&mut self) -> Result<Retained> {
        self.inner.retained()
    }
}
