//! The source's half of a look: a cut, and the rows of a piece or of some ranges read through it.
//!
//! Reading needs nothing but the cut and the path of the rows, so that a thread of its own can do it. The cut is let go
//! as soon as its rows are read: what it contains is asked of it afterwards.

use crate::Prover;
use crate::look::Wanted;
use crate::rows::{Keep, SourceRows};
use crate::subject::RowPath;
use crate::verdict::Reason;
use change::{Key, Offset, SourcePosition};
use connect::{Clock, Cut, Kind, Result, Scan};

/// A source cut whose rows are still to be read.
pub(crate) struct Opened {
    cut: Box<dyn Cut>,
    closing: SourcePosition,
    /// The newest durable group of the lane before the cut was taken.
    before: Offset,
    /// When the cut was taken, on the steady clock.
    taken_us: i64,
}

/// Source rows of a look, and the cut they were read through.
pub(crate) struct SourceSide {
    pub(crate) cut: Box<dyn Cut>,
    pub(crate) rows: SourceRows,
    /// Source key at which the piece ends; `None` when it is the last, and of ranges.
    pub(crate) end: Option<Key>,
    pub(crate) closing: SourcePosition,
    pub(crate) before: Offset,
    /// How long the source kept old versions for the cut.
    pub(crate) held_us: i64,
}

impl Opened {
    /// A cut that was just taken; `before` was the newest durable group before that.
    pub(crate) fn new(
        cut: Box<dyn Cut>,
        before: Offset,
        clock: &dyn Clock,
    ) -> Result<Opened, Reason> {
        let closing = cut.closing().cloned().ok_or(Reason::NoClosing)?;
        Ok(Opened { cut, closing, before, taken_us: steady_us(clock) })
    }

    /// Reads what is wanted.
    pub(crate) fn read(
        self,
        prover: &Prover<'_>,
        path: &RowPath,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<SourceSide, Reason>> {
        let Opened { mut cut, closing, before, taken_us } = self;
        let mut scan = Scan::all(path.source_table(), path.source_schema().as_ref().clone());
        let mut rows = SourceRows::new(path, keep);
        let sink = &mut |batch| rows.add(path, prover.key, &batch);
        let read = match wanted {
            Wanted::Next(after, limit) => {
                scan.range.after = after.cloned();
                scan.limit = Some(*limit);
                cut.read(&scan, sink)
            }
            Wanted::Ranges(ranges) => cut.read_ranges(&scan, ranges, sink),
        };
        if let Err(reason) = readable(read)? {
            return Ok(Err(reason));
        }
        cut.let_go();
        let held_us = steady_us(prover.clock) - taken_us;
        // A piece ends at the last row read, unless the table ended first.
        let end = match wanted {
            Wanted::Next(_, limit) if rows.read >= *limit as u64 => rows.last.clone(),
            Wanted::Next(..) | Wanted::Ranges(_) => None,
        };
        Ok(Ok(SourceSide { cut, rows, end, closing, before, held_us }))
    }
}

fn steady_us(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.steady().as_micros()).unwrap_or(i64::MAX)
}

/// A cell that the source's reader refuses is a reason: capture stops at such a row too.
pub(crate) fn readable(read: Result<u64>) -> Result<Result<u64, Reason>> {
    match read {
        Err(e) if e.kind == Kind::Refused => {
            Ok(Err(Reason::CellRefused { of: "source", what: e.to_string() }))
        }
        read => read.map(Ok),
    }
}
