//! SQLite databases as sites: read at a cut, captured by triggers, written with progress in one transaction.

pub mod names;
pub mod types;
