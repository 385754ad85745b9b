//! One look: a source cut, a target cut, and the log between them, over some ranges of keys.
//!
//! First looks take the next piece of the key space, second looks take single keys: both go the same way, so a
//! difference is only reported when two independent pairs of cuts show it. Nobody is paused.

use crate::Prover;
use crate::images::{OldRows, Reader};
use crate::rows::{Keep, Rows, SourceRows};
use crate::subject::{Subject, Writer};
use crate::surroundings::{Reached, Surroundings};
use crate::target_rows::TargetReading;
use crate::touched::{Contained, Touch, Window, durable};
use crate::verdict::Reason;
use change::planted::{Defect, is_planted};
use change::{Key, Offset, SourcePosition};
use connect::{Cut, KeyRange, Kind, Result, Scan};
use std::collections::{BTreeSet, HashMap};

/// Which keys to look at, as the source spells them.
pub(crate) enum Wanted<'a> {
    /// The next piece behind this key.
    Next(Option<&'a Key>),
    /// These ranges.
    Ranges(&'a [KeyRange]),
}

/// What a look saw.
pub(crate) struct Sight {
    pub(crate) source: SourceRows,
    pub(crate) target: Rows,
    pub(crate) target_rows: u64,
    /// Keys to be compared with the log instead of the source.
    pub(crate) touches: HashMap<Vec<u8>, Touch>,
    pub(crate) parked: BTreeSet<Vec<u8>>,
    /// The ranges looked at, as the target spells them.
    pub(crate) ranges: Vec<KeyRange>,
    /// Source key at which the piece ends; `None` when it is the last.
    pub(crate) end: Option<Key>,
    /// Place of the lane at which what should be there is true.
    pub(crate) known_at: Offset,
    pub(crate) closing: SourcePosition,
    /// How long the source cut was held.
    pub(crate) held_us: i64,
    /// When the target was read.
    pub(crate) read_at: i64,
}

impl Sight {
    /// Whether a key, as the target spells it, lies in what was looked at.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.ranges.iter().any(|range| range.holds(key))
    }
}

/// The outcome of a look.
pub(crate) enum Look {
    Seen(Box<Sight>),
    /// It has to be taken again: this came in between.
    Void(String),
    Unproven(Reason),
}

/// Takes looks at one subject.
pub(crate) struct Looker<'a> {
    pub(crate) prover: &'a Prover<'a>,
    pub(crate) subject: &'a Subject,
    pub(crate) around: &'a mut dyn Surroundings,
}

/// Source rows of a look, and the cut they were read through.
struct SourceSide {
    cut: Box<dyn Cut>,
    rows: SourceRows,
    taken_us: i64,
    closing: SourcePosition,
}

