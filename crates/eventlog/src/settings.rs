//! What a log is opened with. Nothing is read from the environment; clock and randomness come in here.

use connect::Clock;
use std::sync::Arc;

/// How a log is opened.
#[derive(Clone)]
pub struct Settings {
    /// Wall time of new files.
    pub clock: Arc<dyn Clock>,
    /// Random bits, for the id of a log that does not exist yet.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Size at which a new file is begun. Space comes back by whole files.
    pub rotate_bytes: u64,
    /// Memory of groups that wait for the disk; an append blocks when it would take more.
    pub queue_bytes: usize,
    /// Memory of recent groups, kept for consumers that keep up.
    pub cache_bytes: usize,
}

impl Settings {
    /// Files of 256 MiB, 32 MiB waiting, 32 MiB recent.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Settings {
            clock,
            random,
            rotate_bytes: 256 << 20,
            queue_bytes: 32 << 20,
            cache_bytes: 32 << 20,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("rotate_bytes", &self.rotate_bytes)
            .field("queue_bytes", &self.queue_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}
