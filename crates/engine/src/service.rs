//! The engine as a service: threads that step captures and appliers until they are told to stop.
//!
//! A thread owns its captures or its applier alone; what it cannot do now it tries again with back-off, and what
//! needs a person stops only that lane or flow. A log that cannot be trusted stops the engine.

use crate::apply::Applier;
use crate::assembly::Step;
use crate::board::{Board, LaneLag, Latencies, Standing, Trouble};
use crate::capture::{LaneCapture, captured_tables};
use crate::engine::Engine;
use crate::lane::Lane;
use crate::ledger_worker::LedgerWorker;
use crate::retry::{Backoff, Decision};
use connect::{Bounds, Error, Result};
use flow::{Apply, Flow, Site};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Threads that capture; sites are spread over them.
const CAPTURE_THREADS: usize = 4;
/// Longest pause of an idle capture: what an idle site adds to the latency of its next change.
const IDLE_POLL: Duration = Duration::from_millis(5);
/// Longest wait at a source that wakes us by itself; orders and a stop are heard behind it.
const SOURCE_WAIT: Duration = Duration::from_millis(20);
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// Tells threads to stop, and why the engine had to.
#[derive(Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Stop {
    /// Asks everything to stop at its next step.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.ask();
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A running engine.
pub struct Service {
    engine: Engine,
    board: Board,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts captures and appliers of all flows that the caller names.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(engine: &Engine, flows: &[Flow], stop: &Stop) -> Result<Service> {
        let board = Board::default();
        let mut service = Service {
            engine: engine.clone(),
            board: board.clone(),
            stop: stop.clone(),
            threads: Vec::new(),
        };
        let wanted =
            |site: &Site| flows.iter().any(|f| f.captures() && f.sites.contains(&site.name));
        let sites: Vec<(Site, Vec<String>)> = captured_tables(&engine.assembly.project)
            .into_iter()
            .filter(|(site, _)| wanted(site))
            .collect();
        let per_thread = sites.len().div_ceil(CAPTURE_THREADS).max(1);
        for (n, share) in sites.chunks(per_thread).enumerate() {
            let worker = CaptureWorker::new(engine, &board, stop, share);
            service.spawn(format!("capture-{n}"), move || worker.run())?;
        }
        for flow in flows.iter().filter(|flow| flow.apply() == Apply::Nothing) {
            engine.order_missing_snapshots(flow)?;
        }
        for flow in flows.iter().filter(|flow| flow.apply() == Apply::Events) {
            let worker = ApplyWorker {
                engine: engine.clone(),
                board: board.clone(),
                stop: stop.clone(),
                flow: flow.clone(),
                latencies: Latencies::default(),
            };
            service.spawn(format!("apply-{}", flow.name), move || worker.run())?;
        }
        let flows: Vec<Flow> =
            flows.iter().filter(|flow| flow.apply() == Apply::Events).cloned().collect();
        let (worker, stop) = (LedgerWorker { engine: engine.clone(), flows }, stop.clone());
        service.spawn("ledgers".into(), move || worker.run(|| stop.asked()))?;
        Ok(service)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(|e| Error::unavailable("a thread cannot be started").caused_by(e))?;
        self.threads.push(thread);
        Ok(())
    }

    /// What the threads say of themselves.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Writes what the threads say to the state file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn observe(&self) -> Result<()> {
        let Engine { assembly, .. } = &self.engine;
        self.board.store(&assembly.state, assembly.environment.clock.now())
    }

    /// Stops every thread at its next step and waits for it.
    ///
    /// # Errors
    /// What made the engine stop by itself, if something did.
    pub fn shut_down(mut self) -> Result<()> {
        self.stop.ask();
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                self.stop.fail(Error::internal("a thread of the engine broke an invariant"));
            }
        }
        self.observe()?;
        match self.stop.take_failure() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// One site of a capture thread.
struct CapturedSite {
    site: Site,
    tables: Vec<String>,
    capture: Option<LaneCapture>,
    /// A capture that failed. What it appended must have reached the disk, or be known not to, before the site is
    /// opened again: it would be read and appended twice.
    ending: Option<LaneCapture>,
    backoff: Backoff,
    not_before: Duration,
    looked_at: Duration,
    stopped: bool,
}

/// A capture thread.
struct CaptureWorker {
    engine: Engine,
    board: Board,
    stop: Stop,
    sites: Vec<CapturedSite>,
}

