//! What proofs do to the source: how long its snapshots are held, and how long another application's small transaction
//! takes meanwhile.

use super::pair::Side;
use anyhow::{Context, Result, anyhow};
use postgres::{Client, NoTls};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks, and between two transactions of the probe.
const EACH: Duration = Duration::from_millis(20);

/// The oldest snapshot that the engine holds, in seconds.
const OLDEST: &str = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 \
     FROM pg_stat_activity WHERE application_name LIKE 'seamount%' AND backend_type = 'client backend' \
     AND backend_xmin IS NOT NULL";

/// The probe: a row of a table that no flow reads.
const PROBE: &str = "UPDATE probe SET n = n + 1";

#[derive(Debug, Default)]
struct Seen {
    longest: f64,
    /// Milliseconds of each probe, without and with a proof under way.
    probes: [Vec<f64>; 2],
}

/// Watches the source.
pub(crate) struct Harm {
    stop: Arc<AtomicBool>,
    proving: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The longest snapshot, in seconds.
    pub(crate) snapshot: f64,
    /// 99 of 100 probes took no longer, in milliseconds: without a proof, and with one.
    pub(crate) p99: [f64; 2],
}

impl Harm {
    /// Begins to watch.
    ///
    /// # Errors
    /// The source does not answer.
    pub(crate) fn watch(source: &Side) -> Result<Harm> {
        source.connect()?.batch_execute("CREATE TABLE probe AS SELECT 0 AS n")?;
        let (stop, proving) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (url, ours) = (source.url(), (stop.clone(), proving.clone(), seen.clone()));
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(&url, NoTls).context("the probe")?;
            let (oldest, probe) = (client.prepare(OLDEST)?, client.prepare(PROBE)?);
            let (stop, proving, seen) = ours;
            while !stop.load(Ordering::SeqCst) {
                let (began, during) = (Instant::now(), proving.load(Ordering::SeqCst));
                client.execute(&probe, &[])?;
                let took = began.elapsed().as_secs_f64() * 1e3;
                let held: f64 = client.query_one(&oldest, &[])?.get(0);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.longest = seen.longest.max(held);
                seen.probes[usize::from(during)].push(took);
                drop(seen);
                std::thread::sleep(EACH);
            }
            Ok(())
        });
        Ok(Harm { stop, proving, seen, thread: Some(thread) })
    }

    /// A proof begins, or has ended.
    pub(crate) fn proving(&self, proving: bool) {
        self.proving.store(proving, Ordering::SeqCst);
    }

    /// Ends the watch.
    ///
    /// # Errors
    /// The source has not answered.
    pub(crate) fn figures(mut self) -> Result<Figures> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("it was ended before")?;
        thread.join().map_err(|_| anyhow!("the probe panicked"))??;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = seen.longest;
        let mut p99 = [0.0; 2];
        for (all, p99) in seen.probes.iter_mut().zip(&mut p99) {
            all.sort_by(f64::total_cmp);
            *p99 = all.get(all.len() * 99 / 100).copied().unwrap_or_default();
        }
        Ok(Figures { snapshot, p99 })
    }
}

impl Drop for Harm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // What it says was not asked for.
            let _ = thread.join();
        }
    }
}
