//! The world around one table's proof: cuts of both sites, motion past a place, the keys that are set aside.

use crate::assembly::Assembly;
use crate::motion::Motion;
use crate::state::{FlowIdentity, LetterStatus};
use crate::watch::Watch;
use change::{Offset, SourcePosition};
use connect::{Connector, Cut, Result, SiteSettings};
use flow::Site;
use proof::{Reached, Subject, Surroundings};
use std::collections::BTreeSet;

/// The world around one table's proof.
pub(crate) struct Around<'a> {
    pub(crate) assembly: &'a Assembly,
    pub(crate) identity: &'a FlowIdentity,
    pub(crate) site: &'a Site,
    pub(crate) subject: &'a Subject,
    pub(crate) source: &'a dyn Connector,
    pub(crate) target: &'a dyn Connector,
    pub(crate) target_settings: &'a SiteSettings,
    pub(crate) motion: &'a mut dyn Motion,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) done: u64,
}

impl Surroundings for Around<'_> {
    fn source_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.source.readable(&self.site.settings)?.cut()
    }

    fn target_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.target.readable(self.target_settings)?.cut()
    }

    fn captured(&mut self, closing: &SourcePosition) -> Result<Reached> {
        self.motion.capture_past(&self.site.name, self.subject.lane, closing)
    }

    fn applied(&mut self, offset: Offset) -> Result<Reached> {
        let (lane, table) = (self.subject.lane, self.subject.path.source_table());
        if let Some(snapshot) = self.assembly.state.stream(lane, table)?.snapshot
            && !snapshot.complete
        {
            return Ok(Reached::Never(format!("the snapshot of {table} is not complete yet")));
        }
        // Rows of an earlier generation may stand at the target before that.
        let snapshot = self.assembly.state.stream(lane, table)?.snapshot;
        let end = snapshot.and_then(|snapshot| snapshot.end).unwrap_or(offset);
        self.motion.apply_past(lane, offset.max(end))
    }

    fn parked(&mut self) -> Result<BTreeSet<Vec<u8>>> {
        let letters = self.assembly.state.letters(self.identity.id, Some(LetterStatus::Parked))?;
        let (lane, table) = (self.subject.lane, &self.subject.path.target().name);
        let here =
            letters.into_iter().filter(|l| l.change.lane == lane && l.change.table == *table);
        Ok(here.flat_map(|letter| letter.change.keys().cloned().collect::<Vec<_>>()).collect())
    }

    fn compared(&mut self, rows: u64) {
        self.watch.progress("rows compared", self.done + rows, None);
    }
}
