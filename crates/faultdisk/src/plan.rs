//! What will go wrong, and when: counted in steps and calls, so that a seed reproduces it.
//!
//! Not here: what going wrong does to the files. Invariant: a stopped machine changes nothing more.

/// A kind of call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// A file is created.
    Create,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file's length is set.
    Truncate,
    /// A file is synced.
    Sync,
    /// A folder is synced.
    SyncFolder,
    /// A name is removed.
    Remove,
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It fails, and its error is the first anybody hears of it.
    Fails,
    /// The machine does not run any more.
    Stopped,
}

/// What is planned for a disk.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: u64,
    hash: u64,
    trace: Vec<String>,
    stop_before: Option<u64>,
    stopped: bool,
    full: bool,
    /// Failures to come: the kind, part of the file's name, and how many such calls go well before.
    failures: Vec<(Call, String, u64)>,
    happened: u64,
    failed_at: Option<String>,
}

/// Steps kept for a violation's trace.
const TRACE: usize = 80;

impl Plan {
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.clone()
    }

    /// Failures that have happened.
    pub(crate) fn happened(&self) -> u64 {
        self.happened
    }

    pub(crate) fn failed_at(&self) -> Option<String> {
        self.failed_at.clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn stop_before(&mut self, step: u64) {
        self.stop_before = Some(step);
    }

    pub(crate) fn fail(&mut self, call: Call, named: &str, after: u64) {
        self.failures.push((call, named.to_string(), after));
    }

    /// The machine runs again; nothing is planned.
    pub(crate) fn restart(&mut self) {
        self.stopped = false;
        self.stop_before = None;
        self.full = false;
        self.failures.clear();
    }

    /// Counts a call and says what it meets. Reads are no steps: a machine that stops between two of them is the same
    /// as one that stops before the next step.
    pub(crate) fn meet(&mut self, call: Call, name: &str, place: (usize, usize)) -> Fate {
        if self.stopped {
            return Fate::Stopped;
        }
        if call != Call::Read {
            if self.stop_before.is_some_and(|step| self.steps + 1 >= step) {
                self.stopped = true;
                return Fate::Stopped;
            }
            self.steps += 1;
            self.note(format!("{} {call:?} {name} {}+{}", self.steps, place.0, place.1));
        }
        let due = self.failures.iter_mut().position(|(kind, named, after)| {
            let meant = *kind == call && name.contains(named.as_str());
            let due = meant && *after == 0;
            *after -= u64::from(meant && !due);
            due
        });
        match due {
            Some(place) => {
                self.failures.swap_remove(place);
                self.happened += 1;
                self.failed_at = Some(name.to_string());
                self.note(format!("{} {call:?} {name} failed on purpose", self.steps));
                Fate::Fails
            }
            None => Fate::Done,
        }
    }

    fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.trace.len() == TRACE {
            self.trace.remove(0);
        }
        self.trace.push(line);
    }
}
