//! What an error of SQLite means for the log: no space, or no trust.
//!
//! Invariant: only "no space" is ever tried again. Every other failure of a write leaves open what the disk holds.

use change::{LaneId, Offset};
use connect::{Error, State};
use rusqlite::ErrorCode;

/// `SQLITE_IOERR_SHMSIZE`: the shared index of the WAL could not grow. Nothing was committed.
const SHM_SIZE: i32 = 4874;

/// Whether a write failed for want of space alone, so that SQLite has rolled it back cleanly.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(e, _) => {
            e.code == ErrorCode::DiskFull || e.extended_code == SHM_SIZE
        }
        _ => false,
    }
}

/// Whether somebody else has locked the file: an operator who looks into it with a tool of his own. SQLite has
/// waited for a while already, and nothing was written.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// The error of a file that SQLite could not switch to WAL.
pub(crate) fn not_wal(mode: &str) -> rusqlite::Error {
    let failed = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
    let text = format!("the file cannot be in WAL mode, but is in mode {mode}");
    rusqlite::Error::SqliteFailure(failed, Some(text))
}

/// The error of an append while there is no space.
pub(crate) fn disk_full() -> Error {
    Error::unavailable("the disk of the log is full")
        .state(State::DiskFull)
        .effect("the group was not taken and its source was not acknowledged; groups that have an offset wait in memory")
        .fix("free space, or let `[log] keep` trim more; writing resumes by itself")
}

/// The error of everything after a write whose outcome is not known.
pub(crate) fn poisoned(found: &str) -> Error {
    Error::corrupt("a write to the log failed")
        .found(found)
        .state(State::LogCorrupt)
        .effect("nothing more is taken until the log is opened again and read from disk")
        .fix("check the disk, then start the engine again")
}

/// The error of a lane whose newest frame reads back wrong.
pub(crate) fn damaged_end(lane: LaneId, offset: Offset, found: &str) -> Error {
    Error::corrupt(format!("the newest frame {offset} of lane {lane} reads back wrong"))
        .found(found)
        .state(State::LogCorrupt)
        .effect("the lane takes nothing more; other lanes do")
        .fix("restore the log from a backup, or start the lane with a new snapshot")
}

/// An error of opening or reading files.
pub(crate) fn unreadable(error: &rusqlite::Error, what: &str) -> Error {
    let corrupt = matches!(
        error,
        rusqlite::Error::SqliteFailure(e, _)
            if matches!(e.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    let text = error.to_string();
    let error = match corrupt {
        true => Error::corrupt(what).state(State::LogCorrupt),
        false => Error::unavailable(what),
    };
    error.found(text)
}
