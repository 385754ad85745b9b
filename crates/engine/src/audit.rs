//! The audit log: who changed what, each entry chained to the one before it by a hash.
//!
//! Pure: entries in, the first bad one out. Storing them is `state::audit`'s business. The chain shows that an entry
//! was changed, taken out or moved. It cannot show by itself that its end was cut off, or that it was written anew
//! from some entry on: for that a head (number and hash of an entry) must lie where whoever does so cannot change it.

use std::collections::BTreeMap;
use std::fmt;

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

/// Number and hash of an entry: what is kept elsewhere to see that the log was not cut off or written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The entry's number.
    pub number: i64,
    /// The entry's hash, in hex.
    pub hash: String,
}

/// The first bad entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// Its content is not what was hashed.
    Changed(i64),
    /// Another stands in its place, or none although later ones are there.
    NotInPlace {
        /// The number that should stand here.
        expected: i64,
        /// The number that does.
        found: i64,
    },
    /// It is not chained to the one before it.
    Unchained(i64),
    /// A head that was kept says that it was there.
    CutOff {
        /// The first that is missing.
        missing: i64,
        /// The newest that was kept.
        kept: i64,
    },
    /// A head that was kept says that it was another: the log was written anew from here or from before.
    Forked(i64),
}

impl AuditFault {
    /// The number of the first bad entry.
    pub fn number(&self) -> i64 {
        match self {
            AuditFault::Changed(n) | AuditFault::Unchained(n) | AuditFault::Forked(n) => *n,
            AuditFault::NotInPlace { expected, .. } => *expected,
            AuditFault::CutOff { missing, .. } => *missing,
        }
    }
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditFault::Changed(n) => write!(f, "entry {n} was changed"),
            AuditFault::NotInPlace { expected, found } => {
                write!(f, "entry {expected} was taken out or moved: {found} stands in its place")
            }
            AuditFault::Unchained(n) => write!(f, "entry {n} is not chained to the one before it"),
            AuditFault::CutOff { missing, kept } => {
                write!(f, "entry {missing} and those behind it were cut off: there were {kept}")
            }
            AuditFault::Forked(n) => {
                write!(f, "entry {n} is another than it was: the log was written anew")
            }
        }
    }
}

impl AuditEntry {
    /// An entry behind the newest one.
    pub fn chained(after: Option<&Head>, who: &str, command: &str, act: Act) -> AuditEntry {
        let mut entry = AuditEntry {
            number: after.map_or(1, |head| head.number + 1),
            at: act.at,
            who: who.into(),
            command: command.into(),
            what: act.what.into(),
            detail: act.detail,
            previous: after.map_or(String::new(), |head| head.hash.clone()),
            hash: String::new(),
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// Its number and hash.
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone() }
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

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl Head {
    /// Reads `NUMBER:HASH`.
    pub fn parse(text: &str) -> Option<Head> {
        let (number, hash) = text.trim().split_once(':')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Head { number, hash: hash.to_ascii_lowercase() })
    }
}

/// Walks the log, in the order of its numbers, beside the heads that were kept. Gives the newest head; `None` when
/// nothing was ever done.
///
/// # Errors
/// The first bad entry.
pub fn verify_audit(entries: &[AuditEntry], kept: &[Head]) -> Result<Option<Head>, AuditFault> {
    let mut hashes = BTreeMap::<i64, Vec<&str>>::new();
    for head in kept {
        hashes.entry(head.number).or_default().push(&head.hash);
    }
    let mut last: Option<Head> = None;
    for entry in entries {
        let expected = last.as_ref().map_or(1, |head| head.number + 1);
        if entry.number != expected {
            return Err(AuditFault::NotInPlace { expected, found: entry.number });
        }
        if entry.hash != entry.computed_hash() {
            return Err(AuditFault::Changed(expected));
        }
        if entry.previous != last.as_ref().map_or("", |head| head.hash.as_str()) {
            return Err(AuditFault::Unchained(expected));
        }
        if hashes.get(&expected).is_some_and(|kept| kept.iter().any(|hash| *hash != entry.hash)) {
            return Err(AuditFault::Forked(expected));
        }
        last = Some(entry.head());
    }
    let there = last.as_ref().map_or(0, |head| head.number);
    match hashes.keys().next_back() {
        Some(&kept) if kept > there => Err(AuditFault::CutOff { missing: there + 1, kept }),
        _ => Ok(last),
    }
}
