//! Holds a flow of the running service still while something is done at its target that its applier must not
//! overlap: settling letters. An applier remembers which keys wait behind a letter and how far it has come; it takes
//! both from the files again when it goes on.
//!
//! The flow always goes on afterwards, also when the engine is killed in between: the next start sees to that.

use connect::{Error, Result};
use engine::{Board, Engine, Standing};
use flow::Flow;
use std::time::Duration;

/// Longest wait for an applier to finish its batch, or its back-off.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK_EACH: Duration = Duration::from_millis(20);

/// Holds a flow still and does something.
///
/// # Errors
/// The flow did not come to rest, or what was to be done failed.
pub(crate) fn during<T>(
    engine: &Engine,
    board: &Board,
    flow: &Flow,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let state = &engine.assembly.state;
    let identity = engine.identify(flow)?;
    if identity.paused {
        at_rest(engine, board, flow)?;
        return work();
    }
    note(engine, flow, HELD)?;
    state.set_paused(identity.id, true)?;
    let done = at_rest(engine, board, flow).and_then(|()| work());
    state.set_paused(identity.id, false)?;
    note(engine, flow, GOES_ON)?;
    done
}

/// Lets flows go on that an engine held when it was killed.
///
/// # Errors
/// The state file cannot be written.
pub(crate) fn release(engine: &Engine, flows: &[Flow]) -> Result<()> {
    let state = &engine.assembly.state;
    for flow in flows {
        let held = state.observed(&subject(flow))?.is_some_and(|(_, body)| body == HELD);
        if held {
            state.set_paused(engine.identify(flow)?.id, false)?;
            note(engine, flow, GOES_ON)?;
        }
    }
    Ok(())
}

const HELD: &str = "held";
const GOES_ON: &str = "goes on";

fn subject(flow: &Flow) -> String {
    format!("standstill:{}", flow.name)
}

fn note(engine: &Engine, flow: &Flow, word: &str) -> Result<()> {
    let now = engine.assembly.environment.clock.now();
    engine.assembly.state.observe(&subject(flow), now, word)
}

/// Waits until the flow's applier is closed.
fn at_rest(engine: &Engine, board: &Board, flow: &Flow) -> Result<()> {
    let clock = &engine.assembly.environment.clock;
    let deadline = clock.steady() + WITHIN;
    loop {
        let mut standing = Standing::default();
        board.flow(&flow.name, |status| standing = status.standing);
        if matches!(standing, Standing::Paused | Standing::Stopped) {
            return Ok(());
        }
        if clock.steady() > deadline {
            return Err(Error::unavailable(format!("flow {} does not come to rest", flow.name))
                .effect("nothing was done")
                .fix("the same command again"));
        }
        clock.sleep(LOOK_EACH);
    }
}
