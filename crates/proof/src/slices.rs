//! What the log says of every key in some ranges, at one place of the lane: the keys' own slices of the log.
//!
//! This confirms or clears what a ledger's leaf brought up, without the source: the newest image of a key is what should
//! be there. Whether the log knows every row of a range is said too; where it does not, somebody else must.

use crate::images::{Effect, Reader, State};
use crate::walk::{Stretch, walk};
use change::{Group, GroupKind, Key, LaneId, Offset};
use connect::{Error, KeyRange, Log, Result};
use std::collections::{HashMap, HashSet};

/// How many trims may come into one reading.
const TRIMS: u32 = 8;

/// What the log says of one key.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) key: Key,
    pub(crate) newest: State,
}

/// What the log says of some ranges.
pub(crate) struct Slices<'a> {
    ranges: &'a [KeyRange],
    /// For each range, whether the log knows all of its rows.
    whole: Vec<bool>,
    /// For each range, its keys that the log speaks of, by canonical bytes.
    keys: Vec<HashMap<Vec<u8>, Slice>>,
}

impl<'a> Slices<'a> {
    /// Reads what the log still holds, up to a place.
    pub(crate) fn read(
        log: &dyn Log,
        lane: LaneId,
        reader: &Reader<'_>,
        ranges: &'a [KeyRange],
        upto: Offset,
    ) -> Result<Slices<'a>> {
        // The log may be trimmed while it is read: then the rest is read.
        for _ in 0..TRIMS {
            let oldest = log.tail(lane)?.oldest;
            let after = Offset(oldest.0.saturating_sub(1));
            let keys = ranges.iter().map(|_| HashMap::new()).collect();
            let whole = vec![after == Offset::START; ranges.len()];
            let mut slices = Slices { ranges, whole, keys };
            let stretch = walk(log, lane, after, upto, &mut |group| slices.take(reader, group))?;
            if stretch == Stretch::Whole {
                return Ok(slices);
            }
        }
        Err(Error::unavailable("the log is trimmed faster than a range can be read"))
    }

    fn take(&mut self, reader: &Reader<'_>, group: &Group) -> Result<()> {
        let mut present: HashSet<Vec<u8>> = HashSet::new();
        let is_chunk = matches!(&group.body.kind, GroupKind::Snapshot(_));
        for effect in reader.effects(group, &|_| true)? {
            match effect {
                Effect::Key(effect) => {
                    let Some(place) = self.ranges.iter().position(|r| r.holds(&effect.key)) else {
                        continue;
                    };
                    if is_chunk {
                        present.insert(effect.bytes.clone());
                    }
                    let slice = Slice { key: effect.key, newest: effect.state };
                    self.keys[place].insert(effect.bytes, slice);
                }
                Effect::Truncate => {
                    self.keys.iter_mut().for_each(HashMap::clear);
                    self.whole.fill(true);
                }
                Effect::OtherShape => {
                    self.keys.iter_mut().for_each(HashMap::clear);
                    self.whole.fill(false);
                }
            }
        }
        if let GroupKind::Snapshot(chunk) = &group.body.kind
            && chunk.table == reader.path.source_table()
        {
            let bound = |key: &Option<Key>| key.as_ref().map(|key| reader.path.target_key(key));
            self.replace(
                &KeyRange { after: bound(&chunk.after), upto: bound(&chunk.upto) },
                &present,
            );
        }
        Ok(())
    }

    /// A chunk has read its range again: what it does not hold is gone.
    fn replace(&mut self, chunk: &KeyRange, present: &HashSet<Vec<u8>>) {
        let all = self.ranges.iter().zip(&mut self.whole).zip(&mut self.keys);
        for ((range, whole), keys) in all {
            *whole |= is_within(range, chunk);
            for (bytes, slice) in keys {
                if chunk.holds(&slice.key) && !present.contains(bytes) {
                    slice.newest = State::Gone;
                }
            }
        }
    }

    /// Whether the log knows every row of a range.
    pub(crate) fn is_whole(&self, range: usize) -> bool {
        self.whole[range]
    }

    /// The keys of a range that the log speaks of, by canonical bytes.
    pub(crate) fn of(&self, range: usize) -> &HashMap<Vec<u8>, Slice> {
        &self.keys[range]
    }
}

/// Whether a range lies in another one.
fn is_within(inner: &KeyRange, outer: &KeyRange) -> bool {
    let begins = outer.after.as_ref().is_none_or(|outer| {
        inner.after.as_ref().is_some_and(|inner| connect::key_order::compare(inner, outer).is_ge())
    });
    let ends = outer.upto.as_ref().is_none_or(|outer| {
        inner.upto.as_ref().is_some_and(|inner| connect::key_order::compare(inner, outer).is_le())
    });
    begins && ends
}
