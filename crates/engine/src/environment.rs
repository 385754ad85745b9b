//! What the engine may know of the world: time and chance, handed in, so that a seed can drive both.

use connect::Clock;
use std::sync::Arc;

/// A source of random bits.
pub trait Random: Send + Sync {
    /// 64 fresh bits.
    fn bits(&self) -> u64;
}

/// The machine's own randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn bits(&self) -> u64 {
        getrandom::u64().expect("the operating system has randomness")
    }
}

/// Time and chance.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}
