//! What appenders, whoever commits and readers share: lanes, the queue, the cache, and who waits for what.
//!
//! Not here: I/O. Invariants: a lane's offsets are dense in queue order; `durable` moves only after a commit; a group
//! that has an offset leaves the queue by becoming durable, or with the whole log.

use crate::cache::Cache;
use crate::catalog::Catalog;
use crate::failure::{damaged_end, poisoned};
use crate::frame::Frame;
use change::{Group, LaneId, Offset, SourcePosition};
use connect::{Result, Tail};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Offset of the newest group taken.
    pub(crate) taken: Offset,
    pub(crate) durable: Offset,
    pub(crate) oldest: Offset,
    pub(crate) position: Option<SourcePosition>,
    pub(crate) commit_time: Option<i64>,
    /// What is wrong with the newest frame on disk.
    pub(crate) damage: Option<String>,
    /// Those who wait for this lane alone: a commit wakes nobody whose group it does not hold.
    pub(crate) moved: Arc<Condvar>,
    pub(crate) waiters: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            taken: Offset::START,
            durable: Offset::START,
            oldest: Offset::START.next(),
            position: None,
            commit_time: None,
            damage: None,
            moved: Arc::default(),
            waiters: 0,
        }
    }
}

impl Lane {
    pub(crate) fn tail(&self) -> Tail {
        Tail { oldest: self.oldest, durable: self.durable, position: self.position.clone() }
    }

    /// Whether the lane may be appended to and its tail be trusted.
    pub(crate) fn sound(&self, id: LaneId) -> Result<()> {
        match &self.damage {
            None => Ok(()),
            Some(found) => Err(damaged_end(id, self.durable, found)),
        }
    }
}

/// A group on its way to the disk.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) group: Arc<Group>,
    /// Memory of the group, as the cache counts it.
    pub(crate) memory: usize,
    /// Memory of group and frame, as the queue counts it.
    pub(crate) weight: usize,
}

/// How far space for writing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Space {
    #[default]
    Enough,
    Full,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) lanes: HashMap<LaneId, Lane>,
    /// Frames and their groups, in the order of append, for all lanes.
    pub(crate) frames: Vec<Frame>,
    pub(crate) groups: Vec<Queued>,
    /// Weight of everything that waits, what the writer has in its hands included.
    pub(crate) waiting: usize,
    pub(crate) space: Space,
    /// Why nothing is taken any more.
    pub(crate) dead: Option<String>,
    pub(crate) closing: bool,
    /// Whether the writer sleeps and must be woken once so many frames wait.
    pub(crate) idle: Option<usize>,
    /// Whether somebody commits: the writer, or a caller in its place.
    pub(crate) is_committing: bool,
    /// Whether something is left for the writer that is not in the queue: frames in the hand, or a file to look after.
    pub(crate) is_left_over: bool,
    /// Lanes woken by the last commit.
    pub(crate) woken: usize,
    /// Those who wait until nothing is under way.
    pub(crate) resting: usize,
    pub(crate) catalog: Catalog,
    pub(crate) cache: Cache,
    /// Grows with every commit that held a group.
    pub(crate) changes: u64,
    /// Lanes whose trim mark is not on disk yet.
    pub(crate) trimmed: HashMap<LaneId, Offset>,
    /// Trims asked for, and dealt with.
    pub(crate) trims: (u64, u64),
    /// Files that are full and being finished.
    pub(crate) unfinished: usize,
    #[cfg(test)]
    pub(crate) page_limit: Option<u32>,
}

impl State {
    pub(crate) fn new(catalog: Catalog, cache_bytes: usize) -> Self {
        State {
            lanes: HashMap::new(),
            frames: Vec::new(),
            groups: Vec::new(),
            waiting: 0,
            space: Space::Enough,
            dead: None,
            closing: false,
            idle: None,
            is_committing: false,
            is_left_over: false,
            woken: 0,
            resting: 0,
            catalog,
            cache: Cache::new(cache_bytes),
            changes: 0,
            trimmed: HashMap::new(),
            trims: (0, 0),
            unfinished: 0,
            #[cfg(test)]
            page_limit: None,
        }
    }

    /// Fails once a write has failed.
    pub(crate) fn alive(&self) -> Result<()> {
        self.dead.as_deref().map_or(Ok(()), |found| Err(poisoned(found)))
    }

    /// Whether nothing is being written: the writer sleeps, and nobody commits in its place.
    pub(crate) fn is_flushed(&self) -> bool {
        self.idle.is_some() && !self.is_committing && !self.has_work()
    }

    /// Whether nothing is under way: nothing is being written, and every full file is finished.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_flushed() && self.unfinished == 0
    }

    /// Whether the writer has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        let asked = self.trims.0 > self.trims.1 || self.closing;
        asked || self.is_left_over || !self.frames.is_empty()
    }

    /// Whether a caller may commit what waits: nobody else does, and there is nothing that is the writer's.
    pub(crate) fn is_callers_turn(&self) -> bool {
        let writers = self.trims.0 > self.trims.1 || self.closing || self.is_left_over;
        let sound = self.dead.is_none() && self.space == Space::Enough;
        sound && !self.is_committing && !writers && !self.frames.is_empty()
    }
}

/// The state and those who wait on it.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The writer waits for something to do.
    pub(crate) work: Condvar,
    /// Appenders wait for room, trims for their turn.
    pub(crate) room: Condvar,
    /// Consumers wait for anything newly durable.
    pub(crate) news: Condvar,
    /// Somebody waits until nothing is under way.
    pub(crate) rest: Condvar,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            news: Condvar::new(),
            rest: Condvar::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a turn. What is left is the writer's, which is woken for it.
    pub(crate) fn give_back(&self, is_left_over: bool) {
        let mut state = self.state();
        state.is_committing = false;
        state.is_left_over |= is_left_over;
        self.tell_of_rest(&state);
        if state.has_work() && state.idle.take().is_some() {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Tells those who wait for it that nothing is under way.
    pub(crate) fn tell_of_rest(&self, state: &State) {
        if state.resting > 0 && state.is_flushed() {
            self.rest.notify_all();
        }
    }

    /// Nothing is taken any more, and everybody who waits is told.
    pub(crate) fn die(&self, found: String) {
        let mut state = self.state();
        state.dead.get_or_insert(found);
        state.frames.clear();
        state.groups.clear();
        state.waiting = 0;
        state.lanes.values().for_each(|lane| lane.moved.notify_all());
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        self.news.notify_all();
        self.rest.notify_all();
    }
}

/// Waits on a condition, whatever became of other threads.
pub(crate) fn wait<'a>(
    condvar: &Condvar,
    guard: MutexGuard<'a, State>,
    while_true: impl FnMut(&mut State) -> bool,
) -> MutexGuard<'a, State> {
    condvar.wait_while(guard, while_true).unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a condition for a while.
pub(crate) fn wait_for<'a>(
    condvar: &Condvar,
    guard: MutexGuard<'a, State>,
    patience: Duration,
    while_true: impl FnMut(&mut State) -> bool,
) -> MutexGuard<'a, State> {
    match condvar.wait_timeout_while(guard, patience, while_true) {
        Ok((guard, _)) => guard,
        Err(poisoned) => poisoned.into_inner().0,
    }
}
