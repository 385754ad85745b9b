//! `replay`: history again, into a table of its own.

use super::flow_of;
use crate::args::{Global, Replay};
use crate::assemble::{open, project};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use crate::progress::watch;
use crate::time::{counted, parse_instant};
use engine::{Act, ReplayRequest};
use serde_json::json;

pub(crate) fn run(global: &Global, what: &Replay, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flow = flow_of(&project, &what.flow)?.clone();
    let time = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_instant(text).map(Some).ok_or_else(|| {
            Failure::Usage(format!("{text} is no time: 2026-11-24T02:00:00Z, in UTC"))
        }),
    };
    let request =
        ReplayRequest { into: what.into.clone(), from: time(&what.from)?, to: time(&what.to)? };
    let held = open(project, global)?;
    let assembly = &held.engine.assembly;
    let (at, detail) =
        (assembly.environment.clock.now(), format!("flow {} into {}", flow.name, what.into));
    assembly.state.audit(Act { at, what: "replay", detail })?;
    let moved = {
        let watch = watch(output);
        engine::replay(&held.engine, &flow, &request, watch.as_ref())?
    };
    let text = format!("{}: {} replayed into {}", flow.name, counted(moved, "change"), what.into);
    output.summary(&text, &[("changes", json!(moved))]);
    Ok(DONE)
}
