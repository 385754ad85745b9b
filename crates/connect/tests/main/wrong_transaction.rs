//! A transaction of a target that is wrong in one way.

use arrow::array::RecordBatch;
use change::{FlowId, Generation, Value};
use connect::memory::MemoryTarget;
use connect::memory::sample::{rows, text};
use connect::{
    Claim, Error, Fate, KeyRange, Kind, LaneProgress, LetterPlace, Result, RowWork, Target,
    TargetTable, TargetTransaction,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TransactionDefect {
    ForgetsProgress,
    CommitsWhenDropped,
    WritesOutside,
    RefusedWriteLeavesHalf,
    ValuesInMessages,
    UpsertKeepsWhatIsThere,
    InsertRefusesWhatIsThere,
    AbsentDeleteIsRefused,
    KeysInColumnOrder,
    UpdateBringsRows,
    UpdateCountsAbsentRows,
    UpdatesIgnoreOwner,
    ClearDoesNothing,
    ClearIgnoresOwner,
    RetainIgnoresOwner,
    RetainIgnoresRange,
    RetainIgnoresWhatToKeep,
    RetainIgnoresCase,
    WritesIgnoreOwner,
    DeletesIgnoreOwner,
    ZombieCommits,
    TrimsText,
    NullsAreEmpty,
    RoundsFloats,
    ForgetsFates,
    FatesOutlastADrop,
    FatesStay,
    FatesIgnoreOrdinals,
}

use TransactionDefect as D;

type Author = (FlowId, Generation, Claim);

pub(crate) struct WrongTransaction<'a> {
    inner: Option<Box<dyn TargetTransaction + 'a>>,
    site: MemoryTarget,
    author: Author,
    written: Vec<(TargetTable, RowWork)>,
    fates: Vec<(LetterPlace, Fate)>,
    defect: D,
}

pub(crate) fn without_owner(table: &TargetTable) -> TargetTable {
    TargetTable { owner: None, ..table.clone() }
}

impl<'a> WrongTransaction<'a> {
    pub(crate) fn new(
        inner: Option<Box<dyn TargetTransaction + 'a>>,
        site: MemoryTarget,
        author: Author,
        defect: D,
    ) -> Self {
        WrongTransaction { inner, site, author, written: Vec::new(), fates: Vec::new(), defect }
    }

    fn inner(&mut self) -> &mut dyn TargetTransaction {
        self.inner.as_mut().expect("this defect has an inner transaction").as_mut()
    }

    /// Does something in a transaction of its own.
    fn alone<T>(
        &mut self,
        progress: &[LaneProgress],
        work: impl FnOnce(&mut dyn TargetTransaction) -> Result<T>,
    ) -> Result<T> {
        let mut transaction = self.site.begin(self.author.0, self.author.1)?;
        let done = work(transaction.as_mut())?;
        transaction.commit(progress)?;
        Ok(done)
    }

    /// Whether a row with the key of this one is there, not counting this transaction.
    fn is_there(&self, table: &TargetTable, row: &[Value]) -> bool {
        let there = self.site.rows(&table.name).unwrap();
        there.iter().any(|other| table.schema.key().iter().all(|&i| other[i] == row[i]))
    }

    fn spoil(&self, table: &TargetTable, work: &RowWork) -> Result<RowWork> {
        let cells = |batch: &RecordBatch| {
            (0..batch.num_rows())
                .map(|row| Value::row(batch, &table.schema, row))
                .collect::<Vec<_>>()
        };
        Ok(match (self.defect, work) {
            (D::UpsertKeepsWhatIsThere, RowWork::Upsert(batch)) => {
                let mut kept = cells(batch);
                kept.retain(|row| !self.is_there(table, row));
                RowWork::Upsert(rows(&table.schema, &kept))
            }
            (D::InsertRefusesWhatIsThere, RowWork::Insert(batch))
                if cells(batch).iter().any(|row| self.is_there(table, row)) =>
            {
                return Err(Error::refused("a row is there already"));
            }
            (D::KeysInColumnOrder, RowWork::Delete(batch)) => {
                let columns = batch.columns().iter().rev().cloned().collect();
                RowWork::Delete(RecordBatch::try_new(batch.schema(), columns).unwrap())
            }
            (D::UpdateBringsRows, RowWork::Update(batch)) => RowWork::Upsert(batch.clone()),
            (_, RowWork::Upsert(batch)) => {
                let mut all = cells(batch);
                all.iter_mut().flatten().for_each(|cell| self.spoil_cell(cell));
                RowWork::Upsert(rows(&table.schema, &all))
            }
            _ => work.clone(),
        })
    }

    fn spoil_cell(&self, cell: &mut Value) {
        match (self.defect, &*cell) {
            (D::TrimsText, Value::Text(long)) => *cell = text(long.trim()),
            (D::RoundsFloats, Value::Float(bits)) => {
                *cell = Value::float(f64::from(f64::from_bits(bits.0) as f32));
            }
            _ => {}
        }
    }
}

