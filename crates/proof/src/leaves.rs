//! The leaves of a ledger: adjoining ranges of the target's key, each with the digest of the rows in it.
//!
//! Pure. Ranges and not hashes of keys: a leaf is one range for a reader, a snapshot's chunk is whole leaves, and a
//! leaf that differs is looked at alone. The order of keys is that of readers (`connect::key_order`), no collation.
//! Leaves are added behind the last one and never move, so that stored ones are found again by their place.

use change::{Digest, Key, Offset};
use connect::{KeyRange, key_order};

/// Rows of a leaf when it is made, and from which on the last one is closed.
pub(crate) const LEAF_ROWS: u64 = 1024;

/// A range of keys, and the digest of the rows in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The range ends with this key; `None` for the last leaf of a whole ledger. It begins behind the leaf before.
    pub upto: Option<Key>,
    /// Count and sum of the rows' hashes; of no meaning where the leaf is dirty.
    pub digest: Digest,
    /// Place of the newest change in it.
    pub last: Offset,
    /// Whether a change came that did not say what it replaced, so that the digest is not known any more.
    pub dirty: bool,
}

/// One change of a leaf's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// A row with this hash is there now.
    Plus(u128),
    /// A row with this hash is there no more.
    Minus(u128),
    /// A row may have come, gone or changed.
    Unknown,
}

/// Leaves from the first key on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Leaves {
    list: Vec<Leaf>,
    /// No key in the last leaf was ever greater than this; `None`: it never had a key.
    highest: Option<Key>,
    /// Where the last change went: changes that follow each other are often neighbours.
    hint: usize,
    /// Whether no leaf is begun behind the last one: they stand for one range.
    fixed: bool,
}

impl Leaves {
    /// Leaves as they were stored.
    pub(crate) fn stored(list: Vec<Leaf>, highest: Option<Key>) -> Self {
        Leaves { list, highest, hint: 0, fixed: false }
    }

    /// Leaves behind which none is begun. `highest`: as in those that are stored.
    pub(crate) fn fixed(highest: Option<Key>) -> Self {
        Leaves { fixed: true, highest, ..Leaves::default() }
    }

    pub(crate) fn list(&self) -> &[Leaf] {
        &self.list
    }

    pub(crate) fn highest(&self) -> Option<&Key> {
        self.highest.as_ref()
    }

    /// The range of a leaf.
    pub(crate) fn range(&self, place: usize) -> KeyRange {
        let before = place.checked_sub(1).and_then(|before| self.list[before].upto.clone());
        KeyRange { after: before, upto: self.list[place].upto.clone() }
    }

    /// The leaf that holds a key; `None` behind the last one.
    pub(crate) fn find(&self, key: &Key) -> Option<usize> {
        let ends_before = |leaf: &Leaf| {
            leaf.upto.as_ref().is_some_and(|upto| key_order::compare(upto, key).is_lt())
        };
        let holds = |place: usize| {
            self.list.get(place).is_some_and(|leaf| !ends_before(leaf))
                && place.checked_sub(1).is_none_or(|before| ends_before(&self.list[before]))
        };
        if holds(self.hint) {
            return Some(self.hint);
        }
        let place = self.list.partition_point(ends_before);
        (place < self.list.len()).then_some(place)
    }

    /// The first leaf behind a boundary; `None` where there is no such boundary.
    pub(crate) fn behind(&self, after: Option<&Key>) -> Option<usize> {
        let Some(after) = after else { return Some(0) };
        let place = self.find(after)?;
        let is_end = |end: &Key| key_order::compare(end, after).is_eq();
        self.list[place].upto.as_ref().is_some_and(is_end).then_some(place + 1)
    }

    /// Changes what a leaf holds; a key behind the last leaf changes nothing.
    pub(crate) fn put(&mut self, key: &Key, put: Put, at: Offset) {
        let Some(mut place) = self.find(key) else { return };
        if place + 1 == self.list.len() && self.list[place].upto.is_none() {
            place = self.put_last(key, put);
        }
        self.hint = place;
        let leaf = &mut self.list[place];
        leaf.last = leaf.last.max(at);
        match put {
            Put::Plus(hash) => leaf.digest += Digest::of(hash),
            Put::Minus(hash) => leaf.digest -= Digest::of(hash),
            Put::Unknown => leaf.dirty = true,
        }
    }

    /// A key of the last leaf: one beyond all it ever had begins a new leaf where that one is full, so that a table
    /// that grows at its end has small leaves, and no row needs to be read for it.
    fn put_last(&mut self, key: &Key, put: Put) -> usize {
        let place = self.list.len() - 1;
        let beyond =
            self.highest.as_ref().is_none_or(|highest| key_order::compare(key, highest).is_gt());
        if !beyond {
            return place;
        }
        let leaf = &mut self.list[place];
        let full = !leaf.dirty && leaf.digest.count >= LEAF_ROWS;
        let before = self.highest.replace(key.clone());
        if self.fixed || !full || !matches!(put, Put::Plus(_)) {
            return place;
        }
        leaf.upto = before;
        self.add(None);
        place + 1
    }

