//! A second thread that copies WALs into their files, so that appends do not wait for it.
//!
//! It looks after the file that is written (passive checkpoints) and finishes files that are full. Invariant: a failed
//! sync of a file ends the log like a failed commit does; it is not tried again.

use crate::failure::is_full;
use crate::hot::{HotFile, checkpoint, open_for_recovery};
use crate::shared::Shared;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

enum Job {
    /// Copy what is there, beside the writer.
    Current(PathBuf),
    /// The file is full: copy everything and close it.
    Seal(u32, HotFile),
}

/// The thread's handle, held by the writer.
pub(crate) struct Checkpointer {
    jobs: Option<Sender<Job>>,
    busy: Arc<AtomicBool>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let busy = Arc::new(AtomicBool::new(false));
        let (flag, state) = (busy.clone(), shared.clone());
        let thread = std::thread::Builder::new()
            .name("log-checkpoint".into())
            .spawn(move || work(&queue, &flag, &state))?;
        Ok(Checkpointer { jobs: Some(jobs), busy, shared, thread: Some(thread) })
    }

    /// Whether a checkpoint of the current file is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Asks for a checkpoint of the current file.
    pub(crate) fn current(&self, path: PathBuf) {
        self.busy.store(true, Ordering::Release);
        self.send(Job::Current(path));
    }

    /// Hands over a file that is full.
    pub(crate) fn seal(&self, number: u32, file: HotFile) {
        self.shared.state().unfinished += 1;
        self.send(Job::Seal(number, file));
    }

    fn send(&self, job: Job) {
        // A thread that is gone has already ended the log.
        if let Some(jobs) = &self.jobs {
            jobs.send(job).ok();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn work(queue: &Receiver<Job>, busy: &AtomicBool, shared: &Shared) {
    while let Ok(job) = queue.recv() {
        let is_seal = matches!(job, Job::Seal(..));
        let outcome = match job {
            Job::Current(path) => open_for_recovery(&path)
                .and_then(|connection| checkpoint(&connection, "PASSIVE").map(|_| ())),
            Job::Seal(number, file) => seal(number, &file, shared),
        };
        busy.store(false, Ordering::Release);
        if let Err(error) = outcome
            && !is_harmless(&error)
        {
            shared.die(format!("a checkpoint failed: {error}"));
        }
        if is_seal {
            // Last: whoever hears of it finds the file closed, or the log dead.
            shared.state().unfinished -= 1;
            shared.rest.notify_all();
        }
    }
}

/// Gives a full file its index and empties its WAL. What cannot be done now changes nothing for readers: frames are
/// found by the places in memory, and read through the WAL.
fn seal(number: u32, file: &HotFile, shared: &Shared) -> rusqlite::Result<()> {
    match file.index() {
        Ok(()) => {
            if let Some(entry) = shared.state().catalog.files.get_mut(&number) {
                entry.places = None;
            }
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            return Err(error);
        }
        Err(_) => {}
    }
    file.checkpoint_all()?;
    file.set_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
}

/// Whether a checkpoint that failed has left everything as it was.
pub(crate) fn is_harmless(error: &rusqlite::Error) -> bool {
    let waits = |e: &rusqlite::ffi::Error| {
        matches!(
            e.code,
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                // The file was removed while it was being finished.
                | ErrorCode::ReadOnly
        )
    };
    is_full(error) || matches!(error, rusqlite::Error::SqliteFailure(e, _) if waits(e))
}