impl TargetTransaction for WrongTransaction<'_> {
    fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        let spoilt = self.spoil(table, work)?;
        let owned = match (self.defect, &spoilt) {
            (D::WritesIgnoreOwner, RowWork::Upsert(_) | RowWork::Insert(_))
            | (D::UpdatesIgnoreOwner, RowWork::Update(_))
            | (D::DeletesIgnoreOwner, RowWork::Delete(_)) => without_owner(table),
            _ => table.clone(),
        };
        self.written.push((owned.clone(), spoilt.clone()));
        let written = match (self.defect, &spoilt) {
            (D::WritesOutside, _) => self.alone(&[], |inner| inner.write(&owned, &spoilt)),
            (D::RefusedWriteLeavesHalf, RowWork::Upsert(batch) | RowWork::Insert(batch)) => {
                (0..batch.num_rows()).try_fold(0, |written, row| {
                    let one = RowWork::Upsert(batch.slice(row, 1));
                    Ok(written + self.inner().write(&owned, &one)?)
                })
            }
            (D::NullsAreEmpty, RowWork::Upsert(batch)) => {
                let filled = (0..batch.num_rows())
                    .map(|row| {
                        let mut row = Value::row(batch, &table.schema, row);
                        for (cell, column) in row.iter_mut().zip(table.schema.columns()) {
                            if *cell == Value::Null && column.ty == change::ColumnType::Text {
                                *cell = text("");
                            }
                        }
                        row
                    })
                    .collect::<Vec<_>>();
                let filled = RowWork::Upsert(rows(&table.schema, &filled));
                self.inner().write(&owned, &filled)
            }
            _ => self.inner().write(&owned, &spoilt),
        };
        match written {
            Err(error) if self.defect == D::ValuesInMessages => {
                Err(error.found(format!("{spoilt:?}")))
            }
            Ok(affected)
                if self.defect == D::AbsentDeleteIsRefused && affected < work.rows() as u64 =>
            {
                Err(Error::refused("a key is not there"))
            }
            Ok(_) if self.defect == D::UpdateCountsAbsentRows => Ok(work.rows() as u64),
            written => written,
        }
    }

    fn retain(&mut self, table: &TargetTable, range: &KeyRange, keep: &RecordBatch) -> Result<u64> {
        let (mut table, mut range, mut keep) = (table.clone(), range.clone(), keep.clone());
        match self.defect {
            D::RetainIgnoresOwner => table.owner = None,
            D::RetainIgnoresRange => range = KeyRange::default(),
            D::RetainIgnoresWhatToKeep => keep = keep.slice(0, 0),
            D::RetainIgnoresCase => {
                let bounds = [&mut range.after, &mut range.upto];
                for cell in bounds.into_iter().flatten().flat_map(|key| &mut key.0) {
                    if let Value::Text(cased) = cell {
                        *cell = text(&cased.to_lowercase());
                    }
                }
            }
            _ => {}
        }
        self.inner().retain(&table, &range, &keep)
    }

    fn clear(&mut self, table: &TargetTable) -> Result<u64> {
        match self.defect {
            D::ClearDoesNothing => Ok(0),
            D::ClearIgnoresOwner => self.inner().clear(&without_owner(table)),
            _ => self.inner().clear(table),
        }
    }

    fn record_letters(&mut self, fates: &[(LetterPlace, Fate)]) -> Result<()> {
        let mut fates = fates.to_vec();
        match self.defect {
            D::WritesOutside => return self.alone(&[], |inner| inner.record_letters(&fates)),
            D::ForgetsFates => fates.clear(),
            D::FatesOutlastADrop => self.fates.clone_from(&fates),
            D::FatesStay => fates.retain(|(_, fate)| *fate != Fate::Waits),
            D::FatesIgnoreOrdinals => fates.iter_mut().for_each(|(place, _)| place.ordinal = 0),
            _ => {}
        }
        self.inner().record_letters(&fates)
    }

    fn commit(mut self: Box<Self>, progress: &[LaneProgress]) -> Result<()> {
        if self.defect == D::WritesOutside {
            return self.alone(progress, |_| Ok(()));
        }
        let inner = self.inner.take().expect("a transaction commits once");
        let progress = if self.defect == D::ForgetsProgress { &[] } else { progress };
        match inner.commit(progress) {
            Err(error) if self.defect == D::ZombieCommits && error.kind == Kind::Conflict => {
                let claim = Claim { take_over: true, ..self.author.2.clone() };
                self.site.claim(&claim)?;
                let written = std::mem::take(&mut self.written);
                self.alone(progress, |again| {
                    written.iter().try_for_each(|(table, work)| again.write(table, work).map(drop))
                })
            }
            committed => committed,
        }
    }
}

impl Drop for WrongTransaction<'_> {
    fn drop(&mut self) {
        if self.defect == D::CommitsWhenDropped
            && let Some(inner) = self.inner.take()
        {
            let _ = inner.commit(&[]);
        }
        if self.defect == D::FatesOutlastADrop && self.inner.take().is_some() {
            let fates = std::mem::take(&mut self.fates);
            let _ = self.alone(&[], |again| again.record_letters(&fates));
        }
    }
}
