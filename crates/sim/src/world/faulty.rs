//! The edges of the engine, each with a world behind it that fails: source, target, log.
//!
//! Wrappers only: what they wrap are the complete implementations in memory. Nothing is decided here; the machine
//! decides.

mod connector;
mod log;
mod source;
mod target;

pub use connector::{CENTRAL, Sites};
pub use log::FaultyLog;
