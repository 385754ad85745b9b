//! The reader at the target: while everything fails, it must never see half of a transaction, and nothing may go back.

use super::bank_sql as sql;
use anyhow::{Result, anyhow, bail};
use postgres::{Client, NoTls};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK_EACH: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    looks: AtomicU64,
    seen: [AtomicI64; sql::TELLERS as usize],
}

/// The reader.
pub(crate) struct Witness {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Witness {
    /// Starts looking; the first rows must be there.
    pub(crate) fn start(url: &str) -> Witness {
        let shared = Arc::new(Shared::default());
        let (url, ours) = (url.to_string(), shared.clone());
        let thread = std::thread::spawn(move || {
            let mut newest = vec![0; sql::TELLERS as usize];
            while !ours.stop.load(Ordering::SeqCst) {
                // A target that is down shows nothing.
                if let Ok(mut client) = Client::connect(&url, NoTls) {
                    look(&mut client, &mut newest, &ours)?;
                }
                std::thread::sleep(LOOK_EACH);
            }
            Ok(())
        });
        Witness { shared, thread: Some(thread) }
    }

    /// The newest number of each teller at the target.
    pub(crate) fn seen(&self) -> Vec<i64> {
        self.shared.seen.iter().map(|n| n.load(Ordering::SeqCst)).collect()
    }

    /// Whether the target shows at least this of every teller.
    pub(crate) fn has_seen(&self, numbers: &[i64]) -> bool {
        self.seen().iter().zip(numbers).all(|(seen, number)| seen >= number)
    }

    /// Fails as soon as it has seen something that must not be.
    ///
    /// # Errors
    /// What it has seen.
    pub(crate) fn has_seen_nothing_wrong(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.join();
        }
        Ok(())
    }

    /// Ends it; how often it has looked.
    ///
    /// # Errors
    /// What it has seen.
    pub(crate) fn stop(mut self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.join()?;
        Ok(self.shared.looks.load(Ordering::SeqCst))
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the reader at the target panicked"))?
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // What it says was not asked for.
        let _ = self.join();
    }
}

/// Looks until the connection is lost.
fn look(client: &mut Client, newest: &mut Vec<i64>, shared: &Shared) -> Result<()> {
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok(row) = client.query_one(sql::SUMS, &[]) else { return Ok(()) };
        let sums: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
        if sums.iter().any(|sum| *sum != sums[0]) {
            bail!("half of a transaction is visible at the target: the sums are {sums:?}");
        }
        let now: Vec<i64> = row.get(3);
        if now.len() != newest.len() || now.iter().zip(newest.iter()).any(|(now, then)| now < then)
        {
            bail!("the target went back from {newest:?} to {now:?}");
        }
        for (seen, n) in shared.seen.iter().zip(&now) {
            seen.store(*n, Ordering::SeqCst);
        }
        *newest = now;
        shared.looks.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(LOOK_EACH);
    }
    Ok(())
}
