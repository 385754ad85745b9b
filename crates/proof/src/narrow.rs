//! Ranges around single keys, for second looks.
//!
//! Readers take ranges, not keys: a key is asked for as the range behind the next smaller key that a look knows.
//! Such a range holds the key, and whatever was put in between since. Ranges of two keys are the same or disjoint.

use crate::fit::is_bound;
use crate::look::Sight;
use change::{Key, TableSchema};
use connect::KeyRange;
use connect::key_order;

/// Keys that bound the ranges of some others, in order.
pub(crate) struct Neighbours<'a> {
    known: Vec<Key>,
    ranges: &'a [KeyRange],
}

impl<'a> Neighbours<'a> {
    /// What stands around the keys asked for in a look: they themselves, and on each side the last row below each.
    /// Keys that do not fit the target's key are left out, since no reader takes them as bounds; where one of those is
    /// asked for, all keys of the look are known.
    pub(crate) fn of(sight: &'a Sight, target: &TableSchema, asked: &[&Key]) -> Self {
        let (source, there) = (&sight.source.rows, &sight.target);
        let mut known: Vec<Key> = asked.iter().map(|key| (*key).clone()).collect();
        if asked.iter().all(|key| is_bound(key, target)) {
            for key in asked {
                known.extend([source, there].into_iter().filter_map(|rows| rows.below(key)));
            }
        } else {
            known.extend(source.keys().chain(there.keys()));
            known.extend(sight.touches.values().map(|touch| touch.key.clone()));
        }
        known.retain(|key| is_bound(key, target));
        known.sort_by(key_order::compare);
        Neighbours { known, ranges: &sight.ranges }
    }

    /// The range of one key, as the target spells it.
    pub(crate) fn range(&self, key: &Key) -> KeyRange {
        let smaller = self.known.partition_point(|k| key_order::compare(k, key).is_lt());
        let known = smaller.checked_sub(1).map(|place| self.known[place].clone());
        // Touched keys of other pieces are known too: never reach below what was looked at.
        let looked_at = range_of(self.ranges, key);
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
}

/// Ranges in the order of their keys, the same ones once and adjacent ones joined.
pub(crate) fn joined<'r>(ranges: impl IntoIterator<Item = &'r KeyRange>) -> Vec<KeyRange> {
    let mut joined: Vec<KeyRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            // The same, or a part of those that were joined: ranges overlap only as a whole.
            Some(last) if last.upto == range.upto => {}
            Some(last) if last.upto.is_some() && last.upto == range.after => {
                last.upto.clone_from(&range.upto);
            }
            _ => joined.push(range.clone()),
        }
    }
    joined
}

/// The range that holds a key, among disjoint ones that stand in the order of their keys.
pub(crate) fn range_of<'r>(ranges: &'r [KeyRange], key: &Key) -> Option<&'r KeyRange> {
    let is_below = |range: &KeyRange| {
        range.upto.as_ref().is_some_and(|upto| key_order::compare(upto, key).is_lt())
    };
    ranges.get(ranges.partition_point(is_below)).filter(|range| range.holds(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use change::Value;

    fn range(after: Option<i64>, upto: Option<i64>) -> KeyRange {
        let key = |id: Option<i64>| id.map(|id| Key(vec![Value::Int(id)]));
        KeyRange { after: key(after), upto: key(upto) }
    }

    #[test]
    fn a_key_is_found_in_the_one_range_that_holds_it() {
        let ranges = [range(None, Some(3)), range(Some(5), Some(6)), range(Some(9), None)];
        for (id, place) in [(-1, 0), (3, 0), (6, 1), (10, 2), (1000, 2)] {
            let found = range_of(&ranges, &Key(vec![Value::Int(id)]));
            assert_eq!(found, Some(&ranges[place]), "{id}");
        }
        for id in [4, 5, 7, 9] {
            assert_eq!(range_of(&ranges, &Key(vec![Value::Int(id)])), None, "{id}");
        }
        assert_eq!(range_of(&[], &Key(vec![Value::Int(1)])), None);
    }

    /// Read twice, each of its rows would count twice on both sides, and a wrong one be called a duplicate.
    #[test]
    fn a_range_asked_for_twice_behind_one_that_it_meets_is_read_once() {
        let ranges = [range(None, Some(3)), range(Some(3), Some(4)), range(Some(6), None)];
        let asked = [&ranges[0], &ranges[1], &ranges[1], &ranges[2], &ranges[2]];
        assert_eq!(joined(asked), [range(None, Some(4)), range(Some(6), None)]);
    }
}
