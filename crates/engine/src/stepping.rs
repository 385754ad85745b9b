//! One thread that steps captures and appliers by hand: one-shot runs, proofs without a service, tests.
//!
//! Captures are stepped until they have read what was there at the start, then appliers until they have applied
//! it. A site that is down does not stop the others; it is reported.

use crate::apply::Applier;
use crate::assembly::Step;
use crate::board::{Board, FlowStatus, LaneLag, Standing, Trouble, flow_status};
use crate::capture::{LaneCapture, captured_tables};
use crate::engine::Engine;
use crate::lane::Lane;
use crate::retry::Backoff;
use crate::watch::Watch;
use change::{LaneId, Offset, SourcePosition};
use connect::{Error, Kind, Result};
use flow::Flow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Attempts on something that is unavailable before a one-shot run gives up on it.
const ATTEMPTS: u32 = 6;

/// How long a stepping that ends waits for the log's disk.
const ENDING: Duration = Duration::from_secs(5);

/// What a drain moved.
#[derive(Debug, Default)]
pub struct Drained {
    /// Changes captured into the log.
    pub captured: u64,
    /// Changes applied (their fate is in the target).
    pub applied: u64,
    /// Sites that could not be captured, and why.
    pub down: Vec<(String, Error)>,
}

/// How long a source that has said nothing more may still come up to the goal.
const SHOWING: Duration = Duration::from_secs(60);

/// One wait of that.
const LOOK: Duration = Duration::from_millis(20);

/// Captures and the applier of one flow, stepped by hand.
pub struct Stepping {
    engine: Engine,
    captures: BTreeMap<String, LaneCapture>,
    applier: Option<Applier>,
    down: Vec<(String, Error)>,
}

impl Stepping {
    /// Opens a flow: its applier where it has one, and the capture of its sites (with all tables that any flow
    /// wants there).
    ///
    /// # Errors
    /// The flow cannot run; a site that is down is no error.
    pub fn open(engine: &Engine, flow: &Flow) -> Result<Self> {
        let identity = engine.identify(flow)?;
        let mut stepping = Stepping {
            engine: engine.clone(),
            captures: BTreeMap::new(),
            applier: None,
            down: Vec::new(),
        };
        if !flow.captures() {
            return Ok(stepping);
        }
        for (site, tables) in captured_tables(&engine.assembly.project) {
            if !flow.sites.contains(&site.name) {
                continue;
            }
            match engine.open_capture(&site, &tables) {
                Ok(capture) => {
                    stepping.captures.insert(site.name, capture);
                }
                Err(e) if e.kind == Kind::Unavailable => stepping.down.push((site.name, e)),
                Err(e) => return Err(e),
            }
        }
        if flow.apply() == flow::Apply::Nothing {
            engine.order_missing_snapshots(flow)?;
        }
        if flow.apply() == flow::Apply::Events {
            stepping.applier = Some(Applier::open(engine, flow, &identity)?);
        }
        Ok(stepping)
    }

    /// Moves everything that the sites hold now, snapshots included.
    ///
    /// # Errors
    /// What stops the flow.
    pub fn drain(&mut self, watch: &dyn Watch) -> Result<Drained> {
        let mut drained = Drained::default();
        let goals = self.goals()?;
        loop {
            let captured = self.capture(&goals)?;
            let applied = self.apply(watch, &mut drained)?;
            drained.captured += captured;
            watch.progress("changes applied", drained.applied, None);
            // Every capture has passed its goal, or found nothing more; every applier has nothing left.
            if captured == 0 && applied == 0 {
                break;
            }
        }
        drained.down = std::mem::take(&mut self.down);
        self.note(&drained)?;
        Ok(drained)
    }

    /// Leaves behind how the flow and its sites stand, for `status`.
    fn note(&self, drained: &Drained) -> Result<()> {
        let assembly = &self.engine.assembly;
        let (board, now) = (Board::default(), assembly.environment.clock.now());
        for site in self.captures.keys() {
            board.lane(site, |status| {
                (status.standing, status.since) = (Standing::Live, now);
                status.captured = drained.captured;
            });
        }
        for (site, error) in &drained.down {
            board.lane(site, |status| {
                (status.standing, status.since) = (Standing::Down, now);
                status.trouble = Some(Trouble::of(error));
            });
        }
        if let Some(applier) = &self.applier {
            let name = &applier.flow().name;
            let before = flow_status(&assembly.state, name)?.map(|(_, status)| status);
            board.flow(name, |status| {
                // Latencies are a service's to measure; its last ones stay.
                *status = FlowStatus {
                    standing: Standing::Live,
                    since: now,
                    latency_p50_us: before.as_ref().and_then(|b| b.latency_p50_us),
                    latency_p99_us: before.as_ref().and_then(|b| b.latency_p99_us),
                    ..FlowStatus::default()
                };
                for lane in applier.lanes() {
                    status.counters += lane.progress.counters;
                    status
                        .lanes
                        .push(LaneLag { site: lane.site.name.clone(), ..LaneLag::default() });
                }
            });
        }
        board.store(&assembly.state, now)
    }

