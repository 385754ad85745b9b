//! Finds defects before users do: one seed drives the real engine through a world that fails on purpose.
//!
//! An oracle that shares no decode, transform or compare code with the engine says whether an invariant was broken.
//! The harness itself is proved: each planted defect (`change::planted`) must be caught by a drill.

#![allow(clippy::unwrap_used)]

pub mod catchers;
pub mod drill;
pub mod drills;
pub mod oracle;
pub mod random;
pub mod runner;
pub mod world;

pub use drill::{Drill, Violation, all, difference};
pub use random::Random;
