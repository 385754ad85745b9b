//! Drills for one part of the product each; the world as a whole is `world`.

pub mod files;
pub mod frames;
pub mod log;
pub mod masks;
pub mod proofs;
pub mod schedules;
pub mod secrets;
pub mod sqlite;
pub mod texts;
