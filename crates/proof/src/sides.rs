//! The rows of both sides of a look: those that are compared as they are, and those that are judged by their key.
//!
//! A key that the log touched, that is set aside or that the transform fails on is taken out of the sums of both sides;
//! its rows lie in an exact table. All others are only counted and summed, by leaf; those of unequal leaves once more,
//! by the hash of their key. What two keys of one hash sum to is the sum of both, so an unequal one is never missed.

use crate::key_hash::{ByKeyHash, KeyHash};
use crate::look::Sight;
use crate::rows::{Entry, Rows};
use change::{Digest, DigestKey};
use std::collections::HashMap;

/// Rows of one side.
pub(crate) struct Side<'a> {
    pub(crate) rows: &'a Rows,
    /// Rows that are judged by their key, by its canonical bytes.
    pub(crate) by_key: HashMap<Vec<u8>, Entry>,
    /// Their numbers, in order.
    aside: Vec<usize>,
}

impl<'a> Side<'a> {
    /// Source and target of a look.
    pub(crate) fn both(sight: &'a Sight, key: DigestKey) -> [Side<'a>; 2] {
        let chosen = || {
            let keys = sight.touches.keys().chain(&sight.parked);
            keys.chain(&sight.source.refused)
        };
        let is_chosen = |bytes: &[u8]| {
            sight.touches.contains_key(bytes)
                || sight.parked.contains(bytes)
                || sight.source.refused.contains(bytes)
        };
        let hashes: ByKeyHash<()> = chosen().map(|bytes| (KeyHash::of(key, bytes), ())).collect();
        [&sight.source.rows, &sight.target].map(|rows| Side::of(rows, &hashes, &is_chosen))
    }

    fn of(rows: &'a Rows, hashes: &ByKeyHash<()>, is_chosen: &dyn Fn(&[u8]) -> bool) -> Side<'a> {
        let mut aside = Vec::new();
        if !hashes.is_empty() {
            let mut bytes = Vec::new();
            for row in (0..rows.len()).filter(|row| hashes.contains_key(&rows.key_hash(*row))) {
                bytes.clear();
                rows.key_bytes(row, &mut bytes);
                if is_chosen(&bytes) {
                    aside.push(row);
                }
            }
        }
        Side { rows, by_key: rows.table(aside.iter().copied()), aside }
    }

    /// Numbers of all other rows.
    pub(crate) fn plain(&self) -> impl Iterator<Item = usize> {
        let mut aside = self.aside.iter().copied().peekable();
        (0..self.rows.len()).filter(move |row| aside.next_if_eq(row).is_none())
    }
}

/// What should be there, and what is there.
type Pair = (Digest, Digest);

/// Digests of both sides by leaf. Leaves are formed by the hash of the key, so that neither side's order matters.
pub(crate) struct Leaves {
    pub(crate) pairs: Vec<Pair>,
}

impl Leaves {
    /// The leaves of the plain rows of both sides, each of about so many rows.
    pub(crate) fn of([source, target]: &[Side<'_>; 2], leaf_rows: usize) -> Leaves {
        let size = source.rows.len().max(target.rows.len());
        let count = size.div_ceil(leaf_rows.max(1)).max(1);
        let mut leaves = Leaves { pairs: vec![Pair::default(); count] };
        for row in source.plain() {
            let place = leaves.place(source.rows.key_hash(row));
            leaves.pairs[place].0 += source.rows.digest(row);
        }
        for row in target.plain() {
            let place = leaves.place(target.rows.key_hash(row));
            leaves.pairs[place].1 += target.rows.digest(row);
        }
        leaves
    }

    /// The leaf of a key: its hash as a fraction of all hashes, without a division.
    fn place(&self, hash: KeyHash) -> usize {
        let place = (u128::from(hash.0) * self.pairs.len() as u128) >> 64;
        usize::try_from(place).expect("below the number of leaves")
    }

    fn is_unequal(&self, hash: KeyHash) -> bool {
        let (expected, found) = self.pairs[self.place(hash)];
        expected != found
    }

    /// What the plain rows of unequal leaves come to.
    pub(crate) fn unequal(&self, [source, target]: &[Side<'_>; 2]) -> Unequal {
        let mut pairs: ByKeyHash<Pair> = HashMap::default();
        let suspect = |side: &Side<'_>, row: &usize| self.is_unequal(side.rows.key_hash(*row));
        for row in source.plain().filter(|row| suspect(source, row)) {
            pairs.entry(source.rows.key_hash(row)).or_default().0 += source.rows.digest(row);
        }
        for row in target.plain().filter(|row| suspect(target, row)) {
            pairs.entry(target.rows.key_hash(row)).or_default().1 += target.rows.digest(row);
        }
        let mut equal = 0;
        let mut wrong: ByKeyHash<()> = HashMap::default();
        for (hash, (expected, found)) in pairs {
            match expected == found {
                true => equal += expected.count,
                false => drop(wrong.insert(hash, ())),
            }
        }
        let table = |side: &Side<'_>| {
            side.rows
                .table(side.plain().filter(|row| wrong.contains_key(&side.rows.key_hash(*row))))
        };
        Unequal { equal, expected: table(source), found: table(target) }
    }
}

/// Rows of unequal leaves.
pub(crate) struct Unequal {
    /// Rows that are equal all the same.
    pub(crate) equal: u64,
    /// The others of the source, by canonical key.
    pub(crate) expected: HashMap<Vec<u8>, Entry>,
    /// And those of the target.
    pub(crate) found: HashMap<Vec<u8>, Entry>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Keep;
    use change::{Column, ColumnType, TableSchema, Value, value};
    use std::sync::Arc;

