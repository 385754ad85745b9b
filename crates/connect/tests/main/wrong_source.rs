//! A source that is wrong in one way.

use super::source::Memory;
use super::wrong_cut::{CutDefect, WrongCut};
use super::wrong_reader::WrongReader;
use change::{Column, SourcePosition, TableSchema};
use connect::conformance::Arranged;
use connect::conformance::source::SourceHarness;
use connect::memory::{Edit, MemorySource, OldImages};
use connect::{ChangeReader, Cut, Readable, Result, Resume, Source, State};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SourceDefect {
    Cut(CutDefect),
    UpdatesAreInserts,
    UpdatesForgetTheirOldKey,
    LosesTruncates,
    OrdersByTable,
    TearsTransactions,
    EveryPartIsLast,
    PartsAreNotNumbered,
    CommitsWhatIsRolledBack,
    PositionsStandStill,
    CapturesEverything,
    TrimsText,
    ForgetsNewColumns,
    FreshBeginsAtTheOldest,
    LetsGoWhenPolled,
    SkipsOneWhenItGoesOn,
    LosesThePartsThatFollow,
    NeverLetsGo,
    PassesOverGaps,
    AcceptsAnyHistory,
    TrustsNumbers,
    NewTablesAreLeftOut,
    LeavesKeylessTablesOut,
    ChunksComeLate,
    ChunksComeEarly,
    ChunksForgetWhereTheyBegin,
    EmptyTablesAreNotTold,
    SnapshotsBeginAtTheFirst,
    AbsentKeysAreLeftOut,
    KeysComeLate,
    KeysComeEarly,
    ReadsWhatIsNotCaptured,
    ShowsBookkeeping,
}

use SourceDefect as D;

/// One database, opened as a wrong source.
pub(crate) struct WrongSources {
    memory: Memory,
    defect: SourceDefect,
}

impl WrongSources {
    pub(crate) fn new(defect: SourceDefect) -> Self {
        WrongSources { memory: Memory::new(OldImages::Full), defect }
    }
}

impl SourceHarness for WrongSources {
    fn create(&mut self, table: &str, schema: &TableSchema) {
        self.memory.create(table, schema);
    }

    fn open(&mut self) -> Box<dyn Source> {
        Box::new(WrongSource {
            inner: self.memory.open(),
            other: self.memory.source.clone(),
            defect: self.defect,
        })
    }

    fn commit(&mut self, edits: &[Edit]) {
        self.memory.commit(edits);
    }

    fn roll_back(&mut self, edits: &[Edit]) {
        match self.defect {
            D::CommitsWhatIsRolledBack => self.memory.commit(edits),
            _ => self.memory.roll_back(edits),
        }
    }

    fn back_up(&mut self) -> Arranged {
        self.memory.back_up()
    }

    fn restore(&mut self) {
        self.memory.restore();
    }

    fn add_column(&mut self, table: &str, column: &Column) -> Arranged {
        self.memory.add_column(table, column)
    }
}

struct WrongSource {
    inner: Box<dyn Source>,
    /// A second handle to the same database.
    other: MemorySource,
    defect: SourceDefect,
}

impl WrongSource {
    fn spoil_tables(&mut self, tables: &[String], resume: &Resume) -> Result<Vec<String>> {
        Ok(match (self.defect, resume) {
            (D::CapturesEverything, _) => self.inner.tables()?,
            (D::NewTablesAreLeftOut, Resume::After { .. }) => tables[..1].to_vec(),
            (D::LeavesKeylessTablesOut, _) => {
                let mut kept = tables.to_vec();
                kept.retain(|table| {
                    self.inner.describe(table).is_ok_and(|schema| !schema.key().is_empty())
                });
                kept
            }
            _ => tables.to_vec(),
        })
    }

    fn spoil_resume(&mut self, tables: &[String], resume: &Resume) -> Result<Resume> {
        let mut ours = || Ok(self.other.capture(tables, &Resume::Fresh)?.history().clone());
        Ok(match (self.defect, resume) {
            (D::FreshBeginsAtTheOldest, Resume::Fresh) => {
                Resume::After { history: ours()?, position: SourcePosition::START }
            }
            (D::AcceptsAnyHistory, Resume::After { position, .. }) => {
                Resume::After { history: ours()?, position: position.clone() }
            }
            (D::TrustsNumbers, Resume::After { history, position }) => {
                let position = SourcePosition::at(position.sequence);
                Resume::After { history: history.clone(), position }
            }
            _ => resume.clone(),
        })
    }
}

impl Readable for WrongSource {
    fn tables(&mut self) -> Result<Vec<String>> {
        let mut tables = self.inner.tables()?;
        if self.defect == D::ShowsBookkeeping {
            tables.push("seamount_changes".into());
        }
        Ok(tables)
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.inner.describe(table)
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        let inner = self.inner.cut()?;
        let D::Cut(defect) = self.defect else { return Ok(inner) };
        Ok(Box::new(WrongCut { inner, site: self.other.open(), defect }))
    }
}

impl Source for WrongSource {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        let spoilt = self.spoil_tables(tables, resume)?;
        let from = self.spoil_resume(tables, resume)?;
        let resumed = matches!(resume, Resume::After { .. }).then_some(());
        let reader = match self.inner.capture(&spoilt, &from) {
            Err(lost) if self.defect == D::PassesOverGaps => {
                assert_eq!(lost.state, Some(State::PositionLost));
                self.inner.capture(&spoilt, &Resume::Fresh)?
            }
            reader => reader?,
        };
        Ok(Box::new(WrongReader::new(reader, self.defect, resumed)))
    }
}