impl CaptureWorker {
    fn new(engine: &Engine, board: &Board, stop: &Stop, share: &[(Site, Vec<String>)]) -> Self {
        let sites = share
            .iter()
            .map(|(site, tables)| CapturedSite {
                site: site.clone(),
                tables: tables.clone(),
                capture: None,
                ending: None,
                backoff: Backoff::default(),
                not_before: Duration::ZERO,
                looked_at: Duration::ZERO,
                stopped: false,
            })
            .collect();
        CaptureWorker { engine: engine.clone(), board: board.clone(), stop: stop.clone(), sites }
    }

    fn run(mut self) {
        let clock = self.engine.assembly.environment.clock.clone();
        while !self.stop.asked() {
            let mut moved = false;
            for site in &mut self.sites {
                if site.stopped || clock.steady() < site.not_before {
                    continue;
                }
                match step_site(&self.engine, &self.board, site) {
                    Ok(Step::Moved(_)) => moved = true,
                    Ok(Step::Idle | Step::Refused) => {}
                    Err(e) => site_failed(&self.engine, &self.board, &self.stop, site, e),
                }
            }
            if !moved && !self.wait() {
                clock.sleep(IDLE_POLL);
            }
        }
        for capture in self.sites.iter_mut().filter_map(|site| site.capture.as_mut()) {
            // What is not acknowledged now is read again at the next start.
            let _ = capture.settle(Duration::from_secs(5));
        }
    }
}

impl CaptureWorker {
    /// Waits at the one site of this thread, where it can be waited at; whether that was done.
    fn wait(&mut self) -> bool {
        let [site] = self.sites.as_mut_slice() else { return false };
        let Some(capture) = &mut site.capture else { return false };
        match capture.wait(SOURCE_WAIT) {
            Ok(waited) => waited,
            Err(e) => {
                site_failed(&self.engine, &self.board, &self.stop, site, e);
                false
            }
        }
    }
}

fn step_site(engine: &Engine, board: &Board, site: &mut CapturedSite) -> Result<Step> {
    let clock = &engine.assembly.environment.clock;
    if let Some(ending) = &mut site.ending {
        match ending.settle(Duration::from_secs(1)) {
            Err(e) if e.state != Some(connect::State::DiskFull) => return Err(e),
            // Settled, or the log says that it did not take the rest.
            _ => site.ending = None,
        }
    }
    let capture = match &mut site.capture {
        Some(capture) => capture,
        none => {
            let opened = engine.open_capture(&site.site, &site.tables)?;
            let now = clock.now();
            board.lane(&site.site.name, |status| {
                status.standing = Standing::Live;
                status.since = now;
                status.trouble = None;
            });
            none.insert(opened)
        }
    };
    let step = capture.step()?;
    site.backoff.reset();
    if let Step::Moved(changes) = step {
        board.lane(&site.site.name, |status| status.captured += changes);
    }
    if clock.steady().saturating_sub(site.looked_at) > Duration::from_secs(1) {
        site.looked_at = clock.steady();
        let (retained, reading) = (capture.retained()?, capture.reading_snapshot());
        board.lane(&site.site.name, |status| {
            status.retained_changes = retained.changes;
            status.retained_bytes = retained.bytes;
            status.reading_snapshot = reading;
        });
    }
    Ok(step)
}

/// The capture is opened again later, or stays stopped; the log's tail says where it goes on.
fn site_failed(engine: &Engine, board: &Board, stop: &Stop, site: &mut CapturedSite, error: Error) {
    let clock = &engine.assembly.environment.clock;
    if let Some(capture) = site.capture.take() {
        site.ending = Some(capture);
    }
    let standing = match site.backoff.decide(&error) {
        Decision::Again(wait) => {
            site.not_before = clock.steady() + wait;
            Standing::Down
        }
        Decision::Stop | Decision::StopEngine => {
            site.stopped = true;
            Standing::Stopped
        }
    };
    let now = clock.now();
    board.lane(&site.site.name, |status| {
        if status.standing != standing {
            status.standing = standing;
            status.since = now;
        }
        status.trouble = Some(Trouble::of(&error));
    });
    // A site whose own file is damaged stops alone; a log that is damaged stops everything.
    let log_is_damaged = error.state == Some(connect::State::LogCorrupt);
    if log_is_damaged {
        stop.fail(error);
    }
}

