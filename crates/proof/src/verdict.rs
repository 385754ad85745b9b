//! What a proof says: EQUAL, DIFFERENT or UNPROVEN, and for every difference its key, its kind and whose fault.
//!
//! A check that compared nothing, or could not see enough, is UNPROVEN: never EQUAL.

use change::{Digest, Key, Offset, Value};
use std::fmt;

/// The verdict on a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every row of the target is what the source and the log say it must be, and none is missing.
    Equal,
    /// It is not.
    Different {
        /// Rows that are wrong.
        rows: u64,
        /// Keys set aside as dead letters; they are not among `rows`, and are known not to be what the source
        /// says. A table with parked keys is never EQUAL.
        parked: u64,
    },
    /// It could not be shown.
    Unproven(Reason),
}

impl Verdict {
    /// Whether the table is proved equal.
    pub fn is_equal(&self) -> bool {
        *self == Verdict::Equal
    }

    /// The verdict's name, as certificates carry it.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Equal => "EQUAL",
            Verdict::Different { .. } => "DIFFERENT",
            Verdict::Unproven(_) => "UNPROVEN",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Equal => f.write_str("EQUAL"),
            Verdict::Different { rows, parked: 0 } => write!(f, "DIFFERENT in {}", count(*rows)),
            Verdict::Different { rows: 0, parked } => {
                write!(f, "DIFFERENT: all rows are equal but for {parked} parked keys")
            }
            Verdict::Different { rows, parked } => {
                write!(f, "DIFFERENT in {}, and {parked} parked keys were left out", count(*rows))
            }
            Verdict::Unproven(reason) => write!(f, "UNPROVEN: {reason}"),
        }
    }
}

fn count(rows: u64) -> String {
    if rows == 1 { "1 row".into() } else { format!("{rows} rows") }
}

/// Why equality could not be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// There was not one row on either side, and nobody said that this is fine.
    Empty,
    /// The log has not passed the source cut in the time allowed.
    NotCaptured(String),
    /// The target has not passed the source cut in the time allowed.
    TargetBehind(String),
    /// The target keeps no progress of this flow and lane.
    NoProgress,
    /// The target's progress was written by another generation of the flow, or counts in another log.
    OtherHistory(String),
    /// The log no longer holds what is needed between the two cuts.
    LogTrimmed,
    /// The source cannot be captured, so a cut of it cannot be put beside the log.
    NoClosing,
    /// The target's key is not the source's key, so the sides cannot be read in the same pieces.
    KeyNotCarried,
    /// A truncate, a schema change or a new snapshot came into every attempt.
    Voided {
        /// Attempts made.
        attempts: u32,
        /// What came in the way last.
        by: String,
    },
    /// The transform fails on rows that are not parked.
    TransformFails {
        /// Such rows.
        rows: u64,
    },
    /// Rows whose newest image in the log is incomplete.
    ImagesIncomplete {
        /// Such keys.
        keys: u64,
    },
    /// A cell cannot be read: at the source, where capture stops at it too, or at the target, where not even what
    /// is stored can be told.
    CellRefused {
        /// `source` or `target`.
        of: &'static str,
        /// Table and column, in the reader's words.
        what: String,
    },
    /// A site could not be reached.
    Unavailable(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Empty => f.write_str("there are no rows on either side"),
            Reason::NotCaptured(why) => write!(f, "the log has not passed the source cut: {why}"),
            Reason::TargetBehind(why) => {
                write!(f, "the target has not passed the source cut: {why}")
            }
            Reason::NoProgress => f.write_str("the target holds no progress of this flow"),
            Reason::OtherHistory(what) => write!(f, "the target's progress is of {what}"),
            Reason::LogTrimmed => f.write_str("the log no longer holds the changes needed"),
            Reason::NoClosing => f.write_str("the source cut has no place in the log"),
            Reason::KeyNotCarried => {
                f.write_str("the target's key is not carried unchanged from the source's key")
            }
            Reason::Voided { attempts, by } => {
                write!(f, "{by} came into each of {attempts} attempts")
            }
            Reason::TransformFails { rows } => {
                write!(f, "the transform fails on {}", count(*rows))
            }
            Reason::ImagesIncomplete { keys } => {
                write!(f, "the log holds only incomplete images of {keys} keys")
            }
            Reason::CellRefused { of, what } => write!(f, "the {of} cannot be read: {what}"),
            Reason::Unavailable(what) => f.write_str(what),
        }
    }
}

