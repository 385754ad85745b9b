//! History again: the log applied from its beginning, or between two times, into a table of its own.
//!
//! The same transform, the same apply, another target table and another progress: the live flow is not touched.

use crate::apply::{Applier, Window};
use crate::assembly::Step;
use crate::engine::Engine;
use crate::watch::Watch;
use connect::{Error, Result};
use flow::Flow;

/// What to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// The table that gets the history.
    pub into: String,
    /// Groups committed at or after this, microseconds since 1970-01-01T00:00:00Z; `None`: from the snapshot on.
    pub from: Option<i64>,
    /// Groups committed before this; `None`: to the end.
    pub to: Option<i64>,
}

/// Replays a flow's history; returns the number of changes.
///
/// # Errors
/// `Invalid` when the flow has more than one table, when the table is the flow's own, or when the log no longer
/// holds the beginning.
pub fn replay(
    engine: &Engine,
    flow: &Flow,
    request: &ReplayRequest,
    watch: &dyn Watch,
) -> Result<u64> {
    if flow.tables.len() != 1 || !flow.captures() {
        return Err(Error::invalid(format!(
            "flow {} cannot be replayed into one table",
            flow.name
        ))
        .found("replay takes event and hybrid flows of one table")
        .code("E0515"));
    }
    if engine.assembly.project.flows.iter().any(|f| {
        f.target == flow.target && f.tables.iter().any(|table| table.target == request.into)
    }) {
        return Err(Error::invalid(format!("table {} belongs to a flow", request.into))
            .effect("nothing was written")
            .fix("name a table of its own: --into NAME")
            .code("E0515"));
    }
    let mut copy = flow.clone();
    copy.tables[0].target.clone_from(&request.into);
    copy.name = format!("{} replayed into {}", flow.name, request.into);
    copy.writer = flow::Writer::Flow;
    let window = Window { from: request.from, to: request.to };
    let identity = engine.identify(&copy)?;
    let mut applier = Applier::open_replay(engine, &copy, &identity, window)?;
    let mut moved = 0;
    loop {
        match applier.step()? {
            Step::Moved(changes) => moved += changes,
            Step::Idle => return Ok(moved),
            Step::Refused => {}
        }
        watch.progress("changes replayed", moved, None);
    }
}
