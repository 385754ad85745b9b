//! The target and its transactions, behind a link that fails: the answer to a commit can be lost.

use crate::world::machine::{Boot, Place};
use arrow::array::RecordBatch;
use change::{FlowId, Generation, RunId, TableSchema};
use connect::memory::MemoryTarget;
use connect::{
    Claim, Cut, Fate, Fates, FlowProgress, KeyRange, LaneProgress, LetterPlace, Publish, Published,
    PublishedRun, Readable, Result, RowWork, Target, TargetTable, TargetTransaction,
};

const HERE: Place = Place::Target;

/// The target, as one engine reaches it.
pub(super) struct FaultyTarget {
    pub(super) inner: MemoryTarget,
    pub(super) boot: Boot,
}

impl Readable for FaultyTarget {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.boot.call(&HERE, "tables", || self.inner.tables())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.boot.call(&HERE, "describe", || self.inner.describe(table))
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        self.boot.call(&HERE, "cut", || self.inner.cut())
    }
}

impl Target for FaultyTarget {
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()> {
        self.boot.call(&HERE, "prepare", || self.inner.prepare(tables))
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.boot.call(&HERE, "claim", || self.inner.claim(claim))
    }

    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()> {
        self.boot.call(&HERE, "adopt", || self.inner.adopt(flow, generation))
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.boot.call(&HERE, "progress", || self.inner.progress(flow))
    }

    fn letters(&mut self, flow: FlowId) -> Result<Fates> {
        self.boot.call(&HERE, "letters", || self.inner.letters(flow))
    }

    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>> {
        let boot = self.boot.clone();
        let inner = self.boot.call(&HERE, "begin", || self.inner.begin(flow, generation))?;
        Ok(Box::new(FaultyTransaction { inner, boot }))
    }

    fn stage(&mut self, run: RunId, table: &TargetTable, rows: &RecordBatch) -> Result<()> {
        self.boot.call(&HERE, "stage", || self.inner.stage(run, table, rows))
    }

    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.boot.sure(&HERE, "read staged", || Ok(()))?;
        self.inner.read_staged(run, table, sink)
    }

    fn publish(&mut self, publish: &Publish) -> Result<Published> {
        self.boot.call(&HERE, "publish", || self.inner.publish(publish))
    }

    fn discard(&mut self, run: RunId) -> Result<()> {
        self.boot.call(&HERE, "discard", || self.inner.discard(run))
    }

    fn staged(&mut self) -> Result<Vec<RunId>> {
        self.boot.call(&HERE, "staged", || self.inner.staged())
    }

    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>> {
        self.boot.call(&HERE, "published", || self.inner.published(flow))
    }
}

struct FaultyTransaction<'t> {
    inner: Box<dyn TargetTransaction + 't>,
    boot: Boot,
}

impl TargetTransaction for FaultyTransaction<'_> {
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        let done = self.boot.sure(&HERE, "write", || self.inner.write(table, work));
        if let (Err(e), false) = (&done, self.boot.is_zombie()) {
            self.boot.machine().note(|| format!("  {} rows of {}: {e}", work.rows(), table.name));
        }
        done
    }

    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64> {
        self.boot.sure(&HERE, "retain", || self.inner.retain(table, range, keep))
    }

    fn clear(&mut self, table: &TargetTable) -> Result<u64> {
        self.boot.sure(&HERE, "clear", || self.inner.clear(table))
    }

    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()> {
        self.boot.sure(&HERE, "record letters", || self.inner.record_letters(fates))
    }

    fn commit(self: Box<Self>, progress: &[LaneProgress]) -> Result<()> {
        let FaultyTransaction { inner, boot } = *self;
        if !boot.is_zombie() {
            let oracle = boot.oracle();
            let name = |lane: &LaneProgress| oracle.site_of(lane.lane).to_string();
            let places: Vec<String> =
                progress.iter().map(|lane| format!("{} {}", name(lane), lane.offset)).collect();
            drop(oracle);
            boot.machine().note(|| format!("  commits progress {}", places.join(", ")));
        }
        boot.call(&HERE, "commit", || inner.commit(progress))
    }
}
