//! The lock of a state directory: one engine at a time, and its name for whoever comes second.
//!
//! The operating system holds the lock for the process, so that a dead engine's lock is free. What is written in the
//! file is for people; it decides nothing.

use change::planted::{Defect, is_planted};
use connect::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;

const NAME: &str = "lock";

/// Who holds a state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// Since when, as text for people: `2026-11-24T21:45:00Z`.
    pub since: String,
    /// What runs there: `seamount run`.
    pub command: String,
}

/// A held lock. Dropping it, or the end of the process, frees it.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock of a directory and writes the holder into it. Does not wait.
    ///
    /// # Errors
    /// `Unavailable` when somebody else holds it (named, with since when), or when the file cannot be written.
    pub fn acquire(dir: &Path, holder: &LockHolder) -> Result<StateLock> {
        let failed = |e: std::io::Error| {
            Error::unavailable("the lock of the state directory cannot be written")
                .at(dir.display())
                .found(e.to_string())
        };
        let path = dir.join(NAME);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            _ if is_planted(Defect::LockFileWithoutLock) => {}
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(dir)),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let text = serde_json::to_vec(holder).expect("a holder is plain data");
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(StateLock { file })
    }

    /// Who holds a directory now; `None` where nobody does.
    pub fn holder(dir: &Path) -> Option<LockHolder> {
        let file = File::open(dir.join(NAME)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            _ => return None,
        }
        written(dir)
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // The name goes with the lock; when it cannot be cleared, the lock is free all the same.
        self.file.set_len(0).ok();
        self.file.unlock().ok();
    }
}

fn written(dir: &Path) -> Option<LockHolder> {
    serde_json::from_slice(&fs::read(dir.join(NAME)).ok()?).ok()
}

fn held(dir: &Path) -> Error {
    let error =
        Error::unavailable("the state directory is in use by another engine").at(dir.display());
    let error = match written(dir) {
        Some(LockHolder { pid, host, since, command }) => {
            error.found(format!("process {pid} on {host} holds it since {since}: {command}"))
        }
        None => error.found("its holder has not written its name yet"),
    };
    error
        .effect(
            "nothing was started; two engines on one state directory would overwrite each other",
        )
        .fix("stop the other engine, or use another state directory")
        .code("E0518")
}
