//! Ranges around single keys, for second looks.
//!
//! Readers take ranges, not keys: a key is asked for as the range behind the next smaller key that a look knows.
//! Such a range holds the key, and whatever was put in between since. Ranges of two keys are the same or disjoint.

use crate::fit::is_bound;
use crate::look::Sight;
use change::{Key, TableSchema};
use connect::KeyRange;
use connect::key_order;

/// The keys that a look knows, in order.
pub(crate) struct Neighbours<'a> {
    known: Vec<Key>,
    ranges: &'a [KeyRange],
}

impl<'a> Neighbours<'a> {
    /// The keys of both sides of a look, and those that the log touched meanwhile. Keys that do not fit the
    /// target's key are left out: no reader takes them as bounds.
    pub(crate) fn of(sight: &'a Sight, target: &TableSchema) -> Self {
        let mut known: Vec<Key> = sight.source.rows.keys().chain(sight.target.keys()).collect();
        known.extend(sight.touches.values().map(|touch| touch.key.clone()));
        known.retain(|key| is_bound(key, target));
        known.sort_by(key_order::compare);
        Neighbours { known, ranges: &sight.ranges }
    }

    /// The range of one key, as the target spells it.
    pub(crate) fn range(&self, key: &Key) -> KeyRange {
        let smaller = self.known.partition_point(|k| key_order::compare(k, key).is_lt());
        let known = smaller.checked_sub(1).map(|place| self.known[place].clone());
        // Touched keys of other pieces are known too: never reach below what was looked at.
        let looked_at = self.ranges.iter().find(|range| range.holds(key));
        let bound = looked_at.and_then(|range| range.after.clone());
        let after = match (known, bound) {
            (Some(known), Some(bound)) if key_order::compare(&known, &bound).is_lt() => Some(bound),
            (Some(known), _) => Some(known),
            (None, bound) => bound,
        };
        let upto = match (self.known.get(smaller), looked_at.and_then(|r| r.upto.as_ref())) {
            (Some(known), Some(bound)) if key_order::compare(known, bound).is_gt() => Some(bound),
            (Some(known), _) => Some(known),
            (None, bound) => bound,
        };
        KeyRange { after, upto: upto.cloned() }
    }

    /// The ranges of some keys; adjacent ones are joined.
    pub(crate) fn ranges(&self, mut keys: Vec<Key>) -> Vec<KeyRange> {
        keys.sort_by(key_order::compare);
        keys.dedup_by(|a, b| key_order::compare(a, b).is_eq());
        let mut ranges: Vec<KeyRange> = Vec::new();
        for range in keys.iter().map(|key| self.range(key)) {
            match ranges.last_mut() {
                Some(last) if *last == range => {}
                Some(last) if last.upto.is_some() && last.upto == range.after => {
                    last.upto = range.upto;
                }
                _ => ranges.push(range),
            }
        }
        ranges
    }
}