/// An apply thread.
struct ApplyWorker {
    engine: Engine,
    board: Board,
    stop: Stop,
    flow: Flow,
    latencies: Latencies,
}

impl ApplyWorker {
    fn run(mut self) {
        let mut backoff = Backoff::default();
        while !self.stop.asked() {
            let Err(error) = self.serve(&mut backoff) else { continue };
            let decision = backoff.decide(&error);
            let standing = match decision {
                Decision::Again(_) => Standing::Down,
                Decision::Stop | Decision::StopEngine => Standing::Stopped,
            };
            self.stand(standing, Some(Trouble::of(&error)));
            match decision {
                Decision::Again(wait) => self.pause(wait),
                // A site that is damaged stops its own flow; a log that is damaged stops everything.
                Decision::StopEngine if error.state == Some(connect::State::LogCorrupt) => {
                    self.stop.fail(error);
                    return;
                }
                Decision::Stop | Decision::StopEngine => return,
            }
        }
    }

    fn stand(&self, standing: Standing, trouble: Option<Trouble>) {
        let now = self.engine.assembly.environment.clock.now();
        self.board.flow(&self.flow.name, |status| {
            if status.standing != standing {
                status.standing = standing;
                status.since = now;
            }
            status.trouble = trouble;
        });
    }

    /// Waits in small pieces, so that a stop is heard.
    fn pause(&self, wait: Duration) {
        let clock = &self.engine.assembly.environment.clock;
        let until = clock.steady() + wait;
        while clock.steady() < until && !self.stop.asked() {
            clock.sleep(IDLE_WAIT.min(wait));
        }
    }

    /// Opens the flow and applies until asked to stop, or until an error says otherwise.
    fn serve(&mut self, backoff: &mut Backoff) -> Result<()> {
        let identity = self.engine.identify(&self.flow)?;
        if identity.paused {
            self.stand(Standing::Paused, None);
            self.pause(Duration::from_secs(1));
            return Ok(());
        }
        let mut applier = Applier::open(&self.engine, &self.flow, &identity)?;
        self.stand(Standing::Live, None);
        let clock = self.engine.assembly.environment.clock.clone();
        let (mut seen, mut looked_at) = (0, Duration::ZERO);
        while !self.stop.asked() {
            match applier.step()? {
                Step::Moved(_) => {
                    backoff.reset();
                    let now = clock.now();
                    applier.take_commit_times().for_each(|at| {
                        self.latencies.add(now.saturating_sub(at).max(0).unsigned_abs());
                    });
                }
                Step::Idle => seen = self.engine.assembly.log.changed(seen, IDLE_WAIT),
                Step::Refused => self.pause(backoff.wait()),
            }
            if clock.steady().saturating_sub(looked_at) > Duration::from_millis(500) {
                looked_at = clock.steady();
                self.show(applier.lanes())?;
                if self.engine.assembly.state.flow(&self.flow.name)?.is_some_and(|f| f.paused) {
                    return Ok(());
                }
            }
        }
        self.show(applier.lanes())
    }

    fn show(&self, lanes: &[Lane]) -> Result<()> {
        let Engine { assembly, .. } = &self.engine;
        let now = assembly.environment.clock.now();
        let mut lags = Vec::with_capacity(lanes.len());
        let mut counters = connect::Counters::default();
        for lane in lanes {
            counters += lane.progress.counters;
            let durable = assembly.log.tail(lane.id)?.durable;
            let groups_waiting = durable.0.saturating_sub(lane.progress.offset.0);
            let mut lag_us = 0;
            if groups_waiting > 0 {
                let next = assembly.log.read(
                    lane.id,
                    lane.progress.offset,
                    Bounds { changes: 1, bytes: 1 },
                )?;
                let oldest = next.first().map_or(now, |group| group.body.commit_time);
                lag_us = now.saturating_sub(oldest).max(0).unsigned_abs();
            }
            lags.push(LaneLag { site: lane.site.name.clone(), groups_waiting, lag_us });
        }
        lags.sort_by_key(|lag| std::cmp::Reverse(lag.lag_us));
        let (p50, p99) = (self.latencies.quantile(0.5), self.latencies.quantile(0.99));
        self.board.flow(&self.flow.name, |status| {
            status.lanes = lags;
            status.counters = counters;
            status.latency_p50_us = p50;
            status.latency_p99_us = p99;
        });
        Ok(())
    }
}
