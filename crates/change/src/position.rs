//! Places in a source's own history.
//!
//! A position means nothing without the [`History`] it belongs to: a re-created slot, a restored backup and a
//! copied database count from the same numbers. Positions of two lanes are never compared.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in one lane's source history: a change id, an LSN, a broker offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Grows along the lane. Whether a *cut* contains a change is not decided by this number alone: ask the cut.
    pub sequence: u64,
    /// What else the source needs to resume here (a tag, a GTID set), opaque to everyone but its connector.
    pub detail: Option<String>,
}

impl SourcePosition {
    /// The place before everything.
    pub const START: SourcePosition = SourcePosition { sequence: 0, detail: None };

    /// A position that is a number alone.
    pub fn at(sequence: u64) -> Self {
        SourcePosition { sequence, detail: None }
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}:{detail}", self.sequence),
            None => self.sequence.fmt(f),
        }
    }
}

/// Identity of the history that positions count in: database tag, system identifier and timeline, topic id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct History {
    /// The kind of system, for messages: `sqlite`, `postgresql`.
    pub system: String,
    /// Whatever tells this history from a copy, a restored backup, or a re-created one.
    pub identity: String,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.system, self.identity)
    }
}
