//! What an engine is put together from. The only other place that knows every piece is the binary.

use crate::environment::Environment;
use crate::state::State;
use change::DigestKey;
use connect::{BatchEngine, Connectors, Log, SqlPlanner};
use flow::Project;
use std::sync::Arc;

/// The pieces, shared by everything that runs.
#[derive(Clone)]
pub struct Assembly {
    /// The checked project.
    pub project: Arc<Project>,
    /// Systems by url scheme.
    pub connectors: Arc<Connectors>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Names, ids, letters, runs, certificates.
    pub state: State,
    /// Understands SQL.
    pub planner: Arc<dyn SqlPlanner>,
    /// Runs relational SQL.
    pub batch: Arc<dyn BatchEngine>,
    /// The secret of row hashes.
    pub digest_key: DigestKey,
    /// Time and chance.
    pub environment: Environment,
}

/// What one step of a capture or an applier did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It moved this many changes.
    Moved(u64),
    /// There is nothing to do now.
    Idle,
    /// Rows were refused; they get another attempt before they are set aside.
    Refused,
}
