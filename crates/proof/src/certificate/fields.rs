//! The parts of a certificate that are more than a number or a text.

use serde::{Deserialize, Serialize};

/// First and last position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positions {
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
}

/// Lowest and highest offset of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offsets {
    /// The lowest.
    pub lowest: u64,
    /// The highest.
    pub highest: u64,
}

/// How much of a table was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Whether the pieces join without a gap from before the first key to behind the last.
    pub whole: bool,
    /// Why not, where they do not.
    pub gap: Option<String>,
    /// Rows compared.
    pub rows: u64,
    /// Pieces of the key space, each at cuts of its own.
    pub pieces: u64,
    /// Leaves whose digests were compared.
    pub leaves: u64,
    /// Those that differed at first sight.
    pub unequal_leaves: u64,
}

/// A column that is wrong in most rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystematicEntry {
    /// The column.
    pub column: String,
    /// Rows in which it differs.
    pub rows: u64,
    /// Rows that are on both sides.
    pub of: u64,
    /// What all of them are off by, where it is the same.
    pub shift: Option<String>,
    /// The same in words.
    pub says: String,
}

/// One difference, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceEntry {
    /// Keyed hash of the canonical key: equal keys have equal ones in all certificates of a project.
    pub key: String,
    /// The kind's name.
    pub kind: String,
    /// The side's name.
    pub side: String,
    /// Columns that differ, where some do.
    pub columns: Vec<String>,
    /// Place of the lane at which it was found.
    pub known_at: u64,
    /// Newest change of the key in the log.
    pub newest_change: Option<u64>,
}

/// What a foreign writer's rows show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LagEntry {
    /// Rows that show an older state of their key, as allowed.
    pub rows_behind: u64,
    /// The longest that such a state has been outdated, in microseconds.
    pub longest_us: i64,
}

/// What was mended between the proof that found it and this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mended {
    /// Number of the certificate that found what was wrong.
    pub found_by: i64,
    /// Rows that were to be mended.
    pub asked: u64,
    /// Rows that were.
    pub repaired: u64,
    /// Rows left alone, since something newer was there or on the way.
    pub dropped: u64,
}

/// What a proof cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Rows read from the source at first looks.
    pub source_rows: u64,
    /// Rows read from the target at first looks.
    pub target_rows: u64,
    /// Their bytes in canonical form, those of the source.
    pub source_bytes: u64,
    /// Those of the target.
    pub target_bytes: u64,
    /// Pairs of cuts, second looks included.
    pub looks: u64,
    /// From beginning to end, in microseconds.
    pub elapsed_us: i64,
    /// The longest that a source cut was held, in microseconds.
    pub longest_cut_us: i64,
}
