//! A folder that is a failing disk: what every call does to it, and the power cut.
//!
//! Not here: how SQLite's calls come in (`vfs`). Invariant: after [`Disk::power_cut`] the folder holds what was durable,
//! and of the rest anything that a disk could have kept.

use crate::hold::Holds;
use crate::image::Image;
use crate::names::{FileNumber, Names, is_shared_memory, present};
use crate::plan::{Call, Fate, Plan};
use crate::{Bits, below, posix, registry, vfs};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A folder that fails on purpose; detached when it is dropped.
#[derive(Debug)]
pub struct Disk {
    pub(crate) drive: Arc<Drive>,
}

/// What all handles of a disk share.
#[derive(Debug)]
pub(crate) struct Drive {
    root: PathBuf,
    state: Mutex<State>,
    pub(crate) released: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    files: Vec<Image>,
    names: Names,
    pub(crate) plan: Plan,
    /// Chance of the disk itself: what the kernel writes back early, what a failed sync leaves.
    chance: u64,
    handles: usize,
    pub(crate) holds: Holds,
}

/// How a call ended that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Io,
    Full,
}

impl Disk {
    /// Makes a folder a disk. What is in it is durable. `seed` decides what the kernel writes back early.
    ///
    /// # Panics
    /// The folder is not there, or SQLite refuses our file layer.
    pub fn attach(folder: &Path, seed: u64) -> Disk {
        vfs::install();
        posix::link();
        let root = folder.canonicalize().expect("a disk needs a folder that is there");
        let mut names = Names::default();
        names.settle(&root);
        let state = State {
            files: Vec::new(),
            names,
            plan: Plan::default(),
            chance: seed,
            handles: 0,
            holds: Holds::default(),
        };
        let drive = Arc::new(Drive { root, state: Mutex::new(state), released: Condvar::new() });
        registry::add(drive.clone());
        Disk { drive }
    }

    /// The folder, as SQLite names it: without symbolic links.
    pub fn folder(&self) -> &Path {
        &self.drive.root
    }

    /// Steps taken so far: creations, writes, truncations, syncs, removals.
    pub fn steps(&self) -> u64 {
        self.drive.state().plan.steps()
    }

    /// A digest of all steps, in order: the same for the same work.
    pub fn trace_hash(&self) -> u64 {
        self.drive.state().plan.hash()
    }

    /// The last steps, for people.
    pub fn trace(&self) -> Vec<String> {
        self.drive.state().plan.trace()
    }

    /// Failures that were planned and have happened.
    pub fn failures(&self) -> u64 {
        self.drive.state().plan.happened()
    }

    /// The file whose call failed last on purpose.
    pub fn failed_at(&self) -> Option<String> {
        self.drive.state().plan.failed_at()
    }

    /// Stops the machine before a step, counted from 1 and from the time of attaching. From then on every call fails and
    /// changes nothing.
    pub fn stop_before(&self, step: u64) {
        self.drive.state().plan.stop_before(step);
    }

    /// Stops the machine now.
    pub fn stop(&self) {
        self.drive.state().plan.stop();
        self.drive.released.notify_all();
    }

    /// Whether the machine has stopped.
    pub fn is_stopped(&self) -> bool {
        self.drive.state().plan.is_stopped()
    }

    /// Lets a call fail with an I/O error, once: the one that comes behind `after` others of its kind on files whose name
    /// holds `named`. A sync that fails has lost a part of what it should have written, for good.
    pub fn fail(&self, call: Call, named: &str, after: u64) {
        self.drive.state().plan.fail(call, named, after);
    }

    /// No file grows from now on.
    pub fn fill(&self) {
        self.drive.state().plan.set_full(true);
    }

    /// There is space again.
    pub fn make_room(&self) {
        self.drive.state().plan.set_full(false);
    }

    /// Files that SQLite holds open.
    pub fn open_files(&self) -> usize {
        self.drive.state().handles
    }

