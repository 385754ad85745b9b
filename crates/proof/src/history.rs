//! Every version that the log holds of some keys: one pass over the lane.
//!
//! What attribution and the explanation of foreign rows stand on. Only digests are kept.

use crate::images::{Effect, OldRows, Reader, State};
use crate::key_hash::{ByKeyHash, KeyHash};
use crate::rows::Keep;
use crate::subject::Subject;
use crate::walk::{Stretch, walk};
use change::{Digest, DigestKey, Group, GroupKind, Key, Offset, Op};
use connect::{Error, KeyRange, Log, Result, key_order};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// How many trims may come into one reading.
const TRIMS: u32 = 8;

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Version {
    /// Where in the lane it began; [`Offset::START`] for the one before the first change.
    pub(crate) offset: Offset,
    /// When it began at the latest, microseconds since 1970-01-01T00:00:00Z: a group that holds several
    /// transactions tells the time of the newest.
    pub(crate) since: i64,
    /// Its row; none where there is none; outer `None` where the log does not tell.
    pub(crate) row: Option<Option<Digest>>,
}

/// Most changes of a key that are kept to be shown: the last ones.
const SHOWN: usize = 8;

/// Whether changes are kept to be shown, beside the versions that they make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traces {
    Kept,
    Left,
}

/// A change of a key as the log holds it.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) offset: Offset,
    pub(crate) position: String,
    pub(crate) at: i64,
    pub(crate) kind: &'static str,
    /// What the key is behind it, as in [`Version`].
    pub(crate) row: Option<Option<Digest>>,
}

/// The versions of some keys.
pub(crate) struct Histories {
    traces: Option<BTreeMap<Vec<u8>, VecDeque<Trace>>>,
    versions: BTreeMap<Vec<u8>, Vec<Version>>,
    /// Whether the log still holds the lane from its first group.
    pub(crate) whole: bool,
    /// When the oldest group that was read was committed.
    pub(crate) begins_at: Option<i64>,
}

/// The keys whose histories are read: all changes of a lane are asked whether they are of one.
struct Asked<'a> {
    keys: &'a BTreeMap<Vec<u8>, Key>,
    hashes: ByKeyHash<()>,
    /// In the order of keys.
    ordered: Vec<(&'a Key, &'a [u8])>,
}

impl<'a> Asked<'a> {
    fn of(keys: &'a BTreeMap<Vec<u8>, Key>, key: DigestKey) -> Self {
        let hashes = keys.keys().map(|bytes| (KeyHash::of(key, bytes), ())).collect();
        let mut ordered: Vec<_> = keys.iter().map(|(bytes, key)| (key, &**bytes)).collect();
        ordered.sort_by(|(a, _), (b, _)| key_order::compare(a, b));
        Asked { keys, hashes, ordered }
    }

    fn holds(&self, key: DigestKey, bytes: &[u8]) -> bool {
        self.hashes.contains_key(&KeyHash::of(key, bytes)) && self.keys.contains_key(bytes)
    }

    /// Those that lie in a range.
    fn within(&self, range: &KeyRange) -> impl Iterator<Item = &'a [u8]> {
        let is_before = |(key, _): &(&Key, &[u8])| {
            range.after.as_ref().is_some_and(|after| key_order::compare(key, after).is_le())
        };
        let first = self.ordered.partition_point(is_before);
        let within = self.ordered[first..].iter().take_while(|(key, _)| range.holds(key));
        within.map(|(_, bytes)| *bytes)
    }
}

impl Histories {
    /// Reads the histories of `keys` (canonical bytes, key as the target spells it) up to `upto`.
    pub(crate) fn read(
        subject: &Subject,
        log: &dyn Log,
        key: DigestKey,
        keys: &BTreeMap<Vec<u8>, Key>,
        upto: Offset,
        traces: Traces,
    ) -> Result<Histories> {
        let (path, keep, old_rows) = (&subject.path, Keep::Keys, OldRows::Wanted);
        let reader = Reader { path, key, keep, old_rows };
        let asked = Asked::of(keys, key);
        // The log may be trimmed while it is read: then the rest is read.
        for _ in 0..TRIMS {
            let oldest = log.tail(subject.lane)?.oldest;
            let after = Offset(oldest.0.saturating_sub(1));
            let mut histories = Histories {
                traces: (traces == Traces::Kept).then(BTreeMap::new),
                versions: BTreeMap::new(),
                whole: after == Offset::START,
                begins_at: None,
            };
            let stretch = walk(log, subject.lane, after, upto, &mut |group| {
                histories.begins_at.get_or_insert(group.body.commit_time);
                histories.take(&reader, group, &asked)
            })?;
            if stretch == Stretch::Whole {
                return Ok(histories);
            }
        }
        Err(Error::unavailable("the log is trimmed faster than a history can be read"))
    }

