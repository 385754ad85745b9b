//! What a proof leaves behind: append-only, hash-chained by flow, readable by people and by `verify`.
//!
//! No row values and no keys are in it, only keyed hashes of keys. A certificate has one form as bytes (`layout`), and
//! what is verified is bytes (`examine`, `verify`). It does not tell that the newest certificates of a chain were
//! dropped: whoever must know that keeps a head elsewhere.

mod examine;
mod fields;
mod layout;
mod page;
mod seal;
mod text;
mod verify;

pub use fields::{
    Cost, Coverage, DifferenceEntry, LagEntry, Mended, Offsets, Positions, SystematicEntry,
};
pub use page::Page;
pub use seal::About;
pub use verify::{CertificateFault, Piece, head_of, is_of_older_format, split, verify};

use crate::chain::Linked;
use crate::subject::Excluded;
use crate::verdict::Verdict;
use change::Digest;
use serde::{Deserialize, Serialize};

/// Format of certificates.
const FORMAT: u32 = 2;

/// One proof of one table, as a link of a flow's chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Format of these fields.
    pub format: u32,
    /// 1 for the first of the flow's chain.
    pub number: i64,
    /// Hash of the certificate before; empty for the first.
    pub previous: String,
    /// The engine's version.
    pub engine: String,
    /// The flow's name.
    pub flow: String,
    /// Its id.
    pub flow_id: String,
    /// Its generation: mode, transform, key and target.
    pub generation: String,
    /// The source site.
    pub site: String,
    /// The lane of the site; none where it was never captured.
    pub lane: Option<String>,
    /// The table at the source.
    pub source_table: String,
    /// The table at the target.
    pub target_table: String,
    /// Fingerprint of columns and key at the source, where they could be read.
    pub source_schema: Option<String>,
    /// The same of the target.
    pub target_schema: Option<String>,
    /// `scan`, `ledger`, or `scan, foreign writer`.
    pub method: String,
    /// How far a foreign writer may be behind, in microseconds.
    pub max_lag_us: Option<i64>,
    /// Version of the canonical encoding.
    pub encoding: u32,
    /// Hash of rows.
    pub hash_algorithm: String,
    /// EQUAL, DIFFERENT or UNPROVEN.
    pub verdict: String,
    /// The verdict in words.
    pub says: String,
    /// Why it is UNPROVEN, in one word.
    pub reason: Option<String>,
    /// When it began, microseconds since 1970-01-01T00:00:00Z.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// Source cuts, first and last, as closing positions.
    pub source_cuts: Option<Positions>,
    /// Offsets of the target at its cuts, lowest and highest.
    pub target_cuts: Option<Offsets>,
    /// How much was seen.
    pub coverage: Coverage,
    /// Columns that are not compared as the source holds them, or not at all.
    pub excluded: Vec<Excluded>,
    /// Source rows that the transform's filter leaves out.
    pub filtered: u64,
    /// Keys set aside as dead letters, not compared.
    pub parked: u64,
    /// Keys compared with the log, since they changed between the cuts.
    pub touched: u64,
    /// Candidates that a second look did not confirm.
    pub unconfirmed: u64,
    /// Root of what should be there: count and sum of the rows' keyed hashes.
    pub expected: Digest,
    /// Root of what is there.
    pub found: Digest,
    /// Rows that are wrong.
    pub wrong: u64,
    /// Wrong rows that have no other fault than the systematic columns.
    pub uniform: u64,
    /// Columns that are wrong in most rows.
    pub systematic: Vec<SystematicEntry>,
    /// The first rows that are wrong.
    pub differences: Vec<DifferenceEntry>,
    /// What a foreign writer's rows show.
    pub lag: Option<LagEntry>,
    /// What was mended before this proof.
    pub mended: Option<Mended>,
    /// What the proof cost.
    pub cost: Cost,
    /// The hash of each line above, in order.
    #[serde(default, skip_serializing)]
    seals: Vec<String>,
    /// BLAKE3 of the seals.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

impl Certificate {
    /// The canonical bytes, to be stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        layout::written(self).0
    }

    /// Reads and verifies stored bytes.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn read(bytes: &[u8]) -> Result<Certificate, String> {
        verify::read(bytes).map_err(|bad| match bad.field {
            Some(field) => format!("line {} ({field}): {}", bad.line, bad.what),
            None => format!("line {}: {}", bad.line, bad.what),
        })
    }

    /// Its name for people: `stock/3`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.flow, self.number)
    }

    /// Whether the table was proved equal.
    pub fn is_equal(&self) -> bool {
        self.verdict == Verdict::Equal.name()
    }

    /// Whether nothing is wrong but that the table had no rows on either side: fine beside other tables that have some.
    pub fn is_empty(&self) -> bool {
        self.reason.as_deref() == Some(crate::verdict::Reason::Empty.name())
    }
}

impl Linked for Certificate {
    fn number(&self) -> i64 {
        self.number
    }

    fn previous(&self) -> &str {
        &self.previous
    }

    fn hash(&self) -> &str {
        &self.hash
    }

    fn is_intact(&self) -> bool {
        layout::written(self).1 == self.hash
    }
}
