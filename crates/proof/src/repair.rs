//! What a proof would have mended, and whether that is too much to be drift.
//!
//! A plan writes nothing. Rows for the target are applied by the applier only if the log has not touched their
//! key behind `known_at`; keys that capture has missed are read again by the capture, into the lane.

use crate::fit::is_bound;
use crate::outcome::TableProof;
use crate::subject::RowPath;
use crate::verdict::{DifferenceKind, Side};
use arrow::array::RecordBatch;
use change::{Key, Offset, Value, value};
use connect::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;

/// Rows to mend at the target that are true at the same place of the lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Lot {
    /// The place of the lane: write a row only if the log has not touched its key behind it.
    pub known_at: Offset,
    /// Rows to upsert, in the target's columns.
    pub rows: RecordBatch,
    /// Keys to delete: key columns, in key order.
    pub gone: RecordBatch,
}

/// What mends the listed differences of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct RepairPlan {
    /// Rows for the applier.
    pub lots: Vec<Lot>,
    /// Source keys for the capture to read again (`ReadRequest::Keys`).
    pub recapture: Vec<Key>,
    /// Keys of rows that should not be there and that no plan reaches: they hold what no column of the key can, and
    /// writers delete by typed keys. Somebody must remove them by hand.
    pub by_hand: Vec<Key>,
    /// Rows that would change, the ones that were not listed included.
    pub changes: u64,
    /// Why nothing may be mended, whatever the limits: a systematic column.
    pub systematic: Option<String>,
}

/// How much may be mended unasked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Most rows.
    pub max_rows: u64,
    /// Largest share of the rows compared.
    pub max_share: f64,
}

impl Default for Limits {
    /// 10,000 rows and a thousandth of the table.
    fn default() -> Self {
        Limits { max_rows: 10_000, max_share: 0.001 }
    }
}

/// Rows as cells.
type Cells = Vec<Vec<Value>>;

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// More rows than allowed.
    TooMany {
        /// Rows that would change.
        changes: u64,
        /// The limit.
        max_rows: u64,
    },
    /// A larger share of the table than allowed.
    TooLarge {
        /// Rows that would change.
        changes: u64,
        /// Rows compared.
        compared: u64,
    },
    /// A column is wrong in most rows: a mapping to be corrected, not rows.
    Systematic(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany { changes, max_rows } => {
                write!(f, "{changes} rows would change, {max_rows} are allowed")
            }
            Refusal::TooLarge { changes, compared } => {
                write!(f, "{changes} of {compared} rows would change, a larger share than allowed")
            }
            Refusal::Systematic(what) => {
                write!(f, "{what}: correct the mapping rather than the rows")
            }
        }
    }
}

impl RepairPlan {
    /// The plan that mends what a proof found.
    ///
    /// # Errors
    /// `Internal` when a row does not fit its table.
    pub fn of(proof: &TableProof, path: &RowPath) -> Result<RepairPlan> {
        let mut lots: BTreeMap<Offset, (Cells, Cells)> = BTreeMap::new();
        let (mut recapture, mut by_hand) = (Vec::new(), Vec::new());
        for difference in &proof.differences {
            if difference.side == Side::Capture {
                recapture.push(path.source_key(&difference.key));
                continue;
            }
            if !is_bound(&difference.key, &path.target().schema) {
                by_hand.push(difference.key.clone());
                continue;
            }
            let (rows, gone) = lots.entry(difference.known_at).or_default();
            match &difference.expected {
                Some(row) => {
                    // An upsert alone would leave the second of two rows with one key.
                    if matches!(difference.kind, DifferenceKind::Duplicate { .. }) {
                        gone.push(difference.key.0.clone());
                    }
                    rows.push(row.clone());
                }
                None => gone.push(difference.key.0.clone()),
            }
        }
        let schema = &path.target().schema;
        let lots = lots
            .into_iter()
            .map(|(known_at, (rows, gone))| {
                Ok(Lot {
                    known_at,
                    rows: value::batch(schema, &rows).map_err(misfit)?,
                    gone: value::batch(&schema.key_schema(), &gone).map_err(misfit)?,
                })
            })
            .collect::<Result<_>>()?;
        let systematic = proof.systematic.first().map(ToString::to_string);
        Ok(RepairPlan { lots, recapture, by_hand, changes: proof.wrong(), systematic })
    }

    /// Whether there is nothing that can be mended.
    pub fn is_empty(&self) -> bool {
        self.lots.is_empty() && self.recapture.is_empty()
    }

    /// Whether the plan is small enough to be drift and may be carried out. `compared` is [`TableProof::rows`].
    ///
    /// # Errors
    /// The limit that it breaks.
    pub fn allowed(&self, limits: &Limits, compared: u64) -> Result<(), Refusal> {
        let changes = self.changes;
        if let Some(what) = &self.systematic {
            return Err(Refusal::Systematic(what.clone()));
        }
        if changes > limits.max_rows {
            return Err(Refusal::TooMany { changes, max_rows: limits.max_rows });
        }
        // Row counts are far below 2^52, where a float still counts one by one.
        if changes as f64 > limits.max_share * compared as f64 {
            return Err(Refusal::TooLarge { changes, compared });
        }
        Ok(())
    }
}

fn misfit(e: value::WrongType) -> Error {
    Error::internal("a row to repair does not fit its table").caused_by(e)
}
