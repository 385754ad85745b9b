//! A target that is wrong in one way.

use super::wrong_cut::{CutDefect, WrongCut};
use super::wrong_transaction::{TransactionDefect, WrongTransaction, without_owner};
use arrow::array::RecordBatch;
use change::{FlowId, Generation, Key, RunId, TableSchema, Value};
use connect::conformance::Arranged;
use connect::conformance::target::TargetHarness;
use connect::memory::MemoryTarget;
use connect::memory::sample::{rows, text};
use connect::{
    Claim, Cut, Error, Fates, FlowProgress, Load, Publish, Published, PublishedRun, Readable,
    Result, Target, TargetTable, TargetTransaction,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TargetDefect {
    Cut(CutDefect),
    Transaction(TransactionDefect),
    UniqueColumnsAreNot,
    ShowsOneLane,
    EverybodyMayClaim,
    KnownHoldersAreRefused,
    TakeOverIsRefused,
    ZombieMayBegin,
    ZombieMayPublish,
    ZombieMayStage,
    ZombieMayAdopt,
    AcceptsOldGeneration,
    PublishesOldGeneration,
    AdoptForgetsProgress,
    AdoptForgetsFates,
    FatesOfEveryFlow,
    StageShows,
    StageIsATable,
    StageReplaces,
    ReadStagedLosesTheLast,
    AbsentStageIsEmpty,
    StageTakesHalf,
    StageIgnoresOwner,
    DiscardKeeps,
    AbsentDiscardFails,
    PublishForgetsProgress,
    PublishesTablesOneByOne,
    RefusedPublishDropsTheStage,
    TrustsTheStage,
    PublishesAgain,
    NeverRestates,
    OldestRunFirst,
    ReplaceKeepsTheRest,
    ReplaceIgnoresInterval,
    ReplaceIgnoresOwner,
    MergeReplaces,
    AppendOverwrites,
    DropsEqualRows,
    PrepareEmpties,
    ShowsBookkeeping,
    PrepareDoesNotWiden,
    PreparePassesOverBlocks,
    TrimsStagedText,
}

use TargetDefect as D;

/// Opens one wrong target again and again.
pub(crate) struct WrongTargets {
    site: MemoryTarget,
    defect: TargetDefect,
}

impl WrongTargets {
    pub(crate) fn new(defect: TargetDefect) -> Self {
        WrongTargets { site: MemoryTarget::new(), defect }
    }
}

impl TargetHarness for WrongTargets {
    fn open(&mut self) -> Box<dyn Target> {
        let inner = self.site.open();
        Box::new(WrongTarget { inner, defect: self.defect, claimed: None, adopted: Vec::new() })
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        if self.defect != D::UniqueColumnsAreNot {
            self.site.unique(table, column);
        }
        Arranged::Done
    }
}

struct WrongTarget {
    inner: MemoryTarget,
    defect: TargetDefect,
    claimed: Option<Claim>,
    /// Oldest first.
    adopted: Vec<(FlowId, Generation)>,
}

impl WrongTarget {
    /// Does the forbidden thing: becomes the holder again, when this is the defect.
    fn rise(&mut self, defect: TargetDefect) -> Result<()> {
        match &self.claimed {
            Some(claim) if self.defect == defect => {
                self.inner.claim(&Claim { take_over: true, ..claim.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Publishes each table as a run of its own.
    fn one_by_one(&mut self, publish: &Publish) -> Result<Published> {
        let mut total = (0, 0);
        for (place, (table, count)) in publish.tables.iter().enumerate() {
            let run = RunId::mint(0x7000 + place as u64);
            let mut staged = Vec::new();
            self.inner.read_staged(publish.run, table, &mut |batch| {
                staged.push(batch);
                Ok(())
            })?;
            for batch in &staged {
                self.inner.stage(run, table, batch)?;
            }
            let interval = format!("{} of {}", publish.interval, table.name);
            let tables = vec![(table.clone(), *count)];
            let single = Publish { run, interval, tables, ..publish.clone() };
            if let Published::Now { rows, removed } = self.inner.publish(&single)? {
                total = (total.0 + rows, total.1 + removed);
            }
        }
        self.inner.discard(publish.run)?;
        Ok(Published::Now { rows: total.0, removed: total.1 })
    }

    fn spoil(&mut self, publish: &Publish) -> Result<Publish> {
        let mut publish = publish.clone();
        match (self.defect, publish.load.clone()) {
            (D::PublishForgetsProgress, _) => publish.progress.clear(),
            (D::PublishesAgain, _) => publish.content = format!("{}", publish.run),
            (D::NeverRestates, _) => publish.content.clear(),
            (D::ReplaceKeepsTheRest, Load::Replace) => publish.load = Load::Merge,
            (D::MergeReplaces, Load::Merge) => publish.load = Load::Replace,
            (D::AppendOverwrites, Load::Append) => publish.load = Load::Merge,
            (D::ReplaceIgnoresInterval, _) => publish.interval_rows = None,
            (D::ReplaceIgnoresOwner, _) => {
                publish.tables.iter_mut().for_each(|(table, _)| table.owner = None);
            }
            (D::PublishesOldGeneration, _) => {
                self.inner.adopt(publish.flow, publish.generation)?;
            }
            (D::TrustsTheStage, _) => {
                for (table, count) in &mut publish.tables {
                    *count = self.inner.read_staged(publish.run, table, &mut |_| Ok(()))?;
                }
            }
            _ => {}
        }
        Ok(publish)
    }
}

fn cells(schema: &TableSchema, batch: &RecordBatch) -> Vec<Vec<Value>> {
    (0..batch.num_rows()).map(|row| Value::row(batch, schema, row)).collect()
}

impl Readable for WrongTarget {
    fn tables(&mut self) -> Result<Vec<String>> {
        let mut tables = self.inner.tables()?;
        match self.defect {
            D::ShowsBookkeeping => tables.push("seamount_progress".into()),
            D::StageIsATable if !self.inner.staged()?.is_empty() => tables.push("staged".into()),
            _ => {}
        }
        Ok(tables)
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.inner.describe(table)
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        let inner = self.inner.cut()?;
        let D::Cut(defect) = self.defect else { return Ok(inner) };
        Ok(Box::new(WrongCut { inner, site: Box::new(self.inner.clone()), defect }))
    }
}

impl Target for WrongTarget {
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()> {
        let there = self.inner.tables()?;
        if self.defect == D::PrepareDoesNotWiden && there.contains(&tables[0].name) {
            return Ok(());
        }
        match self.inner.prepare(tables) {
            Err(_) if self.defect == D::PreparePassesOverBlocks => Ok(()),
            Ok(()) if self.defect == D::PrepareEmpties => {
                for table in tables {
                    let key = |row: Vec<Value>| {
                        Key(table.schema.key().iter().map(|&i| row[i].clone()).collect())
                    };
                    let keys: Vec<Key> =
                        self.inner.rows(&table.name)?.into_iter().map(key).collect();
                    self.inner.tamper_delete(&table.name, &keys)?;
                }
                Ok(())
            }
            prepared => prepared,
        }
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        let mut claim = claim.clone();
        self.claimed = Some(claim.clone());
        match self.defect {
            D::EverybodyMayClaim => claim.take_over = true,
            D::KnownHoldersAreRefused => claim.known.clear(),
            D::TakeOverIsRefused => claim.take_over = false,
            _ => {}
        }
        self.inner.claim(&claim)
    }

    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()> {
        self.rise(D::ZombieMayAdopt)?;
        self.adopted.push((flow, generation));
        self.inner.adopt(flow, generation)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        let mut progress = self.inner.progress(flow)?;
        match (self.defect, &mut progress) {
            (D::ShowsOneLane, Some(progress)) => {
                while progress.lanes.len() > 1 {
                    progress.lanes.pop_first();
                }
            }
            (D::AdoptForgetsProgress, Some(old))
                if self.adopted.last().is_none_or(|(_, now)| *now != old.generation) =>
            {
                progress = None;
            }
            _ => {}
        }
        Ok(progress)
    }

    fn letters(&mut self, flow: FlowId) -> Result<Fates> {
        match self.defect {
            D::AdoptForgetsFates if self.adopted.iter().filter(|(f, _)| *f == flow).count() > 1 => {
                Ok(Fates::new())
            }
            D::FatesOfEveryFlow => {
                let mut all = Fates::new();
                for (flow, _) in &self.adopted {
                    all.extend(self.inner.letters(*flow)?);
                }
                Ok(all)
            }
            _ => self.inner.letters(flow),
        }
    }

    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>> {
        self.rise(D::ZombieMayBegin)?;
        if self.defect == D::AcceptsOldGeneration {
            self.inner.adopt(flow, generation)?;
        }
        let D::Transaction(defect) = self.defect else { return self.inner.begin(flow, generation) };
        let claim = self.claimed.clone().ok_or_else(|| Error::conflict("nothing is claimed"))?;
        let site = self.inner.clone();
        let begun = self.inner.begin(flow, generation)?;
        let inner = (defect != TransactionDefect::WritesOutside).then_some(begun);
        Ok(Box::new(WrongTransaction::new(inner, site, (flow, generation, claim), defect)))
    }

    fn stage(&mut self, run: RunId, table: &TargetTable, batch: &RecordBatch) -> Result<()> {
        self.rise(D::ZombieMayStage)?;
        match self.defect {
            D::StageReplaces => self.inner.discard(run)?,
            D::StageShows => self.inner.tamper(&table.name, cells(&table.schema, batch))?,
            D::StageTakesHalf => {
                return (0..batch.num_rows())
                    .try_for_each(|row| self.inner.stage(run, table, &batch.slice(row, 1)));
            }
            D::StageIgnoresOwner => return self.inner.stage(run, &without_owner(table), batch),
            D::DropsEqualRows => {
                let mut kept = cells(&table.schema, batch);
                kept.dedup();
                return self.inner.stage(run, table, &rows(&table.schema, &kept));
            }
            D::TrimsStagedText => {
                let mut trimmed = cells(&table.schema, batch);
                for cell in trimmed.iter_mut().flatten() {
                    if let Value::Text(long) = cell {
                        *cell = text(long.trim());
                    }
                }
                return self.inner.stage(run, table, &rows(&table.schema, &trimmed));
            }
            _ => {}
        }
        self.inner.stage(run, table, batch)
    }

    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let read = match self.defect {
            D::ReadStagedLosesTheLast => self
                .inner
                .read_staged(run, table, &mut |batch| sink(batch.slice(0, batch.num_rows() - 1))),
            _ => self.inner.read_staged(run, table, sink),
        };
        match read {
            Err(_) if self.defect == D::AbsentStageIsEmpty => Ok(0),
            read => read,
        }
    }

    fn publish(&mut self, publish: &Publish) -> Result<Published> {
        self.rise(D::ZombieMayPublish)?;
        if self.defect == D::PublishesTablesOneByOne {
            return self.one_by_one(publish);
        }
        let publish = self.spoil(publish)?;
        let published = self.inner.publish(&publish);
        if published.is_err() && self.defect == D::RefusedPublishDropsTheStage {
            self.inner.discard(publish.run)?;
        }
        published
    }

    fn discard(&mut self, run: RunId) -> Result<()> {
        match self.defect {
            D::DiscardKeeps => Ok(()),
            D::AbsentDiscardFails if !self.inner.staged()?.contains(&run) => {
                Err(Error::invalid("there is no such run"))
            }
            _ => self.inner.discard(run),
        }
    }

    fn staged(&mut self) -> Result<Vec<RunId>> {
        self.inner.staged()
    }

    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>> {
        let mut runs = self.inner.published(flow)?;
        if self.defect == D::OldestRunFirst {
            runs.reverse();
        }
        Ok(runs)
    }
}
