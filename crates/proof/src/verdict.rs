//! What a proof says: EQUAL, DIFFERENT or UNPROVEN, and for every difference its key, its kind and whose fault.
//!
//! A check that compared nothing, or could not see enough, is UNPROVEN: never EQUAL.

use change::{Key, Offset, Value};
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

pub(crate) fn count(rows: u64) -> String {
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
    /// A table or a column is not what the flow declares, or cannot be carried exactly, so its rows cannot be read.
    Unsupported(String),
    /// Every column but the key is kept at its site, so there is nothing to compare but the presence of rows.
    OnlyKeys,
    /// There is no ledger of the table, or it does not know every row yet.
    NoLedger(String),
    /// More leaves differ than are looked at row by row: a scan says which rows.
    LeavesLeft {
        /// Leaves that were not looked at.
        leaves: u64,
    },
}

impl Reason {
    /// The reason in one word, as certificates and programs read it.
    pub fn name(&self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::NotCaptured(_) => "not-captured",
            Reason::TargetBehind(_) => "target-behind",
            Reason::NoProgress => "no-progress",
            Reason::OtherHistory(_) => "other-history",
            Reason::LogTrimmed => "log-trimmed",
            Reason::NoClosing => "no-closing",
            Reason::KeyNotCarried => "key-not-carried",
            Reason::Voided { .. } => "voided",
            Reason::TransformFails { .. } => "transform-fails",
            Reason::ImagesIncomplete { .. } => "images-incomplete",
            Reason::CellRefused { .. } => "cell-refused",
            Reason::Unavailable(_) => "unavailable",
            Reason::Unsupported(_) => "unsupported",
            Reason::OnlyKeys => "only-keys",
            Reason::NoLedger(_) => "no-ledger",
            Reason::LeavesLeft { .. } => "leaves-left",
        }
    }
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
            Reason::Unsupported(what) => write!(f, "it cannot be compared: {what}"),
            Reason::OnlyKeys => f.write_str("every column but the key is kept at its site"),
            Reason::LeavesLeft { leaves } => {
                write!(f, "{leaves} more leaves differ from the ledger: a scan says which rows")
            }
            Reason::NoLedger(why) => write!(f, "there is no whole ledger: {why}"),
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
    /// The last changes of the key in the log up to there, oldest first.
    pub changes: Vec<LogChange>,
}

/// A change of a key in the log, as one that led to a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChange {
    /// Its place in the lane.
    pub offset: Offset,
    /// The position of its transaction at the source.
    pub position: String,
    /// When that was committed at the latest, microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// `insert`, `update`, `delete`, `snapshot`, `repair`, `truncate`, or `new shape`.
    pub kind: &'static str,
    /// Which side shows what the key was behind this change.
    pub shown: ShownBy,
}

/// Which side of a difference shows a version of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// What should be there is this version.
    Source,
    /// What is there is this version.
    Target,
    /// Neither, or the log does not tell.
    Nowhere,
}

impl ShownBy {
    /// The side in one word.
    pub fn name(self) -> Option<&'static str> {
        match self {
            ShownBy::Source => Some("source"),
            ShownBy::Target => Some("target"),
            ShownBy::Nowhere => None,
        }
    }
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

/// How far a foreign writer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Rows that show an older state of their key, not older than allowed.
    pub rows_behind: u64,
    /// The longest that such a state has been outdated, at least: the log tells the time of a group, which is
    /// that of its newest transaction.
    pub longest_us: i64,
}
