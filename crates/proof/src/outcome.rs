//! What a proof of one table found out: the verdict, and what it stands on.
//!
//! Counts and digests are of the pieces as they were seen first. Only differences that a second look confirmed are
//! here.

use crate::systematic::Systematic;
use crate::verdict::{Difference, Lag, Reason, Verdict, count};
use change::{Digest, Offset};

/// How a table was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Both sides were read, and the log between the cuts.
    #[default]
    Scan,
    /// The target was read, and compared with the ledger of the log.
    Ledger,
}

impl Tier {
    /// The tier in one word, as certificates and commands say it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Scan => "scan",
            Tier::Ledger => "ledger",
        }
    }
}

/// What was found out about one table of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct TableProof {
    /// How it was proved.
    pub tier: Tier,
    /// The source site.
    pub site: String,
    /// The table there.
    pub source_table: String,
    /// The table at the target.
    pub target_table: String,
    /// The target's columns, in the order of the rows of differences.
    pub columns: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why not everything was seen; beside DIFFERENT too, where more may be wrong than was found.
    pub gap: Option<Reason>,
    /// Rows compared: those that should be there, and those that are there and should not.
    pub rows: u64,
    /// Rows read from the source.
    pub source_rows: u64,
    /// Rows read from the target.
    pub target_rows: u64,
    /// Source rows that the transform's filter left out.
    pub filtered: u64,
    /// Bytes of the rows compared in their canonical form: those of the source, and those of the target.
    pub source_bytes: u64,
    /// See `source_bytes`.
    pub target_bytes: u64,
    /// Pieces of the key space, each with cuts of its own.
    pub chunks: u64,
    /// Pairs of cuts that were taken, second looks included.
    pub looks: u64,
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
    /// Wrong rows that have no other fault than those columns.
    pub uniform: u64,
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
    /// A proof that has seen nothing yet, or never will, for this reason.
    pub fn unseen(
        site: &str,
        source_table: &str,
        target_table: &str,
        why: Reason,
        now: i64,
    ) -> Self {
        TableProof {
            tier: Tier::Scan,
            site: site.into(),
            source_table: source_table.into(),
            target_table: target_table.into(),
            columns: Vec::new(),
            verdict: Verdict::Unproven(why.clone()),
            gap: Some(why),
            rows: 0,
            source_rows: 0,
            target_rows: 0,
            filtered: 0,
            source_bytes: 0,
            target_bytes: 0,
            chunks: 0,
            looks: 0,
            leaves: 0,
            unequal_leaves: 0,
            touched: 0,
            unconfirmed: 0,
            parked: 0,
            expected: Digest::default(),
            found: Digest::default(),
            differences: Vec::new(),
            omitted: 0,
            systematic: Vec::new(),
            uniform: 0,
            lag: None,
            source_cuts: None,
            target_cuts: None,
            started_at: now,
            ended_at: now,
            longest_cut_us: 0,
        }
    }

    /// Rows that are wrong, listed or not.
    pub fn wrong(&self) -> u64 {
        self.differences.len() as u64 + self.omitted
    }

    /// The verdict in words: one mistake in a whole column is told as one, and DIFFERENT says what was not seen.
    pub fn says(&self) -> String {
        let Verdict::Different { parked, .. } = &self.verdict else {
            return self.verdict.to_string();
        };
        let mut says = match self.systematic.as_slice() {
            [] => self.verdict.to_string(),
            columns => {
                let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
                let mut says = format!("DIFFERENT: systematic, {}", columns.join("; "));
                match self.wrong().saturating_sub(self.uniform) {
                    0 => {}
                    1 => says.push_str("; 1 row is wrong in another way"),
                    others => {
                        says.push_str(&format!("; {} are wrong in other ways", count(others)));
                    }
                }
                if *parked > 0 {
                    says.push_str(&format!("; {parked} parked keys were left out"));
                }
                says
            }
        };
        if let Some(gap) = &self.gap {
            says.push_str(&format!("; not everything was seen: {gap}"));
        }
        says
    }
}
