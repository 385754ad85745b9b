//! `pause` and `resume`: the applier of a flow stands still; its changes wait in the log.

use super::flow_of;
use crate::args::Global;
use crate::assemble::{project, state_to_write};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use connect::{Clock, SystemClock};

/// What the operator wants of a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Paused,
    Live,
}

pub(crate) fn run(
    global: &Global,
    name: &str,
    wanted: Wanted,
    output: &Output,
) -> Result<u8, Failure> {
    let project = project(global, output)?;
    flow_of(&project, name)?;
    let state = state_to_write(&project)?;
    let Some(identity) = state.flow(name)? else {
        return Err(Failure::Usage(format!("flow {name} has never run")));
    };
    let now = SystemClock::default().now();
    state.order_pause(name, identity.id, wanted == Wanted::Paused, now)?;
    let text = match wanted {
        Wanted::Paused => format!("{name} is paused: its changes wait in the log"),
        Wanted::Live => format!("{name} goes on"),
    };
    output.summary(&text, &[]);
    Ok(DONE)
}
