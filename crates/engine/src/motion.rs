//! The two ways past a place: stepping by hand, and waiting for a service's threads.

use crate::engine::Engine;
use crate::repairs::RepairOutcome;
use crate::state::FlowIdentity;
use crate::stepping::Stepping;
use crate::watch::Unwatched;
use change::{LaneId, Offset, SourcePosition};
use connect::{Kind, Readable, Result};
use flow::{Apply, Flow};
use proof::Reached;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Gets the log and the target past a place.
pub trait Motion {
    /// Until the lane's log has passed `closing`.
    ///
    /// # Errors
    /// Capture has stopped for good.
    fn capture_past(
        &mut self,
        site: &str,
        lane: LaneId,
        closing: &SourcePosition,
    ) -> Result<Reached>;

    /// Until the target has applied `offset`.
    ///
    /// # Errors
    /// The flow has stopped for good.
    fn apply_past(&mut self, lane: LaneId, offset: Offset) -> Result<Reached>;

    /// Until the applier has seen a repair order; `None` when it did not in the time allowed.
    ///
    /// # Errors
    /// The flow has stopped for good.
    fn repaired(&mut self, outcome: &Receiver<RepairOutcome>) -> Result<Option<RepairOutcome>>;
}

/// How long a service's threads get to pass a place.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Steps the captures and the applier itself.
pub struct ByHand<'a> {
    /// What is stepped.
    pub stepping: &'a mut Stepping,
    /// Whether the flow applies anything.
    pub apply: Apply,
}

impl Motion for ByHand<'_> {
    fn capture_past(
        &mut self,
        site: &str,
        _lane: LaneId,
        closing: &SourcePosition,
    ) -> Result<Reached> {
        match self.stepping.capture_past(site, closing) {
            Ok(offset) => Ok(Reached::At(offset)),
            Err(e) if e.kind == Kind::Unavailable => Ok(Reached::Never(e.to_string())),
            Err(e) => Err(e),
        }
    }

    fn apply_past(&mut self, lane: LaneId, offset: Offset) -> Result<Reached> {
        if self.apply != Apply::Events {
            return Ok(Reached::At(offset));
        }
        match self.stepping.apply_past(lane, offset) {
            Ok(()) => Ok(Reached::At(offset)),
            Err(e) if e.kind == Kind::Unavailable => Ok(Reached::Never(e.to_string())),
            Err(e) => Err(e),
        }
    }

    fn repaired(&mut self, outcome: &Receiver<RepairOutcome>) -> Result<Option<RepairOutcome>> {
        self.stepping.drain(&Unwatched)?;
        Ok(outcome.try_recv().ok())
    }
}

/// Waits for the threads of a service.
pub struct ByService<'a> {
    engine: &'a Engine,
    identity: FlowIdentity,
    apply: Apply,
    target: Box<dyn Readable>,
}

impl<'a> ByService<'a> {
    /// Waits for the threads that serve a flow.
    ///
    /// # Errors
    /// The target cannot be opened.
    pub fn new(engine: &'a Engine, flow: &Flow) -> Result<Self> {
        let settings = &engine
            .assembly
            .project
            .sites
            .get(&flow.target)
            .ok_or_else(|| connect::Error::internal("the flow's target is no site"))?
            .settings;
        let target = engine.assembly.connectors.of(settings)?.readable(&settings.as_target())?;
        Ok(ByService { engine, identity: engine.identify(flow)?, apply: flow.apply(), target })
    }

    /// Looks again and again until something is so, or patience ends.
    fn until(
        &mut self,
        mut look: impl FnMut(&mut Self) -> Result<Option<Offset>>,
    ) -> Result<Reached> {
        let clock = self.engine.assembly.environment.clock.clone();
        let deadline = clock.steady() + PATIENCE;
        loop {
            if let Some(offset) = look(self)? {
                return Ok(Reached::At(offset));
            }
            if clock.steady() >= deadline {
                return Ok(Reached::Never(format!("not within {} s", PATIENCE.as_secs())));
            }
            clock.sleep(LOOK_AGAIN);
        }
    }
}

impl Motion for ByService<'_> {
    fn capture_past(
        &mut self,
        _site: &str,
        lane: LaneId,
        closing: &SourcePosition,
    ) -> Result<Reached> {
        self.until(|this| {
            let tail = this.engine.assembly.log.tail(lane)?;
            let passed = tail.position.map_or(0, |p| p.sequence) >= closing.sequence;
            Ok(passed.then_some(tail.durable))
        })
    }

    fn apply_past(&mut self, lane: LaneId, offset: Offset) -> Result<Reached> {
        if self.apply != Apply::Events {
            return Ok(Reached::At(offset));
        }
        self.until(|this| {
            let mut cut = this.target.cut()?;
            let progress = cut.progress(this.identity.id)?;
            cut.let_go();
            let reached = progress.and_then(|p| p.lanes.get(&lane).map(|lane| lane.offset));
            Ok(reached.filter(|reached| *reached >= offset))
        })
    }

    fn repaired(&mut self, outcome: &Receiver<RepairOutcome>) -> Result<Option<RepairOutcome>> {
        Ok(outcome.recv_timeout(PATIENCE).ok())
    }
}
