//! The world around one table's proof: cuts of both sites, motion past a place, the keys that are set aside.
//!
//! A proof takes many cuts of both sites: each site is opened once, and again when it was gone.

use crate::assembly::Assembly;
use crate::motion::Motion;
use crate::state::{FlowIdentity, LetterStatus};
use crate::watch::Watch;
use change::{Offset, SourcePosition};
use connect::{Connector, Cut, Kind, Readable, Result, SiteSettings};
use flow::Site;
use proof::{Reached, Subject, Surroundings};
use std::collections::BTreeSet;

/// The world around one table's proof.
pub(crate) struct Around<'a> {
    pub(crate) assembly: &'a Assembly,
    pub(crate) identity: &'a FlowIdentity,
    pub(crate) site: &'a Site,
    pub(crate) subject: &'a Subject,
    pub(crate) source: Opened<'a>,
    pub(crate) target: Opened<'a>,
    pub(crate) motion: &'a mut dyn Motion,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) done: u64,
}

/// A site that stays open between cuts.
pub(crate) struct Opened<'a> {
    connector: &'a dyn Connector,
    settings: &'a SiteSettings,
    site: Option<Box<dyn Readable>>,
}

impl<'a> Opened<'a> {
    /// Not open yet.
    pub(crate) fn new(connector: &'a dyn Connector, settings: &'a SiteSettings) -> Self {
        Opened { connector, settings, site: None }
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        match self.site.as_mut().map(|site| site.cut()) {
            // It may only have been away since the last cut.
            Some(Err(e)) if e.kind == Kind::Unavailable => self.site = None,
            Some(cut) => return cut,
            None => {}
        }
        let mut site = self.connector.readable(self.settings)?;
        let cut = site.cut()?;
        self.site = Some(site);
        Ok(cut)
    }
}

impl Surroundings for Around<'_> {
    fn source_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.source.cut()
    }

    fn target_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.target.cut()
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
