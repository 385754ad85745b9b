//! A source, its reader and its cuts, behind a link that fails.

use crate::world::machine::{Boot, Place};
use arrow::array::RecordBatch;
use change::{FlowId, Group, GroupBody, History, SourcePosition, TableSchema};
use connect::{
    Bounds, ChangeReader, Cut, FlowProgress, ReadRequest, Readable, Result, Resume, Retained, Scan,
    Sees, Source,
};

/// Anything that can be read at a cut.
pub(super) struct FaultyReadable {
    pub(super) inner: Box<dyn Readable>,
    pub(super) boot: Boot,
    pub(super) place: Place,
}

impl Readable for FaultyReadable {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.boot.call(&self.place, "tables", || self.inner.tables())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.boot.call(&self.place, "describe", || self.inner.describe(table))
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        let inner = self.boot.call(&self.place, "cut", || self.inner.cut())?;
        Ok(Box::new(FaultyCut { inner, boot: self.boot.clone(), place: self.place.clone() }))
    }
}

struct FaultyCut {
    inner: Box<dyn Cut>,
    boot: Boot,
    place: Place,
}

impl Cut for FaultyCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.boot.sure(&self.place, "read", || Ok(()))?;
        self.inner.read(scan, sink)
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.inner.closing()
    }

    fn sees(&self, group: &Group) -> Sees {
        self.inner.sees(group)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.boot.call(&self.place, "progress at a cut", || self.inner.progress(flow))
    }
}

/// A source.
pub(super) struct FaultySource {
    pub(super) inner: Box<dyn Source>,
    pub(super) boot: Boot,
    pub(super) site: String,
    pub(super) bounds: Bounds,
}

impl FaultySource {
    fn place(&self) -> Place {
        Place::Source(self.site.clone())
    }
}

impl Readable for FaultySource {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.boot.call(&self.place(), "tables", || self.inner.tables())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.boot.call(&self.place(), "describe", || self.inner.describe(table))
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        self.boot.call(&self.place(), "cut", || self.inner.cut())
    }
}

impl Source for FaultySource {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        let place = self.place();
        let inner = self.boot.call(&place, "capture", || self.inner.capture(tables, resume))?;
        let boot = self.boot.clone();
        Ok(Box::new(FaultyReader {
            inner,
            boot,
            place,
            site: self.site.clone(),
            bounds: self.bounds,
        }))
    }
}

struct FaultyReader {
    inner: Box<dyn ChangeReader>,
    boot: Boot,
    place: Place,
    site: String,
    bounds: Bounds,
}

impl ChangeReader for FaultyReader {
    fn history(&self) -> &History {
        self.inner.history()
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let bounds = Bounds {
            changes: bounds.changes.min(self.bounds.changes),
            bytes: bounds.bytes.min(self.bounds.bytes),
        };
        self.boot.call(&self.place, "poll", || self.inner.poll(bounds))
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        self.boot.call(&self.place, "acknowledge", || {
            if !self.boot.is_zombie() {
                self.boot.oracle().acknowledged(&self.site, position.sequence);
            }
            self.inner.acknowledge(position)
        })
    }

    fn request(&mut self, read: ReadRequest) -> Result<()> {
        self.boot.call(&self.place, "request", || self.inner.request(read))
    }

    fn retained(&mut self) -> Result<Retained> {
        self.boot.call(&self.place, "retained", || self.inner.retained())
    }
}
