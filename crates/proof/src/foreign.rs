//! Targets that somebody else writes: no progress row, so rows are explained by the history of their key.
//!
//! A row is explained by the newest version that it equals; how long that version has been outdated is the row's
//! lag. A row that equals no version, or one outdated for longer than allowed, is different.

use crate::compare::Finding;
use crate::history::Histories;

/// What the log says of a target row that is not what the source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explanation {
    /// It shows a version that is outdated for this long, which is allowed.
    Behind(i64),
    /// It shows what the log never held, or holds outdated for longer.
    Wrong,
    /// The log does not reach back as far as the lag that is allowed.
    TooShort,
}

/// Explains a finding at a foreign target.
pub(crate) fn explain(finding: &Finding, histories: &Histories, max_lag_us: i64) -> Explanation {
    let versions = histories.of(&finding.bytes, finding.known_at);
    let shown = finding.found.as_ref().map(|shown| shown.digest);
    let oldest_allowed = finding.read_at.saturating_sub(max_lag_us);
    let matching = versions.iter().rposition(|version| version.row == Some(shown));
    if let Some(place) = matching {
        let lag = match versions.get(place + 1) {
            Some(next) => finding.read_at.saturating_sub(next.since).max(0),
            None => 0,
        };
        return if lag <= max_lag_us { Explanation::Behind(lag) } else { Explanation::Wrong };
    }
    let unclear = versions.iter().any(|version| version.row.is_none());
    let reaches_back =
        histories.whole || histories.begins_at.is_some_and(|begin| begin <= oldest_allowed);
    // The version that was current when the allowed lag began must be known, or be known not to be shown.
    if unclear || (!reaches_back && versions.first().is_none_or(|v| v.since > oldest_allowed)) {
        return Explanation::TooShort;
    }
    Explanation::Wrong
}
