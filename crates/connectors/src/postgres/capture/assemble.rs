//! Messages into groups: whole transactions together while they fit, larger ones in parts.
//!
//! Begins in front of the place that is to be resumed and passes over what the log has, up to that place, where it
//! compares what stands there ([`super::place`]). Invariant: every change behind the place comes exactly once, in the
//! server's order of commits; no position is passed that was not compared.

use super::super::read::MARK;
use super::gather::Gather;
use super::pgoutput::{Message, parse};
use super::place::{Anchor, Place, changed, detail, shown, tag};
use super::rows::QUIET;
use super::shapes::{Shape, Shapes};
use super::stream::{EPOCH, Stream};
use super::xids::{Snapshot, XidSet};
use change::{GroupBody, GroupKind, Op, Part, SourcePosition};
use connect::log::Bounds;
use connect::{Error, Result};
use postgres::Client;
use std::collections::VecDeque;
use std::sync::Arc;

/// Transactions remembered as delivered, to be compared with snapshots taken afterwards.
const REMEMBERED: usize = 16_384;

/// What is taken next.
pub(super) enum Next {
    Group(GroupBody),
    /// The message of this text, which stands for rows that were read.
    Mark(String),
    /// Nothing yet.
    Nothing,
}

/// The transaction that is being taken.
struct Open {
    xid: u32,
    time: i64,
    commit_lsn: u64,
    /// Parts delivered.
    parts: u32,
    /// Changes that came by, delivered or not.
    passed: u64,
    /// Up to here they are in the log.
    known: u64,
    /// All of it is in the log.
    old: bool,
    /// It fits no group.
    large: bool,
    /// It holds a message of ours.
    marked: bool,
    /// Changes that the draft held in front of it.
    began: usize,
}

/// Rows of a table that were read and wait for their place: changes that their snapshot does not see void them.
pub(super) struct Watch {
    pub(super) table: Arc<str>,
    pub(super) snapshot: Snapshot,
    pub(super) void: bool,
}

/// Where the assembly stands.
pub(super) struct Assembly {
    pub(super) shapes: Shapes,
    pub(super) watch: Option<Watch>,
    /// The end of what was delivered.
    pub(super) place: SourcePosition,
    /// What may be confirmed once the place is durable: what stands in front of it.
    pub(super) confirm: u64,
    /// What is to be compared before anything is delivered.
    expected: Option<Place>,
    open: Option<Open>,
    /// The end of what came by.
    passed: u64,
    delivered: VecDeque<u32>,
}

/// A group in the making.
#[derive(Default)]
struct Draft {
    gather: Gather,
    xids: XidSet,
    /// Its end, and what stands there.
    end: Option<(u64, Stands)>,
    confirm: u64,
    time: i64,
}

/// What stands at the end of a group.
enum Stands {
    Commit(i64),
    Message(String),
    Inside { parts: u32, changes: u64, time: i64 },
}

/// What a message led to.
enum Led {
    /// On to the next one.
    On,
    /// The group is complete in front of this message.
    Before,
    /// The group is complete behind it.
    Behind(Part),
    Mark(String),
}

impl Assembly {
    /// An assembly that goes on behind a position; `expected` is compared first. The server begins at `confirmed`.
    pub(super) fn new(
        shapes: Shapes,
        place: SourcePosition,
        expected: Option<Place>,
        confirmed: u64,
    ) -> Assembly {
        Assembly {
            shapes,
            watch: None,
            place,
            confirm: confirmed,
            expected,
            open: None,
            passed: confirmed,
            delivered: VecDeque::new(),
        }
    }

    /// Whether the place has not been compared yet.
    pub(super) fn is_comparing(&self) -> bool {
        self.expected.is_some()
    }

