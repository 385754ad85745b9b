//! One look: a source cut, a target cut, and the log between them, over some ranges of keys.
//!
//! First looks take the next piece of the key space, second looks take single keys: both go the same way, so a
//! difference is only reported when two independent pairs of cuts show it. Nobody is paused.

use crate::Prover;
use crate::images::{OldRows, Reader};
use crate::narrow::range_of;
use crate::rows::{Keep, Rows, SourceRows};
use crate::source_side::{Opened, SourceSide, readable};
use crate::subject::{Subject, Writer};
use crate::surroundings::{Reached, Surroundings};
use crate::target_rows::TargetReading;
use crate::touched::{Contained, Touch, Window, durable};
use crate::verdict::Reason;
use change::planted::{Defect, is_planted};
use change::{Key, Offset, SourcePosition};
use connect::{Cut, KeyRange, Result, Scan};
use std::collections::{BTreeSet, HashMap};

/// Which keys to look at, as the source spells them.
pub(crate) enum Wanted<'a> {
    /// The next piece behind this key, of at most so many rows.
    Next(Option<&'a Key>, usize),
    /// These ranges: disjoint, and in the order of their keys.
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
        range_of(&self.ranges, key).is_some()
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
    /// Every source cut from now on sees everything up to here: an older one did.
    pub(crate) seen: Offset,
}

/// A source half whose place in the lane is known.
pub(crate) struct Settled {
    source: SourceRows,
    contained: Contained,
    /// Source key at which the piece ends; `None` when it is the last.
    pub(crate) end: Option<Key>,
    /// Whether the next piece may be read by a thread of its own.
    pub(crate) reads_apart: bool,
    closing: SourcePosition,
    /// How long the source cut was held.
    pub(crate) held_us: i64,
}

