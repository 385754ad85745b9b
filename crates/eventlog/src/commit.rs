//! One commit: whatever waits becomes one durable transaction, for all lanes together.
//!
//! Not here: who commits, and when (`writer`). Invariants: groups become durable in the order they were taken. A full disk
//! keeps them in memory, in order, and is tried again; nothing that got an offset is given up. Any other failure of a
//! write ends the log.

use crate::checkpoint::{Checkpointer, is_harmless};
use crate::failure::{is_busy, is_full};
use crate::frame::Frame;
use crate::hot::HotFile;
use crate::pool::Pool;
use crate::rotate::Rotation;
use crate::shared::{Queued, Shared, Space, State};
use change::planted::{Defect, is_planted};
use change::{LaneId, Offset};
use std::sync::{Arc, Condvar};
use std::time::Duration;

/// A WAL of this size is copied into its file.
const WAL_BYTES: u64 = 16 << 20;

/// Bytes that a frame takes beside its body, roughly.
const ROW_BYTES: usize = 128;

/// The newest file and what is on its way into it. Whoever holds it commits.
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    /// Goes before the connections of readers: of two that close a file at once, neither would remove its WAL.
    pub(crate) checkpointer: Checkpointer,
    pub(crate) pool: Arc<Pool>,
    pub(crate) file: HotFile,
    pub(crate) rotation: Rotation,
    /// What was taken off the queue and is not durable yet.
    pub(crate) frames: Vec<Frame>,
    pub(crate) groups: Vec<Queued>,
    pub(crate) wal_bytes: u64,
    pub(crate) copying: Copying,
    pub(crate) space: Space,
    /// How long the last commit took.
    pub(crate) took: Duration,
}

/// What came of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Durable,
    Full,
    /// Somebody from outside holds the file; nothing was written.
    Busy,
    Dead,
}

/// What was asked for beside frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) trims: u64,
    pub(crate) closing: bool,
}

/// Those who wait for what is durable now and do not know it yet.
#[must_use = "they sleep until they are told"]
#[derive(Debug, Default)]
pub(crate) struct News {
    lanes: Vec<Arc<Condvar>>,
    groups: usize,
}

impl News {
    /// Tells them. Outside the lock, or those who wake would at once wait for it.
    pub(crate) fn tell(&self, shared: &Shared) {
        if self.groups > 0 {
            self.lanes.iter().for_each(|moved| moved.notify_all());
            shared.room.notify_all();
            shared.news.notify_all();
        }
    }
}

impl Committer {
    /// Takes what waits into the hand.
    pub(crate) fn take(&mut self) -> Asked {
        let mut state = self.shared.state();
        self.frames.append(&mut state.frames);
        self.groups.append(&mut state.groups);
        state.is_left_over = false;
        #[cfg(test)]
        if let Some(pages) = state.page_limit.take() {
            self.file.limit(pages).expect("a limit for tests");
        }
        Asked { trims: state.trims.0, closing: state.closing }
    }

    /// Writes what is in hand; a single frame where the disk was full a moment ago. Whoever calls it tells the news.
    pub(crate) fn write(&mut self) -> (Outcome, News) {
        let (count, marks) = {
            let state = self.shared.state();
            if state.dead.is_some() {
                return (Outcome::Dead, News::default());
            }
            let marks: Vec<_> = state.trimmed.iter().map(|(lane, upto)| (*lane, *upto)).collect();
            match self.space {
                Space::Enough => (self.frames.len(), marks),
                Space::Full => (self.frames.len().min(1), marks),
            }
        };
        if count == 0 && marks.is_empty() {
            self.space = Space::Enough;
            return (Outcome::Durable, News::default());
        }
        let started = self.rotation.clock.steady();
        let written = self.file.write(&self.frames[..count], &marks);
        self.took = self.rotation.clock.steady().saturating_sub(started);
        let outcome = match written {
            Ok(first) => {
                self.space = Space::Enough;
                return (Outcome::Durable, self.settle(count, first, &marks));
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
        };
        (outcome, News::default())
    }

    /// Shows what is durable now; returns those who wait for it.
    fn settle(&mut self, count: usize, first: i64, marks: &[(LaneId, Offset)]) -> News {
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
        let mut lanes = Vec::new();
        for (place, queued) in (first..).zip(self.groups.drain(..count)) {
            state.waiting = state.waiting.saturating_sub(queued.weight);
            show(&mut state, queued, place, &mut lanes);
        }
        state.woken = lanes.len();
        if count > 0 {
            state.changes += 1;
        }
        News { lanes, groups: count }
    }

    /// The disk is full: appenders are told, and what may be let go is.
    pub(crate) fn pause(&mut self) {
        self.space = Space::Full;
        self.shared.state().space = Space::Full;
        self.shared.room.notify_all();
        // Room in the WAL is room too. What cannot be copied now stays where it is.
        match self.file.checkpoint() {
            Err(error) if !is_harmless(&error) => self.shared.die(error.to_string()),
            _ => {}
        }
    }

    /// Removes files that nobody needs, and tells those who asked for it.
    pub(crate) fn let_go(&mut self, trims: u64) {
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

    /// Whether there is something to tend to.
    pub(crate) fn is_untidy(&self) -> bool {
        self.rotation.is_due() || (self.wal_bytes >= WAL_BYTES && !self.checkpointer.is_busy())
    }

    /// Begins a new file when this one is large, and keeps the WAL short.
    pub(crate) fn tend(&mut self) {
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
