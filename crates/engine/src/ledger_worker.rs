//! The thread of a service that folds the ledgers of all flows: behind the log, beside the appliers, one batch after the
//! other. It is never in a hurry, since a check folds what is missing by itself.

use crate::assembly::Step;
use crate::engine::Engine;
use crate::retry::Backoff;
use connect::Result;
use flow::Flow;
use std::time::Duration;

/// Rest once everything is folded.
const REST: Duration = Duration::from_millis(200);
/// Longest wait for the log to move.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// Folds the ledgers of some flows.
pub(crate) struct LedgerWorker {
    pub(crate) engine: Engine,
    pub(crate) flows: Vec<Flow>,
}

impl LedgerWorker {
    /// Folds until it is asked to stop, and stores what it has folded then.
    pub(crate) fn run(self, stop: impl Fn() -> bool) {
        let Engine { assembly, .. } = &self.engine;
        let (mut seen, mut backoff) = (0, Backoff::default());
        while !stop() {
            let (mut moved, mut troubled) = (false, false);
            for flow in &self.flows {
                match self.step(flow) {
                    Ok(step) => moved |= matches!(step, Step::Moved(_)),
                    // A ledger can be folded at any later time; what is broken stops those whose work it is.
                    Err(_) => troubled = true,
                }
            }
            match (moved, troubled) {
                (true, _) => backoff.reset(),
                // In small pieces, so that a stop is heard.
                (false, true) => {
                    let until = assembly.environment.clock.steady() + backoff.wait();
                    while assembly.environment.clock.steady() < until && !stop() {
                        assembly.environment.clock.sleep(IDLE_WAIT);
                    }
                }
                (false, false) => {
                    assembly.environment.clock.sleep(REST);
                    seen = assembly.log.changed(seen, IDLE_WAIT);
                }
            }
        }
        // What is not stored is folded again.
        let _ = self.engine.ledgers.store(assembly);
    }

    fn step(&self, flow: &Flow) -> Result<Step> {
        let Engine { assembly, ledgers, .. } = &self.engine;
        let Some(identity) = assembly.state.flow(&flow.name)? else { return Ok(Step::Idle) };
        ledgers.step(assembly, flow, &identity)
    }
}
