//! The one writer thread: whatever waits becomes one durable transaction, for all lanes together.
//!
//! Invariants: groups become durable in the order they were taken. A full disk keeps them in memory, in order, and is
//! tried again; nothing that got an offset is given up. Any other failure of a write ends the log.

use crate::checkpoint::{Checkpointer, is_harmless};
use crate::failure::{is_busy, is_full};
use crate::frame::Frame;
use crate::hot::HotFile;
use crate::pool::Pool;
use crate::rotate::Rotation;
use crate::shared::{Queued, Shared, Space, State, wait, wait_for};
use change::planted::{Defect, is_planted};
use change::{LaneId, Offset};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a full disk is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// A WAL of this size is copied into its file.
const WAL_BYTES: u64 = 16 << 20;

/// So many writers, woken together, are waited for.
const CROWD: usize = 16;

/// A commit that took longer than this says nothing about the next.
const MOST_TAKEN: Duration = Duration::from_millis(20);

/// Bytes that a frame takes beside its body, roughly.
const ROW_BYTES: usize = 128;

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) file: HotFile,
    pub(crate) rotation: Rotation,
    pub(crate) checkpointer: Checkpointer,
    /// What was taken off the queue and is not durable yet.
    pub(crate) frames: Vec<Frame>,
    pub(crate) groups: Vec<Queued>,
    pub(crate) wal_bytes: u64,
    pub(crate) copying: Copying,
    /// Lanes woken by the last commit, and how long it took.
    pub(crate) woken: usize,
    pub(crate) took: Duration,
}

/// What came of an attempt to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Durable,
    Full,
    /// Somebody from outside holds the file; nothing was written.
    Busy,
    Dead,
}

/// Ends the log when the writer ends in any other way than it should.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.die("the writer thread has ended".into());
    }
}

impl Writer {
    /// Works until the log is closed or dead.
    pub(crate) fn run(mut self) {
        let watch = Watch(self.shared.clone());
        let mut space = Space::Enough;
        loop {
            let asked = self.gather(space);
            let closing = asked.closing;
            if is_planted(Defect::RemoveBeforeSync) {
                self.let_go(asked.trims);
            }
            match self.write(space) {
                Outcome::Durable => space = Space::Enough,
                Outcome::Full | Outcome::Busy if closing => break,
                Outcome::Busy => continue,
                Outcome::Full => space = self.pause(),
                Outcome::Dead => break,
            }
            self.let_go(asked.trims);
            if space == Space::Enough {
                self.tend();
            }
            if closing && self.frames.is_empty() && space == Space::Enough {
                break;
            }
        }
        drop(watch);
    }

    /// Waits for something to do and takes it.
    fn gather(&mut self, space: Space) -> Asked {
        let shared = self.shared.clone();
        let mut state = shared.state();
        if self.frames.is_empty() || space == Space::Full {
            state.idle = Some(1);
            shared.rest.notify_all();
            let sleeps = |s: &mut State| match space {
                Space::Enough => !s.has_work() && s.dead.is_none(),
                Space::Full => s.trims.0 == s.trims.1 && !s.closing && s.dead.is_none(),
            };
            state = match space {
                Space::Enough => wait(&shared.work, state, sleeps),
                Space::Full => wait_for(&shared.work, state, RETRY, sleeps),
            };
            state = self.company(state);
            state.idle = None;
        }
        self.frames.append(&mut state.frames);
        self.groups.append(&mut state.groups);
        #[cfg(test)]
        if let Some(pages) = state.page_limit.take() {
            self.file.limit(pages).expect("a limit for tests");
        }
        Asked { trims: state.trims.0, closing: state.closing }
    }

    /// Waits a moment for those who were woken together: whoever comes first would otherwise have a sync alone, and
    /// all others the next one. A few writers are not waited for.
    fn company<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let wanted = self.woken - self.woken / 8;
        if self.woken < CROWD || state.frames.len() >= wanted {
            return state;
        }
        state.idle = Some(wanted);
        let alone = |s: &mut State| {
            s.frames.len() < wanted && s.trims.0 == s.trims.1 && !s.closing && s.dead.is_none()
        };
        let work = &self.shared.work;
        match work.wait_timeout_while(state, self.took.min(MOST_TAKEN) / 2, alone) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Writes what is in hand; a single frame where the disk was full a moment ago.
    fn write(&mut self, space: Space) -> Outcome {
        let count = match space {
            Space::Enough => self.frames.len(),
            Space::Full => self.frames.len().min(1),
        };
        let marks: Vec<(LaneId, Offset)> = {
            let state = self.shared.state();
            if state.dead.is_some() {
                return Outcome::Dead;
            }
            state.trimmed.iter().map(|(lane, offset)| (*lane, *offset)).collect()
        };
        if count == 0 && marks.is_empty() {
            return Outcome::Durable;
        }
        let started = self.rotation.clock.steady();
        let written = self.file.write(&self.frames[..count], &marks);
        self.took = self.rotation.clock.steady().saturating_sub(started);
        match written {
            Ok(first) => {
                self.settle(count, first, &marks);
                Outcome::Durable
            }
            Err(error) if is_full(&error) && self.file.is_settled() => Outcome::Full,
            Err(error) if is_busy(&error) && self.file.is_settled() => Outcome::Busy,
            Err(_) if is_planted(Defect::RetryFailedSync) && self.file.is_settled() => {
                Outcome::Busy
            }
            Err(error) => {
                self.shared.die(error.to_string());
                Outcome::Dead
            }
        }
    }

