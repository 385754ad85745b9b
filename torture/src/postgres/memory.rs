//! What the engine's process uses of memory, sampled over its lives.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SAMPLE_EACH: Duration = Duration::from_millis(250);

/// A sample: when, and how many bytes were resident.
type Sample = (Instant, u64);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    process: AtomicU32,
    samples: Mutex<Vec<Sample>>,
}

/// Watches one process after the other.
pub(crate) struct Memory {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Memory {
    /// Begins to watch; nothing, until it is told what.
    pub(crate) fn watch() -> Memory {
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        let thread = std::thread::spawn(move || {
            while !ours.stop.load(Ordering::SeqCst) {
                if let Some(bytes) = resident(ours.process.load(Ordering::SeqCst)) {
                    ours.samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((Instant::now(), bytes));
                }
                std::thread::sleep(SAMPLE_EACH);
            }
        });
        Memory { shared, thread: Some(thread) }
    }

    /// This process from now on.
    pub(crate) fn of(&self, process: u32) {
        self.shared.process.store(process, Ordering::SeqCst);
    }

    /// First, highest and last figure since a moment, in MB.
    pub(crate) fn since(&self, moment: Instant) -> Figures {
        let samples = self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<u64> =
            samples.iter().filter(|(at, _)| *at >= moment).map(|(_, bytes)| bytes >> 20).collect();
        Figures {
            first: all.first().copied().unwrap_or_default(),
            highest: all.iter().copied().max().unwrap_or_default(),
            last: all.last().copied().unwrap_or_default(),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It only counts.
            let _ = thread.join();
        }
    }
}

/// MB of resident memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) first: u64,
    pub(crate) highest: u64,
    pub(crate) last: u64,
}

/// Resident bytes of a process that lives.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_seen_and_that_of_nobody_is_not() {
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(resident(0), None);
    }
}
