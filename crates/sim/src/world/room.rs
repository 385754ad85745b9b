//! The room in which one engine is stepped: its captures and appliers, opened when they are needed, dropped when they
//! fail. It does what the service's threads do, one step at a time, and waits for nothing.

use crate::world::faulty::{FaultyLog, Sites};
use crate::world::machine::Boot;
use crate::world::project::Definitions;
use change::{DigestKey, TableSchema};
use connect::clock::ManualClock;
use connect::memory::{MemoryLog, MemorySource, MemoryTarget};
use connect::{
    BatchEngine, Bounds, Classified, Connectors, Error, Input, Kind, Result, RowTransform,
    SqlPlanner, State as Named,
};
use engine::{
    Applier, Assembly, Engine, Environment, LaneCapture, Random, State, Step, TakeOver,
    captured_tables,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ids and keys of the engine: every one is new, and the same for the same seed.
pub struct Counting(pub AtomicU64);

impl Random for Counting {
    fn bits(&self) -> u64 {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        crate::random::Random::new(n).bits()
    }
}

/// Knows no SQL: flows of the simulated world carry rows as they are.
pub struct NoSql;

impl SqlPlanner for NoSql {
    fn classify(&self, sql: &str, _: &[(String, TableSchema)]) -> Result<Classified> {
        Err(Error::invalid(format!("no SQL here: {sql}")))
    }

    fn compile(
        &self,
        sql: &str,
        _: &str,
        _: &TableSchema,
        _: &[String],
    ) -> Result<Arc<dyn RowTransform>> {
        Err(Error::invalid(format!("no SQL here: {sql}")))
    }
}

impl BatchEngine for NoSql {
    fn run(
        &self,
        sql: &str,
        _: Vec<Input>,
        _: &TableSchema,
        _: &mut dyn FnMut(arrow::array::RecordBatch) -> Result<()>,
    ) -> Result<()> {
        Err(Error::invalid(format!("no SQL here: {sql}")))
    }
}

/// What outlives an engine.
#[derive(Clone)]
pub struct Outside {
    /// Sources by name.
    pub sources: BTreeMap<String, MemorySource>,
    /// The target.
    pub target: MemoryTarget,
    /// The log's disk.
    pub log: MemoryLog,
    /// Time.
    pub clock: Arc<ManualClock>,
    /// Chance.
    pub random: Arc<Counting>,
    /// Most that one call moves.
    pub bounds: Bounds,
}

/// What a step came to.
#[derive(Debug)]
pub enum Outcome {
    /// Something moved.
    Moved,
    /// There was nothing to do.
    Idle,
    /// Something is away, or the machine is off: try again.
    Later(String),
    /// It stands until somebody acts.
    Stopped(Option<Named>, String),
    /// The log cannot be trusted: the engine must be started again.
    Broken,
}

/// A capture and the one that failed before it.
#[derive(Default)]
struct Seat {
    live: Option<LaneCapture>,
    ending: Option<LaneCapture>,
}

/// A running engine.
pub struct Room {
    /// Its connection to the world.
    pub boot: Boot,
    /// The engine.
    pub engine: Engine,
    captures: BTreeMap<String, Seat>,
    appliers: BTreeMap<String, Applier>,
}

impl Room {
    /// Starts an engine over what is there.
    ///
    /// # Errors
    /// The state file cannot be opened.
    pub fn start(
        outside: &Outside,
        definitions: &Definitions,
        folder: &Path,
        boot: Boot,
        take_over: TakeOver,
    ) -> Result<Room> {
        let sites = Sites {
            sources: outside.sources.clone(),
            target: outside.target.clone(),
            boot: boot.clone(),
            bounds: outside.bounds,
        };
        let log =
            FaultyLog { inner: outside.log.clone(), boot: boot.clone(), bounds: outside.bounds };
        let state = State::open(&folder.join("state.db"))?;
        let commits = boot.clone();
        state.on_commit(move || commits.may_commit_state())?;
        let assembly = Assembly {
            project: Arc::new(definitions.project(folder)),
            connectors: Arc::new(Connectors::new(vec![Box::new(sites)])),
            log: Arc::new(log),
            state,
            planner: Arc::new(NoSql),
            batch: Arc::new(NoSql),
            digest_key: DigestKey::new(5),
            environment: Environment {
                clock: outside.clock.clone(),
                random: outside.random.clone(),
            },
        };
        Ok(Room {
            boot,
            engine: Engine::new(assembly, take_over),
            captures: BTreeMap::new(),
            appliers: BTreeMap::new(),
        })
    }

    /// One step of a site's capture.
    pub fn capture(&mut self, site: &str) -> Outcome {
        match self.try_capture(site) {
            Ok(Step::Moved(_)) => Outcome::Moved,
            Ok(_) => Outcome::Idle,
            Err(e) => {
                let seat = self.captures.entry(site.to_string()).or_default();
                if let Some(failed) = seat.live.take() {
                    seat.ending = Some(failed);
                }
                outcome_of(&e)
            }
        }
    }

    fn try_capture(&mut self, site: &str) -> Result<Step> {
        let assembly = &self.engine.assembly;
        let seat = self.captures.entry(site.to_string()).or_default();
        if let Some(ending) = &mut seat.ending {
            match ending.settle(Duration::ZERO) {
                Err(e) if e.state != Some(Named::DiskFull) => return Err(e),
                _ => seat.ending = None,
            }
        }
        let wanted = captured_tables(&assembly.project);
        let Some((site, tables)) = wanted.into_iter().find(|(s, _)| s.name == site) else {
            return Ok(Step::Idle);
        };
        if seat.live.is_none() {
            seat.live = Some(self.engine.open_capture(&site, &tables)?);
        }
        seat.live.as_mut().expect("opened above").step()
    }

    /// One step of a flow's applier.
    pub fn apply(&mut self, flow: &str, keep: Keep) -> Outcome {
        match self.try_apply(flow) {
            Ok(Step::Moved(_) | Step::Refused) => Outcome::Moved,
            Ok(Step::Idle) => Outcome::Idle,
            Err(e) => {
                // A service drops it; a run by hand takes the step again.
                if keep == Keep::Nothing || e.kind != Kind::Unavailable {
                    self.appliers.remove(flow);
                }
                outcome_of(&e)
            }
        }
    }

    fn try_apply(&mut self, name: &str) -> Result<Step> {
        if !self.appliers.contains_key(name) {
            let flow = self.engine.flow(name)?.clone();
            let identity = self.engine.identify(&flow)?;
            let applier = Applier::open(&self.engine, &flow, &identity)?;
            self.appliers.insert(name.to_string(), applier);
        }
        self.appliers.get_mut(name).expect("opened above").step()
    }

    /// Lets go of captures and appliers, so that somebody else steps them. False when the disk has not taken
    /// everything yet.
    pub fn hand_over(&mut self) -> bool {
        self.appliers.clear();
        for seat in self.captures.values_mut() {
            for capture in [&mut seat.ending, &mut seat.live] {
                if let Some(owing) = capture
                    && owing.settle(Duration::ZERO).is_err()
                {
                    return false;
                }
                *capture = None;
            }
        }
        true
    }

    /// Forgets a flow's applier.
    pub fn close_flow(&mut self, flow: &str) {
        self.appliers.remove(flow);
    }
}

/// Whether an applier is used again after a failure that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Applier,
    /// It is opened again.
    Nothing,
}

/// What a service would make of an error.
pub fn outcome_of(error: &Error) -> Outcome {
    match error.kind {
        Kind::Unavailable => Outcome::Later(error.to_string()),
        Kind::Corrupt if error.state == Some(Named::LogCorrupt) => Outcome::Broken,
        _ => Outcome::Stopped(error.state, error.to_string()),
    }
}
