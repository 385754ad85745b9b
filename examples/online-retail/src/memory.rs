//! How much memory a process has used at most, as the kernel says: watched until the process is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK_EACH: Duration = Duration::from_millis(50);

/// Watches one process.
pub(crate) struct Watched {
    stop: Arc<AtomicBool>,
    most_kb: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watched {
    /// Begins to watch.
    pub(crate) fn process(pid: u32) -> Watched {
        let (stop, most_kb) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked, most) = (stop.clone(), most_kb.clone());
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                most.fetch_max(peak_kb(pid).unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(LOOK_EACH);
            }
        });
        Watched { stop, most_kb, thread }
    }

    /// Ends watching; the most that was in use, in MB (10^6 bytes). `None` where the system does not say.
    pub(crate) fn most_mb(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        // A watcher that panicked has seen what it has seen.
        let _ = self.thread.join();
        let most_kb = self.most_kb.load(Ordering::Relaxed);
        (most_kb > 0).then_some(most_kb * 1024 / 1_000_000)
    }
}

/// The peak of a process's resident memory so far.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_uses_some_memory() {
        assert!(peak_kb(std::process::id()).is_some_and(|kb| kb > 100));
        assert_eq!(peak_kb(u32::MAX), None);
    }
}
