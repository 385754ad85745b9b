//! A cut that is wrong in one way, for targets and sources alike.

use arrow::array::RecordBatch;
use change::{FlowId, Group, Key, SourcePosition, TableSchema};
use connect::target::FlowProgress;
use connect::{Cut, KeyRange, Readable, Result, Scan, Sees};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CutDefect {
    IgnoresRange,
    RangesTakeTheirFirstKeyToo,
    ReadsBackwards,
    TakesTheFirstOfManyRanges,
    IgnoresLimit,
    IgnoresOwner,
    TurnsColumnsRound,
    AbsentTablesAreEmpty,
    SwallowsErrorsOfTheSink,
    ReadsNow,
    ProgressIsOfNow,
    SeesEverything,
    ClosesAtTheBeginning,
    DividedGroupsAreWhole,
}

pub(crate) struct WrongCut {
    pub(crate) inner: Box<dyn Cut>,
    /// A second way to the site, for a cut that does not stand still.
    pub(crate) site: Box<dyn Readable>,
    pub(crate) defect: CutDefect,
}

impl WrongCut {
    fn spoil(&self, scan: &Scan) -> Scan {
        let mut scan = scan.clone();
        match self.defect {
            CutDefect::IgnoresRange => scan.range = KeyRange::default(),
            CutDefect::IgnoresLimit => scan.limit = None,
            CutDefect::IgnoresOwner => scan.owner = None,
            CutDefect::TurnsColumnsRound => {
                let columns = scan.schema.columns().iter().rev().cloned().collect();
                let key: Vec<&str> = scan.schema.key_names().collect();
                scan.schema = TableSchema::new(columns, &key).unwrap();
            }
            _ => {}
        }
        scan
    }

    /// The row under the key that a range begins behind.
    fn first(&mut self, scan: &Scan, after: &Key) -> Result<Option<RecordBatch>> {
        let range = KeyRange { after: None, upto: Some(after.clone()) };
        let scan = Scan { range, ..scan.clone() };
        let before = scan.collect(self.inner.as_mut())?;
        let count = before.num_rows();
        Ok((count > 0).then(|| before.slice(count - 1, 1)))
    }
}

impl Cut for WrongCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let spoilt = self.spoil(scan);
        let mut more = 0;
        match self.defect {
            CutDefect::ReadsNow => return self.site.cut()?.read(scan, sink),
            CutDefect::SwallowsErrorsOfTheSink => {
                return self.inner.read(scan, &mut |batch| {
                    let _ = sink(batch);
                    Ok(())
                });
            }
            CutDefect::ReadsBackwards => {
                let all = scan.collect(self.inner.as_mut())?;
                let rows = all.num_rows();
                (0..rows).rev().try_for_each(|row| sink(all.slice(row, 1)))?;
                return Ok(rows as u64);
            }
            CutDefect::RangesTakeTheirFirstKeyToo => {
                if let Some(after) = &scan.range.after
                    && let Some(row) = self.first(scan, after)?
                {
                    sink(row)?;
                    more = 1;
                }
            }
            _ => {}
        }
        match self.inner.read(&spoilt, sink) {
            Err(_) if self.defect == CutDefect::AbsentTablesAreEmpty => Ok(0),
            read => Ok(read? + more),
        }
    }

    fn read_ranges(
        &mut self,
        scan: &Scan,
        ranges: &[KeyRange],
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let ranges = match self.defect {
            CutDefect::TakesTheFirstOfManyRanges => &ranges[..ranges.len().min(1)],
            _ => ranges,
        };
        ranges.iter().try_fold(0, |rows, range| {
            let scan = Scan { range: range.clone(), ..scan.clone() };
            Ok(rows + self.read(&scan, sink)?)
        })
    }

    fn closing(&self) -> Option<&SourcePosition> {
        match self.defect {
            CutDefect::ClosesAtTheBeginning => Some(&SourcePosition::START),
            _ => self.inner.closing(),
        }
    }

    fn sees(&self, group: &Group) -> Sees {
        match (self.defect, self.inner.sees(group)) {
            (CutDefect::SeesEverything, _) | (CutDefect::DividedGroupsAreWhole, Sees::Part) => {
                Sees::All
            }
            (_, seen) => seen,
        }
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        match self.defect {
            CutDefect::ProgressIsOfNow => self.site.cut()?.progress(flow),
            _ => self.inner.progress(flow),
        }
    }
}