impl Looker<'_> {
    /// Takes a look, and again while it is void, at most as often as the settings say.
    pub(crate) fn look(
        &mut self,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<Box<Sight>, Reason>> {
        let attempts = self.prover.settings.attempts.max(1);
        let mut last = String::new();
        for _ in 0..attempts {
            let look = match self.subject.writer {
                Writer::Flow => self.behind_applier(wanted, keep)?,
                Writer::Other { .. } => self.behind_foreign_writer(wanted, keep)?,
            };
            match look {
                Look::Seen(sight) => return Ok(Ok(sight)),
                Look::Unproven(reason) => return Ok(Err(reason)),
                Look::Void(by) => last = by,
            }
        }
        Ok(Err(Reason::Voided { attempts, by: last }))
    }

    /// Source first; then the target, once the applier has passed the source cut.
    fn behind_applier(&mut self, wanted: &Wanted<'_>, keep: Keep) -> Result<Look> {
        let (log, lane) = (self.prover.log, self.subject.lane);
        let before = durable(log, lane)?;
        let cut = self.around.source_cut()?;
        let source = match self.read_source(cut, wanted, keep)? {
            Ok(source) => source,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        let tail = match self.around.captured(&source.closing)? {
            Reached::At(tail) => tail,
            Reached::Never(why) => return Ok(Look::Unproven(Reason::NotCaptured(why))),
        };
        let contained = Contained::of(source.cut.as_ref(), log, lane, before, tail)?;
        // The source keeps old versions for the cut: it goes before the applier is waited for.
        drop(source.cut);
        let held_us = self.steady_us() - source.taken_us;
        let Some(contained) = contained else { return Ok(Look::Unproven(Reason::LogTrimmed)) };
        if let Reached::Never(why) = self.around.applied(contained.upto())? {
            return Ok(Look::Unproven(Reason::TargetBehind(why)));
        }

        let mut cut = self.around.target_cut()?;
        let known_at = match self.progress(cut.as_mut(), contained.upto())? {
            Ok(offset) => offset,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        let end = end(wanted, &source.rows, self.prover.settings.chunk_rows);
        let ranges = self.target_ranges(wanted, end.as_ref());
        let (target, target_rows) = match self.read_target(cut.as_mut(), &ranges, keep)? {
            Ok(read) => read,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        drop(cut);
        let parked = self.around.parked()?;
        let reader = Reader {
            path: &self.subject.path,
            key: self.prover.key,
            keep,
            old_rows: OldRows::Ignored,
        };
        let touches = match Window::read(log, lane, &contained, known_at, &reader)? {
            Window::Keys(_) if is_planted(Defect::ProofForgetsMotion) => HashMap::new(),
            Window::Keys(touches) => touches,
            Window::Void(by) => return Ok(Look::Void(by)),
            Window::Trimmed => return Ok(Look::Unproven(Reason::LogTrimmed)),
        };
        Ok(Look::Seen(Box::new(Sight {
            source: source.rows,
            target,
            target_rows,
            touches,
            parked,
            ranges,
            end,
            known_at,
            closing: source.closing,
            held_us,
            read_at: self.prover.clock.now(),
        })))
    }

    /// Target first: whatever a foreign writer has copied from the source is then in the source cut, or an older
    /// version of what is in it.
    fn behind_foreign_writer(&mut self, wanted: &Wanted<'_>, keep: Keep) -> Result<Look> {
        let end = match wanted {
            Wanted::Next(after) => match self.probe_end(*after)? {
                Ok(end) => end,
                Err(reason) => return Ok(Look::Unproven(reason)),
            },
            Wanted::Ranges(_) => None,
        };
        let ranges = self.target_ranges(wanted, end.as_ref());
        let read_at = self.prover.clock.now();
        let mut cut = self.around.target_cut()?;
        let (target, target_rows) = match self.read_target(cut.as_mut(), &ranges, keep)? {
            Ok(read) => read,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        drop(cut);

        let piece;
        let wanted = match wanted {
            Wanted::Next(after) => {
                piece = [KeyRange { after: after.cloned(), upto: end.clone() }];
                Wanted::Ranges(&piece)
            }
            Wanted::Ranges(ranges) => Wanted::Ranges(ranges),
        };
        let cut = self.around.source_cut()?;
        let source = match self.read_source(cut, &wanted, keep)? {
            Ok(source) => source,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        drop(source.cut);
        let held_us = self.steady_us() - source.taken_us;
        let known_at = match self.around.captured(&source.closing)? {
            Reached::At(tail) => tail,
            Reached::Never(why) => return Ok(Look::Unproven(Reason::NotCaptured(why))),
        };
        Ok(Look::Seen(Box::new(Sight {
            source: source.rows,
            target,
            target_rows,
            touches: HashMap::new(),
            parked: BTreeSet::new(),
            ranges,
            end,
            known_at,
            closing: source.closing,
            held_us,
            read_at,
        })))
    }

    /// The source key at which the next piece ends, read without the rows.
    fn probe_end(&mut self, after: Option<&Key>) -> Result<Result<Option<Key>, Reason>> {
        let schema = self.subject.path.source_schema().key_schema();
        let limit = self.prover.settings.chunk_rows.max(1);
        let scan = Scan {
            table: self.subject.path.source_table().into(),
            range: KeyRange { after: after.cloned(), upto: None },
            schema: schema.clone(),
            owner: None,
            limit: Some(limit),
        };
        let mut last = None;
        let rows = self.around.source_cut()?.read(&scan, &mut |batch| {
            if let Some(row) = batch.num_rows().checked_sub(1) {
                last = Some(Key::read(&batch, &schema, row));
            }
            Ok(())
        });
        Ok(readable(rows)?.map(|rows| last.filter(|_| rows >= limit as u64)))
    }

    fn read_source(
        &mut self,
        mut cut: Box<dyn Cut>,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<SourceSide, Reason>> {
        let taken_us = self.steady_us();
        let Some(closing) = cut.closing().cloned() else { return Ok(Err(Reason::NoClosing)) };
        let path = &self.subject.path;
        let mut scan = Scan::all(path.source_table(), path.source_schema().as_ref().clone());
        let mut rows = SourceRows::new(path, keep);
        let key = self.prover.key;
        let mut read = |scan: &Scan, rows: &mut SourceRows| {
            readable(cut.read(scan, &mut |batch| rows.add(path, key, &batch)))
        };
        match wanted {
            Wanted::Next(after) => {
                scan.range.after = after.cloned();
                scan.limit = Some(self.prover.settings.chunk_rows.max(1));
                if let Err(reason) = read(&scan, &mut rows)? {
                    return Ok(Err(reason));
                }
            }
            Wanted::Ranges(ranges) => {
                for range in *ranges {
                    scan.range = range.clone();
                    if let Err(reason) = read(&scan, &mut rows)? {
                        return Ok(Err(reason));
                    }
                }
            }
        }
        Ok(Ok(SourceSide { cut, rows, taken_us, closing }))
    }

    /// Reads the target's rows of some ranges.
    pub(crate) fn read_target(
        &self,
        cut: &mut dyn Cut,
        ranges: &[KeyRange],
        keep: Keep,
    ) -> Result<Result<(Rows, u64), Reason>> {
        let (table, key) = (self.subject.path.target(), self.prover.key);
        TargetReading { table, ranges, keep, key }.read(cut)
    }

    /// The target's progress in this lane, of the same moment as the rows of the cut.
    pub(crate) fn progress(
        &self,
        cut: &mut dyn Cut,
        passed: Offset,
    ) -> Result<Result<Offset, Reason>> {
        let Some(progress) = cut.progress(self.subject.flow)? else {
            return Ok(Err(Reason::NoProgress));
        };
        if progress.generation != self.subject.generation {
            return Ok(Err(Reason::OtherHistory("another generation of the flow".into())));
        }
        let Some(lane) = progress.lanes.get(&self.subject.lane) else {
            return Ok(Err(Reason::NoProgress));
        };
        if lane.log != self.prover.log.id() {
            return Ok(Err(Reason::OtherHistory("another log".into())));
        }
        if lane.offset > durable(self.prover.log, self.subject.lane)? {
            return Ok(Err(Reason::OtherHistory("a log that has lost its end".into())));
        }
        if lane.offset < passed {
            let why = format!("it is at offset {}, {passed} is needed", lane.offset);
            return Ok(Err(Reason::TargetBehind(why)));
        }
        Ok(Ok(lane.offset))
    }

    fn target_ranges(&self, wanted: &Wanted<'_>, end: Option<&Key>) -> Vec<KeyRange> {
        let path = &self.subject.path;
        let bound = |key: Option<&Key>| key.map(|key| path.target_key(key));
        match wanted {
            Wanted::Next(after) => vec![KeyRange { after: bound(*after), upto: bound(end) }],
            Wanted::Ranges(ranges) => ranges
                .iter()
                .map(|range| KeyRange {
                    after: bound(range.after.as_ref()),
                    upto: bound(range.upto.as_ref()),
                })
                .collect(),
        }
    }

    fn steady_us(&self) -> i64 {
        i64::try_from(self.prover.clock.steady().as_micros()).unwrap_or(i64::MAX)
    }
}

/// Where a piece ends: at the last row read, unless the table ended first.
fn end(wanted: &Wanted<'_>, rows: &SourceRows, limit: usize) -> Option<Key> {
    match wanted {
        Wanted::Next(_) if rows.read >= limit.max(1) as u64 => rows.last.clone(),
        Wanted::Next(_) | Wanted::Ranges(_) => None,
    }
}

/// A cell that the source's reader refuses is a reason: capture stops at such a row too.
fn readable(read: Result<u64>) -> Result<Result<u64, Reason>> {
    match read {
        Err(e) if e.kind == Kind::Refused => {
            Ok(Err(Reason::CellRefused { of: "source", what: e.to_string() }))
        }
        read => read.map(Ok),
    }
}
