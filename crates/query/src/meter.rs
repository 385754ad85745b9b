//! How long a statement has computed, and when that is too long.
//!
//! Counted is the time inside the statement's runtime but for the time its thread was parked: a slow source or a slow
//! target does not make a statement too long. It is looked at between two steps of the statement, whichever of its
//! tasks takes them; what never returns from one step cannot be stopped, since a thread cannot be taken from its work.

use connect::{Error, Result};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How often the time is looked at while tasks of the statement keep its thread busy.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Time parked, all in all, and since when if it is now.
#[derive(Default)]
struct Parked {
    all: Duration,
    since: Option<Instant>,
}

/// Counts one statement's time.
pub(crate) struct Meter {
    most: Duration,
    spent: Duration,
    parked: Arc<Mutex<Parked>>,
}

/// The beginning of one stretch in the runtime.
pub(crate) struct Lap {
    began: Instant,
    parked: Duration,
}

impl Meter {
    /// A meter that is over after so much time.
    pub(crate) fn new(most: Duration) -> Meter {
        Meter { most, spent: Duration::ZERO, parked: Arc::default() }
    }

    /// A runtime that turns on the thread that calls it and tells when it waits.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        let (sleeps, wakes) = (Arc::clone(&self.parked), Arc::clone(&self.parked));
        Builder::new_current_thread()
            .on_thread_park(move || {
                sleeps.lock().unwrap_or_else(PoisonError::into_inner).since = Some(Instant::now());
            })
            .on_thread_unpark(move || {
                let mut parked = wakes.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(since) = parked.since.take() {
                    parked.all += since.elapsed();
                }
            })
            .build()
            .map_err(|e| Error::unavailable("no runtime for a statement").caused_by(e))
    }

    /// Begins a stretch.
    pub(crate) fn lap(&self) -> Lap {
        Lap { began: Instant::now(), parked: self.parked() }
    }

    /// Ends a stretch.
    pub(crate) fn add(&mut self, lap: &Lap) {
        self.spent += self.since(lap);
    }

    /// Whether the statement has computed for too long, this stretch included.
    pub(crate) fn is_over(&self, lap: &Lap) -> bool {
        self.spent + self.since(lap) > self.most
    }

    /// The error of a statement that has.
    pub(crate) fn over(&self) -> Error {
        Error::invalid("the statement computes for too long")
            .found(format!("more than {:?}, without the time it waited for its inputs", self.most))
            .effect("nothing of its result is used")
            .fix("look for a join without a condition, or a series or recursion without an end")
            .code("E0521")
    }

    fn parked(&self) -> Duration {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    fn since(&self, lap: &Lap) -> Duration {
        lap.began.elapsed().saturating_sub(self.parked().saturating_sub(lap.parked))
    }
}

/// Wakes whoever looks at the time: tasks of a statement can work for hours and wake nobody.
pub(crate) struct Ticker {
    waker: Arc<Mutex<Option<Waker>>>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Ticker {
    /// Starts.
    pub(crate) fn start() -> Result<Ticker> {
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let (stop, stopped) = channel::<()>();
        let wakes = Arc::clone(&waker);
        let thread = std::thread::Builder::new()
            .name("sql-time".into())
            .spawn(move || {
                while stopped.recv_timeout(LOOK_EACH) == Err(RecvTimeoutError::Timeout) {
                    if let Some(waker) = wakes.lock().unwrap_or_else(PoisonError::into_inner).take()
                    {
                        waker.wake();
                    }
                }
            })
            .map_err(|e| Error::unavailable("no thread to look at the time").caused_by(e))?;
        Ok(Ticker { waker, thread: Some((stop, thread)) })
    }

    /// Says who is to be woken next.
    pub(crate) fn wakes(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // It only waits and wakes: there is nothing in it that could have failed.
            let _ = thread.join();
        }
    }
}
