//! The ledger of one table: what the log says is in it at one place of the lane, as leaf digests.
//!
//! A fold over the log, after the flow's transform: `- old image + new image`, and the rows of snapshot chunks. It
//! begins with the first chunk of a snapshot and is whole behind the last one; changes of keys that no chunk has come
//! to yet are in a later chunk. Sums add and subtract, so that a ledger is folded to any place from its base on, back
//! too. It says nothing of what never came to the log: only a scan of the source sees that.
//!
//! ```text
//! Nothing ── first chunk ──► Upto(key) ── last chunk ──► Whole ── first chunk of a new snapshot ──► Upto(key)
//!    ▲                          │                          │
//!    └── a new shape, a trimmed log ◄──────────────────────┘
//! ```

use crate::deltas::{Delta, Deltas};
use crate::leaves::{Leaf, Leaves, Put};
use crate::subject::RowPath;
use crate::walk::{Stretch, walk};
use change::{Digest, DigestKey, Group, GroupKind, Key, LaneId, Offset, SnapshotChunk, SnapshotId};
use connect::{KeyRange, Log, Result};

/// What the log says of one table of one site, scoped to the owner's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Every group up to here is folded.
    pub(crate) offset: Offset,
    /// It cannot be folded back to before here: a snapshot's chunk or a truncate stands here.
    pub(crate) base: Offset,
    /// Grows whenever its content begins anew.
    pub(crate) epoch: u64,
    /// The snapshot that it stands on.
    pub(crate) snapshot: Option<SnapshotId>,
    /// Why there is nothing in it.
    pub(crate) lacks: Option<String>,
    pub(crate) leaves: Leaves,
}

/// A ledger as it is stored: everything but its leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerHead {
    /// Every group up to here is folded.
    pub offset: Offset,
    /// It cannot be folded back to before here.
    pub base: Offset,
    /// Grows whenever its content begins anew.
    pub epoch: u64,
    /// The snapshot that it stands on.
    pub snapshot: Option<SnapshotId>,
    /// Why there is nothing in it.
    pub lacks: Option<String>,
    /// The greatest key that its last leaf ever had.
    pub highest: Option<Key>,
}

/// How far a ledger reaches.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// Over every key.
    Whole,
    /// A snapshot is being folded: up to this key.
    Upto(Key),
    /// It holds nothing, for this reason.
    Nothing(String),
}

impl Ledger {
    /// An empty ledger that folds what stands behind a place. It is of use once a snapshot has come.
    pub fn new(after: Offset, epoch: u64, lacks: impl Into<String>) -> Self {
        let lacks = Some(lacks.into());
        let leaves = Leaves::default();
        Ledger { offset: after, base: after, epoch, snapshot: None, lacks, leaves }
    }

    /// Leaves that are right at a place, as a ledger that begins there.
    pub(crate) fn of(leaves: Leaves, at: Offset) -> Self {
        Ledger { leaves, ..Ledger::new(at, 0, "") }
    }

    /// A ledger as it was stored.
    pub fn stored(head: LedgerHead, leaves: Vec<Leaf>) -> Self {
        let LedgerHead { offset, base, epoch, snapshot, lacks, highest } = head;
        let leaves = Leaves::stored(leaves, highest);
        Ledger { offset, base, epoch, snapshot, lacks, leaves }
    }

    /// Everything but its leaves, to be stored.
    pub fn head(&self) -> LedgerHead {
        LedgerHead {
            offset: self.offset,
            base: self.base,
            epoch: self.epoch,
            snapshot: self.snapshot,
            lacks: self.lacks.clone(),
            highest: self.leaves.highest().cloned(),
        }
    }

    /// Its leaves, by key.
    pub fn leaves(&self) -> &[Leaf] {
        self.leaves.list()
    }

    /// Every group up to here is folded.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// How far it reaches.
    pub fn reach(&self) -> Reach {
        match self.leaves.list().last() {
            None => Reach::Nothing(self.lacks.clone().unwrap_or_default()),
            Some(Leaf { upto: None, .. }) => Reach::Whole,
            Some(Leaf { upto: Some(upto), .. }) => Reach::Upto(upto.clone()),
        }
    }

    /// Count and sum of all rows; of no meaning while leaves are dirty.
    pub fn root(&self) -> Digest {
        self.leaves.root()
    }

    /// Leaves whose content is not known any more; they are looked at row by row.
    pub fn dirty(&self) -> usize {
        self.leaves.list().iter().filter(|leaf| leaf.dirty).count()
    }