impl Looker<'_> {
    /// Takes a look, and again while it is void, at most as often as the settings say.
    pub(crate) fn look(
        &mut self,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<Box<Sight>, Reason>> {
        let first = self.once(wanted, keep)?;
        self.until_seen(first, wanted, keep)
    }

    /// What a first look came to, or a later one where it is void.
    pub(crate) fn until_seen(
        &mut self,
        mut look: Look,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<Box<Sight>, Reason>> {
        let attempts = self.prover.settings.attempts.max(1);
        for attempt in 1.. {
            match look {
                Look::Seen(sight) => return Ok(Ok(sight)),
                Look::Unproven(reason) => return Ok(Err(reason)),
                Look::Void(by) if attempt == attempts => {
                    return Ok(Err(Reason::Voided { attempts, by }));
                }
                Look::Void(_) => look = self.once(wanted, keep)?,
            }
        }
        unreachable!("attempts are counted")
    }

    fn once(&mut self, wanted: &Wanted<'_>, keep: Keep) -> Result<Look> {
        match self.subject.writer {
            Writer::Flow => self.behind_applier(wanted, keep),
            Writer::Other { .. } => self.behind_foreign_writer(wanted, keep),
        }
    }

    /// Source first; then the target, once the applier has passed the source cut.
    fn behind_applier(&mut self, wanted: &Wanted<'_>, keep: Keep) -> Result<Look> {
        let source = match self.source(wanted, keep)? {
            Ok(source) => source,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        match self.settle(source)? {
            Ok(settled) => self.beside_target(settled, wanted, keep),
            Err(reason) => Ok(Look::Unproven(reason)),
        }
    }

    /// The source half of a look.
    pub(crate) fn source(
        &mut self,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Result<SourceSide, Reason>> {
        match self.open()? {
            Ok(opened) => opened.read(self.prover, &self.subject.path, wanted, keep),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// A fresh source cut.
    pub(crate) fn open(&mut self) -> Result<Result<Opened, Reason>> {
        let before = durable(self.prover.log, self.subject.lane)?;
        Ok(Opened::new(self.around.source_cut()?, before, self.prover.clock))
    }

    /// Finds what of the lane a source cut contains, once the log has passed it.
    pub(crate) fn settle(&mut self, side: SourceSide) -> Result<Result<Settled, Reason>> {
        let tail = match self.around.captured(&side.closing)? {
            Reached::At(tail) => tail,
            Reached::Never(why) => return Ok(Err(Reason::NotCaptured(why))),
        };
        let (log, lane) = (self.prover.log, self.subject.lane);
        let places = (self.seen, side.before, tail);
        let Some(contained) = Contained::of(side.cut.as_ref(), log, lane, places)? else {
            return Ok(Err(Reason::LogTrimmed));
        };
        self.seen = self.seen.max(contained.floor);
        let SourceSide { cut, rows, end, closing, held_us, .. } = side;
        let reads_apart = cut.reads_apart();
        Ok(Ok(Settled { source: rows, contained, end, reads_apart, closing, held_us }))
    }

    /// The target's half, and the log between both.
    pub(crate) fn beside_target(
        &mut self,
        settled: Settled,
        wanted: &Wanted<'_>,
        keep: Keep,
    ) -> Result<Look> {
        let Settled { source, contained, end, closing, held_us, .. } = settled;
        if let Reached::Never(why) = self.around.applied(contained.upto())? {
            return Ok(Look::Unproven(Reason::TargetBehind(why)));
        }
        let mut cut = self.around.target_cut()?;
        let known_at = match self.progress(cut.as_mut(), contained.upto())? {
            Ok(offset) => offset,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        let ranges = self.target_ranges(wanted, end.as_ref());
        let (target, target_rows) = match self.read_target(cut.as_mut(), &ranges, keep)? {
            Ok(read) => read,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        cut.let_go();
        drop(cut);
        let parked = self.around.parked()?;
        let reader = Reader {
            path: &self.subject.path,
            key: self.prover.key,
            keep,
            old_rows: OldRows::Ignored,
        };
        let (log, lane) = (self.prover.log, self.subject.lane);
        let touches = match Window::read(log, lane, &contained, known_at, &reader)? {
            Window::Keys(_) if is_planted(Defect::ProofForgetsMotion) => HashMap::new(),
            Window::Keys(touches) => touches,
            Window::Void(by) => return Ok(Look::Void(by)),
            Window::Trimmed => return Ok(Look::Unproven(Reason::LogTrimmed)),
        };
        Ok(Look::Seen(Box::new(Sight {
            source,
            target,
            target_rows,
            touches,
            parked,
            ranges,
            end,
            known_at,
            closing,
            held_us,
            read_at: self.prover.clock.now(),
        })))
    }

    /// Target first: whatever a foreign writer has copied from the source is then in the source cut, or an older
    /// version of what is in it.
    fn behind_foreign_writer(&mut self, wanted: &Wanted<'_>, keep: Keep) -> Result<Look> {
        let end = match wanted {
            Wanted::Next(after, limit) => match self.probe_end(*after, *limit)? {
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
        cut.let_go();
        drop(cut);

        let piece;
        let wanted = match wanted {
            Wanted::Next(after, _) => {
                piece = [KeyRange { after: after.cloned(), upto: end.clone() }];
                Wanted::Ranges(&piece)
            }
            Wanted::Ranges(ranges) => Wanted::Ranges(ranges),
        };
        let source = match self.source(&wanted, keep)? {
            Ok(source) => source,
            Err(reason) => return Ok(Look::Unproven(reason)),
        };
        drop(source.cut);
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
            held_us: source.held_us,
            read_at,
        })))
    }

    /// The source key at which the next piece ends, read without the rows.
    fn probe_end(
        &mut self,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Result<Option<Key>, Reason>> {
        let schema = self.subject.path.source_schema().key_schema();
        let scan = Scan {
            table: self.subject.path.source_table().into(),
            range: KeyRange { after: after.cloned(), upto: None },
            schema: schema.clone(),
            owner: None,
            limit: Some(limit),
        };
        let mut last = None;
        let mut cut = self.around.source_cut()?;
        let rows = cut.read(&scan, &mut |batch| {
            if let Some(row) = batch.num_rows().checked_sub(1) {
                last = Some(Key::read(&batch, &schema, row));
            }
            Ok(())
        });
        cut.let_go();
        Ok(readable(rows)?.map(|rows| last.filter(|_| rows >= limit as u64)))
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
            Wanted::Next(after, _) => vec![KeyRange { after: bound(*after), upto: bound(end) }],
            Wanted::Ranges(ranges) => ranges
                .iter()
                .map(|range| KeyRange {
                    after: bound(range.after.as_ref()),
                    upto: bound(range.upto.as_ref()),
                })
                .collect(),
        }
    }
}