    /// Fails when the server has come to a place without showing what stood at ours.
    pub(super) fn require_compared(&self, seen: u64) -> Result<()> {
        match &self.expected {
            Some(place) if self.open.is_none() => {
                // A commit that begins at the place comes behind it.
                let begins = matches!(place.anchor, Anchor::Inside { .. });
                if seen >= place.lsn + u64::from(begins) { Err(another(place)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Whether a snapshot sees everything that was delivered.
    pub(super) fn is_seen_by(&self, snapshot: &Snapshot) -> bool {
        let open = self.open.as_ref().filter(|open| open.parts > 0);
        self.delivered.iter().all(|xid| snapshot.has(*xid))
            && open.is_none_or(|open| snapshot.has(open.xid))
    }

    /// The next group, as far as the stream has come.
    ///
    /// # Errors
    /// `Invalid` with `State::HistoryChanged` or `State::SchemaBlocked`; `Refused` for a cell.
    pub(super) fn next(
        &mut self,
        stream: &mut Stream,
        client: &mut Client,
        bounds: Bounds,
    ) -> Result<Next> {
        let mut draft = Draft::default();
        let comparing = self.is_comparing();
        while stream.advance() {
            match self.take(stream, client, bounds, &mut draft)? {
                Led::On => {
                    stream.taken();
                    if comparing && !self.is_comparing() {
                        return Ok(Next::Nothing);
                    }
                }
                Led::Before => break,
                Led::Behind(part) => {
                    stream.taken();
                    return Ok(Next::Group(self.finish(draft, part)));
                }
                Led::Mark(text) => {
                    stream.taken();
                    return Ok(Next::Mark(text));
                }
            }
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.large && !open.old) {
            if draft.gather.changes() == 0 {
                return Ok(Next::Nothing);
            }
            let part = Part { index: open.parts, last: false };
            open.parts += 1;
            draft.stop_inside(open);
            return Ok(Next::Group(self.finish(draft, part)));
        }
        Ok(match draft.end {
            Some(_) => Next::Group(self.finish(draft, Part::WHOLE)),
            None => Next::Nothing,
        })
    }

    fn take(
        &mut self,
        stream: &Stream,
        client: &mut Client,
        bounds: Bounds,
        draft: &mut Draft,
    ) -> Result<Led> {
        match parse(stream.message())? {
            Message::Begin { commit_lsn, time, xid } => {
                let large = match draft.fits(stream, bounds) {
                    _ if self.expected.is_some() => false,
                    Some(large) => large,
                    None => return Ok(Led::Before),
                };
                self.begin(commit_lsn, time + EPOCH, xid)?;
                let open = self.open.as_mut().expect("it has begun");
                (open.large, open.began) = (large || open.parts > 0, draft.gather.changes());
            }
            Message::Commit { end_lsn } => return self.commit(end_lsn, draft),
            Message::Relation(relation) => self.shapes.learn(client, &relation)?,
            Message::Logical { lsn, prefix, content } if prefix == MARK.as_bytes() => {
                return self.message(lsn, content, draft);
            }
            Message::Logical { .. } | Message::Aside => {}
            row => {
                let full = draft.gather.changes() >= bounds.changes.max(1)
                    || draft.gather.bytes() >= bounds.bytes.max(1);
                let open = self.open.as_mut().ok_or_else(outside)?;
                if open.large && !open.old && full && draft.gather.changes() > 0 {
                    return Ok(Led::Before);
                }
                open.passed += 1;
                if !open.old && open.passed > open.known {
                    self.row(row, draft)?;
                }
            }
        }
        Ok(Led::On)
    }

    /// A transaction begins: a new one, one that the log has, or the one that was delivered in part.
    fn begin(&mut self, commit_lsn: u64, time: i64, xid: u32) -> Result<()> {
        let mut open = Open {
            xid,
            time,
            commit_lsn,
            parts: 0,
            passed: 0,
            known: 0,
            old: self.expected.is_some(),
            large: false,
            marked: false,
            began: 0,
        };
        if let Some(place) = &self.expected {
            match place.anchor {
                Anchor::Inside { xid: ours, time: then, parts, changes }
                    if commit_lsn == place.lsn =>
                {
                    if (ours, then) != (xid, time) {
                        return Err(another(place));
                    }
                    (open.parts, open.known, open.old) = (parts, changes, false);
                    self.expected = None;
                }
                _ if commit_lsn >= place.lsn => return Err(another(place)),
                _ => {}
            }
        }
        self.open = Some(open);
        Ok(())
    }

    fn commit(&mut self, end_lsn: u64, draft: &mut Draft) -> Result<Led> {
        let open = self.open.take().ok_or_else(outside)?;
        self.passed = end_lsn;
        if open.old {
            self.compare_commit(end_lsn, &open)?;
            return Ok(Led::On);
        }
        let empty = draft.gather.changes() == open.began && open.parts == 0;
        if empty && !open.marked {
            return Ok(Led::On);
        }
        if self.delivered.len() == REMEMBERED {
            self.delivered.pop_front();
        }
        self.delivered.push_back(open.xid);
        draft.xids.add(open.xid);
        draft.end = Some((end_lsn, Stands::Commit(open.time)));
        (draft.confirm, draft.time) = (open.commit_lsn, open.time);
        Ok(match open.parts {
            0 => Led::On,
            index => Led::Behind(Part { index, last: true }),
        })
    }

    /// A transaction that the log has ends: perhaps it is the one to compare.
    fn compare_commit(&mut self, end_lsn: u64, open: &Open) -> Result<()> {
        let Some(place) = &self.expected else { return Ok(()) };
        if end_lsn < place.lsn {
            return Ok(());
        }
        let same = match &place.anchor {
            Anchor::Commit { xids, time } => {
                let ours = |(first, last): &(u32, u32)| {
                    open.xid.wrapping_sub(*first) <= last.wrapping_sub(*first)
                };
                *time == open.time && end_lsn == place.lsn && xids.iter().any(ours)
            }
            _ => false,
        };
        if !same {
            return Err(another(place));
        }
        self.expected = None;
        Ok(())
    }

    /// A message of ours: a place, or the place of rows that were read.
    fn message(&mut self, lsn: u64, content: &[u8], draft: &mut Draft) -> Result<Led> {
        let text = tag(content);
        if let Some(open) = &mut self.open {
            open.marked |= text != QUIET;
            return Ok(Led::On);
        }
        if let Some(place) = &self.expected {
            if lsn >= place.lsn {
                let same = lsn == place.lsn && place.anchor == Anchor::Message { text };
                if !same {
                    return Err(another(place));
                }
                self.expected = None;
            }
            self.passed = lsn;
            return Ok(Led::On);
        }
        if text.starts_with(READ) {
            return Ok(if draft.end.is_some() { Led::Before } else { Led::Mark(text) });
        }
        draft.confirm = self.passed;
        draft.end = Some((lsn, Stands::Message(text)));
        self.passed = lsn;
        Ok(Led::On)
    }

    fn row(&mut self, message: Message<'_>, draft: &mut Draft) -> Result<()> {
        match message {
            Message::Insert { relation, new } => {
                if let Some(shape) = self.shape(relation)? {
                    draft.gather.take(&shape, Op::Insert, None, Some(new))?;
                }
            }
            Message::Update { relation, old, new } => {
                if let Some(shape) = self.shape(relation)? {
                    draft.gather.take(&shape, Op::Update, old.as_ref(), Some(new))?;
                }
            }
            Message::Delete { relation, old } => {
                if let Some(shape) = self.shape(relation)? {
                    draft.gather.take(&shape, Op::Delete, Some(&old), None)?;
                }
            }
            Message::Truncate { relations } => {
                for relation in relations {
                    if let Some(shape) = self.shape(relation)? {
                        draft.gather.take(&shape, Op::Truncate, None, None)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The shape of a change; rows of its table that were read without seeing it are void.
    fn shape(&mut self, relation: u32) -> Result<Option<Arc<Shape>>> {
        let shape = self.shapes.streamed(relation)?;
        if let (Some(watch), Some(shape), Some(open)) = (&mut self.watch, shape, &self.open) {
            watch.void |= watch.table == shape.table && !watch.snapshot.has(open.xid);
        }
        Ok(shape.cloned())
    }

    fn finish(&mut self, draft: Draft, part: Part) -> GroupBody {
        let (lsn, stands) = draft.end.expect("a group has an end");
        let anchor = match stands {
            Stands::Commit(time) => format!("t:{time}"),
            Stands::Message(text) => format!("m:{text}"),
            Stands::Inside { parts, changes, time } => format!("p:{parts}.{changes} t:{time}"),
        };
        let upto =
            SourcePosition { sequence: lsn, detail: Some(detail(&draft.xids.text(), &anchor)) };
        let after = std::mem::replace(&mut self.place, upto.clone());
        self.confirm = draft.confirm;
        GroupBody {
            kind: GroupKind::Changes,
            part,
            after,
            upto,
            commit_time: if draft.time == 0 { now() } else { draft.time },
            batches: draft.gather.finish(),
        }
    }
}

impl Draft {
    /// Whether the transaction in front of us can be taken: `Some(true)` in parts, `None` not now.
    fn fits(&self, stream: &Stream, bounds: Bounds) -> Option<bool> {
        let unit = stream.front()?;
        let (changes, bytes) = (bounds.changes.max(1), bounds.bytes.max(1));
        if unit.rows > changes || unit.bytes > bytes {
            // A single change may be larger than any bound.
            let single = unit.complete && unit.rows <= 1;
            return (self.end.is_none()).then_some(!single);
        }
        let room = self.gather.changes() + unit.rows <= changes
            && self.gather.bytes() + unit.bytes <= bytes;
        (unit.complete && (room || self.end.is_none())).then_some(false)
    }

    /// Ends inside a transaction.
    fn stop_inside(&mut self, open: &Open) {
        self.xids.add(open.xid);
        let (parts, changes, time) = (open.parts, open.passed, open.time);
        self.end = Some((open.commit_lsn, Stands::Inside { parts, changes, time }));
        (self.confirm, self.time) = (open.commit_lsn, open.time);
    }
}

/// What the texts of messages begin with that stand for rows that were read.
pub(super) const READ: &str = "read-";

fn another(place: &Place) -> Error {
    changed(format!("at {} stands another change than the one that was captured", shown(place.lsn)))
}

fn outside() -> Error {
    Error::internal("a change comes outside of a transaction")
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