    /// Shows what is durable now, and wakes those who waited for it.
    fn settle(&mut self, count: usize, first: i64, marks: &[(LaneId, Offset)]) {
        let bytes: usize = self.frames.drain(..count).map(|f| f.body.len() + ROW_BYTES).sum();
        self.rotation.wrote(bytes as u64);
        self.wal_bytes += bytes as u64;
        let mut state = self.shared.state();
        state.space = Space::Enough;
        for (lane, offset) in marks {
            if state.trimmed.get(lane) == Some(offset) {
                state.trimmed.remove(lane);
            }
        }
        let mut wake = Vec::new();
        for (place, queued) in (first..).zip(self.groups.drain(..count)) {
            state.waiting = state.waiting.saturating_sub(queued.weight);
            show(&mut state, queued, place, &mut wake);
        }
        self.woken = wake.len();
        if count > 0 {
            state.changes += 1;
            drop(state);
            // Outside the lock, or those who wake would at once wait for it.
            wake.iter().for_each(|moved| moved.notify_all());
            self.shared.room.notify_all();
            self.shared.news.notify_all();
        }
    }

    /// The disk is full: appenders are told, and what may be let go is.
    fn pause(&mut self) -> Space {
        self.shared.state().space = Space::Full;
        self.shared.room.notify_all();
        // Room in the WAL is room too. What cannot be copied now stays where it is.
        match self.file.checkpoint() {
            Err(error) if !is_harmless(&error) => self.shared.die(error.to_string()),
            _ => {}
        }
        Space::Full
    }

    /// Removes files that nobody needs, and tells those who asked for it.
    fn let_go(&mut self, trims: u64) {
        let before = self.shared.state().trims.1;
        if trims > before {
            if self.rotation.is_spent(&self.shared) {
                // It is removed at once: to finish it would be work for nothing, beside its removal.
                drop(self.begin_file());
            }
            self.rotation.remove_spent(&self.shared, &self.pool);
            self.shared.state().trims.1 = trims;
            self.shared.room.notify_all();
        }
    }

    /// Begins a new file when this one is large, and keeps the WAL short.
    fn tend(&mut self) {
        if self.rotation.is_due()
            && let Some((number, full)) = self.begin_file()
        {
            self.checkpointer.seal(number, full);
        }
        if self.wal_bytes < WAL_BYTES || self.checkpointer.is_busy() {
            return;
        }
        match self.copying {
            // The bulk of it is copied beside us.
            Copying::NotYet => {
                self.checkpointer.current(self.rotation.path());
                self.copying = Copying::Bulk;
            }
            // What came meanwhile is little; once all is copied, the WAL begins anew.
            Copying::Bulk => {
                self.copying = Copying::NotYet;
                match self.file.checkpoint() {
                    Ok((log, copied)) if log == copied => self.wal_bytes = 0,
                    Err(error) if !is_harmless(&error) => self.shared.die(error.to_string()),
                    // A reader is in the way.
                    _ => self.wal_bytes = WAL_BYTES / 2,
                }
            }
        }
    }

    /// Goes on in a new file, where one can be made; returns the one before.
    fn begin_file(&mut self) -> Option<(u32, HotFile)> {
        let number = self.rotation.number;
        let next = self.rotation.begin(&self.shared)?;
        self.wal_bytes = 0;
        self.copying = Copying::NotYet;
        Some((number, std::mem::replace(&mut self.file, next)))
    }
}

/// How far the copying of a long WAL is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Copying {
    #[default]
    NotYet,
    /// The second thread was asked to.
    Bulk,
}

/// What the writer was asked for beside frames.
struct Asked {
    trims: u64,
    closing: bool,
}

fn show(state: &mut State, queued: Queued, place: i64, wake: &mut Vec<Arc<Condvar>>) {
    let Queued { group, memory, .. } = queued;
    let lane = state.lanes.get_mut(&group.lane).expect("a group was taken into its lane");
    assert_eq!(lane.durable.next(), group.offset, "groups become durable in order");
    lane.durable = group.offset;
    lane.position = Some(group.body.upto.clone());
    lane.commit_time = Some(group.body.commit_time);
    if lane.waiters > 0 && wake.last().is_none_or(|last| !Arc::ptr_eq(last, &lane.moved)) {
        wake.push(lane.moved.clone());
    }
    state.catalog.note(group.lane, group.offset, group.body.commit_time, place);
    state.cache.push(group, memory);
}

/// Joins a thread; its panic has already ended the log.
pub(crate) fn join(thread: &std::sync::Mutex<Option<std::thread::JoinHandle<()>>>) {
    let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(thread) = thread {
        thread.join().ok();
    }
}
