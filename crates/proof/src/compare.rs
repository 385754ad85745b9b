//! Compares what a look saw: leaf digests first, rows of unequal leaves then, touched keys with the log.
//!
//! Equal leaves are done with their sums; how rows get there is [`crate::sides`]' business.

use crate::images::State;
use crate::look::Sight;
use crate::rows::{Entry, Rows};
use crate::settings::Settings;
use crate::sides::{Leaves, Side, Unequal};
use crate::subject::RowPath;
use change::planted::{Defect, is_planted};
use change::{Digest, DigestKey, Key, Offset, Value};
use connect::key_order;

/// A row on one side of a finding.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) digest: Digest,
    pub(crate) row: Option<Vec<Value>>,
}

/// A key that is not what it should be, at one look.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: Key,
    pub(crate) expected: Option<Shown>,
    pub(crate) found: Option<Shown>,
    pub(crate) known_at: Offset,
    pub(crate) read_at: i64,
}

/// What a look amounts to.
#[derive(Default)]
pub(crate) struct Comparison {
    /// Digest of the rows that should be there, parked keys left out.
    pub(crate) expected: Digest,
    /// Digest of the rows that are there, parked keys left out.
    pub(crate) found: Digest,
    /// Keys compared.
    pub(crate) rows: u64,
    /// Keys that have a row on both sides.
    pub(crate) both: u64,
    pub(crate) leaves: u64,
    pub(crate) unequal_leaves: u64,
    pub(crate) touched: u64,
    pub(crate) parked: u64,
    /// Rows that the transform fails on and that are not parked.
    pub(crate) refused: u64,
    pub(crate) findings: Vec<Finding>,
    /// Keys whose newest image in the log is incomplete.
    pub(crate) unclear: Vec<Key>,
}

/// Compares both sides of a look.
pub(crate) fn compare(sight: &Sight, key: DigestKey, settings: &Settings) -> Comparison {
    let sides = Side::both(sight, key);
    let refused = |bytes: &[u8]| sight.source.refused.contains(bytes);
    let left_out = |bytes: &[u8]| sight.parked.contains(bytes) || refused(bytes);
    let mut comparison = Comparison {
        parked: parked(sight, &sides),
        refused: sight.source.refused.iter().filter(|b| !sight.parked.contains(*b)).count() as u64,
        ..Comparison::default()
    };

    let leaves = Leaves::of(&sides, settings.leaf_rows);
    for (expected, found) in &leaves.pairs {
        comparison.expected += *expected;
        comparison.found += *found;
        if expected == found {
            // The same rows on both sides, and each has one key.
            comparison.rows += expected.count;
            comparison.both += expected.count;
        } else {
            comparison.unequal_leaves += 1;
        }
    }
    let [source, target] = &sides;
    let (expected, found) = (source.rows.len(), target.rows.len());
    comparison.leaves = if expected.max(found) == 0 { 0 } else { leaves.pairs.len() as u64 };
    if is_planted(Defect::ProofCountsOnly) && expected == found {
        return comparison;
    }
    if comparison.unequal_leaves > 0 {
        differing_rows(sight, &leaves.unequal(&sides), &mut comparison);
    }
    compare_touched(sight, target, &left_out, &mut comparison);
    comparison.findings.sort_by(|a, b| key_order::compare(&a.key, &b.key));
    comparison
}

/// Parked keys that lie in the ranges looked at, as far as either side or the log names them.
fn parked(sight: &Sight, [source, target]: &[Side<'_>; 2]) -> u64 {
    let named = |bytes: &Vec<u8>| {
        source.by_key.contains_key(bytes)
            || target.by_key.contains_key(bytes)
            || sight.source.refused.contains(bytes)
            || sight.touches.get(bytes).is_some_and(|touch| sight.holds(&touch.key))
    };
    sight.parked.iter().filter(|bytes| named(bytes)).count() as u64
}

fn shown(rows: &Rows, entry: &Entry) -> Shown {
    Shown { digest: entry.digest, row: rows.row(entry) }
}

fn differing_rows(sight: &Sight, unequal: &Unequal, comparison: &mut Comparison) {
    let (source, target) = (&sight.source.rows, &sight.target);
    let Unequal { equal, expected, found } = unequal;
    comparison.rows += equal;
    comparison.both += equal;
    let mut find = |bytes: &[u8], key: Key, expected: Option<&Entry>, found: Option<&Entry>| {
        comparison.findings.push(Finding {
            bytes: bytes.to_vec(),
            key,
            expected: expected.map(|entry| shown(source, entry)),
            found: found.map(|entry| shown(target, entry)),
            known_at: sight.known_at,
            read_at: sight.read_at,
        });
    };
    for (bytes, should) in expected {
        let found = found.get(bytes);
        comparison.rows += 1;
        comparison.both += u64::from(found.is_some());
        if found.is_none_or(|found| found.digest != should.digest) {
            find(bytes, source.key(should), Some(should), found);
        }
    }
    for (bytes, found) in found.iter().filter(|(bytes, _)| !expected.contains_key(*bytes)) {
        comparison.rows += 1;
        if !is_planted(Defect::ProofMissesExtras) {
            find(bytes, target.key(found), None, Some(found));
        }
    }
}

/// Touched keys must be what the newest change up to the target's progress says.
fn compare_touched(
    sight: &Sight,
    target: &Side<'_>,
    left_out: &dyn Fn(&[u8]) -> bool,
    comparison: &mut Comparison,
) {
    for (bytes, touch) in &sight.touches {
        let found = target.by_key.get(bytes);
        if left_out(bytes) || (found.is_none() && !sight.holds(&touch.key)) {
            continue;
        }
        comparison.touched += 1;
        let expected = match &touch.newest {
            State::Unclear => {
                comparison.unclear.push(touch.key.clone());
                continue;
            }
            State::Gone => None,
            State::Row { digest, row } => Some(Shown { digest: *digest, row: row.clone() }),
        };
        comparison.rows += u64::from(expected.is_some() || found.is_some());
        comparison.both += u64::from(expected.is_some() && found.is_some());
        let digest = |shown: Option<&Shown>| shown.map(|shown| shown.digest);
        let found = found.map(|entry| shown(target.rows, entry));
        comparison.expected += digest(expected.as_ref()).unwrap_or_default();
        comparison.found += digest(found.as_ref()).unwrap_or_default();
        if digest(expected.as_ref()) != digest(found.as_ref()) {
            comparison.findings.push(Finding {
                bytes: bytes.clone(),
                key: touch.key.clone(),
                expected,
                found,
                known_at: sight.known_at,
                read_at: sight.read_at,
            });
        }
    }
}

/// Columns in which two rows differ, by the rules of the canonical encoding.
pub(crate) fn differing(expected: &[Value], found: &[Value]) -> Vec<usize> {
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            let (a, b) = (f64::from_bits(a.0), f64::from_bits(b.0));
            a == b || (a.is_nan() && b.is_nan())
        }
        _ => a == b,
    };
    let pairs = expected.iter().zip(found).enumerate();
    pairs.filter(|(_, (a, b))| !same(a, b)).map(|(place, _)| place).collect()
}

/// Names of the columns in which two rows differ; none where rows were not kept.
pub(crate) fn changed(expected: &Shown, found: &Shown, path: &RowPath) -> Vec<String> {
    let (Some(expected), Some(found)) = (&expected.row, &found.row) else { return Vec::new() };
    let columns = path.target().schema.columns();
    differing(expected, found).into_iter().map(|place| columns[place].name.clone()).collect()
}