    /// Folds the next group.
    ///
    /// # Errors
    /// The transform is broken.
    ///
    /// # Panics
    /// When the group is not the one behind the ledger's offset.
    pub fn fold(&mut self, path: &RowPath, key: DigestKey, group: &Group) -> Result<()> {
        assert_eq!(group.offset, self.offset.next(), "a ledger is folded without a gap");
        self.offset = group.offset;
        let deltas = Deltas { path, key }.of(group)?;
        match &group.body.kind {
            GroupKind::Snapshot(chunk) if chunk.table == path.source_table() => {
                self.base = group.offset;
                self.chunk(path, chunk, deltas);
            }
            _ => deltas.into_iter().for_each(|delta| self.take(delta)),
        }
        Ok(())
    }

    fn take(&mut self, delta: Delta) {
        let at = self.offset;
        match delta {
            Delta::Plus(key, hash) => self.leaves.put(&key, Put::Plus(hash), at),
            Delta::Minus(key, hash) => self.leaves.put(&key, Put::Minus(hash), at),
            Delta::Unknown(key) => self.leaves.put(&key, Put::Unknown, at),
            Delta::Truncate => {
                self.base = at;
                self.leaves.clear(at);
            }
            Delta::OtherShape => {
                self.base = at;
                self.forget("the table has changed shape");
            }
        }
    }

    /// Takes a chunk: the table holds these rows in its range and no others. A chunk that comes once more, behind a
    /// crash, goes on where it began; one of an older snapshot says nothing that the ledger's own will not say, or has.
    fn chunk(&mut self, path: &RowPath, chunk: &SnapshotChunk, deltas: Vec<Delta>) {
        let bound = |key: &Option<Key>| key.as_ref().map(|key| path.target_key(key));
        let range = KeyRange { after: bound(&chunk.after), upto: bound(&chunk.upto) };
        if range.after.is_none() {
            self.forget("");
            self.snapshot = Some(chunk.id);
        }
        let joins = (self.snapshot == Some(chunk.id))
            .then(|| self.leaves.behind(range.after.as_ref()))
            .flatten();
        let Some(place) = joins else {
            self.leaves.spoil(&range, self.offset);
            return;
        };
        self.leaves.drop_from(place);
        let mut rows = Vec::with_capacity(deltas.len());
        for delta in deltas {
            match delta {
                Delta::Plus(key, hash) => rows.push((key, Some(hash))),
                Delta::Minus(key, _) | Delta::Unknown(key) => rows.push((key, None)),
                Delta::Truncate | Delta::OtherShape => {
                    return self.forget("a snapshot came in a shape that cannot be compared");
                }
            }
        }
        rows.sort_by(|(a, _), (b, _)| connect::key_order::compare(a, b));
        self.leaves.extend(&rows, range.upto.as_ref(), self.offset);
    }

    /// Nothing is known any more, until a snapshot comes.
    fn forget(&mut self, why: &str) {
        self.epoch += 1;
        self.leaves = Leaves::default();
        self.lacks = Some(why.to_string());
        self.snapshot = None;
    }

    /// Takes the newest group out again.
    ///
    /// # Errors
    /// The transform is broken.
    ///
    /// # Panics
    /// When it is not the newest one that was folded, or stands at the base.
    pub(crate) fn unfold(&mut self, path: &RowPath, key: DigestKey, group: &Group) -> Result<()> {
        assert_eq!(group.offset, self.offset, "a ledger is unfolded from its end");
        assert!(group.offset > self.base, "a ledger is not unfolded below its base");
        let deltas = Deltas { path, key }.of(group)?;
        for delta in deltas {
            match delta {
                Delta::Plus(key, hash) => self.leaves.put(&key, Put::Minus(hash), group.offset),
                Delta::Minus(key, hash) => self.leaves.put(&key, Put::Plus(hash), group.offset),
                Delta::Unknown(key) => self.leaves.put(&key, Put::Unknown, group.offset),
                Delta::Truncate | Delta::OtherShape => unreachable!("the base stands there"),
            }
        }
        self.offset = Offset(group.offset.0 - 1);
        Ok(())
    }

    /// Folds forward or back to a place that is not before the base.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn go_to(
        &mut self,
        log: &dyn Log,
        lane: LaneId,
        place: Offset,
        (path, key): (&RowPath, DigestKey),
    ) -> Result<Stretch> {
        if place >= self.offset {
            return walk(log, lane, self.offset, place, &mut |group| self.fold(path, key, group));
        }
        // A log is read forward: what is in between is taken out in one sweep, whose order does not matter to sums.
        let upto = self.offset;
        let stretch = walk(log, lane, place, upto, &mut |group| {
            self.offset = group.offset;
            self.unfold(path, key, group)
        })?;
        self.offset = place;
        Ok(stretch)
    }
}
