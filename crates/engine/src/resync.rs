//! A new snapshot of everything a flow moves: the way out where going on from the last position is no longer possible.
//!
//! Nothing at the target is emptied: each chunk replaces its range, so that a reader sees old rows until the right
//! ones are there, and what is gone at the source goes at the target too.

use crate::assembly::Assembly;
use crate::capture::captured_tables;
use crate::engine::Engine;
use crate::orders::CaptureOrder;
use crate::state::SnapshotState;
use crate::stepping::{Drained, Stepping};
use crate::watch::Watch;
use change::{Generation, SnapshotId};
use connect::{Kind, Result, State as Named};
use flow::{Apply, Flow, Site};

/// Takes the new snapshot and applies it, with every change that there is.
///
/// A lane whose position is lost, or whose history is another, begins afresh; all its tables are read again, since
/// every flow that shares it has missed the same changes.
///
/// # Errors
/// As [`Stepping::open`] and [`Stepping::drain`].
pub fn resync(engine: &Engine, flow: &Flow, watch: &dyn Watch) -> Result<Drained> {
    let identity = engine.identify(flow)?;
    let generation = Generation::mint(engine.assembly.environment.random.bits());
    let now = engine.assembly.environment.clock.now();
    engine.assembly.state.order_resync(&flow.name, identity.id, generation, now)?;
    for (site, tables) in captured_tables(&engine.assembly.project) {
        if flow.sites.contains(&site.name) {
            begin_afresh_if_lost(engine, flow, &site, &tables)?;
        }
    }
    Stepping::open(engine, flow)?.drain(watch)
}

fn begin_afresh_if_lost(
    engine: &Engine,
    flow: &Flow,
    site: &Site,
    tables: &[String],
) -> Result<()> {
    let again: Vec<String> = match engine.open_capture(site, tables) {
        // An applier that starts anew orders its own snapshots; a flow that only proves has none.
        Ok(_) if flow.apply() == Apply::Events => Vec::new(),
        Ok(_) => flow.tables.iter().map(|table| table.source.clone()).collect(),
        Err(e) if matches!(e.state, Some(Named::HistoryChanged | Named::PositionLost)) => {
            let Assembly { state, environment, .. } = &engine.assembly;
            match state.lane(&site.name)? {
                // The capture finds them wanted when it opens.
                Some(lane) => {
                    let wanted =
                        || SnapshotState::wanted(SnapshotId::mint(environment.random.bits()), None);
                    let again: Vec<_> = tables.iter().map(|t| (t.clone(), wanted())).collect();
                    state.forget_history(lane.id, &again)?;
                    Vec::new()
                }
                None => tables.to_vec(),
            }
        }
        // A site that is down is read again when it is back.
        Err(e) if e.kind == Kind::Unavailable => Vec::new(),
        Err(e) => return Err(e),
    };
    for table in again {
        engine.orders.place(&site.name, CaptureOrder::Snapshot { table });
    }
    Ok(())
}
