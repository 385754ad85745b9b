//! Calls that wait on purpose: syncs of everybody, or every step of one thread.
//!
//! Invariant: nobody is held once the machine has stopped, so that whoever waits for a held call hears of it.

use crate::disk::{Disk, Drive, State};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Who is held, and how many syncs wait for it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    syncs: usize,
    threads: Vec<&'static str>,
    waiting: usize,
}

/// Calls wait while this lives.
#[derive(Debug)]
pub struct Held {
    drive: Arc<Drive>,
    /// Whose steps wait; without a name, the syncs of all.
    thread: Option<&'static str>,
}

impl Disk {
    /// Syncs of files wait until what is returned is dropped, or the machine stops.
    pub fn hold_syncs(&self) -> Held {
        self.drive.state().holds.syncs += 1;
        Held { drive: self.drive.clone(), thread: None }
    }

    /// Every step of the threads of this name waits until what is returned is dropped, or the machine stops: of two
    /// threads that would be at the disk at once, this one comes second.
    pub fn hold_thread(&self, name: &'static str) -> Held {
        self.drive.state().holds.threads.push(name);
        Held { drive: self.drive.clone(), thread: Some(name) }
    }

    /// Waits until a sync is being held, or the machine has stopped.
    pub fn wait_for_held_sync(&self) {
        let state = self.drive.state();
        let waits = |s: &mut State| s.holds.waiting == 0 && !s.plan.is_stopped();
        drop(self.drive.released.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let holds = &mut self.drive.state().holds;
        match self.thread {
            None => holds.syncs -= 1,
            Some(name) => {
                let place = holds.threads.iter().position(|held| *held == name);
                holds.threads.remove(place.expect("it was held by this"));
            }
        }
        self.drive.released.notify_all();
    }
}

impl Drive {
    /// The state, for a step of this thread: once the thread is not held.
    pub(crate) fn turn(&self) -> MutexGuard<'_, State> {
        let thread = std::thread::current();
        let waits = |s: &mut State| {
            s.holds.threads.iter().any(|held| Some(*held) == thread.name()) && !s.plan.is_stopped()
        };
        self.released.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for a sync of this thread: once neither the thread nor syncs are held.
    pub(crate) fn turn_to_sync(&self) -> MutexGuard<'_, State> {
        let mut state = self.turn();
        if state.holds.syncs > 0 {
            state.holds.waiting += 1;
            self.released.notify_all();
            let waits = |s: &mut State| s.holds.syncs > 0 && !s.plan.is_stopped();
            state = self.released.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
            state.holds.waiting -= 1;
        }
        state
    }
}
