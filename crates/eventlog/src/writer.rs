//! Whose turn it is to commit: a caller's that waits for its own group, or the writer thread's.
//!
//! A caller that finds nobody at work commits itself, together with all that waits: to hand the frame to a thread and
//! to be woken by it would take a third as long as the sync does. The writer thread has the rest: groups that nobody
//! waits for, crowds, trims, new files, a full disk, the end. Not here: what a commit is (`commit`). Invariants: one
//! commits at a time; whoever was at work leaves what is left over to the writer thread, which is awake then or woken.

use crate::commit::{Asked, Committer, Outcome};
use crate::shared::{Shared, Space, State, wait_for};
use change::planted::{Defect, is_planted};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a full disk is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// So many writers, woken together, are waited for.
const CROWD: usize = 16;

/// A commit that took longer than this says nothing about the next.
const MOST_TAKEN: Duration = Duration::from_millis(20);

/// Who is less patient does not commit itself: a disk that stalls would hold it for longer than it asked for.
const PATIENT: Duration = Duration::from_millis(100);

/// The committer, for whoever has the turn; nothing once the thread has ended.
type Desk = Arc<Mutex<Option<Committer>>>;

/// The writer thread and the desk it shares with callers.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    desk: Desk,
    thread: Option<JoinHandle<()>>,
}

/// Ends the log when the thread ends in any other way than it should.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.die("the writer thread has ended".into());
    }
}

/// Ends the log when a caller's commit does not come to its end.
struct Halfway<'a>(&'a Shared);

impl Drop for Halfway<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.die("a commit has ended half-way".into());
        }
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, committer: Committer) -> std::io::Result<Self> {
        let desk: Desk = Arc::new(Mutex::new(Some(committer)));
        let (state, place) = (shared.clone(), desk.clone());
        let work = move || run(&state, &place);
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(work)?;
        Ok(Writer { shared, desk, thread: Some(thread) })
    }

    /// Commits what waits on the caller's thread, where nobody else does and the caller is patient enough.
    pub(crate) fn commit_here<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        if patience < PATIENT || state.woken >= CROWD || !state.is_callers_turn() {
            return state;
        }
        state.is_committing = true;
        drop(state);
        let halfway = Halfway(&self.shared);
        let mut desk = open(&self.desk);
        // It is gone only from a log that died a moment ago.
        let news = desk.as_mut().map(|committer| {
            committer.take();
            let (outcome, news) = committer.write();
            if outcome == Outcome::Full {
                committer.pause();
            }
            (outcome != Outcome::Durable || committer.is_untidy(), news)
        });
        drop(desk);
        if let Some((left_over, news)) = news {
            self.shared.give_back(left_over);
            news.tell(&self.shared);
        }
        drop(halfway);
        self.shared.state()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // Its panic has already ended the log.
            thread.join().ok();
        }
    }
}

fn open(desk: &Desk) -> MutexGuard<'_, Option<Committer>> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: works until the log is closed or dead, and closes the file.
fn run(shared: &Arc<Shared>, desk: &Desk) {
    let watch = Watch(shared.clone());
    let mut took = Duration::ZERO;
    loop {
        wait_for_turn(shared, took);
        let mut held = open(desk);
        let committer = held.as_mut().expect("this thread alone takes it away");
        let Some(outcome) = round(committer, shared) else { break };
        took = committer.took;
        drop(held);
        shared.give_back(outcome != Outcome::Durable);
    }
    drop(watch);
    drop(open(desk).take());
}

/// Waits for something to do, and for nobody else to do it.
fn wait_for_turn(shared: &Shared, took: Duration) {
    let mut state = shared.state();
    while state.dead.is_none() {
        if !state.is_committing && state.space == Space::Full {
            state.idle = Some(1);
            let sleeps = |s: &mut State| s.trims.0 == s.trims.1 && !s.closing && s.dead.is_none();
            state = wait_for(&shared.work, state, RETRY, sleeps);
            break;
        }
        if !state.is_committing && state.has_work() {
            if !state.is_left_over {
                state = company(shared, state, took);
            }
            break;
        }
        state.idle = Some(1);
        shared.tell_of_rest(&state);
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.idle = None;
    state.is_committing = true;
}

/// Waits a moment for those who were woken together: whoever comes first would otherwise have a sync alone, and
/// all others the next one. A few writers are not waited for.
fn company<'a>(
    shared: &'a Shared,
    mut state: MutexGuard<'a, State>,
    took: Duration,
) -> MutexGuard<'a, State> {
    let wanted = state.woken - state.woken / 8;
    if state.woken < CROWD || state.frames.len() >= wanted {
        return state;
    }
    state.idle = Some(wanted);
    let alone = |s: &mut State| {
        s.frames.len() < wanted && s.trims.0 == s.trims.1 && !s.closing && s.dead.is_none()
    };
    wait_for(&shared.work, state, took.min(MOST_TAKEN) / 2, alone)
}

/// One turn of the thread. `None` at the end.
fn round(committer: &mut Committer, shared: &Shared) -> Option<Outcome> {
    let Asked { trims, closing } = committer.take();
    if is_planted(Defect::RemoveBeforeSync) {
        committer.let_go(trims);
    }
    let (outcome, news) = committer.write();
    news.tell(shared);
    match outcome {
        Outcome::Dead => return None,
        Outcome::Full | Outcome::Busy if closing => return None,
        Outcome::Busy => return Some(outcome),
        Outcome::Full => committer.pause(),
        Outcome::Durable => {}
    }
    committer.let_go(trims);
    if outcome == Outcome::Durable {
        committer.tend();
    }
    let done = closing && committer.frames.is_empty() && outcome == Outcome::Durable;
    (!done).then_some(outcome)
}