    fn rows(pairs: &[(i64, &str)]) -> Rows {
        let columns = vec![
            Column::new("id", ColumnType::Int64, false),
            Column::new("name", ColumnType::Text, true),
        ];
        let schema = Arc::new(TableSchema::new(columns, &["id"]).unwrap());
        let mut rows = Rows::new(schema.clone(), Keep::Keys);
        // Several batches, as readers deliver them.
        for lot in pairs.chunks(3) {
            let lot: Vec<Vec<Value>> = lot
                .iter()
                .map(|(id, name)| vec![Value::Int(*id), Value::Text((*name).into())])
                .collect();
            rows.add(DigestKey::new(3), &value::batch(&schema, &lot).unwrap()).unwrap();
        }
        rows
    }

    fn unequal(source: &Rows, target: &Rows) -> (u64, Vec<i64>, Vec<i64>) {
        let sides = [source, target].map(|rows| Side::of(rows, &HashMap::default(), &|_| false));
        let Unequal { equal, expected, found } = Leaves::of(&sides, 4).unequal(&sides);
        let ids = |rows: &Rows, table: &HashMap<Vec<u8>, Entry>| {
            let ids = table.values().map(|entry| match rows.key(entry).0[0] {
                Value::Int(id) => id,
                ref other => panic!("{other:?} is no id"),
            });
            let mut ids: Vec<i64> = ids.collect();
            ids.sort_unstable();
            ids
        };
        (equal, ids(source, &expected), ids(target, &found))
    }

    fn both() -> [Rows; 2] {
        let mut source: Vec<(i64, &str)> = (0..40).map(|id| (id, "same")).collect();
        let mut target = source.clone();
        source[7].1 = "source's";
        target.remove(20);
        // Twice, which a sum that cancels pairs would not see; and out of order.
        target.insert(0, (33, "same"));
        target.push((-5, "extra"));
        [rows(&source), rows(&target)]
    }

    #[test]
    fn only_rows_that_differ_come_into_tables_whatever_their_order() {
        let [source, target] = both();
        let (_, expected, found) = unequal(&source, &target);
        assert_eq!(expected, [7, 20, 33]);
        assert_eq!(found, [-5, 7, 33]);
        assert_eq!(unequal(&source, &source), (0, vec![], vec![]));
    }

    /// Keys that share a hash are not told apart by it, so all of them are compared exactly.
    #[test]
    fn keys_of_one_hash_hide_nothing() {
        let [source, target] = both().map(Rows::with_one_key_hash);
        let (equal, expected, found) = unequal(&source, &target);
        assert_eq!((equal, expected.len(), found.len()), (0, 40, 40));
        let same = rows(&[(1, "a"), (2, "b")]).with_one_key_hash();
        let turned = rows(&[(2, "b"), (1, "a")]).with_one_key_hash();
        assert_eq!(unequal(&same, &turned), (0, vec![], vec![]));
    }

    #[test]
    fn rows_that_are_judged_by_their_key_are_in_no_leaf() {
        let [source, target] = both();
        let key = DigestKey::new(3);
        let mut chosen = Vec::new();
        source.key_bytes(7, &mut chosen);
        let hashes = HashMap::from_iter([(KeyHash::of(key, &chosen), ())]);
        let sides = [&source, &target].map(|rows| Side::of(rows, &hashes, &|b| b == chosen));
        for side in &sides {
            assert_eq!(side.plain().count(), side.rows.len() - 1);
            assert_eq!(side.by_key.len(), 1);
        }
        assert!(!Leaves::of(&sides, 4).unequal(&sides).expected.contains_key(&chosen));
    }
}
