//! Time comes in through the constructor, so that the engine can run in a seeded simulation.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time, steady time, and waiting.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z. May jump; never orders changes.
    fn now(&self) -> i64;
    /// Time since some fixed moment; never runs back.
    fn steady(&self) -> Duration;
    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn steady(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that moves only when told, or when somebody sleeps on it.
#[derive(Debug, Default)]
pub struct ManualClock {
    micros: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `micros` since 1970-01-01T00:00:00Z.
    pub fn at(micros: i64) -> Self {
        ManualClock { micros: AtomicI64::new(micros) }
    }

    /// Moves it on.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).expect("a duration of sane length");
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.micros.load(Ordering::SeqCst)
    }

    fn steady(&self) -> Duration {
        Duration::from_micros(self.now().unsigned_abs())
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
