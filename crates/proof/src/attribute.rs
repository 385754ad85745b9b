//! Names what went wrong with a confirmed finding, and on which side, from the history of its key.
//!
//! The log decides: where its newest image is what should be there, the target is at fault; where it is not, the
//! capture is. A value that the log never held came from another hand, or from a defect that writes wrong values.

use crate::compare::{Finding, Shown, changed};
use crate::history::{Histories, Version};
use crate::subject::RowPath;
use crate::verdict::{Difference, DifferenceKind, LogChange, ShownBy, Side};
use change::{Digest, Offset};

/// A confirmed finding as a difference.
pub(crate) fn attribute(finding: Finding, histories: &Histories, path: &RowPath) -> Difference {
    let versions = histories.of(&finding.bytes, finding.known_at);
    let changes = || versions.iter().filter(|v| v.offset > Offset::START);
    let (kind, side) = judge(&finding, versions, histories.whole, path);
    let digest = |shown: &Option<Shown>| Some(shown.as_ref().map(|shown| shown.digest));
    let (expected, found) = (digest(&finding.expected), digest(&finding.found));
    let shown = |row| match row {
        None => ShownBy::Nowhere,
        row if row == expected => ShownBy::Source,
        row if row == found => ShownBy::Target,
        _ => ShownBy::Nowhere,
    };
    let led_here = histories.traces(&finding.bytes, finding.known_at).map(|trace| LogChange {
        offset: trace.offset,
        position: trace.position.clone(),
        at: trace.at,
        kind: trace.kind,
        shown: shown(trace.row),
    });
    Difference {
        changes: led_here.collect(),
        key: finding.key,
        kind,
        side,
        newest_change: changes().next_back().map(|version| version.offset),
        expected: finding.expected.and_then(|shown| shown.row),
        found: finding.found.and_then(|shown| shown.row),
        known_at: finding.known_at,
    }
}

fn judge(
    finding: &Finding,
    versions: &[Version],
    whole: bool,
    path: &RowPath,
) -> (DifferenceKind, Side) {
    let digest = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.digest);
    let (expected, found) = (digest(&finding.expected), digest(&finding.found));
    if let Some(times) = found.map(|digest| digest.count).filter(|times| *times > 1) {
        return (DifferenceKind::Duplicate { times }, Side::Foreign);
    }
    let Some(newest) = versions.last() else {
        // The log never spoke of this key.
        let side = match (whole, expected) {
            (false, _) => Side::Unknown,
            (true, Some(_)) => Side::Capture,
            (true, None) => Side::Foreign,
        };
        return (plain(finding, path), side);
    };
    match newest.row {
        None => (plain(finding, path), Side::Unknown),
        Some(row) if row != expected => (plain(finding, path), Side::Capture),
        Some(_) => behind_log(finding, newest, versions, expected, found, path),
    }
}

/// The log says what should be there; what is there instead?
fn behind_log(
    finding: &Finding,
    newest: &Version,
    versions: &[Version],
    expected: Option<Digest>,
    found: Option<Digest>,
    path: &RowPath,
) -> (DifferenceKind, Side) {
    let Some(found) = found else { return (DifferenceKind::Missing, Side::Apply) };
    let Some(older) = versions.iter().rev().find(|version| version.row == Some(Some(found))) else {
        return (plain(finding, path), Side::Foreign);
    };
    let kind = match expected {
        None => DifferenceKind::ResurrectedDelete { deleted: newest.offset },
        Some(_) => DifferenceKind::StaleOverwrite { newest: newest.offset, found: older.offset },
    };
    (kind, Side::Apply)
}

/// What both sides show, without the log.
fn plain(finding: &Finding, path: &RowPath) -> DifferenceKind {
    match (&finding.expected, &finding.found) {
        (Some(_), None) => DifferenceKind::Missing,
        (None, _) => DifferenceKind::Extra,
        (Some(expected), Some(found)) => {
            DifferenceKind::Changed { columns: changed(expected, found, path) }
        }
    }
}
