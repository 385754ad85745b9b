//! `pause` and `resume`: the applier of a flow stands still; its changes wait in the log.

use super::flow_of;
use crate::args::Global;
use crate::assemble::{project, state_folder};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use engine::State;

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
    let state = State::open(&state_folder(&project).join("state.db"))?;
    let Some(identity) = state.flow(name)? else {
        return Err(Failure::Usage(format!("flow {name} has never run")));
    };
    state.set_paused(identity.id, wanted == Wanted::Paused)?;
    let text = match wanted {
        Wanted::Paused => format!("{name} is paused: its changes wait in the log"),
        Wanted::Live => format!("{name} goes on"),
    };
    output.summary(&text, &[]);
    Ok(DONE)
}
