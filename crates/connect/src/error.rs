//! One error type for the edges. Its kind alone decides what happens next: retry, park, stop.
//!
//! A message says what; `found`, `effect` and `fix` are the lines an operator reads at 03:00. Row values never
//! appear in a message.

use std::fmt;

/// The outcome of a call at an edge.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cannot be reached, is locked, ran out of time or of space: try again with back-off.
    Unavailable,
    /// The declaration does not fit the world: stop until somebody changes it.
    Invalid,
    /// These rows will never apply: park them. The transaction they came in stays usable.
    Refused,
    /// Somebody else moved: another engine took over, the generation is another. Stop; do not retry.
    Conflict,
    /// What was stored reads back wrong, or an I/O error left that open. Stop and verify from disk.
    Corrupt,
    /// Our own bug.
    Internal,
}

/// Named states that stop a lane or a flow; shown by `status` and explained by `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Another engine holds the epoch of the target.
    Fenced,
    /// The source no longer has the position we need.
    PositionLost,
    /// The source's history is another: restored, copied or rewound.
    HistoryChanged,
    /// The target's progress is ahead of the log.
    LogBehindTarget,
    /// A schema change that the target or the transform cannot follow.
    SchemaBlocked,
    /// A frame of the log reads back wrong.
    LogCorrupt,
    /// The disk of the log is full; capture waits.
    DiskFull,
    /// A row was refused under `transactions = "exact"`, or more were parked than `stop_at` allows.
    RowsRefused,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Fenced => "FENCED",
            State::PositionLost => "POSITION_LOST",
            State::HistoryChanged => "HISTORY_CHANGED",
            State::LogBehindTarget => "LOG_BEHIND_TARGET",
            State::SchemaBlocked => "SCHEMA_BLOCKED",
            State::LogCorrupt => "LOG_CORRUPT",
            State::DiskFull => "DISK_FULL",
            State::RowsRefused => "ROWS_REFUSED",
        })
    }
}

/// Something went wrong at an edge.
#[derive(Debug)]
pub struct Error {
    /// What the caller must do.
    pub kind: Kind,
    /// What failed: lowercase, no full stop.
    pub what: String,
    /// What was found.
    pub found: Option<String>,
    /// What it means for the data.
    pub effect: Option<String>,
    /// What to type.
    pub fix: Option<String>,
    /// The named state it stops in.
    pub state: Option<State>,
    /// The stable code that `seamount explain` knows.
    pub code: Option<&'static str>,
    /// The cause.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind. Prefer the named constructors.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error {
            kind,
            what: what.into(),
            found: None,
            effect: None,
            fix: None,
            state: None,
            code: None,
            source: None,
        }
    }

    /// Try again later.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, what)
    }

    /// The declaration is wrong.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    /// These rows will never apply.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }

    /// Somebody else moved.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, what)
    }

    /// Storage reads back wrong.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, what)
    }

    /// Our own bug.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// Adds what was found.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Adds what it means for the data.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// Adds what to type.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds the named state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Adds the stable code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Says where it happened, in front of what.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(state) = self.state {
            write!(f, "{state}: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(found) = &self.found {
            write!(f, " ({found})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e.as_ref() as _)
    }
}