    /// Where each site stands now.
    fn goals(&mut self) -> Result<BTreeMap<String, SourcePosition>> {
        let mut goals = BTreeMap::new();
        let project = self.engine.assembly.project.clone();
        for name in self.captures.keys().cloned().collect::<Vec<_>>() {
            let settings = &project.sites[&name].settings;
            let connector = self.engine.assembly.connectors.of(settings)?;
            match connector.readable(settings).and_then(|mut site| site.cut()) {
                Ok(cut) => {
                    goals.extend(cut.closing().cloned().map(|closing| (name, closing)));
                }
                Err(e) if e.kind == Kind::Unavailable => {
                    if let Some(mut ending) = self.captures.remove(&name) {
                        let _ = ending.settle(ENDING);
                    }
                    self.down.push((name, e));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(goals)
    }

    /// Steps each capture until it has reached its goal and has nothing it was asked to read.
    fn capture(&mut self, goals: &BTreeMap<String, SourcePosition>) -> Result<u64> {
        let mut moved = 0;
        let mut lost = Vec::new();
        for (site, capture) in &mut self.captures {
            if passed(capture, goals.get(site)) {
                continue;
            }
            match step_to_goal(capture, goals.get(site)) {
                Ok(changes) => moved += changes,
                Err(e) if e.kind == Kind::Unavailable => lost.push((site.clone(), e)),
                Err(e) => return Err(e),
            }
        }
        for (site, error) in lost {
            if let Some(mut ending) = self.captures.remove(&site) {
                let _ = ending.settle(ENDING);
            }
            self.down.push((site, error));
        }
        Ok(moved)
    }

    fn apply(&mut self, watch: &dyn Watch, drained: &mut Drained) -> Result<u64> {
        let Some(applier) = &mut self.applier else { return Ok(0) };
        let (mut moved, mut backoff, mut failures) = (0, Backoff::default(), 0);
        loop {
            match applier.step() {
                Ok(Step::Moved(changes)) => {
                    moved += changes;
                    drained.applied += changes;
                    failures = 0;
                    backoff.reset();
                    watch.progress("changes applied", drained.applied, None);
                }
                Ok(Step::Idle) => return Ok(moved),
                Ok(Step::Refused) => self.engine.assembly.environment.clock.sleep(backoff.wait()),
                Err(e) if e.kind == Kind::Unavailable && failures < ATTEMPTS => {
                    failures += 1;
                    self.engine.assembly.environment.clock.sleep(backoff.wait());
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Steps until the lane's log has passed a source position; returns the durable tail then.
    ///
    /// # Errors
    /// The site is down, or the capture stops.
    pub fn capture_past(&mut self, site: &str, position: &SourcePosition) -> Result<Offset> {
        let capture = self
            .captures
            .get_mut(site)
            .ok_or_else(|| Error::unavailable(format!("{site} is not captured now")))?;
        let lane = capture.lane();
        if let Err(e) = step_to_goal(capture, Some(position)) {
            // A capture that failed is not stepped again: what it was reading is lost to it.
            if let Some(mut ending) = self.captures.remove(site) {
                let _ = ending.settle(ENDING);
            }
            return Err(e);
        }
        Ok(self.engine.assembly.log.tail(lane)?.durable)
    }

    /// Steps the applier until a lane's progress has reached an offset.
    ///
    /// # Errors
    /// What stops the flow; `Unavailable` when the applier has nothing left and is not there.
    pub fn apply_past(&mut self, lane: LaneId, offset: Offset) -> Result<()> {
        let mut drained = Drained::default();
        self.apply(&crate::watch::Unwatched, &mut drained)?;
        let found = self.lanes().iter().find(|l| l.id == lane).map(|l| l.progress.offset);
        match found {
            Some(found) if found >= offset => Ok(()),
            _ => Err(Error::unavailable(format!("the target has not reached offset {offset}"))),
        }
    }

    /// Lanes of the applier; none for flows that apply nothing.
    pub fn lanes(&self) -> &[Lane] {
        self.applier.as_ref().map_or(&[], Applier::lanes)
    }

    /// The lane of a site, where it is captured.
    pub fn lane_of(&self, site: &str) -> Option<LaneId> {
        self.captures.get(site).map(LaneCapture::lane)
    }
}

/// What was appended reaches the disk before somebody else opens the capture of the same site, who would read and
/// append it a second time.
impl Drop for Stepping {
    fn drop(&mut self) {
        for capture in self.captures.values_mut() {
            // A disk that does not answer now, or a log that is lost: whoever comes next hears of it.
            let _ = capture.settle(ENDING);
        }
    }
}

/// Whether a capture has nothing to do for a goal: it read past it, all of that is durable, and no snapshot is under
/// way or ordered. New changes that a busy site keeps making are the next run's.
fn passed(capture: &LaneCapture, goal: Option<&SourcePosition>) -> bool {
    let read = capture.read_upto().map_or(0, |position| position.sequence);
    goal.is_some_and(|goal| read >= goal.sequence && read > 0) && !capture.owes()
}

/// Steps a capture until it is idle, or has passed its goal. A source that can be waited at is idle only behind the
/// goal: it shows what it has in its own time.
fn step_to_goal(capture: &mut LaneCapture, goal: Option<&SourcePosition>) -> Result<u64> {
    let (mut moved, mut waited) = (0, Duration::ZERO);
    loop {
        let step = capture.step()?;
        let read = capture.read_upto().map_or(0, |position| position.sequence);
        match step {
            Step::Moved(changes) => (moved, waited) = (moved + changes, Duration::ZERO),
            Step::Idle
                if goal.is_some_and(|goal| read < goal.sequence) && capture.wait(LOOK)? =>
            {
                waited += LOOK;
                if waited > SHOWING {
                    return Err(Error::unavailable("the source does not show what it holds"));
                }
            }
            Step::Idle | Step::Refused => return Ok(moved),
        }
        if goal.is_some_and(|goal| read >= goal.sequence) && !capture.reading() {
            capture.settle(Duration::from_secs(30))?;
            return Ok(moved);
        }
    }
}