    /// Cuts the power and brings it back: the folder holds what a disk would. Plans are forgotten.
    ///
    /// # Panics
    /// A file is still open: the machine must be stopped and its connections closed first.
    pub fn power_cut(&self, bits: Bits<'_>) {
        let mut state = self.drive.state();
        assert_eq!(state.handles, 0, "connections are closed before the power is cut");
        state.plan.restart();
        self.drive.cut(&mut state, bits);
    }

    /// The machine dies and the disk does not (`kill -9`): what was written is there. Plans are forgotten.
    pub fn restart(&self) {
        self.drive.state().plan.restart();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        registry::remove(&self.drive);
    }
}

/// SplitMix64, as in the simulator.
fn next(chance: &mut u64) -> u64 {
    *chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *chance;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Drive {
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().plan.is_stopped()
    }

    fn meet(&self, state: &mut State, call: Call, name: &str, place: (usize, usize)) -> Fate {
        let fate = state.plan.meet(call, name, place);
        if fate == Fate::Stopped {
            // Whoever waits for a sync waits for nothing.
            self.released.notify_all();
        }
        fate
    }

    /// Before a file is opened by the platform: whether it may be, and whether that creates it.
    pub(crate) fn opening(&self, name: &Path, may_create: bool) -> Result<bool, Trouble> {
        let mut state = self.turn();
        let created = !self.root.join(name).exists();
        let fate = match created && may_create {
            true => self.meet(&mut state, Call::Create, &text(name), (0, 0)),
            false => self.meet(&mut state, Call::Read, &text(name), (0, 0)),
        };
        if fate == Fate::Done { Ok(created) } else { Err(Trouble::Io) }
    }

    /// After a file was opened.
    pub(crate) fn opened(&self, name: &Path, created: bool) -> FileNumber {
        let mut state = self.state();
        state.handles += 1;
        match state.names.now.get(name).copied().filter(|_| !created) {
            Some(number) => number,
            None => {
                let content = fs::read(self.root.join(name)).unwrap_or_default();
                let number = state.files.len();
                state.files.push(Image::durable(content));
                state.names.opened(name, number, created);
                number
            }
        }
    }

    pub(crate) fn closed(&self) {
        self.state().handles -= 1;
    }

    pub(crate) fn may_read(&self, name: &Path) -> Result<(), Trouble> {
        match self.meet(&mut self.state(), Call::Read, &text(name), (0, 0)) {
            Fate::Done => Ok(()),
            _ => Err(Trouble::Io),
        }
    }

    /// Writes by `really`, which says whether the platform has done it.
    pub(crate) fn write(
        &self,
        (name, number): (&Path, FileNumber),
        offset: usize,
        data: &[u8],
        really: impl FnOnce() -> bool,
    ) -> Result<(), Trouble> {
        let mut state = self.turn();
        let grows = offset + data.len() > state.files[number].len();
        match self.meet(&mut state, Call::Write, &text(name), (offset, data.len())) {
            Fate::Done if grows && state.plan.is_full() => return Err(Trouble::Full),
            Fate::Done => {}
            Fate::Fails | Fate::Stopped => return Err(Trouble::Io),
        }
        if !really() {
            return Err(Trouble::Io);
        }
        state.files[number].write(offset, data);
        if next(&mut state.chance).is_multiple_of(16) {
            state.files[number].write_back();
        }
        Ok(())
    }

    pub(crate) fn truncate(
        &self,
        (name, number): (&Path, FileNumber),
        length: usize,
        really: impl FnOnce() -> bool,
    ) -> Result<(), Trouble> {
        let mut state = self.turn();
        let fate = self.meet(&mut state, Call::Truncate, &text(name), (length, 0));
        if fate != Fate::Done || !really() {
            return Err(Trouble::Io);
        }
        state.files[number].truncate(length);
        Ok(())
    }

    pub(crate) fn sync(&self, (name, number): (&Path, FileNumber)) -> Result<(), Trouble> {
        let mut state = self.turn_to_sync();
        match self.meet(&mut state, Call::Sync, &text(name), (0, 0)) {
            Fate::Done => {
                state.files[number].sync();
                Ok(())
            }
            Fate::Fails => {
                let State { files, chance, .. } = &mut *state;
                files[number].fail_sync(&mut || next(chance));
                Err(Trouble::Io)
            }
            Fate::Stopped => Err(Trouble::Io),
        }
    }

    /// Syncs the folder that a name stands in.
    pub(crate) fn sync_folder_of(&self, name: &Path) -> Result<(), Trouble> {
        self.sync_folder(name.parent().unwrap_or(Path::new("")))
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Trouble> {
        let mut state = self.turn();
        match self.meet(&mut state, Call::SyncFolder, &text(folder), (0, 0)) {
            Fate::Done => {
                state.names.synced(&self.root, folder);
                Ok(())
            }
            _ => Err(Trouble::Io),
        }
    }

    /// A sync through the C library: of a folder, or of a file, which may be one of SQLite's.
    pub(crate) fn synced_outside(&self, name: &Path) -> bool {
        if self.root.join(name).is_dir() {
            return self.sync_folder(name).is_ok();
        }
        let number = self.state().names.now.get(name).copied();
        match number {
            Some(number) => self.sync((name, number)).is_ok(),
            None => !self.is_stopped(),
        }
    }

    /// Removes a name by `really`, and returns its answer; `None` where the call failed before.
    pub(crate) fn remove(&self, name: &Path, really: impl FnOnce() -> i32) -> Option<i32> {
        if is_shared_memory(name) {
            return Some(really());
        }
        let mut state = self.turn();
        if !self.root.join(name).exists() {
            return if state.plan.is_stopped() { None } else { Some(really()) };
        }
        match self.meet(&mut state, Call::Remove, &text(name), (0, 0)) {
            Fate::Done => {
                let answer = really();
                if answer == 0 {
                    state.names.now.remove(name);
                }
                Some(answer)
            }
            _ => None,
        }
    }

    fn cut(&self, state: &mut State, bits: Bits<'_>) {
        let keep_names = below(bits, 3);
        let kept = |bits: Bits<'_>| match keep_names {
            0 => true,
            1 => false,
            _ => below(bits, 2) == 0,
        };
        for name in present(&self.root) {
            let path = self.root.join(&name);
            if !path.exists() {
                continue;
            }
            let now = state.names.now.get(&name).copied();
            let durable = state.names.durable.get(&name).copied();
            let same = durable.is_some_and(|known| known == now || now.is_none());
            if !same && !kept(bits) {
                state.names.now.remove(&name);
                if path.is_dir() {
                    fs::remove_dir_all(&path).expect("a folder of ours");
                    state.names.now.retain(|inside, _| !inside.starts_with(&name));
                } else {
                    posix::unlink_past(&path).expect("a file of ours");
                }
            }
        }
        let durable = state.names.durable.clone();
        for (name, number) in durable {
            let path = self.root.join(&name);
            let Some(number) = number else { continue };
            if !path.exists() && path.parent().is_some_and(Path::exists) && !kept(bits) {
                state.names.now.insert(name, number);
            }
        }
        let now = state.names.now.clone();
        for (name, number) in now {
            let content = state.files[number].cut(bits);
            fs::write(self.root.join(&name), &content).expect("a file of ours");
            state.files[number] = Image::durable(content);
        }
        self.remove_shared_memory(Path::new(""));
        state.names.settle(&self.root);
    }

    fn remove_shared_memory(&self, folder: &Path) {
        for entry in fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten() {
            let name = folder.join(entry.file_name());
            match entry.path().is_dir() {
                true => self.remove_shared_memory(&name),
                false if is_shared_memory(&name) => {
                    fs::remove_file(entry.path()).expect("shared memory of ours");
                }
                false => {}
            }
        }
    }
}

fn text(name: &Path) -> String {
    name.display().to_string()
}