/// One row that is wrong, confirmed at two pairs of cuts.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its key, as the target spells it; cells that do not fit the key's columns as they are stored.
    pub key: Key,
    /// What is wrong with it.
    pub kind: DifferenceKind,
    /// On which side it went wrong.
    pub side: Side,
    /// The row that should be there, in the target's columns.
    pub expected: Option<Vec<Value>>,
    /// The row that is there. A cell that does not fit its column is shown as it is stored.
    pub found: Option<Vec<Value>>,
    /// Place in the lane at which `expected` is true: the target's progress when it was read.
    pub known_at: Offset,
    /// Newest change of the key in the log up to there.
    pub newest_change: Option<Offset>,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It should be there and is not.
    Missing,
    /// It is there and should not be; the log never deleted it.
    Extra,
    /// It has other values in these columns than any version of it in the log.
    Changed {
        /// The columns.
        columns: Vec<String>,
    },
    /// It is an older version of itself: a newer one was overwritten, skipped, or not yet written in time.
    StaleOverwrite {
        /// Where in the lane the newest version is.
        newest: Offset,
        /// Where the version is that was found.
        found: Offset,
    },
    /// It is there although the log deleted it: the delete was lost, or an older event brought it back.
    ResurrectedDelete {
        /// Where in the lane it was deleted.
        deleted: Offset,
    },
    /// The key is there more than once.
    Duplicate {
        /// How often.
        times: u64,
    },
}

impl DifferenceKind {
    /// The kind's name, as reports carry it.
    pub fn name(&self) -> &'static str {
        match self {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Changed { .. } => "changed",
            DifferenceKind::StaleOverwrite { .. } => "stale",
            DifferenceKind::ResurrectedDelete { .. } => "resurrected",
            DifferenceKind::Duplicate { .. } => "duplicate",
        }
    }
}

/// On which side a row went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The log is right, and the target holds what an earlier place of the log says: a change was not applied,
    /// or was undone.
    Apply,
    /// The source holds what the log never said: capture has missed it.
    Capture,
    /// The log is right, and the target holds what the log never said: another hand, or a defect that writes
    /// wrong values.
    Foreign,
    /// The log does not reach back far enough to tell.
    Unknown,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Apply => "apply",
            Side::Capture => "capture",
            Side::Foreign => "foreign",
            Side::Unknown => "unknown",
        })
    }
}

/// A column that is wrong in most rows: a contract error rather than drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systematic {
    /// The column.
    pub column: String,
    /// Rows in which it differs.
    pub rows: u64,
    /// Rows that are on both sides.
    pub of: u64,
}

impl fmt::Display for Systematic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Systematic { column, rows, of } = self;
        if rows == of {
            write!(f, "column {column} differs in all {} of them", count(*of))
        } else {
            write!(f, "column {column} differs in {rows} of {of} rows")
        }
    }
}

/// How far a foreign writer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Rows that show an older state of their key, not older than allowed.
    pub rows_behind: u64,
    /// The longest that such a state has been outdated, at least: the log tells the time of a group, which is
    /// that of its newest transaction.
    pub longest_us: i64,
}

/// What was found out about one table of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct TableProof {
    /// The source site.
    pub site: String,
    /// The table there.
    pub source_table: String,
    /// The table at the target.
    pub target_table: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Rows compared: those that should be there, and those that are there and should not.
    pub rows: u64,
    /// Rows read from the source.
    pub source_rows: u64,
    /// Rows read from the target.
    pub target_rows: u64,
    /// Pieces of the key space, each with cuts of its own.
    pub chunks: u64,
    /// Leaves whose digests were compared, and those that differed at first sight.
    pub leaves: u64,
    /// See `leaves`.
    pub unequal_leaves: u64,
    /// Keys that the log touched between the cuts, and that were compared with the log.
    pub touched: u64,
    /// Candidates of the first look that fresh cuts did not confirm.
    pub unconfirmed: u64,
    /// Keys set aside.
    pub parked: u64,
    /// Digest of all rows that should be there.
    pub expected: Digest,
    /// Digest of all rows that are there.
    pub found: Digest,
    /// Rows that are wrong, by key; at most as many as the settings allow.
    pub differences: Vec<Difference>,
    /// Rows that are wrong and not listed.
    pub omitted: u64,
    /// Columns that are wrong in most rows.
    pub systematic: Vec<Systematic>,
    /// Lag of a foreign writer.
    pub lag: Option<Lag>,
    /// First and last source cut, as closing positions.
    pub source_cuts: Option<(String, String)>,
    /// Smallest and largest progress of the target at its cuts.
    pub target_cuts: Option<(Offset, Offset)>,
    /// When it began and ended, microseconds since 1970-01-01T00:00:00Z.
    pub started_at: i64,
    /// See `started_at`.
    pub ended_at: i64,
    /// The longest that one source cut was held.
    pub longest_cut_us: i64,
}

impl TableProof {
    /// Rows that are wrong, listed or not.
    pub fn wrong(&self) -> u64 {
        self.differences.len() as u64 + self.omitted
    }
}
