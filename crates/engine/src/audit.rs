//! The audit log: who changed what, each entry chained to the one before it by a hash.
//!
//! Pure: entries in, the first bad one out. Storing them is `state::audit`'s business; what a chain shows and what it
//! cannot show is `proof::chain`'s.

use proof::{Head, LinkFault, Linked, follow};

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// What: `pause`, `dlq discard`, `certificate`.
    pub what: &'static str,
    /// To what, and how; no row values, no secrets.
    pub detail: String,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, counted from 1 without a gap.
    pub number: i64,
    /// When, microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// Who: `user@host`.
    pub who: String,
    /// The command line, without secrets.
    pub command: String,
    /// What was done.
    pub what: String,
    /// To what, and how.
    pub detail: String,
    /// The hash of the entry before it; empty for the first.
    pub previous: String,
    /// BLAKE3 over everything above, in hex.
    pub hash: String,
}

impl AuditEntry {
    /// An entry behind the newest one.
    pub fn chained(after: Option<&Head>, who: &str, command: &str, act: Act) -> AuditEntry {
        let (number, previous) = Head::next(after);
        let mut entry = AuditEntry {
            number,
            at: act.at,
            who: who.into(),
            command: command.into(),
            what: act.what.into(),
            detail: act.detail,
            previous,
            hash: String::new(),
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// The hash that it must have: every field with its length in front, so that none can lend bytes to the next.
    pub fn computed_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("seamount audit log, entry, layout 1");
        hasher.update(&self.number.to_le_bytes());
        hasher.update(&self.at.to_le_bytes());
        for text in [&self.who, &self.command, &self.what, &self.detail, &self.previous] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl Linked for AuditEntry {
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
        self.hash == self.computed_hash()
    }
}

/// Walks the log, in the order of its numbers, beside the heads that were kept. Gives the newest head; `None` when
/// nothing was ever done.
///
/// # Errors
/// The first bad entry.
pub fn verify_audit(entries: &[AuditEntry], kept: &[Head]) -> Result<Option<Head>, LinkFault> {
    follow(entries, None, kept)
}
