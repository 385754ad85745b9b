//! `resync`: a new snapshot, applied range by range, without emptying anything.

use super::flow_of;
use crate::args::Global;
use crate::assemble::{open, project};
use crate::exit::{DONE, Failure, UNREACHABLE};
use crate::output::Output;
use crate::progress::watch;
use crate::time::{count, counted};
use serde_json::json;

pub(crate) fn run(global: &Global, name: &str, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let flow = flow_of(&project, name)?.clone();
    if !flow.captures() {
        return Err(Failure::Usage(format!("{name} moves no events: seamount run {name} --once")));
    }
    let held = open(project, global)?;
    let drained = {
        let watch = watch(output);
        engine::resync(&held.engine, &flow, watch.as_ref())?
    };
    for (site, error) in &drained.down {
        output.talk(&format!("{site} is down: {error}"));
    }
    let text = format!(
        "{name}: new snapshot, {} captured, {} applied{}; next: seamount reconcile {name}",
        counted(drained.captured, "change"),
        count(drained.applied),
        match drained.down.len() {
            0 => String::new(),
            down => format!(", {} down", counted(down as u64, "site")),
        }
    );
    let fields = [("captured", json!(drained.captured)), ("applied", json!(drained.applied))];
    output.summary(&text, &fields);
    Ok(if drained.down.is_empty() { DONE } else { UNREACHABLE })
}
