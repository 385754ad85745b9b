//! Those who are at work beside the engine: an application in each store that commits transactions, and a reader at
//! the centre that looks for what must never be visible. What they find ends the run.

use crate::ledger::Ledger;
use crate::oracle::{whole_bookings, whole_sales};
use crate::random::Random;
use crate::store::{Store, rest};
use crate::world::{World, open_to_read};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK_EACH: Duration = Duration::from_millis(3);

/// One store's application: a thread that trades until it is told to stop; it can be halted between two transactions.
struct Trader {
    store: Arc<Mutex<Store>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// All stores at work.
pub(crate) struct Traders {
    all: Vec<Trader>,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
}

impl Traders {
    /// Starts a thread for each store.
    ///
    /// # Errors
    /// A store does not open.
    pub(crate) fn start(world: &World, seed: u64) -> Result<Traders> {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut all = Vec::new();
        for store in world.stores(seed)? {
            let mut random = Random::part(seed, &format!("rest of {}", store.name));
            let store = Arc::new(Mutex::new(store));
            let (ours, asked, count) = (store.clone(), stop.clone(), made.clone());
            let thread = std::thread::spawn(move || {
                while !asked.load(Ordering::SeqCst) {
                    {
                        let mut store = ours.lock().unwrap_or_else(PoisonError::into_inner);
                        if random.percent(1) { store.trade_much(60)? } else { store.trade()? }
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(rest(&mut random));
                }
                Ok(())
            });
            all.push(Trader { store, thread: Some(thread) });
        }
        Ok(Traders { all, stop, made })
    }

    /// Transactions that were made by now.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Fails when a store has broken down.
    ///
    /// # Errors
    /// Its thread has ended; the cause is told by [`Traders::stop`].
    pub(crate) fn must_live(&self) -> Result<()> {
        if self.all.iter().any(|t| t.thread.as_ref().is_none_or(JoinHandle::is_finished)) {
            bail!("a store's application broke down");
        }
        Ok(())
    }

    /// Does something while no store trades, with what they have committed by then.
    pub(crate) fn halted<T>(&self, work: impl FnOnce(&BTreeMap<String, Ledger>) -> T) -> T {
        let held: Vec<_> = self
            .all
            .iter()
            .map(|t| t.store.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        work(&held.iter().map(|store| (store.name.clone(), store.ledger.clone())).collect())
    }

    /// Waits until so many more transactions were made.
    ///
    /// # Errors
    /// A store has broken down.
    pub(crate) fn wait_for(&self, more: u64) -> Result<()> {
        let goal = self.made() + more;
        while self.made() < goal {
            self.must_live()?;
            std::thread::sleep(LOOK_EACH);
        }
        Ok(())
    }

    /// Ends them; what they committed.
    ///
    /// # Errors
    /// One broke down.
    pub(crate) fn stop(mut self) -> Result<BTreeMap<String, Ledger>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut books = BTreeMap::new();
        for trader in &mut self.all {
            let thread = trader.thread.take().context("a store that was stopped before")?;
            thread.join().map_err(|_| anyhow!("a store's application panicked"))??;
            let store = trader.store.lock().unwrap_or_else(PoisonError::into_inner);
            books.insert(store.name.clone(), store.ledger.clone());
        }
        Ok(books)
    }
}

impl Drop for Traders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.all.iter_mut().filter_map(|trader| trader.thread.take()) {
            // It ends at its next transaction; what it says was not asked for.
            let _ = thread.join();
        }
    }
}

/// The reader at the centre.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Witness {
    /// Starts looking. The first snapshots must be there: tables come one after the other only before that.
    ///
    /// # Errors
    /// The centre does not open.
    pub(crate) fn start(world: &World) -> Result<Witness> {
        let (stop, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (asked, count) = (stop.clone(), looks.clone());
        let centre = open_to_read(&world.central_path())?;
        let thread = std::thread::spawn(move || {
            let (mut newest, mut published) = (BTreeMap::new(), BTreeMap::new());
            while !asked.load(Ordering::SeqCst) {
                let now = whole_bookings(&centre)?;
                never_back("bookings", &newest, &now)?;
                newest = now;
                let versions: BTreeMap<String, i64> =
                    whole_sales(&centre)?.into_iter().map(|(day, (v, _))| (day, v)).collect();
                never_back("sales", &published, &versions)?;
                published = versions;
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(LOOK_EACH);
            }
            Ok(())
        });
        Ok(Witness { stop, looks, thread: Some(thread) })
    }

    /// How often it has looked.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    /// Fails as soon as it has seen something, without waiting for the end of the run.
    ///
    /// # Errors
    /// What it has seen.
    pub(crate) fn has_seen_nothing(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.join();
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// What it has seen.
    pub(crate) fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.join()?;
        Ok(self.looks())
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the reader panicked"))?.context("a reader at the centre")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn never_back(
    what: &str,
    before: &BTreeMap<String, i64>,
    now: &BTreeMap<String, i64>,
) -> Result<()> {
    for (name, newest) in before {
        match now.get(name) {
            Some(shown) if shown >= newest => {}
            shown => bail!("{what} of {name} went back from {newest} to {shown:?}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_is_noticed() {
        let at = |n: i64| BTreeMap::from([("paris".to_string(), n)]);
        never_back("x", &at(3), &at(3)).unwrap();
        never_back("x", &BTreeMap::new(), &at(3)).unwrap();
        assert!(never_back("x", &at(3), &at(2)).is_err());
        assert!(never_back("x", &at(3), &BTreeMap::new()).is_err());
    }
}