    /// Adds an empty leaf behind the last one.
    pub(crate) fn add(&mut self, upto: Option<Key>) {
        let (digest, last) = (Digest::default(), Offset::START);
        self.push(Leaf { upto, digest, last, dirty: false });
    }

    /// Adds a leaf behind the last one.
    pub(crate) fn push(&mut self, leaf: Leaf) {
        self.list.push(leaf);
    }

    /// Adds rows in key order, up to the end of the range that they are all of. `None` for what a row is: it cannot
    /// be told.
    pub(crate) fn extend(&mut self, rows: &[(Key, Option<u128>)], upto: Option<&Key>, at: Offset) {
        let size = usize::try_from(LEAF_ROWS).expect("a small number");
        let mut rest = rows;
        loop {
            let (these, behind) = rest.split_at(rest.len().min(size));
            let end = if behind.is_empty() { upto } else { these.last().map(|(key, _)| key) };
            let digests = these.iter().filter_map(|(_, hash)| hash.map(Digest::of));
            let digest = digests.fold(Digest::default(), |sum, digest| sum + digest);
            let dirty = these.iter().any(|(_, hash)| hash.is_none());
            self.list.push(Leaf { upto: end.cloned(), digest, last: at, dirty });
            if behind.is_empty() {
                self.highest = these.last().map(|(key, _)| key.clone());
                return;
            }
            rest = behind;
        }
    }

    /// Drops the leaves from a place on.
    pub(crate) fn drop_from(&mut self, place: usize) {
        self.list.truncate(place);
        (self.highest, self.hint) = (None, 0);
    }

    /// Takes every row out; the ranges stay.
    pub(crate) fn clear(&mut self, at: Offset) {
        for leaf in &mut self.list {
            (leaf.digest, leaf.last, leaf.dirty) = (Digest::default(), at, false);
        }
    }

    /// What the leaves hold that a range reaches into is not known any more.
    pub(crate) fn spoil(&mut self, range: &KeyRange, at: Offset) {
        for place in 0..self.list.len() {
            let leaf = self.range(place);
            let apart = |end: &Option<Key>, begin: &Option<Key>| match (end, begin) {
                (Some(end), Some(begin)) => key_order::compare(end, begin).is_le(),
                _ => false,
            };
            if !apart(&leaf.upto, &range.after) && !apart(&range.upto, &leaf.after) {
                (self.list[place].dirty, self.list[place].last) = (true, at);
            }
        }
    }

    /// Puts leaves of the same range in the place of one.
    pub(crate) fn put_in_place(&mut self, place: usize, leaves: impl IntoIterator<Item = Leaf>) {
        self.list.splice(place..=place, leaves);
        self.hint = 0;
    }

    /// The sum of all leaves.
    pub(crate) fn root(&self) -> Digest {
        self.list.iter().fold(Digest::default(), |sum, leaf| sum + leaf.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use change::Value;
    use proptest::prelude::*;

    fn key(id: i64) -> Key {
        Key(vec![Value::Int(id)])
    }

    /// A table that begins empty and grows at its end has leaves of the usual size.
    #[test]
    fn a_table_that_grows_at_its_end_gets_new_leaves() {
        let mut leaves = Leaves::default();
        leaves.add(None);
        for id in 0..5000 {
            leaves.put(&key(id), Put::Plus(1), Offset(1));
        }
        let counts: Vec<u64> = leaves.list().iter().map(|leaf| leaf.digest.count).collect();
        assert_eq!(counts, [1024, 1024, 1024, 1024, 904]);
        // A row taken away and put back does not confuse the last leaf.
        leaves.put(&key(4999), Put::Minus(1), Offset(2));
        leaves.put(&key(4999), Put::Plus(1), Offset(3));
        assert_eq!((leaves.list().len(), leaves.root().count), (5, 5000));
    }

    proptest! {
        /// Whatever comes in whatever order: each leaf holds what its range holds.
        #[test]
        fn leaves_hold_the_rows_of_their_ranges(
            chunk in prop::collection::btree_set(0i64..6000, 0..3000),
            puts in prop::collection::vec((0i64..12_000, any::<bool>()), 0..400),
        ) {
            let mut model: std::collections::BTreeMap<i64, u128> =
                chunk.iter().map(|id| (*id, u128::from(id.unsigned_abs()) + 7)).collect();
            let rows: Vec<_> = model.iter().map(|(id, hash)| (key(*id), Some(*hash))).collect();
            let mut leaves = Leaves::default();
            leaves.extend(&rows, None, Offset(1));
            for (id, plus) in puts {
                match (plus, model.get(&id).copied()) {
                    (true, None) => {
                        model.insert(id, 5);
                        leaves.put(&key(id), Put::Plus(5), Offset(2));
                    }
                    (false, Some(hash)) => {
                        model.remove(&id);
                        leaves.put(&key(id), Put::Minus(hash), Offset(2));
                    }
                    _ => {}
                }
            }
            for place in 0..leaves.list().len() {
                let range = leaves.range(place);
                let held = model.iter().filter(|(id, _)| range.holds(&key(**id)));
                let sum = held.fold(Digest::default(), |sum, (_, hash)| sum + Digest::of(*hash));
                prop_assert_eq!(leaves.list()[place].digest, sum);
            }
        }
    }
}