    fn take(&mut self, reader: &Reader<'_>, group: &Group, asked: &Asked<'_>) -> Result<()> {
        let keys = asked.keys;
        let (offset, since) = (group.offset, group.body.commit_time);
        let mut present: HashSet<Vec<u8>> = HashSet::new();
        for effect in reader.effects(group, &|bytes| asked.holds(reader.key, bytes))? {
            match effect {
                Effect::Truncate => {
                    for bytes in keys.keys() {
                        self.trace(bytes, group, "truncate", Some(None));
                        self.push(bytes, Version { offset, since, row: Some(None) });
                    }
                }
                Effect::OtherShape => {
                    for bytes in keys.keys() {
                        self.trace(bytes, group, "new shape", None);
                        self.push(bytes, Version { offset, since, row: None });
                    }
                }
                Effect::Key(effect) => {
                    present.insert(effect.bytes.clone());
                    if let Some(before) = &effect.before {
                        self.begin(&effect.bytes, before);
                    }
                    let row = effect.state.digest();
                    self.trace(&effect.bytes, group, kind(group, &effect), row);
                    self.push(&effect.bytes, Version { offset, since, row });
                }
            }
        }
        if let GroupKind::Snapshot(chunk) = &group.body.kind
            && chunk.table == reader.path.source_table()
        {
            let bound = |key: &Option<Key>| key.as_ref().map(|key| reader.path.target_key(key));
            let range = KeyRange { after: bound(&chunk.after), upto: bound(&chunk.upto) };
            for bytes in asked.within(&range).filter(|bytes| !present.contains(*bytes)) {
                self.trace(bytes, group, "snapshot", Some(None));
                self.push(bytes, Version { offset, since, row: Some(None) });
            }
        }
        Ok(())
    }

    /// The first change of a key may tell what was there before: since when is known no further back than the log.
    fn begin(&mut self, bytes: &[u8], before: &State) {
        if !self.versions.contains_key(bytes) {
            let since = self.begins_at.unwrap_or(i64::MIN);
            let first = Version { offset: Offset::START, since, row: before.digest() };
            self.versions.insert(bytes.to_vec(), vec![first]);
        }
    }

    /// A version that repeats the last is none: a snapshot, or an update that changes nothing we carry.
    fn push(&mut self, bytes: &[u8], version: Version) {
        let versions = self.versions.entry(bytes.to_vec()).or_default();
        if versions.last().is_none_or(|last| last.row != version.row || last.row.is_none()) {
            versions.push(version);
        }
    }

    /// Keeps a change to be shown.
    fn trace(
        &mut self,
        bytes: &[u8],
        group: &Group,
        kind: &'static str,
        row: Option<Option<Digest>>,
    ) {
        let Some(traces) = &mut self.traces else { return };
        let (offset, position) = (group.offset, group.body.upto.to_string());
        let traces = traces.entry(bytes.to_vec()).or_default();
        if traces.len() == SHOWN {
            traces.pop_front();
        }
        traces.push_back(Trace { offset, position, at: group.body.commit_time, kind, row });
    }

    /// The last changes of a key up to a place, oldest first.
    pub(crate) fn traces(&self, bytes: &[u8], upto: Offset) -> impl Iterator<Item = &Trace> {
        let traces = self.traces.as_ref().and_then(|traces| traces.get(bytes));
        traces.into_iter().flatten().filter(move |trace| trace.offset <= upto)
    }

    /// Versions of a key up to a place, oldest first.
    pub(crate) fn of(&self, bytes: &[u8], upto: Offset) -> &[Version] {
        let versions = self.versions.get(bytes).map_or(&[][..], |versions| versions);
        let end = versions.partition_point(|version| version.offset <= upto);
        &versions[..end]
    }
}

/// What a change is called where it is shown.
fn kind(group: &Group, effect: &crate::images::KeyEffect) -> &'static str {
    match (&group.body.kind, effect.op) {
        (GroupKind::Snapshot(_), _) => "snapshot",
        (GroupKind::Repair, _) => "repair",
        (_, Op::Insert) => "insert",
        // The key was changed, or the filter no longer passes the row.
        (_, Op::Update) if effect.state == State::Gone => "removed by update",
        (_, Op::Update) => "update",
        (_, Op::Delete) => "delete",
        (_, Op::Read) => "read",
        (_, Op::Truncate) => "truncate",
    }
}
