//! Which file a database is in. A copy has everything of its original but this.
//!
//! Inode and time of birth: neither a move on one disk nor VACUUM changes them, a copy and a restored file have
//! their own. The device is left out, because its number can change with a restart.

use crate::sqlite::database::Database;
use connect::{Error, Result};
use std::time::UNIX_EPOCH;

/// The identity of a database's file; `None` where the system does not tell.
pub(super) fn identity(database: &Database) -> Result<Option<String>> {
    let metadata = std::fs::metadata(database.path()).map_err(|e| {
        Error::unavailable("the database's file is gone").found(database.shown()).caused_by(e)
    })?;
    let born = metadata.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(0, |since| since.as_nanos());
    Ok(inode(&metadata).map(|inode| format!("{inode}:{born}")))
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> Option<u64> {
    None
}
